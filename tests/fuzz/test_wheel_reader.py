"""The wheel reader holds its promises on a kept corpus and on thousands of mutations of it."""

import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.wheel_reader import one_input
from tests.image.wheels import changed, make_zip, wheel_items

CORPUS = Path(__file__).parent / "corpus/wheels"
PLAIN = make_zip(
    wheel_items(
        files={"demo/__init__.py": b"x = 1\n", "demo-1.0.data/scripts/run": b"#!python\nprint()\n"},
        entry_points="[console_scripts]\ndemo = demo:main\n",
    )
)
STORED = make_zip(wheel_items(stored=("demo/__init__.py",)))
DEFLATED = make_zip(
    changed(
        wheel_items(files={"demo/__init__.py": b"abc" * 100}),
        "demo/__init__.py",
        body=zlib.compress(b"abc" * 100)[2:-4],  # without zlib's own frame
    )
)
SEEDS = (PLAIN, STORED, DEFLATED)
# Values that sit at the edges of a zip's fields.
_EDGES = (0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
_SIGNATURES = (b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\7\x08")


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        match draw(st.integers(0, 6)):
            case 0:
                data[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case 1:
                del data[at : at + draw(st.integers(1, 64))]
            case 2:
                data[at:at] = draw(st.binary(max_size=32))
            case 3:
                data[at : at + 4] = struct.pack("<L", draw(st.sampled_from(_EDGES)))
            case 4:
                data[at : at + 2] = struct.pack("<H", draw(st.sampled_from(_EDGES)) & 0xFFFF)
            case 5:
                other = draw(st.sampled_from(SEEDS))
                data[at:] = other[draw(st.integers(0, len(other))) :]
            case _:
                data[at : at + 4] = draw(st.sampled_from(_SIGNATURES))
    return bytes(data)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_seeds_are_wheels(seed: bytes) -> None:
    assert one_input(seed)


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_what_was_once_found_stays_handled(path: Path) -> None:
    one_input(path.read_bytes())


@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
@given(mutated())
def test_a_mutated_wheel_is_refused_or_installed_safely(data: bytes) -> None:
    one_input(data)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_refused_with_a_reason(data: bytes) -> None:
    assert not one_input(data)
