"""Layers come out the same, and are refused the same, with zlib-ng and without it."""

import subprocess
import sys

SCRIPT = """
import gzip, io, sys
if sys.argv[1] == "without":
    sys.modules["zlib_ng"] = None
from envlock.core import inflating
from envlock.oci.inflation import inflated
from envlock.runtime.errors import InputError

text = bytes(range(256)) * 4000
one, small = gzip.compress(text, mtime=0), gzip.compress(b"small", mtime=0)
damaged = bytearray(one)
damaged[len(one) // 2] ^= 255
other_crc = bytearray(one)
other_crc[-5] ^= 1
cases = {
    "one": one,
    "members": small * 3000 + one + small,
    "empty member": gzip.compress(b"", mtime=0) + small,
    "named": gzip.compress(b"x", mtime=0)[:3] + b"\\x08" + gzip.compress(b"x", mtime=0)[4:10] + b"name\\0"
    + gzip.compress(b"x", mtime=0)[10:],
    "padded": one + bytes(70_000),
    "plain": text,
    "nothing": b"",
    "cut in a stream": one[: len(one) // 2],
    "cut in a header": small + small[:5],
    "cut in a trailer": one[:-3],
    "something behind": one + b"x",
    "damaged": bytes(damaged),
    "another CRC": bytes(other_crc),
}
print(inflating.crc32.__module__, file=sys.stderr)
for name, data in cases.items():
    stream, found = inflated(io.BytesIO(data), "w"), b""
    try:
        while piece := stream.read(100_000):
            found += piece
    except InputError as error:
        print(name, "refused", str(error).split(", found")[0])
    else:
        print(name, len(found), hash(found))
"""


def told(library: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, library],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "0"},
    )
    return done.stdout, done.stderr.strip()


def test_what_inflates_decides_nothing() -> None:
    found, library = told("with")
    again, other = told("without")
    assert found == again
    assert other == "zlib"
    assert library in ("zlib", "zlib_ng.zlib_ng")
    refused = [line.split(" refused")[0] for line in found.splitlines() if "refused" in line]
    assert refused == [
        "cut in a stream",
        "cut in a header",
        "cut in a trailer",
        "something behind",
        "damaged",
        "another CRC",
    ]
