"""Taking the fingerprint of this host: one probe after another, each framework in a process of its own.

A probe runs under the variables, threads and switches of the job (the import hook acts in it as in the
job), needs nothing writable and no network, and has its own time limit. Whatever happens in one, a
missing library, a crash, an endless loop, is a failure of that framework alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time

from envlock.runtime import preflight
from envlock.runtime.fingerprint import agreement, document
from envlock.runtime.fingerprint.values import Fingerprint, FrameworkPrint
from envlock.runtime.image import Cpu

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from envlock.runtime.layout import Layout
    from envlock.runtime.options import Options
    from envlock.runtime.preparation import Prepared

# Seconds for one framework. TensorFlow takes 13 on a quiet machine, a minute from a cold disk.
TIMEOUT = 300
_SHOWN_DIGITS = 12
_PROBE = "envlock.runtime.fingerprint.probe"
# Suite → the distributions that bring its framework.
_SUITES = {
    "jax": ("jax",),
    "lightgbm": ("lightgbm",),
    "numpy": ("numpy",),
    "scipy": ("scipy",),
    "sklearn": ("scikit-learn",),
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-intel", "intel-tensorflow", "tf-nightly"),
    "torch": ("torch",),
    "torch_cuda": ("torch",),
    "xgboost": ("xgboost", "xgboost-cpu"),
}
_NEEDS_GPU = ("torch_cuda",)


def added(prepared: Prepared, given: Options, layout: Layout) -> Prepared:
    """Return ``prepared`` with this host's fingerprint and, with ``--against``, how it compares.

    Operations that differ are a reason of the verdict. Raises InputError for an unreadable FILE.
    """
    from envlock.runtime import preparation

    against = document.read(given.against) if given.against else None
    environ = preparation.job_environment(prepared, run="fingerprint", spool=None, trace=None, quiet=True)
    made = take(prepared, layout, environ, quiet=given.quiet)
    if against is None:
        return prepared.replace(fingerprint=made)
    compared = agreement.agree((against, made))
    verdict = prepared.verdict
    if compared.differing:
        reason = preflight.Reason(
            preflight.MAY_DIFFER, agreement.sentence(compared, os.path.basename(given.against or ""))
        )
        verdict = preflight.with_reason(verdict, reason)
    return prepared.replace(fingerprint=made, agreement=compared, verdict=verdict)


def take(prepared: Prepared, layout: Layout, environ: Mapping[str, str], *, quiet: bool) -> Fingerprint:
    """Return this host's fingerprint. Unless ``quiet``, tells each framework on standard error."""
    python = os.path.join(layout.environment, "bin", "python")
    found = []
    for suite in _suites(prepared):
        one = probed(suite, (python, "-m", _PROBE, suite), environ)
        found.append(one)
        if not quiet:
            sys.stderr.write(f"envlock: fingerprint: {told(one)}\n")
    asked = prepared.manifest
    host = prepared.host
    made = Fingerprint(
        cpu=Cpu(host.cpu_model, host.isa, host.cores),
        isa=asked.cpu.isa or "",
        threads=asked.cpu.threads or 0,
        level=asked.determinism.level,
        frameworks=tuple(sorted(found, key=lambda one: one.name)),
    )
    if not quiet and not found:
        sys.stderr.write("envlock: fingerprint: no framework of this image is known to it\n")
    elif not quiet:
        sys.stderr.write(f"envlock: fingerprint {made.digest[:_SHOWN_DIGITS]}: {made.count} operations\n")
    return made


def probed(
    suite: str, argv: Sequence[str], environ: Mapping[str, str], timeout: float = TIMEOUT
) -> FrameworkPrint:
    """Run the probe ``argv`` and return what it found before it ended, at most ``timeout`` seconds later."""
    begun = time.monotonic()
    lines, failure = _run(argv, environ, timeout)
    return _parsed(suite, lines, failure).replace(milliseconds=round((time.monotonic() - begun) * 1000))


def told(found: FrameworkPrint) -> str:
    """Return one line on what a framework computed."""
    parts = [f"{found.name} {found.version}".rstrip() + ":"]
    if found.failure:
        parts.append(f"{found.failure};")
    parts.append(f"{len(found.operations)} operations")
    if found.absent:
        parts.append(f"({len(found.absent)} not available)")
    parts.append(f"in {found.milliseconds / 1000:.1f} s")
    if found.kernels:
        parts.append(f"[{found.kernels}]")
    if found.unstable:
        parts.append(f"unstable: {agreement.named(found.unstable)}")
    return " ".join(parts)


def _suites(prepared: Prepared) -> Iterator[str]:
    packages = dict(prepared.image.packages)
    for suite, distributions in _SUITES.items():
        if any(name in packages for name in distributions) and (
            prepared.host.gpus or suite not in _NEEDS_GPU
        ):
            yield suite


def _run(argv: Sequence[str], environ: Mapping[str, str], timeout: float) -> tuple[bytes, str | None]:
    """Return what the probe told, and how it failed or None. It is gone, with its children, after this."""
    import subprocess

    # Inherited as ignored, a child's status would be lost.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        process = subprocess.Popen(
            argv,
            env=dict(environ),
            # `-m` puts the working directory on the path: not the job's, where a random.py may lie.
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        return b"", f"cannot start {argv[0]}: {error.strerror}"
    try:
        lines, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        _kill(process)
        return process.communicate()[0], f"stopped after {timeout:g} s"
    finally:
        _kill(process)
        process.wait()
    return lines, _ending(process.returncode)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)


def _ending(status: int) -> str | None:
    if status == 0:
        return None
    if status > 0:
        return f"ended with status {status}"
    return f"killed by {signal.Signals(-status).name}"


def _told(lines: bytes) -> Iterator[list[Any]]:
    """Yield what the probe told; what a start-up file of the environment printed before it is skipped."""
    for line in lines.split(b"\n")[:-1]:
        with contextlib.suppress(ValueError):
            found = json.loads(line)
            if isinstance(found, list):
                yield found


def _parsed(suite: str, lines: bytes, failure: str | None) -> FrameworkPrint:
    """Return what the lines of a probe say; a last line without its end is dropped."""
    made = FrameworkPrint(name=suite.replace("_", "."))
    hashes: dict[str, str] = {}
    absent: dict[str, str] = {}
    unstable = set()
    at = ""
    for kind, *fields in _told(lines):
        if kind == "framework":
            version, number, kernels = fields
            made = made.replace(version=version, list=number, kernels=kernels)
        elif kind == "failed":
            failure = fields[0]
        elif kind == "at":
            at = f" in {fields[0]}"
        elif kind == "absent":
            absent[fields[0]] = fields[1]
        elif kind == "hash" and hashes.setdefault(fields[0], fields[1]) != fields[1]:
            unstable.add(fields[0])
    return made.replace(
        failure=failure and failure + at,
        operations=tuple(sorted(hashes.items())),
        absent=tuple(sorted((name, kind) for name, kind in absent.items() if name not in hashes)),
        unstable=tuple(sorted({*unstable, *(hashes.keys() & absent.keys())})),
    )
