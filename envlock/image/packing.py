"""What compresses at capture: the captured interpreter's own zlib, so that no other decides any digest.

A base's layers and repacked wheels are compressed so.

Rules kept here (docs/adr/0030):

* The table of contents of a base's layer holds offsets in the compressed blob, so the compressor decides
  diff IDs. That of the captured files is a fact of the environment; that of the Python which runs envlock
  is none.
* As many processes of the interpreter answer as there are threads that ask.
* Where the interpreter does not run here, nothing of a base but runs of zeros is compressed, and wheels
  are by the Python that runs envlock.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from struct import pack
from typing import Final

from envlock.core.inflating import crc32
from envlock.host.conversation import Conversation
from envlock.image import interpreter
from envlock.image.interpreter import ENVIRONMENT, Interpreter
from envlock.lock.environment import HostFiles
from envlock.lock.model import Python
from envlock.oci.deflate import MEMBER_HEADER, header_member, member_trailer
from envlock.runtime.errors import InputError, UnreachableError
from envlock.wheels.archive import LEVEL as WHEELS
from envlock.wheels.archive import OWN, Compressor

LEVEL: Final = 5
"""Of a base, level 6 makes 0.6 % less and takes half as long again (bench/NOTES.md)."""

_WORKER: Final = Path(__file__).with_name("deflate_worker.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """A way to make gzip members, for any number of threads. ``name``: two of one name make the same."""

    name: str
    member: Callable[[bytes], bytes]
    wheels: Compressor
    """The same for repacked wheels."""


STORED: Final = Packing(name="stored", member=header_member, wheels=OWN)
"""What there is where no captured interpreter runs."""


@contextmanager
def packing_of(host: HostFiles | None, python: Python) -> Iterator[Packing]:
    """Yield the packing of the interpreter of ``host``, STORED where there is none that runs here."""
    packs = STORED
    with ExitStack() as stack:
        with suppress(InputError, UnreachableError):
            if host is not None:
                packs = stack.enter_context(packing(interpreter.found(host.root, python, _captured(host))))
        yield packs


def _captured(host: HostFiles) -> str:
    """Return where the interpreter lies that the image will have elsewhere."""
    tree = host.interpreter
    if tree is None:
        return host.python_executable
    return f"{tree.prefix}{host.python_executable.removeprefix(tree.target)}"


@contextmanager
def packing(found: Interpreter) -> Iterator[Packing]:
    """Yield the packing of an interpreter. Raises UnreachableError when it does not run here."""
    argv = (*found.argv, "-s", "-S", "-B", "-W", "ignore", str(_WORKER), str(found.root))
    begun: list[Conversation] = []
    idle: SimpleQueue[Conversation] = SimpleQueue()

    def begin() -> tuple[Conversation, str]:
        conversation = Conversation(argv, env=ENVIRONMENT)
        begun.append(conversation)
        return conversation, conversation.ask(b"").decode()

    def deflated(level: int, data: bytes, before: bytes, last: bool) -> bytes:  # noqa: FBT001  # Compressor's
        try:
            conversation = idle.get_nowait()
        except Empty:
            conversation, _ = begin()
        request = b"".join((pack("<BBI", level, last, len(before)), before, data))
        packed = conversation.ask(request)
        idle.put(conversation)
        return packed

    def member(data: bytes) -> bytes:
        packed = deflated(LEVEL, data, b"", last=True)
        return b"".join((MEMBER_HEADER, packed, member_trailer(crc32(data), len(data))))

    try:
        first, name = begin()
        idle.put(first)
        wheels = Compressor(name=f"captured {name} {WHEELS}", deflate=partial(deflated, WHEELS))
        yield Packing(name=f"{name} {LEVEL}", member=member, wheels=wheels)
    finally:
        for conversation in begun:
            conversation.close()
