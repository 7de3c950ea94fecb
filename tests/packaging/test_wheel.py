"""The wheel that people install is whole: it starts, and its data files travel."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = (
    "Dockerfile.base",
    "images/host.toml",
    "images/README.md",
    "templates/run.yaml",
    "templates/demo/demo.sh",
)

pytestmark = [pytest.mark.network, pytest.mark.slow]


def _run(*argv: str | Path) -> str:
    # The source tree must not be found by accident: an installed envlock is what is tested.
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        list(map(str, argv)), cwd="/", env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` directory of an empty environment into which the built wheel was installed."""
    root = tmp_path_factory.mktemp("packaging")
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", root / "dist", ROOT)
    (wheel,) = (root / "dist").glob("envlock-*.whl")
    venv.create(root / "env", with_pip=False)
    python = root / "env/bin/python"
    _run(sys.executable, "-m", "pip", "--quiet", "--python", python, "install", wheel)
    return root / "env/bin"


def test_the_installed_program_tells_its_version(installed: Path) -> None:
    told = _run(installed / "envlock", "--version")
    assert told.startswith("envlock ")
    assert told == _run(installed / "python", "-m", "envlock", "--version")


def test_the_data_files_travel_in_the_wheel(installed: Path) -> None:
    script = "import sys; from envlock.host.data import data; print(*map(data, sys.argv[1:]), sep='\\n')"
    paths = _run(installed / "python", "-c", script, *DATA).splitlines()
    assert len(paths) == len(DATA)
    for name, path in zip(DATA, paths, strict=True):
        assert "site-packages/envlock/data" in path
        assert Path(path).read_bytes() == (ROOT / name).read_bytes()


def test_no_test_or_development_file_is_installed(installed: Path) -> None:
    (site,) = installed.parent.glob("lib/python*/site-packages")
    names = {path.name for path in site.iterdir()}
    assert not names & {"tests", "bench", "docs", "templates", "images"}
    assert "envlock" in names
