"""The RECORD in a wheel: what zipfile reads, in fewer steps."""

import io
import random
import zipfile
import zlib

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from envlock.wheels import packed_record
from envlock.wheels.record import parse
from envlock.wheels.remote import RemoteFile, tail_of
from tests.wheels.conftest import Environment, IndexSimulator, wheel

NAME = "demo-1.0.dist-info/RECORD"
RECORD = b"".join(b"demo/module_%d.py,sha256=%043d,7\n" % (n, n) for n in range(500))


def archive(*members: tuple[str | zipfile.ZipInfo, bytes], comment: bytes = b"") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
        made.comment = comment
        for name, data in members:
            made.writestr(name, data)
    return packed.getvalue()


def described(method: int = zipfile.ZIP_DEFLATED, extra: bytes = b"") -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(NAME)
    made.compress_type, made.extra = method, extra
    return made


def streamed() -> bytes:
    """A wheel whose local headers carry no sizes, as from a writer that can't go back."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    packed = Pipe()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("demo/__init__.py", b"x")
        made.writestr(NAME, RECORD)
    return packed.getvalue()


@pytest.mark.parametrize(
    "packed",
    [
        archive(("demo/__init__.py", b"x = 1\n"), (NAME, RECORD)),
        archive((NAME, RECORD), ("demo/__init__.py", b"x = 1\n")),
        archive(("démo/ü.py", b""), (described(zipfile.ZIP_STORED), RECORD)),
        archive((described(extra=b"UT\x05\x00\x03" + bytes(4)), RECORD)),
        streamed(),
        # What is left to zipfile.
        archive((NAME, RECORD), comment=b"signed"),
        archive((described(zipfile.ZIP_BZIP2), RECORD)),
        b"#!/usr/bin/env python3\n" + archive((NAME, RECORD)),
    ],
)
def test_any_wheel_s_record_is_what_was_packed(packed: bytes) -> None:
    assert packed_record.read(io.BytesIO(packed)) == RECORD


def test_a_list_too_long_for_plain_fields_is_read() -> None:
    packed = archive(*((f"demo/{n}", b"") for n in range(0x10000)), (NAME, RECORD))
    assert packed_record.read(io.BytesIO(packed)) == RECORD


@pytest.mark.parametrize("at", [0, 40, 200])
def test_a_record_with_other_bytes_than_its_checksum_says_is_refused(at: int) -> None:
    packed = bytearray(archive((described(zipfile.ZIP_STORED), RECORD)))
    packed[packed.index(RECORD) + at] ^= 1
    with pytest.raises(zipfile.BadZipFile, match="CRC"):
        packed_record.read(io.BytesIO(bytes(packed)))


@given(st.integers(0, 2000), st.binary(min_size=1, max_size=8))
def test_a_damaged_wheel_is_read_as_zipfile_does_or_refused(at: int, put: bytes) -> None:
    whole = archive(("demo/__init__.py", b"x"), (NAME, RECORD[:999]))
    at %= len(whole)
    packed = whole[:at] + put + whole[at + len(put) :]
    try:
        found = packed_record.read(io.BytesIO(packed))
    except (zipfile.BadZipFile, zlib.error, ValueError, RuntimeError, EOFError, KeyError, OSError):
        return
    assert found == RECORD[:999]


def test_one_request_tells_what_is_in_a_wheel(
    index: IndexSimulator, client: requests.Session, environment: Environment
) -> None:
    files = {f"demo/package_{n}/module_{n}.py": b"%d" % n for n in range(2000)}
    name, data = wheel("demo", "1.0", files | {"demo/data.bin": random.Random(0).randbytes(1 << 20)})
    installed = environment.install((name, data))
    index.files["/x"] = data
    found = packed_record.read(RemoteFile(client, f"{index.url}/x", tail_of(installed.record)))
    assert len(parse(found)) == 2004
    assert len(index.requests) == 1
