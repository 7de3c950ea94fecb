import pytest

from envlock.wheels.public_url import is_whole, public


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://ann:p@ss@index.example:8/x/y.whl?a=s3cret#s3cret", "https://index.example:8/x/y.whl"),
        ("https://index.example/t/tk-0f-s3cret/simple", "https://index.example/t/-/simple"),
        ("https://index.example/9KvKtcyOxR9s3cretA/simple/", "https://index.example/-/simple/"),
        ("https://index.example/glpat-s3cret_1234/simple/", "https://index.example/-/simple/"),
        ("file:///srv/x.whl", "file:///srv/x.whl"),
    ],
)
def test_what_could_be_a_secret_is_not_shown(url: str, shown: str) -> None:
    assert public(url) == shown
    assert "s3cret" not in public(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://index.example/packages/e5/3e/741d8c82801c347547f8a2a06aa57dbb/PyYAML-6.0.1-cp311-cp311-x.whl",
        "https://index.example/0123ABCD-4567-89ab-cdef-0123456789ab/_packaging/feed/pypi/simple/",
        "https://index.example/api/v4/projects/123/packages/pypi/files/ABCDEF/",
        "https://index.example/root/+simple/",
    ],
)
def test_hashes_names_and_feeds_are_no_secrets(url: str) -> None:
    assert public(url) == url
    assert is_whole(url)


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("https://ann:pw@index.example/x.whl#sha256=0", True),
        ("https://index.example/x.whl?sig=1", False),
        ("https://index.example/t/abc/x.whl", False),
    ],
)
def test_a_login_can_be_given_again_and_a_token_can_not(url: str, *, whole: bool) -> None:
    assert is_whole(url) == whole
