"""What README.md and docs/ show is what the tool takes: every option exists, every link leads somewhere."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from envlock.runtime import errors

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "images/README.md"]
_NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A command line in a ``console`` block."""

    document: str
    line: str

    def __str__(self) -> str:
        return f"{self.document}: {self.line}"


def _shown(path: Path) -> Iterator[Shown]:
    for block in re.findall(r"```console\n(.*?)```", path.read_text(), re.DOTALL):
        joined = block.replace("\\\n", " ")
        for line in re.findall(r"(?m)^\$ (.*)$", joined):
            yield Shown(document=str(path.relative_to(ROOT)), line=line)


SHOWN = [shown for path in DOCUMENTS for shown in _shown(path)]


@cache
def _help(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "envlock", *command, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _envlock_words(line: str) -> list[str] | None:
    """Return the words after ``envlock``, or None when the line calls something else."""
    words = shlex.split(line, comments=True)
    if "envlock" not in words[:1]:
        return None
    return words[1:]


def _options(words: list[str]) -> list[str]:
    """Return the options before ``--``, without their values."""
    ours = words[: words.index("--")] if "--" in words else words
    return [word.partition("=")[0] for word in ours if re.fullmatch(r"-[a-z]|--[a-z][a-z-]*(=.*)?", word)]


def test_the_readme_shows_commands() -> None:
    assert any(shown.line.startswith("envlock capture") for shown in SHOWN)
    assert {"make demo", "make test"} <= {shown.line for shown in SHOWN}


@pytest.mark.parametrize("shown", SHOWN, ids=str)
def test_a_shown_envlock_command_has_the_options_that_it_shows(shown: Shown) -> None:
    words = _envlock_words(shown.line)
    if words is None:
        return
    if words[0].startswith("-"):
        assert words[0] in _help()
        return
    of_a_group = "\nCommands:\n" in _help(words[0])
    told = _help(*words[: 2 if of_a_group else 1])
    missing = [name for name in _options(words[1:]) if not re.search(rf"(?<![\w-]){name}(?![\w-])", told)]
    assert missing == [], f"envlock {words[0]} --help names no {missing}"


@pytest.mark.parametrize("shown", SHOWN, ids=str)
def test_a_shown_make_target_exists(shown: Shown) -> None:
    words = shlex.split(shown.line, comments=True)
    if words[0] != "make":
        return
    makefile = (ROOT / "Makefile").read_text()
    for target in (word for word in words[1:] if "=" not in word):
        assert re.search(rf"(?m)^{target}:", makefile), target


@pytest.mark.parametrize("name", _NAMES)
def test_links_inside_the_repository_lead_somewhere(name: str) -> None:
    path = ROOT / name
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{name}: {target}"


def test_every_command_is_documented() -> None:
    commands = re.findall(r"(?m)^  ([a-z-]+)  ", _help().partition("Commands:")[2])
    assert {"capture", "build", "run", "compare"} <= set(commands)
    document = (ROOT / "docs/cli.md").read_text()
    assert [name for name in commands if f"`envlock {name}" not in document] == []


def test_exit_statuses_are_documented_as_the_errors_have_them() -> None:
    document = (ROOT / "docs/cli.md").read_text()
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.EnvlockError):
            assert f"| {kind.exit_code} |" in document
