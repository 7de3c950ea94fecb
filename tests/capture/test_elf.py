import os
from collections.abc import Callable
from pathlib import Path

import pytest

from envlock.capture import elf


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("order", ["<", ">"])
def test_dynamic_section_is_read_for_each_class_and_byte_order(
    make_elf: Callable[..., bytes], bits: int, order: str
) -> None:
    data = make_elf(
        needed=("libm.so.6", "libc.so.6"),
        soname="libx.so.1",
        rpath="/a:/b",
        runpath="$ORIGIN/../lib:",
        bits=bits,
        order=order,
        interpreter="/lib64/ld.so",
    )
    assert elf.parse(data) == elf.Elf(
        bits=bits,
        machine=62,
        needed=("libm.so.6", "libc.so.6"),
        soname="libx.so.1",
        rpath=("/a", "/b"),
        runpath=("$ORIGIN/../lib",),
        interpreter="/lib64/ld.so",
    )


def test_every_truncation_is_none_or_a_value_never_an_error(make_elf: Callable[..., bytes]) -> None:
    data = make_elf(needed=("libc.so.6",), soname="libx.so.1")
    for length in range(len(data)):
        elf.parse(data[:length])
    assert elf.parse(data[:60]) is None


def test_string_offset_outside_the_file_is_no_elf(make_elf: Callable[..., bytes]) -> None:
    data = bytearray(make_elf(needed=("libc.so.6",)))
    at = data.index(b"\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0", 64)
    data[at + 8 : at + 16] = (1 << 40).to_bytes(8, "little")
    assert elf.parse(bytes(data)) is None


def test_string_table_in_no_segment_gives_no_names(make_elf: Callable[..., bytes]) -> None:
    data = bytearray(make_elf(needed=("libc.so.6",)))
    data[64:68] = (6).to_bytes(4, "little")  # PT_LOAD becomes PT_PHDR
    parsed = elf.parse(bytes(data))
    assert parsed is not None
    assert parsed.needed == ()


@pytest.mark.parametrize("data", [b"", b"\x7fEL", b"#!/bin/sh\n", b"\x7fELF\x09\x01" + bytes(60)])
def test_other_files_are_none(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "file.so"
    path.write_bytes(data)
    assert elf.read(path) is None


def test_file_is_read_and_an_absent_one_is_none(tmp_path: Path, make_elf: Callable[..., bytes]) -> None:
    path = tmp_path / "libx.so"
    path.write_bytes(make_elf(soname="libx.so"))
    found = elf.read(path)
    assert found is not None
    assert found.soname == "libx.so"
    assert elf.read(tmp_path / "absent") is None


def test_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.so")
    assert elf.read(tmp_path / "pipe.so") is None
