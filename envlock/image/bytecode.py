"""Sources to bytecode, by the image's own interpreter, remembered by wheel.

Rules kept here:

* A unit (a wheel, envlock's runtime, the standard library) is cut into parts of at most 400 files in
  path order. Each part is one process of its own, which starts in one known state: its answer does
  not depend on the number of processes, nor on what else is compiled.
* What a unit yields is remembered under the unit's own identity, the base and the format; a blob
  counts only while it has the right bytes.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from envlock.core.digest import Digest
from envlock.core.progress import Advance, Progress
from envlock.host.store import Store
from envlock.image.interpreter import Interpreter
from envlock.runtime.errors import InputError

_FACT: Final = "bytecode"
_PART: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Python files of a zip archive: (member, path in the image), sorted by path."""

    archive: Path
    files: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What is compiled and remembered as one. ``identity`` names its bytes and where they go."""

    label: str
    identity: str
    opened: Callable[[], Sources]
    """Checks and lists the sources; called only when they must be compiled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    unit: Unit
    archive: Path
    files: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiler:
    """Compiles units. ``identity`` names the interpreter, which is ``prepared`` only when it is needed."""

    identity: str
    prepared: Callable[[], Interpreter]
    store: Store
    progress: Progress

    def key(self, unit: Unit) -> str:
        """Return a text with everything that decides the unit's bytecode."""
        return json.dumps([self.identity, _PART, unit.identity])

    def compiled(self, units: Sequence[Unit]) -> list[tuple[Digest, ...]]:
        """Return for each unit the zip archives in the store that hold its bytecode.

        A pyc stands there under its source's path in the image, without the leading slash. Raises
        what ``opened`` and the interpreter raise.
        """
        known = [self._known(unit) for unit in units]
        missing = [unit for unit, parts in zip(units, known, strict=True) if parts is None]
        made = self._made(missing)
        return [
            made[unit.identity] if parts is None else parts for unit, parts in zip(units, known, strict=True)
        ]

    def _known(self, unit: Unit) -> tuple[Digest, ...] | None:
        fact = self.store.fact(_FACT, self.key(unit))
        texts = None if fact is None else fact.get("parts")
        if not isinstance(texts, list):
            return None
        try:
            parts = tuple(Digest.parse(str(text)) for text in texts)
        except InputError:  # a fact that somebody damaged is no fact
            return None
        return parts if all(self.store.find(part) is not None for part in parts) else None

    def _made(self, units: Sequence[Unit]) -> dict[str, tuple[Digest, ...]]:
        parts = [part for unit in units for part in _parts(unit)]
        made: dict[str, list[Digest]] = {unit.identity: [] for unit in units}
        if parts:
            interpreter = self.prepared()
            total = sum(len(part.files) for part in parts)
            with self.progress.task("compile bytecode", total) as advance:
                for part, digest in self._spread(parts, interpreter, advance):
                    made[part.unit.identity].append(digest)
        for unit in units:
            value = {"parts": [str(digest) for digest in made[unit.identity]]}
            self.store.remember(_FACT, self.key(unit), value)
        return {identity: tuple(digests) for identity, digests in made.items()}

    def _spread(
        self, parts: Sequence[_Part], interpreter: Interpreter, advance: Advance
    ) -> Iterator[tuple[_Part, Digest]]:
        """Yield the parts in order, each with its archive. Threads are enough: they wait for processes."""
        pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
        try:
            for part, digest in zip(
                parts, pool.map(lambda part: self._compiled(part, interpreter), parts), strict=True
            ):
                advance(len(part.files))
                yield part, digest
        finally:
            pool.shutdown(cancel_futures=True)

    def _compiled(self, part: _Part, interpreter: Interpreter) -> Digest:
        answer = interpreter.compiled(part.archive, part.files, part.unit.label)
        with self.store.writing() as sink:
            sink.write(answer)
        return sink.digest


def _parts(unit: Unit) -> Iterator[_Part]:
    sources = unit.opened()
    for start in range(0, len(sources.files), _PART):
        yield _Part(unit=unit, archive=sources.archive, files=sources.files[start : start + _PART])
