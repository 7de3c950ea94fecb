from pathlib import Path

import pytest
import requests
from pypi_simple import PYPI_SIMPLE_ENDPOINT

from envlock.runtime.errors import InputError
from envlock.wheels.configuration import Index, authorise, default_config_files, indexes


def urls(found: tuple[Index, ...]) -> list[str]:
    return [index.public_url for index in found]


def test_with_nothing_configured_the_public_index_is_asked() -> None:
    (index,) = indexes({}, [])
    assert index.url == PYPI_SIMPLE_ENDPOINT
    assert (index.name, index.is_default) == ("pypi", True)


def test_variables_of_pip_and_uv_are_read_with_the_main_index_first() -> None:
    found = indexes(
        {
            "PIP_INDEX_URL": "https://main.example/simple",
            "PIP_EXTRA_INDEX_URL": "https://b.example/simple/ https://c.example/root/simple",
            "UV_DEFAULT_INDEX": "corp=https://corp.example/simple",
            "UV_INDEX": "https://d.example/simple fast=https://e.example/simple?x=y",
        },
        [],
    )
    assert [index.name for index in found] == [
        "main.example",
        "corp",
        "d.example",
        "fast",
        "b.example",
        "c.example/root",
    ]
    assert urls(found)[0] == "https://main.example/simple/"
    assert not any(index.is_default for index in found)


def test_uv_index_url_replaces_the_public_index() -> None:
    assert urls(indexes({"UV_INDEX_URL": "https://u.example/simple/"}, [])) == ["https://u.example/simple/"]


def test_one_index_named_twice_is_asked_once_and_one_host_gives_two_names() -> None:
    found = indexes(
        {
            "PIP_INDEX_URL": "https://a.example/simple",
            "PIP_EXTRA_INDEX_URL": "https://u:p@a.example/simple/ https://a.example/",
        },
        [],
    )
    assert [index.name for index in found] == ["a.example", "a.example'"]


def test_later_files_beat_earlier_ones_and_variables_beat_files(tmp_path: Path) -> None:
    first, second = tmp_path / "a.conf", tmp_path / "b.conf"
    first.write_text(
        "[global]\nindex-url = https://one.example/simple\nextra-index-url = https://x.example/s\n"
    )
    second.write_text("[install]\nindex_url = https://two.example/simple\n%odd = 100%\n")
    assert urls(indexes({}, [first, second])) == ["https://two.example/simple/", "https://x.example/s/"]
    environ = {"PIP_INDEX_URL": "https://three.example/simple", "PIP_EXTRA_INDEX_URL": "https://y.example/s"}
    assert urls(indexes(environ, [first, second])) == [
        "https://three.example/simple/",
        "https://y.example/s/",
    ]


def test_directories_and_missing_files_break_nothing(tmp_path: Path) -> None:
    conf = tmp_path / "pip.conf"
    conf.write_text(
        "[global]\nfind-links = /wheels\nextra-index-url = file:///a/simple\n    file:///b/simple\n"
    )
    (index,) = indexes({}, [tmp_path / "missing.conf", conf, tmp_path])
    assert index.is_default


@pytest.mark.parametrize("text", ["no section = 1\n", "[global]\n\xff"])
def test_a_broken_file_is_told(tmp_path: Path, text: str) -> None:
    conf = tmp_path / "pip.conf"
    conf.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match="not a pip configuration file"):
        indexes({}, [conf])


def test_a_file_that_may_not_be_read_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (index,) = indexes({}, [tmp_path / "loop"])
    assert index.is_default


def test_pip_files_are_looked_for_where_pip_does(tmp_path: Path) -> None:
    home = tmp_path / "home"
    own = home / ".config" / "pip" / "pip.conf"
    own.parent.mkdir(parents=True)
    own.write_text("[global]\nindex-url = https://home.example/simple\n")
    assert urls(indexes({"HOME": str(home)})) == ["https://home.example/simple/"]
    venv = tmp_path / "venv"
    venv.mkdir()
    (venv / "pip.conf").write_text("[global]\nindex-url = https://venv.example/simple\n")
    environ = {"HOME": str(home), "VIRTUAL_ENV": str(venv)}
    assert urls(indexes(environ)) == ["https://venv.example/simple/"]
    last = tmp_path / "last.conf"
    last.write_text("[global]\nindex-url = https://last.example/simple\n")
    assert default_config_files({**environ, "PIP_CONFIG_FILE": str(last)})[-1] == last
    assert default_config_files({**environ, "PIP_CONFIG_FILE": "/dev/null"}) == ()
    elsewhere = default_config_files({"HOME": "/h", "XDG_CONFIG_HOME": "/c", "XDG_CONFIG_DIRS": "/x:/y"})
    assert [str(path) for path in elsewhere] == [
        "/y/pip/pip.conf",
        "/x/pip/pip.conf",
        "/etc/pip.conf",
        "/h/.pip/pip.conf",
        "/c/pip/pip.conf",
    ]


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "netrc"
    path.write_text("machine other.example login bob password b0b\n")
    monkeypatch.setenv("NETRC", str(path))


def _authorization(client: requests.Session, url: str) -> str | None:
    prepared = client.prepare_request(requests.Request("GET", url))
    return prepared.headers.get("Authorization")


def test_credentials_go_to_their_own_host_only(netrc: None, client: requests.Session) -> None:
    environ = {"PIP_INDEX_URL": "https://ann:p%40ss@index.example/simple"}
    authorise(client, indexes(environ, []))
    assert _authorization(client, "https://index.example/files/x.whl") == "Basic YW5uOnBAc3M="
    assert _authorization(client, "https://else.example/x.whl") is None
    assert _authorization(client, "http://index.example/files/x.whl") is None
    assert _authorization(client, "https://other.example/x.whl") == "Basic Ym9iOmIwYg=="


def test_a_look_up_url_never_shows_what_could_be_a_secret() -> None:
    (index,) = indexes({"PIP_INDEX_URL": "https://ann:pw@index.example/simple?token=pw#pw"}, [])
    assert index.public_url == "https://index.example/simple/"
    assert "pw" not in repr(index)
    assert "pw" not in index.name
