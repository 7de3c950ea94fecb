"""The same wheels made into an image by Docker: with pip, and with uv, which is copied into the build."""

import shutil
import subprocess
import sys
from pathlib import Path

from envlock.host.store import Store
from envlock.lock.model import Lock

ROOT = Path(__file__).parents[1]
BASE = "envlock-bench/debian:1"
DOCKERFILES = {
    "pip": f"""\
FROM {BASE}
COPY wheels /wheels
RUN python3 -m venv /opt/env && /opt/env/bin/pip install --no-index --no-deps /wheels/*.whl
""",
    "uv": f"""\
FROM {BASE}
COPY uv /usr/local/bin/uv
COPY wheels /wheels
ENV UV_OFFLINE=1
RUN uv venv /opt/env && uv pip install --no-index --no-deps --python /opt/env /wheels/*.whl
""",
}
TAGS = tuple(f"envlock-bench/{tool}:1" for tool in DOCKERFILES)


def argv(tool: str) -> tuple[str, ...]:
    """Build with ``tool`` (a name of DOCKERFILES), reusing no layer."""
    name = f"context/Dockerfile.{tool}"
    return (
        "docker",
        "build",
        "--no-cache",
        "--quiet",
        "-t",
        f"envlock-bench/{tool}:1",
        "-f",
        name,
        "context",
    )


def engine_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "version"], capture_output=True, check=False).returncode == 0


def prepare(lock: Lock, store: Store, directory: Path) -> None:
    """Lay the lock's wheels, uv and the Dockerfiles out in ``directory/context``, and import a Debian."""
    context = directory / "context"
    (context / "wheels").mkdir(parents=True)
    for package in lock.packages:
        source = store.find(package.wheel.sha256)
        if source is None:
            sys.exit(f"bench: {package.name}: its wheel is not in the store after a build")
        shutil.copy(source, context / "wheels" / package.wheel.name)
    shutil.copy(Path(sys.executable).with_name("uv"), context / "uv")
    for tool, text in DOCKERFILES.items():
        (context / f"Dockerfile.{tool}").write_text(text)
    debian = directory / "debian.tar"
    subprocess.run(["sh", ROOT / ".ci/base-image", debian], check=True)
    subprocess.run(["docker", "import", debian, BASE], capture_output=True, check=True)


def forget(*tags: str) -> None:
    """Remove the images, and those of envlock that lost their tag: the engine would have their layers."""
    untagged = ["docker", "image", "prune", "--force", "--filter", "label=dev.envlock.environment-id"]
    for argv in (["docker", "rmi", "--force", *tags], untagged):
        subprocess.run(argv, capture_output=True, check=False)
