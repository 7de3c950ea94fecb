"""The command line of an image: ``docker run IMAGE [OPTIONS] [--] COMMAND…`` (docs/image.md).

Each option has a variable: a flag beats a variable beats the manifest. Options end at the first word
that is none, or at ``--``; what follows is the job's, untouched. An empty variable counts as unset.
"""

from __future__ import annotations

from envlock.runtime import decimals, names
from envlock.runtime.errors import RefusedError
from envlock.runtime.manifest import LEVELS, TRACES, Manifest
from envlock.runtime.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_VALUED = {
    "--seed": "ENVLOCK_SEED",
    "--trial": "ENVLOCK_TRIAL",
    "--experiment": "ENVLOCK_EXPERIMENT",
    "--manifest": "ENVLOCK_MANIFEST",
    "--determinism": "ENVLOCK_DETERMINISM",
    "--trace": "ENVLOCK_TRACE",
    "--record": "ENVLOCK_RECORD",
    "--against": "ENVLOCK_AGAINST",
}
_FLAGS = {
    "--check": "ENVLOCK_CHECK",
    "--fingerprint": "ENVLOCK_FINGERPRINT",
    "--help": "",
    "--quiet": "ENVLOCK_QUIET",
}
_FALSE = ("", "0", "false", "no", "off")

USAGE = """\
Usage: docker run IMAGE [OPTIONS] [--] COMMAND…

  --seed N             master seed, an integer of at least 0 (drawn and printed when there is none)
  --trial N            trial of the experiment, from 0
  --experiment NAME    experiment that the seeds belong to
  --manifest FILE      run manifest, YAML or JSON
  --determinism LEVEL  strict (refuse) | warn (deterministic variants on, the rest recorded) | none
  --trace LEVEL        none | steps | modules | ops: write down what is computed, for envlock compare
  --record FILE        where the run record goes (default: /out/records)
  --check              say how this host compares with the captured one, and run nothing
  --fingerprint        hash what the frameworks compute on this host: into the run record, or, without
                       a command, as JSON to standard output
  --against FILE       take the fingerprint and compare it with the one in FILE, a run record or what
                       --fingerprint printed; without a command the exit status is 1 where they differ
  --quiet              say nothing on standard error but refusals
  --help               this text

Each option has a variable (ENVLOCK_SEED, ENVLOCK_MANIFEST …); a flag beats a variable beats the
manifest. The exit status is the job's; 121 means that envlock refused to start it.
"""


class Options(Value):
    """What the command line and the variables ask for; None: not said."""

    seed: int | None = None
    trial: int | None = None
    experiment: str | None = None
    manifest: str | None = None
    level: str | None = None
    trace: str | None = None
    record: str | None = None
    check: bool = False
    fingerprint: bool = False
    against: str | None = None
    help: bool = False
    quiet: bool = False
    command: tuple[str, ...] = ()

    def applied_to(self, found: Manifest) -> Manifest:
        """Return the manifest as these options change it."""
        determinism = found.determinism
        return found.replace(
            seed=found.seed if self.seed is None else self.seed,
            trial=found.trial if self.trial is None else self.trial,
            experiment=found.experiment if self.experiment is None else self.experiment,
            determinism=determinism.replace(
                level=self.level or determinism.level, trace=self.trace or determinism.trace
            ),
            command=self.command or found.command,
        )


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> Options:
    """Return the options of ``argv`` (without the program's name) and ``environ``.

    Raises RefusedError for an unknown option, a missing value or one that can't be used.
    """
    given, flags, command = _split(list(argv))
    for option, variable in _VALUED.items():
        if option not in given and environ.get(variable):
            given[option] = (variable, environ[variable])
    switches = {
        option: option in flags or environ.get(variable, "").lower() not in _FALSE
        for option, variable in _FLAGS.items()
    }
    return Options(
        seed=_number(given.get("--seed")),
        trial=_number(given.get("--trial")),
        experiment=_name(given.get("--experiment")),
        manifest=_text(given.get("--manifest")),
        level=_one_of(LEVELS, given.get("--determinism")),
        trace=_one_of(TRACES, given.get("--trace")),
        record=_text(given.get("--record")),
        check=switches["--check"],
        fingerprint=switches["--fingerprint"] or bool(given.get("--against")),
        against=_text(given.get("--against")),
        help=switches["--help"],
        quiet=switches["--quiet"],
        command=tuple(command),
    )


def _split(words: list[str]) -> tuple[dict[str, tuple[str, str]], set[str], list[str]]:
    """Return ({option: (where it was said, value)}, flags, command)."""
    given: dict[str, tuple[str, str]] = {}
    flags: set[str] = set()
    while words and words[0].startswith("-") and words[0] != "--":
        option, equals, value = words.pop(0).partition("=")
        if option in _VALUED:
            if not equals and not words:
                raise RefusedError("an option lacks its value", where=option, hint=f"{option} VALUE")
            given[option] = (option, value if equals else words.pop(0))
        elif option in _FLAGS and not equals:
            flags.add(option)
        else:
            raise RefusedError(
                "unknown option",
                where=option,
                expected=", ".join(sorted({*_VALUED, *_FLAGS})),
                hint="put -- before the command if this option is the job's own",
            )
    return given, flags, words[1:] if words and words[0] == "--" else words


def _number(given: tuple[str, str] | None) -> int | None:
    if given is None:
        return None
    value = decimals.from_text(given[1])
    if value is None:
        raise RefusedError(
            "not a number", where=given[0], expected="an integer of at least 0", found=repr(given[1])
        )
    return value


def _text(given: tuple[str, str] | None) -> str | None:
    return None if given is None else given[1]


def _name(given: tuple[str, str] | None) -> str | None:
    if given is None:
        return None
    problem = names.problem(given[1])
    if problem:
        raise RefusedError("not an experiment's name", where=given[0], found=problem)
    return given[1]


def _one_of(levels: tuple[str, ...], given: tuple[str, str] | None) -> str | None:
    if given is None:
        return None
    if given[1] not in levels:
        raise RefusedError("unknown level", where=given[0], expected=" | ".join(levels), found=repr(given[1]))
    return given[1]
