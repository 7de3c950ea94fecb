"""The bill of materials and the provenance of an image: what they say, and that they follow their formats."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from envlock.core.digest import Digest
from envlock.host.store import Store
from envlock.image import attachments, runtime
from envlock.image.plan import BuildOptions
from envlock.lock.model import Lock, SystemPackage
from envlock.oci.model import Image
from tests.image import fixture_lock

LIBC = SystemPackage(name="libc6", version="2.36-9", architecture="amd64")
OPTIONS = BuildOptions(isa="native", threads=2, bytecode=False)
# in-toto ResourceDescriptor v1: these fields and no others, one of uri, digest and content at least.
_DESCRIPTOR = {"name", "uri", "digest", "content", "downloadLocation", "mediaType", "annotations"}


@pytest.fixture
def lock(tmp_path: Path) -> Lock:
    made, _ = fixture_lock.make(tmp_path, Store(tmp_path / "store"))
    return replace(made, system_packages=(LIBC,))


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return fixture_lock.build(tmp_path, Store(tmp_path / "store"))


def bill(lock: Lock, image: Image) -> Any:
    data = attachments.bill(lock, image).data.decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(data) is None
    return json.loads(data)


def statement(lock: Lock, image: Image, options: BuildOptions = OPTIONS) -> Any:
    found = json.loads(attachments.statement(lock, b"lock", image, options).data)
    _check_statement(found)
    return found


def _check_statement(found: Any) -> None:
    """Hold a statement to the in-toto specification, v1, and its predicate to SLSA provenance v1."""
    assert set(found) == {"_type", "subject", "predicateType", "predicate"}
    assert found["_type"] == "https://in-toto.io/Statement/v1"
    assert found["predicateType"] == "https://slsa.dev/provenance/v1"
    assert found["subject"]
    assert all(one["digest"] for one in found["subject"])
    assert set(found["predicate"]) == {"buildDefinition", "runDetails"}
    definition, details = found["predicate"]["buildDefinition"], found["predicate"]["runDetails"]
    required = {"buildType", "externalParameters"}
    assert required <= set(definition) <= required | {"internalParameters", "resolvedDependencies"}
    assert {"builder"} <= set(details) <= {"builder", "metadata", "byproducts"}
    assert set(details["builder"]) <= {"id", "version", "builderDependencies"}
    for identifier in (definition["buildType"], details["builder"]["id"]):
        assert urlsplit(identifier).scheme == "https"
    assert all(isinstance(value, str) for value in details["builder"]["version"].values())
    descriptors = [*found["subject"], *definition["resolvedDependencies"]]
    for one in [*descriptors, *details["builder"]["builderDependencies"]]:
        assert set(one) <= _DESCRIPTOR
        assert re.fullmatch("[0-9a-f]{64}", one["digest"]["sha256"])


def test_the_bill_names_the_image_and_all_that_is_in_it(lock: Lock, image: Image) -> None:
    found = bill(lock, image)
    subject = found["metadata"]["component"]
    assert (subject["type"], subject["version"]) == ("container", str(image.digest))
    urls = {one.get("purl", "").partition("?")[0] for one in found["components"]}
    assert {"pkg:pypi/demo@1.0", "pkg:pypi/other@2.5", "pkg:deb/debian/libc6@2.36-9"} <= urls
    # What no lock lists: the runtime, and what travels with it.
    assert any(url.startswith("pkg:pypi/pyyaml@") for url in urls)
    names = {one["name"] for one in found["components"]}
    assert {"envlock-runtime", "cpython", "debian"} <= names
    assert "timestamp" not in found["metadata"]


def on_an_image(lock: Lock) -> Lock:
    base = replace(lock.base, kind="registry", reference="registry.example/python:3", digest=Digest("1" * 64))
    return replace(lock, base=base)


def test_a_base_from_elsewhere_stands_in_the_bill(lock: Lock, image: Image) -> None:
    (found,) = [one for one in bill(on_an_image(lock), image)["components"] if one["type"] == "container"]
    assert (found["name"], found["version"]) == ("registry.example/python:3", f"sha256:{'1' * 64}")


def test_the_environments_own_pyyaml_is_another_component_than_the_runtimes(lock: Lock, image: Image) -> None:
    own = replace(lock.packages[0], name="pyyaml", version=dict(runtime.carried())["pyyaml"])
    found = bill(replace(lock, packages=(own,)), image)
    assert len([one for one in found["components"] if one["name"] == "pyyaml"]) == 2


def test_the_statement_names_every_byte_that_went_in(lock: Lock, image: Image) -> None:
    found = statement(lock, image)
    (subject,) = found["subject"]
    assert subject["digest"] == {"sha256": image.digest.hex}
    given = found["predicate"]["buildDefinition"]["resolvedDependencies"]
    expected = [Digest.of(b"lock"), *(package.wheel.sha256 for package in lock.packages)]
    expected += [layer.blob for layer in lock.base.layers]
    assert [one["digest"]["sha256"] for one in given] == [digest.hex for digest in expected]


def test_the_statement_tells_how_it_was_asked_for(lock: Lock, image: Image) -> None:
    parameters = statement(lock, image)["predicate"]["buildDefinition"]["externalParameters"]
    assert parameters["platform"] == "linux/amd64"
    assert parameters["options"] == {
        "bytecode": False,
        "created": 315_532_800,
        "isa": "native",
        "threads": 2,
    }
    plain = statement(lock, image, BuildOptions())["predicate"]["buildDefinition"]["externalParameters"]
    assert "threads" not in plain["options"]


def test_a_wheel_of_an_index_says_where_it_is(lock: Lock, image: Image) -> None:
    given = statement(lock, image)["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert given[1]["downloadLocation"] == lock.packages[0].wheel.url


def test_the_image_that_the_base_is_went_in_too(lock: Lock, image: Image) -> None:
    given = statement(on_an_image(lock), image)["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert {"name": "registry.example/python:3", "digest": {"sha256": "1" * 64}} in given


def test_documents_are_artifacts_about_the_image(lock: Lock, image: Image) -> None:
    for one in (attachments.bill(lock, image), attachments.statement(lock, b"lock", image, OPTIONS)):
        manifest = json.loads(one.artifact(image).manifest)
        assert manifest["artifactType"] == one.media_type
        assert manifest["subject"] == {
            "digest": str(image.digest),
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "size": len(image.manifest),
        }
        (layer,) = manifest["layers"]
        assert layer["digest"] == str(Digest.of(one.data))
        assert layer["mediaType"] == one.media_type
