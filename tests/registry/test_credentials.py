"""Where the login to a registry is found, and how it is used."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from envlock.oci.registry.authorization import read_challenge
from envlock.oci.registry.credentials import Credentials, find
from envlock.oci.registry.reference import Reference
from envlock.runtime.errors import InputError, UnreachableError

REFERENCE = Reference.parse("registry.example:5000/team/exp:1")


def entry(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


def write(path: Path, settings: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(settings))


def helper(home: Path, name: str, script: str) -> None:
    program = home / "bin" / f"docker-credential-{name}"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.fixture
def variables(home: Path, environ: dict[str, str]) -> dict[str, str]:
    return {**environ, "PATH": f"{home}/bin:{environ['PATH']}"}


def test_nothing_configured_is_anonymous(environ: dict[str, str]) -> None:
    assert find(REFERENCE, environ) is None


@pytest.mark.parametrize(
    "place", ["named.json", "run/containers/auth.json", ".config/containers/auth.json", ".docker/config.json"]
)
def test_each_tool_s_file_is_read(home: Path, environ: dict[str, str], place: str) -> None:
    write(home / place, {"auths": {"registry.example:5000": entry("ann:secret:word")}})
    environ |= {"REGISTRY_AUTH_FILE": str(home / "named.json"), "XDG_RUNTIME_DIR": str(home / "run")}
    assert find(REFERENCE, environ) == Credentials(user="ann", password="secret:word")


def test_the_login_of_the_nearest_path_is_taken(home: Path, environ: dict[str, str]) -> None:
    auths = {"registry.example:5000": entry("all:1"), "registry.example:5000/team": entry("team:2")}
    write(home / ".docker/config.json", {"auths": auths})
    assert find(REFERENCE, environ) == Credentials(user="team", password="2")
    other = Reference.parse("registry.example:5000/others/exp:1")
    assert find(other, environ) == Credentials(user="all", password="1")


def test_the_default_registry_has_its_old_name_in_the_file(home: Path, environ: dict[str, str]) -> None:
    write(home / ".docker/config.json", {"auths": {"https://index.docker.io/v1/": entry("ann:x")}})
    assert find(Reference.parse("team/exp"), environ) == Credentials(user="ann", password="x")


def test_a_helper_is_asked_for_its_registry(home: Path, variables: dict[str, str]) -> None:
    helper(home, "vault", 'read name; echo "{\\"Username\\": \\"ann\\", \\"Secret\\": \\"for $name\\"}"')
    write(home / ".docker/config.json", {"credHelpers": {"registry.example:5000": "vault"}})
    assert find(REFERENCE, variables) == Credentials(user="ann", password="for registry.example:5000")


def test_a_store_that_has_nothing_means_anonymous(home: Path, variables: dict[str, str]) -> None:
    helper(home, "empty", "echo credentials not found in native keychain; exit 1")
    write(home / ".docker/config.json", {"credsStore": "empty"})
    assert find(REFERENCE, variables) is None


def test_a_store_may_hold_a_token_to_exchange(home: Path, variables: dict[str, str]) -> None:
    helper(home, "vault", 'echo "{\\"Username\\": \\"<token>\\", \\"Secret\\": \\"abc\\"}"')
    write(home / ".docker/config.json", {"credsStore": "vault"})
    found = find(REFERENCE, variables)
    assert found is not None
    assert found.identity_token == "abc"
    assert "abc" not in repr(found)


@pytest.mark.parametrize("script", ["exit 3", "echo nonsense", "echo '{}'"])
def test_a_helper_that_fails_is_named(home: Path, variables: dict[str, str], script: str) -> None:
    helper(home, "broken", script)
    write(home / ".docker/config.json", {"credsStore": "broken"})
    with pytest.raises(UnreachableError) as caught:
        find(REFERENCE, variables)
    assert caught.value.where == "docker-credential-broken"


def test_a_helper_that_is_not_installed_is_named(home: Path, variables: dict[str, str]) -> None:
    write(home / ".docker/config.json", {"credsStore": "missing"})
    with pytest.raises(UnreachableError, match="docker-credential-missing"):
        find(REFERENCE, variables)


@pytest.mark.parametrize("text", ["{", '{"auths": {"registry.example:5000": {"auth": "%%%"}}}'])
def test_a_broken_file_is_bad_input_that_names_it(home: Path, environ: dict[str, str], text: str) -> None:
    path = home / ".docker/config.json"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        find(REFERENCE, environ)
    assert str(path) in str(caught.value.where)


@pytest.mark.parametrize("text", ["[]", '{"auths": 3}', '{"auths": {"registry.example:5000": 3}}'])
def test_what_holds_no_login_is_passed_over(home: Path, environ: dict[str, str], text: str) -> None:
    path = home / ".docker/config.json"
    path.parent.mkdir()
    path.write_text(text)
    assert find(REFERENCE, environ) is None


def test_a_challenge_is_read() -> None:
    found = read_challenge('Bearer realm="https://a.example/t?x=1,2",scope="a:b:pull,push"')
    assert found.scheme == "bearer"
    assert found.parameters == {"realm": "https://a.example/t?x=1,2", "scope": "a:b:pull,push"}


@pytest.mark.parametrize(
    ("text", "host", "shown", "loopback"),
    [
        ("team/exp", "registry-1.docker.io", "docker.io/team/exp:latest", False),
        ("exp:2", "registry-1.docker.io", "docker.io/library/exp:2", False),
        ("localhost:5000/a:1", "localhost:5000", "localhost:5000/a:1", True),
        ("127.0.0.1:5000/a", "127.0.0.1:5000", "127.0.0.1:5000/a:latest", True),
        ("r.example/a@sha256:" + "a" * 64, "r.example", "r.example/a@sha256:" + "a" * 64, False),
    ],
)
def test_a_reference_names_host_and_image(text: str, host: str, shown: str, *, loopback: bool) -> None:
    found = Reference.parse(text)
    assert (found.host, str(found), found.is_loopback) == (host, shown, loopback)


@pytest.mark.parametrize("text", ["", "A/b", "a@sha256:1", "a b"])
def test_what_is_no_reference_is_bad_input(text: str) -> None:
    with pytest.raises(InputError):
        Reference.parse(text)
