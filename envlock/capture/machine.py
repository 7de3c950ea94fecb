"""What no file of the environment tells: the processor, the GPUs, the job's code, the process's variables.

It is asked anew for every lock, whatever is remembered of the rest.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from envlock.capture import cpu, graphics
from envlock.capture.project import read as read_project
from envlock.capture.python import Interpreter
from envlock.lock.model import Gap, Gpu, Lock

if TYPE_CHECKING:  # a lock that is remembered needs none of its many classes, which take 20 ms to make
    from envlock.lock.environment import Environment

Described = TypeVar("Described", bound="Environment | Lock")

_NAMED = 4


def with_machine(installed: Described, *, project: Path | None, environ: Mapping[str, str]) -> Described:
    """Return the environment with what only this machine can tell: processor, GPUs, the project's code.

    Libraries and thread settings stay those of the environment.
    """
    shown, unknown = _gpus(environ)
    code, unread = read_project(project, environ) if project is not None else (None, ())
    gaps: tuple[Gap, ...] = (*installed.gaps, *unknown, *unread)
    processor = cpu.read(installed.os.machine, environ)
    return replace(
        installed,
        cpu=replace(processor, blas=installed.cpu.blas, threads=installed.cpu.threads),
        gpu=shown,
        project=code,
        gaps=in_order(gaps),
    )


def _gpus(environ: Mapping[str, str]) -> tuple[Gpu, tuple[Gap, ...]]:
    """Ask NVML, which is slow to import, where there is something for it to tell."""
    if not graphics.may_answer():
        return Gpu(), graphics.unseen(environ)
    from envlock.capture import gpu  # noqa: PLC0415

    return gpu.read(import_module("pynvml"), environ)


def in_order(gaps: Iterable[Gap]) -> tuple[Gap, ...]:
    """Return each gap once, sorted."""
    return tuple(sorted(set(gaps), key=lambda gap: (gap.subject, gap.reason)))


def unseen(interpreter: Interpreter, environ: Mapping[str, str]) -> tuple[Gap, ...]:
    """Return a gap for code that a plain start of the interpreter would see and no package holds."""
    named = map(os.path.abspath, filter(None, environ.get("PYTHONPATH", "").split(os.pathsep)))
    outside = [path for path in map(Path, named) if path not in interpreter.path]
    if not outside:
        return ()
    # Seldom needed, and slow to import beside a lock that is remembered.
    from envlock.capture.source_tree import top_level  # noqa: PLC0415

    loose = sorted({one.name for path in outside for one in top_level(path)})
    if not loose:
        return ()
    more = f" and {len(loose) - _NAMED} more" if len(loose) > _NAMED else ""
    shown = ascii(", ".join(loose[:_NAMED]))[1:-1]
    return (Gap(subject="PYTHONPATH", reason=f"code on it was not captured: {shown}{more}"),)
