import io
import os
import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from installer.sources import WheelFile

from envlock.host.store import Store
from envlock.lock.environment import CarriedFile, InstalledDistribution, RecordEntry
from envlock.lock.model import Wheel
from envlock.runtime.errors import InputError, IntegrityError
from envlock.wheels import archive, record
from envlock.wheels.archive import PIECE, Member
from envlock.wheels.launcher import as_in_wheel, entry_points, is_generated
from envlock.wheels.members import contents, filename
from envlock.wheels.repack import repack
from tests.ordinary_user import ordinary_user
from tests.wheels.conftest import Environment, describe, record_hash, wheel


def rebuilt(distribution: InstalledDistribution, store: Store) -> tuple[Wheel, dict[str, bytes]]:
    made = repack(distribution, contents(distribution).members, store, lambda _: None).wheel
    with zipfile.ZipFile(store.path(made.sha256)) as opened:
        assert opened.testzip() is None
        return made, {name: opened.read(name) for name in opened.namelist()}


FILES = {
    "demo/__init__.py": b"def main():\n    return 0\n",
    "demo/data.bin": bytes(3000),
    "demo/naïve.txt": b"",
    "demo-1.0.data/scripts/tool": b"#!python\nprint('tool')\n",
    "demo-1.0.data/scripts/native": b"\x7fELF",
    "demo-1.0.data/data/share/man/man1/tool.1": b"manual",
}


def test_a_repacked_wheel_has_the_files_of_the_original_and_nothing_of_the_machine(
    environment: Environment, store: Store
) -> None:
    made = wheel("demo", "1.0", FILES, entry_points="[console_scripts]\ndemo = demo:main\n")
    _, found = rebuilt(environment.install(made), store)
    with zipfile.ZipFile(BytesIO(made[1])) as original:
        expected = {name: original.read(name) for name in original.namelist()}
    name = "demo-1.0.dist-info/RECORD"
    assert {**found, name: b""} == {**expected, name: b""}
    assert str(environment.prefix).encode() not in b"".join(found.values())


def test_a_repacked_wheel_is_valid_and_installs_as_the_original_did(
    environment: Environment, store: Store, tmp_path: Path
) -> None:
    made = wheel("demo", "1.0", FILES, entry_points="[console_scripts]\ndemo = demo:main\n")
    first = environment.install(made)
    again, _ = rebuilt(first, store)
    path = tmp_path / again.name
    path.write_bytes(store.path(again.sha256).read_bytes())
    with WheelFile.open(path) as opened:
        opened.validate_record()
    other = Environment(tmp_path / "other").install((again.name, path.read_bytes()))
    # Launchers and rewritten first lines name the prefix; the rest must be equal.
    plain = [
        {(one.path, one.sha256) for one in which.record if not one.path.startswith("../../../bin")}
        for which in (first, other)
    ]
    assert plain[0] == plain[1]
    assert {one.path for one in first.record} == {one.path for one in other.record}


def test_the_same_files_give_the_same_wheel_wherever_they_lie(store: Store, tmp_path: Path) -> None:
    made = wheel("demo", "1.0", FILES)
    first, _ = rebuilt(Environment(tmp_path / "a").install(made), store)
    old_mask = os.umask(0o077)
    try:
        installed = Environment(tmp_path / "b").install(made)
    finally:
        os.umask(old_mask)
    os.utime(installed.site / "demo/__init__.py", (1, 1))
    other = Store(tmp_path / "other")
    second, _ = rebuilt(replace(installed, record=installed.record[::-1]), other)
    assert second == first


def test_members_are_sorted_with_the_metadata_last_and_modes_and_times_fixed(
    environment: Environment, store: Store
) -> None:
    made, _ = rebuilt(environment.install(wheel("demo", "1.0", FILES)), store)
    with zipfile.ZipFile(store.path(made.sha256)) as opened:
        infos = opened.infolist()
    names = [one.filename for one in infos]
    metadata = [name for name in names if name.startswith("demo-1.0.dist-info/")]
    assert names[-len(metadata) :] == metadata
    assert names[-1] == "demo-1.0.dist-info/RECORD"
    assert names[: -len(metadata)] == sorted(names[: -len(metadata)])
    assert {one.date_time for one in infos} == {(1980, 1, 1, 0, 0, 0)}
    assert {oct(one.external_attr >> 16) for one in infos} == {"0o100644", "0o100755"}
    assert {one.create_system for one in infos} == {3}


def test_an_unchanged_package_is_not_compressed_twice(environment: Environment, store: Store) -> None:
    installed = environment.install(wheel("demo", "1.0", FILES))
    members = contents(installed).members
    done: list[int] = []
    first = repack(installed, members, store, done.append)
    written = store.path(first.wheel.sha256).stat().st_mtime_ns
    assert repack(installed, members, store, done.append) == first
    assert store.path(first.wheel.sha256).stat().st_mtime_ns == written
    assert sum(done) == 2 * sum(member.size for member in members)


def test_a_damaged_wheel_in_the_store_is_made_again(environment: Environment, store: Store) -> None:
    installed = environment.install(wheel("demo", "1.0", FILES))
    first, _ = rebuilt(installed, store)
    store.path(first.sha256).write_bytes(b"damaged")
    assert rebuilt(installed, store)[0] == first


def test_a_file_that_changes_meanwhile_is_told(environment: Environment, store: Store) -> None:
    installed = environment.install(wheel("demo", "1.0", FILES))
    (environment.site / "demo/__init__.py").write_bytes(b"changed")
    with pytest.raises(IntegrityError, match=r"demo 1\.0 changed while"):
        rebuilt(installed, store)
    assert list((store.root / "incoming").iterdir()) == []


def test_a_file_that_vanishes_meanwhile_is_told(environment: Environment, store: Store) -> None:
    installed = environment.install(wheel("demo", "1.0", FILES))
    members = contents(installed).members
    (environment.site / "demo/__init__.py").unlink()
    with pytest.raises(InputError, match=r"cannot read a file of demo 1\.0.*__init__"):
        repack(installed, members, store, lambda _: None)


def test_missing_files_are_left_out_and_edited_ones_are_taken_as_they_are(
    environment: Environment, store: Store
) -> None:
    environment.install(wheel("demo", "1.0", FILES))
    (environment.site / "demo/data.bin").unlink()
    (environment.site / "demo/__init__.py").write_bytes(b"changed")
    installed = describe(environment.site, "demo-1.0")
    assert installed.modified == ("demo/__init__.py", "demo/data.bin")
    _, found = rebuilt(installed, store)
    assert "demo/data.bin" not in found
    assert found["demo/__init__.py"] == b"changed"
    assert record_hash(b"changed") in found["demo-1.0.dist-info/RECORD"].decode()


def test_files_outside_the_prefix_are_named_and_left_out(environment: Environment) -> None:
    installed = environment.install(wheel("demo", "1.0", FILES))
    outside = environment.prefix.parent / "outside.txt"
    outside.write_text("x")
    more = tuple(
        RecordEntry(path=path, sha256=None, size=None)
        for path in ("../../../../outside.txt", str(outside), "../../../../gone.txt")
    )
    found = contents(replace(installed, record=(*installed.record, *more)))
    reason = "lies outside the environment"
    assert found.left_out == (("../../../../outside.txt", reason), (str(outside), reason))
    assert not any("outside" in member.name for member in found.members)


def listing(installed: InstalledDistribution, *paths: str) -> InstalledDistribution:
    """Return the distribution with more lines in its RECORD."""
    more = tuple(RecordEntry(path=path, sha256=None, size=None) for path in paths)
    return replace(installed, record=(*installed.record, *more))


def test_the_environment_s_own_files_are_no_distribution_s(environment: Environment) -> None:
    installed = environment.install(wheel("demo", "1.0", FILES))
    for path in ("pyvenv.cfg", "bin/python3.11"):
        (environment.prefix / path).write_text("x")
    found = contents(listing(installed, "../../../pyvenv.cfg", "../../../bin/python3.11"))
    assert [path for path, _ in found.left_out] == ["../../../bin/python3.11", "../../../pyvenv.cfg"]


def test_a_login_in_a_url_of_the_metadata_is_left_out_and_named(
    environment: Environment, store: Store
) -> None:
    installed = environment.install(wheel("demo", "1.0", FILES))
    path = installed.site / "demo-1.0.dist-info/METADATA"
    logins = [
        "Requires-Dist: other @ https://bot:secret@files.example/other-1.0.whl",
        "Home-page: https://secret@git.example/demo",
        "Project-URL: all, https://git.example/?private_token=secret",
        "Project-URL: some, https://git.example/?a=1&access_token=secret&page=2&X-Amz-Signature=secret#sig=secret",
        "Project-URL: none, https://git.example/?page=2&sort=up#token",
        "Project-URL: code, git+ssh://git@git.example/demo",
        "Author-email: Ann <ann@git.example>",
    ]
    body = "\n\nredis://user:password@localhost is the default\n"
    path.write_text("\n".join(["Metadata-Version: 2.1", "Name: demo", "Version: 1.0", *logins]) + body)
    changed = replace(installed, modified=("demo-1.0.dist-info/METADATA",))
    _, found = rebuilt(changed, store)
    text = found["demo-1.0.dist-info/METADATA"].decode()
    assert "secret" not in text
    assert "other @ https://files.example/other-1.0.whl\nHome-page: https://git.example/demo\n" in text
    assert "all, https://git.example/\n" in text
    assert "some, https://git.example/?a=1&page=2\n" in text
    assert "none, https://git.example/?page=2&sort=up#token\n" in text
    assert text.endswith("git+ssh://git@git.example/demo\nAuthor-email: Ann <ann@git.example>" + body)
    assert contents(changed).left_out == (("a login", "in a URL of its METADATA"),)


def test_names_that_no_wheel_can_hold_are_left_out(environment: Environment) -> None:
    installed = environment.install(wheel("demo", "1.0", FILES))
    (environment.site / "back\\slash.py").write_text("x")
    found = contents(listing(installed, "back\\slash.py"))
    assert found.left_out == (("back\\slash.py", "has a name that no wheel can hold"),)


def test_a_file_that_cannot_be_read_is_left_out(public_directory: Path) -> None:
    installed = Environment(public_directory / "env").install(wheel("demo", "1.0", FILES))
    (installed.site / "demo/data.bin").chmod(0)
    with ordinary_user():
        found = contents(installed)
    assert found.left_out == (("demo/data.bin", "can't be read"),)


def test_bytecode_is_a_module_where_it_has_no_source(environment: Environment) -> None:
    installed = environment.install(wheel("demo", "1.0", {"demo/core.pyc": b"code", "demo/a.py": b""}))
    (environment.site / "demo/a.pyc").write_bytes(b"made")
    found = [member.name for member in contents(listing(installed, "demo/a.pyc")).members]
    assert found[:2] == ["demo/a.py", "demo/core.pyc"]
    assert "demo/a.pyc" not in found


def test_carried_files_take_the_place_of_what_led_to_them(
    environment: Environment, store: Store, tmp_path: Path
) -> None:
    source = tmp_path / "src/demo.py"
    source.parent.mkdir()
    source.write_text("x = 1")
    installed = environment.install(
        wheel("demo", "1.0", {"demo.pth": b"/src"}, entry_points="[console_scripts]\ndemo = demo:main\n")
    )
    carried = (
        CarriedFile(name="demo.py", path=source),
        CarriedFile(name="gone.py", path=tmp_path / "gone.py"),
    )
    replaced = ("demo-1.0.dist-info/WHEEL", "demo.pth")
    made, found = rebuilt(replace(installed, carried=carried, replaced=replaced, tags=()), store)
    assert made.name == "demo-1.0-py3-none-any.whl"
    info = "demo-1.0.dist-info"
    names = ["demo.py", *(f"{info}/{name}" for name in ("METADATA", "WHEEL", "entry_points.txt", "RECORD"))]
    assert list(found) == names
    assert "Generator: envlock" in found[f"{info}/WHEEL"].decode()


def test_a_distribution_without_metadata_gets_the_least(environment: Environment, store: Store) -> None:
    environment.install(wheel("demo", "1.0", {"demo.py": b""}))
    bare = replace(
        describe(environment.site, "demo-1.0"),
        name="a-b",
        raw_name="A.b",
        record=(),
        tags=(),
        dist_info="a_b-1.0.dist-info",
        carried=(CarriedFile(name="demo.py", path=environment.site / "demo.py"),),
    )
    made, found = rebuilt(bare, store)
    assert made.name == "a_b-1.0-py3-none-any.whl"
    assert found["a_b-1.0.dist-info/METADATA"] == b"Metadata-Version: 2.1\nName: A.b\nVersion: 1.0\n"


@pytest.mark.parametrize(
    ("directory", "expected"),
    [
        ("Demo-1.0.dist-info", "Demo-1.0.dist-info"),
        ("demo-1.dist-info", "demo-1.dist-info"),
        ("demo-9.dist-info", "demo-1.0.dist-info"),
        ("my-demo-1.0.dist-info", "demo-1.0.dist-info"),
        ("demo-1.0.egg-info", "demo-1.0.dist-info"),
    ],
)
def test_the_metadata_directory_agrees_with_the_wheel_s_name(
    environment: Environment, directory: str, expected: str
) -> None:
    installed = environment.install(wheel("demo", "1.0", {"demo.py": b""}))
    (environment.site / "demo-1.0.dist-info").rename(environment.site / directory)
    entries = tuple(
        one._replace(path=one.path.replace("demo-1.0.dist-info", directory)) for one in installed.record
    )
    found = contents(replace(installed, dist_info=directory, record=entries)).members
    assert {member.name.partition("/")[0] for member in found} == {"demo.py", expected}


def test_a_site_that_is_no_site_packages_has_its_parent_as_prefix(
    environment: Environment, tmp_path: Path
) -> None:
    installed = environment.install(wheel("demo", "1.0", {"demo.py": b""}))
    target = tmp_path / "target" / "packages"
    target.parent.mkdir()
    (environment.site).rename(target)
    (tmp_path / "target" / "note").write_text("x")
    entry = RecordEntry(path="../note", sha256=None, size=None)
    found = contents(replace(installed, site=target, record=(*installed.record, entry)))
    assert "demo-1.0.data/data/note" in [member.name for member in found.members]


@pytest.mark.parametrize(
    ("names", "tag"),
    [
        (["demo/a.py"], "py3-none-any"),
        (["demo/_a.cpython-311-x86_64-linux-gnu.so", "demo/b.so"], "cp311-cp311-linux_x86_64"),
        (["demo/_a.cpython-311.so"], f"cp311-cp311-linux_{os.uname().machine}"),
        (["demo/libx.so"], f"py3-none-linux_{os.uname().machine}"),
    ],
)
def test_without_a_wheel_file_tags_come_from_the_extension_modules(
    environment: Environment, store: Store, names: list[str], tag: str
) -> None:
    environment.install(wheel("demo", "1.0", dict.fromkeys(names, b"")))
    (environment.site / "demo-1.0.dist-info" / "WHEEL").unlink()
    made, found = rebuilt(describe(environment.site, "demo-1.0"), store)
    assert made.name == f"demo-1.0-{tag}.whl"
    assert f"Tag: {tag}\n" in found["demo-1.0.dist-info/WHEEL"].decode()
    purelib = str(tag.endswith("any")).lower()
    assert f"Root-Is-Purelib: {purelib}\n" in found["demo-1.0.dist-info/WHEEL"].decode()


def test_names_are_escaped_and_tags_compressed(environment: Environment) -> None:
    installed = environment.install(wheel("demo", "1.0", {}))
    named = replace(
        installed,
        name="a-b-c",
        version="1.0+CPU.1",
        build="2x",
        tags=("py2-none-any", "py3-none-any"),
    )
    assert filename(named, ()) == "a_b_c-1.0+cpu.1-2x-py2.py3-none-any.whl"
    with_both = replace(installed, tags=("py2.py3-none-any",))
    assert filename(with_both, ()) == "demo-1.0-py2.py3-none-any.whl"


def test_entry_points_that_cannot_be_read_name_no_script() -> None:
    assert entry_points("no section").names == frozenset()
    assert entry_points("").names == frozenset()
    known = entry_points("[console_scripts]\npip = pip._internal.cli.main:main [x]\n[other]\na = b:c\n")
    assert known.names == {"pip"}
    assert known.targets == {("pip._internal.cli.main", "main")}


def test_launchers_are_known_by_name_or_by_what_they_call() -> None:
    known = entry_points("[console_scripts]\npip = pip._internal.cli.main:main\n")
    launcher = b"#!/x/python\nimport sys\nfrom pip._internal.cli.main import main\nsys.exit(main())\n"
    assert is_generated("pip", b"", known)
    assert is_generated("pip3.11", launcher, known)
    assert not is_generated("tool", launcher.replace(b"pip._internal", b"other"), known)


@pytest.mark.parametrize(
    "first",
    [
        b"#!/env/bin/python\n",
        b"#!/env/bin/python3.11\n",
        b'#!"/env/bin/python3" -s\n'.replace(b'"', b""),
        b"#!/bin/sh\n'''exec' /env/bin/python \"$0\" \"$@\"\n' '''\n",
        b"#!/bin/sh\n'''exec' \"/env/bin/python\" \"$0\" \"$@\"\n' '''\n",
    ],
)
def test_the_environment_s_interpreter_becomes_python_again(first: bytes) -> None:
    assert as_in_wheel(first + b"rest\n", "/env/bin") == b"#!python\nrest\n"


@pytest.mark.parametrize(
    "first", [b"#!/usr/bin/env python\n", b"#!/bin/sh\n", b"#!/other/bin/python\n", b"#!x"]
)
def test_other_first_lines_stay(first: bytes) -> None:
    assert as_in_wheel(first + b"rest\n", "/env/bin") == first + b"rest\n"


class Recorder:
    """Keeps what ``seen`` is told."""

    def __init__(self, kept: list[tuple[str, bytes]]) -> None:
        self._kept = kept

    def __call__(self, member: Member, data: bytes) -> None:
        self._kept.append((member.name, data))


_contents = st.one_of(st.binary(max_size=50), st.integers(0, 3).map(lambda n: bytes(PIECE) * n))


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.text("abcé/", min_size=1, max_size=6), _contents, max_size=4))
def test_an_archive_holds_exactly_its_members(files: dict[str, bytes]) -> None:
    """Rule: what is written is read back by an independent reader, and depends on nothing else."""
    members = [Member(name=name, executable=len(data) % 2 == 0, content=data) for name, data in files.items()]
    written = []
    for _ in range(2):
        stream = io.BytesIO()
        seen: list[tuple[str, bytes]] = []
        archive.write(members, stream, Recorder(seen))
        for name, data in files.items():
            assert b"".join(piece for which, piece in seen if which == name) == data
        written.append(stream.getvalue())
    assert written[0] == written[1]
    with zipfile.ZipFile(io.BytesIO(written[0])) as opened:
        assert {name: opened.read(name) for name in opened.namelist()} == files
        assert opened.testzip() is None


class Claimed(Member):
    """A member that says it is large when its header is written."""

    @property
    def size(self) -> int:
        return 1 << 32


def test_members_and_archives_beyond_32_bits_use_zip64(tmp_path: Path) -> None:
    target = tmp_path / "large.zip"
    members = [
        Claimed(name="a", executable=False, content=b"wide"),
        Member(name="b", executable=False, content=b"narrow"),
    ]
    with target.open("w+b") as stream:
        # What stands before an archive counts in its offsets; a sparse file has 4 GiB for nothing.
        stream.seek(1 << 32)
        archive.write(members, stream, lambda _member, _data: None)
    with zipfile.ZipFile(target) as opened:
        assert [opened.getinfo(name).header_offset >= 1 << 32 for name in "ab"] == [True, True]
        assert (opened.read("a"), opened.read("b")) == (b"wide", b"narrow")
        assert opened.testzip() is None


@pytest.mark.slow
def test_more_members_than_16_bits_can_count_are_written() -> None:
    stream = io.BytesIO()
    members = (Member(name=f"{i:x}", executable=False) for i in range(65_600))
    archive.write(members, stream, lambda _member, _data: None)
    with zipfile.ZipFile(stream) as opened:
        assert len(opened.namelist()) == 65_600


def test_record_rows_are_read_and_written_as_installers_do() -> None:
    data = b'"a,b.py",sha256=' + b"A" * 43 + b",3\nc.py,sha384=AAAA,\nshort\n\n,x,y\nx,,not\n"
    entries = record.parse(data)
    assert [(one.path, one.size) for one in entries] == [
        ("a,b.py", 3),
        ("c.py", None),
        ("short", None),
        ("x", None),
    ]
    assert entries[0].sha256 == "A" * 43
    assert entries[1].sha256 is None
    assert record.parse(record.dumps(entries)) == entries
    assert record.content_digest(entries) == record.content_digest(entries[::-1])


@pytest.mark.parametrize("data", [b"\xff", b'"' + b"x" * 200_000])
def test_a_record_that_is_no_text_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        record.parse(data)


def test_bytecode_is_known_by_its_name() -> None:
    assert record.is_bytecode("a/__pycache__/b.cpython-311.pyc")
    assert record.is_bytecode("a/b.pyc")
    assert not record.is_bytecode("a/b.py")
