"""Pushing to a real registry: what is sent, what is skipped, and what happens when the line fails."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from envlock.core.progress import Silent
from envlock.host.store import Store
from envlock.oci import archive
from envlock.oci.model import Image
from envlock.oci.reader import extract
from envlock.oci.registry.client import Repository, connected
from envlock.oci.registry.pull import pull
from envlock.oci.registry.push import Pushed, push
from envlock.oci.registry.reference import Reference
from envlock.oci.registry.upload import Blob, upload
from envlock.runtime.errors import InputError, IntegrityError, UnreachableError
from tests.oci.images import Builder, file
from tests.registry.conftest import quick
from tests.registry.faulty import Fault, Proxy, proxied
from tests.registry.real import RealRegistry
from tests.registry.simulator import simulated

pytestmark = pytest.mark.registry

PLATFORM = "linux/amd64"
MEGABYTE = 1 << 20
_LATER = (("Retry-After", "1"),)


def image_of(builder: Builder, *texts: bytes) -> Image:
    return builder.image(*(builder.layer(file(f"/{number}", text)) for number, text in enumerate(texts)))


def pushed(builder: Builder, image: Image, repository: Repository) -> Pushed:
    return push(image, repository, store=builder.store, progress=Silent())


def pulled_files(repository: Repository, root: Path) -> dict[str, bytes]:
    opened = pull(repository, platform=PLATFORM, store=Store(root / "other"), progress=Silent())
    extract(opened, root / "files")
    return {one.name: one.read_bytes() for one in (root / "files").iterdir()}


def test_what_was_pushed_comes_back(builder: Builder, repository: Repository, tmp_path: Path) -> None:
    image = image_of(builder, b"one", b"two")
    done = pushed(builder, image, repository)
    assert done == Pushed(sent=sum(one.size for one in image.layers) + len(image.config), present=0)
    assert pulled_files(repository, tmp_path) == {"0": b"one", "1": b"two"}


def test_an_independent_client_reads_the_same_image(
    builder: Builder, repository: Repository, skopeo: str, tmp_path: Path
) -> None:
    image = image_of(builder, b"one", b"two")
    pushed(builder, image, repository)
    source = f"docker://{repository.reference}"
    argv = [skopeo, "inspect", "--tls-verify=false", source]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["Digest"] == str(image.digest)
    assert told["Layers"] == [str(layer.blob) for layer in image.layers]


def test_what_an_independent_client_pushed_is_pulled(
    builder: Builder, repository: Repository, skopeo: str, tmp_path: Path
) -> None:
    path = tmp_path / "image.tar"
    archive.write(image_of(builder, b"theirs"), builder.store.path, path, None)
    target = f"docker://{repository.reference}"
    argv = [
        skopeo,
        "copy",
        "--quiet",
        "--insecure-policy",
        "--dest-tls-verify=false",
        f"oci-archive:{path}",
        target,
    ]
    subprocess.run(argv, check=True)
    assert pulled_files(repository, tmp_path) == {"0": b"theirs"}


def test_a_second_push_sends_nothing(builder: Builder, repository: Repository, proxy: Proxy) -> None:
    image = image_of(builder, b"one")
    pushed(builder, image, repository)
    before = proxy.sent("PATCH")
    again = pushed(builder, image, repository)
    assert (again.sent, proxy.sent("PATCH")) == (0, before)


def test_only_a_changed_layer_is_sent(builder: Builder, repository: Repository) -> None:
    pushed(builder, image_of(builder, b"stays" * 1000, b"one"), repository)
    changed = image_of(builder, b"stays" * 1000, b"two")
    done = pushed(builder, changed, repository)
    assert done.sent == changed.layers[1].size + len(changed.config)


def test_a_neighbours_layers_are_mounted(
    builder: Builder, repository: Repository, proxy: Proxy, environ: dict[str, str], tmp_path: Path
) -> None:
    image = image_of(builder, b"one" * 1000)
    pushed(builder, image, repository)
    before = proxy.sent("PATCH")
    with connected(Reference.parse(f"{repository.reference}-neighbour"), environ) as other:
        # The tag of the neighbour differs; its repository must too.
        neighbour = Reference.parse(f"{proxy.host}/elsewhere/{tmp_path.name.lower()}:2")
        other.reference = neighbour
        done = pushed(builder, image, quick(other))
        assert (done.sent, proxy.sent("PATCH")) == (0, before)
        assert pulled_files(other, tmp_path) == {"0": b"one" * 1000}


def test_a_mount_that_is_refused_falls_back_to_sending(
    builder: Builder, repository: Repository, proxy: Proxy
) -> None:
    image = image_of(builder, b"one")
    for layer in (*image.layers,):
        key = f"{repository.reference.registry} {layer.blob}"
        builder.store.remember("pushed", key, {"repository": "nowhere/at-all"})
    proxy.faults.append(Fault(method="POST", path="mount=", action="status", status=403))
    assert pushed(builder, image, repository).sent > 0


@pytest.mark.parametrize(
    "fault",
    [
        Fault(method="HEAD", path="blobs/sha256", action="status", status=503, times=2),
        Fault(method="HEAD", path="blobs/sha256", action="drop-answer"),
        Fault(method="POST", path="blobs/uploads", action="status", status=500, times=2),
        Fault(
            method="POST", path="blobs/uploads", action="status", status=429, headers=(("Retry-After", "1"),)
        ),
        Fault(method="PATCH", path="uploads", action="status", status=502, times=3),
        Fault(method="PATCH", path="uploads", action="drop-request"),
        Fault(method="PATCH", path="uploads", action="drop-answer"),
        Fault(method="PATCH", path="uploads", action="lose-session"),
        Fault(method="PUT", path="digest=", action="drop-answer"),
        Fault(method="PUT", path="digest=", action="status", status=504),
        Fault(method="PUT", path="manifests", action="status", status=500),
        Fault(method="PUT", path="manifests", action="drop-answer"),
    ],
    ids=lambda fault: f"{fault.method}-{fault.action}-{fault.status}",
)
def test_a_passing_fault_does_not_stop_a_push(
    fault: Fault, builder: Builder, repository: Repository, proxy: Proxy, tmp_path: Path
) -> None:
    proxy.faults.append(Fault(**{name: getattr(fault, name) for name in Fault.__slots__}))
    image = image_of(builder, os.urandom(100_000))
    assert pushed(builder, image, repository).sent
    assert proxy.faults[0].times == 0
    assert set(pulled_files(repository, tmp_path)) == {"0"}


@pytest.fixture
def big(builder: Builder) -> Blob:
    layer = builder.layer(file("/big", os.urandom(4 * MEGABYTE)))
    return Blob(digest=layer.blob, size=layer.size, open=lambda: builder.store.path(layer.blob).open("rb"))


def test_an_upload_goes_on_where_the_line_broke(big: Blob, repository: Repository, proxy: Proxy) -> None:
    # The line breaks in the middle of the third piece.
    broken = Fault(method="PATCH", path="uploads", action="drop-request", times=0)
    proxy.faults.append(broken)
    told: list[int] = []

    def advance(amount: int) -> None:
        told.append(amount)
        broken.times = int(len(told) == 2)

    assert upload(repository, big, advance, chunk=MEGABYTE)
    assert sum(told) == big.size
    # One piece was sent twice, the two before it once.
    assert proxy.sent("PATCH") == big.size + MEGABYTE
    assert repository.ask("HEAD", repository.url(f"blobs/{big.digest}"), expected=(200,))


def test_a_registry_that_keeps_part_of_a_piece_is_sent_the_rest(big: Blob, environ: dict[str, str]) -> None:
    with simulated() as simulator, proxied(simulator.host) as proxy:
        proxy.faults.append(Fault(method="PATCH", path="uploads", action="drop-middle"))
        with connected(Reference.parse(f"{proxy.host}/a:1"), environ) as repository:
            assert upload(quick(repository), big, lambda _: None, chunk=2 * MEGABYTE)
        assert str(big.digest) in simulator.blobs
        # What had arrived of the first piece was not sent again.
        assert proxy.sent("PATCH") == big.size + MEGABYTE


def test_a_registry_that_loses_count_of_a_piece_is_sent_the_blob_anew(
    big: Blob, repository: Repository, proxy: Proxy
) -> None:
    proxy.faults.append(Fault(method="PATCH", path="uploads", action="drop-middle"))
    assert upload(repository, big, lambda _: None, chunk=2 * MEGABYTE)
    assert proxy.sent("PATCH") == big.size + 2 * MEGABYTE
    assert repository.ask("HEAD", repository.url(f"blobs/{big.digest}"), expected=(200,))


def test_a_slow_line_is_no_broken_one(builder: Builder, repository: Repository, proxy: Proxy) -> None:
    # The body takes longer than the time limit, which is that of each of its parts.
    repository.timeout = (0.5, 30.0)
    proxy.faults.append(Fault(method="PATCH", path="uploads", action="slow"))
    pushed(builder, image_of(builder, os.urandom(16 * MEGABYTE)), repository)
    assert [fault.times for fault in proxy.faults] == [0]
    assert proxy.sent("PATCH") < 17 * MEGABYTE


@pytest.mark.parametrize("method", ["HEAD", "PATCH", "PUT"])
def test_a_registry_that_stops_answering_is_asked_again(
    method: str, builder: Builder, repository: Repository, proxy: Proxy
) -> None:
    repository.timeout = (0.5, 0.5)
    proxy.faults.append(Fault(method=method, path="", action="stall"))
    image = image_of(builder, b"one")
    assert pushed(builder, image, repository).sent
    assert proxy.faults[0].times == 0


def test_a_registry_that_never_answers_is_one_clear_error(
    builder: Builder, repository: Repository, proxy: Proxy
) -> None:
    repository.timeout = (0.5, 0.2)
    proxy.faults.append(Fault(method="HEAD", path="", action="stall", times=1000))
    with pytest.raises(UnreachableError, match="no answer in time"):
        pushed(builder, image_of(builder, b"one"), repository)


def test_a_download_goes_on_where_the_line_broke(
    builder: Builder, repository: Repository, proxy: Proxy, tmp_path: Path
) -> None:
    data = os.urandom(4 * MEGABYTE)
    image = image_of(builder, data)
    pushed(builder, image, repository)
    layer = image.layers[0].blob.hex
    proxy.faults.append(Fault(method="GET", path=layer, action="cut-answer", times=2))
    assert pulled_files(repository, tmp_path) == {"0": data}
    asked = [path for method, path, _ in proxy.seen if method == "GET" and layer in path]
    assert len(asked) == 3


def test_a_registry_that_stays_broken_is_one_clear_error(
    builder: Builder, repository: Repository, proxy: Proxy
) -> None:
    proxy.faults.append(Fault(method="PATCH", path="", action="status", status=500, times=1000))
    with pytest.raises(UnreachableError, match="does not answer as it must") as caught:
        pushed(builder, image_of(builder, b"one"), repository)
    assert "made to fail" in str(caught.value.found)


def test_a_registry_that_keeps_other_bytes_is_found_out(
    builder: Builder, repository: Repository, proxy: Proxy
) -> None:
    proxy.faults.append(Fault(method="GET", path="manifests", action="garble"))
    with pytest.raises(IntegrityError, match="another manifest than was pushed"):
        pushed(builder, image_of(builder, b"one"), repository)


def test_a_pulled_layer_with_wrong_bytes_is_refused(
    builder: Builder, repository: Repository, proxy: Proxy, tmp_path: Path
) -> None:
    image = image_of(builder, b"one")
    pushed(builder, image, repository)
    proxy.faults.append(Fault(method="GET", path=image.layers[0].blob.hex, action="garble"))
    with pytest.raises(IntegrityError):
        pulled_files(repository, tmp_path)
    assert pulled_files(repository, tmp_path) == {"0": b"one"}


def test_an_image_that_is_not_there_is_bad_input(repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such image"):
        pulled_files(repository, tmp_path)


def test_an_expired_token_is_renewed_in_the_middle(
    builder: Builder, repository: Repository, proxy: Proxy, tmp_path: Path
) -> None:
    proxy.expiry = 3
    pushed(builder, image_of(builder, b"one", b"two"), repository)
    assert len(proxy.issued) == 2
    assert all("repository:a:pull" in query["scope"] for query in proxy.asked)
    assert set(proxy.logins) == {None}


def test_without_a_login_the_refusal_says_how_to_log_in(
    builder: Builder, guarded: RealRegistry, environ: dict[str, str]
) -> None:
    with (
        connected(Reference.parse(f"{guarded.host}/a:1"), environ) as repository,
        pytest.raises(UnreachableError, match="refuses") as caught,
    ):
        pushed(builder, image_of(builder, b"one"), quick(repository))
    assert "docker login" in str(caught.value.hint)


def test_dockers_own_login_is_used(
    builder: Builder, guarded: RealRegistry, environ: dict[str, str], home: Path, tmp_path: Path
) -> None:
    (home / ".docker").mkdir()
    auth = {"auths": {guarded.host: {"auth": "YW5uOnNlY3JldC13b3Jk"}}}
    (home / ".docker/config.json").write_text(json.dumps(auth))
    with connected(Reference.parse(f"{guarded.host}/a:1"), environ) as repository:
        pushed(builder, image_of(builder, b"one"), quick(repository))
        assert pulled_files(repository, tmp_path) == {"0": b"one"}
        assert "secret-word" not in repr(repository)


def test_nobody_there_is_out_of_reach(builder: Builder, environ: dict[str, str]) -> None:
    with (
        connected(Reference.parse("127.0.0.1:9/a:1"), environ) as repository,
        pytest.raises(UnreachableError),
    ):
        pushed(builder, image_of(builder, b"one"), quick(repository))
