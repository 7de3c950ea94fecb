"""A task of a pool has the same numbers whichever worker takes it, and no two tasks share any."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from envlock.runtime import seeds
from tests.runtime.conftest import Done, FakeImage, make

# Workers that wait for one another take tasks in an order that differs from run to run.
MODULE = """
import json, multiprocessing as mp, os, random, time
import numpy as np

def draw(item):
    time.sleep(random.SystemRandom().random() / 100)
    path = os.environ["ENVLOCK_PROC"].split("|")[2]
    return [path, random.random(), np.random.rand(), np.random.default_rng().random()]

def put(queue):
    queue.put(draw(0))

def nested(item):
    from joblib import Parallel, delayed
    return Parallel(2)(delayed(draw)(item) for item in range(4))

def seeded(item):
    np.random.seed(item)
    return [np.random.rand(), random.random()]
"""
START = "from drawing import *\nif __name__ == '__main__':\n    "


def with_module(image: FakeImage) -> FakeImage:
    (image.work / "drawing.py").write_text(MODULE)
    return image


@pytest.fixture
def image(tmp_path: Path) -> FakeImage:
    return with_module(make(tmp_path, sys.executable))


def lines(done: Done) -> list[list[list[object]]]:
    assert done.status == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def twice(image: FakeImage, code: str, *options: str) -> list[list[list[object]]]:
    """Run the job twice, expect the same, and no value twice in one run."""
    first, second = (lines(image.job(START + code, "--seed", "42", *options)) for _ in range(2))
    assert first == second
    numbers = [number for line in first for task in line for number in task[1:]]
    assert len(set(numbers)) == len(numbers)
    return first


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_that_come_when_they_are_needed_do_not_count_as_children(
    image: FakeImage, method: str
) -> None:
    """How many a pool makes for those that ended, and an executor as tasks come, is a question of time."""
    code = f"""context = mp.get_context({method!r})
    with context.Pool(2, maxtasksperchild=1) as pool:
        pool.map(draw, range(5), chunksize=1)
    from concurrent.futures import ProcessPoolExecutor
    with ProcessPoolExecutor(3, mp_context=mp.get_context("spawn")) as pool:
        list(pool.map(draw, range(4)))
    queue = context.Queue()
    child = context.Process(target=put, args=(queue,))
    child.start()
    print(json.dumps([queue.get()]))
    child.join()"""
    ((path, *_),) = twice(image, code)[0]
    # Behind the two workers that the pool began with.
    assert path == "2"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_the_tasks_of_a_pool_are_seeded_by_job_and_chunk(image: FakeImage, method: str) -> None:
    code = f"""
    with mp.get_context({method!r}).Pool(2) as pool:
        print(json.dumps(pool.map(draw, range(8), chunksize=2)))
        print(json.dumps(sorted(pool.imap_unordered(draw, range(4)))))
        print(json.dumps([pool.apply(draw, (0,))]))
"""
    found = twice(image, code)
    assert [task[0] for task in found[0][::2]] == ["m0.0", "m0.1", "m0.2", "m0.3"]
    assert [task[0] for line in found[1:] for task in line] == ["m1.0", "m1.1", "m1.2", "m1.3", "m2.0"]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_the_tasks_of_an_executor_are_numbered_as_they_are_handed_out(image: FakeImage, method: str) -> None:
    code = f"""
    from concurrent.futures import ProcessPoolExecutor, as_completed
    for _ in range(2):
        with ProcessPoolExecutor(2, mp_context=mp.get_context({method!r})) as executor:
            print(json.dumps(list(executor.map(draw, range(4)))))
            print(json.dumps([executor.submit(draw, 0).result()]))
"""
    assert [task[0] for line in twice(image, code) for task in line] == [f"t{n}" for n in range(10)]


def test_values_of_a_task_come_from_the_seed_tree(image: FakeImage) -> None:
    code = "with mp.get_context('fork').Pool(2) as pool: print(json.dumps(pool.map(draw, [0], chunksize=1)))"
    done = image.job(START + code, "--seed", "42")
    path = ("default", "trial/0", "numpy", "rank/0", "proc/m0", "proc/0")
    assert lines(done)[0][0][2] == np.random.RandomState(seeds.derive(42, path, 32)).rand()
    found = {(one.process, one.stream): one.value for one in done.record.seeds}
    assert found["rank/0/proc/m0/proc/0", "numpy"] == seeds.derive(42, path, 32)


def test_the_record_lists_the_first_hundred_tasks(image: FakeImage) -> None:
    code = "with mp.get_context('fork').Pool(2) as pool: pool.map(draw, range(110), chunksize=1)"
    done = image.job(START + code.replace("draw", "seeded"), "--seed", "42")
    listed = [one.process for one in done.record.seeds if one.process.startswith("rank/0/proc/m")]
    assert {int(process.rpartition("/")[2]) for process in listed} == set(range(100))


def test_a_generator_that_the_worker_seeded_is_left_alone(image: FakeImage) -> None:
    code = """
    with mp.get_context("fork").Pool(1, initializer=np.random.seed, initargs=(3,)) as pool:
        print(json.dumps([[one[1]] for one in pool.map(draw, range(3), chunksize=1)]))
        print(json.dumps([[one[2]] for one in pool.map(draw, range(3), chunksize=1)]))
        print(json.dumps(pool.map(seeded, range(3), chunksize=1)))
"""
    first, second, third = lines(image.job(START + code, "--seed", "42"))
    own = np.random.RandomState(3)
    assert [[own.rand()] for _ in range(6)][3:] == second
    assert [task[0] for task in third] == [np.random.RandomState(seed).rand() for seed in range(3)]
    assert len({task[0] for task in first}) == 3


def test_uniform_workers_go_on_from_their_parents_state(image: FakeImage) -> None:
    (image.work / "run.yaml").write_text("envlock: 1\nseed: 42\nseeding: {scheme: uniform}\n")
    code = """
    from concurrent.futures import ProcessPoolExecutor
    np.random.get_state()
    with mp.get_context("fork").Pool(1) as pool:
        print(json.dumps([[one[2]] for one in pool.map(draw, range(2), chunksize=1)]))
    with ProcessPoolExecutor(1, mp_context=mp.get_context("fork")) as executor:
        print(json.dumps([[one[2]] for one in executor.map(draw, range(2))]))
"""
    expected = np.random.RandomState(42)
    both = [[expected.rand()], [expected.rand()]]
    assert lines(image.job(START + code, "--manifest", "run.yaml")) == [both, both]


def test_threads_share_the_generators_of_their_process(image: FakeImage) -> None:
    code = """
    from multiprocessing.pool import ThreadPool
    with ThreadPool(1) as pool:
        print(json.dumps(pool.map(draw, range(2), chunksize=1)))
"""
    (tasks,) = twice(image, code)
    assert [task[0] for task in tasks] == ["", ""]


def test_a_pool_inside_a_task_is_numbered_from_the_task(image: FakeImage) -> None:
    (image.work / "nested.py").write_text(
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from drawing import *\n"
        "def inner(item):\n"
        "    with ProcessPoolExecutor(1) as executor:\n"
        "        return list(executor.map(draw, range(2)))\n"
    )
    code = """
    from nested import *
    with ProcessPoolExecutor(2, mp_context=mp.get_context("spawn")) as executor:
        for line in executor.map(inner, range(3)):
            print(json.dumps(line))
"""
    found = twice(image, code)
    assert [task[0] for line in found for task in line] == [f"t{a}.t{b}" for a in range(3) for b in range(2)]


def test_the_tasks_of_joblib_are_numbered_however_they_are_batched(
    tmp_path: Path, frameworks_python: str
) -> None:
    code = """
    from joblib import Parallel, delayed
    for backend in ("loky", "multiprocessing"):
        print(json.dumps(Parallel(2, backend)(delayed(draw)(item) for item in range(6))))
    for line in Parallel(2)(delayed(nested)(item) for item in range(2)):
        print(json.dumps(line))
    print(json.dumps([one[:1] for one in Parallel(2, "threading")(delayed(draw)(item) for item in range(2))]))
    queue = mp.Queue()
    child = mp.Process(target=put, args=(queue,))
    child.start()
    print(json.dumps([queue.get()]))
    child.join()
"""
    first, second, third, fourth, threads, child = twice(with_module(make(tmp_path, frameworks_python)), code)
    assert [task[0] for task in (*first, *second)] == [f"t{n}" for n in range(12)]
    assert [task[0] for task in (*third, *fourth)] == ["t12"] * 4 + ["t13"] * 4
    assert threads == [[""], [""]]
    # Of the workers only those of multiprocessing's pool count: loky makes new ones for idle ones.
    assert child[0][0] == "2"


def test_the_copy_that_pickles_by_dill_is_numbered_apart(tmp_path: Path, frameworks_python: str) -> None:
    code = """
    import multiprocess
    for context in (mp.get_context("fork"), *map(multiprocess.get_context, ("fork", "spawn"))):
        with context.Pool(2) as pool:
            print(json.dumps(pool.map(draw, range(4), chunksize=1)))
"""
    found = twice(with_module(make(tmp_path, frameworks_python)), code)
    expected = [[f"{job}.{chunk}" for chunk in range(4)] for job in ("m0", "d0", "d1")]
    assert [[task[0] for task in line] for line in found] == expected
