"""What indexes and find-links offer of a project (simple repository API, PEP 503, 691, 658 and 714).

A page on a server names files on servers; only a directory of this machine names files of this machine.
"""

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import requests
from pypi_simple import (
    ACCEPT_ANY,
    DistributionPackage,
    ProjectPage,
    UnsupportedRepoVersionError,
    parse_links_stream,
)

from envlock.host.http import reason, status
from envlock.runtime.errors import UnreachableError
from envlock.wheels import directory
from envlock.wheels.configuration import Index
from envlock.wheels.match import IndexFile

# Buckets that serve as an index answer 403 for what they do not have; so it is told only of what no
# other index has.
_ABSENT = frozenset({404, 410})
_REFUSED = frozenset({401, 403, 407})
_ANCHOR = re.compile(rb"(?=<a[\s>])", re.IGNORECASE)
_FAULTS = 3
_LOGIN = "log in by its URL, UV_INDEX_NAME_PASSWORD, netrc or keyring"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    content: bytes
    url: str
    content_type: str
    charset: str | None


class Pages:
    """Asks for pages. Safe to use from many threads.

    An index that can't be reached, or that failed three times in a row, is asked no more: an environment
    has hundreds of packages, and each would wait for it anew.
    """

    def __init__(self, client: requests.Session) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._faults: dict[str, list[UnreachableError]] = {}
        self._given_up: dict[str, UnreachableError] = {}
        self._links: dict[str, _Page | None] = {}

    def wheels(self, index: Index, project: str, version: str) -> tuple[IndexFile, ...]:
        """Return the wheels of ``project`` on ``index``; none when the index does not have the project.

        Where some wheels' names contain ``version`` as it is spelled, only those are returned.
        Raises UnreachableError when the index does not answer, or answers with something else.
        """
        page = _read(index, project) if index.directory is not None else self._asked(index, project)
        if page is None:
            return ()
        try:
            return tuple(_files(page, version)) or tuple(_files(page, ""))
        except (UnsupportedRepoVersionError, ValueError) as error:
            raise _unreachable(index, f"no project page ({type(error).__name__})") from error

    def _asked(self, index: Index, project: str) -> _Page | None:
        with self._lock:
            fault = self._given_up.get(index.address)
            if index.address in self._links:
                return self._links[index.address]
        if fault is not None:
            raise fault
        try:
            page = self._get(index, project)
        except _IndexError as error:
            self._failed(index, error)
            raise error.told from error
        with self._lock:
            self._faults.pop(index.address, None)
            if index.form == "links":
                self._links[index.address] = page
        return page

    def _get(self, index: Index, project: str) -> _Page | None:
        url = index.address if index.form == "links" else urljoin(index.address, f"{project}/")
        try:
            answer = self._client.get(url, headers={"Accept": ACCEPT_ANY})
        except requests.RequestException as error:
            lasting = isinstance(error, requests.ConnectionError | requests.Timeout)
            raise _IndexError(_unreachable(index, *reason(error)), lasting=lasting) from error
        if answer.status_code in _ABSENT:
            return None
        if answer.status_code in _REFUSED:
            raise _IndexError(_unreachable(index, f"{status(answer.status_code)}; {_LOGIN}"))
        if not answer.ok:
            raise _IndexError(_unreachable(index, status(answer.status_code)))
        content_type = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return _Page(
            content=answer.content, url=answer.url, content_type=content_type, charset=answer.encoding
        )

    def _failed(self, index: Index, error: "_IndexError") -> None:
        with self._lock:
            faults = self._faults.setdefault(index.address, [])
            faults.append(error.told)
            if error.lasting or len(faults) >= _FAULTS:
                self._given_up[index.address] = error.told


class _IndexError(Exception):
    """An index that gave no page. ``lasting``: the next question will fare no better."""

    def __init__(self, told: UnreachableError, *, lasting: bool = False) -> None:
        super().__init__(str(told))
        self.told = told
        self.lasting = lasting


def _read(index: Index, project: str) -> _Page | None:
    """Return the page of a place on this disk; a directory without one is listed as if it were one."""
    try:
        found = directory.page(index, project)
    except OSError as error:
        raise UnreachableError(f"cannot read {index.name}", found=(error.strerror or "").lower()) from error
    if found is None:
        return None
    content, url = found
    return _Page(content=content, url=url, content_type="text/html", charset=None)


def _files(page: _Page, version: str) -> Iterator[IndexFile]:
    read = _from_json if page.content_type.endswith("+json") else _from_html
    schemes = ("http", "https", "file") if page.url.startswith("file:") else ("http", "https")
    for package in read(page, version):
        parts = urlsplit(package.url)
        name = unquote(parts.path.rpartition("/")[2])
        filename = name if name.endswith(".whl") else package.filename
        if filename.endswith(".whl") and parts.scheme in schemes:
            yield IndexFile(
                filename=filename,
                url=parts._replace(fragment="").geturl(),
                sha256=package.digests.get("sha256"),
                size=package.size,
                metadata_sha256=(package.metadata_digests or {}).get("sha256"),
            )


def _from_json(page: _Page, version: str) -> Iterator[DistributionPackage]:
    document = json.loads(page.content)
    if isinstance(document, dict) and isinstance(document.get("files"), list):
        document["files"] = [one for one in document["files"] if version in _file_name(one)]
    # What is no project page is refused here, with a ValueError.
    yield from ProjectPage.from_json_data(document, page.url).packages


def _file_name(entry: Any) -> str:
    return str(entry.get("filename", "")) if isinstance(entry, dict) else ""


def _from_html(page: _Page, version: str) -> Iterator[DistributionPackage]:
    head, *anchors = _ANCHOR.split(page.content)
    if not anchors and (b"<" not in head if "html" in page.content_type else b"<html" not in head.lower()):
        raise ValueError("not a project page")
    # A page has up to 15,000 links (pydantic-core) and a parser reads 10,000 a second; what does not
    # contain the version can't be a link to it.
    wanted = [anchor for anchor in anchors if version.encode() in anchor]
    links = parse_links_stream([head, *wanted], base_url=page.url, http_charset=page.charset)
    for link in links:
        yield DistributionPackage.from_link(link)


def _unreachable(index: Index, found: str, hint: str | None = None) -> UnreachableError:
    # A directory of this machine is nothing to write into a lock.
    where = index.public_url if index.directory is None else None
    return UnreachableError(f"the index {index.name} did not answer", where=where, found=found, hint=hint)
