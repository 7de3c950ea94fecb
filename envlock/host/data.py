"""The data that ships with envlock: base definitions and templates."""

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def data(name: str) -> Path:
    """Return a data file by its name in the source tree, such as ``templates/run.yaml``."""
    installed = _PACKAGE / "data"
    # An editable install has no copy under envlock/data: the source tree itself is the data.
    return (installed if installed.is_dir() else _PACKAGE.parent) / name
