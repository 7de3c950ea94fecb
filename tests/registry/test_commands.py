"""The commands with an image in a registry: pushed by build, compared by image-diff."""

import json
import subprocess
import sys
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
