"""Reading manifests and records from files that a user names."""

from pathlib import Path

from envlock.runtime import document, manifest, record
from envlock.runtime.errors import InputError
from envlock.runtime.manifest import Manifest
from envlock.runtime.record import RunRecord


def read_manifest(file: Path) -> Manifest:
    """Return the manifest in ``file``, YAML or JSON. Raises InputError."""
    try:
        text = _read(file).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError("not a run manifest", where=str(file), expected="UTF-8", found=str(error)) from error
    return manifest.parse(document.read(text, str(file)), str(file))


def read_record(file: Path) -> RunRecord:
    """Return the record in ``file``. Raises InputError."""
    return record.parse(_read(file), str(file))


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError("cannot read", where=str(file), found=error.strerror) from error
