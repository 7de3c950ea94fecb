"""What the commands that run an image share: options, their values, a command line after ``--``."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from envlock.cli import terminal
from envlock.core.progress import Progress
from envlock.engines import nvidia, select
from envlock.engines.engine import Engine, Job
from envlock.host import streams
from envlock.host.store import Store, default_root
from envlock.replay.run import Numerics
from envlock.runtime.errors import EnvlockError, RefusedError

Decorated = TypeVar("Decorated", bound=Callable[..., object])

_WORDS = "envlock.words"
_LACKS_DASHES = ". Put -- before a command: envlock run -- python train.py"


class JobCommand(click.Command):
    """A command that takes the job's own words after ``--``, untouched by option parsing."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep what follows the first ``--`` for :func:`words`."""
        split = args.index("--") if "--" in args else len(args)
        ctx.meta[_WORDS] = tuple(args[split + 1 :])
        return super().parse_args(ctx, args[:split])


class _Refused(click.UsageError):
    """A wrong command line whose status can't be taken for the job's."""

    exit_code = RefusedError.exit_code


class RunCommand(JobCommand):
    """Reports its own failures as 121, as 1 to 5 may be the job's (docs/cli.md)."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, with a hint for a command that lacks its ``--``."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            hint = _LACKS_DASHES if "unexpected extra argument" in error.message else ""
            raise _Refused(error.format_message() + hint, ctx) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Turn every error of envlock's own into a refusal."""
        try:
            return super().invoke(ctx)
        except RefusedError:
            raise
        except EnvlockError as error:
            raise RefusedError(
                error.what, where=error.where, expected=error.expected, found=error.found, hint=error.hint
            ) from error


def words() -> tuple[str, ...]:
    """Return what followed ``--`` on the command line."""
    found: tuple[str, ...] = click.get_current_context().meta[_WORDS]
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The engine, the image and the user that the options name."""

    engine: str
    image: str | None
    user: str | None

    def open(self, progress: Progress) -> Engine:
        """Return the engine with its image ready."""
        reference = self.image or select.default_reference(Path())
        store = Store(default_root(os.environ))
        # Only while it is made ready: a job may take days, and its engine has a lease on what it needs.
        with store.used():
            return select.prepare(self.engine, reference, store, progress)

    def job(self, environment: tuple[tuple[str, str], ...] = ()) -> Job:
        """Return what every job of this command line has."""
        return Job(
            environment=environment,
            user=self.user,
            gpus=nvidia.present(Path("/")),
            tty=streams.is_terminal(),
            shm_size=_half_of_memory(),
        )


def announce(numerics: Numerics) -> None:
    """Say on standard error why the job does not begin at once."""
    if numerics.arguments:
        terminal.err.print("[dim]taking this host's numerics fingerprint first[/]")


def options(function: Decorated) -> Decorated:
    """Add ``--image``, ``--engine``, ``--user`` and ``--work``."""
    for option in (
        click.option(
            "--work",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            default=Path(),
            help="Directory that the job sees as /work (default: the current one).",
        ),
        click.option(
            "--user", metavar="UID[:GID]", help="Run as this user (default: what is written is yours)."
        ),
        click.option(
            "--engine",
            type=click.Choice(select.ENGINES),
            default="embedded",
            show_default=True,
            help="embedded needs only Linux; docker asks the engine at DOCKER_HOST; podman is the program.",
        ),
        click.option(
            "--image",
            metavar="IMAGE",
            help="oci:DIR, oci-archive:FILE, docker-archive:FILE, docker:TAG or podman:TAG "
            "(default: .envlock/image, where envlock build puts it).",
        ),
    ):
        function = option(function)
    return function


def _half_of_memory() -> int:
    """Return the bytes that /dev/shm may take: the kernel's own default for a tmpfs (tmpfs(5)).

    Docker's 64 MB are too few for the workers of a DataLoader.
    """
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
