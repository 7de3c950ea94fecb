"""The JSON form of a project page (PEP 691, PEP 700, PEP 714). Pure.

A page has up to 15,000 files (pydantic-core, 10 MB), of which a handful are of the wanted version. So only
the objects around that version's file names are decoded, and the whole document where that finds none.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urljoin

from envlock.wheels.match import IndexFile

_DECODER = json.JSONDecoder()
_MAJOR = "1"
_API = re.compile(r'"api-version"\s*:\s*"(\d+)\.\d+"')


def files(content: bytes, url: str, version: str) -> Iterator[IndexFile]:
    """Yield the files whose names contain ``-VERSION-``; all where there is none, or no ``version``.

    ``url`` is the page's own, which relative ones are joined to. Raises ValueError for what is no project
    page, or one of a newer major version.
    """
    text = content.decode()
    # From the end: indexes write it behind their megabytes of files.
    stated = _API.match(text, text.rfind('"api-version"'))
    known = version and stated is not None and stated[1] == _MAJOR
    near = tuple(_near(text, f"-{version}-")) if known else ()
    for entry in near or _all(text):
        yield _file(entry, url)


def _near(text: str, name: str) -> Iterator[Mapping[str, Any]]:
    """Yield the objects with a ``filename`` in which ``name`` stands.

    Quotes in a JSON string are escaped, so what decodes to an object with a key is one, and no text.
    """
    end = 0
    while (at := text.find(name, end)) >= 0:
        entry, end = _around(text, at, end)
        if name in str(entry.get("filename", "")):
            yield entry


def _around(text: str, at: int, lowest: int) -> tuple[Mapping[str, Any], int]:
    """Return the innermost object with a ``filename`` around ``at`` and its end, else an empty one."""
    start = at
    while (start := text.rfind("{", lowest, start)) >= 0:
        try:
            value, end = _DECODER.raw_decode(text, start)
        except ValueError:
            continue
        if end > at:
            return (value, end) if "filename" in value else ({}, at + 1)
    return {}, at + 1


def _all(text: str) -> list[Any]:
    match json.loads(text):
        case {"meta": {"api-version": str(version)}, "files": list(found)} if version.startswith(
            f"{_MAJOR}."
        ):
            return found
        case _:
            raise ValueError("not a project page")


def _file(entry: Any, base: str) -> IndexFile:
    match entry:
        case {"filename": str(filename), "url": str(url), "hashes": dict(hashes)}:
            sha256, size = hashes.get("sha256"), entry.get("size")
            return IndexFile(
                filename=filename,
                url=url if url.startswith(("https://", "http://")) else urljoin(base, url),
                sha256=sha256 if isinstance(sha256, str) else None,
                size=size if isinstance(size, int) else None,
                metadata_sha256=_metadata_sha256(entry.get("core-metadata")),
            )
        case _:
            raise ValueError("not a file of a project page")


def _metadata_sha256(stated: object) -> str | None:
    digest = stated.get("sha256") if isinstance(stated, dict) else None
    return digest if isinstance(digest, str) else None
