from pathlib import Path

import pytest

from envlock.cli import main
from envlock.cli.destination import Destination, Kind, parse_destination
from envlock.core.progress import SILENT
from envlock.runtime.errors import UnreachableError, UsageError


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


@pytest.mark.parametrize("kind", ["docker", "podman", "registry"])
def test_a_name_that_nobody_takes_is_refused(kind: Kind) -> None:
    with pytest.raises(UsageError, match=f"not an image name: -o {kind}:team/Upper:1"):
        parse_destination(f"{kind}:team/Upper:1")


@pytest.mark.parametrize(
    "argv",
    [
        ("build", "-t", "team/Upper:1"),
        ("build", "--from", "registry:team/Upper:1"),
        ("image-diff", "registry:team/Upper:1", "registry:team/upper:1"),
    ],
)
def test_a_name_that_nobody_takes_is_told_before_anything_is_read(
    argv: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        main.main(argv)
    told = capsys.readouterr().err
    assert told.startswith(f"envlock: not an image name: {' '.join(argv[1:])[:20]}")
    assert "'team/Upper:1'" in told


@pytest.mark.parametrize(
    ("kind", "message"), [("docker", "no Docker engine answers"), ("podman", "podman can't be used")]
)
def test_an_engine_that_is_not_there_is_told_before_anything_is_built(
    kind: Kind, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UnreachableError, match=message):
        Destination(kind=kind, target="team/exp:1").reach(None, SILENT)
