"""Golden files: bytes that may only change when somebody means them to. ``make golden`` writes them anew."""

import json
import os
from pathlib import Path


def pinned(file: Path, data: bytes) -> None:
    """Hold ``data`` to the golden file."""
    if os.environ.get("ENVLOCK_UPDATE_GOLDEN"):
        file.write_bytes(data)
    assert data == file.read_bytes()


def pinned_json(file: Path, value: object) -> None:
    """Hold ``value``, which is made of JSON's types, to the golden file."""
    if os.environ.get("ENVLOCK_UPDATE_GOLDEN"):
        file.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")
    assert value == json.loads(file.read_bytes())
