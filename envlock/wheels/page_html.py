"""The HTML form of a project page or a page of links (PEP 503, PEP 658, PEP 714), by pypi-simple."""

import re
from collections.abc import Iterator

from pypi_simple import DistributionPackage, UnsupportedRepoVersionError, parse_links_stream

from envlock.wheels.match import IndexFile

_ANCHOR = re.compile(rb"(?=<a[\s>])", re.IGNORECASE)


def files(
    content: bytes, url: str, version: str, *, content_type: str, charset: str | None
) -> Iterator[IndexFile]:
    """Yield the files whose links contain ``version``. Raises ValueError for what is no such page."""
    head, *anchors = _ANCHOR.split(content)
    if not anchors and (b"<" not in head if "html" in content_type else b"<html" not in head.lower()):
        raise ValueError("not a project page")
    # A page has up to 15,000 links (pydantic-core) and a parser reads 10,000 a second; what does not
    # contain the version can't be a link to it.
    wanted = [anchor for anchor in anchors if version.encode() in anchor]
    try:
        links = list(parse_links_stream([head, *wanted], base_url=url, http_charset=charset))
    except UnsupportedRepoVersionError as error:
        raise ValueError(str(error)) from error
    for package in map(DistributionPackage.from_link, links):
        yield IndexFile(
            filename=package.filename,
            url=package.url,
            sha256=package.digests.get("sha256"),
            size=package.size,
            metadata_sha256=(package.metadata_digests or {}).get("sha256"),
        )
