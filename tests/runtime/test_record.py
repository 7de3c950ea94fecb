"""Run records: stable bytes, whole or not at all, without secrets."""

import json
from pathlib import Path

import pytest

from envlock.runtime import masking, record
from envlock.runtime.errors import InputError
from envlock.runtime.hostfacts import GpuDevice
from envlock.runtime.image import Gap
from envlock.runtime.manifest import Manifest, Output
from envlock.runtime.rank import Rank
from envlock.runtime.record import (
    FileHash,
    KeptSwitch,
    RunRecord,
)
from envlock.runtime.told import HandedSeed, NondeterministicOperation, Reseeding, Split
from tests.runtime.conftest import HOST

RECORD = RunRecord(
    run="0123456789abcdef" * 2,
    state="finished",
    manifest=Manifest(
        experiment="demo/é",
        seed=2**80,
        command=("python", "train.py"),
        outputs=(Output("out/m.npz", "tensors"),),
        env=(("WANDB_MODE", "offline"),),
    ),
    rank=Rank(1, 2, 0, "torchrun"),
    environment_id="sha256:" + "a" * 64,
    lock_sha256="b" * 64,
    runtime="sha256:" + "c" * 64,
    host=HOST.replace(driver="580.1", gpus=(GpuDevice("NVIDIA H200", "9.0"),)),
    started="2026-11-22T06:00:00.000000Z",
    image_config="sha256:" + "d" * 64,
    code_commit="e" * 40,
    ended="2026-11-22T06:00:01.000000Z",
    exit_status=0,
    grade="compatible",
    reasons=("another CPU",),
    seeds=(HandedSeed("rank/1", "numpy/gen/0", 2**127),),
    inputs=(FileHash("data.csv", "f" * 64, 3),),
    outputs=(FileHash("out/m.npz", None, None, "tensors"),),
    switches=(("OMP_NUM_THREADS", "2"),),
    kept=(KeptSwitch("MKL_DYNAMIC", "TRUE", "FALSE"),),
    nondeterministic=(NondeterministicOperation("put_", "/work/train.py:3"),),
    reseedings=(Reseeding("rank/1", "random.seed", "7", "train", "/work/train.py:1"),),
    splits=(Split("data.split", 2**100, (80, 20), "e" * 64),),
    gaps=(Gap("torch", "is not on any index"),),
)


def test_a_record_survives_its_bytes() -> None:
    assert record.parse(record.to_json(RECORD), "r.json") == RECORD


def test_equal_records_are_equal_bytes_with_sorted_keys() -> None:
    data = record.to_json(RECORD)
    document = json.loads(data)
    assert data == record.to_json(record.parse(data, "r.json"))
    assert data.decode() == json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert document["seed"] == str(2**80)


def test_fields_of_later_envlocks_are_ignored() -> None:
    document = {**json.loads(record.to_json(RECORD)), "later": 1}
    assert record.parse(json.dumps(document).encode(), "r.json") == RECORD


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"envlock-record": 2}, "unknown version: r.json: envlock-record"),
        ({"run": None}, "r.json: run"),
        ({"state": "odd"}, "r.json: state: expected running | finished"),
        ({"state": 1}, "r.json: state: expected text"),
        ({"exit-status": "0"}, "r.json: exit-status"),
        ({"manifest": None}, "r.json: manifest: expected a mapping"),
        ({"seeds": [{"process": "rank/0", "stream": "numpy", "value": "x"}]}, "r.json: seeds[0].value"),
        ({"outputs": [{"path": "a", "size": "1"}]}, "r.json: outputs[0].size"),
        ({"preflight": {"grade": "odd"}}, "r.json: preflight.grade"),
        ({"preflight": {"grade": "same", "reasons": [1]}}, "r.json: preflight.reasons[0]"),
    ],
)
def test_faults_name_the_field(change: dict[str, object], message: str) -> None:
    document = {**json.loads(record.to_json(RECORD)), **change}
    with pytest.raises(InputError) as caught:
        record.parse(json.dumps(document).encode(), "r.json")
    assert message in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b"envlock-record: 1", record.to_json(RECORD)[:-20]])
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match=r"r\.json"):
        record.parse(data, "r.json")


def test_the_file_name_tells_experiment_trial_and_run() -> None:
    assert record.file_name(RECORD) == "demo__-0-0123456789ab.json"


def test_a_record_replaces_the_one_before_and_leaves_no_part(tmp_path: Path) -> None:
    path = tmp_path / "new" / "r.json"
    record.write(str(path), RECORD.replace(state="running"), durable=False)
    record.write(str(path), RECORD)
    assert record.parse(path.read_bytes(), "r.json") == RECORD
    assert [found.name for found in path.parent.iterdir()] == ["r.json"]


def test_a_record_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "r.json").mkdir()
    with pytest.raises(OSError, match="directory"):
        record.write(str(tmp_path / "r.json"), RECORD)
    assert [found.name for found in tmp_path.iterdir()] == ["r.json"]


def test_secrets_never_reach_the_bytes() -> None:
    manifest = Manifest(
        command=(
            "train",
            "--api-key",
            "hunter2",
            "--token=hunter2",
            "PASSWORD=hunter2",
            "--n",
            "3",
            "http://a/?n=1&sig=hunter2#x",
        ),
        env=(
            ("HF_TOKEN", "hunter2"),
            ("INDEX", "https://me:hunter2@index.example/x?token=hunter2"),
            ("MODE", "off"),
        ),
    )
    data = record.to_json(RECORD.replace(manifest=manifest)).decode()
    assert "hunter2" not in data
    shown = record.without_secrets(manifest)
    assert shown.command == (
        "train",
        "--api-key",
        "***",
        "--token=***",
        "PASSWORD=***",
        "--n",
        "3",
        "http://a/?n=1&sig=***#x",
    )
    assert dict(shown.env) == {
        "HF_TOKEN": "***",
        "INDEX": "https://***@index.example/x?token=***",
        "MODE": "off",
    }


def test_ordinary_words_are_left_alone() -> None:
    words = ("python", "-c", "print('a=b')", "--lr=3", "https://index.example/a@b", "--token", "--next")
    assert masking.command(words) == words
    assert not masking.looks_secret("WANDB_MODE")


@pytest.mark.parametrize(
    "name",
    [
        *("HF_TOKEN", "Client-Secret", "PASSWD", "OLDPWD", "--credentials", "PRIVATE", "X_AUTH", "apikey"),
        *("API_KEY", "api-key", "ACCESSKEY", "AWS_ACCESS_KEY_ID", "Cookie", "signature", "SENTRY_DSN"),
    ],
)
def test_a_name_with_a_word_for_a_secret_is_masked(name: str) -> None:
    assert masking.value(name, "hunter2") == masking.MASK
