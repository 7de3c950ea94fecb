"""``envlock``: the only place that turns an error into an exit status.

Exit statuses: 0 done; 1 the answer is no; 2 usage; 3 bad input; 4 out of reach; 5 integrity;
121 the entrypoint refused; 129 SIGHUP, the terminal is gone; 130 Ctrl-C; 143 SIGTERM; otherwise the
job's own.
"""

import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn, TextIO

import click
from click.shell_completion import shell_complete

from envlock import __version__
from envlock.runtime.errors import EnvlockError, UnreachableError, UsageError

_COMPLETE = "_ENVLOCK_COMPLETE"
# Order of the help page: the order in which a user meets them.
COMMANDS = {
    "capture": "Read a live environment into a lockfile.",
    "check": "Does the environment still match its lockfile?",
    "diff": "Compare two lockfiles.",
    "export": "A lockfile for other tools, or as one file for other machines.",
    "build": "Turn a lockfile into an OCI image, without a daemon.",
    "image-diff": "Which config, layers and files differ between two images, and why.",
    "run": "Run a job in the image, seeded and recorded.",
    "replay": "Run a recorded job again and compare.",
    "compare": "Are the results of runs the same, to the bit?",
    "seeds": "Show every seed that a manifest hands out.",
    "cache": "What the cache holds; take away what is no longer needed.",
    "completion": "Print the shell's completion script.",
}


class LazyGroup(click.Group):
    """A group that imports a command's file only when that command is asked for.

    ``envlock --help`` and ``envlock compare`` should not pay for requests, docker or rich.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names in the order of :data:`COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return the command, or None when there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"envlock.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the command list without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Capture a Python ML environment, rebuild it bit for bit, replay its runs.

    \b
    The main job:
      envlock capture                          the active environment -> pylock.envlock.toml
      envlock build -t team/exp:1              -> a reproducible OCI image
      envlock run --seed 42 -- python train.py
      envlock replay out/records/RECORD.json
      envlock compare A.json B.json
    """


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    # The default action would end the process between a temporary file and its removal.
    signal.signal(signal.SIGTERM, _terminated)
    # nohup has envlock go on when its terminal is gone.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _hung_up)
    _buffer_output()
    status = _status(argv)
    # Under `python -m`, CPython ends by SIGINT where one came within exec() (a dataclass was being made) and
    # no exec() ended since (run_eval_code_obj in CPython's Python/pythonrun.c).
    exec("")  # noqa: S102
    sys.exit(status)


def _buffer_output() -> None:
    """Give standard output the buffer that PYTHONUNBUFFERED takes away: a full disk takes a part unseen."""
    own = sys.__stdout__
    # Another stream in its place is whoever put it there to look after.
    if own is not None and own is sys.stdout and isinstance(own.buffer, io.RawIOBase):
        buffered = io.BufferedWriter(own.buffer)
        sys.stdout = io.TextIOWrapper(buffered, encoding=own.encoding, errors=own.errors, line_buffering=True)


def _status(argv: Sequence[str] | None) -> int:
    try:
        result = _invoke(sys.argv[1:] if argv is None else list(argv))
        sys.stdout.flush()
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except BrokenPipeError:
        # The reader (head, less) went away: what it read was right.
        _drop(sys.stdout)
        return 0
    except (EnvlockError, click.ClickException, OSError, KeyboardInterrupt, click.Abort) as error:
        text, status = _explained(error)
        click.echo(text, err=True)
        try:
            sys.stdout.flush()
        except OSError:
            _drop(sys.stdout)
        return status
    return result if isinstance(result, int) else 0


def _drop(*streams: TextIO) -> None:
    """Let what nobody can take go nowhere: the flush at exit must not complain."""
    for stream in streams:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _invoke(argv: list[str]) -> object:
    """Do what click's own ``main`` does, but let every error out: it would exit 1 on a closed pipe."""
    if instruction := os.environ.get(_COMPLETE):
        return shell_complete(cli, {}, "envlock", _COMPLETE, instruction)
    try:
        with cli.make_context("envlock", argv) as context:
            return cli.invoke(context)
    except RuntimeError as error:
        # Before Python 3.12 what a signal raises while a class is being made comes wrapped (`__set_name__`).
        if isinstance(error.__cause__, SystemExit | KeyboardInterrupt):
            raise error.__cause__ from None
        raise


def _explained(error: BaseException) -> tuple[str, int]:
    """Return what the user is told of ``error``, in one form for all, and the exit status."""
    match error:
        case EnvlockError():
            return error.render(), error.exit_code
        case click.exceptions.NoArgsIsHelpError():
            return error.format_message(), error.exit_code
        case click.ClickException():
            context = error.ctx if isinstance(error, click.UsageError) else None
            hint = f"{context.command_path} --help" if context else None
            return UsageError(error.format_message().rstrip("."), hint=hint).render(), error.exit_code
        case OSError():
            # What no command expected: a disk that fails, a file that vanished.
            told = UnreachableError(error.strerror or str(error), where=error.filename)
            return told.render(), told.exit_code
        case _:
            return "envlock: interrupted; nothing was left half-written", 130


def _hung_up(number: int, frame: FrameType | None) -> None:
    # The end of a progress display can't be written either, and would take the exit status with it.
    _drop(sys.stdout, sys.stderr)
    _terminated(number, frame)


def _terminated(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    # A terminal's end is told twice, and the second would end the clean-up.
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)
