"""The image's entrypoint: resolve, check, run the job, record (docs/image.md, docs/runtime.md).

It imports no framework and speaks on standard error only: one line that says seed and record, then
warnings; nothing with ``--quiet`` but refusals. Its own refusals exit 121; otherwise its status is
the job's. A record in state ``running`` is written before the job and replaced after it; where it
can't be written, the job runs all the same and a warning says so.
"""

from __future__ import annotations

import os
import signal
import sys

from envlock.runtime import options, preparation, report
from envlock.runtime.errors import EnvlockError, RefusedError
from envlock.runtime.layout import Layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from envlock.runtime.options import Options
    from envlock.runtime.preparation import Prepared

_IMAGE = Layout()
REFUSED = RefusedError.exit_code
_TERMINATED = 128 + signal.SIGTERM
_INTERRUPTED = 128 + signal.SIGINT


def main(argv: Sequence[str] | None = None, layout: Layout = _IMAGE) -> NoReturn:
    """Run the command line ``argv`` (without the program's name) and exit with its status."""
    # Process 1 has no default action for SIGTERM: without a handler it could not be stopped yet.
    signal.signal(signal.SIGTERM, _terminated)
    try:
        status = _run(sys.argv[1:] if argv is None else argv, layout)
    except EnvlockError as error:
        sys.stderr.write(f"{error.render()}\n")
        status = REFUSED
    except KeyboardInterrupt:
        status = _INTERRUPTED
    sys.exit(status)


def _run(argv: Sequence[str], layout: Layout) -> int:
    given = options.parse(argv, os.environ)
    if given.help:
        sys.stdout.write(options.USAGE)
        return 0
    # Only this process may import what the image carries for it; the job never sees the directory.
    sys.path.append(layout.library)
    prepared = preparation.prepare(given, os.environ, layout)
    if given.fingerprint:
        prepared = _with_fingerprint(prepared, given, layout)
    if given.check:
        return report.check(prepared, given)
    if not prepared.manifest.command:
        return report.without_command(prepared, given)
    preparation.refuse(prepared)
    from envlock.runtime import session

    return session.run(prepared, given, layout)


def _with_fingerprint(prepared: Prepared, given: Options, layout: Layout) -> Prepared:
    """Take this host's fingerprint, unless the run would be refused whatever comes out."""
    from envlock.runtime.fingerprint import taking

    if prepared.manifest.command and not given.check:
        preparation.refuse(prepared)
    return taking.added(prepared, given, layout)


def _terminated(*_: object) -> NoReturn:
    sys.exit(_TERMINATED)
