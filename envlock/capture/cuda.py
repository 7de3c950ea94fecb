"""CUDA libraries that the environment brings or loads, with their versions and where they are from."""

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from envlock.capture.packages_dpkg import Database
from envlock.lock.environment import InstalledDistribution
from envlock.lock.model import CudaLibrary

_NAMED = re.compile(
    r"^lib(cublas|cublasLt|cudart|cudnn|cufft|cufile|cupti|curand|cusolver|cusparse|cusparseLt|nccl|nvJitLink"
    r"|nvrtc|nvshmem_host)(?:-[0-9a-f]{8})?\.so(?:\.([0-9.]+))?$"
)


def read(
    libraries: Iterable[str],
    distributions: Iterable[InstalledDistribution],
    database: Database | None,
    base_prefix: Path,
) -> tuple[CudaLibrary, ...]:
    """Return each CUDA library among the files ``libraries``, once per name, version and origin."""
    named = [(path, match) for path in libraries if (match := _NAMED.match(os.path.basename(path)))]
    if not named:
        return ()
    wheels = _by_file(distributions)
    conda = _by_conda(base_prefix)
    found = set()
    for path, match in named:
        real = os.path.realpath(path)
        version, origin = wheels.get(path) or conda.get(real) or _system(real, database)
        found.add((match.group(1), version or _file_version(real), origin))
    return tuple(
        CudaLibrary(name=name, version=version, origin=origin) for name, version, origin in sorted(found)
    )


def _by_file(distributions: Iterable[InstalledDistribution]) -> dict[str, tuple[str, str]]:
    return {
        os.path.normpath(f"{one.site}/{entry.path}"): (one.version, f"wheel:{one.name}")
        for one in distributions
        for entry in one.record
        if ".so" in entry.path
    }


def _by_conda(prefix: Path) -> Mapping[str, tuple[str, str]]:
    """Return real path → (version, origin) of the prefix's conda packages (conda-meta/*.json)."""
    found: dict[str, tuple[str, str]] = {}
    for record in sorted((prefix / "conda-meta").glob("*.json")):
        try:
            value = json.loads(record.read_bytes())
            files, fact = value["files"], (str(value["version"]), f"conda:{value['name']}")
        except (OSError, ValueError, KeyError, TypeError):
            continue
        found.update((os.path.realpath(prefix / name), fact) for name in files if ".so" in name)
    return found


def _system(path: str, database: Database | None) -> tuple[str, str]:
    owner = database.owner(path) if database is not None else None
    return ("", "unowned") if owner is None else (owner.version, f"os:{owner.name}")


def _file_version(path: str) -> str:
    match = _NAMED.match(os.path.basename(path))
    return (match.group(2) or "") if match else ""
