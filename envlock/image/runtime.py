"""Collecting what travels in every image: the runtime's source, its launcher, PyYAML's pure part.

Only ``.py`` files, as they stand in the source tree, and one small library that is written here
(``mkl.py``), so that the digest names the code and nothing else: it is the label ``dev.envlock.runtime``.
"""

import os
import stat
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import envlock
from envlock.core import canonical
from envlock.core.digest import Digest
from envlock.image import mkl
from envlock.image.plan import ImageFile, RuntimeFiles
from envlock.oci.path import ImagePath
from envlock.runtime.errors import InputError

_HOME = ImagePath("/opt/envlock")

# -I: nothing of the user's or the job's on the path; -S: no .pth hook, the job's packages unseen. No
# collection of cycles: what is imported stays, and to search it over and over is a part of the start.
_LAUNCHER = b"""\
#!/opt/env/bin/python -IS
import gc
import sys

gc.disable()
sys.path.insert(0, "/opt/envlock/runtime")

from envlock.runtime.entrypoint import main

sys.exit(main())
"""
_PLACES = ("bin", "lib", "runtime")
_SHARED_DIRECTORIES = ("/out", "/tmp", "/work")  # noqa: S108 # the image's contract, mode 1777


def runtime_files() -> RuntimeFiles:
    """Return the runtime of the envlock that runs. Raises InputError when PyYAML is not importable."""
    files = (
        *(ImageFile(path=ImagePath(path), mode=0o1777, data=None) for path in _SHARED_DIRECTORIES),
        ImageFile(path=_HOME / "bin/envlock-run", mode=0o755, data=_LAUNCHER),
        ImageFile(path=_HOME / "lib/libenvlock-mkl.so", mode=0o644, data=mkl.library()),
        *_package(_yaml(), _HOME / "lib/yaml"),
        *_envlock(_HOME / "runtime/envlock"),
    )
    ordered = tuple(sorted(files, key=lambda file: file.path))
    return RuntimeFiles(files=ordered, digest=digest(ordered))


def files_in(root: Path) -> tuple[ImageFile, ...]:
    """Return what stands in the places of :func:`runtime_files` below ``root``, but for bytecode.

    Of an image that envlock built, its digest is the runtime's for as long as nobody edits it. Nothing but
    regular files is read: whatever else stands there counts as an empty one.
    """
    found = [ImageFile(path=ImagePath(path), mode=0o1777, data=None) for path in _SHARED_DIRECTORIES]
    for place in _PLACES:
        for directory, below, names in os.walk(root / (_HOME / place).relative):
            below[:] = [name for name in below if name != "__pycache__"]
            inside = ImagePath(f"/{os.path.relpath(directory, root)}")
            found += (_standing(Path(directory, name), inside / name) for name in names)
    return tuple(sorted(found, key=lambda file: file.path))


def _standing(file: Path, path: ImagePath) -> ImageFile:
    status = file.lstat()
    data = file.read_bytes() if stat.S_ISREG(status.st_mode) else b""
    return ImageFile(path=path, mode=0o755 if status.st_mode & stat.S_IXUSR else 0o644, data=data)


def carried() -> tuple[tuple[str, str], ...]:
    """Return name and version of each package that travels with the runtime."""
    return (("pyyaml", version("pyyaml")),)


def digest(files: tuple[ImageFile, ...]) -> Digest:
    """Return the digest of paths, modes and contents."""
    return Digest.of(
        canonical.dumps(
            [
                [file.path.text, file.mode, None if file.data is None else str(Digest.of(file.data))]
                for file in files
            ]
        )
    )


def _envlock(target: ImagePath) -> Iterator[ImageFile]:
    source = Path(envlock.__file__).parent
    yield _file(source / "__init__.py", target / "__init__.py")
    yield from _package(source / "runtime", target / "runtime")


def _yaml() -> Path:
    spec = find_spec("yaml")
    if spec is None or spec.origin is None:
        raise InputError("PyYAML is not installed", hint="reinstall envlock: the image's runtime carries it")
    return Path(spec.origin).parent


def _package(source: Path, target: ImagePath) -> Iterator[ImageFile]:
    for directory, _, names in os.walk(source):
        below = os.path.relpath(directory, source)
        place = target if below == "." else target / Path(below).as_posix()
        for name in names:
            if name.endswith(".py"):
                yield _file(Path(directory, name), place / name)


def _file(source: Path, target: ImagePath) -> ImageFile:
    return ImageFile(path=target, mode=0o644, data=source.read_bytes())
