"""An image's root file system on disk, extracted once and shared by all runs of the image.

It lies in the store under ``rootfs/<config digest>``, under the rules of :mod:`envlock.host.trees`: an
extraction that was cut short, or whose files changed since, is never used. Runs see it read-only.
"""

import os
from pathlib import Path

from envlock.core.digest import Digest
from envlock.core.progress import Progress
from envlock.host import trees
from envlock.host.files import remove_tree
from envlock.host.store import Store
from envlock.oci.reader import OpenedImage, extract

# What the engine mounts over must be there, and be no link: mount(8) would follow it out of the tree.
_DIRECTORIES = ("dev", "etc", "out", "proc", "run", "sys", "tmp", "work")
_FILES = ("etc/hosts", "etc/resolv.conf")


def prepared(opened: OpenedImage, store: Store, progress: Progress) -> Path:
    """Return the extracted tree of an image, made now if it is not there yet.

    Raises what :func:`envlock.oci.reader.extract` raises (InputError, IntegrityError).
    """

    def make(part: Path) -> None:
        with progress.task("extract the image", None):
            extract(opened, part)
            mount_points(part)

    return trees.kept(place(opened.image.config_digest, store), store, make)


def found(config_digest: Digest, store: Store) -> Path | None:
    """Return an image's tree where it was extracted before and nothing in it has changed."""
    tree = place(config_digest, store)
    return tree if trees.is_whole(tree) else None


def place(config_digest: Digest, store: Store) -> Path:
    """Return where an image's tree lies, once it is extracted."""
    return trees.place(store, "rootfs", config_digest.hex)


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
