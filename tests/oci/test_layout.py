import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from envlock.core.digest import Digest
from envlock.host.files import file_digest, scratch_directory
from envlock.oci import archive, layout
from envlock.oci.reader import open_image
from envlock.oci.validate import validate
from envlock.runtime.errors import InputError, IntegrityError
from tests.host.opened import watching_opened
from tests.oci.images import Builder, file


def test_a_layout_reads_back_as_the_image_that_was_written(builder: Builder, tmp_path: Path) -> None:
    image = builder.image(builder.layer(file("/a", b"1")), builder.layer(file("/b", b"2")))
    layout.write(image, builder.store.path, tmp_path / "out", "team/exp:1")
    opened = open_image(f"oci:{tmp_path / 'out'}")
    assert opened.image == image
    assert validate(opened) == ()


def test_the_tag_stands_in_the_annotations_that_docker_and_containerd_read(
    builder: Builder, tmp_path: Path
) -> None:
    layout.write(builder.image(), builder.store.path, tmp_path / "out", "team/exp:1")
    index = json.loads((tmp_path / "out" / "index.json").read_bytes())
    assert index["manifests"][0]["annotations"] == {
        "io.containerd.image.name": "docker.io/team/exp:1",
        "org.opencontainers.image.ref.name": "1",
    }


def test_blobs_are_linked_where_they_can_be_and_copied_where_not(builder: Builder, tmp_path: Path) -> None:
    layer = builder.layer(file("/a", b"1"))
    image = builder.image(layer, layer)
    layout.write(image, builder.store.path, tmp_path / "linked")
    linked = tmp_path / "linked" / "blobs" / "sha256" / layer.blob.hex
    assert linked.stat().st_ino == builder.store.path(layer.blob).stat().st_ino

    def stream(digest: Digest) -> object:
        return builder.store.path(digest).open("rb")

    layout.write(image, stream, tmp_path / "copied")  # type: ignore[arg-type] # object stands for IO[bytes]
    assert file_digest(tmp_path / "copied" / "blobs" / "sha256" / layer.blob.hex) == layer.blob


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no second file system")  # noqa: S108
def test_a_blob_on_another_file_system_is_copied(builder: Builder, tmp_path: Path) -> None:
    layer = builder.layer(file("/a", b"1"))
    with scratch_directory(Path("/dev/shm")) as elsewhere:  # noqa: S108
        layout.write(builder.image(layer), builder.store.path, elsewhere / "out")
        assert validate(open_image(str(elsewhere / "out"))) == ()


@pytest.mark.parametrize("damage", [b"", b"another blob of another size", None])
def test_a_blob_with_wrong_bytes_is_refused_and_nothing_is_left(
    builder: Builder, tmp_path: Path, damage: bytes | None
) -> None:
    layer = builder.layer(file("/a", b"1"))
    place = builder.store.path(layer.blob)
    place.write_bytes(place.read_bytes()[::-1] if damage is None else damage)
    with pytest.raises(IntegrityError, match="other bytes"):
        layout.write(builder.image(layer), builder.store.path, tmp_path / "out" / "image")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_blob_that_the_store_knows_is_linked_or_copied_without_being_hashed(
    builder: Builder, tmp_path: Path
) -> None:
    layer = builder.layer(file("/a", b"1"))
    builder.store.vouch(layer.blob)
    opened: list[str] = []
    with watching_opened(opened):
        layout.write(builder.image(layer), layout.in_store(builder.store), tmp_path / "out")
    assert str(tmp_path / "out" / "blobs" / "sha256" / layer.blob.hex) not in opened
    assert validate(open_image(f"oci:{tmp_path / 'out'}")) == ()


def test_a_blob_that_was_damaged_in_the_store_counts_as_missing(builder: Builder, tmp_path: Path) -> None:
    layer = builder.layer(file("/a", b"1"))
    builder.store.vouch(layer.blob)
    builder.store.path(layer.blob).write_bytes(b"x")
    with pytest.raises(InputError, match="a layer is missing"):
        layout.write(builder.image(layer), layout.in_store(builder.store), tmp_path / "out")


@pytest.mark.parametrize("write", [layout.write, archive.write])
def test_a_right_blob_of_another_size_than_the_image_says_is_refused(
    builder: Builder, tmp_path: Path, write: Callable[..., None]
) -> None:
    layer = builder.layer(file("/a", b"1"))
    builder.store.vouch(layer.blob)
    image = builder.image(replace(layer, size=layer.size + 1))
    with pytest.raises(IntegrityError, match="other bytes"):
        write(image, layout.in_store(builder.store), tmp_path / "out" / "image")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_missing_blob_is_named(builder: Builder, tmp_path: Path) -> None:
    layer = builder.layer(file("/a", b"1"))
    builder.store.path(layer.blob).unlink()
    with pytest.raises(InputError, match="a layer is missing: " + str(layer.blob)):
        layout.write(builder.image(layer), builder.store.path, tmp_path / "out")


def test_a_layout_is_replaced_but_another_directory_is_not(builder: Builder, tmp_path: Path) -> None:
    target = tmp_path / "out"
    layout.write(builder.image(), builder.store.path, target)
    newer = builder.image(builder.layer(file("/a", b"1")))
    layout.write(newer, builder.store.path, target)
    assert open_image(str(target)).image == newer
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="will not be replaced"):
        layout.write(newer, builder.store.path, precious)
    with pytest.raises(InputError, match="will not be replaced"):
        layout.write(newer, builder.store.path, precious / "thesis.tex")
    assert os.listdir(precious) == ["thesis.tex"]
