"""``/opt/envlock/image.json``: what the entrypoint must know of its image, in a form that 3.8 reads.

The interpreter in an image may have no TOML parser, so the facts of the lock that the entrypoint
compares and records stand in JSON beside it. Pure.
"""

from collections.abc import Mapping

from envlock.core.digest import Digest
from envlock.lock.model import Gpu, Lock, Project

FORMAT = 1


def image_json(
    lock: Lock, *, environment_id: Digest, lock_sha256: Digest, runtime: Digest, variables: Mapping[str, str]
) -> dict[str, object]:
    """Return the document. ``variables`` are the determinism variables baked into the config."""
    return {
        "format": FORMAT,
        "environment-id": str(environment_id),
        "lock-sha256": lock_sha256.hex,
        "runtime": str(runtime),
        "env": dict(variables),
        "python": {"version": lock.python.version, "implementation": lock.python.implementation},
        "os": {
            "id": lock.os.id,
            "version": lock.os.version,
            "kernel": lock.os.kernel,
            "libc": lock.os.libc,
            "machine": lock.os.machine,
        },
        "cpu": {"model": lock.cpu.model, "isa": lock.cpu.isa, "cores": lock.cpu.cores},
        "gpu": _gpu(lock.gpu),
        "cuda": [
            {"name": library.name, "version": library.version, "origin": library.origin}
            for library in lock.cuda
        ],
        "packages": {package.name: package.version for package in lock.packages},
        "project": _project(lock.project),
        "gaps": [{"subject": gap.subject, "reason": gap.reason} for gap in lock.gaps],
    }


def _gpu(gpu: Gpu) -> dict[str, object]:
    return {
        "driver": gpu.driver,
        "cuda": gpu.cuda,
        "devices": [
            {
                "model": device.model,
                "capability": device.capability,
                "memory": device.memory,
                "mig": device.mig,
            }
            for device in gpu.devices
        ],
    }


def _project(project: Project | None) -> dict[str, object] | None:
    if project is None:
        return None
    tree = None if project.tree is None else str(project.tree)
    return {"commit": project.commit, "dirty": project.dirty, "tree": tree}
