"""``envlock image-diff``: which config, layers and files differ between two images, and why."""

from dataclasses import asdict

import click

from envlock.cli import options, plain, storage
from envlock.cli.image_changes import print_difference
from envlock.engines import unpacked
from envlock.image.comparison import compare


@click.command(short_help="Which config, layers and files differ between two images, and why.")
@click.argument("a")
@click.argument("b")
@click.option("--all", "everything", is_flag=True, help="List every file, not only counts for each package.")
@options.as_json
@options.quiet
@options.verbose
def command(*, a: str, b: str, everything: bool, as_json: bool, quiet: bool) -> int:
    """Show what changes from image A to image B. Exit status: 0 nothing, 1 something.

    An image is oci:DIR, oci-archive:FILE, docker-archive:FILE, docker:TAG, or a path of one on disk.

    \b
    envlock image-diff oci-archive:before.tar oci-archive:after.tar
    envlock image-diff --json docker:team/exp:1 docker:team/exp:2
    """
    progress = plain.progress(quiet=quiet or as_json)
    store = storage.store()
    with unpacked.opened(a, store, progress) as first, unpacked.opened(b, store, progress) as second:
        found = compare(first, second, progress)
    if as_json:
        plain.print_json(asdict(found) | {"same": found.empty})
    elif not quiet:
        print_difference(found, everything=everything)
    return 0 if found.empty else 1
