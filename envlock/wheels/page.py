"""What a simple index offers of a project (simple repository API, PEP 503 and PEP 691)."""

import json
import re
from collections.abc import Iterator

import requests
from pypi_simple import (
    ACCEPT_ANY,
    DistributionPackage,
    ProjectPage,
    PyPISimple,
    UnsupportedRepoVersionError,
    parse_links_stream,
)

from envlock.host.http import TIMEOUT, reason, redacted
from envlock.runtime.errors import UnreachableError
from envlock.wheels.configuration import Index, without_credentials
from envlock.wheels.match import IndexFile

# Buckets that serve as an index answer 403 for what they do not have.
_ABSENT = frozenset({403, 404, 410})
_ANCHOR = re.compile(rb"(?=<a[\s>])", re.IGNORECASE)


def wheels(client: requests.Session, index: Index, project: str, version: str) -> tuple[IndexFile, ...]:
    """Return the wheels of ``project`` on ``index``; none when the index does not have the project.

    Where some wheels' names contain ``version`` as it is spelled, only those are returned.
    Raises UnreachableError when the index does not answer, or answers with something else.
    """
    url = PyPISimple(index.public_url, session=client).get_project_url(project)
    try:
        answer = client.get(url, headers={"Accept": ACCEPT_ANY}, timeout=TIMEOUT)
        if answer.status_code in _ABSENT:
            return ()
        answer.raise_for_status()
        return tuple(_files(answer, version)) or tuple(_files(answer, ""))
    except requests.RequestException as error:
        raise _unreachable(index, url, *reason(error)) from error
    except (UnsupportedRepoVersionError, ValueError) as error:
        raise _unreachable(index, url, f"no project page ({type(error).__name__})") from error


def _files(answer: requests.Response, version: str) -> Iterator[IndexFile]:
    content_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
    read = _from_json if content_type.endswith("+json") else _from_html
    for package in read(answer, version):
        url = without_credentials(package.url)
        if package.filename.endswith(".whl") and url.startswith(("http://", "https://")):
            sha256 = package.digests.get("sha256")
            yield IndexFile(filename=package.filename, url=url, sha256=sha256, size=package.size)


def _from_json(answer: requests.Response, version: str) -> Iterator[DistributionPackage]:
    page = json.loads(answer.content)
    if isinstance(page, dict) and isinstance(page.get("files"), list):
        page["files"] = [one for one in page["files"] if version in str(one)]
    # What is no project page is refused here, with a ValueError.
    yield from ProjectPage.from_json_data(page, answer.url).packages


def _from_html(answer: requests.Response, version: str) -> Iterator[DistributionPackage]:
    head, *anchors = _ANCHOR.split(answer.content)
    if not _is_html(answer, head):
        raise ValueError("not a project page")
    # A page has up to 15,000 links (pydantic-core) and a parser reads 10,000 a second; what does not
    # contain the version can't be a link to it.
    wanted = [anchor for anchor in anchors if version.encode() in anchor]
    links = parse_links_stream([head, *wanted], base_url=answer.url, http_charset=answer.encoding)
    for link in links:
        yield DistributionPackage.from_link(link)


def _is_html(answer: requests.Response, head: bytes) -> bool:
    return "html" in answer.headers.get("Content-Type", "") or b"<html" in head.lower()


def _unreachable(index: Index, url: str, found: str, hint: str | None = None) -> UnreachableError:
    return UnreachableError(
        f"the index {index.name} did not answer",
        where=redacted(url),
        found=found,
        hint=hint
        or "try again, or use --offline: wheels that no index confirms are rebuilt from installed files",
    )
