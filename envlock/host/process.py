"""Starting other programs: the one place that does."""

import logging
import os
import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from envlock.runtime import masking
from envlock.runtime.errors import UnreachableError

_LOG = logging.getLogger(__name__)
_WIDTH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """How a program ended and what it wrote."""

    exit_code: int
    stdout: bytes
    stderr: bytes


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: bytes = b"",
    timeout: float | None = None,
) -> Completed:
    """Run ``argv`` to its end and return all that it wrote. A non-zero exit is not an error here.

    Raises UnreachableError when the program can't be started or takes longer than ``timeout`` seconds.
    """
    begun = time.monotonic()
    try:
        done = subprocess.run(
            list(argv), env=env, cwd=cwd, input=stdin, capture_output=True, timeout=timeout, check=False
        )
    except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
        raise UnreachableError("cannot start", where=argv[0], found=os.strerror(error.errno or 0)) from error
    except subprocess.TimeoutExpired as error:
        raise UnreachableError(
            "took too long",
            where=argv[0],
            expected=f"an end within {timeout:g} seconds",
            found="still running",
        ) from error
    if _LOG.isEnabledFor(logging.DEBUG):
        took = time.monotonic() - begun
        _LOG.debug("%s: exit status %d after %.3f s", _line(argv), done.returncode, took)
    return Completed(exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr)


def _line(argv: Sequence[str]) -> str:
    """Return the command as one line: of a script only its beginning, and no secrets."""
    text = shlex.join(word.partition("\n")[0] for word in masking.command(tuple(argv)))
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
