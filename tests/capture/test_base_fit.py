"""What is said of a base that does not carry an environment, and of one that does."""

import pytest

from envlock.capture import base_fit
from envlock.capture.base_contents import BaseContents, BaseInterpreter
from envlock.lock.model import OperatingSystem, Python
from envlock.runtime.errors import InputError


def python(version: str, abi: str = "cpython-311") -> Python:
    return Python(
        implementation="cpython", version=version, abi=abi, build="", prefix_kind="system", prefix="/usr"
    )


def contents(*versions: str, libraries: tuple[str, ...] = ()) -> BaseContents:
    return BaseContents(
        interpreters=tuple(
            BaseInterpreter(python=python(version), executable=f"/usr/bin/python{version}", libc="glibc 2.31")
            for version in versions
        ),
        os=OperatingSystem(id="debian", version="11", kernel="", libc="glibc 2.31", machine="x86_64"),
        libraries=tuple((name, "os:some") for name in libraries),
        packages=(),
    )


def test_of_several_interpreters_the_exact_one_is_taken() -> None:
    found = base_fit.chosen(contents("3.11.2", "3.11.7"), python("3.11.7"), "base")
    assert found.executable == "/usr/bin/python3.11.7"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (python("3.11.9"), r"found cpython 3.11.2 \(cpython-311\) at /usr/bin/python3.11.2"),
        (python("3.11.2", "cpython-311d"), "expected cpython 3.11.2 .cpython-311d., found cpython 3.11.2"),
    ],
)
def test_another_version_or_abi_is_named_with_what_there_is(wanted: Python, found: str) -> None:
    with pytest.raises(InputError, match=found) as told:
        base_fit.chosen(contents("3.11.2"), wanted, "registry:team/base:1")
    assert told.value.where == "registry:team/base:1"
    assert "--base host" in str(told.value.hint)


def test_a_base_without_python_says_so() -> None:
    with pytest.raises(InputError, match="found no Python interpreter"):
        base_fit.chosen(contents(), python("3.11.2"), "base")


@pytest.mark.parametrize(
    ("wheel", "expected"),
    [
        ("a-1-cp311-cp311-manylinux_2_35_x86_64.whl", "glibc 2.35 or later, for a-1-cp311"),
        ("a-1-cp311-cp311-manylinux_2_34_x86_64.manylinux_2_35_x86_64.whl", "glibc 2.34 or later"),
        ("a-1-cp311-cp311-musllinux_1_2_x86_64.whl", "musl 1.2 or later"),
    ],
)
def test_a_wheel_that_the_c_library_is_too_old_for_is_named(wheel: str, expected: str) -> None:
    fine = "b-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
    with pytest.raises(InputError, match=expected) as told:
        base_fit.check_libc("glibc 2.31", (fine, wheel), "base")
    assert told.value.found == "glibc 2.31"


def test_the_most_demanding_wheel_is_named_and_the_others_are_counted() -> None:
    wheels = [f"w{n}-1-cp311-cp311-manylinux_2_{n}_x86_64.whl" for n in (34, 36, 35)]
    with pytest.raises(InputError, match=r"glibc 2.36 or later, for w36-1.* and 2 more wheels"):
        base_fit.check_libc("glibc 2.31", wheels, "base")


@pytest.mark.parametrize(
    "wheel",
    [
        "a-1-py3-none-any.whl",
        "a-1-cp311-cp311-linux_x86_64.whl",
        "a-1-cp311-cp311-manylinux1_x86_64.manylinux_2_40_x86_64.whl",
        "a-1-cp311-cp311-manylinux2014_x86_64.whl",
    ],
)
def test_wheels_that_ask_for_no_more_are_carried(wheel: str) -> None:
    base_fit.check_libc("glibc 2.31", (wheel,), "base")


def test_a_c_library_that_nobody_knows_refuses_nothing() -> None:
    base_fit.check_libc("unknown", ("a-1-cp311-cp311-manylinux_2_40_x86_64.whl",), "base")


def test_musl_is_no_glibc() -> None:
    with pytest.raises(InputError, match=r"expected glibc 2.17 or later.*found musl 1.2.5-r0"):
        base_fit.check_libc("musl 1.2.5-r0", ("a-1-cp311-cp311-manylinux2014_x86_64.whl",), "base")


def test_each_library_that_is_absent_is_a_gap_with_who_needs_it() -> None:
    needed = (("libGL.so.1", "cv2/cv2.abi3.so"), ("libc.so.6", "cv2/cv2.abi3.so"))
    (gap,) = base_fit.absent(needed, contents("3.11.2", libraries=("libc.so.6",)))
    assert gap.subject == "libGL.so.1"
    assert gap.reason == "the base has no library of this name; needed by cv2/cv2.abi3.so"
    assert not gap.harmless
