"""Documents listed under an image in a registry: by its own list, or by the tag that stands in for it."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from envlock.core.digest import Digest
from envlock.core.progress import Silent
from envlock.image.attachments import Attachment
from envlock.oci.model import Image
from envlock.oci.registry import referrers
from envlock.oci.registry.client import Repository, connected
from envlock.oci.registry.push import push
from envlock.oci.registry.reference import Reference
from envlock.runtime.errors import InputError
from tests.oci.images import Builder, file
from tests.registry.conftest import quick
from tests.registry.simulator import Simulator, simulated

pytestmark = pytest.mark.registry

BILL = Attachment(suffix="cdx.json", media_type="application/vnd.cyclonedx+json", data=b'{"bill": 1}')
STATEMENT = Attachment(
    suffix="provenance.json",
    media_type="application/vnd.in-toto+json",
    data=b'{"made": "so"}',
    annotations=(("in-toto.io/predicate-type", "https://slsa.dev/provenance/v1"),),
)


@pytest.fixture
def image(builder: Builder, repository: Repository) -> Image:
    """An image that was pushed to ``repository``."""
    made = builder.image(builder.layer(file("/a", b"x")))
    push(made, repository, store=builder.store, progress=Silent())
    return made


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with simulated() as found:
        yield found


def attach(one: Attachment, image: Image, repository: Repository, builder: Builder) -> Digest:
    return referrers.attach(one.artifact(image), image.digest, (one.data,), repository, builder.store)


def listed(image: Image, repository: Repository) -> list[dict[str, Any]]:
    url = repository.url(f"manifests/sha256-{image.digest.hex}")
    answer = repository.ask(
        "GET", url, expected=(200,), headers={"Accept": "application/vnd.oci.image.index.v1+json"}
    )
    index = answer.json()
    assert index["mediaType"] == "application/vnd.oci.image.index.v1+json"
    return list(index["manifests"])


def test_a_registry_without_a_list_of_referrers_gets_one_under_the_subjects_tag(
    image: Image, repository: Repository, builder: Builder
) -> None:
    bill = attach(BILL, image, repository, builder)
    statement = attach(STATEMENT, image, repository, builder)
    one, two = listed(image, repository)
    assert (one["digest"], two["digest"]) == (str(bill), str(statement))
    assert (one["artifactType"], two["artifactType"]) == (BILL.media_type, STATEMENT.media_type)
    assert two["annotations"] == {"in-toto.io/predicate-type": "https://slsa.dev/provenance/v1"}
    assert one["mediaType"] == "application/vnd.oci.image.manifest.v1+json"


def test_attaching_again_changes_nothing(image: Image, repository: Repository, builder: Builder) -> None:
    attach(BILL, image, repository, builder)
    before = listed(image, repository)
    attach(BILL, image, repository, builder)
    assert listed(image, repository) == before


def test_what_others_attached_stays_listed(image: Image, repository: Repository, builder: Builder) -> None:
    theirs = Attachment(suffix="sig", media_type="application/vnd.example.signature", data=b"signed")
    signature = attach(theirs, image, repository, builder)
    attach(BILL, image, repository, builder)
    assert listed(image, repository)[0]["digest"] == str(signature)


def test_a_tag_that_lists_nothing_is_not_overwritten(
    image: Image, repository: Repository, builder: Builder
) -> None:
    tag = f"sha256-{image.digest.hex}"
    push(image, repository, store=builder.store, progress=Silent(), wanted=tag)
    with pytest.raises(InputError, match="in other use"):
        attach(BILL, image, repository, builder)


def test_an_independent_client_copies_the_document_by_its_digest(
    image: Image, repository: Repository, builder: Builder, skopeo: str, tmp_path: Path
) -> None:
    digest = attach(BILL, image, repository, builder)
    source = f"docker://{repository.reference.name}@{digest}"
    argv = [skopeo, "copy", "--quiet", "--insecure-policy", "--src-tls-verify=false", source]
    subprocess.run([*argv, f"dir:{tmp_path / 'copied'}"], check=True)
    manifest = json.loads((tmp_path / "copied" / "manifest.json").read_bytes())
    assert manifest["subject"]["digest"] == str(image.digest)
    (layer,) = manifest["layers"]
    assert (tmp_path / "copied" / layer["digest"].removeprefix("sha256:")).read_bytes() == BILL.data


def test_a_registry_that_lists_referrers_itself_gets_no_tag(
    simulator: Simulator, builder: Builder, environ: dict[str, str]
) -> None:
    made = builder.image(builder.layer(file("/a", b"x")))
    with connected(Reference.parse(f"{simulator.host}/team/exp:1"), environ) as repository:
        push(made, quick(repository), store=builder.store, progress=Silent())
        digest = attach(BILL, made, repository, builder)
        answer = repository.ask("GET", repository.url(f"referrers/{made.digest}"), expected=(200,))
    assert [one["digest"] for one in answer.json()["manifests"]] == [str(digest)]
    assert [name for name in simulator.manifests if not name.startswith("sha256:")] == ["1"]
