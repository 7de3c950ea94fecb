"""Locking what should be installed: requirements, resolved and installed into an environment of their own.

Rules kept here (docs/adr/0013):

* pip-tools resolves, and it evaluates markers and tags for the interpreter that runs it. So it runs under
  envlock's own interpreter only where that is the target's version to the last digit; else under a scratch
  environment of the target interpreter, into which pip-tools is installed first.
* What it pinned is installed by pip, without dependencies, into a fresh environment of the target
  interpreter. That one is then captured like any other, so hashes and libraries are those of real files.
* Hashes that the requirements state are checked by pip, which then wants one for every package.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice, takewhile
from pathlib import Path

from packaging.utils import canonicalize_name

from envlock.core.progress import Progress
from envlock.core.redaction import redacted, without_tokens
from envlock.host import process
from envlock.host.files import scratch_directory
from envlock.host.process import Completed
from envlock.lock.model import Gap
from envlock.runtime.errors import EnvlockError, InputError, IntegrityError, UnreachableError, UsageError

_IDENTITY = (
    "import json, platform, sys; "
    "print(json.dumps([sys.implementation.name, platform.python_version(), platform.machine()]))"
)
_COMPILE = ("--no-config", "--allow-unsafe", "--no-strip-extras", "--no-annotate", "--no-header")
# Settings of a user's pip that would install elsewhere, or of a shell that would import from elsewhere.
_MISLEADING = frozenset(
    {
        "PIP_TARGET",
        "PIP_PREFIX",
        "PIP_ROOT",
        "PIP_USER",
        "PIP_PYTHON",
        "PIP_REQUIRE_VIRTUALENV",
        "PYTHONHOME",
        "PYTHONPATH",
        "VIRTUAL_ENV",
    }
)
_OPTIONS = {
    "--index-url": "PIP_INDEX_URL",
    "--extra-index-url": "PIP_EXTRA_INDEX_URL",
    "--find-links": "PIP_FIND_LINKS",
    "--no-index": "PIP_NO_INDEX",
}
_INCLUDED = re.compile(r"(?:-r|-c|--requirement|--constraint)[\s=]*(\S+)")
_PIN = re.compile(r"([A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*==")
_HASH = re.compile(r"--hash[=\s](\w+:[0-9a-fA-F]+)")
_EXCEPTION = re.compile(r"[\w.]+\.(?P<name>\w+): (?P<message>.*)", re.DOTALL)
_OUTPUT = re.compile(r"\[\d+ lines? of output\]")
_UNREACHABLE = re.compile(r"connection broken by|Could not fetch URL|HTTP error 5\d\d")
_CAUSE = "The conflict is caused by:"
_MOST_LINES = 12
_MOST_OUTPUT = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Specification:
    """What the user wants installed: requirement files as pip reads them, and constraints on them."""

    requirements: tuple[Path, ...]
    constraints: tuple[Path, ...] = ()

    @property
    def gap(self) -> Gap:
        """What a lock says that was made from it: no environment that ever ran."""
        names = ", ".join(path.name for path in self.requirements)
        return Gap(
            subject="environment",
            reason=f"locked from a specification ({names}), not from an environment in use",
            harmless=True,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """The environment made from a specification: its interpreter, and where its wheels came from."""

    python: Path
    environ: Mapping[str, str] = field(repr=False)
    """The caller's, with PIP_ variables for the indexes that the requirements name themselves."""


@contextmanager
def installed(
    specification: Specification, python: Path, *, environ: Mapping[str, str], progress: Progress
) -> Iterator[Installed]:
    """Yield an environment with the resolved requirements, which is gone when the block ends.

    ``python`` is the target interpreter or its prefix; pip reads its settings from ``environ``. Raises
    UsageError for a target that can't make environments, InputError for requirements that can't be met,
    IntegrityError for a file without the stated hash, UnreachableError when no index answers.
    """
    _check(specification)
    target = python / "bin" / "python" if python.is_dir() else python
    clean = {name: value for name, value in environ.items() if name not in _MISLEADING}
    names = ", ".join(path.name for path in specification.requirements)
    with scratch_directory() as scratch:
        with progress.task(f"resolving {names}", None):
            tools = _tools(target, scratch, clean)
            pins = _resolved(tools, scratch, specification, clean)
        with progress.task(f"installing {_count(pins)} distributions", None):
            made = _environment(target, scratch / "environment", clean)
            _install(tools, made, scratch, pins, specification, clean)
        yield Installed(python=made, environ={**environ, **_places(pins)})


def _check(specification: Specification) -> None:
    for path in (*specification.requirements, *specification.constraints):
        if not path.is_file():
            raise InputError("there is no such requirements file", where=str(path))


def _tools(python: Path, scratch: Path, environ: Mapping[str, str]) -> Path:
    """Return an interpreter like the target's that has pip-tools and pip."""
    own = Path(sys.executable)
    if _identity(python, environ) == _identity(own, environ):
        return own
    tools = _environment(python, scratch / "tools", environ)
    wanted = ("install", "--quiet", "pip-tools")
    if process.run([str(own), "-m", "pip", "--python", str(tools), *wanted], env=environ).exit_code == 0:
        return tools
    # This pip may not run on an older Python; the pip that Python brings does.
    process.run([str(tools), "-m", "ensurepip"], env=environ)
    done = process.run([str(tools), "-m", "pip", *wanted], env=environ)
    if done.exit_code:
        raise _told(done, "pip-tools can't be installed for the target interpreter")
    return tools


def _identity(python: Path, environ: Mapping[str, str]) -> object:
    done = process.run([str(python), "-I", "-c", _IDENTITY], env=environ)
    try:
        found: object = json.loads(done.stdout)
    except ValueError:
        found = None
    if done.exit_code or found is None:
        raise UsageError("not a Python interpreter that runs", where=str(python), hint="see --python")
    return found


def _environment(python: Path, place: Path, environ: Mapping[str, str]) -> Path:
    """Make an empty virtual environment and return its interpreter."""
    argv = [str(python), "-I", "-m", "venv", "--without-pip", str(place)]
    done = process.run(argv, env=environ)
    if done.exit_code:
        output = (done.stdout + done.stderr).decode(errors="replace").replace(str(place), "DIR")
        raise UsageError(
            "the interpreter can't make a virtual environment",
            where=str(python),
            found=_last_lines(output, 3) or f"exit status {done.exit_code}",
            hint="install its module venv, or run envlock under the same version of Python",
        )
    return place / "bin" / "python"


def _resolved(tools: Path, scratch: Path, specification: Specification, environ: Mapping[str, str]) -> str:
    """Return the pins, one requirement a line, with the options that they need."""
    constraints = [part for path in specification.constraints for part in ("--constraint", str(path))]
    files = [str(path) for path in specification.requirements]
    made = scratch / "pins.txt"
    # Only when it is verbose does pip tell who wants which version.
    argv = [str(tools), "-m", "piptools", "compile", "-v", *_COMPILE, *constraints]
    done = process.run([*argv, "--output-file", str(made), *files], env=environ)
    if done.exit_code:
        raise _told(done, "the requirements can't be resolved")
    return made.read_text("utf-8")


def _install(
    tools: Path,
    python: Path,
    scratch: Path,
    pins: str,
    specification: Specification,
    environ: Mapping[str, str],
) -> None:
    written = scratch / "requirements.txt"
    written.write_text(_with_hashes(pins, _hashes(specification.requirements)), "utf-8")
    # Bytecode is no part of a lock.
    argv = [
        str(tools),
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--quiet",
        "--no-deps",
        "--no-compile",
    ]
    done = process.run([*argv, "--requirement", str(written)], env=environ)
    if done.exit_code:
        raise _told(done, "the resolved requirements can't be installed", hidden=str(scratch))


def _with_hashes(pins: str, hashes: Mapping[str, Sequence[str]]) -> str:
    """Return the pins with the hashes that the requirements stated, which pip-tools checked and left out."""
    lines = []
    for line in pins.splitlines():
        matched = _PIN.match(line)
        stated = hashes.get(canonicalize_name(matched[1]), ()) if matched else ()
        lines.append(" ".join([line, *(f"--hash={one}" for one in stated)]))
    return "\n".join(lines) + "\n"


def _hashes(files: Sequence[Path]) -> dict[str, list[str]]:
    """Return the hashes that requirement files state, by normalised name; files they include count too."""
    found: dict[str, list[str]] = {}
    waiting, seen = list(files), set[Path]()
    while waiting:
        path = waiting.pop()
        if path in seen or not path.is_file():
            continue
        seen.add(path)
        for line in path.read_text("utf-8", "replace").replace("\\\n", " ").splitlines():
            if included := _INCLUDED.match(line):
                waiting.append(path.parent / included[1])
            elif (pin := _PIN.match(line)) and (stated := _HASH.findall(line)):
                found.setdefault(canonicalize_name(pin[1]), []).extend(stated)
    return found


def _places(pins: str) -> dict[str, str]:
    """Return the PIP_ variables for the options that pip-tools put before the pins."""
    found: dict[str, list[str]] = {}
    for line in pins.splitlines():
        option, _, value = line.partition(" ")
        if option in _OPTIONS:
            found.setdefault(_OPTIONS[option], []).append(value or "1")
    return {name: " ".join(values) for name, values in found.items()}


def _count(pins: str) -> int:
    return sum(not line.startswith(("--", "#")) for line in pins.splitlines() if line.strip())


def _told(done: Completed, what: str, hidden: str = "") -> EnvlockError:
    """Return the error for what pip or pip-tools said, without tracebacks."""
    text = without_tokens(redacted((done.stdout + b"\n" + done.stderr).decode(errors="replace")))
    if hidden:
        text = text.replace(hidden, "DIR")
    name, message = _exception(text)
    if name == "HashMismatch" or "DO NOT MATCH THE HASHES" in text:
        fault = message.rpartition("tampered with them.")[2].strip()
        return IntegrityError(f"{what}: a file does not have the stated hash", found=fault)
    if _UNREACHABLE.search(text):
        hint = "see PIP_INDEX_URL and --ca-bundle"
        return UnreachableError(f"{what}: an index does not answer", found=message, hint=hint)
    return InputError(what, found=message)


def _exception(text: str) -> tuple[str, str]:
    """Return (class, words) of what ended the program: its own errors, else its last exception."""
    head, traceback, rest = text.partition("\nTraceback (most recent call last):")
    told = dict.fromkeys(_errors(head.splitlines()))
    stated = "; ".join(sorted(told, key=lambda one: one.startswith(_CAUSE)))
    if not traceback:
        return "", stated or _last_lines(text, 3)
    lines = rest.splitlines()
    starts = [index for index, line in enumerate(lines) if _EXCEPTION.match(line)]
    matched = _EXCEPTION.match("\n".join(lines[starts[-1] :])) if starts else None
    if matched is None:
        return "", stated or _last_lines(text, 1)
    # Where pip has said which requirements, the exception only refers to its manual.
    return matched["name"], stated or _last_lines(matched["message"], _MOST_LINES)


def _errors(lines: Sequence[str]) -> Iterator[str]:
    """Yield each ``ERROR:`` and each cause of a conflict, with the lines indented below it."""
    for index, line in enumerate(lines):
        if _OUTPUT.search(line):
            # What a program that pip started has said; pip itself only names its exit status.
            said = takewhile(lambda one: "[end of output]" not in one, lines[index + 1 :])
            yield _joined(list(said)[-_MOST_OUTPUT:])
        elif line.lstrip().startswith("fatal: "):
            yield line.strip()
        elif line.lstrip().startswith(("ERROR: ", _CAUSE)):
            below = takewhile(lambda one: one.startswith("    "), lines[index + 1 :])
            yield _joined([line.lstrip().removeprefix("ERROR: "), *islice(below, _MOST_LINES)])


def _last_lines(text: str, count: int) -> str:
    return _joined(text.split("\n")[-count:])


def _joined(lines: Sequence[str]) -> str:
    return " ".join(" ".join(lines).split())
