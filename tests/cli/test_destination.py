import pytest

from envlock.cli.destination import Destination, parse_destination
from envlock.runtime.errors import UsageError


@pytest.mark.parametrize(
    ("text", "kind", "target"),
    [
        ("oci:dir", "oci", "dir"),
        ("oci-archive:a:b.tar", "oci-archive", "a:b.tar"),
        ("docker-archive:/deep/x.tar", "docker-archive", "/deep/x.tar"),
        ("docker:team/exp:1", "docker", "team/exp:1"),
    ],
)
def test_a_place_is_a_kind_and_a_target(text: str, kind: str, target: str) -> None:
    found = parse_destination(text)
    assert (found.kind, found.target) == (kind, target)
    assert str(found) == text
    assert found == Destination(kind=found.kind, target=target)


@pytest.mark.parametrize("text", ["", "oci:", "dir", "registry:", "OCI:dir"])
def test_anything_else_is_refused_with_the_kinds_that_there_are(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_destination(text)
    assert "oci-archive:FILE" in str(caught.value)
    assert caught.value.where == f"-o {text}"
