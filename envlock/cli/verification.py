"""``envlock build --verify``: the proof that an image is reproducible, and what its lock says.

Two questions, answered before the image is written anywhere:

* Is it the same again, made from nothing? In a store that holds only the base, every wheel is hashed and
  read anew and all bytecode compiled anew; the manifests, and through them every byte, must be equal.
* Is it what the lock says? Its own interpreter, in the unpacked image, is asked what is installed; every
  file is hashed, and each package held to the RECORD of its locked wheel.

No engine is needed: the namespaces are those of the embedded one.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.markup import escape

from envlock.cli import terminal
from envlock.cli.image_changes import print_difference
from envlock.core.progress import Progress
from envlock.host.files import scratch_directory
from envlock.host.store import Store
from envlock.image import comparison, proof
from envlock.image.difference import ImageDifference
from envlock.image.proof import Mismatch
from envlock.image.wheel import open_wheel, wheel_record
from envlock.lock.model import Lock
from envlock.oci.model import Image
from envlock.wheels import record

_FILES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Both answers. ``difference`` is None where the second build has the same manifest."""

    difference: ImageDifference | None
    mismatches: tuple[Mismatch, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against the image."""
        return self.difference is None and not self.mismatches

    def members(self) -> dict[str, object]:
        """Return both answers as ``--json`` has them."""
        difference = self.difference
        return {
            "holds": self.holds,
            "difference": None if difference is None else asdict(difference),
            "mismatches": [asdict(one) for one in self.mismatches],
        }

    def show(self, image: Image) -> None:
        """Print both answers on standard output."""
        _print_difference(self.difference, image)
        _print_mismatches(self.mismatches)


def verify(
    image: Image,
    lock: Lock,
    wheels: Mapping[str, Path],
    store: Store,
    progress: Progress,
    assemble: Callable[[Store], Image],
) -> Verification:
    """Put ``image``, whose layers are in ``store``, to both questions.

    ``assemble`` builds it into the store that it is given. Raises IntegrityError for a wheel or base with
    other bytes than the lock's, UnreachableError where namespaces are forbidden, and as assembling does.
    """
    # What only a proof needs is most of what a build would have to import.
    from envlock.engines import configuration, inspection, rootfs  # noqa: PLC0415

    incoming = store.root / "incoming"
    incoming.mkdir(parents=True, exist_ok=True)
    with scratch_directory(incoming) as scratch:
        fresh = Store(scratch / "store")
        for layer in lock.base.layers:
            fresh.add_file(store.path(layer.blob), layer.blob)
        again = assemble(fresh)
        first = comparison.in_store(image, store)
        difference = None
        if again.manifest != image.manifest:
            difference = comparison.compare(first, comparison.in_store(again, fresh), progress)
        root = rootfs.prepared(first, fresh, progress)
        settings = configuration.parse(image.config, str(image.config_digest))
        found = inspection.read(root, settings, None, progress)
        return Verification(
            difference=difference, mismatches=proof.mismatches(lock, found, _records(lock, wheels))
        )


def _records(lock: Lock, wheels: Mapping[str, Path]) -> proof.Records:
    """Return the RECORD of each wheel, without bytecode, which no image takes from a wheel."""
    found = {}
    for package in lock.packages:
        with open_wheel(wheels[package.name], package.wheel.name) as reader:
            entries = record.parse(wheel_record(reader).encode())
        found[package.name] = tuple(one for one in entries if "__pycache__" not in one.path.split("/"))
    return found


def _print_difference(difference: ImageDifference | None, image: Image) -> None:
    if difference is None:
        terminal.out.print(
            f"[bold green]same again[/]  all {len(image.layers)} layers and the manifest {image.digest}, "
            "built from nothing"
        )
    else:
        terminal.out.print("[bold red]not the same again[/]  before: this build; after: one from nothing")
        print_difference(difference, everything=False)


def _print_mismatches(mismatches: tuple[Mismatch, ...]) -> None:
    if not mismatches:
        terminal.out.print(
            "[bold green]as locked[/]   interpreter and every file of each package, read inside the image"
        )
        return
    terminal.out.print("[bold red]not as locked[/]")
    for one in mismatches:
        more = f" and {len(one.files) - _FILES} more" if len(one.files) > _FILES else ""
        files = f" ({', '.join(one.files[:_FILES])}{more})" if one.files else ""
        line = f"  {one.subject}: locked {one.locked or '-'}, found {one.found or '-'}{files}"
        terminal.out.print(escape(line))
