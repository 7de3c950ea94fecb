import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envlock.replay.compare import Comparison, compare, to_document
from envlock.replay.contents.findings import Distance, Inside, PartDifference
from envlock.replay.context import Difference
from envlock.runtime.errors import InputError
from envlock.runtime.fingerprint.agreement import Agreement
from envlock.runtime.fingerprint.values import Fingerprint, FrameworkPrint
from envlock.runtime.hostfacts import GpuDevice
from envlock.runtime.image import Cpu as HostCpu
from envlock.runtime.image import Gap
from envlock.runtime.manifest import Cpu, Determinism, Manifest, SeedingPolicy
from envlock.runtime.rank import Rank
from envlock.runtime.record import (
    FileHash,
    KeptSwitch,
    RunRecord,
)
from envlock.runtime.told import HandedSeed, NondeterministicOperation, Reseeding, Split
from tests.replay.conftest import HOST, record

A, B = "a" * 64, "b" * 64


def outputs(**hashes: str | None) -> tuple[FileHash, ...]:
    return tuple(FileHash(path, sha256, None) for path, sha256 in hashes.items())


def subjects(comparison: Comparison) -> dict[str, tuple[str | None, ...]]:
    return {one.subject: one.values for one in comparison.differences}


def test_a_record_is_identical_to_itself() -> None:
    comparison = compare((record(), record()))
    assert (comparison.verdict, comparison.differences, comparison.unequal) == ("identical", (), ())


@pytest.mark.parametrize(
    ("first", "second", "match", "verdict"),
    [
        (A, A, "equal", "identical"),
        (A, B, "differ", "different"),
        (A, None, "not in all", "different"),
        (None, None, "missing", "identical"),
    ],
)
def test_each_output_is_judged(first: str | None, second: str | None, match: str, verdict: str) -> None:
    comparison = compare((record(outputs=outputs(x=first, y=A)), record(outputs=outputs(x=second, y=A))))
    assert [(output.path, output.match) for output in comparison.outputs] == [("x", match), ("y", "equal")]
    assert comparison.verdict == verdict


def looked(run: int, *differing: PartDifference, unread: str | None = None) -> Inside:
    return Inside(path="x", run=run, parts=3, differing=differing, unread=unread)


PART = PartDifference(name="w", first="float32[1]", second="float32[1]", distance=None)


@pytest.mark.parametrize(
    ("compares", "inside", "match"),
    [
        (("tensors", "tensors"), (looked(1),), "same values"),
        (("json", "json"), (looked(1),), "same values"),
        (("bytes", "bytes"), (looked(1),), "differ"),
        (("tensors", "bytes"), (looked(1),), "differ"),
        (("tensors", "tensors"), (looked(1, PART),), "differ"),
        (("tensors", "tensors"), (looked(1, unread="no file"),), "differ"),
        (("tensors", "tensors"), (), "differ"),
    ],
)
def test_the_manifest_says_whether_values_are_enough(
    compares: tuple[str, str], inside: tuple[Inside, ...], match: str
) -> None:
    runs = [
        record(outputs=(FileHash("x", sha256, 1, compare),))
        for sha256, compare in zip((A, B), compares, strict=True)
    ]
    comparison = compare(tuple(runs), inside)
    assert [(one.match, one.inside) for one in comparison.outputs] == [(match, inside)]
    assert comparison.verdict == ("identical" if match == "same values" else "different")


def test_each_run_must_have_the_same_values() -> None:
    runs = [record(outputs=(FileHash("x", sha256, 1, "json"),)) for sha256 in (A, B, A, "c" * 64)]
    assert compare(tuple(runs), (looked(1),)).verdict == "different"
    assert compare(tuple(runs), (looked(1), looked(3))).verdict == "identical"


def test_a_distance_without_end_is_text_in_json() -> None:
    distance = Distance(elements=1, of=1, ulp=5, absolute=float("inf"), nan=0)
    runs = tuple(record(outputs=outputs(x=sha256)) for sha256 in (A, B))
    comparison = compare(runs, (looked(1, dataclasses.replace(PART, distance=distance)),))
    document = json.loads(json.dumps(to_document(comparison), allow_nan=False))
    (part,) = document["outputs"][0]["inside"][0]["differing"]
    assert part["distance"] == {"elements": 1, "of": 1, "ulp": 5, "absolute": "inf", "nan": 0}


def test_an_output_that_only_one_run_has_makes_a_difference() -> None:
    comparison = compare((record(outputs=outputs(x=A)), record(outputs=outputs(x=A, y=B))))
    (unequal,) = comparison.unequal
    assert (unequal.path, unequal.sha256) == ("y", (None, B))


def test_what_no_seed_repeats_is_suspected_in_any_of_the_runs() -> None:
    gap = Gap("/work/train.py:3", "took random bytes, which no seed repeats")
    operation = NondeterministicOperation("scatter_add", "/work/train.py:9")
    first = record(gaps=(gap, Gap("package", "is not on the index")))
    comparison = compare((first, record(gaps=(gap,), nondeterministic=(operation,))))
    assert [one.subject for one in comparison.suspects] == ["/work/train.py:3", "/work/train.py:9"]
    assert to_document(comparison)["suspects"] == [
        {"subject": "/work/train.py:3", "reason": "took random bytes, which no seed repeats"},
        {
            "subject": "/work/train.py:9",
            "reason": "ran scatter_add, which has no deterministic variant",
        },
    ]


def test_another_exit_status_is_another_result() -> None:
    assert compare((record(), record(exit_status=1, state="failed"))).verdict == "different"


def test_one_of_many_that_differs_makes_all_different() -> None:
    comparison = compare((record(), record(), record(outputs=outputs(**{"out/metrics.json": B}))))
    assert comparison.verdict == "different"
    assert comparison.outputs[0].sha256 == (A, A, B)


@pytest.mark.parametrize("nothing", [(), outputs(x=None)])
def test_without_any_output_nothing_is_called_identical(nothing: tuple[FileHash, ...]) -> None:
    with pytest.raises(InputError, match="nothing to compare") as caught:
        compare((record(outputs=nothing), record(outputs=nothing)))
    assert "write to /out" in str(caught.value.hint)


def test_a_run_that_has_not_ended_is_refused() -> None:
    with pytest.raises(InputError, match="the run has not ended"):
        compare((record(), record(state="running", exit_status=None)))


@pytest.mark.parametrize(
    ("change", "subject", "values"),
    [
        ({"environment_id": "sha256:" + "9" * 64}, "environment", None),
        ({"lock_sha256": "9" * 64}, "lock", None),
        ({"runtime": "sha256:" + "9" * 64}, "runtime", None),
        ({"rank": Rank(1, 2, 1, "torchrun")}, "rank", ("0 of 1", "1 of 2")),
        ({"host": HOST.replace(cpu_model="CPU B")}, "host cpu", None),
        ({"host": HOST.replace(machine="aarch64")}, "host machine", ("x86_64", "aarch64")),
        ({"host": HOST.replace(kernel="6.2")}, "kernel", ("6.1", "6.2")),
        ({"host": HOST.replace(gpus=(GpuDevice("H100", "9.0"),))}, "host gpu", ("none", "H100")),
    ],
)
def test_a_fact_of_the_run_that_differs_is_named(
    change: dict[str, object], subject: str, values: tuple[str, str] | None
) -> None:
    found = subjects(compare((record(), record(**change))))
    assert list(found) == [subject]
    assert values is None or found[subject] == values


@pytest.mark.parametrize(
    ("change", "subject", "values"),
    [
        ({"seed": 43}, "seed", ("42", "43")),
        ({"trial": 1}, "trial", ("0", "1")),
        ({"experiment": "other"}, "experiment", ("exp", "other")),
        ({"command": ("python", "x.py")}, "command", ("python train.py", "python x.py")),
        (
            {"seeding": SeedingPolicy("uniform")},
            "seeding",
            ("tree, ranks distinct", "uniform, ranks distinct"),
        ),
        ({"determinism": Determinism("none")}, "determinism", ("warn", "none")),
        ({"env": (("RATE", "0.1"),)}, "variable RATE", (None, "0.1")),
    ],
)
def test_a_choice_of_the_manifest_that_differs_is_named(
    change: dict[str, object], subject: str, values: tuple[str, str]
) -> None:
    changed = record().manifest.replace(**change)
    # Other seeds were handed out as well: that says no more than the master seed does.
    seeds = (HandedSeed("rank/0", "numpy", 5),)
    found = subjects(
        compare((record(), record(manifest=changed, seeds=seeds if change == {"seed": 43} else ())))
    )
    assert found == {subject: values}


def test_cpu_settings_are_named() -> None:
    first = record(manifest=Manifest(cpu=Cpu("portable", 2)))
    second = record(manifest=Manifest(cpu=Cpu("native", 4)))
    assert subjects(compare((first, second))) == {
        "cpu.isa": ("portable", "native"),
        "cpu.threads": ("2", "4"),
    }


def test_inputs_seeds_variables_and_operations_that_differ_are_named() -> None:
    first = record(
        inputs=(FileHash("data.csv", A, 1), FileHash("old.csv", A, 1)),
        seeds=(HandedSeed("rank/0", "numpy", 5), HandedSeed("rank/0/proc/0", "torch", 6)),
        switches=(("OMP_NUM_THREADS", "2"), ("PYTHONHASHSEED", "1")),
    )
    second = record(
        inputs=(FileHash("data.csv", B, 1),),
        seeds=(HandedSeed("rank/0", "numpy", 7),),
        switches=(("OMP_NUM_THREADS", "2"), ("PYTHONHASHSEED", "2")),
        kept=(KeptSwitch("OMP_NUM_THREADS", "8", "2"),),
        nondeterministic=(NondeterministicOperation("scatter_add", "train.py:3"),),
        reseedings=(Reseeding("rank/0", "random.seed", "3", "train", "train.py:9"),),
        splits=(Split("data.split", 1, (8, 2), "f" * 64),),
    )
    assert subjects(compare((first, second))) == {
        "input data.csv": (A, B),
        "input old.csv": (A, None),
        "seed numpy (rank/0)": ("5", "7"),
        "seed torch (rank/0/proc/0)": ("6", None),
        "variable OMP_NUM_THREADS": ("2", "8"),
        "nondeterministic scatter_add": (None, "train.py:3"),
        "random.seed at train.py:9 (rank/0)": (None, "3"),
        "split data.split": (None, "(8, 2) ffffffffffff"),
    }


def test_what_one_record_does_not_know_is_no_difference() -> None:
    known = record(image_config="sha256:" + "3" * 64, code_commit="c0ffee")
    assert compare((record(), known)).differences == ()
    other = record(image_config="sha256:" + "4" * 64)
    assert list(subjects(compare((record(), known, other)))) == ["image"]


def test_the_document_holds_everything() -> None:
    document = to_document(compare((record(), record(code_commit="x", exit_status=1))))
    assert json.loads(json.dumps(document)) == {
        "verdict": "different",
        "runs": ["0123456789abcdef0123456789abcdef"] * 2,
        "exit-statuses": [0, 1],
        "outputs": [{"path": "out/metrics.json", "match": "equal", "sha256": [A, A], "inside": []}],
        "differences": [],
        "suspects": [],
        "numerics": None,
        "trace": [],
    }


def fingerprint(**hashes: str) -> Fingerprint:
    operations = tuple((f"torch.{name}", letter * 16) for name, letter in sorted(hashes.items()))
    torch = FrameworkPrint(name="torch", version="2", list=1, operations=operations)
    return Fingerprint(
        cpu=HostCpu("CPU", "x86-64-v3", 2), isa="native", threads=2, level="warn", frameworks=(torch,)
    )


def test_fingerprints_name_the_operations_that_hosts_compute_otherwise() -> None:
    first = record(fingerprint=fingerprint(exp="a", log="b"))
    second = record(fingerprint=fingerprint(exp="a", log="c"))
    comparison = compare((first, second, record()))
    assert comparison.numerics == Agreement(compared=2, differing=("torch.log",))
    assert to_document(comparison)["numerics"] == {
        "compared": 2,
        "differing": ["torch.log"],
        "unstable": [],
        "notes": [],
    }


def test_fingerprints_explain_a_verdict_and_never_make_it() -> None:
    first = record(fingerprint=fingerprint(exp="a"))
    comparison = compare((first, record(fingerprint=fingerprint(exp="b"))))
    assert (comparison.verdict, comparison.differences) == ("identical", ())


def test_one_fingerprint_is_nothing_to_compare() -> None:
    assert compare((record(fingerprint=fingerprint(exp="a")), record())).numerics is None


names = st.sampled_from(["x", "y", "z"])
hashes = st.sampled_from([None, A, B])
runs = st.builds(
    lambda found, status, seed, model: record(
        outputs=tuple(FileHash(path, sha256, None) for path, sha256 in sorted(found.items())),
        exit_status=status,
        manifest=Manifest(seed=seed),
        host=HOST.replace(cpu_model=model),
    ),
    st.dictionaries(names, hashes).map(lambda found: {"always": A, **found}),
    st.integers(0, 1),
    st.integers(0, 2),
    st.sampled_from(["A", "B"]),
)


@given(runs)
def test_every_run_is_identical_to_itself(run: RunRecord) -> None:
    """ "The verdict": comparison is reflexive."""
    comparison = compare((run, run))
    assert (comparison.verdict, comparison.differences) == ("identical", ())


@given(st.lists(runs, min_size=2, max_size=4), st.randoms())
def test_the_order_of_records_changes_no_verdict(found: list[RunRecord], random: object) -> None:
    """ "The verdict does not depend on the records' order"."""
    there, back = compare(tuple(found)), compare(tuple(reversed(found)))
    assert there.verdict == back.verdict
    assert [one.match for one in there.outputs] == [one.match for one in back.outputs]
    reversed_values = {Difference(subject=one.subject, values=one.values[::-1]) for one in back.differences}
    assert set(there.differences) == reversed_values


@given(runs, runs)
def test_identical_is_exactly_equal_results(first: RunRecord, second: RunRecord) -> None:
    """ "Exit status and outputs decide the verdict"."""

    def results(run: RunRecord) -> object:
        return run.exit_status, {one.path: one.sha256 for one in run.outputs if one.sha256}

    assert (compare((first, second)).verdict == "identical") == (results(first) == results(second))
