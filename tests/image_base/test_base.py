import gzip
import hashlib
import io
import json
import os
import pickle
import random
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from envlock.capture import packages_dpkg
from envlock.core.progress import Silent
from envlock.host.store import Store
from envlock.image import base, base_bytecode, base_root
from envlock.image.base_members import Member, Plan, copied, entries, identified
from envlock.image.packing import STORED
from envlock.image.relocate import Move
from envlock.lock.environment import HostFiles, OwnedFile, PackedPackage
from envlock.lock.model import Base, PackageManager, Python, SystemPackage
from envlock.oci.estargz import NOT_OF_THE_IMAGE, TABLE_DIGEST
from envlock.oci.layer import Content, Entry, Members
from envlock.runtime.errors import InputError, IntegrityError, UnreachableError
from tests.host.clocks import later
from tests.host.opened import watching_opened

Listing = dict[str, tuple[tarfile.TarInfo, bytes]]


def members(packed: Base, store: Store) -> list[Listing]:
    """Read each layer's blob with the standard library, checking the lock's digests on the way."""
    read = []
    for layer in packed.layers:
        blob = store.path(layer.blob).read_bytes()
        assert (len(blob), hashlib.sha256(blob).hexdigest()) == (layer.size, layer.blob.hex)
        data = gzip.decompress(blob)
        assert hashlib.sha256(data).hexdigest() == layer.diff_id.hex
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            infos = [info for info in archive.getmembers() if f"/{info.name}" not in NOT_OF_THE_IMAGE]
            assert len({info.name for info in infos}) == len(infos)
            read.append({f"/{info.name}": (info, _bytes(archive, info)) for info in infos})
    return read


def _bytes(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(info) if info.isreg() else None
    return stream.read() if stream is not None else b""


def written(plan: Plan) -> list[Entry]:
    return [
        entry._replace(content=b"".join(_plain(entry.content)))
        for entry in entries(plan, lambda _: None, [], STORED.member)
    ]


def _plain(content: Content) -> Iterator[bytes]:
    assert isinstance(content, Members)
    return (plain for plain, _ in content.pieces)


def pack(host: HostFiles, python: Python, store: Store) -> Base:
    """Pack without bytecode: the interpreter of this machine is none."""
    return packed(host, python, store).base


def packed(host: HostFiles, python: Python, store: Store) -> base.Packed:
    return base.pack_host(host, python=python, store=store, progress=Silent(), packs=STORED, bytecode=False)


def test_layers_are_os_and_python_with_every_parent_before_its_children(
    host: HostFiles, python: Python, store: Store
) -> None:
    packed = pack(host, python, store)
    assert (packed.kind, [layer.comment for layer in packed.layers]) == ("host", ["os", "python"])
    for layer in members(packed, store):
        seen: set[str] = set()
        for path in layer:
            assert str(Path(path).parent) in {*seen, "/"}
            seen.add(path)


def test_owner_time_and_modes_are_fixed_and_nothing_is_setuid(
    host: HostFiles, python: Python, store: Store, tmp_path: Path
) -> None:
    os_layer, python_layer = members(pack(host, python, store), store)
    for info, _ in [*os_layer.values(), *python_layer.values()]:
        assert (info.uid, info.gid, info.uname, info.gname, info.mtime) == (0, 0, "", "", 315_619_200)
        assert not info.mode & 0o6000
    machine = tmp_path / "machine"
    assert os_layer[f"{machine}/os/bin/tool"][0].mode == 0o755
    assert os_layer[f"{machine}/os/lib/libz.so.1.3"][0].mode == 0o600
    assert os_layer[f"{machine}/os/lib/libz.so.1"][0].linkname == "libz.so.1.3"
    for path in ("/work", "/out", "/tmp", "/var/tmp"):  # noqa: S108 (paths of the image)
        assert os_layer[path][0].mode == 0o1777


def test_interpreter_is_moved_and_the_environment_links_to_it(
    host: HostFiles, python: Python, store: Store, tmp_path: Path
) -> None:
    _, layer = members(pack(host, python, store), store)
    for name in ("python", "python3", "python3.11"):
        assert layer[f"/opt/env/bin/{name}"][0].linkname == "/opt/python/bin/python3.11"
    assert layer["/opt/python/lib/python3.11/_sysconfigdata.py"][1] == b"prefix = '/opt/python'\n"
    assert layer["/opt/python/bin/python3"][0].linkname == "python3.11"
    assert layer["/opt/python/3.11.7"][0].linkname == "."
    assert layer["/opt/python/bin/python3.11"][0].mode == 0o755
    assert not [path for path, (_, data) in layer.items() if str(tmp_path).encode() in data]


def test_made_files_come_from_no_configuration_of_the_machine(
    host: HostFiles, python: Python, store: Store
) -> None:
    layer, _ = members(pack(host, python, store), store)
    assert b"envlock:x:65532:65532:" in layer["/etc/passwd"][1]
    assert layer["/etc/hostname"][1] == b""
    status = layer["/var/lib/dpkg/status"][1].decode()
    assert [line for line in status.splitlines() if line.startswith("Package")] == [
        "Package: tools",
        "Package: zlib1g",
    ]
    assert layer["/usr/lib/x86_64-linux-gnu/libmine.so"][0].linkname == "/opt/python/lib/libmine.so"
    assert layer["/opt/python/lib/libmine.so"][1] == b"mine"
    assert "/etc/ssl/certs/ca-certificates.crt" not in layer


def test_ca_bundle_is_the_packages_certificates_in_order(
    host: HostFiles, python: Python, store: Store
) -> None:
    directory = Path("/usr/share/ca-certificates/mozilla")
    names = sorted(directory.glob("*.crt"))[:3] if directory.is_dir() else []
    if not names:
        pytest.skip("this machine has no ca-certificates package")
    package = PackedPackage(
        package=SystemPackage(name="ca-certificates", version="1", architecture="all"),
        files=tuple(OwnedFile(path=str(name), checksum=None) for name in reversed(names)),
        status="Package: ca-certificates",
    )
    layer, _ = members(pack(replace(host, packages=(package,)), python, store), store)
    texts = [name.read_bytes().rstrip(b"\n") + b"\n" for name in names]
    assert layer["/etc/ssl/certs/ca-certificates.crt"][1] == b"".join(texts)
    assert layer["/usr/lib/ssl/cert.pem"][0].linkname == "/etc/ssl/certs/ca-certificates.crt"


def test_owned_interpreter_makes_a_layer_of_links_alone(
    host: HostFiles, python: Python, store: Store
) -> None:
    system = replace(host, interpreter=None, python_executable="/usr/bin/python3.11")
    _, layer = members(pack(system, python, store), store)
    assert list(layer) == [
        "/opt",
        "/opt/env",
        "/opt/env/bin",
        "/opt/env/bin/python",
        "/opt/env/bin/python3",
        "/opt/env/bin/python3.11",
    ]


def test_symlink_where_others_need_a_directory_becomes_one(
    host: HostFiles, python: Python, store: Store, tmp_path: Path
) -> None:
    link = tmp_path / "machine/alias"
    link.symlink_to("os/lib")
    mixed = replace(host, loose=(str(link), f"{link}/libloose.so"))
    layer, _ = members(pack(mixed, python, store), store)
    assert layer[str(link)][0].isdir()
    assert layer[f"{link}/libloose.so"][1] == b"loose"


def test_second_pack_reads_the_memory_and_writes_nothing(
    host: HostFiles, python: Python, store: Store
) -> None:
    first = packed(host, python, store)
    # Every write makes a file anew; a fact's date is its last use.
    files = {path: path.stat().st_ino for path in store.root.rglob("*")}
    assert packed(host, python, store) == first
    assert {path: path.stat().st_ino for path in store.root.rglob("*")} == files


def test_files_without_a_checksum_are_read_once_while_they_stay_as_they_are(
    host: HostFiles, python: Python, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store", clock=later)
    first = packed(host, python, store)
    opened: list[str] = []
    with watching_opened(opened):
        assert packed(host, python, store) == first
        read = {path for path in opened if path.startswith(str(tmp_path / "machine"))}
    assert read == set()


@pytest.mark.parametrize("name", ["os/lib/libloose.so", "somebody/libmine.so"])
def test_edit_of_the_same_length_with_its_times_put_back_is_packed(
    host: HostFiles, python: Python, tmp_path: Path, name: str
) -> None:
    store = Store(tmp_path / "store", clock=later)
    first, path = pack(host, python, store), tmp_path / "machine" / name
    assert pack(host, python, store) == first
    before = path.stat()
    time.sleep(0.05)
    path.write_bytes(b"X" * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    layer = members(pack(host, python, store), store)[0]
    assert b"X" * before.st_size in [data for _, data in layer.values()]


@pytest.mark.parametrize("moved", [True, False])
@pytest.mark.parametrize("data", [b"grown by more", b"less"])
def test_file_that_grows_or_shrinks_while_it_is_packed_is_refused(
    tmp_path: Path, data: bytes, *, moved: bool
) -> None:
    """Its size stands in the tar header before its bytes are read."""
    (tmp_path / "file").write_bytes(b"as it was")
    member = copied(Path("/"), str(tmp_path / "file"), "/lib/file")
    move = Move(old="/srv/python", new="/opt/python") if moved else None
    plan = identified(Plan(comment="os", members=(member,), move=move))
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(IntegrityError, match=r"9 bytes"):
        written(plan)


def test_file_without_a_checksum_that_changes_while_it_is_packed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"as it was")
    member = copied(Path("/"), str(tmp_path / "file"), "/lib/file")
    plan = identified(Plan(comment="os", members=(member,)))
    (tmp_path / "file").write_bytes(b"otherwise")
    with pytest.raises(IntegrityError, match="changed while it was captured"):
        written(plan)


def test_a_snapshotter_reads_single_files_of_every_layer(
    host: HostFiles, python: Python, store: Store, tmp_path: Path, estargz_reader: Path
) -> None:
    large = tmp_path / "machine/os/lib/libloose.so"
    large.write_bytes(random.Random(1).randbytes(3 << 20))
    (tmp_path / "machine/os/lib/empty").touch()
    packed = pack(replace(host, loose=(*host.loose, str(tmp_path / "machine/os/lib/empty"))), python, store)
    for layer, listing in zip(packed.layers, members(packed, store), strict=True):
        table = dict(layer.annotations)[TABLE_DIGEST]
        argv = [str(estargz_reader), str(store.path(layer.blob)), table]
        found = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
        for path, (info, data) in listing.items():
            assert (found[path[1:]]["mode"], found[path[1:]]["target"]) == (info.mode, info.linkname)
            if info.isreg():
                assert found[path[1:]]["sha256"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
        assert listing.keys() == {f"/{name}" for name in found} - set(NOT_OF_THE_IMAGE)


def test_a_name_with_a_backslash_is_packed_as_it_is(
    host: HostFiles, python: Python, store: Store, tmp_path: Path
) -> None:
    unit = tmp_path / r"machine/os/lib/system-getty\x2d1.slice"
    unit.write_bytes(b"[Unit]\n")
    layer, _ = members(pack(replace(host, loose=(*host.loose, str(unit))), python, store), store)
    assert layer[str(unit)][1] == b"[Unit]\n"


def test_altered_blob_in_the_store_is_packed_again(host: HostFiles, python: Python, store: Store) -> None:
    first = pack(host, python, store)
    store.path(first.layers[0].blob).write_bytes(b"truncated")
    assert pack(host, python, store) == first
    members(first, store)


@pytest.mark.parametrize("kind", ["base-layer", "base-leftovers"])
@pytest.mark.parametrize("damage", [b"", b"{}", b'{"blob": 1, "paths": 1}'])
def test_damaged_memory_is_no_memory(
    host: HostFiles, python: Python, store: Store, kind: str, damage: bytes
) -> None:
    first = packed(host, python, store)
    for fact in (store.root / "facts" / kind).iterdir():
        fact.write_bytes(damage)
    assert packed(host, python, store) == first


@pytest.mark.parametrize("name", ["os/lib/libloose.so", "os/lib/libz.so.1.3"])
def test_changed_input_gives_another_layer_or_is_refused(
    host: HostFiles, python: Python, store: Store, tmp_path: Path, name: str
) -> None:
    first = pack(host, python, store)
    path = tmp_path / "machine" / name
    path.chmod(0o755)
    path.write_bytes(b"changed")
    if name.endswith("libloose.so"):
        assert pack(host, python, store).layers[0] != first.layers[0]
    else:
        with pytest.raises(IntegrityError, match="changed while it was captured"):
            pack(host, python, store)


def test_file_that_is_gone_is_named_and_nothing_stays_behind(
    host: HostFiles, python: Python, store: Store, tmp_path: Path
) -> None:
    (tmp_path / "machine/os/lib/libloose.so").unlink()
    with pytest.raises(InputError, match=r"libloose\.so"):
        pack(host, python, store)
    assert not [path for path in store.root.rglob("*") if path.is_file()]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_unreadable_file_is_named(host: HostFiles, python: Python, store: Store, tmp_path: Path) -> None:
    (tmp_path / "machine/os/lib/libloose.so").chmod(0)
    with pytest.raises(InputError, match=r"libloose\.so"):
        pack(host, python, store)


def test_what_still_names_the_home_is_a_gap_also_from_memory(
    python: Python, store: Store, tmp_path: Path
) -> None:
    data = b"\0/home/ann/build\0"
    plan = Plan(
        comment="python",
        members=(Member(path="/opt/python/x", mode=0o644, data=data, size=len(data)),),
        move=Move(old="/home/ann/.pyenv/versions/3.11.7", new="/opt/python"),
    )
    first = base.packed_layer(plan, store, lambda _: None)
    assert [gap.subject for gap in first[1]] == ["/opt/python/x"]
    assert base.packed_layer(plan, store, lambda _: None) == first


def test_standard_library_without_bytecode_is_a_gap_that_names_no_place(
    host: HostFiles, python: Python, store: Store, tmp_path: Path
) -> None:
    """The fixture's interpreter is no program, so nothing can be compiled with it."""
    found = base.pack_host(host, python=python, store=store, progress=Silent(), packs=STORED)
    (gap,) = [gap for gap in found.gaps if gap.subject == "bytecode of the standard library"]
    assert str(tmp_path) not in gap.reason
    assert found.base == pack(host, python, store)


def test_a_disk_that_is_full_is_no_interpreter_that_does_not_run(
    host: HostFiles, python: Python, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise UnreachableError("no space left on the disk")

    monkeypatch.setattr(base_bytecode, "layer", full)
    with pytest.raises(UnreachableError, match="no space left"):
        base.pack_host(host, python=python, store=store, progress=Silent(), packs=STORED)


@contextmanager
def umask(value: int) -> Iterator[None]:
    old = os.umask(value)
    try:
        yield
    finally:
        os.umask(old)


_SCRIPT = """
import pickle, sys
from pathlib import Path
from envlock.core.progress import Silent
from envlock.host.store import Store
from envlock.image import base, base_bytecode, base_root
from envlock.image.packing import STORED
host, python = pickle.loads(Path(sys.argv[1]).read_bytes())
store = Store(Path(sys.argv[2]))
made = base.pack_host(host, python=python, store=store, progress=Silent(), packs=STORED, bytecode=False)
print([(layer.diff_id.hex, layer.blob.hex) for layer in made.base.layers])
"""


def test_digests_do_not_depend_on_umask_locale_time_zone_or_hash_seed(
    host: HostFiles, python: Python, tmp_path: Path
) -> None:
    (tmp_path / "input").write_bytes(pickle.dumps((host, python)))
    answers = set()
    variants = [
        (0o022, {"LC_ALL": "C", "TZ": "UTC", "PYTHONHASHSEED": "0"}),
        (0o077, {"LC_ALL": "C.UTF-8", "TZ": "Pacific/Auckland", "PYTHONHASHSEED": "4711"}),
    ]
    for number, (mask, variables) in enumerate(variants):
        arguments = [str(tmp_path / "input"), str(tmp_path / f"store{number}")]
        with umask(mask):
            done = subprocess.run(
                [sys.executable, "-c", _SCRIPT, *arguments],
                env={**os.environ, **variables, "PYTHONPATH": os.pathsep.join(sys.path)},
                cwd=tmp_path,
                check=True,
                capture_output=True,
            )
        answers.add(done.stdout)
    assert len(answers) == 1


@pytest.mark.parametrize(
    ("manager", "loose", "place", "text"),
    [
        ("dpkg", (), "/var/lib/dpkg/status", b"b\n\nz\n\n"),
        ("rpm", (), "/var/lib/rpmmanifest/container-manifest-2", b"b\nz\n"),
        ("apk", (), "/lib/apk/db/installed", b"b\n\nz\n\n"),
        ("apk", ("/lib",), "/usr/lib/apk/db/installed", b"b\n\nz\n\n"),
    ],
)
def test_packages_are_told_where_their_manager_keeps_them(
    manager: PackageManager, loose: tuple[str, ...], place: str, text: bytes
) -> None:
    packages = tuple(
        PackedPackage(
            package=SystemPackage(name=status, version="1", architecture="x", manager=manager),
            files=(),
            status=status,
        )
        for status in ("z", "b")
    )
    host = HostFiles(packages=packages, loose=loose, interpreter=None, python_executable="/usr/bin/python3")
    made = base_root.files(host)
    assert made[place] == text
    assert ("/var/lib/dpkg/status" in made) == (manager == "dpkg")


def test_dpkgs_lists_say_whose_each_packed_file_is() -> None:
    """A capture of the image finds the same owners (dpkg-query(1), ``--control-path``)."""
    packages = tuple(
        PackedPackage(
            package=SystemPackage(name=name, version="1", architecture="amd64"),
            files=(
                OwnedFile(path=f"/usr/lib/{name}.so", checksum=f"md5:{'0' * 32}"),
                OwnedFile(path=f"/etc/{name}.conf", checksum=None),
            ),
            status=f"Package: {name}\nStatus: install ok installed\nVersion: 1\n{more}Architecture: amd64",
        )
        for name, more in (("zlib1g", "Multi-Arch: same\n"), ("bash", "Multi-Arch: foreign\n"))
    )
    host = HostFiles(packages=packages, loose=(), interpreter=None, python_executable="/usr/bin/python3")
    made = base_root.files(host)
    assert made["/var/lib/dpkg/info/zlib1g:amd64.list"] == b"/.\n/usr/lib/zlib1g.so\n/etc/zlib1g.conf\n"
    assert made["/var/lib/dpkg/info/zlib1g:amd64.md5sums"] == b"0" * 32 + b"  usr/lib/zlib1g.so\n"
    assert "/var/lib/dpkg/info/bash.list" in made


def test_the_lists_are_read_back_as_they_were_packed(
    host: HostFiles, python: Python, store: Store, tmp_path: Path
) -> None:
    layer, _ = members(pack(host, python, store), store)
    for path, (_, data) in layer.items():
        if path.startswith("/var/lib/dpkg/") and data:
            (tmp_path / "image" / path[1:]).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "image" / path[1:]).write_bytes(data)
    database = packages_dpkg.load(tmp_path / "image")
    assert database is not None
    for package in host.packages:
        found = database.named(package.package.name)
        assert found is not None
        assert database.files(found) == tuple(sorted(file.path for file in package.files))
