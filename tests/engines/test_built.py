import json
from collections.abc import Callable
from pathlib import Path

import pytest

from envlock.core.digest import Digest
from envlock.engines import built
from envlock.image.runtime import runtime_files
from envlock.lock import codec
from envlock.lock.model import Lock
from tests.lock.conftest import lock

__all__ = ["lock"]


def image(root: Path, lock: Lock, **facts: object) -> Path:
    place = root / "opt/envlock"
    place.mkdir(parents=True)
    for file in runtime_files().files:
        path = root / file.path.text[1:]
        path.parent.mkdir(parents=True, exist_ok=True)
        if file.data is not None:
            path.write_bytes(file.data)
            path.chmod(file.mode)
    data = codec.dumps(lock)
    (place / "pylock.envlock.toml").write_bytes(data)
    baked = {"OMP_NUM_THREADS": "4", "PYTHONHASHSEED": "0", "MKL_DYNAMIC": "FALSE"}
    stated = {"lock-sha256": Digest.of(data).hex, "env": baked, "runtime": str(runtime_files().digest)}
    text = json.dumps(stated | facts)
    (place / "image.json").write_text(text)
    return root


def test_an_image_tells_its_lock_and_which_variables_are_its_builds(tmp_path: Path, lock: Lock) -> None:
    found = built.read(image(tmp_path, lock))
    assert found is not None
    assert found.lock == lock
    # The environment had OMP_NUM_THREADS itself; MKL_DYNAMIC was changed by whoever derived the image.
    variables = (("OMP_NUM_THREADS", "4"), ("PYTHONHASHSEED", "0"), ("MKL_DYNAMIC", "TRUE"), ("A", "b"))
    assert found.of_user(variables) == (("OMP_NUM_THREADS", "4"), ("MKL_DYNAMIC", "TRUE"), ("A", "b"))


def _append(root: Path) -> None:
    with (root / "opt/envlock/runtime/envlock/runtime/seeds.py").open("a") as stream:
        stream.write("\n# edited\n")


def _add(root: Path) -> None:
    (root / "opt/envlock/runtime/envlock/runtime/more.py").write_text("x = 1\n")


def _remove(root: Path) -> None:
    (root / "opt/envlock/runtime/envlock/runtime/seeds.py").unlink()


def _link(root: Path) -> None:
    _remove(root)
    (root / "opt/envlock/runtime/envlock/runtime/seeds.py").symlink_to("/etc/hostname")


def _chmod(root: Path) -> None:
    (root / "opt/envlock/bin/envlock-run").chmod(0o644)


@pytest.mark.parametrize("edit", [_append, _add, _remove, _link, _chmod])
def test_an_edited_runtime_is_a_gap(tmp_path: Path, lock: Lock, edit: Callable[[Path], None]) -> None:
    root = image(tmp_path, lock)
    bytecode = root / "opt/envlock/runtime/envlock/runtime/__pycache__/seeds.cpython-311.pyc"
    bytecode.parent.mkdir()
    bytecode.write_bytes(b"made by the build")
    found = built.read(root)
    assert found is not None
    assert found.gaps == ()
    edit(root)
    found = built.read(root)
    assert found is not None
    (gap,) = found.gaps
    assert (gap.subject, gap.harmless) == ("envlock-runtime", False)


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
