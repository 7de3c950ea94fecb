"""Scripts in ``bin``: which ones the installer generated, and what the others were in the wheel.

Entry point specification: installers generate a launcher for each console and GUI script. Binary
distribution format, "Recommended installer features": scripts whose first line is ``#!python`` get the
interpreter's path there. A repacked wheel names no path of the machine it was captured on.
"""

import configparser
import re
from dataclasses import dataclass

_GROUPS = ("console_scripts", "gui_scripts")
_IMPORT = re.compile(rb"^from ([\w.]+) import (\w+)$", re.MULTILINE)
# What pip and distlib write when the interpreter's path is too long, or has a space, for a first line.
_LONG_SHEBANG = re.compile(rb"#!/bin/sh\n'''exec' ([^\n]+) \"\$0\" \"\$@\"\n' '''\n")
_SHEBANG = re.compile(rb"#!([^\n]+)\n")
_OPTIONS = re.compile(rb"\A(#![^\s]+) -\w+\n")
_PYTHON = re.compile(rb"python[\d.]*w?")


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPoints:
    """The scripts of ``entry_points.txt``: their names, and (module, attribute) of what they call."""

    names: frozenset[str]
    targets: frozenset[tuple[str, str]]


def entry_points(text: str) -> EntryPoints:
    """Read ``entry_points.txt``; a file that can't be read names no scripts."""
    parser = configparser.RawConfigParser(delimiters=("=",), strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names are case-sensitive
    try:
        parser.read_string(text)
    except configparser.Error:
        return EntryPoints(names=frozenset(), targets=frozenset())
    items = [pair for group in _GROUPS if parser.has_section(group) for pair in parser.items(group)]
    targets = (value.partition("[")[0].strip().partition(":") for _, value in items)
    return EntryPoints(
        names=frozenset(name for name, _ in items),
        targets=frozenset((module.strip(), call.strip().partition(".")[0]) for module, _, call in targets),
    )


def is_generated(name: str, content: bytes, known: EntryPoints) -> bool:
    """Tell whether an installer made this script: by its name, or by what it calls (``pip3.11``)."""
    called = {(module.decode(), call.decode()) for module, call in _IMPORT.findall(content)}
    return name in known.names or (b"sys.exit(" in content and bool(called & known.targets))


def as_installed(content: bytes) -> bytes:
    """Return a script whose first line names an interpreter with options, without them: pipx adds ``-E``."""
    return _OPTIONS.sub(b"\\1\n", content, count=1)


def as_in_wheel(content: bytes, directory: str) -> bytes:
    """Return a script with ``#!python`` where the installer wrote an interpreter of ``directory``."""
    for pattern in (_LONG_SHEBANG, _SHEBANG):
        matched = pattern.match(content)
        if matched and _is_interpreter_of(matched[1], directory):
            return b"#!python\n" + content[matched.end() :]
    return content


def _is_interpreter_of(command: bytes, directory: str) -> bool:
    path = command.strip().strip(b'"')
    place, _, name = path.rpartition(b"/")
    return place == directory.encode() and _PYTHON.fullmatch(name.partition(b" ")[0]) is not None
