"""The one error hierarchy of envlock; each class carries the exit status that it ends in.

It stands in ``runtime`` because the entrypoint inside the image raises from it too.
Exit statuses are those of the command line's contract (docs/cli.md).
"""

from __future__ import annotations


class EnvlockError(Exception):
    """Something that the user is told in one message: what failed, where, expected, found, hint."""

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        expected: str | None = None,
        found: str | None = None,
        hint: str | None = None,
    ) -> None:
        """Keep each part apart, so that ``--json`` can print them as fields."""
        super().__init__(what)
        self.what = what
        self.where = where
        self.expected = expected
        self.found = found
        self.hint = hint

    def __str__(self) -> str:
        """Return ``what: where: expected …, found …`` without the hint."""
        parts = [part for part in (self.what, self.where) if part]
        facts = []
        if self.expected is not None:
            facts.append(f"expected {self.expected}")
        if self.found is not None:
            facts.append(f"found {self.found}")
        if facts:
            parts.append(", ".join(facts))
        return ": ".join(parts)

    def render(self) -> str:
        """Return the whole text for a terminal, the hint on a line of its own."""
        text = f"envlock: {self}"
        return f"{text}\nhint: {self.hint}" if self.hint else text


class UsageError(EnvlockError):
    """The command line itself is wrong."""

    exit_code = 2


class InputError(EnvlockError):
    """A file that the user gave (lock, manifest, record, wheel) can't be used."""

    exit_code = 3


class UnreachableError(EnvlockError):
    """The network, a registry or an engine did not answer."""

    exit_code = 4


class IntegrityError(EnvlockError):
    """Bytes do not have the hash that they must have."""

    exit_code = 5


class RefusedError(EnvlockError):
    """The entrypoint, or ``envlock run`` before it, refused to start the job."""

    exit_code = 121
