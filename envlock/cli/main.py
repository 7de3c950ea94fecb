"""``envlock``: the only place that turns an error into an exit status.

Exit statuses: 0 done; 1 the answer is no; 2 usage; 3 bad input; 4 out of reach; 5 integrity;
121 the entrypoint refused; 130 Ctrl-C; 143 SIGTERM; otherwise the job's own.
"""

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import click

from envlock import __version__
from envlock.runtime.errors import EnvlockError

# Order of the help page: the order in which a user meets them.
COMMANDS = {
    "capture": "Read a live environment into a lockfile.",
    "check": "Does the environment still match its lockfile?",
    "diff": "Compare two lockfiles.",
    "build": "Turn a lockfile into an OCI image, without a daemon.",
    "run": "Run a job in the image, seeded and recorded.",
    "replay": "Run a recorded job again and compare.",
    "compare": "Are the results of runs the same, to the bit?",
    "seeds": "Show every seed that a manifest hands out.",
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
        module = importlib.import_module(f"envlock.cli.{cmd_name}")
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
    """  # noqa: D301 - \b is click's mark for a paragraph that is not rewrapped


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    # The default action would end the process between a temporary file and its removal.
    signal.signal(signal.SIGTERM, _terminated)
    sys.exit(_status(argv))


def _status(argv: Sequence[str] | None) -> int:
    try:
        result = cli.main(args=argv, prog_name="envlock", standalone_mode=False)
        sys.stdout.flush()
    except EnvlockError as error:
        click.echo(error.render(), err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("envlock: interrupted; nothing was left half-written", err=True)
        return 130
    except BrokenPipeError:
        # The reader (head, less) went away: what it read was right. The flush at exit must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return result if isinstance(result, int) else 0


def _terminated(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise SystemExit(128 + number)
