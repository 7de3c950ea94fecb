import pypi_simple

from envlock.wheels import default_index


def test_it_is_the_library_s_own() -> None:
    assert default_index.url() == pypi_simple.PYPI_SIMPLE_ENDPOINT


def test_a_text_without_it_says_nothing() -> None:
    line = 'PYPI_SIMPLE_ENDPOINT: str = "https://index.example/simple/"'
    assert default_index.stated(f"a = 1\n{line}\n") == "https://index.example/simple/"
    assert default_index.stated("from .client import PYPI_SIMPLE_ENDPOINT\n") is None
