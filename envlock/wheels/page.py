"""What indexes and find-links offer of a project (simple repository API, PEP 503, 691, 658 and 714).

A page on a server names files on servers; only a directory of this machine names files of this machine.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import unquote, urljoin, urlsplit

import requests

from envlock.host.files import CHUNK
from envlock.host.http import reason, status
from envlock.runtime.errors import UnreachableError
from envlock.wheels import directory, page_json
from envlock.wheels.configuration import Index
from envlock.wheels.match import IndexFile

# Buckets that serve as an index answer 403 for what they do not have; so it is told only of what no
# other index has.
_ABSENT = frozenset({404, 410})
_REFUSED = frozenset({401, 403, 407})
# The last is for servers older than PEP 691.
_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
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
        except (ValueError, RecursionError) as error:
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
            with self._client.get(url, headers={"Accept": _ACCEPT}, stream=True) as answer:
                # In large pieces: a page of 10 MB in requests' own of 10 KB takes twice the time.
                content = b"".join(answer.iter_content(CHUNK))
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
        return _Page(content=content, url=answer.url, content_type=content_type, charset=answer.encoding)

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
    schemes = ("http", "https", "file") if page.url.startswith("file:") else ("http", "https")
    for file in _stated(page, version):
        parts = urlsplit(file.url)
        name = unquote(parts.path.rpartition("/")[2])
        filename = name if name.endswith(".whl") else file.filename
        if filename.endswith(".whl") and parts.scheme in schemes:
            plain = filename == file.filename and "#" not in file.url
            yield (
                file if plain else replace(file, filename=filename, url=parts._replace(fragment="").geturl())
            )


def _stated(page: _Page, version: str) -> Iterator[IndexFile]:
    if page.content_type.endswith("+json"):
        return page_json.files(page.content, page.url, version)
    # Its parsers take longer to import than most captures take, and most indexes speak JSON.
    from envlock.wheels import page_html  # noqa: PLC0415

    return page_html.files(
        page.content, page.url, version, content_type=page.content_type, charset=page.charset
    )


def _unreachable(index: Index, found: str, hint: str | None = None) -> UnreachableError:
    # A directory of this machine is nothing to write into a lock.
    where = index.public_url if index.directory is None else None
    return UnreachableError(f"the index {index.name} did not answer", where=where, found=found, hint=hint)
