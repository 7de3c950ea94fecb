"""Logins as uv stores them; the first test has uv itself store them."""

import subprocess
import sys
from pathlib import Path

import pytest

from envlock.wheels import configuration, uv_logins
from envlock.wheels.uv_logins import StoredLogin, with_login

TEAM = StoredLogin(service="https://index.example/team", username="ann", password="p@ss")
HOST = StoredLogin(service="https://index.example/", username="__token__", password="t0ken")
LOGINS = (TEAM, HOST)


def test_what_uv_stored_serves_the_indexes_below_it(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "UV_INDEX": "own=https://index.example/team/simple"}
    uv = [str(Path(sys.executable).with_name("uv")), "--quiet", "auth", "login"]
    for login in (
        ("index.example", "--token", "t0ken"),
        (TEAM.service, "--username", "ann", "--password", "x:y"),
    ):
        subprocess.run([*uv, *login], env=environ, check=True, capture_output=True)
    indexes = configuration.read(environ).indexes
    (index,) = (one for one in indexes if one.name == "own")
    assert index.url == "https://ann:x%3Ay@index.example/team/simple"
    assert index.public_url == "https://index.example/team/simple/"
    assert "x:y" not in repr(uv_logins.read(environ))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://index.example/team/simple", "https://ann:p%40ss@index.example/team/simple"),
        ("https://index.example/teams/simple", "https://__token__:t0ken@index.example/teams/simple"),
        ("https://ann@index.example/team/", "https://ann:p%40ss@index.example/team/"),
        ("https://bob@index.example/team/", "https://bob@index.example/team/"),
        ("https://bob:own@index.example/team/", "https://bob:own@index.example/team/"),
        ("http://index.example/team/", "http://index.example/team/"),
        ("https://index.example:8443/team/", "https://index.example:8443/team/"),
        ("https://other.example/team/", "https://other.example/team/"),
    ],
)
def test_the_nearest_login_of_the_same_place_counts(url: str, expected: str) -> None:
    assert with_login(url, LOGINS) == expected


@pytest.mark.parametrize(
    "text", ["", "credential = 7", "[[credential]]\nservice = 'https://x'\n", "no toml [", "[[credential]]\n"]
)
def test_a_store_that_holds_none_has_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "credentials.toml").write_text(text)
    assert uv_logins.read({"UV_CREDENTIALS_DIR": str(tmp_path)}) == ()


@pytest.mark.parametrize(
    "service", ["https://index.example:port/", "https://[index.example/", "index.example"]
)
def test_a_login_for_what_is_no_url_serves_nothing(tmp_path: Path, service: str) -> None:
    entry = f'[[credential]]\nservice = "{service}"\nusername = "ann"\npassword = "pw"\n'
    (tmp_path / "credentials.toml").write_text(entry)
    assert uv_logins.read({"UV_CREDENTIALS_DIR": str(tmp_path)}) == ()
