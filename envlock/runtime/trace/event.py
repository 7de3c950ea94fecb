"""One traced tensor, and the lines of a trace file.

A file is gzip of UTF-8 lines, fields separated by tabs. Each part of it begins with
``envlock-trace  1  LEVEL  PROCESS``; then one line a tensor. A process that was killed leaves a file that
ends in the middle.
"""

from __future__ import annotations

from envlock.runtime.value import Value

NAME = "envlock-trace"
VERSION = 1
KINDS = ("input", "op", "module", "gradient", "parameter")
UNREAD = "?"
"""The digest of a tensor whose bytes can't be had."""

_SUFFIX = ".trace.gz"
_FIELDS = 6
_ESCAPES = str.maketrans({"\t": " ", "\n": " "})


class Event(Value):
    """A tensor and when it was computed."""

    step: int
    """How many optimizer steps, or Keras' training batches, had begun: from 1."""
    kind: str
    """One of KINDS: what enters the outermost module, an operation's or a module's result, a gradient
    before and a parameter after an optimizer's step."""
    where: str
    """The module's path, ``Net.layers.0``; in a backward pass the node's, ``AddmmBackward0``; or nothing."""
    name: str
    """The operation, ``aten.addmm.default``, the parameter, or which tensor of several: ``0``, ``loss``."""
    shape: str
    """``float32[64,128]``."""
    digest: str
    """64 bits of the SHA-256 of its bytes in C order, 16 hexadecimal digits; or UNREAD."""


def file_name(process: str) -> str:
    """Return what the file of a process, ``rank/0/proc/1``, is called."""
    return process.replace("/", "-") + _SUFFIX


def process_of(file: str) -> str:
    """Return the process whose file is called ``file``."""
    return (file.removesuffix(_SUFFIX)).replace("-", "/")


def header(level: str, process: str) -> str:
    """Return the first line of what ``process`` writes."""
    return f"{NAME}\t{VERSION}\t{level}\t{process}\n"


def line(step: int, kind: str, where: str, name: str, shape: str, digest: str) -> str:
    """Return the line of one event, given by its fields: no object for each of millions."""
    if "\t" in name or "\n" in name:
        name = name.translate(_ESCAPES)
    return f"{step}\t{kind}\t{where}\t{name}\t{shape}\t{digest}\n"


def parse(text: str) -> Event | None:
    """Return the event of a line without its end; None for a header. Raises ValueError for others."""
    fields = text.split("\t")
    if fields[0] == NAME:
        if fields[1:2] != [str(VERSION)]:
            raise ValueError(f"trace format {' '.join(fields[1:2])}")
        return None
    if len(fields) != _FIELDS or fields[1] not in KINDS:
        raise ValueError(text[:80])
    step, kind, where, name, shape, digest = fields
    return Event(int(step), kind, where, name, shape, digest)
