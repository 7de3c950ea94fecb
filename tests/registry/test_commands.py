"""The commands with an image in a registry: pushed by build, compared by image-diff."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from envlock.core.progress import Silent
from envlock.oci.registry.client import connected
from envlock.oci.registry.push import push
from envlock.oci.registry.reference import Reference
from tests.oci.images import Builder, file
from tests.registry.real import RealRegistry

pytestmark = pytest.mark.registry


def envlock(*arguments: str, environ: dict[str, str], cwd: Path) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "envlock", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=False, env=environ, cwd=cwd)


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
