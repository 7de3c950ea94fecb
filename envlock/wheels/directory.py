"""Indexes and find-links that are directories of this machine, read as the pages that they stand for."""

from collections.abc import Iterable
from html import escape
from pathlib import Path
from urllib.parse import quote

from envlock.wheels.configuration import Index


def page(index: Index, project: str) -> tuple[bytes, str] | None:
    """Return (HTML, its URL) of what ``index`` offers of ``project``, or None where it has nothing.

    Raises OSError for what is there and can't be read.
    """
    place = index.directory
    if place is None:
        return None
    if index.form == "simple":
        place /= project
    if place.suffix == ".whl" and place.is_file():
        return _listing([place.name]), f"{place.parent.as_uri()}/"
    if place.suffix in (".html", ".htm") and place.is_file():
        return place.read_bytes(), place.as_uri()
    if not place.is_dir():
        return None
    written = place / "index.html"
    if index.form == "simple" and written.is_file():
        return written.read_bytes(), written.as_uri()
    return _listing(
        sorted(one.name for one in place.iterdir() if _may_be(one, project))
    ), f"{place.as_uri()}/"


def _may_be(path: Path, project: str) -> bool:
    """Tell whether a file's name begins as a wheel's of the project does."""
    name = path.name.partition("-")[0].lower().replace("_", "-").replace(".", "-")
    return path.suffix == ".whl" and name == project


def _listing(names: Iterable[str]) -> bytes:
    links = "\n".join(f'<a href="{quote(name)}">{escape(name)}</a>' for name in names)
    return f"<!DOCTYPE html><html><body>\n{links}\n</body></html>".encode()
