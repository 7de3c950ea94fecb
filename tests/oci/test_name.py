import pytest

from envlock.oci.name import ImageName
from envlock.runtime.errors import InputError


@pytest.mark.parametrize(
    ("text", "short", "full"),
    [
        ("exp", "exp:latest", "docker.io/library/exp:latest"),
        ("exp:1", "exp:1", "docker.io/library/exp:1"),
        ("team/exp:1.0-rc_1", "team/exp:1.0-rc_1", "docker.io/team/exp:1.0-rc_1"),
        ("localhost/exp", "localhost/exp:latest", "localhost/exp:latest"),
        ("localhost:5000/a/b:2", "localhost:5000/a/b:2", "localhost:5000/a/b:2"),
        ("registry:5000/exp", "registry:5000/exp:latest", "registry:5000/exp:latest"),
        ("registry.example/team/exp", "registry.example/team/exp:latest", "registry.example/team/exp:latest"),
    ],
)
def test_a_name_is_read_as_docker_reads_it(text: str, short: str, full: str) -> None:
    name = ImageName.parse(text)
    assert (str(name), name.full) == (short, full)


@pytest.mark.parametrize(
    "text", ["", "Exp", "exp:", "exp:.x", "a//b", "-a", "exp@sha256:" + "0" * 64, "exp:" + "x" * 129, "a b"]
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="not an image name"):
        ImageName.parse(text)
