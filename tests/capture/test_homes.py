from dataclasses import replace
from pathlib import Path

import pytest

from envlock.capture import homes
from envlock.lock.environment import CarriedFile
from tests.capture.sites import Site


def test_homes_are_those_of_the_environment_its_sources_and_the_user() -> None:
    installed = Site(Path("/home/ann/env/lib/python3.11/site-packages")).described(
        "demo", "1", "demo.dist-info"
    )
    source = CarriedFile(name="own/__init__.py", path=Path("/home/bob/src/own/__init__.py"))
    elsewhere = Site(Path("/opt/env/lib")).described("own", "1", "own.dist-info")
    own = replace(elsewhere, carried=(source,))
    assert homes.read((installed, own), {"HOME": "/cluster/users/eve/"}) == (
        "/cluster/users/eve",
        "/home/ann",
        "/home/bob",
    )


@pytest.mark.parametrize(
    ("home", "expected"),
    [
        ("/root", ("/root",)),
        ("/srv", ()),
        ("/", ()),
        ("", ()),
        ("a/b/c/d", ()),
        ("/home/ann/x", ("/home/ann/x",)),
    ],
)
def test_a_users_own_home_counts_where_it_is_one(home: str, expected: tuple[str, ...]) -> None:
    assert homes.read((), {"HOME": home}) == expected
