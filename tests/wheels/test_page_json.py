import json
from typing import Any

import pytest

from envlock.wheels import page_json

PAGE = "https://index.example/simple/demo/"
DIGEST = "a" * 64


def _file(name: str, **more: object) -> dict[str, object]:
    return {"filename": name, "url": f"../../files/{name}", "hashes": {"sha256": DIGEST}, **more}


def _page(*files: Any, version: str = "1.1", **more: Any) -> bytes:
    return json.dumps({"meta": {"api-version": version}, "name": "demo", "files": files, **more}).encode()


def _names(content: bytes, version: str) -> list[str]:
    return [one.filename for one in page_json.files(content, PAGE, version)]


def test_a_file_is_read_with_all_that_the_page_says_of_it() -> None:
    more = {"size": 12, "core-metadata": {"sha256": "b" * 64}, "yanked": "use {1.0} instead"}
    (found,) = page_json.files(_page(_file("demo-1.0-py3-none-any.whl", **more)), PAGE, "1.0")
    assert found.url == "https://index.example/files/demo-1.0-py3-none-any.whl"
    assert (found.sha256, found.size, found.metadata_sha256) == (DIGEST, 12, "b" * 64)


@pytest.mark.parametrize("metadata", [True, False, None, {}, {"sha256": 1}])
def test_a_page_may_be_silent(metadata: object) -> None:
    entry = {"filename": "demo-1.0-a.whl", "url": "x", "hashes": {}, "core-metadata": metadata}
    (found,) = page_json.files(_page(entry), PAGE, "1.0")
    assert (found.sha256, found.size, found.metadata_sha256) == (None, None, None)


def test_only_the_wanted_version_is_read_of_a_page_that_has_it() -> None:
    names = [f"demo-{version}-{tag}.whl" for version in ("0.9", "1.0", "1.0.1", "11.0") for tag in "ab"]
    sdist = _file("demo-1.0.tar.gz")
    content = _page(*(_file(name, **{"core-metadata": {"sha256": DIGEST}}) for name in names), sdist)
    assert _names(content, "1.0") == ["demo-1.0-a.whl", "demo-1.0-b.whl"]


def test_all_are_read_where_the_version_is_spelled_otherwise() -> None:
    content = _page(_file("demo-1.0.0-a.whl"), _file("demo-2-a.whl"))
    assert _names(content, "1.0") == _names(content, "") == ["demo-1.0.0-a.whl", "demo-2-a.whl"]


def test_a_version_that_stands_elsewhere_misleads_nobody() -> None:
    odd = _file("demo-2-a.whl", yanked='{"filename": "x-1.0-y.whl", "url": "u", "hashes": {}} -1.0- {')
    beside: dict[str, Any] = {"note": "-1.0-", "versions": ["-1.0-"]}
    content = _page(odd, _file("demo-1.0-a.whl", about={"text": "{ -1.0- }"}), **beside)
    assert _names(content, "1.0") == ["demo-1.0-a.whl"]
    assert _names(_page(odd, **beside), "1.0") == ["demo-2-a.whl"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"-1.0-": 1}',
        _page(_file("demo-1.0-a.whl"), version="2.0"),
        _page({"filename": "demo-1.0-a.whl"}),
        _page("demo-1.0-a.whl"),
        json.dumps({"meta": {}, "files": []}).encode(),
    ],
)
def test_what_is_no_project_page_of_this_version_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"project page|Expecting value|can't decode"):
        list(page_json.files(content, PAGE, "1.0"))
