"""Deflates for a capture. Runs under the captured interpreter, standard library only.

Rules kept here:

* What comes out depends on the request and on the captured zlib alone, so not on the Python that runs
  envlock.
* A rewritten zlib (zlib-ng, by its version's name) may search otherwise on another CPU: there only runs
  of one byte are searched for.

Argument: the root that the interpreter is of. Standard input: requests, each of four bytes of length
(little endian, as all numbers here), then level, one byte; is it the end of the stream, one byte; the
length of what came before it, four bytes; that; and the bytes. Standard output: for each a length of
four bytes and a part of a deflate stream (RFC 1951). The first request is empty: its answer is the name
of what compresses.
"""

import sys

# The directory of this file holds modules of envlock: none of them may stand in for the library's.
if __name__ == "__main__":
    del sys.path[0]

import signal
import struct
import zlib

_LENGTH = struct.Struct("<I")
_REQUEST = struct.Struct("<BBI")


def main() -> None:
    """Answer until the input ends."""
    # Ctrl-C reaches everyone at the terminal: the end of the input follows.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    length = requests.read(_LENGTH.size)
    while length:
        request = requests.read(*_LENGTH.unpack(length))
        answer = deflated(request) if request else named(sys.argv[1]).encode()
        answers.write(_LENGTH.pack(len(answer)))
        answers.write(answer)
        answers.flush()
        length = requests.read(_LENGTH.size)


def deflated(request: bytes) -> bytes:
    """Return the part of a stream that ``request`` asks for."""
    level, last, before = _REQUEST.unpack_from(request)
    start = _REQUEST.size + before
    state = zlib.compressobj(
        level,
        zlib.DEFLATED,
        -zlib.MAX_WBITS,
        strategy=strategy(zlib.ZLIB_RUNTIME_VERSION),
        zdict=request[_REQUEST.size : start],
    )
    return state.compress(request[start:]) + state.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)


def strategy(version: str) -> int:
    """Return how the zlib of this ``version`` may search."""
    return zlib.Z_DEFAULT_STRATEGY if version.replace(".", "").isdigit() else zlib.Z_RLE


def named(root: str) -> str:
    """Return the name of what compresses. Ends the process where it is none of ``root``."""
    with open("/proc/self/maps", "rb") as maps:
        places = {line.split(None, 5)[-1].strip().decode("utf-8", "surrogateescape") for line in maps}
    foreign = sorted(
        place
        for place in places
        if place.rpartition("/")[2].startswith("libz.") and not place.startswith(root.rstrip("/") + "/")
    )
    if foreign:
        sys.exit("used outside of the image: {}".format(", ".join(foreign)))
    return f"zlib {zlib.ZLIB_RUNTIME_VERSION}"


if __name__ == "__main__":
    main()
