"""Fuzz target of the wheel reader: any bytes are either a wheel, installed safely, or refused with a reason.

By hand, where atheris is installed: ``python -m tests.fuzz.wheel_reader tests/fuzz/corpus/wheels``.
CI runs the same :func:`one_input` over the kept corpus and over mutations of it (test_wheel_reader.py).
"""

import sys
import zlib

from envlock.image.install import install
from envlock.image.wheel import WheelReader, read_contents
from envlock.image.zip_archive import claimed_names
from envlock.runtime.errors import InputError, IntegrityError

NAME = "demo-1.0-py3-none-any.whl"
_PLACES = ("/opt/env/",)


def one_input(data: bytes) -> bool:
    """Return whether ``data`` is accepted as a wheel. Raises AssertionError where a promise is broken."""

    def read(offset: int, length: int) -> bytes:
        return data[offset : offset + length]

    guessed = set(claimed_names(read, len(data)))
    try:
        reader = WheelReader(read, len(data), NAME)
        installed = install(read_contents(reader), minor="3.11")
        for file in installed:
            content = file.source if isinstance(file.source, bytes) else reader.content(file.source)
            assert len(content) == file.size, f"{file.path}: {len(content)} bytes, {file.size} promised"
            assert file.mode in (0o644, 0o755), f"{file.path}: mode {file.mode:o}"
    except (InputError, IntegrityError):
        return False
    paths = [file.path.text for file in installed]
    assert len(set(paths)) == len(paths), "a path is installed once"
    for path in paths:
        assert path.startswith(_PLACES), f"{path} lies outside of the environment"
        assert ".." not in path.split("/"), path
    # A name outside of ASCII is guessed as UTF-8, which it need not be.
    assert {name for name in reader.members if name.isascii()} <= guessed
    for member in reader.members.values():
        assert zlib.crc32(b"".join(reader.pieces(member.name))) == member.crc
    return True


if __name__ == "__main__":
    import atheris  # has wheels for some Pythons only

    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
