"""Every process of a job is seeded, differs from the others, and is the same in the next run."""

import json
import random
import subprocess

import numpy as np
import pytest

from envlock.runtime import seeds
from tests.runtime.conftest import Done, FakeImage

MODULE = """
import json, os, random, subprocess, sys
import multiprocessing as mp
import numpy as np

def streams():
    path = os.environ["ENVLOCK_PROC"].split("|")[2]
    return [path, random.random(), np.random.rand(), np.random.default_rng().random()]

def put(queue):
    queue.put(streams())

CHILD = [sys.executable, "-c", "from streams import *; print(json.dumps(streams()))"]
"""
STREAMS = "from streams import *\n"


@pytest.fixture(autouse=True)
def streams(image: FakeImage) -> None:
    (image.work / "streams.py").write_text(MODULE)


def lines(done: Done) -> list[list[object]]:
    assert done.status == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def twice(image: FakeImage, code: str, *options: str) -> list[list[object]]:
    """Run the job twice, expect the same, and no value twice in one run."""
    first, second = (lines(image.job(STREAMS + code, "--seed", "42", *options)) for _ in range(2))
    assert first == second
    numbers = [number for line in first for number in line[1:]]
    assert len(set(numbers)) == len(numbers)
    return first


def test_a_job_is_seeded_without_a_seeding_call(image: FakeImage) -> None:
    first, second = twice(image, "print(json.dumps(streams()))\nprint(json.dumps(streams()))\n")
    assert first[0] == second[0] == ""
    (other,) = lines(image.job(STREAMS + "print(json.dumps(streams()))", "--seed", "43"))
    assert not set(other[1:]) & set(first[1:])


def test_values_come_from_the_seed_tree(image: FakeImage) -> None:
    code = (
        "import random, numpy, json\n"
        "print(json.dumps([random.random(), numpy.random.rand(), numpy.random.default_rng().random(),\n"
        "                  numpy.random.RandomState().rand(), numpy.random.SeedSequence().entropy % 97]))\n"
    )
    (found,) = lines(image.job(code, "--seed", "42", "--experiment", "demo", "--trial", "3"))
    path = ("demo", "trial/3")
    generators = [seeds.derive(42, (*path, "numpy", "rank/0", f"gen/{ordinal}"), 128) for ordinal in range(3)]
    legacy = np.random.RandomState(seeds.derive(42, (*path, "numpy", "rank/0"), 32))
    assert found[0] == random.Random(seeds.derive(42, (*path, "python", "rank/0"), 128)).random()
    assert found[1] == legacy.rand()
    assert found[2] == np.random.default_rng(generators[0]).random()
    assert found[4] == generators[2] % 97


def test_the_record_lists_the_seeds_of_every_process(image: FakeImage) -> None:
    code = "p = mp.get_context('fork').Process(target=streams); p.start(); p.join(); streams()"
    done = image.job(STREAMS + code, "--seed", "42", "--experiment", "demo")
    found = {(one.process, one.stream): one.value for one in done.record.seeds}
    assert set(found) == {
        ("rank/0", "python.hash"),
        ("rank/0", "python"),
        ("rank/0", "numpy"),
        ("rank/0", "numpy/gen/0"),
        ("rank/0/proc/0", "python"),
        ("rank/0/proc/0", "numpy"),
        ("rank/0/proc/0", "numpy/gen/0"),
    }
    path = ("demo", "trial/0", "numpy", "rank/0", "proc/0")
    assert found["rank/0/proc/0", "numpy"] == seeds.derive(42, path, 32)
    assert found["rank/0/proc/0", "numpy/gen/0"] == seeds.derive(42, (*path, "gen/0"), 128)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_workers_are_numbered_by_their_parent(image: FakeImage, method: str) -> None:
    code = f"""
if __name__ == "__main__":
    context = mp.get_context({method!r})
    for _ in range(2):
        queue = context.Queue()
        worker = context.Process(target=put, args=(queue,))
        worker.start()
        print(json.dumps(queue.get()))
        worker.join()
    print(json.dumps(streams()))
"""
    assert [line[0] for line in twice(image, code)] == ["0", "1", ""]


def test_all_ways_of_starting_share_one_numbering(image: FakeImage) -> None:
    code = """
if __name__ == "__main__":
    def show(text):
        sys.stdout.write(text)
        sys.stdout.flush()
    show(subprocess.run(CHILD, stdout=-1, text=True).stdout)
    show(subprocess.run(CHILD, stdout=-1, text=True, env=dict(os.environ)).stdout)
    by_position = subprocess.Popen(CHILD, -1, None, None, -1, None, None, True, False, None, None)
    show(by_position.stdout.read().decode())
    environ = {name.encode(): value.encode() for name, value in os.environ.items()}
    show(subprocess.run(CHILD, stdout=-1, text=True, env=environ).stdout)
    show(subprocess.run(CHILD, stdout=-1, text=True, preexec_fn=lambda: None).stdout)
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, (json.dumps(streams()) + "\\n").encode())
        os._exit(0)
    os.wait()
    show(os.read(reader, 10000).decode())
    with mp.get_context("fork").Pool(1) as pool:
        show(json.dumps(pool.apply(streams)) + "\\n")
"""
    assert [line[0] for line in twice(image, code)] == ["0", "1", "2", "3", "4", "5", "m0.0"]


def test_children_that_nobody_numbered_are_told_apart_in_order_of_start(image: FakeImage) -> None:
    code = """
if __name__ == "__main__":
    import shlex
    command = shlex.join(CHILD)
    os.system(command)
    os.system(command)
    both = subprocess.run(f"{command}; {command}", shell=True, stdout=-1, text=True).stdout
    sys.stdout.write(both)
"""
    assert [line[0] for line in twice(image, code)] == ["u0", "u1", "0", "0.1"]


def test_a_shell_around_one_program_changes_nothing(image: FakeImage) -> None:
    code = STREAMS + "print(json.dumps(streams()))"
    (direct,) = lines(image.job(code, "--seed", "42"))
    wrapped = image.run("--seed", "42", "sh", "-c", "python job.py; python job.py")
    first, second = lines(wrapped)
    assert first == direct
    assert second[0] == "1"
    assert not set(second[1:]) & set(first[1:])


def test_exec_keeps_the_process_and_its_seeds(image: FakeImage) -> None:
    code = STREAMS + (
        "if len(sys.argv) == 1: os.execv(sys.executable, [sys.executable, __file__, 'again'])\n"
        "print(json.dumps(streams()))"
    )
    plain = STREAMS + "print(json.dumps(streams()))"
    assert lines(image.job(code, "--seed", "42")) == lines(image.job(plain, "--seed", "42"))


def test_a_child_of_a_child_appends_to_its_parents_path(image: FakeImage) -> None:
    code = """
def grandchild(queue):
    worker = mp.get_context("fork").Process(target=put, args=(queue,))
    worker.start()
    worker.join()
if __name__ == "__main__":
    queue = mp.get_context("fork").Queue()
    worker = mp.get_context("fork").Process(target=grandchild, args=(queue,))
    worker.start()
    print(json.dumps(queue.get()))
    worker.join()
"""
    assert twice(image, code)[0][0] == "0.0"


def test_module_level_values_of_spawned_workers_are_their_own(image: FakeImage) -> None:
    code = """
AT_IMPORT = random.random()
def put_import(queue):
    queue.put(["", AT_IMPORT])
if __name__ == "__main__":
    context = mp.get_context("spawn")
    for _ in range(2):
        queue = context.Queue()
        worker = context.Process(target=put_import, args=(queue,))
        worker.start()
        print(json.dumps(queue.get()))
        worker.join()
"""
    twice(image, code)


def test_a_launcher_in_the_container_makes_ranks_not_children(image: FakeImage) -> None:
    code = """
if __name__ == "__main__":
    for rank in "01":
        env = {**os.environ, "RANK": rank, "WORLD_SIZE": "2", "LOCAL_RANK": rank}
        sys.stdout.write(subprocess.run(CHILD, stdout=-1, text=True, env=env).stdout)
"""
    by_launcher = twice(image, code)
    assert [line[0] for line in by_launcher] == ["", ""]
    plain = STREAMS + "print(json.dumps(streams()))"
    env = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}
    assert lines(image.job(plain, "--seed", "42", env=env)) == [by_launcher[1]]


def test_shared_ranks_get_the_same_streams(image: FakeImage) -> None:
    (image.work / "run.yaml").write_text("envlock: 1\nseed: 42\nseeding: {ranks: shared}\n")
    code = STREAMS + "print(json.dumps(streams()))"
    found = [
        lines(image.job(code, "--manifest", "run.yaml", env={"RANK": rank, "WORLD_SIZE": "2"}))
        for rank in "01"
    ]
    assert found[0] == found[1]


def test_uniform_is_what_seeding_everything_with_one_number_gives(image: FakeImage) -> None:
    (image.work / "run.yaml").write_text("envlock: 1\nseed: 42\nseeding: {scheme: uniform}\n")
    code = """
if __name__ == "__main__":
    np.random.get_state()
    worker = mp.get_context("fork").Pool(1)
    inherited = worker.apply(streams)
    print(json.dumps(streams()))
    random.seed(42); np.random.seed(42)
    print(json.dumps(["", random.random(), np.random.rand()]))
    print(json.dumps(inherited))
"""
    options = ("--manifest", "run.yaml")
    first, scripted, inherited = lines(image.job(STREAMS + code, *options))
    assert first[:3] == scripted
    assert inherited[2] == first[2]
    assert inherited[1] != first[1]
    assert lines(image.job(STREAMS + code, *options))[2] == inherited


def test_a_child_with_an_environment_of_its_own_is_no_part_of_the_run(image: FakeImage) -> None:
    code = """
import os, subprocess, sys
code = "import os, random; print(sorted(n for n in os.environ if n.startswith('ENVLOCK')))"
print(subprocess.run([sys.executable, "-c", code], env={}, stdout=-1, text=True).stdout, end="")
"""
    assert image.job(code).stdout == "[]\n"


def test_workers_made_by_other_means_are_given_no_path(image: FakeImage) -> None:
    code = "from multiprocessing import spawn; print('envlock_path' in spawn.get_preparation_data('x'))"
    assert image.job(code).stdout == "False\n"


def test_a_reloaded_random_is_seeded_in_forked_children_too(image: FakeImage) -> None:
    code = """
import importlib, os, random
importlib.reload(random)
if os.fork() == 0:
    print(random.random(), flush=True)
    os._exit(0)
os.wait()
"""
    expected = random.Random(seeds.derive(42, ("default", "trial/0", "python", "rank/0", "proc/0"), 128))
    assert image.job(code, "--seed", "42").stdout == f"{expected.random()}\n"


def test_reloading_a_module_seeds_it_again(image: FakeImage) -> None:
    code = (
        "import importlib, json, random\n"
        "first = random.random()\n"
        "importlib.reload(random)\n"
        "print(json.dumps([first, random.random()]))\n"
    )
    (found,) = lines(image.job(code, "--seed", "42"))
    assert found[0] == found[1]


@pytest.mark.parametrize("option", ["-E", "-I"])
def test_an_interpreter_that_ignores_the_hash_seed_is_named(image: FakeImage, option: str) -> None:
    code = "import random; print(random.random())"
    plain = image.run("--seed", "42", "python", "-c", code)
    done = image.run("--seed", "42", "python", option, "-c", code)
    assert done.stdout == plain.stdout
    assert {one.subject for one in done.record.gaps} - {one.subject for one in plain.record.gaps} == {
        "rank/0"
    }


def test_what_was_imported_before_the_hook_is_seeded_too(image: FakeImage) -> None:
    (site,) = image.environment.glob("lib/*/site-packages")
    (site / "aa.pth").write_text("import random, subprocess\n")
    code = "import random; print(random.random())"
    assert image.job(code, "--seed", "42").stdout == image.job(code, "--seed", "42").stdout


def test_lazy_and_zipped_modules_are_seeded(image: FakeImage) -> None:
    (image.work / "jax.py").write_text("MADE = 2\n")
    code = """
import importlib.util, json, os, sys, zipfile
spec = importlib.util.find_spec("jax")
spec.loader = importlib.util.LazyLoader(spec.loader)
jax = importlib.util.module_from_spec(spec)
sys.modules["jax"] = jax
spec.loader.exec_module(jax)
with zipfile.ZipFile("zipped.zip", "w") as archive:
    archive.writestr("cupy.py", "MADE = 1")
sys.path.insert(0, "zipped.zip")
import cupy
found = [jax.MADE, cupy.MADE, os.environ["CUPY_SEED"], cupy.__loader__.get_source("cupy")]
print(json.dumps(found))
"""
    done = image.job(code, "--seed", "42")
    cupy = seeds.derive(42, ("default", "trial/0", "cupy", "rank/0"), 32)
    assert lines(done) == [[2, 1, str(cupy), "MADE = 1"]]
    assert {"jax", "cupy"} <= {one.stream for one in done.record.seeds}


def test_loaders_of_every_kind_keep_working(image: FakeImage) -> None:
    code = """
import importlib.machinery, json, sys, types
class Slotted:
    __slots__ = ()
    def create_module(self, spec): return None
    def exec_module(self, module): module.MADE = 1
class Static:
    @staticmethod
    def create_module(spec): return None
    @staticmethod
    def exec_module(module): module.MADE = 2
class Finder:
    loaders = {"jax": Slotted(), "cupy": Static}
    def find_spec(self, name, path=None, target=None):
        if name in self.loaders:
            return importlib.machinery.ModuleSpec(name, self.loaders[name])
        if name == "tensorflow":
            spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = []
            return spec
sys.meta_path.append(Finder())
import jax, cupy, tensorflow
print(json.dumps([jax.MADE, cupy.MADE, tensorflow.__spec__.origin is None]))
"""
    done = image.job(code, "--seed", "42")
    assert lines(done) == [[1, 2, True]]
    assert {"jax", "cupy"} <= {one.stream for one in done.record.seeds}


FAKE_TORCH = """
from types import SimpleNamespace as _Space
import warnings
called = []
float32 = float64 = None
backends = _Space(mkl=_Space(is_available=lambda: True), cudnn=_Space(benchmark=True, deterministic=False))
def seed(): called.append("unseeded")
random = _Space(seed=seed)
def full(shape, value, dtype): return [value]
def use_deterministic_algorithms(mode, warn_only): called.append(("deterministic", mode, warn_only))
def manual_seed(value): called.append(("seed", value))
def put_(): warnings.warn("put_ does not have a deterministic implementation, but", stacklevel=2)
def __getattr__(name):
    if name.startswith("__"): raise AttributeError(name)
    return lambda values: called.append(("warmed", name))
"""
FAKE_TENSORFLOW = """
import sys
from types import SimpleNamespace as _Space
called = []
operations = sys.modules["tensorflow.python.ops.stateful_random_ops"] = _Space(global_generator=None)
class _Generator:
    @classmethod
    def from_seed(cls, seed, alg): return (seed, alg)
    @classmethod
    def from_non_deterministic_state(cls, alg=None): raise RuntimeError("determinism is enabled")
random = _Space(
    __name__="tensorflow.random",
    set_seed=called.append,
    Generator=_Generator,
    get_global_generator=lambda: operations.global_generator,
    set_global_generator=lambda generator: setattr(operations, "global_generator", generator),
    experimental=_Space(),
)
config = _Space(experimental=_Space(enable_op_determinism=lambda: called.append("deterministic")))
"""


def test_torch_is_warmed_switched_and_seeded_in_this_order(image: FakeImage) -> None:
    (image.packages / "torch.py").write_text(FAKE_TORCH)
    code = """
import importlib, os, sys, torch
print([call for call in torch.called if call[0] != "warmed"], ("warmed", "sqrt") in torch.called)
print(torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic)
torch.put_()
importlib.reload(torch)
torch.put_()
sys.stdout.flush()
if os.fork() == 0:
    print(torch.called[-1], flush=True)
    os._exit(0)
os.wait()
"""
    done = image.job(code, "--seed", "42")
    path = ("default", "trial/0", "torch", "rank/0")
    seed, worker = (seeds.derive(42, found, 64) for found in (path, (*path, "proc/0")))
    assert done.stdout == (
        f"[('deterministic', True, True), ('seed', {seed})] True\nFalse True\n('seed', {worker})\n"
    )
    assert [(one.operation, one.where.rpartition(":")[2]) for one in done.record.nondeterministic] == [
        ("put_", "5"),
        ("put_", "7"),
    ]
    assert "('deterministic', True, False)" in image.job(code, "--determinism", "strict").stdout
    assert "deterministic'" not in image.job(code, "--determinism", "none").stdout


def test_tensorflow_is_seeded_before_it_is_made_deterministic(image: FakeImage) -> None:
    (image.work / "tensorflow.py").write_text(FAKE_TENSORFLOW)
    code = "import os, tensorflow\nif os.fork() == 0: os._exit(0)\nos.wait()\nprint(tensorflow.called)\n"
    seed = seeds.derive(42, ("default", "trial/0", "tensorflow", "rank/0"), 64)
    assert image.job(code, "--seed", "42").stdout == f"[{seed}, 'deterministic']\n"
    done = image.job(code, "--seed", "42", "--determinism", "none")
    assert done.stdout == f"[{seed}]\n"


def test_a_worker_that_cannot_be_seeded_again_goes_on(image: FakeImage) -> None:
    (image.work / "torch.py").write_text(FAKE_TORCH)
    code = """
import os, torch
torch.called = None
if os.fork() == 0:
    print("worker", flush=True)
    os._exit(0)
os.wait()
"""
    done = image.job(code, "--seed", "42")
    assert done.stdout == "worker\n"
    assert "cannot seed torch again" in done.stderr


OLD_NUMPY = """
import os, warnings
variable = "During parsing environment variable 'NPY_DISABLE_CPU_FEATURES':\\n"
if os.environ["NPY_DISABLE_CPU_FEATURES"] == "AVX512F":
    warnings.warn(variable + "You cannot disable CPU features (AVX512F), since they are not supported "
                  "by your machine.", RuntimeWarning)
else:
    warnings.warn(variable + "You cannot disable CPU feature 'SSE', since it is part of the baseline "
                  "optimizations.", RuntimeWarning)
"""


@pytest.mark.parametrize(("feature", "told"), [("AVX512F", False), ("SSE", True)])
def test_an_old_numpy_warns_only_of_features_that_the_cpu_has(
    image: FakeImage, feature: str, *, told: bool
) -> None:
    (image.work / "numpy.py").write_text(OLD_NUMPY)
    done = image.job("import numpy", env={"NPY_DISABLE_CPU_FEATURES": feature})
    assert done.status == 0
    assert ("You cannot disable CPU feature" in done.stderr) is told


def test_a_cupy_seed_of_the_users_is_kept(image: FakeImage) -> None:
    (image.work / "cupy.py").touch()
    code = "import cupy, os; print(os.environ['CUPY_SEED'])"
    assert image.job(code, env={"CUPY_SEED": "7"}).stdout == "7\n"


def test_jax_has_a_key_for_the_user(image: FakeImage) -> None:
    (image.work / "jax.py").touch()
    code = "import jax\nfrom envlock.runtime import seeds\nprint(seeds.seed('jax'))"
    done = image.job(code, "--seed", "42")
    expected = seeds.derive(42, ("default", "trial/0", "jax", "rank/0"), 64)
    assert done.stdout == f"{expected}\n"
    assert ("jax", expected) in [(one.stream, one.value) for one in done.record.seeds]


BROKEN = "import sys\ndef __getattr__(name): raise AttributeError(name)\n"


def test_a_hook_that_fails_warns_and_lets_the_job_run(image: FakeImage) -> None:
    (image.work / "torch.py").write_text(BROKEN)
    done = image.job("import torch; print('ran')")
    assert (done.status, done.stdout) == (0, "ran\n")
    assert "envlock: cannot prepare torch (AttributeError" in done.stderr
    assert [gap.subject for gap in done.record.gaps] == ["rank/0", "some"]
    assert image.job("import torch; print('ran')", "--quiet").stderr == ""


def test_a_hook_that_fails_stops_the_job_under_strict(image: FakeImage) -> None:
    (image.work / "torch.py").write_text(BROKEN)
    done = image.job("import torch; print('ran')", "--determinism", "strict")
    assert (done.status, done.stdout) == (121, "")
    assert "Traceback" not in done.stderr


def test_a_hook_that_cannot_be_installed_lets_the_job_run(image: FakeImage) -> None:
    code = (
        "import os, subprocess, sys\n"
        "env = {**os.environ, 'RANK': 'x', 'WORLD_SIZE': '2'}\n"
        "print(subprocess.run([sys.executable, '-c', 'print(1)'], env=env, capture_output=True, text=True))\n"
    )
    done = image.job(code)
    assert "returncode=0, stdout='1\\n'" in done.stdout
    assert "cannot install its import hook" in done.stdout


def test_a_module_that_is_not_there_stays_not_there(image: FakeImage) -> None:
    code = "try:\n    import cupy\nexcept ModuleNotFoundError as error: print(error.name)"
    assert image.job(code).stdout == "cupy\n"


def test_many_generators_are_counted_rather_than_listed(image: FakeImage) -> None:
    code = "import numpy\nfor _ in range(300): numpy.random.default_rng()\n"
    done = image.job(code, "--seed", "1")
    listed = [one for one in done.record.seeds if "/gen/" in one.stream]
    assert len(listed) == 100
    reasons = [gap.reason for gap in done.record.gaps if gap.subject == "rank/0"]
    assert reasons[-1].startswith("made 256 unseeded generators of numpy or more")


def test_entropy_of_any_width_is_given(image: FakeImage) -> None:
    code = (
        "import json, numpy\n"
        "print(json.dumps([numpy.random.SeedSequence(pool_size=size).entropy.bit_length() > 32 * size - 32\n"
        "                  for size in (4, 8, 20)]))\n"
    )
    assert lines(image.job(code, "--seed", "1")) == [[True, True, True]]


def test_outside_a_run_the_hook_does_nothing(image: FakeImage) -> None:
    code = "import sys; print([n for n in sys.modules if n.startswith('envlock')], len(sys.meta_path))"
    found = subprocess.run(
        [image.python, "-c", code], env=image.environ({}), capture_output=True, text=True, check=True
    ).stdout
    assert "envlock.runtime.hook" not in found


WARNED = """
import sys, warnings, torch
{before}
for _ in range(3):
    torch.put_()
"""


@pytest.mark.parametrize(
    ("before", "shown"),
    [
        ("", 1),
        ("warnings.filterwarnings('ignore')", 0),
        ("warnings.simplefilter('always')", 3),
        ("warnings.filterwarnings('always', 'put_')", 3),
        ("warnings.resetwarnings()", 1),
        ("warnings.filterwarnings('ignore', module='torch')", 0),
    ],
)
def test_a_nondeterministic_operation_is_recorded_whatever_the_user_filters(
    image: FakeImage, before: str, shown: int
) -> None:
    (image.packages / "torch.py").write_text(FAKE_TORCH.replace("stacklevel=2", "stacklevel=1"))
    done = image.job(WARNED.format(before=before))
    assert done.status == 0, done.stderr
    assert done.stderr.count("UserWarning: put_") == shown
    (one,) = done.record.nondeterministic
    assert (one.operation, one.where) == ("put_", f"{image.work}/job.py:5")


def test_warnings_as_errors_stay_errors(image: FakeImage) -> None:
    (image.packages / "torch.py").write_text(FAKE_TORCH)
    code = WARNED.format(before="warnings.simplefilter('error')")
    done = image.job(code)
    assert (done.status, len(done.record.nondeterministic)) == (1, 1)
    assert "UserWarning: put_ does not have" in done.stderr


def test_tensorflows_unseeded_generators_come_from_the_tree(image: FakeImage) -> None:
    (image.work / "tensorflow.py").write_text(FAKE_TENSORFLOW)
    code = """
from tensorflow import random
print(random.Generator.from_non_deterministic_state(alg=1))
print(random.get_global_generator(), random.experimental.get_global_generator())
random.set_global_generator(5)
print(random.get_global_generator())
"""
    done = image.job(code, "--seed", "42")
    path = ("default", "trial/0", "tensorflow", "rank/0")
    own, shared = (seeds.derive(42, (*path, f"gen/{ordinal}"), 128) for ordinal in range(2))
    assert done.stdout == f"({own}, 1)\n({shared}, None) ({shared}, None)\n5\n", done.stderr
