"""run, replay, compare and seeds as commands, through the program's own way of ending."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from envlock.cli.main import _status
from envlock.host.store import Store
from envlock.runtime import record as records
from envlock.runtime.fingerprint.values import Fingerprint, FrameworkPrint
from envlock.runtime.image import Cpu, Gap
from envlock.runtime.manifest import Manifest
from envlock.runtime.record import FileHash
from tests.replay.conftest import HOST, record

SEEDED = "mkdir -p out; echo $PYTHONHASHSEED >out/result"
Command = Callable[..., tuple[int, str, str]]
OTHER = (FileHash("out/metrics.json", "b" * 64, 10),)


@pytest.fixture
def envlock(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Command:
    """Run a command line in an empty directory; returns exit status, standard output and error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENVLOCK_CACHE", str(store.root))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        status = _status([str(argument) for argument in arguments])
        return (status, *capfd.readouterr())

    return run


@pytest.fixture
def two(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Write two records, the second with changes."""

    def write(**changes: object) -> tuple[Path, Path]:
        files = (tmp_path / "first.json", tmp_path / "second.json")
        for file, made in zip(files, (record(), record(**changes)), strict=True):
            file.write_bytes(records.to_json(made))
        return files

    return write


def test_run_leaves_standard_output_to_the_job(envlock: Command, image: Path, namespaces: None) -> None:
    status, out, err = envlock(
        "run", "--seed", "42", "--image", image, "--", "sh", "-c", "echo hello; exit 4"
    )
    assert (status, out) == (4, "hello\n")
    assert "experiment default, trial 0, seed 42" in err
    assert "record  out/records/default-0-" in err


def test_run_prints_outputs_and_missing_ones(envlock: Command, image: Path, namespaces: None) -> None:
    manifest = {
        "envlock": 1,
        "command": ["sh", "-c", SEEDED],
        "outputs": [{"path": "none"}, {"path": "out/result"}],
    }
    Path("run.json").write_text(json.dumps(manifest))
    status, _, err = envlock("run", "run.json", "--image", image, "--trial", "3", "--experiment", "other")
    assert status == 0
    assert "output  none  missing" in err
    assert "output  out/result  sha256:" in err
    assert "trial 3, seed " in err


def test_run_as_json_ends_standard_error_with_one_line(
    envlock: Command, image: Path, namespaces: None
) -> None:
    _, out, err = envlock("run", "--seed", "1", "--image", image, "--json", "--", "sh", "-c", SEEDED)
    summary = json.loads(err.splitlines()[-1])
    assert out == ""
    assert summary["exit-status"] == 0
    assert Path(summary["record"]).is_file()
    assert [output["path"] for output in summary["outputs"]] == ["/out/result"]


def test_run_traces_what_the_option_says(envlock: Command, image: Path, namespaces: None) -> None:
    status, _, err = envlock(
        "run", "--seed", "1", "--trace", "steps", "--image", image, "--", "sh", "-c", SEEDED
    )
    assert status == 0, err
    (file,) = Path("out/records").glob("*.json")
    found = records.parse(file.read_bytes(), str(file))
    assert found.trace is not None
    assert (found.trace.level, found.trace.files) == ("steps", ())
    assert (file.parent / found.trace.directory).is_dir()
    assert "determinism.trace" in {one.subject for one in found.gaps}


def test_run_quietly_says_nothing(envlock: Command, image: Path, namespaces: None) -> None:
    assert envlock("run", "-q", "--seed", "1", "--image", image, "--", "sh", "-c", ":") == (0, "", "")


def test_run_finds_the_image_that_build_left(envlock: Command, image: Path, namespaces: None) -> None:
    Path(".envlock").mkdir()
    os.symlink(image, ".envlock/image")
    assert envlock("run", "--seed", "1", "--", "sh", "-c", "exit 0")[0] == 0


def test_run_warns_of_what_may_not_repeat(envlock: Command, image: Path, namespaces: None) -> None:
    manifest = {"envlock": 1, "command": ["sh", "-c", SEEDED], "env": {"PYTHONHASHSEED": "5"}}
    Path("run.json").write_text(json.dumps(manifest))
    _, _, err = envlock("run", "run.json", "--seed", "1", "--image", image)
    assert "warning PYTHONHASHSEED=5 was kept" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "--", "true"), "there is no image here"),
        (("run",), "nothing to run"),
        (("run", "--against", "none.json"), "cannot read a fingerprint: none.json"),
        (("run", "--seed", "-1", "--", "true"), "not a seed: --seed"),
        (("run", "--experiment", "/x", "--", "true"), "not an experiment's name"),
        (("run", "--image", "oci-archive:none.tar", "--", "true"), "none.tar"),
        (("run", "none.yaml"), "cannot read: none.yaml"),
        (("run", "python", "train.py"), "Put -- before a command"),
        (("run", "--engine", "other", "--", "true"), "Invalid value"),
    ],
)
def test_the_runs_own_failures_exit_121(envlock: Command, arguments: tuple[str, ...], message: str) -> None:
    status, out, err = envlock(*arguments)
    assert (status, out) == (121, "")
    assert message in err


def test_a_run_that_the_entrypoint_refuses_exits_121(envlock: Command, image: Path, namespaces: None) -> None:
    manifest = {"envlock": 1, "command": ["true"], "inputs": [{"path": "none.csv"}]}
    Path("run.json").write_text(json.dumps(manifest))
    status, _, err = envlock("run", "run.json", "--image", image)
    assert status == 121
    assert "an input is missing: none.csv" in err
    assert "no record: the image's entrypoint refused the run" in err


def test_replay_says_identical_and_compares(envlock: Command, image: Path, namespaces: None) -> None:
    envlock("run", "--seed", "42", "--image", image, "--record", "first.json", "--", "sh", "-c", SEEDED)
    status, out, err = envlock("replay", "first.json", "--image", image)
    assert (status, out.split()[0]) == (0, "identical")
    assert "record out/replays/default-0-" in err
    status, out, _ = envlock("replay", "first.json", "--image", image, "--json", "--out", "again")
    document = json.loads(out)
    assert (status, document["verdict"]) == (0, "identical")
    assert document["record"].startswith("again/records/")
    status, out, _ = envlock(
        "replay", "-q", "first.json", "--image", image, "--", "sh", "-c", "echo >out/result"
    )
    assert (status, out) == (1, "")


def test_replay_takes_variables_again(envlock: Command, image: Path, namespaces: None) -> None:
    manifest = {"envlock": 1, "command": ["sh", "-c", "echo $A_TOKEN >/out/x"], "env": {"A_TOKEN": "hunter2"}}
    Path("run.json").write_text(json.dumps(manifest))
    envlock("run", "run.json", "--seed", "1", "--image", image, "--record", "first.json")
    assert "hunter2" not in Path("first.json").read_text()
    assert envlock("replay", "first.json", "--image", image)[0] == 3
    assert envlock("replay", "first.json", "--image", image, "--env", "A_TOKEN=hunter2")[0] == 0
    assert envlock("replay", "first.json", "--image", image, "--env", "A_TOKEN")[0] == 2


def test_compare_shows_the_verdict_first(envlock: Command, two: Callable[..., tuple[Path, Path]]) -> None:
    status, out, _ = envlock("compare", *two())
    assert status == 0
    assert out.splitlines()[0] == "identical  1 output, bit for bit"


def test_the_directory_of_one_run_stands_for_its_record(
    envlock: Command, two: Callable[..., tuple[Path, Path]], tmp_path: Path
) -> None:
    places = [tmp_path / name / "records" for name in ("a", "b")]
    for place, file in zip(places, two(), strict=True):
        place.mkdir(parents=True)
        file.rename(place / file.name)
    status, out, _ = envlock("compare", "a", "b/records")
    assert status == 0
    assert out.startswith("identical")
    assert "a/records/first.json" in out


@pytest.mark.parametrize("records", [(), ("first.json", "second.json")])
def test_a_directory_of_no_run_or_several_stands_for_none(
    envlock: Command, tmp_path: Path, records: tuple[str, ...]
) -> None:
    (tmp_path / "out/records").mkdir(parents=True)
    for name in records:
        (tmp_path / "out/records" / name).touch()
    status, _, err = envlock("replay", "out")
    assert status == 2
    assert f"out: expected one record, out/records/*.json, found {len(records)} of them" in err


def test_compare_explains_a_difference(envlock: Command, two: Callable[..., tuple[Path, Path]]) -> None:
    manifest = Manifest(experiment="exp", seed=43, command=("python", "train.py"))
    files = two(outputs=OTHER, manifest=manifest, exit_status=1, lock_sha256="d" * 64)
    status, out, _ = envlock("compare", *files)
    assert status == 1
    lines = out.splitlines()
    assert lines[0] == "different  1 of 1 output and the exit status"
    assert "why  lock: 111111111111… → dddddddddddd…" in lines
    assert "why  seed: 42 → 43" in lines


def test_compare_says_when_nothing_explains_it(
    envlock: Command, two: Callable[..., tuple[Path, Path]]
) -> None:
    assert "the job itself does not repeat" in envlock("compare", *two(outputs=OTHER))[1]


def test_compare_names_what_no_seed_repeats(envlock: Command, two: Callable[..., tuple[Path, Path]]) -> None:
    gaps = tuple(Gap(f"/work/[a].py:{line}", "took the time, which no seed repeats") for line in range(14))
    status, out, _ = envlock("compare", *two(outputs=OTHER, gaps=(*gaps, Gap("package", "has no source"))))
    assert status == 1
    assert "why  /work/[a].py:0: took the time, which no seed repeats" in out.splitlines()
    assert "and 2 more places: --json lists them all" in out
    assert "has no source" not in out
    assert "the job itself does not repeat" not in out


def test_compare_of_equal_results_names_no_suspect(
    envlock: Command, two: Callable[..., tuple[Path, Path]]
) -> None:
    gap = Gap("/work/a.py:1", "took the time, which no seed repeats")
    status, out, _ = envlock("compare", *two(gaps=(gap,)))
    assert (status, "a.py" in out) == (0, False)


def test_compare_says_although_when_results_are_the_same(
    envlock: Command, two: Callable[..., tuple[Path, Path]]
) -> None:
    files = two(host=HOST.replace(kernel="6.2"), outputs=(*record().outputs, FileHash("x", None, None)))
    out = envlock("compare", *files)[1]
    assert "although  kernel: 6.1 → 6.2" in out
    assert "missing" in out


def test_compare_keeps_long_explanations_short(
    envlock: Command, two: Callable[..., tuple[Path, Path]]
) -> None:
    switches = tuple((f"V{number}", "1") for number in range(20))
    out = envlock("compare", *two(outputs=OTHER, switches=switches))[1]
    assert "variable V0: - → 1" in out
    assert "and 8 more: --json lists them all" in out


def fingerprint(letter: str, *, threads: int = 2) -> Fingerprint:
    operations = (*((f"torch.op{number}", letter * 16) for number in range(9)), ("torch.z", "f" * 16))
    torch = FrameworkPrint(name="torch", version="2", list=1, operations=operations)
    cpu = Cpu("CPU", "x86-64-v3", 2)
    return Fingerprint(cpu=cpu, isa="native", threads=threads, level="warn", frameworks=(torch,))


def numerics(
    envlock: Command, tmp_path: Path, first: Fingerprint | None, second: Fingerprint | None, **changes: object
) -> list[str]:
    """Return the lines of a comparison of two runs with these fingerprints."""
    files = (tmp_path / "first.json", tmp_path / "second.json")
    made = (record(fingerprint=first), record(fingerprint=second, **changes))
    for file, one in zip(files, made, strict=True):
        file.write_bytes(records.to_json(one))
    return envlock("compare", *files)[1].splitlines()


def test_compare_names_the_operations_that_differ(envlock: Command, tmp_path: Path) -> None:
    lines = numerics(envlock, tmp_path, fingerprint("a"), fingerprint("b", threads=4), outputs=OTHER)
    assert (
        "why  numerics: 9 of 10 operations are computed differently: torch.op0, torch.op1, torch.op2, "
        "torch.op3, torch.op4, torch.op5, torch.op6, torch.op7 and 1 more" in lines
    )
    assert "     fingerprints: threads 2 and 4" in lines
    assert not [line for line in lines if "the job itself does not repeat" in line]


def test_compare_says_when_the_hosts_are_not_the_reason(envlock: Command, tmp_path: Path) -> None:
    lines = numerics(envlock, tmp_path, fingerprint("a"), fingerprint("a"), outputs=OTHER)
    assert (
        "not  numerics: all 10 operations are computed alike, so look at the seed, the inputs and what "
        in ("\n".join(lines))
    )
    assert [line for line in lines if "the job itself does not repeat" in line]


def test_compare_says_although_the_numerics_differ(envlock: Command, tmp_path: Path) -> None:
    lines = numerics(envlock, tmp_path, fingerprint("a"), fingerprint("b"))
    assert [line for line in lines if line.startswith("although  numerics: 9 of 10 operations")]
    assert not [
        line for line in numerics(envlock, tmp_path, fingerprint("a"), fingerprint("a")) if "nume" in line
    ]


def test_compare_of_two_hosts_without_fingerprints_says_how_to_know_more(
    envlock: Command, tmp_path: Path
) -> None:
    host = HOST.replace(cpu_model="CPU B")
    assert "hint: with --fingerprint in both runs" in "\n".join(
        numerics(envlock, tmp_path, None, None, outputs=OTHER, host=host)
    )
    assert "hint" not in "\n".join(numerics(envlock, tmp_path, None, None, outputs=OTHER))


def test_run_takes_a_fingerprint_and_replay_takes_it_again(
    envlock: Command, image: Path, namespaces: None
) -> None:
    """The image has no frameworks: what is looked at is the way of the answers."""
    status, out, err = envlock("run", "--image", image, "--fingerprint")
    found = json.loads(out)
    assert (status, found["envlock-fingerprint"]) == (0, 1)
    assert "no framework of this image" in err
    _, _, err = envlock(
        "run",
        "--image",
        image,
        "--fingerprint",
        "--seed",
        "1",
        "--record",
        "r.json",
        "--",
        "sh",
        "-c",
        SEEDED,
    )
    assert "  numerics  e3b0c44298fc  0 operations" in err
    assert json.loads(Path("r.json").read_text())["fingerprint"] == found
    status, out, _ = envlock("replay", "r.json", "--image", image, "--json")
    document = json.loads(out)
    assert (status, document["numerics"]["compared"]) == (0, 0)
    assert json.loads(Path(document["record"]).read_text())["fingerprint"] == found


def test_run_and_replay_check_without_running(envlock: Command, image: Path, namespaces: None) -> None:
    status, out, _ = envlock("run", "--check", "--image", image, "--", "touch", "ran")
    assert (status, out.splitlines()[0]) == (0, "compatible")
    envlock(
        "run",
        "--image",
        image,
        "--fingerprint",
        "--seed",
        "1",
        "--record",
        "r.json",
        "--",
        "sh",
        "-c",
        SEEDED,
    )
    for arguments in (("replay", "r.json", "--check"), ("run", "--check", "--against", "r.json")):
        status, out, _ = envlock(*arguments, "--image", image)
        assert status == 0
        assert "no operation of this host's fingerprint can be compared with r.json" in out
    assert not Path("out/replays").exists()
    assert not Path("ran").exists()


def test_check_is_of_the_recorded_image(envlock: Command, image: Path, namespaces: None) -> None:
    Path("r.json").write_bytes(records.to_json(record(environment_id="sha256:" + "0" * 64)))
    status, _, err = envlock("replay", "r.json", "--check", "--image", image)
    assert status == 3
    assert "the image is not the one that was recorded" in err


def test_compare_as_json_and_quietly(envlock: Command, two: Callable[..., tuple[Path, Path]]) -> None:
    files = two(outputs=OTHER)
    status, out, _ = envlock("compare", "--json", *files)
    document = json.loads(out)
    assert (status, document["verdict"]) == (1, "different")
    assert document["records"] == list(map(str, files))
    assert envlock("compare", "-q", *files) == (1, "", "")


def written(tmp_path: Path, compare: str = "bytes", **arrays: "np.ndarray[Any, Any]") -> tuple[Path, Path]:
    """Write two records with the files that they are of; the second's array ``a`` is zero at its end."""
    found = []
    for name in ("first", "second"):
        out = tmp_path / name
        out.mkdir()
        held = dict(arrays) if name == "first" else {**arrays, "a": np.append(arrays["a"][:-1], 0.0)}
        np.savez(out / "model.npz", allow_pickle=False, **held)
        data = (out / "model.npz").read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        made = record(outputs=(FileHash("out/model.npz", digest, len(data), compare),))
        found.append(tmp_path / f"{name}.json")
        found[-1].write_bytes(records.to_json(made))
    first, second = found
    return first, second


def test_compare_says_where_results_part(envlock: Command, tmp_path: Path) -> None:
    first, second = written(tmp_path, a=np.array([1.0, 0.5]), b=np.arange(3))
    status, out, _ = envlock("compare", first, second)
    assert status == 1
    assert "inside  out/model.npz: 1 of 2 parts differ, in the file's order\n" in out
    assert "a float64[2]: 1 of 2 elements, at most 4.6e+18 ULP, 0.5\n" in out
    document = json.loads(envlock("compare", "--json", first, second)[1])
    assert document["outputs"][0]["inside"][0]["differing"][0]["name"] == "a"


def in_another_order(tmp_path: Path, compare: str) -> tuple[Path, Path]:
    # 0.0 at the end, so the arrays are the same; the files differ in the order of their members.
    first, second = written(tmp_path, compare, b=np.arange(3), a=np.array([1.0, 0.0]))
    np.savez(tmp_path / "second" / "model.npz", a=np.array([1.0, 0.0]), b=np.arange(3))
    data = (tmp_path / "second" / "model.npz").read_bytes()
    output = FileHash("out/model.npz", hashlib.sha256(data).hexdigest(), len(data), compare)
    second.write_bytes(records.to_json(record(outputs=(output,))))
    return first, second


def test_compare_by_bytes_says_where_only_the_file_around_the_values_differs(
    envlock: Command, tmp_path: Path
) -> None:
    status, out, _ = envlock("compare", *in_another_order(tmp_path, "bytes"))
    assert status == 1
    assert "why  all values are the same: the files differ by a time, a random name or an order\n" in out
    assert "does not repeat" not in out


def test_an_output_that_a_run_lacks_is_not_called_the_same(envlock: Command, tmp_path: Path) -> None:
    third = tmp_path / "third.json"
    third.write_bytes(records.to_json(record(outputs=())))
    status, out, _ = envlock("compare", *in_another_order(tmp_path, "bytes"), third)
    assert status == 1
    assert "not in all" in out
    assert "all values are the same" not in out


def test_compare_by_tensors_ignores_the_file_around_them(envlock: Command, tmp_path: Path) -> None:
    status, out, _ = envlock("compare", *in_another_order(tmp_path, "tensors"))
    assert (status, out.splitlines()[0]) == (0, "identical  1 output, bit for bit; 1 of them by their values")
    assert "inside  out/model.npz: the same values in other bytes\n" in out


def test_compare_takes_the_places_of_outputs(envlock: Command, tmp_path: Path) -> None:
    first, second = written(tmp_path, a=np.array([1.0, 0.5]))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    moved = (tmp_path / "second").rename(elsewhere / "moved")
    out = envlock("compare", first, second)[1]
    told = f"no file with the recorded hash was found for {second} (`compare --outputs` names its place)"
    assert f"not compared: {told}" in out
    out = envlock("compare", first, second, "--outputs", tmp_path / "first", "--outputs", moved)[1]
    assert "1 of 1 parts differ" in out
    status, _, err = envlock("compare", first, second, "--outputs", moved)
    assert status == 2
    assert "--outputs: expected it 2 times, in the records' order, found 1" in err


def test_compare_needs_two_records(envlock: Command, two: Callable[..., tuple[Path, Path]]) -> None:
    assert envlock("compare", two()[0])[0] == 2


def test_each_column_is_told_by_its_file(envlock: Command, two: Callable[..., tuple[Path, Path]]) -> None:
    first, second = two()
    lines = envlock("compare", first, second)[1].splitlines()
    assert lines[-2:] == [f"run 1  {first}", f"run 2  {second}"]


def test_seeds_are_shown_without_running(envlock: Command) -> None:
    Path("run.yaml").write_text("envlock: 1\nexperiment: demo\nseed: 1\n")
    status, out, _ = envlock("seeds", "run.yaml", "--seed", "42")
    assert status == 0
    assert "demo/trial/0/numpy" in out
    document = json.loads(envlock("seeds", "run.yaml", "--seed", "42", "--ranks", "2", "--json")[1])
    # docs/runtime.md's table.
    torch = next(row for row in document if row["stream"] == "torch" and "rank/0" in row["path"])
    assert torch == {
        "stream": "torch",
        "bits": 64,
        "path": "demo/trial/0/torch/rank/0",
        "seed": "1010300878742557109",
    }


def test_seeds_of_a_manifest_without_one_are_bad_input(envlock: Command) -> None:
    Path("run.yaml").write_text("envlock: 1\n")
    status, _, err = envlock("seeds", "run.yaml")
    assert status == 3
    assert "no seed" in err
    assert envlock("seeds", "run.yaml", "--seed", "x")[0] == 2
