"""The lock parser holds its promises on a kept corpus and on thousands of mutations of it."""

import sys
from collections.abc import Callable
from copy import deepcopy
from datetime import date, time, timezone
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.lock_parser import one_input

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CORPUS = Path(__file__).parent / "corpus/lock"
GOLDEN = Path(__file__).parents[1] / "lock/golden/pylock.envlock.toml"
SEEDS = (GOLDEN.read_bytes(), (CORPUS / "small.toml").read_bytes())
_TEXT = st.characters(exclude_categories=["Cs"])
_PIECES = (
    b"\0",
    b"\x1b[2J",
    b"\r",
    b"\xff",
    b"[[packages]]",
    b"[tool.envlock]",
    b"nan",
    b"..",
    b'"',
    b"0x" + b"f" * 99,
)
_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.text(_TEXT, max_size=20),
        st.integers(-(2**70), 2**70),
        st.floats(),
        st.booleans(),
        st.dates(),
        st.datetimes(timezones=st.none() | st.just(timezone.utc)),
        st.sampled_from(
            [
                "",
                "..",
                "../x",
                "/x",
                "sha256:",
                "a\x1b[31m",
                "1.0 ",
                "https://[",
                "0" * 64,
                date.min,
                time.min,
            ]
        ),
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(_TEXT, max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def mutated_text(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.integers(0, 5)):
            case 0:
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case 1:
                del data[at : at + draw(st.integers(1, 200))]
            case 2:
                data[at:at] = draw(st.sampled_from(_PIECES))
            case 3:
                data[at:at] = draw(st.text(_TEXT, max_size=8)).encode()
            case 4:
                data[at:at] = data[draw(st.integers(0, len(data))) :][: draw(st.integers(1, 400))]
            case _:
                del data[at:]
    return bytes(data)


@st.composite
def mutated_values(draw: st.DrawFn) -> bytes:
    """A lock that is TOML, and of which a value or two are something else, are missing or stand twice."""
    document = tomllib.loads(draw(st.sampled_from(SEEDS)).decode())
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(document))
        holder, key = draw(st.sampled_from(places))
        match draw(st.integers(0, 3)):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, list):
                holder.append(holder[key])
            case 2:
                other, at = draw(st.sampled_from(places))
                # A copy: a table that contained itself would be no TOML.
                holder[key] = deepcopy(other[at]) if at in _keys(other) else 1
            case _:
                holder[key] = draw(_VALUES)
    return tomli_w.dumps(document).encode()


def _keys(holder: Any) -> Any:
    return holder if isinstance(holder, dict) else range(len(holder))


def _places(value: Any) -> Any:
    for key in _keys(value):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from _places(value[key])


@pytest.mark.parametrize("seed", SEEDS)
def test_the_seeds_are_locks(seed: bytes) -> None:
    assert one_input(seed)


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_what_was_once_found_stays_handled(path: Path) -> None:
    one_input(path.read_bytes())


@pytest.mark.parametrize("make", [mutated_text, mutated_values])
def test_a_mutated_lock_is_refused_with_a_printable_reason_or_is_a_lock(
    make: Callable[[], st.SearchStrategy[bytes]],
) -> None:
    @settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
    @given(make())
    def holds(data: bytes) -> None:
        one_input(data)

    holds()
