"""What differs between two locks. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from envlock.lock.identity import environment_id
from envlock.lock.model import Gpu, Lock, Package


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A fact that differs: ``before`` or ``after`` is None where that lock has none."""

    subject: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LockDiff:
    """All differences, each tuple sorted by subject.

    ``versions`` are packages of another version, ``bytes`` packages of the same version whose wheel
    has other bytes. ``environment`` is everything that is no Python package.
    """

    same_environment: bool
    """Both have one environment-id."""
    added: tuple[Change, ...] = ()
    removed: tuple[Change, ...] = ()
    versions: tuple[Change, ...] = ()
    bytes: tuple[Change, ...] = ()
    system: tuple[Change, ...] = ()
    environment: tuple[Change, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing at all differs."""
        parts = (self.added, self.removed, self.versions, self.bytes, self.system, self.environment)
        return self.same_environment and not any(parts)


def diff(a: Lock, b: Lock) -> LockDiff:
    """Return what changes from ``a`` to ``b``."""
    before = {one.name: one for one in a.packages}
    after = {one.name: one for one in b.packages}
    both = sorted(before.keys() & after.keys())
    return LockDiff(
        same_environment=environment_id(a) == environment_id(b),
        added=tuple(
            Change(subject=name, before=None, after=after[name].version)
            for name in sorted(after.keys() - before.keys())
        ),
        removed=tuple(
            Change(subject=name, before=before[name].version, after=None)
            for name in sorted(before.keys() - after.keys())
        ),
        versions=_changes((name, before[name].version, after[name].version) for name in both),
        bytes=_changes(_wheel_facts(before[name], after[name]) for name in both),
        system=_mappings(_system_packages(a), _system_packages(b)),
        environment=_mappings(_facts(a), _facts(b)),
    )


def _changes(facts: Iterator[tuple[str, str | None, str | None]]) -> tuple[Change, ...]:
    return tuple(Change(subject=s, before=a, after=b) for s, a, b in facts if a != b)


def _mappings(before: dict[str, str], after: dict[str, str]) -> tuple[Change, ...]:
    subjects = sorted(before.keys() | after.keys())
    return _changes((subject, before.get(subject), after.get(subject)) for subject in subjects)


def _wheel_facts(a: Package, b: Package) -> tuple[str, str | None, str | None]:
    same_version = a.version == b.version
    return a.name, *((str(a.wheel.sha256), str(b.wheel.sha256)) if same_version else (None, None))


def _system_packages(lock: Lock) -> dict[str, str]:
    return {f"{one.name}:{one.architecture}": one.version for one in lock.system_packages}


def _facts(lock: Lock) -> dict[str, str]:
    """Return the facts beside packages, each under the name that it has in the lockfile."""
    python, cpu = lock.python, lock.cpu
    facts = {
        "python": f"{python.implementation} {python.version} ({python.abi})",
        "python.build": python.build,
        "os": f"{lock.os.id} {lock.os.version}",
        "os.libc": lock.os.libc,
        "os.kernel": lock.os.kernel,
        "platform": lock.platform,
        "cpu": f"{cpu.model}, {cpu.isa}, {cpu.cores} cores",
        "cpu.blas": ", ".join(cpu.blas),
        "base": " ".join([lock.base.kind, lock.base.reference or ""]).strip(),
    }
    facts |= {f"cpu.threads.{name}": value for name, value in cpu.threads}
    facts |= {f"base.layers[{i}]": str(layer.diff_id) for i, layer in enumerate(lock.base.layers)}
    facts |= {f"cuda.{one.name} ({one.origin})": one.version for one in lock.cuda}
    facts |= {f"environment.{name}": value for name, value in lock.environment}
    return facts | _gpu_facts(lock.gpu) | _project_facts(lock)


def _gpu_facts(gpu: Gpu) -> dict[str, str]:
    facts = {
        f"gpu.devices[{i}]": f"{one.model}, {one.capability}, {one.memory} bytes, MIG {one.mig}"
        for i, one in enumerate(gpu.devices)
    }
    stated = {"gpu.driver": gpu.driver, "gpu.cuda": gpu.cuda}
    return facts | {name: value for name, value in stated.items() if value is not None}


def _project_facts(lock: Lock) -> dict[str, str]:
    if lock.project is None:
        return {}
    project = lock.project
    stated = {"project.commit": project.commit, "project.tree": project.tree and str(project.tree)}
    facts = {name: value for name, value in stated.items() if value}
    return {**facts, "project.dirty": str(project.dirty).lower()}
