"""``envlock export`` and ``envlock build --from``, with a small lock that needs no network."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from envlock.cli import main
from envlock.host.store import Store
from envlock.image import base_copies
from envlock.lock import codec, file
from envlock.oci.reader import open_image
from tests.image import fixture_lock

LOCK = "pylock.envlock.toml"

Envlock = Callable[..., int]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A captured project: the working directory, its lock, ``.envlock`` and a store that has all wheels."""
    directory = tmp_path / "project"
    directory.mkdir()
    store = Store(tmp_path / "store")
    lock, wheels = fixture_lock.make(tmp_path, store)
    for path in wheels.values():
        store.add_file(path)
    demo, other = lock.packages
    wheel = replace(other.wheel, url=None, path=f".envlock/wheels/{other.wheel.name}")
    lock = replace(lock, packages=(demo, replace(other, wheel=wheel)), requires_python="==3.11.*")
    base_copies.keep(lock.base, store, directory)
    store.copy_out(wheel.sha256, directory / str(wheel.path))
    file.write(directory / LOCK, lock)
    monkeypatch.chdir(directory)
    monkeypatch.setenv("ENVLOCK_CACHE", str(store.root))
    return directory


@pytest.fixture
def envlock() -> Envlock:
    """Run the command line and return its exit status."""

    def run(*arguments: str | Path) -> int:
        with pytest.raises(SystemExit) as caught:
            main.main([str(one) for one in arguments])
        return int(str(caught.value.code))

    return run


def built(directory: Path) -> str:
    return str(open_image(f"oci:{directory}").image.digest)


def test_the_document_goes_to_standard_output_and_the_note_does_not(
    project: Path, envlock: Envlock, capsys: pytest.CaptureFixture[str]
) -> None:
    assert envlock("export", "--format", "requirements") == 0
    shown = capsys.readouterr()
    assert [line.partition(" --hash")[0] for line in shown.out.splitlines() if line[0] != "#"] == [
        "demo==1.0",
        "./.envlock/wheels/other-2.5-py3-none-any.whl",
    ]
    assert "1 wheel that no index has" in shown.err
    assert envlock("export", LOCK, "--format", "requirements", "-o", "-", "--quiet") == 0
    assert capsys.readouterr() == (shown.out, "")


@pytest.mark.parametrize("form", ["requirements", "pylock", "cyclonedx"])
def test_a_file_has_the_bytes_that_standard_output_gets(
    project: Path, envlock: Envlock, capsysbinary: pytest.CaptureFixture[bytes], form: str
) -> None:
    assert envlock("export", "--format", form) == 0
    shown = capsysbinary.readouterr().out
    target = project / "out" / "pylock.plain.toml"
    assert envlock("export", "--format", form, "-o", target, "--json") == 0
    assert target.read_bytes() == shown
    told = json.loads(capsysbinary.readouterr().out)
    assert told["size"] == len(shown)
    assert told["format"] == form
    assert told["packages"] == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "nothing to export"),
        (("--format", "toml"), "'toml' is not one of 'requirements', 'pylock', 'cyclonedx', 'dockerfile'"),
        (("--format", "pylock", "--bundle", "x"), "both --format and --bundle"),
        (("--bundle", "x", "-o", "y"), "both --bundle and -o"),
        (("--format", "dockerfile"), "a Dockerfile needs the files beside it"),
        (("--format", "pylock", "-o", "lock.toml"), "not a lockfile's name"),
        (("--format", "pylock", "--all-wheels"), "--all-wheels means nothing for pylock"),
        (("--format", "pylock", "--json"), "both want standard output"),
        (("--bundle", "registry:team/Upper:1"), "not an image name: --bundle registry:team/Upper:1"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(
    project: Path,
    envlock: Envlock,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    told: str,
) -> None:
    assert envlock("export", LOCK, *arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert told in shown.err
    assert sorted(path.name for path in project.iterdir()) == [".envlock", LOCK]


def test_the_shell_completes_the_formats() -> None:
    completion = ShellComplete(main.cli, {}, "envlock", "_ENVLOCK_COMPLETE")
    found = completion.get_completions(["export", "--format"], "")
    assert [one.value for one in found] == ["requirements", "pylock", "cyclonedx", "dockerfile"]


def test_a_directory_is_no_place_for_a_document(project: Path, envlock: Envlock) -> None:
    (project / "out").mkdir()
    assert envlock("export", "--format", "requirements", "-o", "out") == 3
    assert sorted(path.name for path in project.iterdir()) == [".envlock", "out", LOCK]


def test_a_dockerfile_takes_along_what_no_index_has(project: Path, envlock: Envlock) -> None:
    assert envlock("export", "--format", "dockerfile", "-o", "docker") == 0
    assert [one.name for one in (project / "docker/wheels").iterdir()] == ["other-2.5-py3-none-any.whl"]
    assert envlock("export", "--format", "dockerfile", "-o", "whole", "--all-wheels", "--offline") == 0
    assert len(list((project / "whole/wheels").iterdir())) == 2
    assert "--no-index" in (project / "whole/Dockerfile").read_text()
    assert envlock("build", "--emit-dockerfile", "emitted") == 0
    for name in ("Dockerfile", "requirements.txt"):
        assert (project / "emitted" / name).read_bytes() == (project / "docker" / name).read_bytes()


@pytest.mark.parametrize(
    "command", [("export", "--format", "dockerfile", "-o"), ("build", "--emit-dockerfile")]
)
def test_a_directory_with_something_in_it_is_left_alone(
    project: Path, envlock: Envlock, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    (project / "precious").mkdir()
    (project / "precious" / "file").write_text("x")
    assert envlock(*command, "precious") == 3
    assert "will not be replaced" in capsys.readouterr().err
    assert [one.name for one in (project / "precious").iterdir()] == ["file"]


def test_a_bundle_alone_gives_the_same_image_on_a_machine_that_has_nothing(
    project: Path, envlock: Envlock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert envlock("build", "--no-bytecode") == 0
    assert envlock("export", "--bundle", tmp_path / "x.bundle", "--all-wheels") == 0
    far = tmp_path / "far"
    far.mkdir()
    monkeypatch.chdir(far)
    monkeypatch.setenv("ENVLOCK_CACHE", str(tmp_path / "far-store"))
    arguments = ("build", "--no-bytecode", "--offline", "--from", tmp_path / "x.bundle")
    assert envlock(*arguments) == 0
    assert built(far / ".envlock/image") == built(project / ".envlock/image")
    assert (far / ".envlock/.gitignore").read_text() == "*\n"
    assert envlock(*arguments, "--emit-dockerfile", "docker") == 0
    assert [one.name for one in (far / "docker/wheels").iterdir()] == ["other-2.5-py3-none-any.whl"]


def test_a_lock_that_is_named_is_built_with_what_the_bundle_brings(
    project: Path, envlock: Envlock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert envlock("build", "--no-bytecode") == 0
    assert envlock("export", "--bundle", tmp_path / "x.bundle", "--all-wheels") == 0
    far = tmp_path / "far"
    far.mkdir()
    lock = codec.loads((project / LOCK).read_bytes(), LOCK)
    file.write(far / "pylock.toml", lock)
    monkeypatch.setenv("ENVLOCK_CACHE", str(tmp_path / "far-store"))
    arguments = ("build", far / "pylock.toml", "--no-bytecode", "--offline", "-q")
    assert envlock(*arguments) == 3
    assert envlock(*arguments, "--from", tmp_path / "x.bundle") == 0
    assert built(far / ".envlock/image") == built(project / ".envlock/image")


def test_what_a_small_bundle_does_not_bring_is_named(
    project: Path,
    envlock: Envlock,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    assert envlock("export", "--bundle", tmp_path / "x.bundle", "--json", "-q") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["format"], told["wheels"]) == ("bundle", 1)
    monkeypatch.setenv("ENVLOCK_CACHE", str(tmp_path / "far-store"))
    assert envlock("build", "--offline", "--from", tmp_path / "x.bundle", "-o", "oci:out") == 4
    told = capsys.readouterr().err
    assert "wheel demo-1.0-py3-none-any.whl" in told
    assert "other-2.5" not in told
    assert not (project / "out").exists()


def test_a_bundle_that_cannot_be_made_leaves_nothing(
    project: Path,
    envlock: Envlock,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("ENVLOCK_CACHE", str(tmp_path / "empty"))
    assert envlock("export", "--bundle", "x.bundle", "--all-wheels", "--offline") == 4
    (project / ".envlock/wheels/other-2.5-py3-none-any.whl").unlink()
    next((project / ".envlock/blobs").iterdir()).unlink()
    capsys.readouterr()
    assert envlock("export", "--bundle", "x.bundle", "--all-wheels", "--offline") == 3
    told = capsys.readouterr().err
    assert all(name in told for name in ("base layer base", "demo-1.0", "other-2.5"))
    assert sorted(path.name for path in project.iterdir()) == [".envlock", LOCK]
