"""Answers about files, remembered for as long as the files stay as they were.

Rules kept here (docs/adr/0019-remembered-verification.md):

* An answer is kept with the observation of all files that it depends on, and with what the question
  is ``about`` besides. It is given again only when both are the same.
* It is kept only when the files were settled before the work and unchanged after it.
* Name, observation and answer are held together by one hash, so a damaged memory is no memory.
* There is one answer to a name: a new one takes its place, so a memory grows with the names alone.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from envlock.host.observation import Clock, Observation, observe

Answer = str | list[str]


class Memory:
    """The answers of one group of questions. Several threads may ask, each about names of its own."""

    def __init__(self, label: str, known: Mapping[str, object], clock: Clock = time.time_ns) -> None:
        """Begin with what was ``known``; ``label`` names the group, ``clock`` tells the time."""
        self._label = label
        self._known = known
        self._clock = clock
        self._kept: dict[str, object] = {}

    def observe(self, paths: Iterable[str]) -> Observation:
        """Look at the files that an answer depends on."""
        return observe(paths, self._clock)

    def recall(self, name: str, seen: Observation, about: str = "") -> Answer | None:
        """Return the answer to ``name`` where the files are as they were then."""
        match self._known.get(name):
            case [str(seal), str() | list() as answer] if seal == self._seal(name, about, seen, answer):
                return answer
        return None

    def keep(
        self, name: str, before: Observation, paths: Iterable[str], answer: Answer, about: str = ""
    ) -> None:
        """Keep ``answer``, which was found between ``before`` and now, if the files can vouch for it."""
        if self.observe(paths) == before:
            self.hold(name, before, answer, about)

    def hold(self, name: str, seen: Observation, answer: Answer, about: str = "") -> None:
        """Keep ``answer`` where what was ``seen`` had been settled, and known not to change meanwhile."""
        if seen.settled:
            self._kept[name] = [self._seal(name, about, seen, answer), answer]

    def answer(self, name: str, paths: Sequence[str], find: Callable[[], Answer], about: str = "") -> Answer:
        """Return the remembered answer, or the one that ``find`` gives, which is then kept."""
        before = self.observe(paths)
        known = self.recall(name, before, about)
        if known is not None:
            return known
        found = find()
        self.keep(name, before, paths, found, about)
        return found

    @property
    def kept(self) -> Mapping[str, object]:
        """What is worth knowing next time."""
        return {**self._known, **self._kept}

    @property
    def changed(self) -> bool:
        """Is it something else than what was known?"""
        return bool(self._kept)

    def _seal(self, name: str, about: str, seen: Observation, answer: object) -> str:
        text = json.dumps([self._label, name, about, seen.digest, answer])
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
