"""Reading an environment out of an image, of which nothing runs but its Python interpreter.

The image's files lie in a directory. A process of envlock enters it (:mod:`envlock.capture.inside`) in
the namespaces of the embedded engine: mounts of its own, where the image is read-only, processes of its
own, no network, and no rights at all. There it reads files, and asks the image's interpreter, which has
the same namespaces, the image's variables and nothing of the caller's.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

from envlock.capture import transfer
from envlock.capture.base_contents import BaseContents
from envlock.core.progress import Progress
from envlock.engines import namespaces
from envlock.engines.configuration import ImageConfiguration
from envlock.host import process
from envlock.host.data import data
from envlock.host.files import scratch_directory
from envlock.lock.environment import Environment
from envlock.runtime.errors import EnvlockError, InputError, IntegrityError, UnreachableError, UsageError

Answer = TypeVar("Answer")

_ERRORS: Final[dict[str, type[EnvlockError]]] = {
    kind.__name__: kind for kind in (InputError, IntegrityError, UnreachableError, UsageError)
}
_SECONDS: Final = 3600.0
_SHARED_MEMORY: Final = 1 << 26
# The modules come from where this process has them, in whatever way envlock was installed or started.
_START: Final = "import sys; sys.path[:] = sys.argv[1:]; from envlock.capture import inside; inside.main()"


def read(
    root: Path, configuration: ImageConfiguration, python: Path | None, progress: Progress
) -> Environment:
    """Return the environment of the image whose files lie in ``root``; without facts of this machine.

    Raises UnreachableError where namespaces are forbidden, InputError when the image has no Python that
    can be asked.
    """
    request = {
        "root": str(root),
        "python": None if python is None else str(python),
        "command": [*configuration.entrypoint, *configuration.command],
        "variables": configuration.environment,
    }
    with progress.task("reading the image's environment", None):
        return _rooted(_asked(root, request, "environment", Environment), root)


def contents(
    root: Path, configuration: ImageConfiguration, minor: str, sonames: Sequence[str], progress: Progress
) -> BaseContents:
    """Return what the base in ``root`` brings of ``sonames`` and of Pythons like ``minor`` (``3.11``).

    Raises UnreachableError where namespaces are forbidden.
    """
    request = {
        "root": str(root),
        "minor": minor,
        "sonames": list(sonames),
        "variables": configuration.environment,
    }
    with progress.task("reading the base", None):
        return _asked(root, request, "contents", BaseContents)


def _asked(root: Path, request: Mapping[str, object], name: str, kind: type[Answer]) -> Answer:
    """Return the answer ``name`` of a process inside ``root``."""
    allowed = namespaces.available()
    places = [os.path.abspath(place) for place in sys.path]
    with scratch_directory() as scratch:
        temporary, started = scratch / "tmp", scratch / "started"
        temporary.mkdir()
        argv = (
            *allowed.outer(network=False),
            *(allowed.sh, str(data("templates/embedded.sh")), str(root), str(_SHARED_MEMORY), str(started)),
            *(str(temporary), "/tmp", "rw", "--"),  # noqa: S108 (the image's own)
            *(sys.executable, "-I", "-B", "-X", "utf8", "-c", _START, *places),
        )
        done = process.run(
            argv, env=namespaces.environment(), stdin=json.dumps(request).encode(), timeout=_SECONDS
        )
    try:
        answer = json.loads(done.stdout)
        if "error" in answer:
            raise _error(answer["error"])
        return transfer.loads(kind, answer[name])
    except (ValueError, KeyError, TypeError) as error:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise UnreachableError(
            "the image's environment could not be read",
            found=lines[-1] if lines else f"exit status {done.exit_code}",
        ) from error


def _error(parts: dict[str, Any]) -> EnvlockError:
    """Return the error that the process inside met."""
    kind = _ERRORS.get(str(parts.pop("class")), InputError)
    return kind(str(parts.pop("what")), **parts)


def _rooted(environment: Environment, root: Path) -> Environment:
    """Say where the files lie that later stages read."""
    host = environment.host_files
    return replace(
        environment,
        distributions=tuple(replace(one, root=root) for one in environment.distributions),
        host_files=None if host is None else replace(host, root=root),
    )
