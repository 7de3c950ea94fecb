"""Unpacking layers into a directory as an ordinary user, without trusting their names or links.

Rules kept here (OCI image-spec 1.1, layer.md):

* Layers apply in order. ``.wh.NAME`` removes NAME of the layers below, ``.wh..wh..opq`` all that
  lies in its directory from below. A directory over a directory keeps what is in it; anything else
  replaces what is there.
* Nothing is written outside the directory: names with ``..`` and links that climb above the root
  are refused, parents are resolved inside the root as the container will see them, and files are
  made anew, never written through a link.
* Modes are kept without setuid and setgid, times are kept, owners are not; devices are left out
  (an ordinary user can't make them, and the engine brings its own).
"""

import os
import stat
import tarfile
from pathlib import Path
from typing import IO, Final, cast

from envlock.host.files import CHUNK, remove_tree, telling
from envlock.oci import estargz
from envlock.oci.inflation import Readable
from envlock.runtime.errors import InputError

_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"
_FILE_MODE: Final = 0o777
_DIRECTORY_MODE: Final = 0o1777
_MAX_LINKS: Final = 40


class RootFilesystem:
    """A root file system that grows by layers. :meth:`finish` gives the directories their modes."""

    def __init__(self, root: Path) -> None:
        """Unpack into ``root``, which is made when it is absent."""
        root.mkdir(parents=True, exist_ok=True)
        self._root = os.path.realpath(root)
        self._modes: dict[str, int] = {}
        self._resolved: dict[str, str] = {}
        self._fresh: set[str] = set()

    def apply(self, stream: Readable, where: str) -> None:
        """Unpack one layer's tar.

        Raises InputError when it is malformed or tries to escape, UnreachableError when the disk is full.
        """
        self._fresh = set()
        try:
            with (
                telling(Path(self._root)),
                tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|", bufsize=CHUNK) as archive,
            ):
                for member in archive:
                    self._add(archive, member, where)
                    # tarfile would keep every header of the layer.
                    archive.members = []  # type: ignore[attr-defined] # not in the type stubs
        except tarfile.TarError as error:
            raise InputError("corrupt layer", where=where, expected="a tar", found=str(error)) from error
        while stream.read(CHUNK):  # what follows the archive's end belongs to the digest
            pass

    def finish(self) -> None:
        """Give every directory its mode, the innermost first."""
        for path in sorted(self._modes, reverse=True):
            if os.path.isdir(path) and not os.path.islink(path):
                os.chmod(path, self._modes[path])

    def _add(self, archive: tarfile.TarFile, member: tarfile.TarInfo, where: str) -> None:
        parts = _parts(member.name, where)
        if not parts:
            self._modes[self._root] = member.mode & _DIRECTORY_MODE
            return
        if "/" + "/".join(parts) in estargz.NOT_OF_THE_IMAGE:
            return
        there = f"{where}: {member.name}"
        directory = self._directory("/".join(parts[:-1]), there)
        name = parts[-1]
        if name.startswith(_WHITEOUT):
            self._white_out(directory, name, there)
            return
        self._make(archive, member, f"{directory}/{name}", there)

    def _make(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str, there: str) -> None:
        if member.isdir():
            self._make_directory(path, member.mode)
        elif member.isreg():
            self._make_file(archive, member, path)
        elif member.issym():
            self._make_symlink(path, member.linkname, there)
        elif member.islnk():
            self._make_hard_link(path, member.linkname, there)
        else:
            return
        self._fresh.add(path)

    def _make_directory(self, path: str, mode: int) -> None:
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                self._remove(path)
                os.mkdir(path, 0o700)
        self._modes[path] = mode & _DIRECTORY_MODE

    def _make_file(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        descriptor = self._created(path)
        try:
            content = archive.extractfile(member)
            while content is not None and (piece := content.read(CHUNK)):
                _write_all(descriptor, piece)
            os.fchmod(descriptor, member.mode & _FILE_MODE)
            os.utime(descriptor, (member.mtime, member.mtime))
        finally:
            os.close(descriptor)

    def _created(self, path: str) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(path, flags, 0o600)
        except FileExistsError:
            self._remove(path)
            return os.open(path, flags, 0o600)

    def _make_symlink(self, path: str, target: str, there: str) -> None:
        if not target.startswith("/"):
            _refuse_climbing(path[len(self._root) :].split("/")[1:-1], target, there)
        self._remove(path)
        os.symlink(target, path)
        self._resolved.clear()

    def _make_hard_link(self, path: str, target: str, there: str) -> None:
        parts = _parts(target, there)
        if not parts:
            raise _refused(there, "a link to a file", "a link to the root")
        source = f"{self._directory('/'.join(parts[:-1]), there)}/{parts[-1]}"
        if not os.path.lexists(source) or stat.S_ISDIR(os.lstat(source).st_mode):
            raise _refused(there, "a link to a file of the image", target)
        if source != path:
            self._remove(path)
            os.link(source, path, follow_symlinks=False)

    def _directory(self, relative: str, there: str) -> str:
        """Return the real path of a directory of the image, whose missing parts are made."""
        found = self._resolved.get(relative)
        if found is None:
            found = self._resolved[relative] = self._walk(relative.split("/"), there)
        return found

    def _walk(self, parts: list[str], there: str) -> str:
        current = self._root
        pending = parts[::-1]
        links = 0
        while pending:
            part = pending.pop()
            if part in ("", "."):
                continue
            if part == "..":
                # As a kernel does: above the root is the root.
                current = current if current == self._root else os.path.dirname(current)
                continue
            path = f"{current}/{part}"
            target = self._link_target(path, there)
            if target is None:
                current = path
                continue
            links += 1
            if links > _MAX_LINKS:
                raise _refused(there, "a directory", "links that lead in a circle")
            current = self._root if target.startswith("/") else current
            pending.extend(reversed(target.split("/")))
        return current

    def _link_target(self, path: str, there: str) -> str | None:
        """Return where a link leads, or None for a directory, which is made when nothing is there."""
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            self._make_directory(path, 0o755)
            return None
        if stat.S_ISLNK(mode):
            return os.readlink(path)
        if not stat.S_ISDIR(mode):
            raise _refused(there, "a directory", "a file")
        return None

    def _white_out(self, directory: str, name: str, there: str) -> None:
        if name == _OPAQUE:
            self._empty(directory)
            return
        hidden = name.removeprefix(_WHITEOUT)
        if hidden in ("", ".", ".."):
            raise _refused(there, "a whiteout of a name", repr(name))
        path = f"{directory}/{hidden}"
        if path not in self._fresh:
            self._remove(path)

    def _empty(self, directory: str) -> None:
        """Remove what the layers below put into ``directory``; this layer's own files stay."""
        for entry in list(os.scandir(directory)):
            if not self._is_fresh(entry.path):
                self._remove(entry.path)
            elif entry.is_dir(follow_symlinks=False):
                self._empty(entry.path)

    def _is_fresh(self, path: str) -> bool:
        """Say whether this layer made ``path`` or something below it."""
        return path in self._fresh or any(one.startswith(path + "/") for one in self._fresh)

    def _remove(self, path: str) -> None:
        if os.path.lexists(path):
            remove_tree(Path(path))
            self._resolved.clear()


def _parts(name: str, where: str) -> list[str]:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in name:
        raise _refused(f"{where}: {name!r}", "a name inside the image", "one that climbs out")
    return parts


def _refuse_climbing(directory: list[str], target: str, there: str) -> None:
    depth = len(directory)
    for part in target.split("/"):
        depth += {"": 0, ".": 0, "..": -1}.get(part, 1)
        if depth < 0:
            raise _refused(there, "a link inside the image", f"one to {target}")


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _refused(there: str, expected: str, found: str) -> InputError:
    return InputError("refused to unpack", where=there, expected=expected, found=found)
