"""Seeds, version 1: the vectors of docs/runtime.md, and who shares a seed with whom."""

import hashlib
import hmac
import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envlock.runtime import seeds
from envlock.runtime.errors import InputError
from envlock.runtime.manifest import Manifest, SeedingPolicy
from envlock.runtime.seeds import Seeding
from tests.runtime.simulated_frameworks import simulated

VECTORS = [
    (42, (), 1683570371, 7230879687354897425, 0x64593EC3CA6054119B44A577B9E3D5A4),
    (42, ("numpy",), 176021532, 756006723723360482, 0xA7DE01C175678E22D0B5AF5EB46005C),
    (0, ("torch",), 1813269891, 7787934884014889575, 0x6C144D83C7949A6706E1D3F82E2D2A6E),
    (
        18446744073709551617,
        ("données", "rank/3"),
        1687577859,
        7248091715259403014,
        0x64966503537D0B06FAFEA8901F345769,
    ),
    (
        42,
        ("demo", "trial/0", "torch", "rank/0"),
        235229003,
        1010300878742557109,
        0xE054F4BE1B711B56C6F8CA5E318635E,
    ),
]


@pytest.mark.parametrize(("master", "path", "bits32", "bits64", "bits128"), VECTORS)
def test_published_vectors(
    master: int, path: tuple[str, ...], bits32: int, bits64: int, bits128: int
) -> None:
    found = tuple(seeds.derive(master, path, bits) for bits in (32, 64, 128))
    assert found == (bits32, bits64, bits128)


@given(master=st.integers(min_value=0), path=st.lists(st.sampled_from(["a", "données", "x" * 100])))
def test_the_tree_is_hmac_sha_256_of_the_standard_library(master: int, path: list[str]) -> None:
    key = hmac.digest(b"envlock.seed.v1", str(master).encode(), "sha256")
    for name in path:
        key = hmac.digest(key, b"child:" + name.encode(), "sha256")
    expected = int.from_bytes(hmac.digest(key, b"seed", hashlib.sha256), "big")
    assert seeds.derive(master, path, 256) == expected


def test_a_master_seed_may_have_more_digits_than_python_converts() -> None:
    assert seeds.derive(10**5000, (), 64) != seeds.derive(10**5000 + 1, (), 64)


@pytest.mark.parametrize("name", ["", "/a", "a/", 3, "\ud800"])
def test_names_that_can_be_no_element_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="not a stream's name"):
        seeds.derive(1, (name,), 32)


@pytest.mark.parametrize("bits", [0, 7, 33, 264])
def test_widths_are_whole_bytes_up_to_the_hash(bits: int) -> None:
    with pytest.raises(InputError, match="width"):
        seeds.derive(1, (), bits)


@pytest.mark.parametrize("master", [-1, True, 1.5])
def test_a_master_seed_is_a_natural_number(master: int) -> None:
    with pytest.raises(InputError, match="master seed"):
        seeds.derive(master, (), 32)


def test_paths_name_experiment_trial_stream_rank_and_process() -> None:
    seeding = Seeding(master=1, experiment="demo", trial=3, rank=2, world=4, process=("proc/0", "proc/5"))
    assert seeding.path_for("torch") == ("demo", "trial/3", "torch", "rank/2", "proc/0", "proc/5")
    assert seeding.path_for("numpy", ("gen/1",))[-1] == "gen/1"
    assert seeding.path_for("python.hash") == ("demo", "trial/3", "python.hash")
    assert seeding.path_for("data.split") == ("demo", "trial/3", "data.split")
    assert seeding.path_for("augment", per_rank=True)[3:] == ("rank/2", "proc/0", "proc/5")


def test_shared_ranks_differ_in_their_processes_only() -> None:
    one, other = (Seeding(master=1, ranks="shared", rank=rank, world=2) for rank in (0, 1))
    assert one.seed_for("torch", 64) == other.seed_for("torch", 64)
    worker = one.replace(process=("proc/0",))
    assert worker.seed_for("torch", 64) != one.seed_for("torch", 64)
    assert one.seed_for("augment", 64, per_rank=True) != other.seed_for("augment", 64, per_rank=True)


def test_the_vector_of_the_table_is_what_a_run_gets() -> None:
    seeding = Seeding(master=42, experiment="demo")
    assert seeding.seed_for("torch", 64) == 1010300878742557109


def test_uniform_gives_every_library_the_master_seed() -> None:
    seeding = Seeding(master=2**32 + 42, scheme="uniform", rank=3, world=8)
    assert seeding.seed_for("numpy", 32) == 45
    assert seeding.seed_for("torch", 64) == 2**32 + 45
    assert seeding.seed_for("python.hash", 32) == 42
    assert seeding.replace(ranks="shared").seed_for("numpy", 32) == 42


def test_uniform_processes_and_own_streams_come_from_the_tree() -> None:
    seeding = Seeding(master=42, scheme="uniform")
    tree = Seeding(master=42)
    assert seeding.seed_for("data", 64) == tree.seed_for("data", 64)
    assert seeding.seed_for("numpy", 128, ("gen/0",)) == tree.seed_for("numpy", 128, ("gen/0",))
    worker = ("proc/0",)
    assert seeding.replace(process=worker).seed_for("torch", 64) != 42
    with pytest.raises(InputError):
        seeding.replace(master=-1).seed_for("torch", 64)


def test_no_two_of_many_places_share_a_seed() -> None:
    found = {
        Seeding(master=42, experiment=experiment, trial=trial, rank=rank, process=process).seed_for(
            stream, 64
        )
        for experiment in ("a", "b")
        for trial in range(5)
        for rank in range(5)
        for process in ((), ("proc/0",), ("proc/1",), ("proc/0", "proc/0"))
        for stream in ("numpy", "torch", "jax")
    }
    assert len(found) == 2 * 5 * 5 * 4 * 3


def test_the_table_has_a_row_for_each_stream_and_rank() -> None:
    rows = seeds.table(Manifest(seed=42, experiment="demo"), 2)
    assert rows[0][:3] == ("python.hash", 32, "demo/trial/0/python.hash")
    assert ("torch", 64, "demo/trial/0/torch/rank/0", 1010300878742557109) in rows
    assert len(rows) == 1 + 2 * 10
    shared = seeds.table(Manifest(seed=42, seeding=SeedingPolicy(ranks="shared")), 4)
    assert len(shared) == 11
    with pytest.raises(InputError, match="no seed"):
        seeds.table(Manifest(), 1)


def test_uniform_rows_of_one_path_differ_by_rank() -> None:
    policy = SeedingPolicy(scheme="uniform")
    rows = seeds.table(Manifest(seed=42, seeding=policy), 2)
    assert [value for stream, _, _, value in rows if stream == "torch"] == [42, 43]


def test_own_streams_outside_a_run_need_a_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENVLOCK_SEED", raising=False)
    with pytest.raises(InputError, match="ENVLOCK_SEED") as caught:
        seeds.seed("data")
    assert "envlock run" in str(caught.value.hint)


def test_own_streams_with_a_seed_set_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVLOCK_SEED", "42")
    monkeypatch.setenv("ENVLOCK_EXPERIMENT", "demo")
    assert seeds.seed("torch") == 1010300878742557109
    expected = seeds.derive(42, ("demo", "trial/0", "data"), 128)
    assert seeds.seed("data", 128) == expected
    assert seeds.generator("data").bit_generator.seed_seq.entropy == expected  # type: ignore[attr-defined]
    assert "ENVLOCK_PROC" not in os.environ


def test_a_jax_key_holds_all_64_bits_of_its_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVLOCK_SEED", "42")
    jax, jax.numpy = simulated("jax"), simulated("jax.numpy")
    monkeypatch.setitem(sys.modules, "jax", jax)
    high, low = divmod(seeds.seed("dropout", 64), 2**32)
    key = seeds.jax_key("dropout")
    assert high
    array = f"jax.numpy.array([{high}, {low}], 'uint32')"
    assert repr(key) == f"jax.random.wrap_key_data({array}, impl='threefry2x32')"
