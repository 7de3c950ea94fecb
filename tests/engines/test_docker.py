"""The Docker engine, against a real one."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from envlock.core.progress import Silent
from envlock.engines import docker as engine_module
from envlock.engines import docker_manifests, select
from envlock.engines.docker import Docker
from envlock.engines.engine import Job, Mount
from envlock.host.store import Store
from envlock.oci.reader import OpenedImage
from envlock.runtime.errors import InputError, IntegrityError, UnreachableError
from tests.engines.conftest import ROOT, Process, in_docker
from tests.oci.images import Builder, file

WITHOUT_ENGINE = """
import sys
from pathlib import Path
from envlock.core.progress import Silent
from envlock.engines import docker
from envlock.host.store import Store
from envlock.oci.reader import open_image
from envlock.runtime.errors import UnreachableError
print(docker.answers())
try:
    docker.prepare(open_image(sys.argv[1]), Store(Path(sys.argv[2])), Silent())
except UnreachableError as error:
    print(error.render())
"""


@pytest.fixture(scope="module")
def engine(opened: OpenedImage, docker_host: str) -> Iterator[Docker]:
    with in_docker(opened) as made:
        yield made


@pytest.fixture
def no_containers_left(engine: Docker) -> Iterator[None]:
    assert not {
        container.id
        for container in engine.client.containers.list(all=True, filters={"ancestor": engine.name})
    }
    yield
    assert not {
        container.id
        for container in engine.client.containers.list(all=True, filters={"ancestor": engine.name})
    }


pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("no_containers_left")]
# Other tests may use the same engine at the same time, so only this image's containers are counted.


def job(work: Path, script: str) -> Job:
    work.chmod(0o755)
    mounts = (Mount(source=work, target="/work"), Mount(source=work, target="/out"))
    return Job(arguments=(script,), mounts=mounts)


def test_exit_status_and_both_streams_are_the_jobs(
    engine: Docker, work: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert engine.run(job(work, "echo to out; echo to err >&2; exit 7")) == 7
    assert capfd.readouterr() == ("to out\n", "to err\n")


def test_much_output_comes_whole(engine: Docker, work: Path, capfd: pytest.CaptureFixture[str]) -> None:
    engine.run(job(work, "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done"))
    assert capfd.readouterr().out.splitlines() == [f"line {number}" for number in range(20000)]


def test_standard_input_reaches_the_job_to_its_end(
    engine: Docker, work: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    given = tmp_path / "given"
    given.write_text("from the caller\n")
    saved = os.dup(0)
    descriptor = os.open(given, os.O_RDONLY)
    os.dup2(descriptor, 0)
    try:
        assert engine.run(job(work, "cat")) == 0
    finally:
        os.dup2(saved, 0)
        os.close(saved)
        os.close(descriptor)
    assert capfd.readouterr().out == "from the caller\n"


def test_mounts_user_variables_and_shm_are_as_asked(
    engine: Docker, work: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = job(work, "echo $GIVEN; id -u; touch /out/x; touch /given/x; cat /proc/mounts")
    asked = replace(
        asked,
        mounts=(*asked.mounts, Mount(source=work, target="/given", read_only=True)),
        environment=(("GIVEN", "x y"),),
        shm_size=3 << 20,
        network=False,
    )
    engine.run(asked)
    printed = capfd.readouterr()
    assert printed.out.splitlines()[:2] == ["x y", str(os.geteuid())]
    assert "Read-only" in printed.err
    assert "size=3072k" in next(line for line in printed.out.splitlines() if " /dev/shm " in line)
    assert (work / "x").stat().st_uid == os.geteuid()


def test_another_user_can_be_named(engine: Docker, work: Path, capfd: pytest.CaptureFixture[str]) -> None:
    engine.run(replace(job(work, "id -u; id -g"), user="1234:99"))
    assert capfd.readouterr().out.split() == ["1234", "99"]


@pytest.mark.parametrize("name", ["TERM", "INT"])
def test_signals_reach_the_job(
    engine: Docker, started: Callable[..., Process], store: Store, work: Path, name: str
) -> None:
    work.chmod(0o777)
    script = f"trap 'exit 9' {name}; touch ready; while :; do sleep 0.05; done"
    running = started(script, store.root, engine="docker").ready()
    running.process.send_signal(getattr(signal, f"SIG{name}"))
    assert running.end()[0] == 9


def read_until_hangup(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1000)
    except OSError:
        return b""


def test_a_terminal_is_the_containers_own(engine: Docker, work: Path, layout: Path) -> None:
    child, terminal = pty.fork()
    if not child:  # pragma: no cover - runs in the forked process
        ready = select.prepare("docker", f"oci:{layout}", Store(work), Silent())
        status = ready.run(replace(job(work, 'read line; echo "got <$line>"; exit 5'), tty=True))
        os._exit(status)
    time.sleep(1)
    os.write(terminal, b"typed\r")
    printed = b"".join(iter(lambda: read_until_hangup(terminal), b""))
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
    assert b"got <typed>" in printed


def test_an_engine_that_answers_does(engine: Docker) -> None:
    assert engine_module.answers()


def test_an_engine_that_has_answered_is_waited_for(engine: Docker) -> None:
    assert engine.client.api.timeout is None


def test_an_image_is_loaded_under_a_name(engine: Docker, opened: OpenedImage, tmp_path: Path) -> None:
    engine_module.load(opened.image, opened.open_blob, "envlock-test/tiny:1", Store(tmp_path))
    assert "envlock-test/tiny:1" in engine.client.images.get(engine.name).tags


def test_a_layer_with_other_bytes_ends_the_load(engine: Docker, tmp_path: Path) -> None:
    builder = Builder(tmp_path)
    layer = builder.layer(file("/a", os.urandom(3 << 20)))
    builder.store.path(layer.blob).write_bytes(b"x" * (3 << 20))
    image = builder.image(layer)
    with pytest.raises(IntegrityError, match="other bytes"):
        engine_module.load(image, builder.store.path, "envlock-test/broken:1", builder.store)
    with pytest.raises(docker.errors.ImageNotFound):
        engine.client.images.get("envlock-test/broken:1")


def test_a_loaded_image_is_not_loaded_again(engine: Docker, opened: OpenedImage, tmp_path: Path) -> None:
    again = engine_module.prepare(opened, Store(tmp_path), Silent())
    image = opened.image
    assert again.name == engine.name
    assert again.name == str(image.digest if docker_manifests.are_ids(engine.client) else image.config_digest)
    assert again.image == engine.image
    again.client.close()


def test_an_image_is_found_by_its_tag(engine: Docker) -> None:
    tag = str(engine.client.images.get(engine.name).tags[0])
    found = select.prepare("docker", f"docker:{tag}", Store(Path()), Silent())
    assert isinstance(found, Docker)
    config = None if docker_manifests.are_ids(engine.client) else engine.image.config_digest
    assert found.image == replace(engine.image, config_digest=config, manifest_digest=None)
    found.client.close()


def test_a_tag_that_is_not_there_is_bad_input(engine: Docker) -> None:
    with pytest.raises(InputError, match="no such image in the Docker engine: none/such:1"):
        engine_module.tagged("none/such:1", Store(Path()))


def test_a_container_taken_for_an_image_is_told(engine: Docker) -> None:
    container = engine.client.containers.create(engine.name, ["true"])
    try:
        with pytest.raises(InputError) as raised:
            engine_module.image_kept(str(container.name))
        assert raised.value.hint == f"there is a container of this name: docker-container:{container.name}"
    finally:
        container.remove()
    with pytest.raises(InputError) as raised:
        engine_module.image_kept("none/such:1")
    assert raised.value.hint is not None
    assert raised.value.hint.startswith("docker pull none/such:1")


def test_what_the_engine_refuses_is_told_in_its_own_words(engine: Docker, work: Path) -> None:
    with pytest.raises(UnreachableError, match=r"the Docker engine refused: .*bind source path"):
        engine.run(replace(job(work, ""), mounts=(Mount(source=work / "none", target="/x"),)))


def test_no_engine_is_unreachable(layout: Path, tmp_path: Path) -> None:
    # In a process of its own: the SDK drops the socket of a refused connection without closing it.
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_ENGINE, f"oci:{layout}", str(tmp_path)],
        env=os.environ | {"DOCKER_HOST": f"unix://{tmp_path}/none.sock", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    answer, message, hint = done.stdout.splitlines()
    assert answer == "False"
    assert message.startswith("envlock: no Docker engine answers: found ")
    assert "--engine embedded" in hint


def test_a_signal_to_a_container_that_does_not_run_is_no_error(engine: Docker) -> None:
    container = engine.client.containers.create(engine.name, ["true"])
    try:
        signals = engine_module._Signals(container)
        signals.send(signal.SIGTERM)
        signals.started()
    finally:
        container.remove(force=True)


def test_gpus_are_asked_for_through_nvidias_toolkit() -> None:
    requests = engine_module._options(Job(gpus=True))["device_requests"]
    assert requests == [docker.types.DeviceRequest(count=-1, capabilities=[["gpu"]])]
