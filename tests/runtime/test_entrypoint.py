"""The entrypoint in a fake image: statuses, signals, refusals, records, manners."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from envlock.runtime import record, seeds
from tests.runtime.conftest import IMAGE, FakeImage


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.01)


@pytest.mark.parametrize("status", [0, 1, 3, 121])
def test_the_jobs_status_is_the_containers(image: FakeImage, status: int) -> None:
    done = image.run("--seed", "1", "sh", "-c", f"exit {status}")
    assert done.status == status
    assert done.record.exit_status == status
    assert done.record.state == ("failed" if status else "finished")


def test_a_job_killed_by_a_signal_ends_with_128_and_its_number(image: FakeImage) -> None:
    done = image.run("sh", "-c", "kill -USR1 $$")
    assert done.status == 128 + signal.SIGUSR1
    assert (done.record.state, done.record.exit_status) == ("killed", 128 + signal.SIGUSR1)


@pytest.mark.parametrize(
    ("name", "mode", "text", "status", "told"),
    [
        ("no-such-program", None, "", 127, "no such program on PATH"),
        ("./missing", None, "", 127, "no such file"),
        ("./plain", 0o644, "#!/bin/sh\n", 126, "it is not executable"),
        ("./headless", 0o755, "exit 0\n", 126, "neither a program nor a script"),
        ("./orphan", 0o755, "#!/no/such/interpreter\n", 127, "the interpreter that it names is missing"),
        (".", None, "", 126, "it is a directory"),
    ],
)
def test_a_job_that_cannot_start_has_a_shells_status_and_a_record(
    image: FakeImage, name: str, mode: int | None, text: str, status: int, told: str
) -> None:
    if mode is not None:
        (image.work / name).write_text(text)
        (image.work / name).chmod(mode)
    done = image.run("--quiet", name if "/" in name or name != "." else "./")
    assert (done.status, done.stdout) == (status, "")
    assert told in done.stderr
    assert (done.record.state, done.record.exit_status) == ("failed", status)


def test_a_command_that_the_kernel_refuses_is_not_executable(image: FakeImage) -> None:
    manifest = {"envlock": 1, "command": ["echo", "x" * 200_000]}
    (image.work / "run.json").write_text(json.dumps(manifest))
    done = image.run("--manifest", "run.json")
    assert done.status == 126
    assert "Argument list too long" in done.stderr


def test_a_supervisor_that_ignores_children_does_not_make_it_hang(image: FakeImage) -> None:
    code = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    argv = [sys.executable, "-c", code, *image.argv, "sh", "-c", "exit 3"]
    done = subprocess.run(
        argv, env=image.environ({}), cwd=image.work, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 3


def test_standard_output_and_input_are_the_jobs_alone(image: FakeImage) -> None:
    process = subprocess.run(
        [*image.argv, "--seed", "1", "cat", "-"],
        env=image.environ({}),
        cwd=image.work,
        input=b"a b\0c",
        capture_output=True,
        check=True,
    )
    assert process.stdout == b"a b\0c"
    assert process.stderr.count(b"\n") == 1
    assert process.stderr.startswith(b"envlock: seed 1, experiment default, trial 0, record ")


def test_quiet_says_nothing(image: FakeImage) -> None:
    done = image.run("--quiet", "printf", "%s|", "two words", "")
    assert (done.stdout, done.stderr) == ("two words||", "")


def test_a_seed_is_drawn_and_told_when_none_is_given(image: FakeImage) -> None:
    one, other = image.run("true"), image.run("true")
    assert one.record.manifest.seed != other.record.manifest.seed
    assert f"seed {one.record.manifest.seed} (drawn; repeat with --seed" in one.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR2])
def test_signals_reach_the_job_and_the_record_is_finished(image: FakeImage, number: int) -> None:
    (image.work / "job.sh").write_text(
        f"trap 'echo caught; exit 7' {number}\ntouch ready\nwhile :; do sleep 0.05; done\n"
    )
    process = image.start("--seed", "1", "sh", "job.sh", start_new_session=True)
    wait_for(image.work / "ready")
    process.send_signal(number)
    stdout, _ = process.communicate(timeout=30)
    assert (process.returncode, stdout) == (7, "caught\n")
    (path,) = image.out.glob("records/*.json")
    assert record.parse(path.read_bytes(), "r").state == "failed"


def test_an_interrupt_from_a_terminal_is_not_sent_twice(image: FakeImage) -> None:
    (image.work / "job.py").write_text(
        "import signal, time\n"
        "count = [0]\n"
        "def caught(*_): count[0] += 1\n"
        "signal.signal(signal.SIGINT, caught)\n"
        "open('ready', 'w').close()\n"
        "end = time.monotonic() + 1\n"
        "while time.monotonic() < end: time.sleep(0.05)\n"
        "print(count[0])\n"
    )
    controller, terminal = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", _ON_TERMINAL, *image.argv, "--quiet", "python", "job.py"],
        env=image.environ({}),
        cwd=image.work,
        stdin=terminal,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    wait_for(image.work / "ready")
    os.write(controller, b"\x03")
    stdout, _ = process.communicate(timeout=30)
    os.close(controller)
    os.close(terminal)
    assert stdout == b"1\n"


_ON_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_a_record_left_running_means_killed(image: FakeImage) -> None:
    process = image.start("--seed", "1", "sh", "-c", "echo $$ >pid; mv pid ready; exec sleep 60")
    wait_for(image.work / "ready")
    process.kill()
    # The job holds standard output open, which communicate() reads to its end.
    os.kill(int((image.work / "ready").read_text()), signal.SIGKILL)
    process.communicate()
    (path,) = image.out.glob("records/*.json")
    found = record.parse(path.read_bytes(), "r")
    assert (found.state, found.exit_status, found.ended) == ("running", None, None)


def test_variables_and_flags_beat_the_manifest(image: FakeImage) -> None:
    (image.work / "run.yaml").write_text(
        "envlock: 1\nexperiment: from-manifest\ntrial: 1\nseed: 1\ncommand: [echo, from manifest]\n"
        "determinism: strict\nenv: {A: a, HOME: /elsewhere, OMP_NUM_THREADS: '1'}\ncpu: {threads: 1}\n"
    )
    done = image.run("--manifest", "run.yaml")
    assert done.stdout == "from manifest\n"
    assert (done.record.manifest.experiment, done.record.manifest.seed) == ("from-manifest", 1)
    env = {"ENVLOCK_MANIFEST": "run.yaml", "ENVLOCK_SEED": "2", "ENVLOCK_TRIAL": "2", "A": "b"}
    done = image.run("--seed", "3", "sh", "-c", "echo $A $HOME $OMP_NUM_THREADS $ENVLOCK_MANIFEST", env=env)
    assert (done.record.manifest.seed, done.record.manifest.trial) == (3, 2)
    assert done.stdout == "b /elsewhere 1\n"


def test_the_jobs_variables_are_the_runs_own(image: FakeImage) -> None:
    done = image.run("--seed", "42", "--experiment", "demo", "env")
    environ = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert environ["PYTHONHASHSEED"] == str(seeds.derive(42, ("demo", "trial/0", "python.hash"), 32))
    assert environ["ENVLOCK_RUN"] == done.record.run
    assert dict(done.record.switches)["PYTHONHASHSEED"] == environ["PYTHONHASHSEED"]


def test_a_determinism_variable_of_the_users_is_kept_told_and_recorded(image: FakeImage) -> None:
    env = {"OMP_NUM_THREADS": "7"}
    done = image.run("sh", "-c", "echo $OMP_NUM_THREADS", env=env)
    assert done.stdout == "7\n"
    assert "OMP_NUM_THREADS=7 was set by the user and is kept" in done.stderr
    assert [(one.name, one.value, one.wanted) for one in done.record.kept] == [("OMP_NUM_THREADS", "7", "2")]
    refused = image.run("--determinism", "strict", "true", env=env)
    assert (refused.status, refused.records) == (121, ())
    assert "a determinism variable was changed: OMP_NUM_THREADS: expected '2', found '7'" in refused.stderr


def test_a_hash_seed_of_the_users_is_kept(image: FakeImage) -> None:
    done = image.run("sh", "-c", "echo $PYTHONHASHSEED", env={"PYTHONHASHSEED": "random"})
    assert done.stdout == "random\n"
    assert [one.name for one in done.record.kept] == ["PYTHONHASHSEED"]
    assert done.record.seeds == ()


@pytest.mark.parametrize(
    ("manifest", "env", "message"),
    [
        ("", {"RANK": "0", "WORLD_SIZE": "2"}, "rank 0 of 2 has no seed: launched by torchrun"),
        (f"environment-id: sha256:{'0' * 64}", {}, "the manifest is for another environment"),
        ("inputs: [{path: missing.csv}]", {}, "an input is missing: missing.csv"),
        (f"inputs: [{{path: run.yaml, sha256: {'0' * 64}}}]", {}, "an input has changed: run.yaml"),
        (
            "hardware: {on-mismatch: refuse}\ncpu: {isa: native}",
            {},
            "this host is not like the captured one",
        ),
        ("unknown: 1", {}, "unknown key: run.yaml: unknown"),
        ("", {"PYTHONPATH": "second"}, "a second envlock is on the job's path: second/envlock"),
        ("", {"ENVLOCK_SEED": "x"}, "not a number: ENVLOCK_SEED"),
    ],
)
def test_what_must_not_run_is_refused_before_anything_is_written(
    image: FakeImage, manifest: str, env: dict[str, str], message: str
) -> None:
    (image.work / "second" / "envlock").mkdir(parents=True)
    (image.work / "second" / "envlock" / "__init__.py").touch()
    (image.work / "run.yaml").write_text("envlock: 1\n" + manifest)
    done = image.run("--manifest", "run.yaml", "echo", "ran", env=env)
    assert (done.status, done.stdout, done.records) == (121, "", ())
    assert done.stderr.startswith("envlock: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_envlock_in_the_environment_is_refused(image: FakeImage) -> None:
    (site,) = image.environment.glob("lib/*/site-packages")
    (site / "envlock").mkdir()
    (site / "envlock" / "__init__.py").touch()
    assert "a second envlock" in image.run("true").stderr


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("missing.yaml", None, "cannot read the manifest: missing.yaml: found No such file"),
        ("latin.yaml", b"\xff\xfe", "cannot read the manifest: latin.yaml: found it is not UTF-8"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_refused(
    image: FakeImage, path: str, content: bytes | None, message: str
) -> None:
    if content:
        (image.work / path).write_bytes(content)
    done = image.run("--manifest", path, "true")
    assert done.status == 121
    assert message in done.stderr


def test_an_image_that_lost_its_description_is_refused(image: FakeImage) -> None:
    environ = image.environ({})
    (image.root / "envlock" / "image.json").unlink()
    done = subprocess.run(
        [*image.argv, "true"], env=environ, cwd=image.work, capture_output=True, check=False
    )
    assert done.returncode == 121
    assert b"cannot read what this image is" in done.stderr


def test_inputs_are_hashed_and_directories_file_by_file(image: FakeImage) -> None:
    (image.work / "data" / "sub").mkdir(parents=True)
    (image.work / "data" / "sub" / "b").write_text("b")
    (image.work / "data" / "a").write_text("a")
    (image.work / "run.yaml").write_text("envlock: 1\ninputs: [{path: data}]\ncommand: ['true']\n")
    found = image.run("--manifest", "run.yaml").record.inputs
    assert [(one.path, one.size) for one in found] == [("data/a", 1), ("data/sub/b", 1)]
    assert found[0].sha256 == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"


def test_declared_outputs_are_hashed_and_missing_ones_stand_there_as_missing(image: FakeImage) -> None:
    (image.work / "run.yaml").write_text(
        "envlock: 1\noutputs: [{path: m.json, compare: json}, {path: made}, {path: never}]\n"
    )
    done = image.run(
        "--manifest", "run.yaml", "sh", "-c", "echo {} >m.json; mkdir made; echo 1 >made/x; echo 2 >$OUT/y",
        env={"OUT": str(image.out)},
    )  # fmt: skip
    found = [(one.path, one.size, one.compare) for one in done.record.outputs]
    assert found == [("m.json", 3, "json"), ("made/x", 2, "bytes"), ("never", None, "bytes")]


def test_without_declared_outputs_all_that_is_new_or_changed_under_out_is_recorded(image: FakeImage) -> None:
    for name in ("kept", "changed"):
        (image.out / name).write_text("before")
    os.utime(image.out / "changed", (1, 1))
    code = f"cd {image.out}; echo after >changed; mkdir sub; echo n >sub/new; ln -s kept link; mkfifo pipe"
    done = image.run("sh", "-c", code)
    assert [one.path for one in done.record.outputs] == [f"{image.out}/changed", f"{image.out}/sub/new"]


def test_the_record_goes_where_it_is_asked_to(image: FakeImage) -> None:
    image.run("--record", "sub/r.json", "--experiment", "a b/c", "true")
    found = record.parse((image.work / "sub" / "r.json").read_bytes(), "r.json")
    assert found.manifest.experiment == "a b/c"
    assert list(image.out.iterdir()) == []


@pytest.mark.parametrize("mode", [0o755, 0o1777])
def test_records_lie_in_a_directory_as_open_as_out(image: FakeImage, mode: int) -> None:
    image.out.chmod(mode)
    assert image.run("--", "true").records
    assert (image.out / "records").stat().st_mode & 0o7777 == mode


def test_an_unwritable_record_is_told_and_the_job_runs(image: FakeImage) -> None:
    (image.out / "records").write_text("a file is in the way")
    done = image.run("--seed", "1", "echo", "ran")
    assert (done.status, done.stdout) == (0, "ran\n")
    assert "the run goes on without a record: cannot write" in done.stderr


def test_a_record_that_another_user_must_write_is_told_with_the_way_out(image: FakeImage) -> None:
    image.out.chmod(0o555)
    # A user without root's rights, whoever runs the tests.
    done = subprocess.run(
        ["unshare", "--user", "--map-user=4711", "--", *image.argv, "echo", "ran"],
        env=image.environ({}),
        cwd=image.work,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "ran\n"
    assert "Permission denied for user 4711; `docker run --user`" in done.stderr


def test_a_record_that_cannot_be_finished_is_told(image: FakeImage) -> None:
    done = image.run("sh", "-c", f"rm -r {image.out}/records; touch {image.out}/records")
    assert done.status == 0
    assert "could not be finished and says `running`" in done.stderr


def test_without_any_writable_place_the_job_still_runs_seeded(image: FakeImage) -> None:
    image.tmp.rmdir()
    image.out.rmdir()
    image.tmp.touch()
    image.out.touch()
    done = image.job("import random; print(random.random())", "--seed", "1")
    again = image.job("import random; print(random.random())", "--seed", "1")
    assert done.status == 0
    assert done.stdout == again.stdout


def test_the_spool_is_private_and_gone_at_the_end(image: FakeImage) -> None:
    done = image.job("import os; print(oct(os.stat(os.environ['ENVLOCK_SPOOL']).st_mode & 0o777))")
    assert done.stdout == "0o700\n"
    assert list(image.tmp.iterdir()) == []


def test_what_the_launcher_knows_is_recorded(image: FakeImage) -> None:
    env = {"ENVLOCK_IMAGE_CONFIG": "sha256:1", "ENVLOCK_IMAGE_MANIFEST": "sha256:2"}
    found = image.run("true", env=env).record
    assert (found.image_config, found.image_manifest) == ("sha256:1", "sha256:2")
    assert found.code_commit == "d" * 40
    assert image.run("true", env={"ENVLOCK_CODE_COMMIT": "f" * 40}).record.code_commit == "f" * 40
    image.describe(project=None)
    assert image.run("true").record.code_commit is None


def test_a_rank_is_detected_and_recorded(image: FakeImage) -> None:
    done = image.run("--seed", "1", "true", env={"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1"})
    assert (done.record.rank.rank, done.record.rank.world, done.record.rank.source) == (1, 4, "torchrun")
    assert "rank 1 of 4" in done.stderr


def test_secrets_are_masked_and_named(image: FakeImage) -> None:
    (image.work / "run.yaml").write_text("envlock: 1\nenv: {HF_TOKEN: hunter2}\n")
    done = image.run("--manifest", "run.yaml", "sh", "-c", "echo $HF_TOKEN", "--key", "--password=hunter2")
    assert done.stdout == "hunter2\n"
    (path,) = image.out.glob("records/*.json")
    assert "hunter2" not in path.read_text()
    subjects = [gap.subject for gap in done.record.gaps]
    assert subjects == ["command[4]", "env.HF_TOKEN", "some"]


def test_alone_the_image_says_what_it_is(image: FakeImage) -> None:
    image.describe(packages={"numpy": "2.4.6", "idna": "3"})
    done = image.run()
    assert done.status == 0
    assert "environment  sha256:" + "a" * 64 in done.stdout
    assert "packages     2: numpy 2.4.6" in done.stdout
    assert "--seed N" in done.stdout
    assert done.records == ()


def test_help_is_usage(image: FakeImage) -> None:
    done = image.run("--help")
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: docker run IMAGE")


def test_check_grades_this_host_and_runs_nothing(image: FakeImage) -> None:
    done = image.run("--check", "touch", "ran")
    assert (done.status, done.records) == (0, ())
    assert done.stdout.splitlines()[0] in ("same", "compatible")
    assert not (image.work / "ran").exists()


def test_check_says_no_where_the_image_will_not_run(image: FakeImage) -> None:
    image.describe(os={"machine": "riscv64"})
    (image.work / "run.yaml").write_text("envlock: 1\ncpu: {isa: native}\n")
    done = image.run("--check", "--manifest", "run.yaml")
    assert (done.status, done.stdout.splitlines()[0]) == (121, "will not run")


def test_a_host_on_which_numerics_may_differ_is_told(image: FakeImage) -> None:
    (image.work / "run.yaml").write_text("envlock: 1\ncpu: {isa: native}\ncommand: ['true']\n")
    done = image.run("--manifest", "run.yaml")
    assert done.status == 0
    assert "numerics may differ with cpu.isa native" in done.stderr


def test_native_takes_the_pins_of_the_image_away(image: FakeImage) -> None:
    image.describe(env={**_env(), "OPENBLAS_CORETYPE": "Haswell"}, packages={"numpy": "2.4.6"})
    (image.work / "run.yaml").write_text("envlock: 1\ncpu: {isa: native, threads: 3}\n")
    done = image.run("--manifest", "run.yaml", "sh", "-c", "echo [$OPENBLAS_CORETYPE] $OMP_NUM_THREADS")
    assert done.stdout == "[] 3\n"


def _env() -> dict[str, str]:
    env = IMAGE["env"]
    assert isinstance(env, dict)
    return env


def test_an_interrupt_before_the_job_ends_130(image: FakeImage) -> None:
    (image.work / "data").mkdir()
    os.mkfifo(image.work / "run.yaml")
    process = image.start("--manifest", "run.yaml", "true")
    # It waits for somebody to write its manifest.
    writer = os.open(image.work / "run.yaml", os.O_WRONLY)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    os.close(writer)
    assert (process.returncode, stderr) == (130, "")


def test_a_stop_before_the_job_ends_143(image: FakeImage) -> None:
    os.mkfifo(image.work / "run.yaml")
    process = image.start("--manifest", "run.yaml", "true")
    writer = os.open(image.work / "run.yaml", os.O_WRONLY)
    process.terminate()
    _, stderr = process.communicate(timeout=30)
    os.close(writer)
    assert (process.returncode, stderr) == (143, "")


def test_process_1_reaps_what_others_leave(image: FakeImage) -> None:
    code = (
        "(sleep 0.2; touch gone) & exec sh -c 'while [ ! -e gone ]; do sleep 0.05; done; sleep 0.2; "
        "grep -l State:.Z /proc/[0-9]*/status; true'"
    )
    unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--mount"]
    done = subprocess.run(
        [*unshare, *image.argv, "--quiet", "sh", "-c", f"setsid sh -c '{_DETACHED}' & {code}"],
        env=image.environ({}),
        cwd=image.work,
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare" in done.stderr:
        pytest.skip(f"no user namespaces here: {done.stderr.strip()}")
    assert (done.returncode, done.stdout) == (0, "")


_DETACHED = "(sleep 0.05) & exit 0"


def test_the_yaml_parser_of_the_image_serves_the_entrypoint_only(image: FakeImage) -> None:
    (image.work / "run.yaml").write_text("envlock: 1\ncommand: [env]\n")
    done = image.run("--manifest", "run.yaml")
    library = image.root / "envlock" / "lib"
    assert done.status == 0
    assert str(library) not in done.stdout
    (library / "yaml").unlink()
    done = image.run("--manifest", "run.yaml")
    assert (done.status, "write the file as JSON" in done.stderr) == (121, True)


def test_a_large_seed_passes_through_everything(image: FakeImage) -> None:
    seed = 10**4500 + 7
    done = image.job(
        "from envlock.runtime import seeds; print(seeds.seed('a'))", "--seed", "1" + "0" * 4499 + "7"
    )
    assert done.record.manifest.seed == seed
    assert done.stdout == f"{seeds.derive(seed, ('default', 'trial/0', 'a'), 64)}\n"
    (path,) = image.out.glob("records/*.json")
    assert json.loads(path.read_text())["seed"].endswith("07")
