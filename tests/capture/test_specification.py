"""Requirements → an environment, by real pip-tools and pip, from wheels in a directory: no index is asked."""

import hashlib
import os
import sys
from pathlib import Path

import pytest

from envlock.capture import specification
from envlock.capture.specification import Installed, Specification
from envlock.core.progress import Silent
from envlock.runtime.errors import EnvlockError, InputError, IntegrityError, UnreachableError, UsageError
from tests.wheels.conftest import wheel

pytestmark = pytest.mark.slow

TOP = wheel(
    "top", "2.0", {"top.py": b""}, requires=("leaf>=1", "extra1; extra == 'more'\nProvides-Extra: more")
)


@pytest.fixture(scope="session")
def links(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with all the wheels there are."""
    directory = tmp_path_factory.mktemp("links")
    made = [
        TOP,
        *(wheel("leaf", version, {"leaf.py": version.encode()}) for version in ("1.0", "1.5", "3.0")),
    ]
    for name, data in (*made, wheel("extra1", "1.0", {"extra1.py": b""})):
        (directory / name).write_bytes(data)
    return directory


@pytest.fixture
def environ(links: Path, tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(links),
        "PIP_TARGET": "/nowhere",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


def lock(
    environ: dict[str, str], *files: Path, constraints: tuple[Path, ...] = (), python: str = sys.executable
) -> tuple[Installed, list[str]]:
    """Return what was yielded and the distributions that were installed."""
    wanted = Specification(requirements=files, constraints=constraints)
    with specification.installed(wanted, Path(python), environ=environ, progress=Silent()) as made:
        sites = made.python.parent.parent.glob("lib/python3*/site-packages/*.dist-info")
        names = sorted(path.name.removesuffix(".dist-info") for path in sites)
        assert not list(made.python.parent.parent.rglob("site-packages/**/*.pyc"))
    assert not made.python.exists()
    return made, names


def fault(environ: dict[str, str], *files: Path, python: str = sys.executable) -> EnvlockError:
    with pytest.raises(EnvlockError) as caught:
        lock(environ, *files, python=python)
    assert "Traceback" not in caught.value.render()
    return caught.value


def written(directory: Path, text: str, name: str = "requirements.in") -> Path:
    (directory / name).write_text(text)
    return directory / name


def test_what_is_resolved_is_installed(environ: dict[str, str], tmp_path: Path, links: Path) -> None:
    asked = written(tmp_path, "top[more]\nleaf; python_version < '3'\n-c limits.txt\n")
    written(tmp_path, "leaf<3\n", "limits.txt")
    made, names = lock(environ, asked)
    assert names == ["extra1-1.0", "leaf-1.5", "top-2.0"]
    assert made.environ["PIP_FIND_LINKS"] == str(links)
    more = written(tmp_path, "leaf<1.5\n", "more.in")
    assert (
        lock(environ, asked, more, constraints=(written(tmp_path, "extra1==1.0\n", "c"),))[1][1] == "leaf-1.0"
    )


def test_a_directory_is_built_and_installed(environ: dict[str, str], tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    written(
        project,
        "[build-system]\nrequires=[]\nbuild-backend='backend'\nbackend-path=['.']\n",
        "pyproject.toml",
    )
    name, data = wheel("project", "0.1", {"project.py": b""}, requires=("leaf",))
    (project / "made").write_bytes(data)
    written(
        project,
        "import shutil\n"
        "def build_wheel(directory, settings=None, metadata=None):\n"
        f"    shutil.copy('made', directory + '/{name}')\n"
        f"    return '{name}'\n",
        "backend.py",
    )
    assert lock(environ, written(tmp_path, f"{project}\n"))[1] == ["leaf-3.0", "project-0.1"]


def test_stated_hashes_are_checked_and_then_every_package_needs_one(
    environ: dict[str, str], tmp_path: Path, links: Path
) -> None:
    sums = {one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in links.iterdir()}
    leaf = f"leaf==1.5 \\\n    --hash=sha256:{sums['leaf-1.5-py3-none-any.whl']}\n"
    top = f"top==2.0 --hash=sha256:{sums[TOP[0]]}\n"
    included = written(tmp_path, leaf, "leaf.txt")
    asked = written(tmp_path, f"{top}-r {included.name}\n-r requirements.in\n-r gone.in\n", "asked.in")
    written(tmp_path, "", "requirements.in")
    written(tmp_path, "", "gone.in")
    assert lock(environ, asked)[1] == ["leaf-1.5", "top-2.0"]
    alone = fault(environ, written(tmp_path, top))
    assert isinstance(alone, InputError)
    assert "leaf" in str(alone)
    wrong = fault(environ, written(tmp_path, f"leaf==1.5 --hash=sha256:{'0' * 64}\n"))
    assert isinstance(wrong, IntegrityError)
    assert "leaf==1.5" in str(wrong.found)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("leaf>3.0\n", "leaf>3.0"),
        ("top\nleaf<1\n", "leaf<1"),
        ("no-such-thing\n", "no-such-thing"),
        ("leaf\n!!\n", "line 2"),
        ("x @ git+http://127.0.0.1:9/x.git\n", "fatal: "),
        ("./broken\n", "Failed to build"),
        ("--no-such-option\n", "no-such-option"),
        ("-r gone.in\n", "gone.in"),
    ],
)
def test_what_can_not_be_met_is_told_in_pip_tools_words(
    environ: dict[str, str], tmp_path: Path, text: str, told: str
) -> None:
    (tmp_path / "broken").mkdir()
    written(
        tmp_path / "broken", "[build-system]\nrequires = []\nbuild-backend = 'absent'\n", "pyproject.toml"
    )
    error = fault(environ, written(tmp_path, text.replace("./", f"{tmp_path}/")))
    assert isinstance(error, InputError)
    assert told in str(error.found)
    assert "\n" not in str(error.found)


def test_a_file_that_is_not_there_is_told(environ: dict[str, str], tmp_path: Path) -> None:
    error = fault(environ, tmp_path / "gone.in")
    assert (error.what, error.where) == ("there is no such requirements file", str(tmp_path / "gone.in"))


def test_an_index_that_does_not_answer_is_out_of_reach(environ: dict[str, str], tmp_path: Path) -> None:
    del environ["PIP_NO_INDEX"]
    environ |= {"PIP_INDEX_URL": "http://ann:s3cret@127.0.0.1:9/simple", "PIP_RETRIES": "1"}
    error = fault(environ, written(tmp_path, "absent\n"))
    assert isinstance(error, UnreachableError)
    assert "s3cret" not in error.render()


def test_indexes_that_the_requirements_name_are_handed_on(
    environ: dict[str, str], tmp_path: Path, links: Path
) -> None:
    del environ["PIP_FIND_LINKS"]
    made, names = lock(environ, written(tmp_path, f"--find-links {links}\nleaf\n"))
    assert names == ["leaf-3.0"]
    assert made.environ["PIP_FIND_LINKS"] == str(links)


def test_what_is_no_interpreter_is_told(environ: dict[str, str], tmp_path: Path) -> None:
    error = fault(environ, written(tmp_path, "leaf\n"), python="/bin/true")
    assert isinstance(error, UsageError)


def test_an_interpreter_that_can_make_no_environment_is_told(environ: dict[str, str], tmp_path: Path) -> None:
    program = tmp_path / "bin" / "python"
    program.parent.mkdir()
    # It says what version it is, as every interpreter can, and has no module venv.
    program.write_text(
        '#!/bin/sh\ncase "$*" in *venv*) echo "no module named venv" >&2; exit 1;; esac\n'
        f'exec {sys.executable} "$@"\n'
    )
    program.chmod(0o755)
    error = fault(environ, written(tmp_path, "leaf\n"), python=str(tmp_path))
    assert isinstance(error, UsageError)
    assert "no module named venv" in str(error.found)


def test_another_version_gets_pip_tools_of_its_own(environ: dict[str, str], tmp_path: Path) -> None:
    program = tmp_path / "bin" / "python"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n"
        'case "$*" in *sys.implementation*) echo \'["cpython", "3.99.0", "x"]\'; exit;; esac\n'
        f'exec {sys.executable} "$@"\n'
    )
    program.chmod(0o755)
    # No index is configured, so that pip-tools can't be had; the message says for what.
    error = fault(environ, written(tmp_path, "leaf\n"), python=str(program))
    assert error.what.startswith("pip-tools can't be installed for the target interpreter")


def test_a_lock_says_that_it_is_of_a_specification() -> None:
    gap = Specification(requirements=(Path("/home/ann/a.in"), Path("b.in"))).gap
    assert gap.harmless
    assert "(a.in, b.in)" in gap.reason
    assert "ann" not in gap.reason
