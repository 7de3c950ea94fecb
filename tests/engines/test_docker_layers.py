"""Loading into Docker what it has not, against a real engine."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import docker
import pytest

from envlock.core.digest import Digest
from envlock.engines import docker as engine_module
from envlock.engines import docker_layers, docker_manifests
from envlock.engines.docker import Docker
from envlock.host.store import Store
from envlock.oci.reader import OpenedImage, open_image
from tests.engines.conftest import in_docker, write_layout

pytestmark = pytest.mark.docker
TAG = "envlock-test/taller:1"


@pytest.fixture
def short(tmp_path: Path) -> OpenedImage:
    """An image of two layers that no other test has, as some run at the same time."""
    return open_image(f"oci:{write_layout(tmp_path / 'short', _layer('none'))}")


@pytest.fixture
def engine(short: OpenedImage, docker_host: str) -> Iterator[Docker]:
    """An engine that has the short image."""
    with in_docker(short) as made:
        if docker_manifests.are_ids(made.client):
            pytest.skip("this engine keeps its images in containerd's store; see test_docker_manifests.py")
        yield made


@pytest.fixture
def taller(engine: Docker, tmp_path: Path) -> Iterator[OpenedImage]:
    """The same image with two layers above; it is not in the engine."""
    layers = [_layer(name) for name in ("none", "one", "two")]
    yield open_image(f"oci:{write_layout(tmp_path / 'taller', *layers)}")
    engine.client.images.remove(TAG, force=True)


def _layer(name: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo(f"work/{name}")
        member.size = len(name)
        archive.addfile(member, io.BytesIO(name.encode()))
    return packed.getvalue()


def _is_there(client: docker.DockerClient, image: OpenedImage) -> None:
    assert client.images.get(TAG).attrs["RootFS"]["Layers"] == [
        str(one.diff_id) for one in image.image.layers
    ]
    container = client.containers.create(TAG)
    try:
        for name in ("one", "two"):
            packed, _ = container.get_archive(f"/work/{name}")
            with tarfile.open(fileobj=io.BytesIO(b"".join(packed))) as archive:
                member = archive.extractfile(name)
                assert member is not None
                assert member.read() == name.encode()
    finally:
        container.remove()


def test_layers_that_the_engine_has_are_not_sent(engine: Docker, taller: OpenedImage, tmp_path: Path) -> None:
    sent: list[Digest] = []

    def blobs(digest: Digest) -> IO[bytes]:
        sent.append(digest)
        return taller.open_blob(digest)

    engine_module.load(taller.image, blobs, TAG, Store(tmp_path))
    assert sorted(sent) == sorted(one.blob for one in taller.image.layers[2:])
    _is_there(engine.client, taller)
    sent.clear()
    engine_module.load(taller.image, blobs, TAG, Store(tmp_path))
    assert sent == []
    _is_there(engine.client, taller)


def test_a_layer_that_is_gone_in_the_meantime_is_sent_after_all(
    engine: Docker, taller: OpenedImage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    every = tuple(str(one.diff_id) for one in taller.image.layers)
    monkeypatch.setattr(docker_layers, "chains", lambda _client: (every,))
    engine_module.load(taller.image, taller.open_blob, TAG, Store(tmp_path))
    _is_there(engine.client, taller)


@pytest.mark.parametrize(
    ("version", "info"),
    [
        (
            {"Components": [{"Name": "Engine"}]},
            {"DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]},
        ),
        ({"Components": [{"Name": "Podman Engine"}]}, {}),
        ({}, {"DriverStatus": None}),
    ],
    ids=["containerd's store", "podman", "an engine that tells nothing"],
)
def test_engines_that_want_every_blob_get_them(
    engine: Docker,
    monkeypatch: pytest.MonkeyPatch,
    version: dict[str, object],
    info: dict[str, object],
) -> None:
    assert docker_layers.opens_what_it_lacks(engine.client)
    monkeypatch.setattr(engine.client, "version", lambda: version)
    monkeypatch.setattr(engine.client, "info", lambda: info)
    assert not docker_layers.opens_what_it_lacks(engine.client)
