"""What the job itself seeds, leaves unseeded, or takes from the operating system stands in the record."""

import json

import pytest

from envlock.runtime import seeds, told
from tests.runtime.conftest import Done, FakeImage


def line_of(where: str) -> str:
    return where.rpartition("/")[2]


def test_a_jobs_own_seeding_is_respected_and_recorded(image: FakeImage) -> None:
    code = """
import random, numpy
random.seed(7)
numpy.random.seed(numpy.int64(8))
random.seed(a="text")
print(random.Random("text").random() == random.random())
print(numpy.random.RandomState(8).rand() == numpy.random.rand())
"""
    done = image.job(code)
    assert done.stdout == "True\nTrue\n", done.stderr
    found = [(one.function, one.value, one.by, line_of(one.where)) for one in done.record.reseedings]
    assert found == [
        ("numpy.random.seed", "8", "__main__", "job.py:4"),
        ("random.seed", "'text'", "__main__", "job.py:5"),
        ("random.seed", "7", "__main__", "job.py:3"),
    ]


def test_a_librarys_seeding_names_the_library_and_the_line_that_called_it(image: FakeImage) -> None:
    (image.packages / "everything.py").write_text("import random\ndef seed(n): random.seed(n)\n")
    (one,) = image.job("import everything\neverything.seed(3)\n").record.reseedings
    assert (one.process, one.by, line_of(one.where)) == ("rank/0", "everything", "job.py:2")


def test_a_place_that_seeds_in_a_loop_is_told_ten_times(image: FakeImage) -> None:
    done = image.job("import random\nfor n in range(1000): random.seed(n)\n")
    assert sorted(int(one.value) for one in done.record.reseedings) == list(range(10))


@pytest.mark.parametrize("where", ["random.seed", "numpy.random.seed"])
def test_seeding_functions_stay_what_they_are(image: FakeImage, where: str) -> None:
    code = f"import numpy, pickle, random\nprint(pickle.loads(pickle.dumps({where})) is {where})\n"
    assert image.job(code).stdout == "True\n"


def test_generators_of_the_standard_library_without_a_seed_come_from_the_tree(image: FakeImage) -> None:
    code = """
import json, random
random.seed(1)
values = [random.Random().random(), random.Random(5).random()]
random.seed()
values.append(random.random())
class Own(random.Random):
    pass
values.append(Own().random())
print(json.dumps(values))
"""
    first, again = (image.job(code, "--seed", "42") for _ in range(2))
    path = ("default", "trial/0", "python", "rank/0")
    expected = [seeds.derive(42, (*path, f"gen/{ordinal}"), 128) for ordinal in range(3)]
    import random  # noqa: PLC0415 - beside its use

    drawn = [random.Random(seed).random() for seed in expected]
    assert json.loads(first.stdout) == [drawn[0], random.Random(5).random(), *drawn[1:]]
    assert first.stdout == again.stdout
    assert [one.value for one in first.record.seeds if "gen/" in one.stream] == expected


def test_names_of_temporary_files_stay_unpredictable(image: FakeImage) -> None:
    code = "import tempfile; print(tempfile.mktemp())"
    assert image.job(code, "--seed", "1").stdout != image.job(code, "--seed", "1").stdout


ENTROPY = """
import multiprocessing, os, random, secrets, tempfile, uuid
os.urandom(1)
secrets.token_hex()
uuid.uuid4()
random.SystemRandom().random()
os.getrandom(1)
uuid.uuid1()
tempfile.mkdtemp()
"""


def gaps(done: Done) -> list[str]:
    return [line_of(gap.subject) for gap in done.record.gaps if told.is_unrepeatable(gap)]


def test_what_comes_from_the_operating_system_or_the_machine_is_named(image: FakeImage) -> None:
    assert gaps(image.job(ENTROPY)) == [f"job.py:{line}" for line in (3, 4, 5, 6, 7, 8)]


CLOCK = """
import numpy.random, random, time
random.seed(time.time())
random.seed(int(time.time()))
random.Random(time.time_ns() // 1000)
numpy.random.seed(int(time.time()))
own = random.Random(7)
own.seed(time.time_ns())
numpy.random.default_rng(time.time_ns())
numpy.random.default_rng(seed=3)
def seed_everything():
    random.seed(20261125)
    random.seed(1764115200)
    random.seed(int(time.monotonic()))
    random.seed("1764115200")
seed_everything()
"""


def test_a_seed_that_is_the_time_of_day_is_named_and_others_are_not(image: FakeImage) -> None:
    assert gaps(image.job(CLOCK)) == [f"job.py:{line}" for line in (3, 4, 5, 6, 8, 9)]


def test_the_time_that_a_library_hands_on_is_the_jobs(image: FakeImage) -> None:
    (image.packages / "trainer.py").write_text("import random\ndef seed_all(seed): random.seed(seed)\n")
    assert gaps(image.job("import time, trainer\ntrainer.seed_all(time.time())\n")) == ["job.py:2"]


def test_seeds_that_are_no_short_number_reach_the_library(image: FakeImage) -> None:
    code = """
import numpy, random
numpy.random.seed(numpy.array([1, 2, 3]))
random.seed(10**5000)
random.seed(b"bytes")
print("ran")
"""
    done = image.job(code)
    assert done.stdout == "ran\n"
    assert [one.value for one in done.record.reseedings] == ["ndarray", "bytes", "int"]


def test_random_imported_before_the_hook_still_tells_of_entropy(image: FakeImage) -> None:
    (image.packages / "b.pth").write_text("import random, uuid\n")
    assert gaps(image.job("import random\nrandom.SystemRandom().random()\n")) == ["job.py:2"]


def test_a_loop_over_entropy_is_told_once(image: FakeImage) -> None:
    assert gaps(image.job("import os\nfor _ in range(10): os.urandom(1)\n")) == ["job.py:2"]


def test_native_threads_may_ask_for_entropy(image: FakeImage) -> None:
    # As numba's threads do: C code calls os.urandom with no Python frame below it.
    code = """
import os, threading, _thread
done = threading.Lock()
done.acquire()
_thread.start_new_thread(os.urandom, (8,))
import time
time.sleep(0.2)
print("ran")
"""
    done = image.job(code)
    assert (done.stdout, done.stderr.count("\n")) == ("ran\n", 1)
    assert gaps(done) == ["native code"]


def test_entropy_of_libraries_and_of_imports_is_not_told(image: FakeImage) -> None:
    (image.packages / "library.py").write_text(
        "import os, uuid\nos.urandom(1)\ndef name(): return uuid.uuid4()\n"
    )
    (image.work / "own.py").write_text("import library\n")
    assert gaps(image.job("import own, library\nlibrary.name()\n")) == []


def test_what_libraries_seed_in_a_loaders_worker_is_not_told(image: FakeImage) -> None:
    worker = image.packages / "torch/utils/data/_utils"
    worker.mkdir(parents=True)
    (worker / "worker.py").write_text("import random\ndef loop(init):\n    random.seed(3)\n    init()\n")
    (image.packages / "trainer.py").write_text("import random\ndef init(): random.seed(4)\n")
    code = """
import random, trainer
from torch.utils.data._utils import worker
worker.loop(trainer.init)
worker.loop(lambda: random.seed(5))
"""
    (one,) = image.job(code).record.reseedings
    assert (one.value, line_of(one.where)) == ("5", "job.py:5")


def test_a_notebooks_first_cell_finds_fresh_generators(image: FakeImage) -> None:
    package = image.packages / "ipykernel"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "ipkernel.py").write_text(
        "import os, random\n"
        "for _ in range(os.getpid() % 7): random.random()\n"
        "class IPythonKernel:\n"
        "    def do_execute(self, code): return random.random()\n"
    )
    code = """
import random
first, second = random.random(), random.random()
from ipykernel import ipkernel
kernel = ipkernel.IPythonKernel()
print(kernel.do_execute("") == first, kernel.do_execute("") == second)
"""
    done = image.job(code)
    assert done.stdout == "True True\n", done.stderr
