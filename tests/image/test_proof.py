from dataclasses import replace
from pathlib import Path

from envlock.image.proof import mismatches
from envlock.lock.environment import Environment, InstalledDistribution, RecordEntry
from envlock.lock.model import Cpu, Gpu, Lock
from tests.image.wheels import lock_of, package, wheel_items, write_wheel

RECORD = (
    RecordEntry(path="demo/a.py", sha256="AAA", size=1),
    RecordEntry(path="demo-1.0.dist-info/METADATA", sha256="BBB", size=2),
    RecordEntry(path="demo-1.0.dist-info/RECORD", sha256=None, size=None),
)
INSTALLED = InstalledDistribution(
    name="demo",
    raw_name="demo",
    version="1.0",
    site=Path("/opt/env/lib/python3.11/site-packages"),
    dist_info="demo-1.0.dist-info",
    tags=("py3-none-any",),
    build=None,
    root_is_purelib=True,
    record=RECORD,
    requires_python=None,
    installer="envlock",
    direct_url=None,
)


def lock(tmp_path: Path) -> Lock:
    return lock_of(package(write_wheel(tmp_path, wheel_items())))


def environment(locked: Lock, *distributions: InstalledDistribution) -> Environment:
    return Environment(
        python=locked.python,
        os=locked.os,
        cpu=Cpu(model="another", isa="x86-64-v2", cores=1),
        gpu=Gpu(),
        cuda=(),
        project=None,
        variables=(("OMP_NUM_THREADS", "4"),),
        distributions=distributions,
        host_files=None,
        gaps=(),
    )


def told(locked: Lock, found: Environment) -> list[tuple[str, str | None, str | None, tuple[str, ...]]]:
    records = {"demo": RECORD}
    return [(one.subject, one.locked, one.found, one.files) for one in mismatches(locked, found, records)]


def test_the_same_environment_on_another_machine_is_as_locked(tmp_path: Path) -> None:
    locked = lock(tmp_path)
    assert told(locked, environment(locked, INSTALLED)) == []


def test_a_package_too_many_too_few_or_of_another_version_is_told(tmp_path: Path) -> None:
    locked = lock(tmp_path)
    other = replace(INSTALLED, name="other")
    assert told(locked, environment(locked, other)) == [
        ("demo", "1.0", None, ()),
        ("other", None, "1.0", ()),
    ]
    newer = replace(INSTALLED, version="1.1")
    assert told(locked, environment(locked, newer)) == [("demo", "1.0", "1.1", ())]


def test_files_that_the_wheel_does_not_account_for_are_told(tmp_path: Path) -> None:
    locked = lock(tmp_path)
    more = replace(INSTALLED, record=(*RECORD, RecordEntry(path="demo/b.py", sha256="CCC", size=1)))
    other = replace(INSTALLED, record=(RECORD[0]._replace(sha256="XXX"), *RECORD[1:]))
    for found in (more, other, replace(INSTALLED, record=RECORD[1:])):
        ((subject, stated, actual, _),) = told(locked, environment(locked, found))
        assert (subject, actual) == ("demo 1.0", "other files")
        assert stated == "the files of demo-1.0-py3-none-any.whl"


def test_edited_files_are_named_but_for_those_that_the_lock_names(tmp_path: Path) -> None:
    locked = lock(tmp_path)
    edited = replace(INSTALLED, modified=("demo/a.py", "demo/b.py"))
    known = replace(locked, packages=(replace(locked.packages[0], modified=("demo/b.py",)),))
    assert told(known, environment(locked, edited)) == [
        ("demo 1.0", "files as recorded", "other bytes", ("demo/a.py",))
    ]


def test_another_interpreter_or_machine_is_told(tmp_path: Path) -> None:
    locked = lock(tmp_path)
    found = environment(locked, INSTALLED)
    found = replace(
        found,
        python=replace(locked.python, version="3.12.1", abi="cpython-312", prefix_kind="other"),
        os=replace(locked.os, machine="aarch64", kernel="5.0"),
    )
    assert [subject for subject, *_ in told(locked, found)] == ["machine", "python ABI", "python version"]
