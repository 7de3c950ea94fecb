"""Choosing and reading an image's interpreter, here on this machine's own root."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from envlock.capture import inside, transfer
from envlock.lock.environment import Environment
from envlock.runtime.errors import InputError

Chosen = Callable[..., Path]


@pytest.fixture
def chosen(tmp_path: Path) -> Chosen:
    """``chosen(command, NAME=value)``: paths are below a directory, and ``bin`` holds its python3."""

    def ask(*command: str, asked: str | None = None, **variables: str) -> Path:
        found = inside.chosen_python(asked, command, {"PATH": f"{tmp_path}/bin", **variables})
        return found.relative_to(tmp_path) if found.is_relative_to(tmp_path) else found

    program(tmp_path / "bin/python3")
    return ask


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_program_that_the_image_starts_comes_first(chosen: Chosen, tmp_path: Path) -> None:
    started = program(tmp_path / "app/bin/python3.11")
    program(tmp_path / "venv/bin/python")
    venv = f"{tmp_path}/venv"
    assert chosen(str(started), "train.py", VIRTUAL_ENV=venv) == Path("app/bin/python3.11")
    assert chosen("/bin/sh", "-c", "train", VIRTUAL_ENV=venv) == Path("venv/bin/python")
    assert chosen("python", "train.py", VIRTUAL_ENV=venv) == Path("venv/bin/python")


def test_an_active_environment_comes_before_path(chosen: Chosen, tmp_path: Path) -> None:
    program(tmp_path / "conda/bin/python")
    assert chosen(CONDA_PREFIX=f"{tmp_path}/conda") == Path("conda/bin/python")
    assert chosen(VIRTUAL_ENV=f"{tmp_path}/gone") == Path("bin/python3")


def test_the_first_directory_of_path_with_a_python_decides(chosen: Chosen, tmp_path: Path) -> None:
    program(tmp_path / "first/python")
    assert chosen(PATH=f"{tmp_path}/none:relative:{tmp_path}/first:{tmp_path}/bin") == Path("first/python")


def test_an_interpreter_or_its_prefix_can_be_asked_for(chosen: Chosen, tmp_path: Path) -> None:
    program(tmp_path / "env/bin/python3")
    for asked in ("env", "env/bin/python3"):
        assert chosen(asked=f"{tmp_path}/{asked}") == Path("env/bin/python3")
    for asked in (f"{tmp_path}/absent", "env/bin/python3"):
        with pytest.raises(InputError, match="no such interpreter"):
            chosen(asked=asked)


def test_an_image_without_python_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no Python interpreter") as told:
        inside.chosen_python(None, (), {"PATH": str(tmp_path)}, common=())
    assert "--python" in str(told.value.hint)


def test_the_usual_places_are_searched_last(tmp_path: Path) -> None:
    place = program(tmp_path / "opt/venv/bin/python3")
    assert inside.chosen_python(None, (), {"PATH": ""}, common=(f"{tmp_path}/opt/venv",)) == place


def answered(**request: object) -> tuple[Mapping[str, Any], list[Path]]:
    told: list[Path] = []
    whole = {"python": None, "command": [], "variables": [["PATH", os.environ["PATH"]]], **request}
    return inside.answer(whole, told.append), told


def test_the_answer_is_the_environment_and_names_the_one_program_first(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=True)
    variables = [["OMP_NUM_THREADS", "3"], ["TOKEN", "hunter2"]]
    answer, told = answered(python=str(tmp_path / "env"), variables=variables)
    assert told == [tmp_path / "env/bin/python3"]
    found = transfer.loads(Environment, answer["environment"])
    assert found.python.version == ".".join(map(str, sys.version_info[:3]))
    assert found.variables == (("OMP_NUM_THREADS", "3"),)
    assert "hunter2" not in str(found)


def test_an_error_is_an_answer() -> None:
    answer, told = answered(python="/nonexistent/python")
    assert not told
    assert answer["error"] == {
        "class": "InputError",
        "what": "the image has no such interpreter",
        "where": "/nonexistent/python",
        "expected": "an absolute path of a program in it",
        "found": None,
        "hint": None,
    }
