"""Where each file of a wheel goes in the image: the wheel specification as a pure function.

Rules kept here ("Installing a wheel" of the binary distribution format; the choices that it leaves
open are made as pip and ``installer`` make them):

* purelib and platlib are one directory, ``scripts`` go to ``bin``, ``headers`` to
  ``include/site/pythonX.Y/NAME``, ``data`` to the environment's root.
* Scripts that begin with ``#!python`` get the environment's interpreter, entry points a launcher;
  both are executable. The launcher's text stands here, so that no library's version changes it.
* Modes are 0755 where the wheel says executable, else 0644. ``__pycache__``, RECORD's signatures
  and the wheel's own INSTALLER are left out; RECORD and INSTALLER are made.
* Nothing outside the environment, nothing that takes the place of the interpreter or of envlock's
  own files: InputError names the wheel and the entry.
"""

import posixpath
import re
from collections.abc import Iterator
from configparser import ConfigParser
from configparser import Error as ConfigError
from string import Template
from typing import Final, NamedTuple

from envlock.image.record import RecordedHash, format_record, recorded_hash
from envlock.image.wheel import WheelContents, WheelFile
from envlock.oci.path import ImagePath
from envlock.runtime.errors import InputError

FORMAT: Final = "1"
"""Changes whenever the same wheel installs differently: part of every cache key."""

ENVIRONMENT: Final = ImagePath("/opt/env")
INTERPRETER: Final = "/opt/env/bin/python"

_LAUNCHER = Template("""\
#!$interpreter
import sys
from $module import $name
if __name__ == "__main__":
    if sys.argv[0].endswith(".exe"):
        sys.argv[0] = sys.argv[0][:-4]
    sys.exit($call())
""")
_OBJECT = re.compile(r"(?P<module>\w+(?:\.\w+)*)\s*:\s*(?P<call>\w+(?:\.\w+)*)\s*(?:\[.*\])?")
_SCHEMES: Final = ("purelib", "platlib", "headers", "scripts", "data")
# What names an interpreter: python, python3, python3.11, python3.13t, pythonw, python3-config.
_INTERPRETER_PATH = re.compile(r"/opt/env/bin/python[0-9.]*[a-z]?(?:-config)?")
_INSTALLER_FILE: Final = b"envlock\n"


class InstalledFile(NamedTuple):
    """A file of the environment. ``source`` is the wheel's entry to copy, or the bytes to write."""

    path: ImagePath
    mode: int
    size: int
    recorded: RecordedHash
    source: str | bytes


def site_packages(minor: str) -> ImagePath:
    """Return the library directory for Python ``minor`` (``3.11``)."""
    return ENVIRONMENT / f"lib/python{minor}/site-packages"


def install(contents: WheelContents, *, minor: str) -> tuple[InstalledFile, ...]:
    """Return what installing the wheel puts into the image, sorted by path."""
    installed: dict[str, InstalledFile] = {}
    for file in _files(contents, minor):
        if installed.setdefault(file.path.text, file) is not file:
            raise InputError("one wheel installs a path twice", where=f"{contents.filename}: {file.path}")
    site = site_packages(minor)
    record = site / f"{contents.dist_info}/RECORD"
    rows = [(_recorded_path(file.path, site), file.recorded, file.size) for file in installed.values()]
    content = format_record([*rows, (_recorded_path(record, site), None, None)])
    installed[record.text] = _made(record, 0o644, content)
    return tuple(installed[path] for path in sorted(installed))


class _Places:
    """Where the files of one wheel may go."""

    def __init__(self, contents: WheelContents, minor: str) -> None:
        self._filename = contents.filename
        self.site = site_packages(minor)
        self._schemes = {
            "purelib": self.site,
            "platlib": self.site,
            "scripts": ENVIRONMENT / "bin",
            "headers": ENVIRONMENT / f"include/site/python{minor}/{contents.distribution}",
            "data": ENVIRONMENT,
        }
        reserved = ENVIRONMENT / "pyvenv.cfg", ENVIRONMENT / "bin", self.site / "envlock.pth"
        self._reserved = frozenset(path.text for path in reserved)

    def path(self, scheme: str, name: str, *, checked: bool = False) -> ImagePath:
        """Return the place of a scheme's file. Raises InputError for a place that is not the wheel's.

        ``checked``: the name is that of a zip's member, or the end of one.
        """
        directory = self._schemes[scheme]
        try:
            path = directory.below(name) if checked else directory / name
        except InputError as error:
            raise InputError(
                "refused to install",
                where=f"{self._filename}: {name!r}",
                expected=error.expected,
                found=error.found,
            ) from error
        if path.text in self._reserved or _INTERPRETER_PATH.fullmatch(path.text):
            raise InputError(
                "refused to install",
                where=f"{self._filename}: {path}",
                expected="a path of the package's own",
                found="one that belongs to the interpreter or to envlock",
            )
        return path


def _files(contents: WheelContents, minor: str) -> Iterator[InstalledFile]:
    """Yield every installed file but RECORD."""
    places = _Places(contents, minor)
    info = contents.dist_info
    left_out = {f"{info}/{name}" for name in ("RECORD", "RECORD.jws", "RECORD.p7s", "INSTALLER")}
    for file in contents.files:
        name = file.name
        compiled = "__pycache__" in name and "__pycache__" in name.split("/")
        if not compiled and name not in left_out:
            yield _wheel_file(contents, file, places)
    yield _made(places.site / f"{info}/INSTALLER", 0o644, _INSTALLER_FILE)
    yield from _launchers(contents, places)


def _made(path: ImagePath, mode: int, data: bytes) -> InstalledFile:
    return InstalledFile(path=path, mode=mode, size=len(data), recorded=recorded_hash(data), source=data)


def _wheel_file(contents: WheelContents, file: WheelFile, places: _Places) -> InstalledFile:
    scheme, name = _scheme(contents, file.name)
    path = places.path(scheme, name, checked=True)
    mode = 0o755 if file.executable or scheme == "scripts" else 0o644
    if scheme == "scripts" and file.script is not None:
        _, _, body = file.script.partition(b"\n")
        return _made(path, mode, f"#!{INTERPRETER}\n".encode() + body)
    if file.recorded is None:
        raise InputError("file without a hash in RECORD", where=f"{contents.filename}: {file.name}")
    return InstalledFile(path, mode, file.size, file.recorded, file.name)


def _scheme(contents: WheelContents, name: str) -> tuple[str, str]:
    """Return the scheme of an entry and its path within that scheme."""
    top, _, rest = name.partition("/")
    if top != contents.data:
        # pip takes every such directory for the wheel's own.
        if rest and top.endswith(".data"):
            raise InputError(
                "unknown place", where=f"{contents.filename}: {name}", expected=contents.data, found=top
            )
        return ("purelib" if contents.root_is_purelib else "platlib"), name
    scheme, _, rest = rest.partition("/")
    if scheme not in _SCHEMES or not rest:
        raise InputError(
            "unknown place",
            where=f"{contents.filename}: {name}",
            expected="one of " + ", ".join(_SCHEMES),
            found=repr(scheme),
        )
    return scheme, rest


def _recorded_path(path: ImagePath, site: ImagePath) -> str:
    """Return ``path`` as RECORD has it: relative to site-packages."""
    if path.within(site):
        return path.text[len(site.text) + 1 :]
    return posixpath.relpath(path.text, site.text)


def _launchers(contents: WheelContents, places: _Places) -> Iterator[InstalledFile]:
    where = f"{contents.filename}: {contents.dist_info}/entry_points.txt"
    # A name in both sections is one command.
    for name, value in sorted(dict(_scripts(contents.entry_points, where)).items()):
        found = _OBJECT.fullmatch(value.strip())
        if found is None:
            raise InputError("not an entry point", where=where, expected="module:object", found=repr(value))
        if "/" in name:
            raise InputError("not a command's name", where=where, found=repr(name))
        path = places.path("scripts", name)
        text = _LAUNCHER.substitute(
            interpreter=INTERPRETER,
            module=found["module"],
            name=found["call"].partition(".")[0],
            call=found["call"],
        )
        yield _made(path, 0o755, text.encode())


def _scripts(text: str, where: str) -> Iterator[tuple[str, str]]:
    parser = ConfigParser(delimiters=("=",), interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # names keep their case
    try:
        parser.read_string(text)
    except ConfigError as error:
        raise InputError("not an entry points file", where=where, found=str(error)) from error
    for section in ("console_scripts", "gui_scripts"):
        if parser.has_section(section):
            yield from parser.items(section)
