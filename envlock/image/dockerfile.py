"""The same environment as a Dockerfile, for teams that must build with Docker.

Rules kept here: pip checks every wheel by hash and resolves nothing; the base is an argument, since
Docker can't take the lock's own; what envlock adds to the image (runtime, lock, facts) lies in
``rootfs/`` as the plan has it, so the entrypoint is the same. What reaches a private index (pip.conf,
CA certificates) comes in as a build's secret, never into a layer; where every wheel lies in ``wheels/``
the build asks no index and needs no secret.
"""

import json
import shutil
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from envlock.host.data import data
from envlock.host.files import atomic_directory, file_digest
from envlock.image.install import ENVIRONMENT
from envlock.image.plan import BuildOptions, ImageFile, ImagePlan, plan
from envlock.image.project import ProjectTree, copy_to
from envlock.image.runtime import runtime_files
from envlock.lock.export import requirements
from envlock.lock.model import Lock, Package
from envlock.runtime.errors import InputError, IntegrityError

_OWN = frozenset({str(ENVIRONMENT / "pyvenv.cfg")})
"""What ``python -m venv`` makes itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a build stands on that is done here and now, rather than by whoever gets the directory."""

    base: str
    """The lock's own base, under this name in the engine."""
    pip: Path
    """pip's package directory: the base need not have it."""


_MOUNTS = (
    "--mount=type=secret,id=pip.conf,target=/etc/pip.conf --mount=type=secret,id=ca.pem \\\n"
    "    if [ -f /run/secrets/ca.pem ]; then export PIP_CERT=/run/secrets/ca.pem; fi; \\\n    "
)
_SECRETS = """\
# A private index, or a CA of your own, goes in as a secret and stays out of the image:
#   --secret id=pip.conf,src=$HOME/.config/pip/pip.conf --secret id=ca.pem,src=CA.pem
# (Docker 23 or newer; DOCKER_BUILDKIT=1 before that; podman as it is.)"""
_BROUGHT_PIP = "COPY pip/ /build/pip/pip/"
_BASES_PIP = (
    "RUN {interpreter} -m venv /build/installer \\\n"
    "    && ln -s /build/installer/lib/{interpreter}/site-packages /build/pip"
)
_NO_INDEX = "# All wheels lie in wheels/: no index is asked, and --network=none will do."


def emit(
    lock: Lock,
    directory: Path,
    *,
    lock_bytes: bytes,
    wheels: Mapping[str, Path],
    options: BuildOptions | None = None,
    project: ProjectTree | None = None,
    ground: Ground | None = None,
) -> None:
    """Write Dockerfile, requirements.txt, ``wheels/`` and ``rootfs/`` to a new ``directory``.

    ``lock_bytes`` is the lockfile as it was read. ``wheels``: the files of the packages that come along,
    by name; the rest pip takes from its indexes. ``project``: the code for /work. ``ground``: what the
    build stands on, where that is known. Raises InputError when ``directory`` has something in it,
    IntegrityError when a wheel has other bytes than the lock says.
    """
    refuse_filled(directory)
    planned = plan(lock, lock_bytes=lock_bytes, options=options or BuildOptions(), runtime=runtime_files())
    brought = [package for package in lock.packages if package.name in wheels]
    files = {package.name: f"/build/wheels/{package.wheel.name}" for package in brought}
    lines = ("# Made by envlock: every wheel by its hash.", *requirements.lines(lock.packages, files))
    with atomic_directory(directory) as part:
        for package in brought:
            _copy_wheel(package, wheels[package.name], part / "wheels")
        (part / "requirements.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (part / "Dockerfile").write_text(_dockerfile(lock, planned, len(brought), ground), encoding="utf-8")
        if ground is not None:
            shutil.copytree(ground.pip, part / "pip", ignore=shutil.ignore_patterns("__pycache__"))
        for layer in planned.own:
            _write_files(layer.files, part / "rootfs", without=_OWN if ground is None else frozenset())
        if project is not None:
            copy_to(project, part / "rootfs" / "work")


def refuse_filled(directory: Path) -> None:
    """Raise InputError when ``directory`` is a file or has something in it."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InputError("will not be replaced", where=str(directory), expected="a new or empty directory")


def _dockerfile(lock: Lock, planned: ImagePlan, brought: int, ground: Ground | None) -> str:
    """Return the Dockerfile, ``brought``: how many wheels lie beside it."""
    interpreter = f"python{lock.python.minor}"
    is_whole = brought == len(lock.packages)
    template = Template(data("templates/Dockerfile").read_text(encoding="utf-8"))
    return template.substitute(
        base=_base(lock) if ground is None else ground.base,
        python=lock.python.version,
        interpreter=interpreter,
        pip=_BROUGHT_PIP if ground is not None else _BASES_PIP.format(interpreter=interpreter),
        user=planned.user,
        indexes=_NO_INDEX if is_whole else _SECRETS,
        copy_wheels="COPY wheels/ /build/wheels/" if brought else "# Every wheel is on an index.",
        mounts="" if is_whole else _MOUNTS,
        no_index=" --no-index" if is_whole else "",
        environment=_pairs(pair for pair in planned.environment if pair[0] != "PATH")
        + ' \\\n    PATH="/opt/env/bin:$PATH"',
        labels=_pairs(planned.labels),
    )


def _base(lock: Lock) -> str:
    """Return what the base is called in a registry; for a base that lies in none, the official Python."""
    base = lock.base
    if base.kind not in ("registry", "docker-daemon") or base.reference is None:
        return f"python:{lock.python.version}-slim"
    is_pinned = base.kind != "registry" or base.digest is None or "@" in base.reference
    return base.reference if is_pinned else f"{base.reference}@{base.digest}"


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    # JSON's escapes for quotes and backslashes are the Dockerfile's; a dollar would be expanded.
    return " \\\n    ".join(
        f"{name}={json.dumps(value, ensure_ascii=False)}".replace("$", "\\$") for name, value in pairs
    )


def _copy_wheel(package: Package, source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    copy = target / package.wheel.name
    shutil.copyfile(source, copy)
    found = file_digest(copy)
    if found != package.wheel.sha256:
        raise IntegrityError(
            f"the wheel of {package.name} is not the locked one",
            where=package.wheel.name,
            expected=str(package.wheel.sha256),
            found=str(found),
        )


def _write_files(files: Iterable[ImageFile], root: Path, *, without: Container[str]) -> None:
    for file in files:
        if file.data is None or file.path.text in without:
            continue
        target = root / file.path.relative
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.data)
        target.chmod(file.mode)
