import json
import tarfile
from pathlib import Path

from envlock.core import canonical
from envlock.core.digest import Digest
from envlock.oci import archive
from envlock.oci.model import Image, Layer
from envlock.oci.reader import open_image
from envlock.oci.validate import validate
from tests.oci.images import Builder, file


def problems(builder: Builder, image: Image, path: Path) -> tuple[str, ...]:
    archive.write(image, builder.store.path, path)
    return validate(open_image(str(path)))


def test_every_mismatch_is_told_not_the_first(builder: Builder, tmp_path: Path) -> None:
    good = builder.layer(file("/a", b"1"))
    lying = Layer(diff_id=Digest("0" * 64), blob=good.blob, size=good.size)
    twice = builder.tar_layer([(tarfile.TarInfo("x"), b""), (tarfile.TarInfo("x"), b"")])
    climbing = builder.tar_layer([(tarfile.TarInfo("../x"), b""), (tarfile.TarInfo("/y"), b"")])
    found = problems(builder, builder.image(lying, twice, climbing), tmp_path / "x.tar")
    assert len(found) == 4
    for text, expected in zip(
        found, ["diff ID is", "x comes twice", "../x climbs out", "/y climbs out"], strict=True
    ):
        assert expected in text


def test_a_layer_that_is_no_tar_or_no_gzip_is_told(builder: Builder, tmp_path: Path) -> None:
    no_tar = builder.raw_layer(b"\x01" * 2000)
    found = problems(builder, builder.image(no_tar), tmp_path / "x.tar")
    assert len(found) == 1
    assert "not a tar" in found[0]
    cut = builder.layer(file("/a", b"1" * 5000))
    data = builder.store.path(cut.blob).read_bytes()[:-9]
    with builder.store.writing() as sink:
        sink.write(data)
    cut = Layer(diff_id=cut.diff_id, blob=Digest.of(data), size=len(data))
    assert any(
        "an end in the middle" in one for one in problems(builder, builder.image(cut), tmp_path / "y.tar")
    )


def test_a_wrong_config_size_and_history_are_told(builder: Builder, tmp_path: Path) -> None:
    image = builder.image(builder.layer(file("/a", b"1")))
    config = canonical.dumps(json.loads(image.config) | {"history": [{}, {"empty_layer": True}, {}]})
    manifest = json.loads(image.manifest)
    manifest["config"] |= {"digest": str(Digest.of(config)), "size": 1}
    broken = Image(manifest=canonical.dumps(manifest), config=config, layers=image.layers)
    found = problems(builder, broken, tmp_path / "x.tar")
    assert len(found) == 2
    assert "config is" in found[0]
    assert "history describes 2 layers of 1" in found[1]
