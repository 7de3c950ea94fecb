"""The command line of an image."""

import pytest

from envlock.runtime import options
from envlock.runtime.errors import RefusedError
from envlock.runtime.manifest import Determinism, Manifest
from envlock.runtime.options import Options


def test_every_option_is_read() -> None:
    argv = "--seed 42 --trial=3 --experiment demo --manifest run.yaml --determinism strict --trace ops"
    found = options.parse(
        [*argv.split(), "--record", "r.json", "--check", "--quiet", "--help", "python", "--seed", "1"], {}
    )
    assert found == Options(
        seed=42,
        trial=3,
        experiment="demo",
        manifest="run.yaml",
        level="strict",
        trace="ops",
        record="r.json",
        check=True,
        help=True,
        quiet=True,
        command=("python", "--seed", "1"),
    )


def test_a_flag_beats_a_variable() -> None:
    environ = {"ENVLOCK_SEED": "1", "ENVLOCK_TRIAL": "2", "ENVLOCK_QUIET": "1", "ENVLOCK_CHECK": "0"}
    found = options.parse(["--seed", "3"], {**environ, "ENVLOCK_EXPERIMENT": ""})
    assert found == Options(seed=3, trial=2, quiet=True)


def test_options_beat_the_manifest_and_leave_the_rest() -> None:
    found = Manifest(seed=1, trial=2, experiment="a", command=("x",), determinism=Determinism(trace="ops"))
    assert Options().applied_to(found) == found
    assert Options(trace="steps").applied_to(found).determinism == Determinism(trace="steps")
    changed = Options(seed=0, trial=0, experiment="b", level="none", command=("y",)).applied_to(found)
    assert changed == Manifest(
        seed=0, experiment="b", command=("y",), determinism=Determinism(level="none", trace="ops")
    )


def test_comparing_fingerprints_takes_one() -> None:
    assert options.parse(["--fingerprint"], {}) == Options(fingerprint=True)
    assert options.parse(["--against", "r.json"], {}) == Options(fingerprint=True, against="r.json")
    environ = {"ENVLOCK_AGAINST": "r.json", "ENVLOCK_FINGERPRINT": "0"}
    assert options.parse([], environ) == Options(fingerprint=True, against="r.json")


@pytest.mark.parametrize(
    ("argv", "command"),
    [(["--", "--seed", "1"], ("--seed", "1")), (["a", "--", "b"], ("a", "--", "b")), (["--"], ()), ([], ())],
)
def test_options_end_at_the_first_word_or_at_two_dashes(argv: list[str], command: tuple[str, ...]) -> None:
    assert options.parse(argv, {}).command == command


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--sede", "1"], "unknown option: --sede"),
        (["-x"], "unknown option: -x"),
        (["--quiet=1"], "unknown option: --quiet"),
        (["--seed"], "lacks its value: --seed"),
        (["--seed", "-1"], "not a number: --seed"),
        (["--trial", "x"], "not a number: --trial"),
        (["--experiment", "/a"], "not an experiment's name: --experiment"),
        (["--determinism", "on"], "unknown level: --determinism: expected none | warn | strict"),
        (["--trace", "all"], "unknown level: --trace: expected none | steps | modules | ops"),
    ],
)
def test_what_cannot_be_used_is_refused(argv: list[str], message: str) -> None:
    with pytest.raises(RefusedError) as caught:
        options.parse(argv, {})
    assert message in str(caught.value)
    assert caught.value.exit_code == 121


def test_a_bad_variable_is_named() -> None:
    with pytest.raises(RefusedError, match="not a number: ENVLOCK_SEED"):
        options.parse([], {"ENVLOCK_SEED": "forty"})
