"""An image's root file system on disk, extracted once and shared by all runs of the image.

It lies in the store under ``rootfs/<config digest>``. The name appears by rename when all is there,
so an extraction that was cut short is never used; a lock lets the second of two runs wait for the
first one's extraction instead of making its own. Runs see it read-only.
"""

import os
from pathlib import Path

from envlock.core.digest import Digest
from envlock.core.progress import Progress
from envlock.host.files import atomic_directory, remove_tree
from envlock.host.locking import exclusive
from envlock.host.store import Store
from envlock.oci.reader import OpenedImage, extract

# What the engine mounts over must be there, and be no link: mount(8) would follow it out of the tree.
_DIRECTORIES = ("dev", "etc", "out", "proc", "run", "sys", "tmp", "work")
_FILES = ("etc/hosts", "etc/resolv.conf")


def prepared(opened: OpenedImage, store: Store, progress: Progress) -> Path:
    """Return the extracted tree of an image, made now if it is not there yet.

    Raises what :func:`envlock.oci.reader.extract` raises (InputError, IntegrityError).
    """
    digest = opened.image.config_digest
    tree = place(digest, store)
    if tree.is_dir():
        return tree
    with exclusive(tree.with_suffix(".lock")):
        if not tree.is_dir():
            with progress.task("extract the image", None), atomic_directory(tree) as part:
                extract(opened, part)
                mount_points(part)
    return tree


def place(config_digest: Digest, store: Store) -> Path:
    """Return where an image's tree lies, once it is extracted."""
    return store.root / "rootfs" / config_digest.hex


def mount_points(root: Path) -> None:
    """Make sure that each place that the engine mounts over is a plain directory or file."""
    for name in _DIRECTORIES:
        point = root / name
        if point.is_symlink() or not point.is_dir():
            remove_tree(point)
            point.mkdir()
    for name in _FILES:
        point = root / name
        if point.is_symlink() or not point.is_file():
            remove_tree(point)
            os.close(os.open(point, os.O_CREAT | os.O_WRONLY, 0o644))
