import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from envlock.core.digest import Digest
from envlock.host.files import stream_digest
from envlock.oci import archive, layout
from envlock.oci.model import MEDIA_INDEX
from envlock.oci.reader import open_image
from envlock.oci.validate import validate
from envlock.runtime.errors import EnvlockError, InputError, IntegrityError
from tests.oci.images import Builder, file


def tar_of(path: Path, members: dict[str, bytes | tuple[bytes, str]]) -> None:
    """Write an archive; a tuple is a link (its type and its target)."""
    with tarfile.open(path, "w") as out:
        for name, value in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(value, tuple):
                info.type, info.linkname = value
                out.addfile(info)
            else:
                info.size = len(value)
                out.addfile(info, io.BytesIO(value))


def old_docker_archive(builder: Builder, path: Path, *, config_name: str | None = None) -> None:
    """What ``docker save`` wrote before Docker 25: directories by layer, plain tars, links for twins."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as inner:
        inner.addfile(tarfile.TarInfo("hello"), io.BytesIO())
    layer = builder.raw_layer(plain.getvalue(), compress=False)
    image = builder.image(layer, layer)
    name = config_name or f"{image.config_digest.hex}.json"
    manifest = [{"Config": name, "RepoTags": ["a:b"], "Layers": ["one/layer.tar", "two/layer.tar"]}]
    tar_of(
        path,
        {
            name: image.config,
            "one/layer.tar": plain.getvalue(),
            "two/layer.tar": (tarfile.SYMTYPE, "../one/layer.tar"),
            "manifest.json": json.dumps(manifest).encode(),
        },
    )


def test_an_old_docker_archive_is_read(builder: Builder, tmp_path: Path) -> None:
    old_docker_archive(builder, tmp_path / "saved.tar")
    opened = open_image(str(tmp_path / "saved.tar"))
    assert len(opened.image.layers) == 2
    assert opened.image.layers[0].blob == opened.image.layers[0].diff_id
    assert validate(opened) == ()


def test_a_config_under_a_wrong_name_is_refused(builder: Builder, tmp_path: Path) -> None:
    old_docker_archive(builder, tmp_path / "saved.tar", config_name="0" * 64 + ".json")
    with pytest.raises(IntegrityError, match="config has other bytes"):
        open_image(f"docker-archive:{tmp_path / 'saved.tar'}")


@pytest.fixture
def written(builder: Builder, tmp_path: Path) -> Path:
    image = builder.image(builder.layer(file("/a", b"1" * 5000)), builder.layer(file("/b", b"2")))
    layout.write(image, lambda digest: builder.store.path(digest).open("rb"), tmp_path / "out")
    return tmp_path / "out"


def blob(directory: Path, digest: Digest) -> Path:
    return directory / "blobs" / "sha256" / digest.hex


def test_a_blob_with_wrong_bytes_is_refused_at_its_end(written: Path) -> None:
    opened = open_image(str(written))
    layer = opened.image.layers[0]
    data = bytearray(blob(written, layer.blob).read_bytes())
    data[len(data) // 2] ^= 1
    blob(written, layer.blob).write_bytes(data)
    with (
        opened.open_blob(layer.blob) as stream,
        pytest.raises(IntegrityError, match="other bytes than its name"),
    ):
        stream_digest(stream)


def test_a_blob_that_is_no_layer_is_refused(written: Path) -> None:
    with pytest.raises(InputError, match="no such layer"):
        open_image(str(written)).open_blob(Digest("0" * 64))


@pytest.mark.parametrize("which", ["manifest", "config"])
def test_a_manifest_or_config_with_wrong_bytes_is_refused(written: Path, which: str) -> None:
    image = open_image(str(written)).image
    digest = image.digest if which == "manifest" else image.config_digest
    blob(written, digest).write_bytes(b"{}")
    with pytest.raises(IntegrityError, match="other bytes than its name"):
        open_image(str(written))


def test_a_nested_index_with_an_attestation_is_one_image(written: Path) -> None:
    index = json.loads((written / "index.json").read_bytes())
    attestation = index["manifests"][0] | {
        "annotations": {"vnd.docker.reference.type": "attestation-manifest"}
    }
    index["manifests"].append(attestation)
    nested = json.dumps(index).encode()
    blob(written, Digest.of(nested)).write_bytes(nested)
    descriptor = {"digest": str(Digest.of(nested)), "mediaType": MEDIA_INDEX, "size": len(nested)}
    (written / "index.json").write_text(json.dumps({"manifests": [descriptor]}))
    assert len(open_image(str(written)).image.layers) == 2


def test_an_index_with_two_images_is_refused(written: Path) -> None:
    index = json.loads((written / "index.json").read_bytes())
    index["manifests"] *= 2
    (written / "index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="found 2"):
        open_image(str(written))


def test_of_an_index_for_several_platforms_the_asked_one_is_taken(written: Path) -> None:
    index = json.loads((written / "index.json").read_bytes())
    (mine,) = index["manifests"]
    other = mine | {"digest": f"sha256:{'0' * 64}", "platform": {"os": "linux", "architecture": "s390x"}}
    index["manifests"] = [other, mine | {"platform": {"os": "linux", "architecture": "amd64"}}]
    (written / "index.json").write_text(json.dumps(index))
    assert str(open_image(str(written), "linux/amd64").image.digest) == mine["digest"]
    with pytest.raises(InputError, match=r"one of linux/arm64, found 2 \(linux/amd64, linux/s390x\)"):
        open_image(f"oci:{written}", "linux/arm64")


@pytest.mark.parametrize(
    ("index", "place"),
    [
        ("nonsense", "expected JSON"),
        ("[]", "an object"),
        ("{}", "manifests: expected an array"),
        ('{"manifests": [7]}', r"manifests\[0\]"),
        ('{"manifests": [{"digest": 1}]}', "digest and mediaType"),
        ('{"manifests": [{"digest": "sha256:x", "mediaType": "m", "size": 1}]}', "64 lower-case"),
        ('{"manifests": [{"digest": "sha256:x", "mediaType": "m", "size": -1}]}', r"\.size"),
        (
            '{"manifests": [{"digest": "sha256:' + "0" * 64 + '", "mediaType": "m", "size": 1}]}',
            "no such file",
        ),
        ("[" * 100_000, "JSON"),
    ],
)
def test_a_malformed_index_is_an_error_that_names_the_place(written: Path, index: str, place: str) -> None:
    (written / "index.json").write_text(index)
    with pytest.raises(InputError, match=place):
        open_image(str(written))


@pytest.mark.parametrize(
    "manifest",
    [[], [{}, {}], [{"Config": 1, "Layers": []}], [{"Config": "c", "Layers": [1]}], {"Config": "c"}, [7]],
)
def test_a_malformed_docker_manifest_is_refused(tmp_path: Path, manifest: Any) -> None:
    tar_of(tmp_path / "x.tar", {"manifest.json": json.dumps(manifest).encode()})
    with pytest.raises(InputError):
        open_image(f"docker-archive:{tmp_path / 'x.tar'}")


def test_a_document_that_is_too_large_is_refused(tmp_path: Path) -> None:
    tar_of(tmp_path / "x.tar", {"manifest.json": bytes(17 << 20)})
    with pytest.raises(InputError, match="too large"):
        open_image(f"docker-archive:{tmp_path / 'x.tar'}")


def test_diff_ids_that_do_not_fit_the_layers_are_refused(builder: Builder, tmp_path: Path) -> None:
    layer = builder.layer(file("/a", b"1"))
    image = builder.image(layer)
    config = json.dumps({"rootfs": {"diff_ids": []}}).encode()
    descriptor = json.loads(image.manifest) | {
        "config": {"digest": str(Digest.of(config)), "mediaType": "c", "size": 1}
    }
    broken = type(image)(manifest=json.dumps(descriptor).encode(), config=config, layers=image.layers)
    archive.write(broken, builder.store.path, tmp_path / "x.tar")
    with pytest.raises(InputError, match="diff_ids"):
        open_image(str(tmp_path / "x.tar"))


@pytest.mark.parametrize(
    "reference", ["oci:{0}/none", "oci-archive:{0}/none", "{0}/none", "{0}", "oci-archive:{0}"]
)
def test_no_image_is_an_error_of_ours(tmp_path: Path, reference: str) -> None:
    with pytest.raises(EnvlockError):
        open_image(reference.format(tmp_path))


def test_a_file_that_is_no_tar_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"hello" * 1000)
    with pytest.raises(InputError, match="not an image archive"):
        open_image(str(tmp_path / "x"))
