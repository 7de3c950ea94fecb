from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def store_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Commands that run in this process must leave the developer's own store alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENVLOCK_CACHE", str(tmp_path_factory.mktemp("store")))
        yield
