"""Sending an image to a real engine, in parts and whole."""

import os
import tarfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from io import BytesIO

import docker
import pytest

from envlock.core.progress import SILENT
from envlock.engines import docker_layers, docker_load, docker_manifests
from envlock.oci.layout import in_store
from envlock.oci.model import Layer
from envlock.runtime.errors import InputError, IntegrityError
from tests.oci.images import Builder, file

pytestmark = pytest.mark.docker
TAG = "envlock-test/parts:1"
UNPACKED = "io.containers.estargz.uncompressed-size"


@pytest.fixture
def client(docker_host: str) -> Iterator[docker.DockerClient]:
    with closing(docker.DockerClient(docker_host)) as found:
        if docker_manifests.are_ids(found):
            pytest.skip("this engine keeps its images in containerd's store, which takes no parts")
        yield found


@pytest.fixture
def layers(client: docker.DockerClient, builder: Builder) -> Iterator[tuple[Layer, ...]]:
    """Three layers of a megabyte that no other image has; those that a test makes of them are removed."""
    made = tuple(builder.layer(file(f"/{name}", os.urandom(1 << 20))) for name in "abc")
    yield made
    for name in (*(tag for one in client.images.list(TAG) for tag in one.tags), *_parts_left(client, made)):
        client.images.remove(name, force=True)


@pytest.fixture
def each_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each layer is large enough for a part of its own."""
    monkeypatch.setattr(docker_load, "_PART", 1)


@pytest.fixture(params=["parts", "one part", "another machine"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "parts":
        request.getfixturevalue("each_a_part")
    if request.param == "another machine":
        monkeypatch.setattr(docker_load, "_SOCKET", "none")
    return str(request.param)


def _parts_left(client: docker.DockerClient, layers: tuple[Layer, ...]) -> list[str]:
    """Return the images without a name that have the first layer."""
    dangling = client.images.list(filters={"dangling": True})
    first = str(layers[0].diff_id)
    return [str(one.id) for one in dangling if first in one.attrs["RootFS"].get("Layers", ())]


def _files(client: docker.DockerClient) -> set[str]:
    container = client.containers.create(TAG, ["none"])
    try:
        packed = BytesIO(b"".join(client.api.export(str(container.id))))
    finally:
        container.remove()
    with tarfile.open(fileobj=packed) as archive:
        return {name for name in archive.getnames() if name in ("a", "b", "c")}


def _received(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the bytes of each archive that is sent from now on."""
    sizes: list[int] = []
    receive = docker_load._receive

    def counted(client: docker.DockerClient, pieces: Iterator[bytes]) -> None:
        place = len(sizes)
        sizes.append(0)

        def told() -> Iterator[bytes]:
            for piece in pieces:
                sizes[place] += len(piece)
                yield piece

        receive(client, told())

    monkeypatch.setattr(docker_load, "_receive", counted)
    return sizes


def test_the_image_is_the_same_however_it_is_sent(
    client: docker.DockerClient,
    builder: Builder,
    layers: tuple[Layer, ...],
    way: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = builder.image(*layers)
    sizes = _received(monkeypatch)
    docker_load.send(client, image, in_store(builder.store), TAG, builder.store)
    assert client.images.get(TAG).id == str(image.config_digest)
    assert _files(client) == {"a", "b", "c"}
    assert _parts_left(client, layers) == []
    assert len(sizes) == (3 if way == "parts" else 1)
    assert all(size > 1 << 20 for size in sizes)


def test_each_layer_is_sent_once(
    client: docker.DockerClient,
    builder: Builder,
    layers: tuple[Layer, ...],
    way: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    docker_load.send(client, builder.image(*layers[:1]), in_store(builder.store), TAG, builder.store)
    sizes = _received(monkeypatch)
    docker_load.send(client, builder.image(*layers), in_store(builder.store), TAG, builder.store)
    assert 2 << 20 < sum(sizes) < 3 << 20, way


def test_wrong_bytes_leave_no_image(
    client: docker.DockerClient, builder: Builder, layers: tuple[Layer, ...], way: str
) -> None:
    path = builder.store.path(layers[2].blob)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(IntegrityError, match="other bytes") as raised:
        docker_load.send(client, builder.image(*layers), builder.store.path, TAG, builder.store)
    assert layers[2].blob.hex in str(raised.value), way
    assert not client.images.list(TAG)
    assert _parts_left(client, layers) == []


@pytest.mark.parametrize("more", [-512, 512])
def test_a_size_that_is_not_the_layers_is_told(
    client: docker.DockerClient, builder: Builder, layers: tuple[Layer, ...], more: int
) -> None:
    told = dict(layers[1].annotations)
    told[UNPACKED] = str(int(told[UNPACKED]) + more)
    lying = replace(layers[1], annotations=tuple(sorted(told.items())))
    with pytest.raises(IntegrityError, match=f"another size.*{told[UNPACKED]} bytes"):
        docker_load.send(client, builder.image(layers[0], lying), in_store(builder.store), TAG, builder.store)
    assert not client.images.list(TAG)


@pytest.mark.parametrize("told", ["", "many", "-1"])
def test_a_layer_of_unknown_size_is_sent_as_it_is(
    client: docker.DockerClient, builder: Builder, layers: tuple[Layer, ...], told: str
) -> None:
    image = builder.image(layers[0], replace(layers[1], annotations=((UNPACKED, told),)), layers[2])
    docker_load.send(client, image, in_store(builder.store), TAG, builder.store)
    assert _files(client) == {"a", "b", "c"}


@pytest.mark.usefixtures("each_a_part")
def test_a_part_that_is_gone_in_the_meantime_is_sent_after_all(
    client: docker.DockerClient,
    builder: Builder,
    layers: tuple[Layer, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    receive = docker_load._receive
    calls: list[docker.DockerClient] = []

    def forgetful(client: docker.DockerClient, pieces: Iterator[bytes]) -> None:
        receive(client, pieces)
        calls.append(client)
        if len(calls) == 1:
            for left in _parts_left(client, layers):
                client.images.remove(left, force=True)

    monkeypatch.setattr(docker_load, "_receive", forgetful)
    docker_load.send(client, builder.image(*layers), in_store(builder.store), TAG, builder.store)
    assert _files(client) == {"a", "b", "c"}
    assert len(calls) > 1
    assert _parts_left(client, layers) == []


def _took(client: docker.DockerClient, builder: Builder, layers: tuple[Layer, ...], *, fault: bool) -> None:
    with docker_load.ahead(client, in_store(builder.store), SILENT) as take:
        for layer in layers:
            take(layer)
        if fault:
            raise KeyError("the build failed")


@pytest.mark.usefixtures("each_a_part")
def test_layers_are_there_before_the_image_is_whole(
    client: docker.DockerClient,
    builder: Builder,
    layers: tuple[Layer, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _took(client, builder, layers[:2], fault=False)
    assert len(_parts_left(client, layers)) == 2
    sizes = _received(monkeypatch)
    docker_load.send(client, builder.image(*layers), in_store(builder.store), TAG, builder.store)
    assert 1 << 20 < sum(sizes) < 2 << 20
    assert _files(client) == {"a", "b", "c"}
    assert _parts_left(client, layers) == []


@pytest.mark.usefixtures("each_a_part")
def test_what_came_ahead_is_removed_where_the_build_fails(
    client: docker.DockerClient,
    builder: Builder,
    layers: tuple[Layer, ...],
) -> None:
    with pytest.raises(KeyError, match="the build failed"):
        _took(client, builder, layers, fault=True)
    assert _parts_left(client, layers) == []


@pytest.mark.usefixtures("each_a_part")
def test_a_fault_ahead_is_told_by_the_load(
    client: docker.DockerClient,
    builder: Builder,
    layers: tuple[Layer, ...],
) -> None:
    builder.store.path(layers[1].blob).unlink()
    _took(client, builder, layers, fault=False)
    with pytest.raises(InputError, match="missing"):
        docker_load.send(client, builder.image(*layers), in_store(builder.store), TAG, builder.store)
    assert _parts_left(client, layers) == []


@pytest.mark.usefixtures("each_a_part")
def test_nothing_goes_ahead_to_another_machine(
    client: docker.DockerClient,
    builder: Builder,
    layers: tuple[Layer, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(docker_load, "_SOCKET", "none")
    _took(client, builder, layers, fault=False)
    assert _parts_left(client, layers) == []


@pytest.mark.usefixtures("each_a_part")
def test_parts_of_other_images_stay(
    client: docker.DockerClient,
    builder: Builder,
    layers: tuple[Layer, ...],
) -> None:
    _took(client, builder, layers[:2], fault=False)
    docker_load.send(client, builder.image(layers[0], layers[2]), in_store(builder.store), TAG, builder.store)
    (left,) = _parts_left(client, layers)
    assert client.images.get(left).attrs["RootFS"]["Layers"] == [str(one.diff_id) for one in layers[:2]]


@pytest.mark.parametrize("here", [True, False])
def test_a_refusal_is_told_at_once_where_nothing_was_taken_for_there(
    client: docker.DockerClient,
    builder: Builder,
    layers: tuple[Layer, ...],
    monkeypatch: pytest.MonkeyPatch,
    *,
    here: bool,
) -> None:
    if not here:
        monkeypatch.setattr(docker_load, "_SOCKET", "none")
    sizes = _received(monkeypatch)
    other = replace(builder.image(*layers), layers=layers[:2])
    with pytest.raises(docker.errors.ImageLoadError):
        docker_load.send(client, other, in_store(builder.store), TAG, builder.store)
    assert len(sizes) == 1


def test_a_fault_that_the_engine_only_mentions_is_one(
    client: docker.DockerClient,
    builder: Builder,
    layers: tuple[Layer, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = [{"stream": "Loaded image: a:1\n"}, {"stream": "Error unpacking image a:1: no space left\n"}]
    monkeypatch.setattr(docker_layers, "opens_what_it_lacks", lambda _: False)
    monkeypatch.setattr(client.api, "load_image", lambda _: told)
    with pytest.raises(docker.errors.ImageLoadError, match="no space left"):
        docker_load.send(client, builder.image(*layers), in_store(builder.store), TAG, builder.store)
