"""Loading into Docker's containerd store what it has not, against a real engine that has one."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO

import docker
import pytest

from envlock.core.digest import Digest
from envlock.engines import docker as engine_module
from envlock.engines import docker_load, docker_manifests
from envlock.host.store import Store
from envlock.oci.layout import Verified, in_store
from envlock.oci.model import Image, Layer
from envlock.runtime.errors import UnreachableError
from tests.oci.images import Builder, file

pytestmark = pytest.mark.docker
TAG = "envlock-test/manifests:1"
OTHER = "envlock-test/manifests:2"


@pytest.fixture
def client(docker_host: str) -> Iterator[docker.DockerClient]:
    with closing(docker.DockerClient(docker_host)) as found:
        if not docker_manifests.are_ids(found):
            pytest.skip("this engine has no containerd store; .ci/another-docker starts one that has")
        yield found
        for tag in (tag for one in found.images.list("envlock-test/manifests") for tag in one.tags):
            found.images.remove(tag, force=True)


@pytest.fixture
def layers(builder: Builder) -> tuple[Layer, ...]:
    """Three layers that no other image has."""
    return tuple(builder.layer(file(f"/{name}", os.urandom(1 << 16))) for name in "abc")


def _sent(client: docker.DockerClient, builder: Builder, image: Image, tag: str, store: Store) -> set[Digest]:
    """Load the image and return which layers travelled for it."""
    sent: set[Digest] = set()

    def blobs(digest: Digest) -> Path | Verified | IO[bytes]:
        sent.add(digest)
        return in_store(builder.store)(digest)

    docker_load.send(client, image, blobs, tag, store)
    return sent


def _is_whole(client: docker.DockerClient, image: Image, tag: str) -> bool:
    """Say whether the engine has every layer, and the blob of each."""
    found = client.images.get(tag)
    container = client.containers.create(tag, ["none"])
    container.remove()
    saved = b"".join(client.api.get_image(tag))
    return found.id == str(image.digest) and all(one.blob.hex.encode() in saved for one in image.layers)


def test_blobs_that_the_engine_has_are_not_sent(
    client: docker.DockerClient, builder: Builder, layers: tuple[Layer, ...]
) -> None:
    first, second = builder.image(*layers[:2]), builder.image(layers[0], layers[2], layers[1])
    assert _sent(client, builder, first, TAG, builder.store) == {one.blob for one in layers[:2]}
    assert _sent(client, builder, second, OTHER, builder.store) == {layers[2].blob}
    assert _is_whole(client, second, OTHER)
    assert _sent(client, builder, second, OTHER, builder.store) == set()
    assert _is_whole(client, first, TAG)


def test_an_image_that_takes_the_name_of_the_one_before_has_its_blobs(
    client: docker.DockerClient, builder: Builder, layers: tuple[Layer, ...]
) -> None:
    _sent(client, builder, builder.image(*layers[:2]), TAG, builder.store)
    image = builder.image(*layers)
    assert _sent(client, builder, image, TAG, builder.store) == {layers[2].blob}
    assert _is_whole(client, image, TAG)


def test_another_cache_knows_nothing_and_sends_all(
    client: docker.DockerClient, builder: Builder, layers: tuple[Layer, ...], tmp_path: Path
) -> None:
    image = builder.image(*layers)
    _sent(client, builder, image, TAG, builder.store)
    other = Store(tmp_path / "other")
    assert _sent(client, builder, image, OTHER, other) == {one.blob for one in layers}


def test_blobs_that_are_gone_in_the_meantime_are_sent_after_all(
    client: docker.DockerClient,
    builder: Builder,
    layers: tuple[Layer, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listed = docker_manifests.listed

    def late(client: docker.DockerClient, store: Store) -> object:
        found = listed(client, store)
        for one in client.images.list(TAG):
            client.images.remove(str(one.id), force=True)
        return found

    _sent(client, builder, builder.image(*layers[:2]), TAG, builder.store)
    monkeypatch.setattr(docker_manifests, "listed", late)
    image = builder.image(*layers)
    assert _sent(client, builder, image, OTHER, builder.store) == {one.blob for one in layers}
    assert _is_whole(client, image, OTHER)


def test_a_cache_that_cannot_be_written_ends_no_load(
    client: docker.DockerClient, builder: Builder, layers: tuple[Layer, ...], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    image = builder.image(*layers)
    _sent(client, builder, image, TAG, Store(tmp_path / "file"))
    assert _is_whole(client, image, TAG)


def test_the_manifest_tells_what_a_tag_stands_for(
    client: docker.DockerClient, builder: Builder, layers: tuple[Layer, ...], tmp_path: Path
) -> None:
    image = builder.image(*layers)
    _sent(client, builder, image, TAG, builder.store)
    found = engine_module.tagged(TAG, builder.store)
    found.client.close()
    assert (found.image.config_digest, found.image.manifest_digest) == (image.config_digest, image.digest)
    found = engine_module.tagged(TAG, Store(tmp_path / "other"))
    found.client.close()
    assert (found.image.config_digest, found.image.manifest_digest) == (None, None)


def test_what_the_engine_says_of_a_load_is_told(
    client: docker.DockerClient, builder: Builder, layers: tuple[Layer, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = docker_manifests.Sent(config=layers[0].blob, layers=frozenset({layers[0].blob}))
    monkeypatch.setattr(docker_manifests, "listed", lambda *_: {layers[0].blob: lacking})
    real = docker_load._receive
    calls: list[None] = []

    def once(client: docker.DockerClient, pieces: Iterator[bytes]) -> None:
        calls.append(None)
        if len(calls) > 1:
            raise docker.errors.ImageLoadError("no space left")
        real(client, pieces)

    monkeypatch.setattr(docker_load, "_receive", once)
    with pytest.raises(UnreachableError, match=r"the Docker engine refused: .*no space left"):
        engine_module.load(builder.image(*layers), in_store(builder.store), TAG, builder.store)
    assert len(calls) == 2
