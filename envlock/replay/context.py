"""What runs had around their results: the facts that can explain why results are not the same.

Pure. The order is the order in which a person should look: what ran, from which seed, where.
"""

from dataclasses import dataclass

from envlock.runtime import told
from envlock.runtime.image import Gap
from envlock.runtime.record import RunRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A fact that is not the same in all records: its values in their order, None where not recorded."""

    subject: str
    values: tuple[str | None, ...]


def differences(records: tuple[RunRecord, ...]) -> tuple[Difference, ...]:
    """Return every fact in which the records differ."""
    facts = [_facts(record) for record in records]
    subjects = list(dict.fromkeys(subject for of_run in facts for subject in of_run))
    found = [Difference(subject=name, values=tuple(one.get(name) for one in facts)) for name in subjects]
    differing = [one for one in found if _differs(one)]
    # Other seeds, or seeds for other names: then all that comes of them differs, which says no more.
    seeded_alike = not _SEEDING & {one.subject for one in differing}
    tables = [*([_seeds, _splits] if seeded_alike else []), _reseedings, _variables, _operations]
    return tuple(
        differing + [one for table in tables for one in _rows([table(record) for record in records])]
    )


def suspects(records: tuple[RunRecord, ...]) -> tuple[Gap, ...]:
    """Return what ran in any of the runs and gives another result each time, whatever is the same."""
    found = {gap for record in records for gap in record.gaps if told.is_unrepeatable(gap)}
    for record in records:
        found.update(Gap(one.where, f"ran {one.operation}, {_NO_VARIANT}") for one in record.nondeterministic)
    return tuple(sorted(found))


_NO_VARIANT = "which has no deterministic variant"
_INPUT = "input "
_SEEDING = frozenset(("seed", "experiment", "trial", "seeding", "rank"))


def _facts(record: RunRecord) -> dict[str, str | None]:
    """Return the facts that each record has one value of."""
    host, manifest = record.host, record.manifest
    return {
        "environment": record.environment_id,
        "image": record.image_config,
        "lock": record.lock_sha256,
        "runtime": record.runtime or None,
        "code": record.code_commit,
        "command": " ".join(manifest.command),
        **{f"{_INPUT}{one.path}": one.sha256 for one in record.inputs},
        "experiment": manifest.experiment,
        "trial": str(manifest.trial),
        "seed": None if manifest.seed is None else str(manifest.seed),
        "seeding": f"{manifest.seeding.scheme}, ranks {manifest.seeding.ranks}",
        "rank": f"{record.rank.rank} of {record.rank.world}",
        "determinism": manifest.determinism.level,
        "cpu.isa": manifest.cpu.isa,
        "cpu.threads": None if manifest.cpu.threads is None else str(manifest.cpu.threads),
        "host machine": host.machine,
        "host cpu": f"{host.cpu_model} ({host.isa}, {host.cores} cores)",
        "host gpu": ", ".join(device.model for device in host.gpus) or "none",
        "gpu driver": host.driver,
        "kernel": host.kernel,
    }


def _differs(difference: Difference) -> bool:
    """Say whether a fact differs; one that a record lacks is no difference, an input that it lacks is."""
    known = set(difference.values)
    if not difference.subject.startswith(_INPUT):
        known.discard(None)
    return len(known) > 1


def _seeds(record: RunRecord) -> dict[str, str]:
    return {f"seed {seed.stream} ({seed.process})": str(seed.value) for seed in record.seeds}


def _reseedings(record: RunRecord) -> dict[str, str]:
    """Return what the job seeded itself; of several values at one line, the last as sorted."""
    return {f"{one.function} at {one.where} ({one.process})": one.value for one in record.reseedings}


def _splits(record: RunRecord) -> dict[str, str]:
    return {f"split {one.stream}": f"{one.sizes} {one.sha256[:12]}" for one in record.splits}


def _variables(record: RunRecord) -> dict[str, str]:
    """Return the manifest's variables and the determinism ones in force; what the user kept beats these."""
    values = dict(record.manifest.env)
    # The hash seed is a seed, and stands among them.
    values.update((name, value) for name, value in record.switches if name != "PYTHONHASHSEED")
    values.update((kept.name, kept.value) for kept in record.kept)
    return {f"variable {name}": value for name, value in values.items()}


def _operations(record: RunRecord) -> dict[str, str]:
    return {f"nondeterministic {one.operation}": one.where for one in record.nondeterministic}


def _rows(tables: list[dict[str, str]]) -> list[Difference]:
    """Return each name whose value is not the same in all tables; absence is a value here."""
    names = sorted(set().union(*tables))
    found = [Difference(subject=name, values=tuple(table.get(name) for table in tables)) for name in names]
    return [one for one in found if len(set(one.values)) > 1]
