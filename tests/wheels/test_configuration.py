from pathlib import Path

import pytest
from pypi_simple import PYPI_SIMPLE_ENDPOINT

from envlock.runtime.errors import InputError
from envlock.wheels import pip_settings, uv_settings
from envlock.wheels.configuration import Configuration, combined, pip_variables, read
from envlock.wheels.pip_settings import PipSettings
from envlock.wheels.uv_settings import UvSettings


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A machine where nothing is configured."""
    (tmp_path / "home").mkdir()
    return {
        "HOME": str(tmp_path / "home"),
        "XDG_CONFIG_DIRS": str(tmp_path / "shared"),
        "PIP_CONFIG_FILE": "/dev/null",
    }


def urls(found: Configuration) -> list[str]:
    return [index.public_url for index in found.indexes]


def of_pip(environ: dict[str, str], *files: Path) -> Configuration:
    return combined(pip_settings.read(environ, files), UvSettings())


def test_with_nothing_configured_the_public_index_is_asked(environ: dict[str, str]) -> None:
    (index,) = read(environ).indexes
    assert index.url == PYPI_SIMPLE_ENDPOINT
    assert (index.name, index.is_default) == ("pypi", True)


def test_variables_of_pip_and_uv_are_read_with_the_main_index_first(environ: dict[str, str]) -> None:
    found = read(
        {
            **environ,
            "PIP_INDEX_URL": "https://main.example/simple",
            "PIP_EXTRA_INDEX_URL": "https://b.example/simple/ https://c.example/root/simple",
            "UV_DEFAULT_INDEX": "corp=https://corp.example/simple",
            "UV_INDEX": "https://d.example/simple fast=https://e.example/simple?x=y",
            "UV_EXTRA_INDEX_URL": "https://f.example/simple",
        }
    )
    assert [index.name for index in found.indexes] == [
        "main.example",
        "corp",
        "d.example",
        "fast",
        "f.example",
        "b.example",
        "c.example/root",
    ]
    assert urls(found)[0] == "https://main.example/simple/"
    assert not any(index.is_default for index in found.indexes)


def test_uv_index_url_replaces_the_public_index(environ: dict[str, str]) -> None:
    found = read({**environ, "UV_INDEX_URL": "https://u.example/simple/"})
    assert urls(found) == ["https://u.example/simple/"]


def test_one_index_named_twice_is_asked_once_and_one_host_gives_two_names(environ: dict[str, str]) -> None:
    found = of_pip(
        {
            "PIP_INDEX_URL": "https://a.example/simple",
            "PIP_EXTRA_INDEX_URL": "https://u:p@a.example/simple/ https://a.example/",
        }
    )
    assert [index.name for index in found.indexes] == ["a.example", "a.example'"]


def test_later_files_beat_earlier_ones_and_variables_beat_files(tmp_path: Path) -> None:
    first, second = tmp_path / "a.conf", tmp_path / "b.conf"
    first.write_text(
        "[global]\nindex-url = https://one.example/simple\nextra-index-url = https://x.example/s\n"
    )
    second.write_text("[install]\nindex_url = https://two.example/simple\n%odd = 100%\n")
    assert urls(of_pip({}, first, second)) == ["https://two.example/simple/", "https://x.example/s/"]
    environ = {"PIP_INDEX_URL": "https://three.example/simple", "PIP_EXTRA_INDEX_URL": "https://y.example/s"}
    assert urls(of_pip(environ, first, second)) == ["https://three.example/simple/", "https://y.example/s/"]
    assert urls(of_pip({"PIP_INDEX_URL": ""}, first)) == [
        "https://one.example/simple/",
        "https://x.example/s/",
    ]


def test_directories_are_asked_last_and_never_named(tmp_path: Path) -> None:
    conf = tmp_path / "pip.conf"
    conf.write_text(
        "[global]\nfind-links = /srv/ann/wheels https://links.example/all.html?x=1\n"
        "extra-index-url = file:///a/simple\n    file:///b/simple ftp://c.example/ https:///nothing\n"
    )
    found = of_pip({}, tmp_path / "missing.conf", conf, tmp_path)
    assert [(one.name, one.form) for one in found.indexes] == [
        ("pypi", "simple"),
        ("links.example/all.html", "links"),
        ("local", "simple"),
        ("local'", "simple"),
        ("find-links", "links"),
    ]
    assert [one.directory for one in found.indexes][2:] == [
        Path("/a/simple"),
        Path("/b/simple"),
        Path("/srv/ann/wheels"),
    ]
    links = found.indexes[1]
    assert (links.address, links.public_url) == (
        "https://links.example/all.html?x=1",
        "https://links.example/all.html",
    )


@pytest.mark.parametrize("value", ["1", "true", "yes"])
def test_no_index_leaves_what_the_other_tool_names_and_find_links(
    value: str, environ: dict[str, str]
) -> None:
    pip = {**environ, "PIP_NO_INDEX": value, "PIP_INDEX_URL": "https://a.example", "PIP_FIND_LINKS": "wheels"}
    assert [one.name for one in read(pip).indexes] == ["find-links"]
    assert read(pip).indexes[0].directory == Path("wheels").absolute()
    uv = {**environ, "UV_NO_INDEX": value, "UV_INDEX": "https://a.example"}
    assert read(uv).indexes == ()
    both = {**environ, "PIP_NO_INDEX": value, "UV_INDEX": "https://u.example/simple"}
    assert urls(read(both)) == ["https://u.example/simple/"]


@pytest.mark.parametrize("text", ["no section = s3cret\n", "[global]\n\xff"])
def test_a_broken_file_is_told_without_its_content(tmp_path: Path, text: str) -> None:
    conf = tmp_path / "pip.conf"
    conf.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match="not a pip configuration file") as caught:
        of_pip({}, conf)
    assert "s3cret" not in caught.value.render()


def test_a_file_that_may_not_be_read_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (index,) = of_pip({}, tmp_path / "loop").indexes
    assert index.is_default


def test_pip_files_are_looked_for_where_pip_does(tmp_path: Path) -> None:
    home = tmp_path / "home"
    own = home / ".config" / "pip" / "pip.conf"
    own.parent.mkdir(parents=True)
    own.write_text("[global]\nindex-url = https://home.example/simple\n")
    environ = {"HOME": str(home), "XDG_CONFIG_DIRS": str(tmp_path)}
    assert urls(read(environ))[0] == "https://home.example/simple/"
    venv = tmp_path / "venv"
    venv.mkdir()
    (venv / "pip.conf").write_text("[global]\nindex-url = https://venv.example/simple\n")
    for active in ({"VIRTUAL_ENV": str(venv)}, {"CONDA_PREFIX": str(venv)}):
        assert urls(read({**environ, **active}))[0] == "https://venv.example/simple/"
    assert urls(read(environ, prefix=venv))[0] == "https://venv.example/simple/"
    last = tmp_path / "last.conf"
    last.write_text("[global]\nindex-url = https://last.example/simple\n")
    chosen = pip_settings.config_files({**environ, "PIP_CONFIG_FILE": str(last)}, venv)
    # pip reads no file of the user's where PIP_CONFIG_FILE names one that exists.
    assert own not in chosen
    assert chosen[-2:] == (venv / "pip.conf", last)
    assert pip_settings.config_files({**environ, "PIP_CONFIG_FILE": "/dev/null"}) == ()
    elsewhere = pip_settings.config_files({"HOME": "/h", "XDG_CONFIG_HOME": "/c", "XDG_CONFIG_DIRS": "/x:/y"})
    assert [str(path) for path in elsewhere] == [
        "/y/pip/pip.conf",
        "/x/pip/pip.conf",
        "/etc/pip.conf",
        "/h/.pip/pip.conf",
        "/c/pip/pip.conf",
    ]


UV_TOML = """
find-links = ["wheels", "/abs"]
extra-index-url = ["https://ann:pw@more.example/simple"]
[[index]]
name = "only-torch"
url = "https://torch.example/whl/cpu"
explicit = true
[[index]]
name = "flat"
url = "dist"
format = "flat"
[[index]]
name = "main.1"
url = "https://main.example/simple"
default = true
[pip]
no-index = false
index-url = "https://second.example/simple"
keyring-provider = "subprocess"
"""


@pytest.mark.parametrize("name", ["uv.toml", "pyproject.toml"])
def test_uv_s_files_are_read_from_the_project_upwards(
    tmp_path: Path, environ: dict[str, str], name: str
) -> None:
    text = UV_TOML
    if name == "pyproject.toml":
        text = "[tool.uv]\n" + text.replace("[[index]]", "[[tool.uv.index]]").replace(
            "[pip]", "[tool.uv.pip]"
        )
        (tmp_path / "uv.toml").write_text("")
    (tmp_path / name).write_text(text)
    below = tmp_path / "project" / "sub"
    below.mkdir(parents=True)
    (below.parent / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    found = read(
        {**environ, "UV_INDEX_MAIN_1_USERNAME": "bob", "UV_INDEX_MAIN_1_PASSWORD": "p@ss"}, project=below
    )
    assert [(one.name, one.form) for one in found.indexes] == [
        ("main.1", "simple"),
        ("more.example", "simple"),
        ("only-torch", "simple"),
        ("flat", "links"),
        ("find-links", "links"),
        ("find-links'", "links"),
    ]
    assert found.indexes[0].url == "https://bob:p%40ss@main.example/simple"
    assert found.indexes[3].directory == tmp_path / "dist"
    assert found.indexes[4].directory == tmp_path / "wheels"
    assert found.keyring_provider == "subprocess"
    assert "pw" not in repr(found)
    assert "p%40ss" not in repr(found)


def test_uv_s_user_and_system_files_come_after_the_project_s(tmp_path: Path, environ: dict[str, str]) -> None:
    for place in ("home/.config/uv", "shared/uv", "project"):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        host = place.split("/")[0]
        (tmp_path / place / "uv.toml").write_text(f'[[index]]\nurl = "https://{host}.example/simple"\n')
    assert urls(read(environ, project=tmp_path / "project"))[1:] == [
        "https://project.example/simple/",
        "https://home.example/simple/",
        "https://shared.example/simple/",
    ]
    assert urls(read({**environ, "UV_NO_CONFIG": "1"}, project=tmp_path / "project"))[1:] == []
    chosen = {**environ, "UV_CONFIG_FILE": str(tmp_path / "shared" / "uv" / "uv.toml")}
    assert urls(read(chosen))[1:] == ["https://shared.example/simple/"]


def test_a_broken_uv_toml_is_told_and_another_tool_s_pyproject_is_passed_over(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    (tmp_path / "pyproject.toml").write_text("[")
    assert len(read(environ, project=tmp_path).indexes) == 1
    (tmp_path / "uv.toml").write_text("[")
    with pytest.raises(InputError, match="not a configuration file of uv"):
        read(environ, project=tmp_path)


def test_odd_values_in_uv_s_tables_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "uv.toml").write_text('index = ["x", {name = "a"}, {url = 3}]\nfind-links = 3\npip = "x"\n')
    found = uv_settings.read({}, [tmp_path / "uv.toml"])
    assert (found.indexes, found.find_links, found.no_index) == ((), (), False)


def test_another_pip_is_told_where_that_of_an_environment_would_look(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    (tmp_path / "pip.conf").write_text(
        "[global]\nindex-url = https://a:b@corp.example/simple\nfind-links = /w\nno-index = on\ncert = /ca\n"
    )
    assert pip_variables(environ, tmp_path) == {}
    del environ["PIP_CONFIG_FILE"]
    found = pip_variables(environ, tmp_path)
    assert found["PIP_INDEX_URL"] == "https://a:b@corp.example/simple"
    assert (found["PIP_FIND_LINKS"], found["PIP_NO_INDEX"], found["PIP_CERT"]) == ("/w", "1", "/ca")


def test_a_look_up_url_never_shows_what_could_be_a_secret(environ: dict[str, str]) -> None:
    (index,) = of_pip({"PIP_INDEX_URL": "https://ann:pw@index.example/simple?token=pw#pw"}).indexes
    assert index.public_url == index.address == "https://index.example/simple/"
    assert "pw" not in repr(index)
    assert "pw" not in index.name


def test_how_an_index_is_reached_is_read_of_pip_and_of_uv(tmp_path: Path, environ: dict[str, str]) -> None:
    file = tmp_path / "pip.conf"
    file.write_text(
        "[global]\ntrusted-host =\n  corp.example\n  index.example:8443\nproxy = http://a:b@proxy.example:3128\n"
    )
    (tmp_path / "uv.toml").write_text('allow-insecure-host = ["uv.example"]\n')
    pip = pip_settings.read({**environ, "PIP_CLIENT_CERT": "/me.pem"}, [file])
    uv = uv_settings.read(
        {"SSL_CLIENT_CERT": "/uv.pem", "UV_INSECURE_HOST": "more.example"}, [tmp_path / "uv.toml"]
    )
    found = combined(pip, uv)
    assert found.trusted_hosts == ("corp.example", "index.example:8443", "more.example", "uv.example")
    assert (found.client_cert, found.proxy) == ("/me.pem", "http://a:b@proxy.example:3128")
    assert combined(PipSettings(), uv).client_cert == "/uv.pem"
    assert "a:b" not in repr(found)


def test_another_pip_is_told_how_the_index_is_reached(environ: dict[str, str]) -> None:
    stated = {
        "PIP_TRUSTED_HOST": "a.example b.example",
        "PIP_PROXY": "http://p.example",
        "PIP_CLIENT_CERT": "/c",
    }
    assert stated.items() <= pip_variables({**environ, **stated}, None).items()
