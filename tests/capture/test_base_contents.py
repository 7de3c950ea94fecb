"""What is found in a root with an interpreter: here, this machine's own."""

import os
import sys
from pathlib import Path

import pytest

from envlock.capture import base_contents, inside
from envlock.capture.base_contents import BaseContents

MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"
BASE = Path(getattr(sys, "_base_executable", sys.executable)).resolve()


def read(*sonames: str, path: str = str(BASE.parent), started: list[Path] | None = None) -> BaseContents:
    told = [] if started is None else started
    return base_contents.read(sonames, MINOR, {"PATH": path}, lambda *programs: told.extend(programs), ())


def test_an_interpreter_is_told_once_with_where_it_really_lies() -> None:
    started: list[Path] = []
    found = read(started=started, path=f"{BASE.parent}:{BASE.parent}")
    mine = [one for one in found.interpreters if one.executable == str(BASE)]
    assert len(mine) == 1
    assert mine[0].python.version == ".".join(map(str, sys.version_info[:3]))
    assert mine[0].python.prefix == sys.base_prefix
    assert len(started) == len({os.path.realpath(one) for one in started})


def test_libraries_are_found_as_the_loader_finds_them_and_others_are_not() -> None:
    found = dict(read("libc.so.6", "libnothing.so.9").libraries)
    assert found.keys() == {"libc.so.6"}
    assert found["libc.so.6"].startswith(("os:", "unowned"))


def test_the_packages_that_own_them_are_told() -> None:
    found = read("libc.so.6")
    owners = {owner.removeprefix("os:") for _, owner in found.libraries if owner != "unowned"}
    assert {one.name for one in found.packages} == owners


def test_what_answers_as_no_python_is_passed_over(tmp_path: Path) -> None:
    broken = tmp_path / "python3"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    found = read("libc.so.6", path=f"{tmp_path}:relative:")
    assert found.interpreters == ()
    assert found.os.libc == "unknown"
    assert dict(found.libraries).keys() == {"libc.so.6"}


@pytest.mark.parametrize("path", ["/nowhere", ""])
def test_without_an_interpreter_there_is_none(path: str) -> None:
    assert read(path=path).interpreters == ()


def test_inside_a_root_the_question_is_told_apart_by_what_it_asks() -> None:
    request = {"variables": [["PATH", str(BASE.parent)]], "minor": MINOR, "sonames": []}
    answer = inside.answer(request, lambda *_: None)
    assert answer["contents"]["libraries"] == []
    assert answer["contents"]["interpreters"]
