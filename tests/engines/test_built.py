import json
from pathlib import Path

import pytest

from envlock.core.digest import Digest
from envlock.engines import built
from envlock.lock import codec
from envlock.lock.model import Lock
from tests.lock.conftest import lock

__all__ = ["lock"]


def image(root: Path, lock: Lock, **facts: object) -> Path:
    place = root / "opt/envlock"
    place.mkdir(parents=True)
    data = codec.dumps(lock)
    (place / "pylock.envlock.toml").write_bytes(data)
    baked = {"OMP_NUM_THREADS": "4", "PYTHONHASHSEED": "0", "MKL_DYNAMIC": "FALSE"}
    text = json.dumps({"lock-sha256": Digest.of(data).hex, "env": baked} | facts)
    (place / "image.json").write_text(text)
    return root


def test_an_image_tells_its_lock_and_which_variables_are_its_builds(tmp_path: Path, lock: Lock) -> None:
    found = built.read(image(tmp_path, lock))
    assert found is not None
    assert found.lock == lock
    # The environment had OMP_NUM_THREADS itself; MKL_DYNAMIC was changed by whoever derived the image.
    variables = (("OMP_NUM_THREADS", "4"), ("PYTHONHASHSEED", "0"), ("MKL_DYNAMIC", "TRUE"), ("A", "b"))
    assert found.of_user(variables) == (("OMP_NUM_THREADS", "4"), ("MKL_DYNAMIC", "TRUE"), ("A", "b"))


def test_any_other_image_says_nothing(tmp_path: Path) -> None:
    assert built.read(tmp_path) is None


@pytest.mark.parametrize("facts", [{"lock-sha256": "0" * 64}, {"env": 7}, {"env": None}])
def test_an_image_whose_files_do_not_agree_says_nothing(
    tmp_path: Path, lock: Lock, facts: dict[str, object]
) -> None:
    assert built.read(image(tmp_path, lock, **facts)) is None


@pytest.mark.parametrize("text", ["", "[]", "{", "null"])
def test_a_damaged_description_says_nothing(tmp_path: Path, lock: Lock, text: str) -> None:
    root = image(tmp_path, lock)
    (root / "opt/envlock/image.json").write_text(text)
    assert built.read(root) is None
