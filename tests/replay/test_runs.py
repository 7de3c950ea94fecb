"""Runs and replays through the embedded engine, with envlock's real entrypoint in the image."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from envlock.engines.embedded import Embedded
from envlock.engines.engine import Job
from envlock.replay import code
from envlock.replay.reading import read_manifest, read_record
from envlock.replay.recorded import Recorded
from envlock.replay.replay import (
    check_fresh,
    check_image,
    fresh_directory,
    recorded_manifest,
    replay,
)
from envlock.replay.run import Places, Ran, run
from envlock.runtime.errors import InputError, RefusedError, UsageError
from envlock.runtime.manifest import Input, Manifest, Output
from envlock.runtime.record import RunRecord
from tests.replay.conftest import record

SCRIPT = "mkdir -p out; echo $PYTHONHASHSEED >out/result; exit $STATUS"


def manifest(script: str = SCRIPT, **changes: object) -> Manifest:
    made = Manifest(
        experiment="exp",
        seed=42,
        command=("sh", "-c", script),
        outputs=(Output("out/result"),),
        env=(("STATUS", "0"),),
    )
    return made.replace(**changes)


def recorded(ran: Ran) -> RunRecord:
    assert ran.record is not None
    return ran.record


def lying(ran: Ran) -> Recorded:
    assert ran.record is not None
    assert ran.file is not None
    return Recorded(record=ran.record, file=ran.file)


def test_a_run_leaves_a_record_named_after_it(engine: Embedded, places: Places) -> None:
    ran = run(manifest(), engine, places, job=Job(), code_commit="c0ffee")
    made = recorded(ran)
    assert ran.exit_status == 0
    assert ran.file == places.out / "records" / f"exp-0-{made.run[:12]}.json"
    assert [path.name for path in ran.file.parent.iterdir()] == [ran.file.name]
    assert made.image_config == str(engine.image.config_digest)
    assert made.image_manifest == str(engine.image.manifest_digest)
    assert made.code_commit == "c0ffee"
    assert [output.path for output in made.outputs] == ["out/result"]


def test_the_record_goes_where_it_is_asked_for(engine: Embedded, places: Places, tmp_path: Path) -> None:
    asked = replace(places, record=tmp_path / "deep" / "record.json")
    ran = run(manifest(env=(("STATUS", "7"),)), engine, asked, job=Job())
    assert ran.exit_status == 7
    assert ran.file == tmp_path / "deep" / "record.json"
    assert (recorded(ran).state, recorded(ran).exit_status) == ("failed", 7)
    assert not (places.out / "records").exists()


def test_outputs_go_to_the_chosen_directory_and_no_empty_one_stays(
    engine: Embedded, places: Places, tmp_path: Path
) -> None:
    run(manifest(), engine, replace(places, out=tmp_path / "elsewhere"), job=Job())
    assert (tmp_path / "elsewhere" / "result").is_file()
    assert list(places.work.iterdir()) == []


def test_an_out_directory_below_the_work_directory_is_used(engine: Embedded, places: Places) -> None:
    run(manifest(), engine, replace(places, out=places.work / "results" / "a"), job=Job())
    assert (places.work / "results" / "a" / "result").is_file()
    assert [path.name for path in places.work.iterdir()] == ["results"]


def test_a_link_instead_of_out_is_refused(engine: Embedded, places: Places, tmp_path: Path) -> None:
    (places.work / "out").symlink_to(tmp_path)
    with pytest.raises(UsageError, match="symbolic link"):
        run(manifest(), engine, places, job=Job())


def test_a_directory_that_cannot_be_made_is_bad_input(engine: Embedded, places: Places) -> None:
    (places.work / "file").touch()
    with pytest.raises(InputError, match="cannot make a directory"):
        run(manifest(), engine, replace(places, out=places.work / "file" / "out"), job=Job())


def test_a_refused_run_has_no_record(engine: Embedded, places: Places) -> None:
    ran = run(manifest(inputs=(Input("none.csv"),)), engine, places, job=Job())
    assert ran == Ran(exit_status=121, record=None, file=None)


def test_a_replay_gives_the_same_and_leaves_the_first_run_alone(engine: Embedded, places: Places) -> None:
    (places.work / "data").write_text("input")
    asked = manifest(inputs=(Input("data"),))
    first = run(asked, engine, places, job=Job())
    before = {path: path.stat().st_mtime_ns for path in places.out.rglob("*") if path.is_file()}
    fresh = fresh_directory(recorded(first), places.out)
    again = recorded_manifest(recorded(first))
    assert again.inputs[0].sha256 is not None
    done = replay(lying(first), again, engine, replace(places, out=fresh), job=Job())
    assert done.comparison.verdict == "identical"
    assert (fresh / "result").read_text() == (places.out / "result").read_text()
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert fresh_directory(recorded(first), places.out) == fresh.with_name(f"{fresh.name}-2")


def test_a_job_that_does_not_repeat_is_found_out(engine: Embedded, places: Places) -> None:
    first = run(manifest("cat /proc/sys/kernel/random/uuid >out/result"), engine, places, job=Job())
    fresh = replace(places, out=places.work / "again")
    done = replay(lying(first), recorded_manifest(recorded(first)), engine, fresh, job=Job())
    assert done.comparison.verdict == "different"


def test_outputs_beside_out_are_set_aside_and_put_back(engine: Embedded, places: Places) -> None:
    asked = manifest("test ! -e model && echo made >model", outputs=(Output("model"),))
    first = run(asked, engine, places, job=Job())
    inode = (places.work / "model").stat().st_ino
    fresh = replace(places, out=places.work / "again")
    done = replay(lying(first), recorded_manifest(recorded(first)), engine, fresh, job=Job())
    assert done.comparison.verdict == "identical"
    assert (places.work / "model").stat().st_ino == inode
    assert sorted(path.name for path in fresh.out.iterdir()) == ["records", "work"]
    assert (fresh.out / "work" / "model").read_text() == "made\n"


def test_an_input_that_changed_since_is_refused(engine: Embedded, places: Places) -> None:
    (places.work / "data").write_text("input")
    first = run(manifest(inputs=(Input("data"),)), engine, places, job=Job())
    (places.work / "data").write_text("other")
    fresh = replace(places, out=places.work / "again")
    with pytest.raises(RefusedError, match="the replay left no record: found exit status 121"):
        replay(lying(first), recorded_manifest(recorded(first)), engine, fresh, job=Job())


def test_another_image_is_refused_naming_both(engine: Embedded) -> None:
    check_image(record(), engine.image)
    check_image(record(environment_id="x", image_config=str(engine.image.config_digest)), engine.image)
    with pytest.raises(InputError, match="not the one that was recorded") as caught:
        check_image(record(environment_id="sha256:other", image_config="sha256:1"), engine.image)
    assert caught.value.expected == "environment sha256:other (image sha256:1)"
    assert str(engine.image.config_digest) in str(caught.value.found)


def test_a_masked_secret_must_be_given_again(engine: Embedded, places: Places) -> None:
    first = lying(run(manifest(env=(("API_TOKEN", "x"), ("STATUS", "0"))), engine, places, job=Job()))
    fresh = replace(places, out=places.work / "again")
    asked = recorded_manifest(first.record)
    with pytest.raises(InputError, match=r"the record holds no secrets, .* found API_TOKEN"):
        replay(first, asked, engine, fresh, job=Job())
    given = asked.replace(env=(("API_TOKEN", "x"), ("STATUS", "0")))
    assert replay(first, given, engine, fresh, job=Job()).comparison.verdict == "identical"


def test_a_replay_never_mixes_with_earlier_files(tmp_path: Path) -> None:
    check_fresh(tmp_path / "none")
    check_fresh(tmp_path)
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "file"):
        with pytest.raises(UsageError, match="a directory of its own"):
            check_fresh(place)


def test_manifests_and_records_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read: .*none.yaml: found No such file"):
        read_manifest(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff")
    with pytest.raises(InputError, match="not a run manifest"):
        read_manifest(tmp_path / "bytes.yaml")
    (tmp_path / "record.json").write_text("{}")
    with pytest.raises(InputError, match=r"record.json"):
        read_record(tmp_path / "record.json")


def test_the_commit_of_the_code_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert code.commit(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e@example.org"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    (tmp_path / "train.py").write_text("1\n")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "first"], check=True)
    subprocess.run([*git, "tag", "v1"], check=True)
    clean = code.commit(tmp_path)
    assert clean is not None
    assert len(clean) == 40
    (tmp_path / "train.py").write_text("2\n")
    assert code.commit(tmp_path) == f"{clean}-dirty"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert code.commit(tmp_path) is None


def test_the_manifest_in_the_record_is_the_one_that_ran(engine: Embedded, places: Places) -> None:
    ran = run(manifest(trial=3), engine, places, job=Job(environment=(("EXTRA", "1"),)))
    assert ran.file is not None
    assert json.loads(ran.file.read_text())["manifest"]["trial"] == 3
