from dataclasses import replace

import pytest

from envlock.lock.export import requirements
from envlock.lock.identity import environment_id
from envlock.lock.model import Lock, Package
from envlock.runtime.errors import InputError
from tests.lock.conftest import NUMPY, TORCH


def entries(lock: Lock) -> list[str]:
    text = requirements.dumps(lock).decode()
    assert text.endswith("\n")
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_a_package_of_an_index_is_pinned_and_one_beside_the_lock_is_its_file(lock: Lock) -> None:
    assert entries(lock) == [
        f"numpy==2.4.6 --hash=sha256:{NUMPY.wheel.sha256.hex}",
        f"./.envlock/wheels/{TORCH.wheel.name} --hash=sha256:{TORCH.wheel.sha256.hex}",
    ]


def test_the_heading_names_the_environment_and_where_to_start(lock: Lock) -> None:
    told = requirements.dumps(lock).decode()
    assert f"# environment-id {environment_id(lock)}\n" in told
    assert "# cpython 3.11.7 on linux/amd64" in told
    assert "lockfile's directory" in told
    assert "lockfile's directory" not in requirements.dumps(replace(lock, packages=(NUMPY,))).decode()


def test_a_package_from_a_url_is_that_url(lock: Lock) -> None:
    archive = replace(NUMPY, source="archive", evidence="recorded", index=None)
    (line,) = entries(replace(lock, packages=(archive,)))
    assert line == f"numpy @ {NUMPY.wheel.url} --hash=sha256:{NUMPY.wheel.sha256.hex}"


def test_another_index_than_the_public_one_is_named_in_a_comment(lock: Lock) -> None:
    (line,) = entries(replace(lock, packages=(replace(NUMPY, index="index.example/whl/cpu"),)))
    assert line.startswith("numpy==2.4.6 --hash=sha256:")
    assert line.endswith("  # on the index index.example/whl/cpu")


def test_the_order_of_the_lock_does_not_matter(lock: Lock) -> None:
    turned = replace(lock, packages=tuple(reversed(lock.packages)))
    assert requirements.dumps(turned) == requirements.dumps(lock)


def beside(path: str) -> Package:
    return replace(TORCH, wheel=replace(TORCH.wheel, path=path))


@pytest.mark.parametrize(
    "path", ["a b/x.whl", "x.whl\n--index-url https://evil.example", "x#y.whl", "${HOME}/x.whl", "x\\"]
)
def test_a_place_that_pip_would_read_as_something_else_is_refused(lock: Lock, path: str) -> None:
    with pytest.raises(InputError, match="cannot stand in a requirements file") as caught:
        requirements.dumps(replace(lock, packages=(beside(path),)))
    assert caught.value.where == "torch"


def test_a_dollar_that_begins_no_variable_is_kept(lock: Lock) -> None:
    (line,) = entries(replace(lock, packages=(beside("$x/y.whl"),)))
    assert line.startswith("./$x/y.whl ")
