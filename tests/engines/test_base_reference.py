"""What ``--base`` may name."""

import io
import tarfile
from pathlib import Path

import pytest

from envlock.engines.base_reference import BaseReference, parse
from envlock.lock.model import Python
from envlock.runtime.errors import InputError, UsageError

PYTHON = Python(
    implementation="cpython",
    version="3.11.7",
    abi="cpython-311",
    build="",
    prefix_kind="system",
    prefix="/usr",
)


def read(text: str) -> BaseReference:
    return parse(text, PYTHON)


@pytest.mark.parametrize(
    ("text", "kind", "target"),
    [
        ("registry:team/base:1", "registry", "team/base:1"),
        ("team/base:1", "registry", "team/base:1"),
        ("localhost:5000/team/base:1", "registry", "localhost:5000/team/base:1"),
        ("docker-daemon:team/base:1", "docker-daemon", "team/base:1"),
        ("oci:some/where", "oci", "some/where"),
        ("docker-archive:x.tar", "docker-archive", "x.tar"),
        ("oci-archive:x.tar", "oci-archive", "x.tar"),
        ("dockerfile:docker/Base", "dockerfile", "docker/Base"),
        ("python-slim", "registry", "python:3.11.7-slim"),
    ],
)
def test_a_scheme_or_a_name(
    text: str, kind: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert read(text) == BaseReference(kind=kind, target=target)  # type: ignore[arg-type] # one of KINDS


def test_what_is_there_beats_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("layout").mkdir()
    Path("Dockerfile.mine").write_text("FROM scratch\n")
    for name, inside in (("oci.tar", "index.json"), ("saved.tar", "manifest.json")):
        with tarfile.open(name, "w") as tar:
            tar.addfile(tarfile.TarInfo(inside), io.BytesIO())
    kinds = {name: read(name).kind for name in ("layout", "Dockerfile.mine", "oci.tar", "saved.tar")}
    assert kinds == {
        "layout": "oci",
        "Dockerfile.mine": "dockerfile",
        "oci.tar": "oci-archive",
        "saved.tar": "docker-archive",
    }


def test_the_packaged_dockerfile_needs_no_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = read("Dockerfile.base")
    assert found.kind == "dockerfile"
    assert Path(found.target).is_file()
    # The place is this machine's affair.
    assert found.name == "Dockerfile.base"


def test_a_definition_of_the_users_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('reference = "registry.example/team/python:{minor}"\n')
    assert str(read(str(file))) == "registry:registry.example/team/python:3.11"


@pytest.mark.parametrize("text", ["", "reference = 1\n", "reference = \n"])
def test_a_definition_without_a_reference_is_bad_input(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=r"not a base definition: mine\.toml"):
        read(str(file))


@pytest.mark.parametrize("name", ["team/Upper:1", "registry:a b", "registry:a@sha256:12"])
def test_a_name_that_no_registry_takes_is_a_usage_error_unless_a_definition_states_it(
    name: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="not a"):
        read(name)
    file = tmp_path / "mine.toml"
    file.write_text(f'reference = "{name}"\n')
    with pytest.raises(InputError, match=r"not a.*: mine\.toml"):
        read(str(file))


@pytest.mark.parametrize("text", ["", "oci:", "registry:"])
def test_an_empty_name_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="no base is named"):
        read(text)
