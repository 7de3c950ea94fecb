"""The numerics fingerprint: its values, its comparison, its probes. Entrypoint: test_fingerprint_taking.

Update the golden file, after raising VERSION of each suite whose operations mean something else, with
``make golden``.
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from envlock.runtime import record as records
from envlock.runtime.errors import InputError
from envlock.runtime.fingerprint import agreement, document, inputs, taking
from envlock.runtime.fingerprint.agreement import Agreement, agree
from envlock.runtime.fingerprint.values import Fingerprint, FrameworkPrint
from envlock.runtime.image import Cpu
from envlock.runtime.reader import Mapping
from tests.golden import pinned_json
from tests.runtime.conftest import SOURCE
from tests.runtime.simulated_frameworks import SUITES, asked
from tests.runtime.test_record import RECORD

GOLDEN = Path(__file__).parent / "golden" / "fingerprint-operations.json"
NUMPY = FrameworkPrint(
    name="numpy",
    version="2.4.6",
    list=1,
    kernels="X86_V3",
    milliseconds=900,
    operations=(("numpy.exp", "a" * 16), ("numpy.log", "b" * 16), ("numpy.race", "c" * 16)),
    absent=(("numpy.gone", "AttributeError"),),
    unstable=("numpy.race",),
)
FINGERPRINT = Fingerprint(
    cpu=Cpu("CPU A", "x86-64-v3", 2), isa="portable", threads=2, level="warn", frameworks=(NUMPY,)
)


def changed(**fields: object) -> Fingerprint:
    return FINGERPRINT.replace(frameworks=(NUMPY.replace(**fields),))


def hashes(**found: str) -> tuple[tuple[str, str], ...]:
    return tuple((f"numpy.{name}", letter * 16) for name, letter in found.items())


def test_a_fingerprint_survives_its_document(tmp_path: Path) -> None:
    text = document.to_json(FINGERPRINT)
    (tmp_path / "f.json").write_text(text)
    assert document.read(str(tmp_path / "f.json")) == FINGERPRINT
    assert json.loads(text)["digest"] == FINGERPRINT.digest
    failed = FINGERPRINT.replace(frameworks=(FrameworkPrint(name="torch", failure="killed by SIGILL"),))
    assert document.parse(Mapping.of(document.to_document(failed), "x")) == failed


def test_a_record_holds_its_fingerprint_and_can_be_compared_with(tmp_path: Path) -> None:
    found = RECORD.replace(fingerprint=FINGERPRINT)
    data = records.to_json(found)
    assert records.parse(data, "r.json") == found
    (tmp_path / "r.json").write_bytes(data)
    assert document.read(str(tmp_path / "r.json")) == FINGERPRINT


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read a fingerprint: .*found No such file"),
        (b"\xff", "cannot read a fingerprint: .*not UTF-8"),
        (b"{", "not JSON"),
        (b'{"envlock-record": 1}', "no fingerprint in this file"),
        (b'{"envlock-fingerprint": 2}', "unknown version: .*envlock-fingerprint"),
        (b'{"envlock-fingerprint": 1, "frameworks": [{}]}', r"frameworks\[0\].name"),
    ],
)
def test_a_file_without_a_fingerprint_is_told(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "f.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        document.read(str(path))


def test_the_digest_tells_stable_operations_and_nothing_else() -> None:
    same = FINGERPRINT.replace(threads=4, cpu=Cpu("CPU B", "x86-64-v4", 64))
    assert same.digest == FINGERPRINT.digest
    race = changed(operations=hashes(exp="a", log="b", race="d"))
    assert race.digest == FINGERPRINT.digest
    assert changed(operations=hashes(exp="d", log="b", race="c")).digest != FINGERPRINT.digest
    assert FINGERPRINT.count == 3


def test_fingerprints_agree_with_themselves() -> None:
    assert agree((FINGERPRINT, FINGERPRINT)) == Agreement(compared=2, unstable=("numpy.race",))


def test_each_operation_that_differs_is_named_and_an_unstable_one_is_not_compared() -> None:
    other = changed(operations=hashes(exp="d", log="b", race="e"), unstable=())
    found = agree((FINGERPRINT, other))
    assert (found.compared, found.differing) == (2, ("numpy.exp",))
    assert found.notes == ()
    third = changed(operations=hashes(exp="a", log="f", race="c"))
    assert agree((FINGERPRINT, other, third)).differing == ("numpy.exp", "numpy.log")


def test_other_versions_are_compared_in_what_is_common_and_told() -> None:
    other = changed(version="2.3.0", operations=hashes(exp="a"), absent=(("numpy.log", "AttributeError"),))
    found = agree((FINGERPRINT, other))
    assert (found.compared, found.differing) == (1, ())
    assert found.notes == ("numpy 2.4.6 and 2.3.0", "numpy: not in all: numpy.gone, numpy.log")


def test_what_is_absent_everywhere_is_not_worth_a_note() -> None:
    assert agree((FINGERPRINT, changed(version="2.4.6"))).notes == ()


def test_other_lists_of_operations_are_not_compared() -> None:
    found = agree((FINGERPRINT, changed(list=2, operations=hashes(exp="d"))))
    assert (found.compared, found.differing) == (0, ())
    assert found.notes == ("numpy: other lists of operations, not compared",)


def test_a_framework_that_failed_or_lacks_is_told() -> None:
    failed = FrameworkPrint(name="numpy", failure="killed by SIGILL in numpy.exp")
    notes = agree((FINGERPRINT, FINGERPRINT.replace(frameworks=(failed,)))).notes
    assert "numpy: killed by SIGILL in numpy.exp" in notes
    assert agree((FINGERPRINT, FINGERPRINT.replace(frameworks=()))).notes == ("not in all: numpy",)


def test_other_settings_are_told() -> None:
    other = FINGERPRINT.replace(threads=4, isa="native", level="none")
    assert agree((FINGERPRINT, other)).notes == (
        "threads 2 and 4",
        "cpu.isa portable and native",
        "determinism warn and none",
    )


def test_a_sentence_tells_how_this_host_compares() -> None:
    names = tuple(f"op{number}" for number in range(10))
    assert agreement.sentence(Agreement(compared=0), "r.json") == (
        "no operation of this host's fingerprint can be compared with r.json"
    )
    assert agreement.sentence(Agreement(compared=7), "r.json") == (
        "this host computes all 7 operations as in r.json"
    )
    assert agreement.sentence(Agreement(compared=12, differing=names), "r.json") == (
        "this host computes 10 of 12 operations differently from r.json: "
        "op0, op1, op2, op3, op4, op5, op6, op7 and 2 more"
    )


def test_inputs_are_the_same_for_ever() -> None:
    """ "SHAKE-256 of envlock.fingerprint.v1/<label>"."""
    assert inputs.raw("x", 8) == hashlib.shake_256(b"envlock.fingerprint.v1/x").digest(8)
    assert inputs.raw("x", 8).hex() == "1365a711f11451b5"
    assert len(inputs.special("float32")) == 19 * 5 * 4
    assert len(inputs.special("float64")) == 19 * 5 * 8


@pytest.fixture(scope="module")
def lists() -> dict[str, dict[str, object]]:
    return {suite: asked(suite) for suite in SUITES}


def test_a_list_of_operations_means_the_same_until_its_version_rises(
    lists: dict[str, dict[str, object]],
) -> None:
    """Simulated frameworks: the hash of an operation is the hash of what is asked of the framework."""
    pinned_json(GOLDEN, lists)


def test_every_suite_can_ask_all_that_it_lists(lists: dict[str, dict[str, object]]) -> None:
    operations = {suite: found["operations"] for suite, found in lists.items()}
    for suite, found in operations.items():
        assert isinstance(found, dict)
        assert all(len(one) == 16 for one in found.values()), suite
        prefix = suite.replace("_", ".")
        assert all(name.startswith(f"{prefix}.") for name in found)
    assert len(operations["numpy"]) > 77 < len(operations["torch"])  # type: ignore[arg-type]  # dicts, as just checked


def probe(suite: str, **variables: str) -> FrameworkPrint:
    argv = (sys.executable, "-m", "envlock.runtime.fingerprint.probe", suite)
    return taking.probed(suite, argv, {**os.environ, "PYTHONPATH": str(SOURCE), **variables})


def test_numpy_gives_the_same_hashes_under_other_hash_seeds_and_start_states() -> None:
    first, second = probe("numpy", PYTHONHASHSEED="1"), probe("numpy", PYTHONHASHSEED="2")
    assert (first.failure, first.absent, first.unstable) == (None, (), ())
    assert first.operations == second.operations
    assert len({found for _, found in first.operations}) > 130
    assert first.version
    assert first.list == 1


def test_another_kernel_shows_in_the_operations_that_use_it() -> None:
    """OpenBLAS's generic kernels stand for another CPU.

    The size of the cache is pinned as a run does it: else 0.3.34 crashes on AMD's CPUs with AVX-512.
    """
    pinned, plain = (
        probe("numpy", OPENBLAS_CORETYPE=one, OPENBLAS_L2_SIZE="256") for one in ("Haswell", "Prescott")
    )
    found = agree(tuple(FINGERPRINT.replace(frameworks=(one,)) for one in (pinned, plain)))
    assert "numpy.float64.matmul.257" in found.differing
    assert "numpy.float64.sqrt" not in found.differing
    assert found.compared == len(pinned.operations)


def test_a_framework_that_cannot_be_imported_is_told_by_its_error(tmp_path: Path) -> None:
    (tmp_path / "lightgbm.py").write_text("raise ImportError('libgomp.so.1 is missing')\n")
    found = probe("lightgbm", PYTHONPATH=f"{SOURCE}{os.pathsep}{tmp_path}")
    assert found == FrameworkPrint(
        name="lightgbm",
        failure="ImportError: libgomp.so.1 is missing",
        milliseconds=found.milliseconds,
    )


def test_a_gpu_that_torch_does_not_see_is_a_failure(tmp_path: Path) -> None:
    code = "class cuda:\n    @staticmethod\n    def is_available():\n        return False\n"
    (tmp_path / "torch.py").write_text(code)
    found = probe("torch_cuda", PYTHONPATH=f"{SOURCE}{os.pathsep}{tmp_path}")
    assert (found.name, found.failure) == ("torch.cuda", "RuntimeError: torch sees no CUDA device")


def test_what_a_framework_prints_and_refuses_harms_nothing(tmp_path: Path) -> None:
    """A LightGBM that prints, whose answers vary, and that refuses one training."""
    code = (
        "import os, sys, numpy\n"
        'print(\'hello\'); os.write(1, b\'["hash", "x", "y"]\\n\')\n'
        "calls = []\n"
        "class Dataset:\n    def __init__(self, *_): pass\n"
        "class Booster:\n"
        "    def predict(self, table):\n"
        "        calls.append(1)\n"
        "        return len(calls), 1.5, 'text', True, [numpy.arange(3)]\n"
        "def train(asked, *_):\n"
        "    if asked['objective'] == 'binary': raise ValueError('refused')\n"
        "    if asked.get('force_col_wise'): return Wrong()\n"
        "    return Booster()\n"
        "class Wrong:\n    def predict(self, table): return object()\n"
    )
    (tmp_path / "lightgbm.py").write_text(code)
    found = probe("lightgbm", PYTHONPATH=f"{SOURCE}{os.pathsep}{tmp_path}")
    assert (found.failure, found.version, found.kernels) == (None, "", "")
    assert found.absent == (("lightgbm.binary", "ValueError"), ("lightgbm.column_wise", "TypeError"))
    assert [name for name, _ in found.operations] == ["lightgbm.bagging", "lightgbm.regression"]
    assert found.unstable == ("lightgbm.bagging", "lightgbm.regression")


LINES = '["framework", "1.0", 3, "AVX2"]\n["at", "x.exp"]\n["hash", "x.exp", "aa"]\n["at", "x.log"]\n'


def shell(code: str, timeout: float = 60) -> FrameworkPrint:
    script = f"printf '%s\\n' '{LINES.strip()}'\n{code}"
    return taking.probed("x", ("sh", "-c", script), dict(os.environ), timeout)


@pytest.mark.parametrize(
    ("code", "timeout", "failure"),
    [
        ("kill -ILL $$", 60, "killed by SIGILL in x.log"),
        ("exit 3", 60, "ended with status 3 in x.log"),
        ("sleep 60", 0.5, "stopped after 0.5 s in x.log"),
    ],
)
def test_what_was_computed_before_a_crash_is_kept(code: str, timeout: float, failure: str) -> None:
    found = shell(code, timeout)
    assert (found.failure, found.operations) == (failure, (("x.exp", "aa"),))
    assert (found.version, found.list, found.kernels) == ("1.0", 3, "AVX2")


def test_half_a_line_and_other_output_are_skipped() -> None:
    found = shell('echo; echo noise; echo 7; printf \'["hash", "x.log", "bb\'')
    assert (found.failure, found.operations) == (None, (("x.exp", "aa"),))


def test_nothing_of_a_probe_outlives_it(tmp_path: Path) -> None:
    shell(f"sleep 60 & echo $! >{tmp_path}/pid; sleep 60", 0.5)
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", (tmp_path / "pid").read_text()],
        capture_output=True,
        text=True,
        check=False,
    )
    assert state.stdout.strip() in ("", "Z")


def test_a_probe_that_cannot_start_is_a_failure() -> None:
    found = taking.probed("x", ("/no/such/python",), {})
    assert found.failure == "cannot start /no/such/python: No such file or directory"


def test_a_line_tells_what_a_framework_computed() -> None:
    assert taking.told(NUMPY) == (
        "numpy 2.4.6: 3 operations (1 not available) in 0.9 s [X86_V3] unstable: numpy.race"
    )
    failed = FrameworkPrint(name="torch", failure="killed by SIGILL")
    assert taking.told(failed) == "torch: killed by SIGILL; 0 operations in 0.0 s"


@pytest.mark.slow
@pytest.mark.parametrize(("suite", "least"), [("torch", 150), ("tensorflow", 60)])
def test_real_frameworks_compute_every_operation_alike_twice(
    frameworks_python: str, suite: str, least: int
) -> None:
    argv = (frameworks_python, "-m", "envlock.runtime.fingerprint.probe", suite)
    environ = {**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "2", "MKL_DYNAMIC": "FALSE"}
    found = taking.probed(suite, argv, environ)
    assert (found.failure, found.absent, found.unstable) == (None, (), ())
    assert len(found.operations) >= least
