"""A base that somebody else made: how its layers are pinned, and what must not happen to its files."""

import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from envlock.core.digest import Digest
from envlock.core.progress import Silent
from envlock.host.store import Store
from envlock.image import foreign_base
from envlock.lock.model import Base, BaseLayer, Python
from envlock.oci.extraction import RootFilesystem
from envlock.oci.inflation import inflated
from envlock.oci.model import MEDIA_LAYER_GZIP, Layer
from envlock.oci.reader import OpenedImage
from envlock.oci.source import DirectorySource
from envlock.runtime.errors import InputError, IntegrityError
from tests.oci.images import Builder

PYTHON = Python(
    implementation="cpython",
    version="3.11.7",
    abi="cpython-311",
    build="",
    prefix_kind="system",
    prefix="/usr",
)
BASE = Base(kind="registry", layers=(), python="/usr/bin/python3.11")


@pytest.fixture
def theirs(tmp_path: Path) -> Builder:
    return Builder(tmp_path / "theirs")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def layer(builder: Builder, *, compress: bool = True, **changes: object) -> Layer:
    info = tarfile.TarInfo("etc/motd")
    made = builder.tar_layer([(info, b"welcome\n" * 1000)], compress=compress)
    return replace(made, comment="|1 TOKEN=hunter2 RUN x", **changes)  # type: ignore[arg-type] # by name


def opened(builder: Builder, *layers: Layer) -> OpenedImage:
    return OpenedImage(
        image=builder.image(*layers),
        source=DirectorySource(builder.store.root),
        places={one.blob: f"blobs/sha256/{one.blob.hex}" for one in layers},
    )


def pinned(builder: Builder, store: Store, *layers: Layer) -> tuple[BaseLayer, ...]:
    return foreign_base.pin(opened(builder, *layers), store, Silent())


def program(path: str, mode: int) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(path)
    info.mode = mode
    return info, b"program"


def test_programs_with_rights_of_their_own_are_named_where_a_later_layer_leaves_them(
    theirs: Builder, store: Store
) -> None:
    image = opened(
        theirs,
        theirs.tar_layer(
            [
                program("usr/bin/su", 0o4755),
                program("usr/bin/wall", 0o2755),
                program("usr/bin/passwd", 0o4755),
            ]
        ),
        theirs.tar_layer([program("usr/bin/.wh.passwd", 0o644), program("usr/bin/ls", 0o755)]),
    )
    assert foreign_base.privileged(image, store) == ("/usr/bin/su", "/usr/bin/wall")
    # From memory the second time: the image is not looked at.
    assert foreign_base.privileged(replace(image, places={}), store) == ("/usr/bin/su", "/usr/bin/wall")


def test_a_gzip_layer_keeps_its_bytes_and_gets_the_oci_type(theirs: Builder, store: Store) -> None:
    made = layer(theirs, media_type="application/vnd.docker.image.rootfs.diff.tar.gzip")
    (found,) = pinned(theirs, store, made)
    assert (found.blob, found.size, found.diff_id) == (made.blob, made.size, made.diff_id)
    assert found.media_type == MEDIA_LAYER_GZIP
    assert store.find(made.blob) is not None


def test_a_layer_without_compression_is_compressed_the_same_each_time(
    theirs: Builder, store: Store, tmp_path: Path
) -> None:
    made = layer(theirs, compress=False)
    (found,) = pinned(theirs, store, made)
    assert found.size < made.size
    assert found.diff_id == made.diff_id
    with store.path(found.blob).open("rb") as stream:
        plain = inflated(stream, "layer")
        data = b"".join(iter(lambda: plain.read(1 << 16), b""))
    assert Digest.of(data) == made.diff_id
    assert pinned(theirs, Store(tmp_path / "other"), made) == (found,)
    assert pinned(theirs, store, made) == (found,)


def test_nothing_of_how_it_was_made_is_told(theirs: Builder, store: Store) -> None:
    (found,) = pinned(theirs, store, layer(theirs))
    assert found.comment == "base, layer 1 of 1"


@pytest.mark.parametrize("compress", [True, False])
def test_a_layer_that_is_not_what_the_config_states_is_refused(
    theirs: Builder, store: Store, *, compress: bool
) -> None:
    made = layer(theirs, compress=compress, diff_id=Digest("0" * 64))
    with pytest.raises(IntegrityError, match="not the one that its config states"):
        pinned(theirs, store, made)
    assert store.find(made.blob) is None


@pytest.mark.parametrize(
    "media_type",
    [
        "application/vnd.oci.image.layer.v1.tar+zstd",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.example.squashfs",
    ],
)
def test_a_layer_of_another_kind_is_refused_with_its_type(
    theirs: Builder, store: Store, media_type: str
) -> None:
    with pytest.raises(InputError, match="can't be carried") as told:
        pinned(theirs, store, layer(theirs, media_type=media_type))
    assert told.value.found == media_type


@pytest.mark.parametrize("place", ["opt", "work", "tmp", "proc"])
def test_a_link_where_the_image_has_a_directory_is_not_replaced(tmp_path: Path, place: str) -> None:
    (tmp_path / "srv").mkdir()
    (tmp_path / place).symlink_to("srv")
    with pytest.raises(
        InputError, match=f"leaves no room: base: /{place}: expected a directory, found a link"
    ):
        foreign_base.check_places(tmp_path, "base")


def test_an_environment_that_is_there_is_not_mixed_with_another(tmp_path: Path) -> None:
    (tmp_path / "opt/env/bin").mkdir(parents=True)
    with pytest.raises(InputError, match="an image that envlock built"):
        foreign_base.check_places(tmp_path, "base")


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "work").write_text("")
    with pytest.raises(InputError, match="found a file"):
        foreign_base.check_places(tmp_path, "base")


def test_empty_directories_of_ours_and_merged_ones_of_the_base_are_fine(tmp_path: Path) -> None:
    (tmp_path / "opt/env").mkdir(parents=True)
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "lib").symlink_to("usr/lib")
    foreign_base.check_places(tmp_path, "base")


def test_variables_that_lead_python_elsewhere_and_secrets_stay_behind() -> None:
    kept, dropped = foreign_base.variables(
        (
            ("PATH", "/usr/bin"),
            ("LD_LIBRARY_PATH", "/usr/local/nvidia/lib"),
            ("PYTHONPATH", "/app"),
            ("PYTHONUNBUFFERED", "1"),
            ("VIRTUAL_ENV", "/venv"),
            ("HF_TOKEN", "hf_1"),
            ("DB_PASSWORD", "x"),
            ("TOKENIZERS_PARALLELISM", "false"),
        )
    )
    assert [name for name, _ in kept] == [
        "PATH",
        "LD_LIBRARY_PATH",
        "PYTHONUNBUFFERED",
        "TOKENIZERS_PARALLELISM",
    ]
    assert dropped == ("DB_PASSWORD", "HF_TOKEN", "PYTHONPATH", "VIRTUAL_ENV")


def on_it(root: Path, store: Store, base: Base = BASE) -> Path:
    """Unpack the layer of links over ``root``."""
    made = foreign_base.links(root, base, PYTHON, store)
    assert made.added
    tree = RootFilesystem(root)
    with store.path(made.blob).open("rb") as stream:
        tree.apply(inflated(stream, "links"), "links")
    tree.finish()
    return root


def test_the_environment_has_the_bases_interpreter_and_the_job_an_account(
    tmp_path: Path, store: Store
) -> None:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/:/bin/sh")
    on_it(root, store)
    for name in ("python", "python3", "python3.11"):
        assert (root / "opt/env/bin" / name).readlink() == Path("/usr/bin/python3.11")
    lines = (root / "etc/passwd").read_text().splitlines()
    assert lines[:2] == ["root:x:0:0::/root:/bin/sh", "ann:x:1000:1000::/:/bin/sh"]
    assert lines[2].startswith("envlock:x:65532:65532:")
    assert (root / "etc/group").read_text() == "envlock:x:65532:\n"


def test_an_account_that_is_there_stays_as_it_is(tmp_path: Path, store: Store) -> None:
    root = tmp_path / "root"
    (root / "usr/etc").mkdir(parents=True)
    (root / "etc").symlink_to("usr/etc")
    text = "root:x:0:0::/root:/bin/sh\nnonroot:x:65532:65532::/home:/bin/sh\n"
    (root / "etc/passwd").write_text(text)
    on_it(root, store)
    assert (root / "etc").is_symlink()
    assert (root / "etc/passwd").read_text() == text
    assert (root / "usr/etc/group").is_file()


def test_a_base_with_a_user_of_its_own_gets_no_account(tmp_path: Path, store: Store) -> None:
    root = on_it(tmp_path / "root", store, replace(BASE, user="1000"))
    assert not (root / "etc").exists()


def test_the_layer_is_the_same_each_time(tmp_path: Path, store: Store) -> None:
    (tmp_path / "root").mkdir()
    first = foreign_base.links(tmp_path / "root", BASE, PYTHON, store)
    assert foreign_base.links(tmp_path / "root", BASE, PYTHON, Store(tmp_path / "other")) == first
