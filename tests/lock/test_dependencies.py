from dataclasses import replace
from pathlib import Path

import pytest

from envlock.lock.dependencies import with_dependencies
from envlock.lock.environment import InstalledDistribution
from envlock.lock.model import Lock
from tests.lock.conftest import NUMPY


def installed(name: str, *requires: str) -> InstalledDistribution:
    return InstalledDistribution(
        name=name,
        raw_name=name,
        version="1.0",
        site=Path("/site-packages"),
        dist_info=f"{name}-1.0.dist-info",
        tags=(),
        build=None,
        root_is_purelib=True,
        record=(),
        requires_python=None,
        installer=None,
        direct_url=None,
        requires=requires,
    )


def needed(lock: Lock, *distributions: InstalledDistribution, locked: str = "abcdef") -> dict[str, str]:
    """Which of the packages, each one letter, each needs; those that need none are left out."""
    whole = replace(lock, packages=tuple(replace(NUMPY, name=name) for name in locked))
    found = with_dependencies(whole, distributions).packages
    return {one.name: "".join(one.dependencies) for one in found if one.dependencies}


def test_what_the_metadata_asks_for_and_the_lock_has_is_needed(lock: Lock) -> None:
    distributions = (
        installed("a", "C>=1", "b (<2)", "absent"),
        installed("b", "no requirement ("),
        installed("c"),
    )
    assert needed(lock, *distributions) == {"a": "bc"}
    # envlock, say, which a capture leaves out.
    assert needed(lock, *distributions, locked="ac") == {"a": "c"}


@pytest.mark.parametrize(
    ("marker", "holds"),
    [
        ("python_version < '3.8'", False),
        ("python_version >= '3.11' and sys_platform == 'linux'", True),
        ("python_full_version == '3.11.7' and implementation_name == 'cpython'", True),
        ("platform_machine == 'aarch64'", False),
        ("platform_python_implementation == 'CPython' and platform_system == 'Linux'", True),
        ("platform_release ~= 'six'", False),
        ("extra == 'more'", False),
    ],
)
def test_a_marker_is_that_of_the_captured_interpreter(lock: Lock, marker: str, *, holds: bool) -> None:
    assert needed(lock, installed("a", f"b; {marker}"), installed("b")) == ({"a": "b"} if holds else {})


def test_what_an_extra_needs_is_needed_by_whoever_asks_for_it(lock: Lock) -> None:
    extras = ("c; extra == 'fast-path'", "d; extra == 'slow'", "e")
    rest = (installed("b", *extras), installed("c"), installed("d"), installed("e"))
    assert needed(lock, installed("a", "b"), *rest) == {"a": "b", "b": "e"}
    # The entry of b is what it was.
    assert needed(lock, installed("a", "b[Fast_Path]"), *rest) == {"a": "bc", "b": "e"}
    # dask[complete] is made of other extras of dask.
    own = installed("b", "b[slow]; extra == 'all'", *extras)
    assert needed(lock, installed("a", "b[all]"), own, *rest[1:]) == {"a": "bd", "b": "e"}
    assert needed(lock, installed("a", "a[x]", "c; extra == 'x'"), installed("c")) == {"a": "c"}
