"""The commands with an image in a registry: pushed by build, compared by image-diff."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from envlock.core.progress import Silent
from envlock.host.store import Store
from envlock.lock import codec
from envlock.oci.model import MEDIA_INDEX, MEDIA_MANIFEST
from envlock.oci.registry.client import Repository, connected
from envlock.oci.registry.push import push
from envlock.oci.registry.reference import Reference
from tests.image import fixture_lock
from tests.oci.images import Builder, file
from tests.registry.faulty import Fault, Proxy
from tests.registry.real import RealRegistry

pytestmark = pytest.mark.registry


def envlock(*arguments: str, environ: dict[str, str], cwd: Path) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "envlock", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=False, env=environ, cwd=cwd)


@pytest.fixture
def project(tmp_path: Path, environ: dict[str, str]) -> Path:
    """A directory with a lock that can be built without an index and without bytecode."""
    directory, store = tmp_path / "project", Store(tmp_path / "cache")
    environ["ENVLOCK_CACHE"] = str(store.root)
    directory.mkdir()
    lock, wheels = fixture_lock.make(directory, store)
    for wheel in wheels.values():
        store.add_file(wheel)
    (directory / "pylock.envlock.toml").write_bytes(codec.dumps(lock))
    return directory


def built(project: Path, environ: dict[str, str], *arguments: str) -> Any:
    done = envlock("build", "--no-bytecode", "--json", *arguments, environ=environ, cwd=project)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def manifest(repository: Repository, name: str) -> Any:
    """A manifest or an index, as the registry has it."""
    accepted = {"Accept": f"{MEDIA_MANIFEST}, {MEDIA_INDEX}"}
    url = repository.url(f"manifests/{name}")
    return repository.ask("GET", url, expected=(200,), headers=accepted).json()


def test_documents_are_referrers_in_a_registry_and_lie_beside_an_archive(
    project: Path, registry: RealRegistry, environ: dict[str, str]
) -> None:
    name = f"{registry.host}/documents:1"
    digest = built(project, environ, "-o", f"registry:{name}", "-o", "oci-archive:exp.tar")["manifest"]
    with connected(Reference.parse(name), environ) as repository:
        for entry, suffix in zip(
            manifest(repository, str(digest).replace(":", "-"))["manifests"],
            ("cdx.json", "provenance.json"),
            strict=True,
        ):
            (layer,) = manifest(repository, entry["digest"])["layers"]
            blob = repository.ask("GET", repository.url(f"blobs/{layer['digest']}"), expected=(200,))
            assert (project / f"exp.tar.{suffix}").read_bytes() == blob.content


def test_a_login_that_is_not_there_is_told_before_anything_is_built(
    project: Path, guarded: RealRegistry, environ: dict[str, str], tmp_path: Path
) -> None:
    elsewhere = environ | {"ENVLOCK_CACHE": str(tmp_path / "none")}
    done = envlock("build", "--offline", "-o", f"registry:{guarded.host}/a:1", environ=elsewhere, cwd=project)
    # Neither wheels nor base are in this store, which a build would have said.
    assert done.returncode == 4
    assert "the registry refuses" in done.stderr
    assert "docker login" in done.stderr


def for_arm(project: Path) -> Path:
    """Write the same environment as a lock of another processor."""
    lock = codec.loads((project / "pylock.envlock.toml").read_bytes(), "lock")
    path = project / "pylock.arm64.toml"
    path.write_bytes(codec.dumps(replace(lock, os=replace(lock.os, machine="aarch64"))))
    return path


LOCKS = ("pylock.envlock.toml", "pylock.arm64.toml")


def test_locks_of_several_platforms_become_one_index(
    project: Path, registry: RealRegistry, environ: dict[str, str], skopeo: str
) -> None:
    for_arm(project)
    name = f"{registry.host}/platforms:1"
    done = built(
        project, environ, *LOCKS, "-o", f"registry:{name}", "-o", "oci:both", "-o", "oci-archive:both.tar"
    )
    alone = [built(project, environ, lock)["manifest"] for lock in LOCKS]
    assert [one["manifest"] for one in done["images"]] == alone
    with connected(Reference.parse(name), environ) as repository:
        index = manifest(repository, "1")
    platforms = {one["platform"]["architecture"]: one["digest"] for one in index["manifests"]}
    assert platforms == {"amd64": alone[0], "arm64": alone[1]}
    # An independent client picks the image of each platform from each place.
    for place in (f"docker://{name}", "oci:both", "oci-archive:both.tar"):
        for architecture, digest in platforms.items():
            told = inspected(skopeo, place, architecture, project)
            assert (told["Architecture"], told["Digest"]) == (architecture, done["manifest"]), digest
    for architecture in platforms:
        assert (project / f"both.linux-{architecture}.provenance.json").is_file()


def inspected(skopeo: str, place: str, architecture: str, cwd: Path) -> Any:
    argv = [skopeo, "--override-arch", architecture, "inspect", "--no-tags", place]
    argv += ["--tls-verify=false"] if place.startswith("docker:") else []
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_order_of_the_locks_changes_nothing(project: Path, environ: dict[str, str]) -> None:
    for_arm(project)
    built(project, environ, *LOCKS, "-o", "oci-archive:one.tar")
    built(project, environ, *reversed(LOCKS), "-o", "oci-archive:two.tar")
    assert (project / "one.tar").read_bytes() == (project / "two.tar").read_bytes()


def test_two_locks_of_one_platform_are_refused(project: Path, environ: dict[str, str]) -> None:
    (project / "pylock.same.toml").write_bytes((project / "pylock.envlock.toml").read_bytes())
    done = envlock("build", "pylock.envlock.toml", "pylock.same.toml", environ=environ, cwd=project)
    assert done.returncode == 2
    assert "two locks are for one platform" in done.stderr
    assert "linux/amd64 twice" in done.stderr


@pytest.mark.parametrize("arguments", [("-o", "docker-archive:x.tar"), ("--emit-dockerfile", "out")])
def test_what_is_for_one_platform_refuses_several(
    arguments: tuple[str, str], project: Path, environ: dict[str, str]
) -> None:
    for_arm(project)
    done = envlock("build", *LOCKS, *arguments, environ=environ, cwd=project)
    assert done.returncode == 2
    assert "one platform" in done.stderr


def planned(project: Path, environ: dict[str, str], *arguments: str) -> Any:
    return built(project, environ, "--plan", *arguments)


def test_a_plan_tells_what_is_here_and_in_the_registry_and_writes_nothing(
    project: Path, registry: RealRegistry, environ: dict[str, str], tmp_path: Path
) -> None:
    first, second = (f"registry:{registry.host}/plan/{name}:1" for name in ("first", "second"))
    before = sorted((tmp_path / "cache/blobs").rglob("*"))
    fresh = planned(project, environ, "-o", first)["layers"]
    assert [one["state"] for one in fresh] == ["cached", *["build"] * (len(fresh) - 1)]
    assert {one["registries"][first] for one in fresh} == {"send", None}
    assert sorted((tmp_path / "cache/blobs").rglob("*")) == before
    image = built(project, environ, "-o", first)
    known = planned(project, environ, "-o", first, "-o", second)["layers"]
    assert [one["blob"] for one in known] == [one["blob"] for one in image["layers"]]
    assert [one["bytes"] for one in known] == [one["size"] for one in image["layers"]]
    assert {one["state"] for one in known} == {"cached"}
    assert {one["registries"][first] for one in known} == {"there"}
    assert {one["registries"][second] for one in known} == {"mount"}


def test_a_plan_tells_what_must_be_fetched(project: Path, environ: dict[str, str], tmp_path: Path) -> None:
    elsewhere = environ | {"ENVLOCK_CACHE": str(tmp_path / "none")}
    found = planned(project, elsewhere)
    assert found["layers"][0]["state"] == "fetch"
    assert [name.partition("-")[0] for name in found["wheels-to-fetch"]] == ["demo", "other"]
    lock = codec.loads((project / "pylock.envlock.toml").read_bytes(), "lock")
    sizes = [*(one.wheel.size for one in lock.packages), *(one.size for one in lock.base.layers)]
    assert found["bytes-to-fetch"] == sum(sizes)


def test_a_plan_is_a_table_with_its_sum(
    project: Path, registry: RealRegistry, environ: dict[str, str]
) -> None:
    for_arm(project)
    done = envlock(
        "build", "--plan", *LOCKS, "-o", f"registry:{registry.host}/p:1", environ=environ, cwd=project
    )
    assert done.returncode == 0, done.stderr
    assert "linux/arm64: " in done.stdout
    assert f"to send to {registry.host}/p:1" in done.stdout
    both = json.loads(envlock("build", "--plan", "--json", *LOCKS, environ=environ, cwd=project).stdout)
    assert [one["platform"] for one in both["images"]] == ["linux/amd64", "linux/arm64"]


def test_documents_can_be_left_out_and_the_image_stays_the_same(
    project: Path, environ: dict[str, str]
) -> None:
    with_both = built(project, environ, "-o", "oci:with")
    without = built(project, environ, "-o", "oci:without", "--no-sbom", "--no-provenance")
    assert with_both["manifest"] == without["manifest"]
    made = {one.name for one in project.iterdir()}
    assert {"with.cdx.json", "with.provenance.json"} <= made
    assert not {"without.cdx.json", "without.provenance.json"} & made


def test_the_image_beside_the_lock_has_documents_when_they_are_asked_for(
    project: Path, environ: dict[str, str]
) -> None:
    built(project, environ)
    assert {one.name for one in (project / ".envlock").glob("image*")} == {"image"}
    built(project, environ, "--sbom")
    assert {one.name for one in (project / ".envlock").glob("image*")} == {"image", "image.cdx.json"}


@pytest.mark.parametrize("option", ["--bundle", "-o"])
def test_a_pushed_bundle_builds_the_same_image_with_nothing_else_at_hand(
    option: str, project: Path, registry: RealRegistry, environ: dict[str, str], tmp_path: Path
) -> None:
    name = f"registry:{registry.host}/bundle/{option.strip('-')}:1"
    near = built(project, environ)["manifest"]
    done = envlock("export", option, name, "--all-wheels", environ=environ, cwd=project)
    assert done.returncode == 0, done.stderr
    far = tmp_path / "far"
    far.mkdir()
    elsewhere = environ | {"ENVLOCK_CACHE": str(tmp_path / "empty")}
    assert built(far, elsewhere, "--offline", "--from", name)["manifest"] == near


def test_an_image_is_no_bundle(project: Path, registry: RealRegistry, environ: dict[str, str]) -> None:
    name = f"registry:{registry.host}/image:1"
    built(project, environ, "-o", name)
    done = envlock("build", "--from", name, environ=environ, cwd=project)
    assert done.returncode == 3
    assert "expected application/vnd.envlock.bundle.v1, found an image" in done.stderr


def test_two_images_of_a_registry_are_compared(
    builder: Builder, registry: RealRegistry, environ: dict[str, str], tmp_path: Path
) -> None:
    names = [f"{registry.host}/pair/{name}:1" for name in ("one", "two")]
    for name in names:
        image = builder.image(builder.layer(file("/a", name.encode())))
        with connected(Reference.parse(name), environ) as repository:
            push(image, repository, store=builder.store, progress=Silent())
    references = [f"registry:{name}" for name in names]
    done = envlock("image-diff", "--json", *references, environ=environ, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    (changed,) = json.loads(done.stdout)["files"]
    assert (changed["path"], changed["what"]) == ("/a", ["content"])


def test_a_name_that_no_registry_takes_is_told_before_anything_is_built(
    environ: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "pylock.envlock.toml").write_text("")
    done = envlock("build", "-o", "registry:UPPER/x", environ=environ, cwd=tmp_path)
    assert done.returncode == 3
    assert done.stderr.startswith("envlock: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("build", "--offline", "--no-bytecode", "-o", "registry:{}"),
        ("build", "--plan", "-o", "registry:{}"),
        ("build", "--from", "registry:{}"),
        ("image-diff", "registry:{}", "registry:{}"),
        ("run", "--image", "registry:{}", "--", "true"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_a_registry_that_is_asked_again_is_told(
    project: Path, proxy: Proxy, environ: dict[str, str], command: tuple[str, ...]
) -> None:
    for quiet in ((), ("--quiet",)):
        proxy.faults = [
            Fault(method=method, path="/waited/", action="status", status=503) for method in ("GET", "HEAD")
        ]
        name = f"{proxy.host}/waited/exp:1"
        argv = [command[0], *quiet, *(word.format(name) for word in command[1:])]
        done = envlock(*argv, environ=environ, cwd=project)
        told = [line for line in done.stderr.splitlines() if "again" in line]
        assert bool(told) != bool(quiet), done.stderr
        assert all(one.startswith(f"{proxy.host}: status 503") for one in told)
        assert all(one.endswith("; asking again in 0.5 s") for one in told)
