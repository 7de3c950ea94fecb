"""Images on disk and in a real Docker engine, and containers, as files."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker import DockerClient

from envlock.core.progress import Silent
from envlock.engines import pulled
from envlock.engines.configuration import ImageConfiguration
from envlock.engines.unpacked import unpacked
from envlock.host.store import Store
from envlock.runtime.errors import InputError, UsageError
from tests.engines import python_root
from tests.engines.python_root import PythonRoot

IMAGE = "envlock-test/unpacked:1"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> PythonRoot:
    """A root with nothing in it but a file and some variables."""
    directory = tmp_path_factory.mktemp("small") / "root"
    (directory / "etc").mkdir(parents=True)
    (directory / "etc/os-release").write_text("ID=small\n")
    settings = ImageConfiguration(environment=(("PATH", "/bin"), ("MODE", "a=b")))
    return PythonRoot(directory, settings)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_an_image_on_disk_is_unpacked_once(small: PythonRoot, store: Store, tmp_path: Path) -> None:
    file = python_root.archived(small, tmp_path / "image.tar", pulled.own_platform())
    for reference in (f"docker-archive:{file}", str(file)):
        with unpacked(reference, store, Silent()) as found:
            assert (found.root / "etc/os-release").read_text() == "ID=small\n"
            assert found.configuration.environment == small.configuration.environment
            assert found.configuration.command == ("python3",)
    assert len([path for path in (store.root / "rootfs").iterdir() if path.is_dir()]) == 1


def test_an_image_for_another_machine_is_refused(small: PythonRoot, store: Store, tmp_path: Path) -> None:
    file = python_root.archived(small, tmp_path / "image.tar", "linux/s390x")
    with (
        pytest.raises(InputError, match=r"another kind of machine.*found linux/s390x"),
        unpacked(str(file), store, Silent()),
    ):
        pass


@pytest.mark.parametrize("reference", ["", "docker:", "docker-container:"])
def test_an_empty_name_is_a_usage_error(store: Store, reference: str) -> None:
    with pytest.raises(UsageError, match="no image is named"), unpacked(reference, store, Silent()):
        pass


@pytest.fixture(scope="module")
def engine(
    docker_host: str, small: PythonRoot, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DockerClient]:
    """The engine, with the small image in it."""
    client = docker.from_env()
    file = python_root.archived(small, tmp_path_factory.mktemp("archive") / "i.tar", pulled.own_platform())
    with file.open("rb") as stream:
        (image,) = client.images.load(stream)
    image.tag(*IMAGE.split(":"))
    yield client
    client.images.remove(IMAGE, force=True)
    client.close()


@pytest.mark.docker
def test_an_image_of_the_engine_is_saved_once(engine: DockerClient, small: PythonRoot, store: Store) -> None:
    for reference in (f"docker:{IMAGE}", IMAGE):
        with unpacked(reference, store, Silent()) as found:
            assert (found.root / "etc/os-release").read_text() == "ID=small\n"
            assert found.configuration.environment == small.configuration.environment
    assert not list((store.root / "incoming").iterdir())


@pytest.mark.docker
def test_a_container_is_read_as_it_is_now_and_left_nowhere(engine: DockerClient, store: Store) -> None:
    container = engine.containers.create(IMAGE, environment={"MODE": "other"})
    changed = io.BytesIO()
    with tarfile.open(fileobj=changed, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("etc/new"))
    try:
        container.put_archive("/", changed.getvalue())
        with unpacked(f"docker-container:{container.id}", store, Silent()) as found:
            assert (found.root / "etc/new").is_file()
            assert dict(found.configuration.environment)["MODE"] == "other"
            assert found.configuration.platform == pulled.own_platform()
    finally:
        container.remove()
    assert not found.root.exists()


@pytest.mark.docker
@pytest.mark.parametrize(
    "reference", ["docker:nothing-of-this-name:1", "docker-container:nothing-of-this-name"]
)
def test_what_the_engine_does_not_have_is_bad_input(
    engine: DockerClient, store: Store, reference: str
) -> None:
    with pytest.raises(InputError, match="no such"), unpacked(reference, store, Silent()):
        pass
