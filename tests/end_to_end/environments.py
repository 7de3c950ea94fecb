"""Environments of every kind, made with the tools that users make them with."""

import json
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).parent / "requirements"
DEBIAN = Path("/usr/bin/python3")


def done(*argv: str | Path, cwd: Path | None = None) -> str:
    """Run a program to a successful end and return what it printed."""
    ended = subprocess.run([str(one) for one in argv], cwd=cwd, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{argv}: {ended.returncode}\n{ended.stderr}"
    return ended.stdout


def venv(prefix: Path, *options: str, base: str | Path = sys.executable) -> Path:
    """Make an environment without pip and return its interpreter."""
    done(base, "-m", "venv", "--without-pip", *options, prefix)
    return prefix / "bin/python"


def virtualenv(prefix: Path) -> Path:
    done(sys.executable, "-m", "virtualenv", "--quiet", "--no-download", "--python", sys.executable, prefix)
    return prefix / "bin/python"


def uv_venv(prefix: Path) -> Path:
    done(sys.executable, "-m", "uv", "venv", "--quiet", "--python", sys.executable, prefix)
    return prefix / "bin/python"


def pip_install(python: Path, *what: str | Path) -> None:
    """Install with pip's own rules; ``what`` may hold options."""
    own = ("-m", "pip", "--quiet", "--python", str(python), "install", "--no-warn-script-location")
    done(sys.executable, *own, *what)


def uv_install(python: Path, *what: str | Path) -> None:
    done(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python, *what)


def listed_by_pip(python: Path) -> set[tuple[str, str]]:
    """Return (name, version) of all that pip sees in an environment."""
    text = done(sys.executable, "-m", "pip", "--python", python, "inspect")
    rows = json.loads(text)["installed"]
    return {(row["metadata"]["name"].lower(), row["metadata"]["version"]) for row in rows}


def git(directory: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.invalid"]
    return done("git", *identity, *arguments, cwd=directory)


def committed(directory: Path) -> str:
    """Make ``directory`` a git repository with one commit and return its hash."""
    git(directory, "init", "--quiet")
    git(directory, "add", "--all")
    git(directory, "commit", "--quiet", "--message", "first")
    return git(directory, "rev-parse", "HEAD").strip()


def project(directory: Path, name: str, body: str) -> Path:
    """Write a small project in the src layout with a console script."""
    package = directory / "src" / name
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(body + "\n\ndef main() -> None:\n    print(VALUE)\n")
    (directory / "pyproject.toml").write_text(
        "[build-system]\nrequires = ['hatchling', 'editables']\nbuild-backend = 'hatchling.build'\n"
        f"[project]\nname = '{name}'\nversion = '1.0'\nscripts = {{{name} = '{name}:main'}}\n"
        f"[tool.hatch.build.targets.wheel]\npackages = ['src/{name}']\n"
    )
    return directory


def mixed(root: Path) -> Path:
    """Make an environment of what no index has: editable, VCS, sdist-built, edited and dropped by hand."""
    python = uv_venv(root / "env")
    editable = project(root / "editable", "editable_one", "VALUE = 'editable'")
    repository = project(root / "repository", "versioned_one", "VALUE = 'versioned'")
    committed(editable)
    commit = committed(repository)
    build = ["--no-build-isolation"]
    pip_install(python, "hatchling", "editables", "setuptools", "packaging", "six")
    pip_install(python, *build, "--editable", editable)
    pip_install(python, *build, f"versioned_one @ git+file://{repository}@{commit}")
    pip_install(python, *build, "--no-binary", "iniconfig,markupsafe", "markupsafe")
    site = next((root / "env/lib").glob("python3.*/site-packages"))
    (site / "six.py").write_text((site / "six.py").read_text() + "\nEDITED = True\n")
    (site / "by_hand.py").write_text("VALUE = 'dropped'\n")
    return python


def many(root: Path) -> Path:
    """Make an environment of more than 150 distributions."""
    python = uv_venv(root / "env")
    uv_install(python, "--no-deps", "--requirement", REQUIREMENTS / "many.txt")
    return python
