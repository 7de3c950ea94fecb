"""What has changed between a lock and the environment as it is now. Pure.

Grades, by the worst that a difference can do:

* ``breaks``: what the lock's jobs need is not there: a package, an interpreter of the same ABI, a GPU, a
  new enough driver, C library or processor.
* ``results``: the job runs, and its results may be others.
* ``none``: neither; told because the lock has it.

Only what the lock states is compared: a field that an older envlock did not record is no drift. The
project's code counts only where it was captured now, since it changes by design.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from envlock.lock.environment import Environment, InstalledDistribution
from envlock.lock.facts import device, is_older
from envlock.lock.model import Cpu, Gap, Gpu, Lock, Package

Grade = Literal["breaks", "results", "none"]
Part = Literal[
    "packages",
    "python",
    "os",
    "system-packages",
    "conda",
    "cuda",
    "libraries",
    "cpu",
    "gpu",
    "environment",
    "project",
]
GRADES: tuple[Grade, ...] = get_args(Grade)
PARTS: tuple[Part, ...] = get_args(Part)
# Facts of a package's origin that decide its bytes where no index has it.
_ORIGIN = ("commit", "tree")
_THREADS = "OMP_NUM_THREADS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One difference: ``locked`` or ``found`` is None where that side has nothing of the kind."""

    grade: Grade
    part: Part
    subject: str
    locked: str | None
    found: str | None
    files: tuple[str, ...] = ()
    """Of a package that was edited: which files."""


def drift(lock: Lock, now: Environment) -> tuple[Drift, ...]:
    """Return every difference, the gravest first, then in the order of the parts and by subject."""
    found = (
        *_packages(lock, now),
        *_python(lock, now),
        *_system(lock, now),
        *_cpu(lock, now.cpu),
        *_gpu(lock.gpu, now.gpu),
        *_variables(lock, now),
        *_project(lock, now),
    )
    order = (GRADES.index, PARTS.index)
    return tuple(sorted(found, key=lambda one: (order[0](one.grade), order[1](one.part), one.subject)))


def unchecked(lock: Lock, now: Environment) -> tuple[Gap, ...]:
    """Return what could not be read now and could be at capture: there, drift would go unseen."""
    known = {(gap.subject, gap.reason) for gap in lock.gaps}
    return tuple(gap for gap in now.gaps if not gap.harmless and (gap.subject, gap.reason) not in known)


def _packages(lock: Lock, now: Environment) -> Iterator[Drift]:
    locked = {package.name: package for package in lock.packages}
    found = {one.name: one for one in now.distributions}
    # What the capture left out (envlock itself, what can't be a wheel) stands in the gaps and is no drift.
    left_out = {gap.subject for gap in lock.gaps}
    for name in sorted(locked.keys() | (found.keys() - left_out)):
        before, after = locked.get(name), found.get(name)
        if before is None or after is None:
            yield Drift(
                grade="breaks" if after is None else "results",
                part="packages",
                subject=name,
                locked=before.version if before is not None else None,
                found=after.version if after is not None else None,
            )
        elif before.version != after.version:
            yield _drift("results", "packages", name, before.version, after.version)
        else:
            yield from _same_version(before, after)


def _same_version(before: Package, after: InstalledDistribution) -> Iterator[Drift]:
    """Yield how the bytes of one version differ: another commit, edited files, another build."""
    told = (*_other_origin(before, after), *_edits(before, after))
    yield from told
    if not told and _is_same_content(before, after) is False:
        digests = (str(before.content_digest), str(after.content_digest))
        yield _drift("results", "packages", f"{before.name} {before.version} files", *digests)


def _other_origin(before: Package, after: InstalledDistribution) -> Iterator[Drift]:
    locked, found = dict(before.origin), _origin(after)
    for key in _ORIGIN:
        if key in locked and key in found and locked[key] != found[key]:
            subject = f"{before.name} {before.version} {key}"
            yield _drift("results", "packages", subject, locked[key], found[key])


def _edits(before: Package, after: InstalledDistribution) -> Iterator[Drift]:
    edited = tuple(sorted(set(after.modified) - set(before.modified)))
    restored = tuple(sorted(set(before.modified) - set(after.modified)))
    if _is_same_content(before, after):
        # Installed from the lock: its wheel holds the files as they had been edited.
        restored = ()
    for files, was, now in (
        (edited, "as installed", "edited"),
        (restored, "edited", "as installed"),
        (_edited_again(before, after), "edited", "edited otherwise"),
    ):
        if files:
            count = f"{len(files)} {'file' if len(files) == 1 else 'files'}"
            yield Drift(
                grade="results",
                part="packages",
                subject=f"{before.name} {before.version}",
                locked=f"{count} {was}",
                found=now,
                files=files,
            )


def _is_same_content(before: Package, after: InstalledDistribution) -> bool | None:
    """Tell whether the same files are installed; None where one side does not know."""
    if after.editable or None in (before.content_digest, after.content_digest):
        return None
    return before.content_digest == after.content_digest


def _edited_again(before: Package, after: InstalledDistribution) -> tuple[str, ...]:
    """Return the files that were edited at capture and are others now; which of several, no lock tells."""
    known = before.modified_digest
    if known is None or known == after.modified_digest or set(before.modified) != set(after.modified):
        return ()
    return before.modified


def _origin(distribution: InstalledDistribution) -> dict[str, str]:
    direct = distribution.direct_url
    commit = {"commit": direct.commit} if direct is not None and direct.commit is not None else {}
    return {**commit, **dict(distribution.origin)}


def _python(lock: Lock, now: Environment) -> Iterator[Drift]:
    before, after = lock.python, now.python
    kinds = (f"{before.implementation} {before.abi}", f"{after.implementation} {after.abi}")
    yield from _pair("breaks", "python", "abi", *kinds)
    yield from _pair("results", "python", "version", before.version, after.version)
    yield from _pair("results", "python", "build", before.build, after.build)
    yield from _pair("none", "python", "kind of prefix", before.prefix_kind, after.prefix_kind)


def _system(lock: Lock, now: Environment) -> Iterator[Drift]:
    yield from _pair("breaks", "os", "machine", lock.os.machine, now.os.machine)
    libc: Grade = "breaks" if is_older(now.os.libc, lock.os.libc) else "results"
    yield from _pair(libc, "os", "libc", lock.os.libc, now.os.libc)
    names = (f"{lock.os.id} {lock.os.version}", f"{now.os.id} {now.os.version}")
    yield from _pair("none", "os", "distribution", *names)
    yield from _pair("none", "os", "kernel", lock.os.kernel, now.os.kernel)
    packed = now.host_files.packages if now.host_files is not None else ()
    if now.host_files is not None:
        locked = {f"{one.name}:{one.architecture}": one.version for one in lock.system_packages}
        found = {f"{one.package.name}:{one.package.architecture}": one.package.version for one in packed}
        yield from _pairs("results", "system-packages", locked, found)
    conda = ({one.name: f"{one.version} {one.build}" for one in side.conda} for side in (lock, now))
    yield from _pairs("breaks", "conda", *conda)
    versions = (
        _joined((one.name, f"{one.version} {one.origin}") for one in side.cuda) for side in (lock, now)
    )
    yield from _pairs("breaks", "cuda", *versions)
    yield from _libraries(dict(lock.libraries), dict(now.libraries))


def _libraries(locked: Mapping[str, str], found: Mapping[str, str]) -> Iterator[Drift]:
    """Yield libraries that are another's now. Those of packages come and go with them, and are told there."""
    for name in sorted(locked):
        if name in found:
            yield from _pair("results", "libraries", name, locked[name], found[name])
    for name in sorted(found.keys() - locked.keys()) if locked else ():
        if found[name] == "unowned":
            yield _drift("results", "libraries", name, None, found[name])


def _cpu(lock: Lock, now: Cpu) -> Iterator[Drift]:
    cpu = lock.cpu
    yield from _pair("results", "cpu", "model", cpu.model, now.model)
    # Names of the levels of one architecture sort as the levels do.
    yield from _pair("breaks" if now.isa < cpu.isa else "results", "cpu", "isa", cpu.isa, now.isa)
    gone, new = sorted(set(cpu.flags) - set(now.flags)), sorted(set(now.flags) - set(cpu.flags))
    if cpu.flags and (gone or new):
        yield _drift("results", "cpu", "flags", " ".join(gone) or None, " ".join(new) or None)
    # Kernels share work by the number of threads, which is that of the cores where nothing sets it.
    pinned = _THREADS in dict(lock.environment) or _THREADS in dict(cpu.threads)
    yield from _pair("none" if pinned else "results", "cpu", "cores", str(cpu.cores), str(now.cores))
    if cpu.blas:
        yield from _pair("results", "cpu", "blas", ", ".join(cpu.blas), ", ".join(now.blas) or None)


def _gpu(gpu: Gpu, now: Gpu) -> Iterator[Drift]:
    yield from _pair("results", "gpu", "driver", gpu.driver, now.driver)
    older = gpu.cuda is not None and (now.cuda is None or is_older(now.cuda, gpu.cuda))
    yield from _pair("breaks" if older else "results", "gpu", "cuda of the driver", gpu.cuda, now.cuda)
    weaker = len(now.devices) < len(gpu.devices) or any(
        is_older(b.capability, a.capability) for a, b in zip(gpu.devices, now.devices, strict=False)
    )
    names = ("; ".join(map(device, side.devices)) or None for side in (gpu, now))
    yield from _pair("breaks" if weaker else "results", "gpu", "devices", *names)
    if gpu.topology:
        yield from _pairs("results", "gpu", dict(gpu.topology), dict(now.topology))


def _variables(lock: Lock, now: Environment) -> Iterator[Drift]:
    locked = {**dict(lock.cpu.threads), **dict(lock.environment)}
    found = {**dict(now.cpu.threads), **dict(now.variables)}
    yield from _pairs("results", "environment", locked, found)


def _project(lock: Lock, now: Environment) -> Iterator[Drift]:
    if lock.project is None or now.project is None:
        return
    before, after = lock.project, now.project
    trees = (str(side.tree) if side.tree is not None else None for side in (before, after))
    yield from _pair("results", "project", "tree", *trees)
    yield from _pair("none", "project", "commit", before.commit, after.commit)


def _pairs(grade: Grade, part: Part, locked: Mapping[str, str], found: Mapping[str, str]) -> Iterator[Drift]:
    """Yield the names whose values differ. ``grade`` is that of one that is gone; others change results."""
    for name in sorted(locked.keys() | found.keys()):
        yield from _pair(
            grade if name not in found else "results", part, name, locked.get(name), found.get(name)
        )


def _pair(grade: Grade, part: Part, subject: str, locked: str | None, found: str | None) -> Iterator[Drift]:
    if locked != found:
        yield _drift(grade, part, subject, locked, found)


def _drift(grade: Grade, part: Part, subject: str, locked: str | None, found: str | None) -> Drift:
    return Drift(grade=grade, part=part, subject=subject, locked=locked, found=found)


def _joined(facts: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return name → all its values: of one CUDA library two versions may lie in an environment."""
    found: dict[str, list[str]] = {}
    for name, value in facts:
        found.setdefault(name, []).append(value)
    return {name: ", ".join(sorted(values)) for name, values in found.items()}
