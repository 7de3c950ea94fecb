"""What the entrypoint says: the one line of a run, its warnings, ``--check``, the introduction."""

from __future__ import annotations

import os
import sys

from envlock.runtime import options
from envlock.runtime.errors import RefusedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from envlock.runtime.fingerprint.agreement import Agreement
    from envlock.runtime.image import Image
    from envlock.runtime.options import Options
    from envlock.runtime.preparation import Prepared


def opening(prepared: Prepared, given: Options, path: str, unwritable: str | None) -> str:
    """Return the line that a run begins with, and a line for each warning."""
    asked = prepared.manifest
    lines = [f"envlock: {_seed(prepared)}, experiment {asked.experiment}, trial {asked.trial}"]
    if prepared.rank.world > 1:
        lines[0] += f", rank {prepared.rank.rank} of {prepared.rank.world}"
    if unwritable is None:
        lines[0] += f", record {path}"
    else:
        lines.append(f"envlock: the run goes on without a record: cannot write {path}: {unwritable}")
    lines += [_kept(*one) for one in prepared.resolution.kept]
    lines += [f"envlock: {one.text}" for one in prepared.verdict.reasons if one.grade in _TOLD]
    lines += [f"envlock: {line}" for line in _beside_reasons(prepared, given)]
    return "".join(f"{line}\n" for line in lines)


def unfinished(path: str, reason: str) -> str:
    """Return the warning for a record that could not be replaced at the end."""
    return f"envlock: the run record could not be finished and says `running`: {path}: {reason}\n"


def check(prepared: Prepared, given: Options) -> int:
    """Print how this host compares; return 0, or 121 where a run would be refused.

    1 where the fingerprint that it is compared with has other hashes.
    """
    from envlock.runtime import preparation

    sys.stdout.write(f"{prepared.verdict.grade}\n")
    for reason in prepared.verdict.reasons:
        sys.stdout.write(f"  {reason.grade}: {reason.text}\n")
    for line in _beside_reasons(prepared, given):
        sys.stdout.write(f"  {line}\n")
    preparation.refuse(prepared)
    if prepared.verdict.grade == "will not run":
        return RefusedError.exit_code
    return _status(prepared.agreement)


def without_command(prepared: Prepared, given: Options) -> int:
    """Print the fingerprint, where one was taken, else what the image is; return the exit status.

    Unless ``--quiet``, standard error tells how the fingerprint compares.
    """
    if prepared.fingerprint is None:
        sys.stdout.write(introduction(prepared.image))
        return 0
    from envlock.runtime.fingerprint import document

    sys.stdout.write(document.to_json(prepared.fingerprint))
    for line in () if given.quiet else _agreement(prepared, given):
        sys.stderr.write(f"envlock: {line}\n")
    return _status(prepared.agreement)


def introduction(image: Image) -> str:
    """Return what an image says of itself when it is run without a command."""
    packages = dict(image.packages)
    known = [f"{name} {packages[name]}" for name in _SHOWN if name in packages]
    lines = [
        "An environment captured by envlock.",
        "",
        f"  environment  {image.environment_id}",
        f"  python       {image.python_version} ({image.python_implementation})",
        f"  packages     {len(packages)}{': ' if known else ''}{', '.join(known)}",
        f"  captured on  {image.cpu.model or image.machine} ({image.cpu.isa}, {image.cpu.cores} cores)",
        "  lock         /opt/envlock/pylock.envlock.toml",
        "",
    ]
    return "\n".join(lines) + "\n" + options.USAGE


def _beside_reasons(prepared: Prepared, given: Options) -> list[str]:
    """Return what of the agreement is not told by the verdict's reasons already."""
    lines = _agreement(prepared, given)
    return lines[1:] if prepared.agreement and prepared.agreement.differing else lines


def _status(agreement: Agreement | None) -> int:
    return 1 if agreement and agreement.differing else 0


def _agreement(prepared: Prepared, given: Options) -> list[str]:
    """Return how the fingerprints compare, a line each for what weakens the comparison."""
    found = prepared.agreement
    if found is None:
        return []
    from envlock.runtime.fingerprint import agreement

    lines = [agreement.sentence(found, os.path.basename(given.against or ""))]
    return [*lines, *(f"not the same in the fingerprints: {note}" for note in found.notes)]


_SHOWN = ("numpy", "scipy", "scikit-learn", "pandas", "torch", "tensorflow", "tensorflow-cpu", "jax")
_TOLD = ("numerics may differ", "will not run")


def _seed(prepared: Prepared) -> str:
    from envlock.runtime import decimals

    text = decimals.to_text(prepared.manifest.seed or 0)
    return f"seed {text} (drawn; repeat with --seed {text})" if prepared.seed_drawn else f"seed {text}"


def _kept(name: str, value: str, wanted: str) -> str:
    aim = f"{name}={wanted}" if wanted else f"no {name}"
    return f"envlock: {name}={value} was set by the user and is kept; this run wanted {aim}"
