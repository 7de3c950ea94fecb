import errno
import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

import docker
import pytest

from envlock.core.digest import Digest
from envlock.engines import docker_manifests
from envlock.oci import archive
from envlock.oci.layer import Entry, Stream
from envlock.oci.layout import in_store
from envlock.oci.path import ImagePath
from envlock.oci.reader import open_image
from envlock.oci.validate import validate
from envlock.runtime.errors import InputError, IntegrityError, UnreachableError
from tests.oci.images import Builder, file


def write(builder: Builder, path: Path, tag: str | None = "team/exp:1") -> None:
    image = builder.image(builder.layer(file("/etc/a", b"1")), builder.layer(file("/b", b"2")))
    archive.write(image, builder.store.path, path, tag)


def test_one_file_is_an_oci_archive_and_a_docker_archive(builder: Builder, tmp_path: Path) -> None:
    write(builder, tmp_path / "image.tar")
    as_oci = open_image(f"oci-archive:{tmp_path / 'image.tar'}")
    as_docker = open_image(f"docker-archive:{tmp_path / 'image.tar'}")
    guessed = open_image(str(tmp_path / "image.tar"))
    assert as_oci.image == guessed.image
    assert as_oci.image.config == as_docker.image.config
    assert [one.blob for one in as_oci.image.layers] == [one.blob for one in as_docker.image.layers]
    assert validate(as_oci) == validate(as_docker) == ()


def test_the_bytes_depend_on_the_image_and_the_tag_alone(builder: Builder, tmp_path: Path) -> None:
    write(builder, tmp_path / "a.tar")
    before = os.umask(0o077)
    try:
        write(Builder(tmp_path / "other"), tmp_path / "b.tar")
    finally:
        os.umask(before)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    write(builder, tmp_path / "c.tar", None)
    with tarfile.open(tmp_path / "c.tar") as found:
        names = found.getnames()
        manifest = found.extractfile("manifest.json")
        assert manifest is not None
        assert json.loads(manifest.read())[0]["RepoTags"] is None
    layers = [f"blobs/sha256/{one.blob.hex}" for one in open_image(str(tmp_path / "c.tar")).image.layers]
    assert names[:4] == ["blobs", "blobs/sha256", *layers]
    assert names[4:] == sorted(names[4:])


def test_an_archive_can_be_written_from_an_opened_image(builder: Builder, tmp_path: Path) -> None:
    write(builder, tmp_path / "a.tar")
    opened = open_image(str(tmp_path / "a.tar"))
    archive.write(opened.image, opened.open_blob, tmp_path / "b.tar", "team/exp:1")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


@pytest.mark.parametrize(
    "taken", [(), (0,), (0, 1), (0, 0, 1, 2), (1,), (0, 2)], ids=lambda taken: f"taken {taken}"
)
def test_layers_that_were_taken_before_leave_no_trace(
    builder: Builder, tmp_path: Path, taken: tuple[int, ...]
) -> None:
    layers = [builder.layer(file(f"/{number}", bytes(1000 * number))) for number in range(3)]
    image = builder.image(*layers, layers[0])
    archive.write(image, in_store(builder.store), tmp_path / "at-once.tar", "team/exp:1")
    with archive.growing(tmp_path / "grown.tar", in_store(builder.store)) as grown:
        for number in taken:
            grown.take(layers[number])
        grown.finish(image, "team/exp:1")
        assert (tmp_path / "grown.tar").read_bytes() == (tmp_path / "at-once.tar").read_bytes()


def test_an_archive_that_is_not_finished_leaves_the_old_file(builder: Builder, tmp_path: Path) -> None:
    target = tmp_path / "out" / "image.tar"
    target.parent.mkdir()
    target.write_bytes(b"old")
    with archive.growing(target, builder.store.path) as grown:
        grown.take(builder.layer(file("/a")))
    assert [(one.name, one.read_bytes()) for one in target.parent.iterdir()] == [("image.tar", b"old")]


def test_a_layer_that_could_not_be_taken_is_told_in_the_end(builder: Builder, tmp_path: Path) -> None:
    layer = builder.layer(file("/a", b"1"))
    builder.store.path(layer.blob).write_bytes(b"x")
    (tmp_path / "out").mkdir()
    with archive.growing(tmp_path / "out" / "image.tar", builder.store.path) as grown:
        grown.take(layer)
        with pytest.raises(IntegrityError, match="other bytes"):
            grown.finish(builder.image(layer), None)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_blob_with_wrong_bytes_is_refused_and_leaves_the_old_file(builder: Builder, tmp_path: Path) -> None:
    layer = builder.layer(file("/a", b"1"))
    builder.store.path(layer.blob).write_bytes(b"x")
    target = tmp_path / "out" / "image.tar"
    target.parent.mkdir()
    target.write_bytes(b"old")
    with pytest.raises(IntegrityError, match="other bytes"):
        archive.write(builder.image(layer), builder.store.path, target)
    assert [(one.name, one.read_bytes()) for one in target.parent.iterdir()] == [("image.tar", b"old")]


def test_an_archive_is_the_same_whether_the_store_knows_its_blobs_or_not(
    builder: Builder, tmp_path: Path
) -> None:
    write(builder, tmp_path / "hashed.tar")
    image = open_image(str(tmp_path / "hashed.tar")).image
    for layer in image.layers:
        builder.store.vouch(layer.blob)
    archive.write(image, in_store(builder.store), tmp_path / "known.tar", "team/exp:1")
    assert (tmp_path / "hashed.tar").read_bytes() == (tmp_path / "known.tar").read_bytes()


def test_its_pieces_are_the_archive_less_what_the_reader_has(builder: Builder, tmp_path: Path) -> None:
    layers = [builder.layer(file(name, name.encode() * 9)) for name in ("/a", "/b")]
    image = builder.image(*layers)
    archive.write(image, builder.store.path, tmp_path / "image.tar", "team/exp:1")
    whole = b"".join(archive.pieces(image, in_store(builder.store), "team/exp:1"))
    assert whole == (tmp_path / "image.tar").read_bytes()
    less = b"".join(archive.pieces(image, builder.store.path, "team/exp:1", without={layers[0].blob}))
    with tarfile.open(fileobj=io.BytesIO(less)) as sent, tarfile.open(fileobj=io.BytesIO(whole)) as all_of_it:
        missing = set(all_of_it.getnames()) - set(sent.getnames())
    assert missing == {f"blobs/sha256/{layers[0].blob.hex}"}
    builder.store.path(layers[1].blob).write_bytes(b"x")
    with pytest.raises(IntegrityError, match="other bytes"):
        list(archive.pieces(image, builder.store.path))


def test_a_full_disk_is_told_and_leaves_nothing(builder: Builder, tmp_path: Path) -> None:
    def full(_: Digest) -> Path:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(UnreachableError, match="no space left"):
        archive.write(builder.image(builder.layer(file("/a"))), full, tmp_path / "out" / "image.tar")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_wrong_tag_is_refused_before_anything_is_written(builder: Builder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not an image name"):
        write(builder, tmp_path / "image.tar", "Team/Exp:1")
    assert not (tmp_path / "image.tar").exists()


@pytest.mark.docker
def test_docker_loads_it_and_sees_the_same_image(builder: Builder, tmp_path: Path) -> None:
    big = Entry(
        path=ImagePath("/big"), mode=0o644, content=Stream(size=3 << 20, pieces=lambda: [bytes(3 << 20)])
    )
    image = builder.image(builder.layer(file("/etc/a", b"1"), big), builder.layer(file("/b", b"2")))
    archive.write(image, builder.store.path, tmp_path / "image.tar", "envlock-test/archive:1")
    client = docker.from_env()
    try:
        with (tmp_path / "image.tar").open("rb") as stream:
            (loaded,) = client.images.load(stream)
        assert loaded.tags == ["envlock-test/archive:1"]
        assert loaded.id == str(image.digest if docker_manifests.are_ids(client) else image.config_digest)
        assert loaded.attrs["RootFS"]["Layers"] == [str(one.diff_id) for one in image.layers]
    finally:
        client.images.remove("envlock-test/archive:1", force=True)
        client.close()


def test_skopeo_reads_it_both_ways(builder: Builder, tmp_path: Path, skopeo: str) -> None:
    write(builder, tmp_path / "image.tar")
    digest = open_image(str(tmp_path / "image.tar")).image.digest
    for scheme in ("oci-archive", "docker-archive"):
        argv = [skopeo, "inspect", f"{scheme}:{tmp_path / 'image.tar'}"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        if scheme == "oci-archive":
            assert json.loads(done.stdout)["Digest"] == str(digest)
