import os
import pty
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

import envlock
from envlock.cli import main
from envlock.runtime.errors import IntegrityError
from tests.image import lock_project
from tests.image.wheels import wheel_items


def _exit(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main.main(arguments)
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_every_command_of_the_help_page_can_be_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    for name in main.COMMANDS:
        assert _exit(name, "--help") == 0
    assert capsys.readouterr().out.count("Usage: envlock ") == len(main.COMMANDS)


def test_help_loads_no_command() -> None:
    program = (
        "import sys\n"
        "from envlock.cli.main import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit:\n    pass\n"
        "sys.exit(any(name in sys.modules for name in ('requests', 'docker', 'rich', 'yaml')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "The main job" in done.stdout


def test_a_capture_loads_no_more_than_a_remembered_lock_needs() -> None:
    program = (
        "import sys\n"
        "import envlock.cli.capture\n"
        "print([name for name in ('rich', 'packaging.pylock', 'requests') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_build_of_what_is_here_loads_no_library_of_networks_or_terminals(tmp_path: Path) -> None:
    made = lock_project.make(tmp_path, ("demo", wheel_items("demo")), base=False)
    program = (
        "import sys\n"
        "from envlock.cli.main import main\n"
        "try:\n    main()\n"
        "except SystemExit as ended:\n    print(ended.code)\n"
        "print([one for one in ('rich', 'requests', 'docker', 'pathspec') if one in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "build", "--quiet", "--no-bytecode", "-o", "oci:image"],
        cwd=made.directory,
        env=made.environ(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "0\n[]\n"


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert _exit("--version") == 0
    assert capsys.readouterr().out == f"envlock {envlock.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nope",), "envlock: No such command 'nope'\nhint: envlock --help\n"),
        (("build", "--nope"), "hint: envlock build --help\n"),
        (("completion", "tcsh"), "'tcsh' is not one of"),
        (("capture", "--from", "oci:x", "--", "python"), "a job is run on this machine only: oci:x"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_form_and_exits_2(
    arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _exit(*arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("envlock: ")
    assert told in shown.err


def test_an_error_exits_with_its_status_and_says_its_hint(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    def failing() -> None:
        raise IntegrityError("wrong bytes", where="a.whl", expected="x", found="y", hint="again")

    monkeypatch.setattr(main, "cli", failing)
    assert _exit() == 5
    assert capsys.readouterr().err == "envlock: wrong bytes: a.whl: expected x, found y\nhint: again\n"


@pytest.mark.parametrize(("raised", "status"), [(KeyboardInterrupt, 130), (click.Abort, 130)])
def test_ctrl_c_exits_130(
    raised: type[BaseException],
    status: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @click.command()
    def interrupted() -> None:
        raise raised

    monkeypatch.setattr(main, "cli", interrupted)
    assert _exit() == status
    assert "interrupted" in capsys.readouterr().err


def test_an_operating_system_error_is_no_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    def unreadable() -> None:
        Path("/proc/self/mem").read_bytes()

    monkeypatch.setattr(main, "cli", unreadable)
    assert _exit() == 4
    assert capsys.readouterr().err.startswith("envlock: ")


def test_a_reader_that_went_away_is_no_error() -> None:
    argv = [sys.executable, "-m", "envlock", "completion", "bash"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        writer.stdout.close()
        assert writer.stderr.read() == b""
    assert writer.returncode == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signal_unwinds_so_that_temporary_files_go(tmp_path: Path, number: int, status: int) -> None:
    program = (
        "import signal, time, click\n"
        "from pathlib import Path\n"
        "from envlock.cli import main\n"
        "@click.command()\n"
        "def slow():\n"
        "    Path('part').touch()\n"
        "    try:\n"
        "        print('writing', flush=True)\n"
        "        time.sleep(60)\n"
        "    finally:\n"
        # Whoever sends it may send it again.
        f"        signal.raise_signal({int(number)})\n"
        "        Path('part').unlink()\n"
        "main.cli = slow\n"
        # The tests themselves may run under nohup.
        f"signal.signal({int(number)}, signal.SIG_DFL)\n"
        "main.main([])\n"
    )
    argv = [sys.executable, "-c", program]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=tmp_path) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"writing\n"
        begun = time.monotonic()
        running.send_signal(number)
        assert running.wait() == status
    assert time.monotonic() - begun < 10
    assert list(tmp_path.iterdir()) == []


def test_what_a_closed_terminal_does_not_take_ends_no_clean_up(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys, time, click\n"
        "from pathlib import Path\n"
        "from envlock.cli import main\n"
        "from envlock.host.files import atomic_write\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
        # A new session's first terminal is its own, whose end it is told of.
        "os.close(os.open(sys.argv[1], os.O_RDWR))\n"
        "@click.command()\n"
        "def slow():\n"
        "    with atomic_write(Path('target')):\n"
        "        try:\n"
        "            click.echo('writing')\n"
        "            time.sleep(60)\n"
        "        finally:\n"
        "            click.echo('ended', err=True)\n"
        "main.cli = slow\n"
        "main.main([])\n"
    )
    terminal, end = pty.openpty()
    argv = [sys.executable, "-c", program, os.ttyname(end)]
    with subprocess.Popen(argv, cwd=tmp_path, stdout=end, stderr=end, start_new_session=True) as running:
        assert os.read(terminal, 7) == b"writing"
        os.close(end)
        os.close(terminal)
        assert running.wait() == 129
    assert list(tmp_path.iterdir()) == []


def test_nohup_outlives_the_terminal() -> None:
    program = (
        "import os, signal\n"
        "from envlock.cli import main\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "main._invoke = lambda _: os.kill(os.getpid(), signal.SIGHUP)\n"
        "main.main([])\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_does_not_fit_is_an_error(tmp_path: Path, unbuffered: str) -> None:
    """A limit on the size of files is met as a full disk is: part of a write is taken."""
    room = 1000

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    environ = {**os.environ, "PYTHONUNBUFFERED": unbuffered, "PYTHONDONTWRITEBYTECODE": "1"}
    # Its own file would not fit either.
    uncovered = {name: value for name, value in environ.items() if not name.startswith("COVERAGE_PROCESS_")}
    with (tmp_path / "help").open("wb") as stream:
        done = subprocess.run(
            [sys.executable, "-m", "envlock", "--help"],
            env=uncovered,
            stdout=stream,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            preexec_fn=limited,  # no threads here
        )
    assert (tmp_path / "help").stat().st_size == room
    assert (done.returncode, done.stderr) == (4, "envlock: File too large\n")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_read_enough_is_no_error(unbuffered: str) -> None:
    program = (
        "import sys; from envlock.cli import main, terminal\n"
        "main._invoke = lambda _: [terminal.out.print('line') for _ in range(100_000)] and None\n"
        "main.main([])"
    )
    shell = 'set -o pipefail; "$0" -c "$1" | head -1'
    done = subprocess.run(
        ["bash", "-c", shell, sys.executable, program],
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "line\n", "")


class _Signalled:
    """A signal that comes while a class is being made, as when a command imports what it needs."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __set_name__(self, owner: type, name: str) -> None:
        signal.raise_signal(self._number)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_while_a_class_is_made_ends_the_command_as_any_other(
    monkeypatch: pytest.MonkeyPatch, number: int, status: int
) -> None:
    def importing(*_: object) -> object:
        return type("Made", (), {"field": _Signalled(number)})

    monkeypatch.setattr(main.cli, "make_context", importing)
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert _exit() == status
    finally:
        signal.signal(signal.SIGTERM, before)


def test_an_interrupt_within_exec_has_the_exit_status_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(
        "import signal\n"
        "from envlock.cli import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "main._invoke = lambda _: exec('signal.raise_signal(signal.SIGINT)', {'signal': signal})\n"
        "main.main([])\n"
    )
    argv = [sys.executable, "-m", "module"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "envlock: interrupted; nothing was left half-written\n")


def test_what_is_no_signal_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> object:
        raise RuntimeError("a fault of envlock's")

    monkeypatch.setattr(main.cli, "make_context", failing)
    with pytest.raises(RuntimeError, match="a fault"):
        main.main([])
