"""Jobs behind a launcher, on real processes."""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from envlock.host.attached import attached
from envlock.runtime.errors import UnreachableError

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {"PATH": os.defpath}
# As `unshare --fork`: starts one child, ignores SIGINT and SIGTERM, ends as the child ended.
LAUNCHER = """
import os, signal, sys
child = os.fork()
if not child:
    os.execv("/bin/sh", ["sh", "-c", sys.argv[1]])
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
os._exit(status) if status >= 0 else os.kill(os.getpid(), -status)
"""
OUTER = "import sys; from envlock.host.attached import attached; sys.exit(attached(sys.argv[1:], env={}))"
WAITING = "trap 'exit 7' {signal}; touch ready; while :; do sleep 0.05; done"


def start(directory: Path, script: str) -> "subprocess.Popen[bytes]":
    """Start a process that runs ``attached`` on a launcher of ``script``, and wait until the job is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", OUTER, sys.executable, "-c", LAUNCHER, script],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    wait_until_ready(directory)
    return process


def wait_until_ready(directory: Path) -> None:
    until = time.monotonic() + 20
    while not (directory / "ready").exists():
        assert time.monotonic() < until, "the job never started"
        time.sleep(0.01)


@pytest.mark.parametrize("status", [0, 1, 7, 121])
def test_the_exit_status_is_the_jobs(status: int) -> None:
    assert attached((sys.executable, "-c", LAUNCHER, f"exit {status}"), env=ENVIRONMENT) == status


def test_a_job_ended_by_a_signal_is_128_and_the_signal() -> None:
    assert attached((sys.executable, "-c", LAUNCHER, "kill -9 $$"), env=ENVIRONMENT) == 137


def test_a_launcher_that_ends_without_a_child_gives_its_own_status() -> None:
    assert attached(("/bin/sh", "-c", "exit 4"), env=ENVIRONMENT) == 4


def test_a_launcher_that_is_not_there_is_unreachable() -> None:
    with pytest.raises(UnreachableError, match="cannot start: /nowhere/launcher"):
        attached(("/nowhere/launcher",), env=ENVIRONMENT)


def test_the_environment_is_the_given_one_only(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENVLOCK_TEST_LEAK", "1")
    attached(("/usr/bin/env",), env={"ONLY": "this"})
    assert capfd.readouterr().out == "ONLY=this\n"


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP", "QUIT"])
def test_signals_reach_the_job_past_a_launcher_that_ignores_them(tmp_path: Path, name: str) -> None:
    process = start(tmp_path, WAITING.format(signal=name))
    process.send_signal(getattr(signal, f"SIG{name}"))
    assert process.wait(timeout=20) == 7


def test_the_callers_signal_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    attached(("/bin/sh", "-c", ":"), env=ENVIRONMENT)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_killed_launcher_takes_the_job_with_it(tmp_path: Path) -> None:
    process = start(tmp_path, "echo $$ $PPID > pids; touch ready; while :; do sleep 0.05; done")
    job, launcher = map(int, (tmp_path / "pids").read_text().split())
    os.kill(launcher, signal.SIGKILL)
    assert process.wait(timeout=20) == 137
    state = Path(f"/proc/{job}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


def test_on_a_terminal_one_ctrl_c_reaches_the_job_once(tmp_path: Path) -> None:
    # The kernel signals the whole foreground group, so a forwarded copy would be a second one.
    first = "for i in $(seq 300); do [ $count = 0 ] || break; sleep 0.1; done"
    others = "for i in 1 2 3 4 5; do sleep 0.1; done"
    script = f"count=0; trap 'count=$((count+1))' INT; touch ready; {first}; {others}; exit $((10+count))"
    child, terminal = pty.fork()
    if not child:  # pragma: no cover - runs in the forked process
        os.chdir(tmp_path)
        os.environ["PYTHONPATH"] = str(ROOT)
        os.execv(  # noqa: S606 - a shell is what the test does without
            sys.executable, [sys.executable, "-c", OUTER, sys.executable, "-c", LAUNCHER, script]
        )
    wait_until_ready(tmp_path)
    os.write(terminal, b"\x03")
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(terminal)
    assert status == 11
