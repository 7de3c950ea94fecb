"""How the processes of a job tell the entrypoint what they did: files in a private directory.

Each process appends whole lines to a file of its own (name: its process id), one ``write`` a line,
and keeps no descriptor open: nothing for a daemon to close or a child to inherit, and a killed child
leaves at most one line without its end, which :func:`merge` drops. Lines are tab-separated, with
``%``, tab and newline escaped, so that a process that only imports ``random`` needs no JSON.

Telling is best effort: a spool that can't be written (another user, a full disk) is never an error
of the job. ENVLOCK_SPOOL names the directory; without it nothing is told.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "ENVLOCK_SPOOL"
_CLAIM = "claim-"
_EVENTS = "events-"
_ESCAPES = (("%", "%25"), ("\t", "%09"), ("\n", "%0A"))
_NAME_BYTES = 8
_MOST_GENERATORS = 100


def make(parent: str) -> str:
    """Return a new private directory below ``parent``. Raises OSError."""
    path = os.path.join(parent, f"envlock-{os.urandom(_NAME_BYTES).hex()}")
    os.mkdir(path, 0o700)
    return path


def remove(directory: str) -> None:
    """Remove the spool; what a process that outlived the job still writes is left behind."""
    try:
        for name in os.listdir(directory):
            os.unlink(os.path.join(directory, name))
        os.rmdir(directory)
    except OSError:
        return


def report_seed(process: str, stream: str, value: int) -> None:
    """Tell that ``stream`` of ``process`` was given ``value``."""
    from envlock.runtime import decimals

    report("seed", process, stream, decimals.to_text(value))


def report_generator(process: str, stream: str, ordinal: int, value: int) -> None:
    """Tell of an unseeded generator of ``stream``: each of the first 100, then at each doubling only.

    A job that makes a million of them would fill the spool; their seeds follow from the ordinal.
    """
    if ordinal < _MOST_GENERATORS:
        report_seed(process, f"{stream}/gen/{ordinal}", value)
    elif ordinal & (ordinal - 1) == 0:
        report("generators", process, stream, str(ordinal))


def report(kind: str, *fields: str) -> None:
    """Append one line. Never raises for what the file system says."""
    directory = os.environ.get(VARIABLE)
    if not directory:
        return
    line = "\t".join(map(_escaped, (kind, *fields))) + "\n"
    try:
        path = os.path.join(directory, f"{_EVENTS}{os.getpid()}")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, line.encode("utf-8", "surrogateescape"))
        finally:
            os.close(descriptor)
    except OSError:
        return


def claim(name: str) -> int:
    """Return how many processes claimed ``name`` before this one; 0 where there is no spool."""
    directory = os.environ.get(VARIABLE)
    if not directory:
        return 0
    stem = os.path.join(directory, _CLAIM + name.replace("/", "-").replace("|", "_"))
    ordinal = 0
    try:
        while not _made(f"{stem}_{ordinal}"):
            ordinal += 1
    except OSError:
        return 0
    return ordinal


def merge(directory: str) -> tuple[tuple[str, ...], ...]:
    """Return every whole line of every process, sorted, each once: (kind, field, …)."""
    try:
        names = os.listdir(directory)
    except OSError:
        return ()
    lines = {line for name in names if name.startswith(_EVENTS) for line in _lines(directory, name)}
    return tuple(sorted(lines))


def _made(path: str) -> bool:
    """Make the file; False where it is there already."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return False
    return True


def _lines(directory: str, name: str) -> Iterator[tuple[str, ...]]:
    try:
        with open(os.path.join(directory, name), "rb") as stream:
            whole = stream.read().decode("utf-8", "replace").split("\n")[:-1]
    except OSError:
        return
    for line in whole:
        yield tuple(map(_plain, line.split("\t")))


def _escaped(text: str) -> str:
    for plain, escaped in _ESCAPES:
        text = text.replace(plain, escaped)
    return text


def _plain(text: str) -> str:
    for plain, escaped in reversed(_ESCAPES):
        text = text.replace(escaped, plain)
    return text
