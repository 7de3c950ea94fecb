"""Where a run's outputs are found: around its record, or where the user says; only with the recorded hash."""

import hashlib
from pathlib import Path

import pytest

from envlock.replay.contents.places import find
from envlock.runtime.record import FileHash

DATA = b"result"


def output(path: str) -> FileHash:
    return FileHash(path, hashlib.sha256(DATA).hexdigest(), len(DATA))


def write(place: Path, data: bytes = DATA) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return place


@pytest.mark.parametrize(
    ("record", "path", "place"),
    [
        ("out/records/exp-0-1.json", "out/model.npz", "out/model.npz"),
        ("out/records/exp-0-1.json", "/out/deep/model.npz", "out/deep/model.npz"),
        ("out/records/exp-0-1.json", "model.npz", "model.npz"),
        ("out/replays/exp/records/exp-0-2.json", "out/model.npz", "out/replays/exp/model.npz"),
        ("out/replays/exp/records/exp-0-2.json", "model.npz", "out/replays/exp/work/model.npz"),
        ("first.json", "out/model.npz", "out/model.npz"),
        ("first.json", "out/model.npz", "first/model.npz"),
        ("first.json", "out/model.npz", "model.npz"),
        ("first.json", "out/model.npz", "another/model.npz"),
        ("first.json", "/work/model.npz", "model.npz"),
    ],
)
def test_an_output_is_found_around_its_record(tmp_path: Path, record: str, path: str, place: str) -> None:
    written = write(tmp_path / place)
    assert find(output(path), tmp_path / record, None) == written


def test_only_the_recorded_bytes_are_the_file(tmp_path: Path) -> None:
    write(tmp_path / "out" / "model.npz", b"RESULT")
    assert find(output("out/model.npz"), tmp_path / "first.json", None) is None
    right = write(tmp_path / "first" / "model.npz")
    assert find(output("out/model.npz"), tmp_path / "first.json", None) == right


def test_a_named_directory_is_the_only_place(tmp_path: Path) -> None:
    write(tmp_path / "out" / "model.npz")
    named = tmp_path / "elsewhere"
    assert find(output("out/model.npz"), tmp_path / "first.json", named) is None
    assert find(output("out/model.npz"), tmp_path / "first.json", tmp_path / "out") is not None
    kept = write(named / "model.npz")
    assert find(output("out/model.npz"), tmp_path / "first.json", named) == kept
