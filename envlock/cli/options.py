"""Options that several commands share, so that each means the same everywhere."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from envlock.cli import trace
from envlock.runtime.errors import UsageError

Decorated = TypeVar("Decorated", bound=Callable[..., object])

DEFAULT_LOCK = Path("pylock.envlock.toml")


class RecordFile(click.Path):
    """A run record, or the directory of the one run that left it there: its ``--out``, or its records."""

    name = "record"

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Path:
        """Return the record's file. Raises UsageError."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if not path.is_dir():
            return path
        place = path if path.name == "records" else path / "records"
        found = sorted(place.glob("*.json"))
        if len(found) == 1:
            return found[0]
        raise UsageError(
            "not the directory of one run",
            where=str(path),
            expected=f"one record, {place}/*.json",
            found=f"{len(found)} of them",
            hint="name the record's file",
        )


def quiet(function: Decorated) -> Decorated:
    """Add ``--quiet``."""
    return click.option("-q", "--quiet", is_flag=True, help="No progress and no summary on standard error.")(
        function
    )


def verbose(function: Decorated) -> Decorated:
    """Add ``--verbose``, which acts by itself: the command is not told."""
    return click.option(
        "-v",
        "--verbose",
        is_flag=True,
        expose_value=False,
        callback=lambda _context, _parameter, wanted: trace.begin() if wanted else None,
        help="Also tell every request and every program that is run, on standard error.",
    )(function)


def as_json(function: Decorated) -> Decorated:
    """Add ``--json``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print the result as JSON on standard output."
    )(function)


def network(function: Decorated) -> Decorated:
    """Add ``--offline`` and ``--ca-bundle``."""
    function = click.option(
        "--ca-bundle",
        type=click.Path(exists=True, dir_okay=False),
        help="CA certificates for this command's own downloads (default: PIP_CERT, REQUESTS_CA_BUNDLE, "
        "SSL_CERT_FILE). Never baked into an image.",
    )(function)
    return click.option("--offline", is_flag=True, help="Ask no index; use what is on this machine.")(
        function
    )


def verify(function: Decorated) -> Decorated:
    """Add ``--verify``."""
    return click.option(
        "--verify",
        is_flag=True,
        help="Hash every installed file again, also those that have not changed since they were hashed.",
    )(function)


def target_python(function: Decorated) -> Decorated:
    """Add ``--python``."""
    return click.option(
        "--python",
        "python",
        type=click.Path(path_type=Path),
        help="The environment's interpreter, or its prefix (default: the active environment).",
    )(function)
