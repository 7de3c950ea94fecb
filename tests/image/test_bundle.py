import json
import os
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from envlock.core.digest import Digest
from envlock.core.progress import Silent
from envlock.host.store import Store
from envlock.image import bundle
from envlock.lock import codec
from envlock.lock.identity import environment_id
from envlock.lock.model import Lock
from envlock.oci.artifact import Artifact
from envlock.runtime.errors import InputError, IntegrityError
from tests.image import fixture_lock


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """A lock whose package ``other`` is on no index, with everything in the store."""

    lock: Lock
    store: Store

    @property
    def data(self) -> bytes:
        return codec.dumps(self.lock)

    def compose(self, *, all_wheels: bool = False) -> Artifact:
        return bundle.compose(self.lock, self.data, all_wheels=all_wheels)

    def write(self, file: Path, *, all_wheels: bool = False) -> Path:
        bundle.write(self.compose(all_wheels=all_wheels), self.data, self.store, file, Silent())
        return file


@pytest.fixture
def captured(tmp_path: Path, store: Store) -> Captured:
    lock, wheels = fixture_lock.make(tmp_path, store)
    for path in wheels.values():
        store.add_file(path)
    demo, other = lock.packages
    wheel = replace(other.wheel, url=None, path=f".envlock/wheels/{other.wheel.name}")
    other = replace(other, wheel=wheel, source="repacked", evidence="repacked")
    whole = replace(lock, packages=(demo, other), requires_python="==3.11.*")
    return Captured(lock=whole, store=store)


def titles(made: Artifact) -> list[str]:
    return [file.title for file in made.files]


def unpacked(archive: Path, directory: Path) -> Path:
    with tarfile.open(archive) as tar:
        tar.extractall(directory, filter="data")
    return directory


def test_a_bundle_holds_what_no_index_has_and_on_request_all_wheels(captured: Captured) -> None:
    demo, other = captured.lock.packages
    (layer,) = captured.lock.base.layers
    without = ["pylock.envlock.toml", f".envlock/blobs/{layer.blob.hex}", str(other.wheel.path)]
    assert titles(captured.compose()) == without
    assert titles(captured.compose(all_wheels=True)) == [
        *without[:2],
        f".envlock/wheels/{demo.wheel.name}",
        without[2],
    ]


def test_the_manifest_names_the_environment(captured: Captured) -> None:
    manifest = json.loads(captured.compose().manifest)
    assert manifest["artifactType"] == "application/vnd.envlock.bundle.v1"
    assert manifest["annotations"] == {
        "dev.envlock.environment-id": str(environment_id(captured.lock)),
    }


def test_a_base_layer_that_comes_twice_is_taken_along_once(captured: Captured) -> None:
    base = replace(captured.lock.base, layers=captured.lock.base.layers * 2)
    lock = replace(captured.lock, base=base)
    made = bundle.compose(lock, codec.dumps(lock), all_wheels=False)
    assert len(made.files) == 3


def test_the_same_lock_gives_the_same_bytes(captured: Captured, tmp_path: Path) -> None:
    first = captured.write(tmp_path / "one.bundle").read_bytes()
    assert captured.write(tmp_path / "elsewhere" / "two.bundle").read_bytes() == first


def test_an_empty_store_gets_everything_that_the_bundle_brings(captured: Captured, tmp_path: Path) -> None:
    opened = bundle.open_bundle(str(captured.write(tmp_path / "x.bundle", all_wheels=True)))
    assert opened.lock == captured.lock
    assert opened.lock_bytes == captured.data
    far = Store(tmp_path / "far")
    opened.supply(opened.lock, far, Silent())
    for digest in [one.wheel.sha256 for one in captured.lock.packages]:
        assert far.find(digest) is not None
    assert far.find(captured.lock.base.layers[0].blob) is not None


def test_only_what_a_lock_lacks_is_taken(captured: Captured, tmp_path: Path) -> None:
    opened = bundle.open_bundle(str(captured.write(tmp_path / "x.bundle", all_wheels=True)))
    far = Store(tmp_path / "far")
    other = captured.lock.packages[1]
    opened.supply(replace(captured.lock, packages=(other,)), far, Silent())
    assert far.find(other.wheel.sha256) is not None
    assert far.find(captured.lock.packages[0].wheel.sha256) is None


def test_a_damaged_blob_of_the_store_is_taken_anew(captured: Captured, tmp_path: Path) -> None:
    opened = bundle.open_bundle(str(captured.write(tmp_path / "x.bundle")))
    place = captured.store.path(captured.lock.packages[1].wheel.sha256)
    right = place.read_bytes()
    place.write_bytes(b"x")
    opened.supply(captured.lock, captured.store, Silent())
    assert place.read_bytes() == right


def test_a_blob_that_was_damaged_in_the_store_is_never_bundled(captured: Captured, tmp_path: Path) -> None:
    captured.store.path(captured.lock.packages[1].wheel.sha256).write_bytes(b"x")
    with pytest.raises(IntegrityError, match="other bytes"):
        captured.write(tmp_path / "out" / "x.bundle")
    assert list((tmp_path / "out").iterdir()) == []


def blob(layout: Path, digest: Digest) -> Path:
    return layout / "blobs" / "sha256" / digest.hex


def test_an_altered_wheel_is_refused_by_its_title_and_not_kept(captured: Captured, tmp_path: Path) -> None:
    layout = unpacked(captured.write(tmp_path / "x.bundle"), tmp_path / "layout")
    wheel = captured.lock.packages[1].wheel
    blob(layout, wheel.sha256).write_bytes(b"x" * wheel.size)
    opened = bundle.open_bundle(f"oci:{layout}")
    far = Store(tmp_path / "far")
    with pytest.raises(IntegrityError, match="not a whole bundle") as caught:
        opened.supply(captured.lock, far, Silent())
    assert str(caught.value.where).endswith(str(wheel.path))
    assert far.find(wheel.sha256) is None
    assert list((far.root / "incoming").iterdir()) == []


def test_an_altered_lock_is_refused(captured: Captured, tmp_path: Path) -> None:
    layout = unpacked(captured.write(tmp_path / "x.bundle"), tmp_path / "layout")
    blob(layout, Digest.of(captured.data)).write_bytes(captured.data.replace(b"demo", b"evil"))
    with pytest.raises(IntegrityError, match="not a whole bundle: the lock has other bytes"):
        bundle.open_bundle(str(layout))


def remade(layout: Path, change: Callable[[Any], None]) -> Path:
    index = json.loads((layout / "index.json").read_bytes())
    manifest = json.loads(blob(layout, Digest.parse(index["manifests"][0]["digest"])).read_bytes())
    change(manifest)
    data = json.dumps(manifest).encode()
    blob(layout, Digest.of(data)).write_bytes(data)
    index["manifests"][0] |= {"digest": str(Digest.of(data)), "size": len(data)}
    (layout / "index.json").write_text(json.dumps(index))
    return layout


def test_a_bundle_without_its_lock_is_refused(captured: Captured, tmp_path: Path) -> None:
    layout = unpacked(captured.write(tmp_path / "x.bundle"), tmp_path / "layout")
    remade(layout, lambda manifest: manifest["layers"].pop(0))
    with pytest.raises(InputError, match="not a whole bundle: not one lock"):
        bundle.open_bundle(str(layout))


def test_a_title_that_climbs_out_is_refused(captured: Captured, tmp_path: Path) -> None:
    def climb(manifest: Any) -> None:
        manifest["layers"][2]["annotations"] = {"org.opencontainers.image.title": "../../.bashrc"}

    layout = remade(unpacked(captured.write(tmp_path / "x.bundle"), tmp_path / "layout"), climb)
    with pytest.raises(InputError, match="not a whole bundle: not a usable title"):
        bundle.open_bundle(str(layout))


@pytest.mark.parametrize("length", [0, 100, 1024, 2048, 6000])
def test_a_truncated_bundle_is_one_error(captured: Captured, tmp_path: Path, length: int) -> None:
    file = captured.write(tmp_path / "x.bundle")
    os.truncate(file, length)
    with pytest.raises(InputError, match="not a whole bundle") as caught:
        bundle.open_bundle(str(file))
    assert "export --bundle" in str(caught.value.hint)


def test_a_bundle_of_something_else_than_a_lock_is_refused(captured: Captured, tmp_path: Path) -> None:
    made = bundle.compose(captured.lock, b"no toml", all_wheels=False)
    bundle.write(made, b"no toml", captured.store, tmp_path / "x.bundle", Silent())
    with pytest.raises(InputError, match=r"x\.bundle: pylock\.envlock\.toml"):
        bundle.open_bundle(str(tmp_path / "x.bundle"))
