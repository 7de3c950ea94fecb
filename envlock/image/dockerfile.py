"""The same environment as a Dockerfile, for teams that must build with Docker.

Rules kept here: pip checks every wheel by hash and resolves nothing; the base is an argument, since
Docker can't take the lock's own; what envlock adds to the image (runtime, lock, facts) lies in
``rootfs/`` as the plan has it, so the entrypoint is the same.
"""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from string import Template

from envlock.core.digest import Digest
from envlock.host.data import data
from envlock.host.files import atomic_directory, file_digest
from envlock.image.install import ENVIRONMENT
from envlock.image.plan import BuildOptions, ImageFile, ImagePlan, plan
from envlock.image.runtime import runtime_files
from envlock.lock import codec
from envlock.lock.model import Lock, Package
from envlock.runtime.errors import InputError, IntegrityError

_OWN = frozenset({str(ENVIRONMENT / "pyvenv.cfg")})
"""What ``python -m venv`` makes itself."""


def emit(
    lock: Lock,
    directory: Path,
    *,
    lock_bytes: bytes | None = None,
    lock_directory: Path | None = None,
    options: BuildOptions | None = None,
) -> None:
    """Write Dockerfile, requirements.txt, repacked wheels and ``rootfs/`` to a new ``directory``.

    ``lock_bytes`` is the lockfile as it was read; without it, it is written anew. Repacked wheels are
    taken from ``lock_directory`` (the working directory when not given). Raises InputError when
    ``directory`` has something in it or a repacked wheel is missing, IntegrityError when one has
    other bytes than the lock says.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InputError("will not be replaced", where=str(directory), expected="a new or empty directory")
    text = codec.dumps(lock) if lock_bytes is None else lock_bytes
    planned = plan(lock, lock_bytes=text, options=options or BuildOptions(), runtime=runtime_files())
    repacked = [package for package in lock.packages if package.wheel.path is not None]
    with atomic_directory(directory) as part:
        for package in repacked:
            _copy_wheel(package, lock_directory or Path(), part / "wheels")
        (part / "requirements.txt").write_text(_requirements(lock.packages), encoding="utf-8")
        (part / "Dockerfile").write_text(_dockerfile(lock, planned, bool(repacked)), encoding="utf-8")
        for layer in planned.own:
            _write_files(layer.files, part / "rootfs")


def _requirements(packages: Iterable[Package]) -> str:
    """Return one line a package: the exact artifact and its hash."""
    lines = ["# Made by envlock: every wheel by its hash, nothing to resolve."]
    for package in sorted(packages, key=lambda one: one.name):
        wheel = package.wheel
        place = (
            f"/build/wheels/{wheel.name}" if wheel.path is not None else f"{package.name}=={package.version}"
        )
        lines.append(f"{place} --hash=sha256:{wheel.sha256.hex}")
    return "\n".join(lines) + "\n"


def _dockerfile(lock: Lock, planned: ImagePlan, has_wheels: bool) -> str:  # noqa: FBT001 # one fact of the template
    template = Template(data("templates/Dockerfile").read_text(encoding="utf-8"))
    return template.substitute(
        base=lock.base.reference or f"python:{lock.python.version}-slim",
        python=lock.python.version,
        interpreter=f"python{lock.python.minor}",
        copy_wheels="COPY wheels/ /build/wheels/" if has_wheels else "# No wheel of this lock was repacked.",
        environment=_pairs(pair for pair in planned.environment if pair[0] != "PATH")
        + ' \\\n    PATH="/opt/env/bin:$PATH"',
        labels=_pairs(planned.labels),
    )


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    # JSON's escapes for quotes and backslashes are the Dockerfile's; a dollar would be expanded.
    return " \\\n    ".join(
        f"{name}={json.dumps(value, ensure_ascii=False)}".replace("$", "\\$") for name, value in pairs
    )


def _copy_wheel(package: Package, lock_directory: Path, target: Path) -> None:
    source = lock_directory / str(package.wheel.path)
    if not source.is_file():
        raise InputError(
            "a repacked wheel is missing", where=str(package.wheel.path), hint="it lies beside the lock"
        )
    found: Digest = file_digest(source)
    if found != package.wheel.sha256:
        raise IntegrityError(
            f"the wheel of {package.name} is not the locked one",
            where=str(package.wheel.path),
            expected=str(package.wheel.sha256),
            found=str(found),
        )
    target.mkdir(exist_ok=True)
    shutil.copyfile(source, target / package.wheel.name)


def _write_files(files: Iterable[ImageFile], root: Path) -> None:
    for file in files:
        if file.data is None or file.path.text in _OWN:
            continue
        target = root / file.path.relative
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.data)
        target.chmod(file.mode)
