"""What compresses at capture: the captured interpreter's own zlib, so that no other decides any digest.

Rules kept here (docs/adr/0030):

* The table of contents of a base's layer holds offsets in the compressed blob, so the compressor decides
  diff IDs. That of the captured files is a fact of the environment; that of the Python which runs envlock
  is none.
* As many processes of the interpreter answer as there are threads that ask.
* Where the interpreter does not run here, nothing but runs of zeros is compressed.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from struct import pack
from typing import Final

from envlock.core.inflating import crc32
from envlock.host.conversation import Conversation
from envlock.image.interpreter import ENVIRONMENT, Interpreter
from envlock.oci.deflate import MEMBER_HEADER, header_member, member_trailer

LEVEL: Final = 5
"""Of a base, level 6 makes 0.6 % less and takes half as long again (bench/NOTES.md)."""

_WORKER: Final = Path(__file__).with_name("deflate_worker.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """A way to make gzip members, for any number of threads. ``name``: two of one name make the same."""

    name: str
    member: Callable[[bytes], bytes]


STORED: Final = Packing(name="stored", member=header_member)
"""Depends on nothing."""


@contextmanager
def packing(interpreter: Interpreter) -> Iterator[Packing]:
    """Yield the packing of ``interpreter``. Raises UnreachableError when it does not run here."""
    argv = (*interpreter.argv, "-s", "-S", "-B", "-W", "ignore", str(_WORKER), str(interpreter.root))
    begun: list[Conversation] = []
    idle: SimpleQueue[Conversation] = SimpleQueue()

    def begin() -> tuple[Conversation, str]:
        conversation = Conversation(argv, env=ENVIRONMENT)
        begun.append(conversation)
        return conversation, conversation.ask(b"").decode()

    def member(data: bytes) -> bytes:
        try:
            conversation = idle.get_nowait()
        except Empty:
            conversation, _ = begin()
        packed = conversation.ask(pack("<BBI", LEVEL, True, 0) + data)
        idle.put(conversation)
        return b"".join((MEMBER_HEADER, packed, member_trailer(crc32(data), len(data))))

    try:
        first, name = begin()
        idle.put(first)
        yield Packing(name=f"{name} {LEVEL}", member=member)
    finally:
        for conversation in begun:
            conversation.close()
