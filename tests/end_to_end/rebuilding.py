"""Building a lock again where everything differs that must not matter."""

import dataclasses
import hashlib
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

from tests.end_to_end.project import Built, CommandLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What must not matter."""

    umask: int
    variables: tuple[tuple[str, str], ...]
    full_store: bool


CONDITIONS = {
    "empty-store": Conditions(
        umask=0o077,
        variables=(("TZ", "Pacific/Kiritimati"), ("LANG", "C"), ("LC_ALL", "C"), ("PYTHONHASHSEED", "1")),
        full_store=False,
    ),
    "full-store": Conditions(
        umask=0o002,
        variables=(("TZ", "America/St_Johns"), ("LC_ALL", "C.UTF-8"), ("PYTHONHASHSEED", "4294967295")),
        full_store=True,
    ),
}


def file_digest(path: Path) -> str:
    with path.open("rb") as stream:
        state = hashlib.sha256()
        while piece := stream.read(1 << 20):
            state.update(piece)
    return state.hexdigest()


def manifest_digest(archive: Path) -> str:
    with tarfile.open(archive) as tar:
        stream = tar.extractfile("index.json")
        assert stream is not None
        (manifest,) = json.load(stream)["manifests"]
    return str(manifest["digest"])


def rebuilt(built: Built, tmp_path: Path, conditions: Conditions) -> Path:
    """Build the same lock in another place under ``conditions``; return the archive."""
    directory = built.copied(tmp_path / "another" / "directory")
    command: CommandLine = dataclasses.replace(built.command, cwd=directory, umask=conditions.umask)
    command = command.having(**dict(conditions.variables))
    if not conditions.full_store:
        command = command.having(ENVLOCK_CACHE=str(tmp_path / "empty"))
    command.done("build", "-o", "oci-archive:again.tar")
    return directory / "again.tar"
