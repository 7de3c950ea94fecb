import json

import pytest

from envlock.engines import configuration
from envlock.runtime.errors import InputError


def test_an_image_config_is_read() -> None:
    config = {
        "Entrypoint": ["/run"],
        "Cmd": ["a"],
        "Env": ["A=1", "B=x=y", "C="],
        "User": "5:6",
        "WorkingDir": "/w",
        "Labels": {"dev.envlock.environment-id": "sha256:1", "odd": 5},
    }
    found = configuration.parse(json.dumps({"config": config}).encode(), "here")
    assert found.environment == (("A", "1"), ("B", "x=y"), ("C", ""))
    assert (found.user, found.working_directory, found.environment_id) == ("5:6", "/w", "sha256:1")
    assert found.argv(()) == ("/run", "a")
    assert found.argv(("b", "c")) == ("/run", "b", "c")


@pytest.mark.parametrize("document", [b"{}", b'{"config": null}', b'{"config": {"Cmd": null}}'])
def test_what_is_left_out_has_a_default(document: bytes) -> None:
    assert configuration.parse(document, "here") == configuration.ImageConfiguration()
    assert configuration.parse(document, "here").environment_id is None


@pytest.mark.parametrize(
    ("document", "place"),
    [
        (b"not json", "not an image config: here"),
        (b'{"config": {"Env": ["A"]}}', "here: config.Env: expected NAME=VALUE, found 'A'"),
        (b'{"config": {"Env": ["=x"]}}', "config.Env"),
        (b'{"config": {"Cmd": [1]}}', "here: config.Cmd: expected a list of strings"),
        (b'{"config": {"User": 5}}', "here: config.User: expected a string"),
    ],
)
def test_a_bad_config_is_refused_with_its_place(document: bytes, place: str) -> None:
    with pytest.raises(InputError, match=place):
        configuration.parse(document, "here")
