"""What lies in ``.gz``, ``.zip`` and Keras' ``.keras``, without the times that these hold."""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from envlock.replay.contents.members import members
from envlock.replay.contents.tensor import Array, Tensor

# Keras' version and the time of saving: facts about the file, which are no result.
_ABOUT: Final = "metadata.json"
_CONFIGURATION: Final = "config.json"
# Which objects of the configuration are one: by their addresses, which are others in each process.
_SHARED: Final = "shared_object_id"


def read_gz(file: Path) -> Tensor:
    """Return the bytes that were compressed. Raises OSError, EOFError or zlib.error."""
    # Of a file of many members, as bgzip makes them, gzip.decompress copies all the rest for each.
    with gzip.open(file) as stream:
        return _bytes(np.frombuffer(stream.read(), dtype=np.uint8))


def read_zip(file: Path) -> dict[str, Tensor]:
    """Return each member's bytes by name. Raises OSError, ValueError, zlib.error or BadZipFile."""
    return {name: _bytes(data) for name, data in members(file).items()}


def read_keras(file: Path) -> Mapping[str, object]:
    """Return a saved model's configuration, as JSON has it, and weights; raises as :func:`read_zip`."""
    found = {name: data for name, data in read_zip(file).items() if name != _ABOUT}
    configuration = found.get(_CONFIGURATION)
    if configuration is None:
        return found
    return {**found, _CONFIGURATION: _numbered(json.loads(configuration.data.tobytes()), {})}


def _numbered(value: object, numbers: dict[object, int]) -> object:
    """Return ``value`` with shared objects numbered as they come."""
    match value:
        case dict():
            return {
                key: numbers.setdefault(one, len(numbers)) if key == _SHARED else _numbered(one, numbers)
                for key, one in value.items()
            }
        case list():
            return [_numbered(one, numbers) for one in value]
        case _:
            return value


def _bytes(data: Array) -> Tensor:
    return Tensor(dtype="bytes", shape=data.shape, data=data)
