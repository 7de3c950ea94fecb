import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from envlock.core.digest import Digest
from envlock.host.store import HashingWriter
from envlock.oci import artifact
from envlock.oci.artifact import Artifact, ArtifactFile, OpenedArtifact, open_artifact
from envlock.oci.document import Descriptor
from envlock.runtime.errors import InputError, IntegrityError
from tests.oci.images import Builder, file
from tests.oci.test_archive import write as write_image

KIND = "application/vnd.example.thing.v1"
CONTENTS = {"one.txt": b"1" * 5000, "below/two.bin": b"2" * 70}


def described(contents: dict[str, bytes]) -> Artifact:
    return Artifact(
        artifact_type=KIND,
        files=tuple(
            ArtifactFile(
                title=title,
                blob=Descriptor(digest=Digest.of(data), size=len(data), media_type="text/plain"),
            )
            for title, data in contents.items()
        ),
        annotations=(("dev.example.note", "x"),),
    )


def written(path: Path, contents: dict[str, bytes] = CONTENTS) -> Path:
    blobs = {Digest.of(data): data for data in contents.values()}
    artifact.write(described(contents), lambda digest: io.BytesIO(blobs[digest]), path)
    return path


def content(opened: OpenedArtifact, one: ArtifactFile) -> bytes:
    sink = io.BytesIO()
    opened.copy(one, HashingWriter(sink), lambda _: None)
    return sink.getvalue()


def unpacked(archive: Path, directory: Path) -> Path:
    with tarfile.open(archive) as tar:
        tar.extractall(directory, filter="data")
    return directory


def changed(directory: Path, change: Callable[[Any], None]) -> Path:
    """Change the manifest of a layout and give it the name that it then has."""
    index = json.loads((directory / "index.json").read_bytes())
    blobs = directory / "blobs" / "sha256"
    manifest = json.loads((blobs / Digest.parse(index["manifests"][0]["digest"]).hex).read_bytes())
    change(manifest)
    data = json.dumps(manifest).encode()
    index["manifests"][0] |= {"digest": str(Digest.of(data)), "size": len(data)}
    (blobs / Digest.of(data).hex).write_bytes(data)
    (directory / "index.json").write_text(json.dumps(index))
    return directory


def test_an_artifact_reads_back_as_it_was_written(tmp_path: Path) -> None:
    opened = open_artifact(str(written(tmp_path / "a.tar")), KIND)
    assert opened.artifact == described(CONTENTS)
    assert opened.artifact.size == 5070
    for one in opened.artifact.files:
        assert content(opened, one) == CONTENTS[one.title]


def test_the_same_artifact_gives_the_same_bytes(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        first = written(tmp_path / "a.tar").read_bytes()
    finally:
        os.umask(before)
    assert written(tmp_path / "b.tar").read_bytes() == first


@pytest.mark.parametrize("reference", ["{}/a.tar", "oci-archive:{}/a.tar", "oci:{}/layout", "{}/layout"])
def test_an_archive_and_a_layout_are_read_alike(tmp_path: Path, reference: str) -> None:
    unpacked(written(tmp_path / "a.tar"), tmp_path / "layout")
    assert open_artifact(reference.format(tmp_path), KIND).artifact == described(CONTENTS)


def test_skopeo_reads_and_copies_it(tmp_path: Path, skopeo: str) -> None:
    path = written(tmp_path / "a.tar")
    argv = [skopeo, "inspect", "--raw", f"oci-archive:{path}"]
    done = subprocess.run(argv, capture_output=True, check=False)
    assert done.stdout == described(CONTENTS).manifest, done.stderr
    copy = [skopeo, "copy", "--quiet", f"oci-archive:{path}", f"oci:{tmp_path / 'copy'}"]
    subprocess.run(copy, check=True)
    assert open_artifact(f"oci:{tmp_path / 'copy'}", KIND).artifact == described(CONTENTS)


def test_an_image_is_no_artifact(builder: Builder, tmp_path: Path) -> None:
    write_image(builder, tmp_path / "image.tar")
    with pytest.raises(InputError, match=r"another kind of artifact.*found an image"):
        open_artifact(str(tmp_path / "image.tar"), KIND)
    with pytest.raises(InputError, match=f"expected other, found '{KIND}'"):
        open_artifact(str(written(tmp_path / "a.tar")), "other")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        open_artifact(str(tmp_path / "a.tar"), KIND)


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tar")
    os.truncate(path, 4096)
    with pytest.raises(InputError):
        open_artifact(str(path), KIND)


def test_a_file_of_it_that_is_missing_or_cut_off_is_told_before_anything_is_read(tmp_path: Path) -> None:
    layout = unpacked(written(tmp_path / "a.tar"), tmp_path / "layout")
    blob = layout / "blobs" / "sha256" / Digest.of(CONTENTS["below/two.bin"]).hex
    blob.write_bytes(b"2")
    with pytest.raises(InputError, match=r"cut off or too long: .*below/two.bin: .*found 1 bytes"):
        open_artifact(str(layout), KIND)
    blob.unlink()
    with pytest.raises(InputError, match=r"a file is missing: .*below/two.bin"):
        open_artifact(str(layout), KIND)


def test_altered_bytes_are_found_out_by_their_digest(tmp_path: Path) -> None:
    layout = unpacked(written(tmp_path / "a.tar"), tmp_path / "layout")
    blob = layout / "blobs" / "sha256" / Digest.of(CONTENTS["one.txt"]).hex
    blob.write_bytes(b"x" * 5000)
    opened = open_artifact(str(layout), KIND)
    first = opened.artifact.files[0]
    # Who copies it compares the digest, as the store does.
    assert Digest.of(content(opened, first)) != first.blob.digest


def test_an_altered_manifest_is_refused(tmp_path: Path) -> None:
    layout = unpacked(written(tmp_path / "a.tar"), tmp_path / "layout")
    blob = layout / "blobs" / "sha256" / Digest.of(described(CONTENTS).manifest).hex
    blob.write_bytes(blob.read_bytes().replace(b"one.txt", b"two.txt"))
    with pytest.raises(IntegrityError, match="other bytes than its name"):
        open_artifact(str(layout), KIND)


@pytest.mark.parametrize("title", ["../x", "/etc/passwd", "a/../../b", "", ".", "a\0b", None, 7])
def test_a_title_that_leaves_its_directory_is_refused(tmp_path: Path, title: object) -> None:
    def change(manifest: Any) -> None:
        manifest["layers"][1]["annotations"]["org.opencontainers.image.title"] = title

    layout = changed(unpacked(written(tmp_path / "a.tar"), tmp_path / "layout"), change)
    with pytest.raises(InputError, match="not a usable title") as caught:
        open_artifact(str(layout), KIND)
    assert "layers[1]" in str(caught.value.where)


def test_two_files_of_one_title_are_refused(tmp_path: Path) -> None:
    def change(manifest: Any) -> None:
        manifest["layers"][1]["annotations"] = manifest["layers"][0]["annotations"]

    layout = changed(unpacked(written(tmp_path / "a.tar"), tmp_path / "layout"), change)
    with pytest.raises(InputError, match="two files have one title"):
        open_artifact(str(layout), KIND)


def test_annotations_are_not_needed(tmp_path: Path) -> None:
    def change(manifest: Any) -> None:
        del manifest["annotations"]

    layout = changed(unpacked(written(tmp_path / "a.tar"), tmp_path / "layout"), change)
    found = open_artifact(str(layout), KIND).artifact
    assert found.annotations == ()
    assert "annotations" not in json.loads(found.manifest)


def test_wrong_bytes_are_never_written(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="other bytes"):
        artifact.write(described(CONTENTS), lambda _: io.BytesIO(b"x"), tmp_path / "out" / "a.tar")
    assert list((tmp_path / "out").iterdir()) == []


def test_progress_is_told_of_every_byte(tmp_path: Path) -> None:
    told: list[int] = []
    blobs = {Digest.of(data): data for data in CONTENTS.values()}
    artifact.write(
        described(CONTENTS), lambda digest: io.BytesIO(blobs[digest]), tmp_path / "a.tar", told.append
    )
    assert sum(told) == described(CONTENTS).size


def test_a_file_on_disk_is_taken_from_its_place(builder: Builder, tmp_path: Path) -> None:
    layer = builder.layer(file("/a"))
    place = builder.store.path(layer.blob)
    one = ArtifactFile(
        title="a", blob=Descriptor(digest=layer.blob, size=layer.size, media_type=layer.media_type)
    )
    artifact.write(Artifact(artifact_type=KIND, files=(one,)), lambda _: place, tmp_path / "a.tar")
    opened = open_artifact(str(tmp_path / "a.tar"), KIND)
    assert content(opened, one) == place.read_bytes()
