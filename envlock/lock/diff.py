"""What differs between two locks. Pure.

Packages come in groups, each sorted by name: added, removed, of another version, of the same version with
other bytes, and with the same bytes recorded otherwise. Then every other table of the lockfile.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from envlock.core.digest import Digest
from envlock.lock.facts import TABLES, Facts, Listed, Value, tables
from envlock.lock.identity import environment_id
from envlock.lock.model import Lock, Package
from envlock.lock.tables import to_table

_IDENTITY = ("name", "version", "wheel")
# What older locks do not have: a lock in which no package has any does not know it.
_LATER: Final[dict[str, Any]] = {"content_digest": None, "licences": (), "dependencies": ()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A fact that differs: ``before`` or ``after`` is None where that lock has none."""

    subject: str
    before: str | None
    after: str | None
    note: str = ""
    """Why bytes differ, where the locks tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockDiff:
    """All differences, each tuple sorted by subject. ``tables`` holds only those that differ."""

    before: Digest
    """The environment-id."""
    after: Digest
    unchanged: int
    """Packages that are the same in all."""
    added: tuple[Change, ...] = ()
    removed: tuple[Change, ...] = ()
    versions: tuple[Change, ...] = ()
    bytes: tuple[Change, ...] = ()
    recorded: tuple[Change, ...] = ()
    tables: tuple[tuple[str, tuple[Change, ...]], ...] = ()

    @property
    def same_environment(self) -> bool:
        """Whether both have one environment-id."""
        return self.before == self.after

    @property
    def packages(self) -> tuple[tuple[str, tuple[Change, ...]], ...]:
        """The groups of packages by name, as they are shown."""
        names = ("added", "removed", "versions", "bytes", "recorded")
        return tuple((name, getattr(self, name)) for name in names)

    @property
    def empty(self) -> bool:
        """Whether nothing at all differs."""
        return self.same_environment and not self.tables and not any(group for _, group in self.packages)


def diff(a: Lock, b: Lock) -> LockDiff:
    """Return what changes from ``a`` to ``b``."""
    unknown = {field: none for field, none in _LATER.items() if not (_knows(a, field) and _knows(b, field))}
    before, after = ({one.name: replace(one, **unknown) for one in side.packages} for side in (a, b))
    both = [(before[name], after[name]) for name in sorted(before.keys() & after.keys())]
    ours, theirs = tables(a), tables(b)
    compared = ((name, _facts(ours[name], theirs[name])) for name in TABLES)
    return LockDiff(
        before=environment_id(a),
        after=environment_id(b),
        unchanged=sum(one == other for one, other in both),
        added=tuple(
            Change(subject=name, before=None, after=after[name].version)
            for name in sorted(after.keys() - before.keys())
        ),
        removed=tuple(
            Change(subject=name, before=before[name].version, after=None)
            for name in sorted(before.keys() - after.keys())
        ),
        versions=_changes(both, _version),
        bytes=_changes(both, _bytes),
        recorded=_changes(both, _recorded),
        tables=tuple((name, changes) for name, changes in compared if changes),
    )


def _knows(lock: Lock, field: str) -> bool:
    return any(getattr(package, field) for package in lock.packages)


def _changes(
    both: list[tuple[Package, Package]], compare: Callable[[Package, Package], Change | None]
) -> tuple[Change, ...]:
    return tuple(change for a, b in both if (change := compare(a, b)) is not None)


def _version(a: Package, b: Package) -> Change | None:
    return None if a.version == b.version else Change(subject=a.name, before=a.version, after=b.version)


def _bytes(a: Package, b: Package) -> Change | None:
    if a.version != b.version or a.wheel.sha256 == b.wheel.sha256:
        return None
    before, after = str(a.wheel.sha256), str(b.wheel.sha256)
    return Change(subject=f"{a.name} {a.version}", before=before, after=after, note=_why(a, b))


def _why(a: Package, b: Package) -> str:
    """Return the likeliest reason for other bytes: edited files, another origin, another wheel."""
    edited = {
        "edited": set(b.modified) - set(a.modified),
        "no longer edited": set(a.modified) - set(b.modified),
    }
    told = [f"{words}: {_some(sorted(files))}" for words, files in edited.items() if files]
    if a.source != b.source:
        told.append(f"source {a.source}, then {b.source}")
    if a.wheel.name != b.wheel.name:
        told.append(f"{a.wheel.name}, then {b.wheel.name}")
    return "; ".join(told)


def _some(names: list[str], shown: int = 3) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def _recorded(a: Package, b: Package) -> Change | None:
    """Tell what else is known of a package whose bytes are the same."""
    if a == b or (a.version, a.wheel.sha256) != (b.version, b.wheel.sha256):
        return None
    changes = _facts(dict(_entry(a)), dict(_entry(b)))
    before, after = (
        ", ".join(f"{one.subject} {side}" for one in changes if (side := getattr(one, name)) is not None)
        for name in ("before", "after")
    )
    return Change(subject=f"{a.name} {a.version}", before=before or None, after=after or None)


def _entry(package: Package) -> Iterator[tuple[str, Value]]:
    place = {"name": package.wheel.name, "url": package.wheel.url, "path": package.wheel.path}
    yield from ((key, value) for key, value in place.items() if value is not None)
    for key, value in to_table(package, without=_IDENTITY).items():
        yield key, str(value)


def _facts(before: Facts, after: Facts) -> tuple[Change, ...]:
    subjects = sorted(before.keys() | after.keys())
    return tuple(
        _change(subject, before.get(subject), after.get(subject))
        for subject in subjects
        if before.get(subject) != after.get(subject)
    )


def _change(subject: str, before: Value | None, after: Value | None) -> Change:
    if isinstance(before, frozenset) and isinstance(after, frozenset):
        before, after = before - after, after - before
    if isinstance(before, Listed) and isinstance(after, Listed) and before.version == after.version:
        before, after = before.rest or None, after.rest or None
    return Change(subject=subject, before=_text(before), after=_text(after))


def _text(value: Value | None) -> str | None:
    if isinstance(value, Listed):
        return value.version or value.rest
    return ", ".join(sorted(value)) or None if isinstance(value, frozenset) else value
