"""Streams are independent as far as statistics can tell, and a million of them do not collide.

The seeds are fixed, so each statistic is one number for ever: a failure is a change of the derivation.
"""

import hashlib
import hmac
import math
from itertools import combinations

import numpy as np
import pytest

from envlock.runtime import seeds
from envlock.runtime.seeds import Seeding

_DERIVATIONS = 1_000_000
_DRAWS = 20_000
# Of a standard normal statistic; over 300 comparisons the largest is 3.0 or so.
_FAR = 4.5


@pytest.mark.slow
def test_none_of_a_million_derivations_collides() -> None:
    parent = seeds.Seeding(master=42).path_for("numpy")
    found = set()
    for rank in range(100):
        # The last element of the path alone, by the rule of the tree: the whole path 10^6 times is slow.
        key = _key(42, (*parent, f"rank/{rank}"))
        for ordinal in range(_DERIVATIONS // 100):
            child = _hmac(key, f"child:gen/{ordinal}".encode())
            found.add(_hmac(child, b"seed")[:16])
    assert len(found) == _DERIVATIONS
    last = (*parent, "rank/99", f"gen/{_DERIVATIONS // 100 - 1}")
    assert seeds.derive(42, last, 128).to_bytes(16, "big") in found


def test_seeds_of_near_masters_differ_in_half_their_bits() -> None:
    flips = [
        (seeds.derive(master, ("torch",), 256) ^ seeds.derive(master + 1, ("torch",), 256)).bit_count()
        for master in range(1000)
    ]
    mean = sum(flips) / len(flips)
    assert abs(mean - 128) / (8 / math.sqrt(1000)) < _FAR
    assert min(flips) > 128 - 8 * _FAR


def streams() -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    """Draws of 25 streams that lie as close as can be: one name, rank, process or trial apart."""
    made: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]] = {}
    for rank in range(3):
        for process in ((), ("proc/0",), ("proc/1",), ("proc/0", "proc/0")):
            for trial in (0, 1):
                place = Seeding(master=42, trial=trial, rank=rank, process=process)
                seed = place.seed_for("numpy", 32)
                made[f"{trial} {rank} {process}"] = np.random.RandomState(seed).standard_normal(_DRAWS)
    made["own"] = np.random.default_rng(Seeding(master=42).seed_for("data", 128)).standard_normal(_DRAWS)
    return made


def test_no_two_streams_are_correlated() -> None:
    made = streams()
    for (first, one), (second, other) in combinations(made.items(), 2):
        for lag in (0, 1):
            statistic = float(one[lag:] @ other[: _DRAWS - lag]) / math.sqrt(_DRAWS)
            assert abs(statistic) < _FAR, (first, second, lag)


def test_all_streams_together_are_uniform() -> None:
    together = np.concatenate(list(streams().values()))
    counts, _ = np.histogram(0.5 * (1 + np.vectorize(math.erf)(together / math.sqrt(2))), 100, (0, 1))
    expected = together.size / 100
    chi_squared = float(((counts - expected) ** 2 / expected).sum())
    # 99 degrees of freedom: mean 99, standard deviation 14.
    assert abs(chi_squared - 99) < _FAR * math.sqrt(2 * 99)


def _key(master: int, path: tuple[str, ...]) -> bytes:
    key = _hmac(b"envlock.seed.v1", str(master).encode())
    for name in path:
        key = _hmac(key, f"child:{name}".encode())
    return key


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, hashlib.sha256)
