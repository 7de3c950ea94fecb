"""Tensors as safetensors has them: a length, a JSON header with every tensor's place, then the bytes."""

import json
from pathlib import Path
from typing import Final

from envlock.replay.contents.members import mapped
from envlock.replay.contents.tensor import Tensor

_LENGTH: Final = 8
# The one name that is no tensor: free text about the file, which is no result.
_METADATA: Final = "__metadata__"
# The format's names in NumPy's words; any other is kept as it is, in small letters.
_TYPES: Final = {
    "BF16": "bfloat16",
    "C64": "complex64",
    **{f"F{bits}": f"float{bits}" for bits in (16, 32, 64)},
    **{f"I{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"U{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)},
}


def read(file: Path) -> dict[str, Tensor]:
    """Return the tensors in ``file`` by name, in the order of their bytes.

    Raises OSError, ValueError, KeyError or TypeError.
    """
    whole = mapped(file)
    start = _LENGTH + int.from_bytes(whole[:_LENGTH].tobytes(), "little")
    if start > len(whole):
        raise ValueError(f"a header of {start - _LENGTH} bytes in a file of {len(whole)}")
    header = json.loads(whole[_LENGTH:start].tobytes())
    rows = [(*row["data_offsets"], name, row) for name, row in header.items() if name != _METADATA]
    return {
        name: Tensor(
            dtype=_TYPES.get(row["dtype"], row["dtype"].lower()),
            shape=tuple(row["shape"]),
            data=whole[start + first : start + last],
        )
        for first, last, name, row in sorted(rows, key=lambda row: row[:2])
    }
