from pathlib import Path

import pytest

from envlock.core.progress import Silent
from envlock.engines import select
from envlock.engines.embedded import Embedded
from envlock.host.store import Store
from envlock.runtime.errors import InputError, UsageError


@pytest.mark.parametrize("prefix", ["oci:", ""])
def test_an_image_on_disk_runs_embedded(prefix: str, layout: Path, store: Store, namespaces: None) -> None:
    found = select.prepare("embedded", f"{prefix}{layout}", store, Silent())
    assert isinstance(found, Embedded)


@pytest.mark.parametrize("reference", ["docker:team/exp:1", "team/exp:1"])
def test_an_image_in_docker_does_not_run_embedded(reference: str, store: Store) -> None:
    with pytest.raises(UsageError, match=r"docker:team/exp:1: expected oci:…") as caught:
        select.prepare("embedded", reference, store, Silent())
    assert "--engine docker" in str(caught.value.hint)


def test_the_default_image_is_where_build_puts_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no image here") as caught:
        select.default_reference(tmp_path)
    assert "envlock build" in str(caught.value.hint)
    (tmp_path / ".envlock" / "image").mkdir(parents=True)
    assert select.default_reference(tmp_path) == f"oci:{tmp_path}/.envlock/image"
