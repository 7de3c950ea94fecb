import os
import stat
import tarfile
from pathlib import Path

import pytest

from envlock.oci import archive
from envlock.oci.layer import Directory, Entry
from envlock.oci.model import Layer
from envlock.oci.path import ImagePath
from envlock.oci.reader import extract, open_image
from envlock.runtime.errors import InputError, IntegrityError
from tests.oci.images import Builder, file

Member = tuple[tarfile.TarInfo, bytes]


def unpacked(builder: Builder, root: Path, *layers: Layer) -> Path:
    path = root / "image.tar"
    archive.write(builder.image(*layers), builder.store.path, path)
    extract(open_image(str(path)), root / "root")
    return root / "root"


def made(
    name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, target: str = "", mode: int = 0o644
) -> Member:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.mtime = kind, target, mode, 1_000_000_000
    return info, data


def link(name: str, target: str) -> Member:
    return made(name, kind=tarfile.SYMTYPE, target=target)


def directory(name: str, mode: int = 0o755) -> Member:
    return made(name, kind=tarfile.DIRTYPE, mode=mode)


def tree(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def test_files_keep_content_mode_and_time_whatever_the_umask(builder: Builder, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        root = unpacked(
            builder,
            tmp_path,
            builder.layer(
                file("/opt/run", b"hello", 0o755),
                Entry(path=ImagePath("/out"), mode=0o1777, content=Directory()),
            ),
        )
    finally:
        os.umask(before)
    assert (root / "opt/run").read_bytes() == b"hello"
    assert stat.S_IMODE((root / "opt/run").stat().st_mode) == 0o755
    assert stat.S_IMODE((root / "opt").stat().st_mode) == 0o755
    assert stat.S_IMODE((root / "out").stat().st_mode) == 0o1777
    assert (root / "opt/run").stat().st_mtime == 315_619_200


def test_setuid_and_setgid_are_dropped_and_closed_directories_are_kept(
    builder: Builder, tmp_path: Path
) -> None:
    layer = builder.tar_layer(
        [
            directory("./", 0o711),
            directory("closed", 0o555),
            made("closed/su", b"x", mode=0o6755),
            directory("g", 0o2755),
        ]
    )
    root = unpacked(builder, tmp_path, layer)
    assert stat.S_IMODE((root / "closed/su").stat().st_mode) == 0o755
    assert stat.S_IMODE((root / "closed").stat().st_mode) == 0o555
    assert stat.S_IMODE((root / "g").stat().st_mode) == 0o755
    assert stat.S_IMODE(root.stat().st_mode) == 0o711


def test_whiteouts_remove_what_lies_below_and_nothing_of_their_own_layer(
    builder: Builder, tmp_path: Path
) -> None:
    below = builder.layer(file("/a/x"), file("/a/sub/y"), file("/b/z"), file("/c/old"), file("/c/deep/old"))
    above = builder.tar_layer(
        [
            made("a/.wh.sub"),
            made("a/new"),
            made("a/.wh.new"),
            made("a/.wh.never-there"),
            made("c/deep/kept"),
            made("c/.wh..wh..opq"),
            made(".wh.b"),
        ]
    )
    root = unpacked(builder, tmp_path, below, above)
    assert tree(root) == {"a", "a/x", "a/new", "c", "c/deep", "c/deep/kept"}


def test_a_later_layer_replaces_and_directories_merge(builder: Builder, tmp_path: Path) -> None:
    below = builder.tar_layer(
        [
            directory("d"),
            made("d/kept"),
            made("file", b"1"),
            directory("was-dir"),
            made("was-dir/x"),
            link("was-link", "d"),
        ]
    )
    above = builder.tar_layer(
        [
            directory("d", 0o700),
            made("d/added"),
            made("file", b"2"),
            made("was-dir", b"now a file"),
            directory("was-link"),
        ]
    )
    root = unpacked(builder, tmp_path, below, above)
    assert (root / "file").read_bytes() == b"2"
    assert (root / "was-dir").read_bytes() == b"now a file"
    assert (root / "was-link").is_dir()
    assert not (root / "was-link").is_symlink()
    assert {"d/kept", "d/added"} <= tree(root)


def test_names_below_a_link_land_where_the_container_sees_them(builder: Builder, tmp_path: Path) -> None:
    below = builder.tar_layer(
        [directory("usr/lib"), link("lib", "usr/lib"), link("abs", "/usr/lib"), link("usr/x", "./../usr")]
    )
    above = builder.tar_layer([made("lib/a"), made("abs/b"), made("usr/x/lib/c"), made("./lib/d")])
    root = unpacked(builder, tmp_path, below, above)
    assert {name for name in tree(root) if name.startswith("usr/lib/")} == {
        f"usr/lib/{name}" for name in "abcd"
    }


def test_a_write_through_a_link_replaces_the_link(builder: Builder, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("precious")
    layer = builder.tar_layer([link("evil", str(outside)), made("evil", b"overwritten")])
    root = unpacked(builder, tmp_path, layer)
    assert outside.read_text() == "precious"
    assert (root / "evil").read_bytes() == b"overwritten"


def test_an_absolute_link_to_the_outside_leads_inside(builder: Builder, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    root = unpacked(builder, tmp_path, builder.tar_layer([link("evil", str(outside)), made("evil/x", b"1")]))
    assert list(outside.iterdir()) == []
    assert (root / str(outside)[1:] / "x").read_bytes() == b"1"


def test_hard_links_share_a_file(builder: Builder, tmp_path: Path) -> None:
    layer = builder.tar_layer(
        [
            made("d/a", b"1"),
            made("b", kind=tarfile.LNKTYPE, target="d/a"),
            made("b", kind=tarfile.LNKTYPE, target="b"),
        ]
    )
    root = unpacked(builder, tmp_path, layer)
    assert (root / "b").stat().st_ino == (root / "d/a").stat().st_ino


def test_devices_are_left_out(builder: Builder, tmp_path: Path) -> None:
    layer = builder.tar_layer(
        [made("dev/null", kind=tarfile.CHRTYPE), made("dev/pipe", kind=tarfile.FIFOTYPE)]
    )
    assert tree(unpacked(builder, tmp_path, layer)) == {"dev"}


@pytest.mark.parametrize(
    "members",
    [
        [made("../x")],
        [made("a/../../x")],
        [link("a", "../x")],
        [directory("d"), link("d/a", "../../x")],
        [link("a", "d/../../x")],
        [made("a", kind=tarfile.LNKTYPE, target="../x")],
        [made("a", kind=tarfile.LNKTYPE, target="missing")],
        [directory("d"), made("a", kind=tarfile.LNKTYPE, target="d")],
        [made("a", kind=tarfile.LNKTYPE, target="/")],
        [made("a"), made("a/b")],
        [link("a", "b"), link("b", "a"), made("a/x")],
        [made("d/.wh...")],
        [made("d/.wh..")],
        [made("d/.wh.")],
    ],
)
def test_what_tries_to_escape_or_contradicts_itself_is_refused(
    builder: Builder, tmp_path: Path, members: list[Member]
) -> None:
    (tmp_path / "x").write_text("precious")
    with pytest.raises(InputError, match="refused to unpack"):
        unpacked(builder, tmp_path, builder.tar_layer(members))
    assert (tmp_path / "x").read_text() == "precious"


@pytest.mark.parametrize("compress", [True, False])
def test_gzip_and_plain_layers_are_read(builder: Builder, tmp_path: Path, *, compress: bool) -> None:
    root = unpacked(builder, tmp_path, builder.tar_layer([made("a", b"1" * 100_000)], compress=compress))
    assert (root / "a").read_bytes() == b"1" * 100_000


def test_zeros_after_the_last_gzip_member_are_padding(builder: Builder, tmp_path: Path) -> None:
    layer = builder.tar_layer([made("a", b"1")])
    data = builder.store.path(layer.blob).read_bytes() + bytes(70_000)
    assert (unpacked(builder, tmp_path, rewritten(builder, layer, data)) / "a").read_bytes() == b"1"


def rewritten(builder: Builder, layer: Layer, data: bytes) -> Layer:
    with builder.store.writing() as sink:
        sink.write(data)
    return Layer(diff_id=layer.diff_id, blob=sink.digest, size=len(data))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x28\xb5\x2f\xfd" + bytes(100), "zstd"),
        (b"\x1f\x8b\x08" + b"\xff" * 100, "corrupt layer"),
        (b"\x01" * 5000, "a tar"),
    ],
)
def test_what_is_no_layer_is_refused(builder: Builder, tmp_path: Path, data: bytes, message: str) -> None:
    layer = rewritten(builder, builder.tar_layer([]), data)
    with pytest.raises(InputError, match=message):
        unpacked(builder, tmp_path, layer)


def test_a_truncated_layer_is_refused(builder: Builder, tmp_path: Path) -> None:
    layer = builder.tar_layer([made("a", os.urandom(100_000))])
    data = builder.store.path(layer.blob).read_bytes()
    with pytest.raises(InputError, match=r"an end in the middle|a tar"):
        unpacked(builder, tmp_path, rewritten(builder, layer, data[:50_000]))


def test_a_layer_whose_tail_was_altered_is_refused(builder: Builder, tmp_path: Path) -> None:
    layer = builder.tar_layer([made("a", b"1")], compress=False)
    path = tmp_path / "image.tar"
    archive.write(builder.image(layer), builder.store.path, path)
    data = bytearray(path.read_bytes())
    with tarfile.open(path) as out:
        member = out.getmember(f"blobs/sha256/{layer.blob.hex}")
        place = member.offset_data + member.size - 1
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match="other bytes"):
        extract(open_image(str(path)), tmp_path / "root")


def test_thousands_of_members_unpack_in_linear_time(builder: Builder, tmp_path: Path) -> None:
    layer = builder.layer(*(file(f"/d/{number:05}", b"x") for number in range(3000)))
    assert len(tree(unpacked(builder, tmp_path, layer))) == 3001
