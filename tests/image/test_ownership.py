import pytest

from envlock.image.ownership import InstalledPaths, left_out
from envlock.runtime.errors import InputError


def paths(package: str, modified: tuple[str, ...] = (), **files: str) -> InstalledPaths:
    named = {f"/s/{name.replace('__', '/')}": value for name, value in files.items()}
    return InstalledPaths(package=package, files=named, modified=modified)


def test_wheels_without_common_paths_lose_nothing() -> None:
    assert left_out([paths("a", x="1"), paths("b", y="1")]) == {}


def test_the_first_normalised_name_owns_a_path_of_the_same_bytes() -> None:
    found = left_out(
        [
            paths("nvidia-b", nvidia__init="e"),
            paths("nvidia-a", nvidia__init="e"),
            paths("nvidia-c", nvidia__init="e"),
        ]
    )
    assert found == {"nvidia-b": ("/s/nvidia/init",), "nvidia-c": ("/s/nvidia/init",)}


def test_the_package_whose_file_was_not_modified_owns_a_contested_path() -> None:
    assert left_out([paths("a", modified=("/s/x",), x="1"), paths("b", x="2")]) == {"a": ("/s/x",)}


@pytest.mark.parametrize("modified", [(), ("/s/x",)])
def test_without_an_answer_the_error_names_both(modified: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=r"/s/x: found a and b") as caught:
        left_out([paths("b", modified, x="2"), paths("a", modified, x="1")])
    assert caught.value.hint


def test_a_file_of_one_wheel_that_is_a_directory_of_another_is_refused() -> None:
    with pytest.raises(InputError, match=r"/s/d: found b and a"):
        left_out([paths("a", d__e__f="1"), paths("b", d="2")])
