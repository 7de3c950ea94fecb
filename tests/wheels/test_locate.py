"""Which wheel was it? Against an index on loopback, with wheels made here."""

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
import requests

from envlock.core.digest import Digest
from envlock.core.progress import Silent
from envlock.host.store import Store
from envlock.lock.environment import DirectUrl, RecordEntry
from envlock.lock.model import CondaPackage, Gap, Package
from envlock.wheels.locate import Located, locate
from tests.wheels.conftest import Environment, IndexSimulator, Locate, describe, wheel

BIG = {"demo/__init__.py": b"x = 1\n", "demo/big.bin": bytes(range(256)) * 4096}


def only(located: Located) -> Package:
    (package,) = located.packages
    return package


def unconfirmed(located: Located) -> str:
    """Return the one gap's reason, of a package that had to be repacked."""
    assert only(located).evidence == "repacked"
    (gap,) = located.gaps
    assert not gap.harmless
    return gap.reason


def test_the_wheel_is_found_by_its_record_and_hashed_by_the_index(
    environment: Environment, index: IndexSimulator, find: Locate
) -> None:
    made = wheel("demo", "1.0", BIG)
    url = index.add(made)
    package = only(find(environment.install(made)))
    assert package.wheel.sha256 == Digest.of(made[1])
    assert package.wheel.size == len(made[1])
    assert (package.wheel.name, package.wheel.url, package.wheel.path) == (made[0], url, None)
    assert (package.source, package.evidence, package.index) == ("index", "matched", "test")


def test_only_the_end_of_a_big_wheel_is_read(
    environment: Environment, index: IndexSimulator, find: Locate
) -> None:
    noise = b"".join(hashlib.sha256(bytes([i % 256, i // 256])).digest() for i in range(60_000))
    made = wheel("demo", "1.0", {"demo/noise.bin": noise})
    index.add(made)
    assert only(find(environment.install(made))).evidence == "matched"
    assert index.sent < 200_000 < len(made[1])


@pytest.mark.parametrize("as_html", [True, False])
def test_of_several_builds_the_installed_one_is_taken(
    environment: Environment, index: IndexSimulator, find: Locate, *, as_html: bool
) -> None:
    index.as_html = as_html
    builds = [
        wheel("demo", "1.0", {"demo/a.py": tag.encode()}, tag=tag)
        for tag in ("cp311-cp311-manylinux_2_28_x86_64", "cp311-cp311-manylinux_2_17_x86_64", "py3-none-any")
    ]
    for made in builds:
        index.add(made)
    package = only(find(environment.install(builds[1])))
    assert package.wheel.name == builds[1][0]
    wheels_asked = {path for path, _ in index.requests if path.startswith("/files/")}
    assert wheels_asked == {f"/files/{builds[1][0]}"}


def test_a_wheel_that_was_renamed_after_its_build_is_found(
    environment: Environment, index: IndexSimulator, find: Locate
) -> None:
    made = wheel(
        "demo", "1.0", BIG, tag="cp311-cp311-manylinux_2_17_x86_64", stated="cp311-cp311-linux_x86_64"
    )
    index.add(made)
    assert only(find(environment.install(made))).wheel.name == made[0]


def test_a_login_in_the_metadata_of_a_published_wheel_is_named(
    environment: Environment, index: IndexSimulator, find: Locate
) -> None:
    made = wheel("demo", "1.0", BIG, requires=("other @ https://bot:secret@files.example/other-1.0.whl",))
    index.add(made)
    located = find(environment.install(made))
    assert only(located).wheel.sha256 == Digest.of(made[1])
    reason = "a login in a URL of its METADATA stays there: the wheel is the one that was published"
    assert located.gaps == (Gap(subject="demo", reason=reason, harmless=True),)


def test_a_version_that_the_index_spells_otherwise_is_found(
    environment: Environment, index: IndexSimulator, find: Locate
) -> None:
    made = wheel("demo", "2024.01.05", BIG)
    index.add(made)
    installed = replace(environment.install(made), version="2024.1.5")
    assert only(find(installed)).evidence == "matched"


def test_a_local_build_of_the_same_version_and_tags_is_repacked(
    environment: Environment, index: IndexSimulator, find: Locate, store: Store
) -> None:
    index.add(wheel("demo", "1.0", {"demo/a.py": b"upstream"}))
    package = only(find(environment.install(wheel("demo", "1.0", {"demo/a.py": b"mine"}))))
    assert (package.source, package.evidence, package.index) == ("repacked", "repacked", None)
    assert package.wheel.path == ".envlock/wheels/demo-1.0-py3-none-any.whl"
    found = store.find(package.wheel.sha256)
    assert found is not None
    assert zipfile.ZipFile(found).read("demo/a.py") == b"mine"


@pytest.mark.parametrize("extra", [True, False])
def test_a_wheel_with_another_set_of_files_is_no_match(
    environment: Environment, index: IndexSimulator, find: Locate, *, extra: bool
) -> None:
    more = {"demo/a.py": b"a", "demo/b.py": b"b"}
    less = {"demo/a.py": b"a"}
    index.add(wheel("demo", "1.0", more if extra else less))
    assert (
        only(find(environment.install(wheel("demo", "1.0", less if extra else more)))).evidence == "repacked"
    )


def test_scripts_data_and_headers_do_not_hide_a_match(
    environment: Environment, index: IndexSimulator, find: Locate
) -> None:
    made = wheel(
        "demo",
        "1.0",
        {
            "demo/__init__.py": b"",
            "demo/_vendor/x-1.dist-info/RECORD": b"vendored",
            "demo/_vendor/x-1.dist-info/INSTALLER": b"vendored",
            "demo-1.0.data/scripts/tool": b"#!python\nprint(1)\n",
            "demo-1.0.data/data/share/man/tool.1": b"manual",
            "demo-1.0.data/headers/demo.h": b"int x;",
            "demo-1.0.data/platlib/demo/more.py": b"more",
        },
        entry_points="[console_scripts]\ndemo = demo:main\n",
    )
    index.add(made)
    assert only(find(environment.install(made))).evidence == "matched"


def test_what_virtualenv_writes_beside_the_metadata_does_not_hide_a_match(
    environment: Environment, index: IndexSimulator, find: Locate
) -> None:
    made = wheel("demo", "1.0", BIG)
    index.add(made)
    installed = environment.install(made)
    note = RecordEntry(path="demo-1.0.virtualenv", sha256=None, size=None)
    found = only(find(replace(installed, record=(*installed.record, note))))
    assert found.evidence == "matched"
    other = RecordEntry(path="other-1.0.virtualenv", sha256=None, size=None)
    found = only(find(replace(installed, record=(*installed.record, other))))
    assert found.evidence == "repacked"


def test_a_changed_data_file_is_no_match(
    environment: Environment, index: IndexSimulator, find: Locate
) -> None:
    index.add(wheel("demo", "1.0", {"demo-1.0.data/data/share/x": b"upstream"}))
    installed = environment.install(wheel("demo", "1.0", {"demo-1.0.data/data/share/x": b"mine"}))
    assert only(find(installed)).evidence == "repacked"


def test_a_file_edited_after_the_installation_is_carried_as_it_is(
    environment: Environment, index: IndexSimulator, find: Locate, store: Store
) -> None:
    made = wheel("demo", "1.0", BIG)
    index.add(made)
    installed = environment.install(made)
    (environment.site / "demo/__init__.py").write_bytes(b"x = 2\n")
    package = only(find(replace(installed, modified=("demo/__init__.py",))))
    assert (package.evidence, package.modified) == ("repacked", ("demo/__init__.py",))
    assert zipfile.ZipFile(store.path(package.wheel.sha256)).read("demo/__init__.py") == b"x = 2\n"


def test_a_launcher_that_only_got_options_is_no_change_and_any_other_change_is(
    environment: Environment, index: IndexSimulator, find: Locate
) -> None:
    made = wheel("demo", "1.0", BIG, entry_points="[console_scripts]\ndemo = demo:main\n")
    index.add(made)
    path = "../../../bin/demo"
    installed = replace(environment.install(made), modified=(path,))
    script = environment.prefix / "bin/demo"
    first, _, rest = script.read_text().partition("\n")
    script.write_text(f"{first} -sE\n{rest}")
    package = only(find(installed))
    assert (package.evidence, package.modified, package.modified_digest) == ("matched", (), None)
    script.write_text(f"{first} -sE\nimport os\n{rest}")
    assert only(find(installed)).modified == (path,)


def test_a_server_without_ranges_sends_the_wheel_once_into_the_store(
    environment: Environment, index: IndexSimulator, find: Locate, store: Store
) -> None:
    index.ranges = False
    made = wheel("demo", "1.0", BIG)
    index.add(made)
    package = only(find(environment.install(made)))
    assert package.evidence == "matched"
    assert store.find(Digest.of(made[1])) is not None


def test_an_index_without_hashes_makes_us_hash(
    environment: Environment, index: IndexSimulator, find: Locate
) -> None:
    index.with_hashes = False
    made = wheel("demo", "1.0", BIG)
    index.add(made)
    package = only(find(environment.install(made)))
    assert (package.evidence, package.wheel.sha256) == ("hashed", Digest.of(made[1]))


def test_a_downloaded_wheel_of_other_content_is_no_match(
    environment: Environment, index: IndexSimulator, find: Locate
) -> None:
    index.ranges = False
    index.add(wheel("demo", "1.0", {"demo/a.py": b"upstream"}))
    assert only(find(environment.install(wheel("demo", "1.0", BIG)))).evidence == "repacked"


def test_an_index_that_states_a_wrong_hash_is_told_when_bytes_are_there_to_tell(
    environment: Environment, index: IndexSimulator, find: Locate
) -> None:
    index.ranges = False
    index.wrong_hash = True
    made = wheel("demo", "1.0", BIG)
    index.add(made)
    assert "another hash is stated" in unconfirmed(find(environment.install(made)))


def test_a_second_capture_asks_nothing_of_the_network(
    environment: Environment, index: IndexSimulator, find: Locate
) -> None:
    made = wheel("demo", "1.0", BIG)
    index.add(made)
    installed = environment.install(made)
    first = find(installed)
    index.requests.clear()
    assert find(installed) == first
    assert find(installed, offline=True) == first
    assert index.requests == []


def test_offline_what_was_never_confirmed_is_repacked(
    environment: Environment, index: IndexSimulator, find: Locate
) -> None:
    made = wheel("demo", "1.0", BIG)
    index.add(made)
    assert only(find(environment.install(made), offline=True)).evidence == "repacked"
    assert index.requests == []


@pytest.mark.parametrize("status", [404, 410])
def test_an_index_that_lacks_the_project_is_no_error(
    environment: Environment, index: IndexSimulator, find: Locate, status: int
) -> None:
    index.faults["/simple/demo/"] = [status]
    assert only(find(environment.install(wheel("demo", "1.0", BIG)))).evidence == "repacked"


@pytest.mark.parametrize("status", [401, 403, 429, 500])
def test_an_index_that_does_not_answer_is_a_gap_of_what_it_might_have(
    environment: Environment, index: IndexSimulator, find: Locate, status: int
) -> None:
    index.faults["/simple/demo/"] = [status]
    told = unconfirmed(find(environment.install(wheel("demo", "1.0", BIG))))
    assert f"the index test did not answer: {index.url}/simple/: found status {status}" in told


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/vnd.pypi.simple.v1+json", b"{"),
        ("application/vnd.pypi.simple.v1+json", b"[1]"),
        ("application/vnd.pypi.simple.v1+json", b'{"files": [{"filename": "demo-1.0"}]}'),
        (
            "application/vnd.pypi.simple.v1+json",
            b'{"meta": {"api-version": "9.0"}, "name": "x", "files": []}',
        ),
        ("application/octet-stream", b"\x00\x01"),
        ("text/html", b'<html><meta name="pypi:repository-version" content="9.0"><a href="x">x</a>'),
    ],
)
def test_an_answer_that_is_no_project_page_is_told(
    environment: Environment, index: IndexSimulator, find: Locate, kind: str, body: bytes
) -> None:
    index.raw["/simple/demo/"] = (kind, body)
    assert "no project page" in unconfirmed(find(environment.install(wheel("demo", "1.0", BIG))))


def test_a_server_that_is_not_there_is_told(
    environment: Environment, index: IndexSimulator, store: Store, client: requests.Session
) -> None:
    gone = replace(index.index(), url="http://127.0.0.1:9/simple/")
    located = locate(
        (environment.install(wheel("demo", "1.0", BIG)),),
        store=store,
        indexes=(gone,),
        session=client,
        offline=False,
        progress=Silent(),
    )
    assert unconfirmed(located).endswith("found connection refused")


@pytest.mark.parametrize("status", [403, 404])
def test_a_file_that_left_the_index_is_no_match(
    environment: Environment, index: IndexSimulator, find: Locate, status: int
) -> None:
    made = wheel("demo", "1.0", BIG)
    index.add(made)
    index.faults[f"/files/{made[0]}"] = [status]
    assert only(find(environment.install(made))).evidence == "repacked"


def test_a_file_server_that_fails_is_told(
    environment: Environment, index: IndexSimulator, find: Locate
) -> None:
    made = wheel("demo", "1.0", BIG)
    index.add(made)
    index.faults[f"/files/{made[0]}"] = [500]
    assert "cannot read the wheel" in unconfirmed(find(environment.install(made)))


def test_a_server_that_refuses_ranges_is_asked_for_the_whole_file(
    environment: Environment, index: IndexSimulator, find: Locate
) -> None:
    made = wheel("demo", "1.0", BIG)
    index.add(made)
    index.faults[f"/files/{made[0]}"] = [416, 200]
    # 200 with other bytes than the index stated: the hash decides.
    assert "another hash" in unconfirmed(find(environment.install(made)))


@pytest.mark.parametrize("garbage", [b"", b"no zip at all", b"PK\x05\x06" + bytes(18)])
def test_a_damaged_file_on_the_index_is_no_match(
    environment: Environment, index: IndexSimulator, find: Locate, garbage: bytes
) -> None:
    made = wheel("demo", "1.0", BIG)
    index.add((made[0], garbage))
    assert only(find(environment.install(made))).evidence == "repacked"


def test_names_that_are_no_wheel_names_and_other_projects_are_passed_over(
    environment: Environment, index: IndexSimulator, find: Locate
) -> None:
    made = wheel("demo", "1.0", BIG)
    index.add(made)
    for name in ("demo-1.0.whl", "demo-x-py3-none-any.whl", "other-1.0-py3-none-any.whl", "demo-1.0.tar.gz"):
        index.files[f"/files/{name}"] = b""
        index.pages["/simple/demo/"].insert(0, name)
    assert only(find(environment.install(made))).wheel.name == made[0]


def test_credentials_of_an_index_serve_the_look_up_and_are_never_written(
    environment: Environment, index: IndexSimulator, store: Store, find: Locate
) -> None:
    index.user = ("ann", "s3cret")
    made = wheel("demo", "1.0", BIG)
    index.add(made)
    located = find(environment.install(made))
    assert only(located).evidence == "matched"
    assert "s3cret" not in repr(located)
    assert "s3cret" not in repr(index.index())
    kept = b"".join(path.read_bytes() for path in store.root.rglob("*") if path.is_file())
    assert b"s3cret" not in kept


DirectMaker = Callable[..., DirectUrl]


def test_a_wheel_installed_by_its_url_keeps_the_hash_that_the_installer_recorded(
    environment: Environment, index: IndexSimulator, find: Locate, direct_url: DirectMaker
) -> None:
    made = wheel("demo", "1.0", BIG)
    url = index.add(made)
    direct = direct_url(url, sha256=hashlib.sha256(made[1]).hexdigest())
    package = only(find(environment.install(made, direct_url=direct)))
    assert (package.source, package.evidence, package.index) == ("archive", "recorded", None)
    assert (package.wheel.url, package.origin) == (url, (("url", url),))


def test_a_wheel_installed_by_a_url_without_a_hash_is_hashed(
    environment: Environment, index: IndexSimulator, find: Locate, direct_url: DirectMaker
) -> None:
    made = wheel("demo", "1.0", BIG)
    package = only(find(environment.install(made, direct_url=direct_url(index.add(made)))))
    assert (package.evidence, package.wheel.sha256) == ("hashed", Digest.of(made[1]))


def test_a_wheel_whose_url_is_gone_is_repacked(
    environment: Environment, index: IndexSimulator, find: Locate, direct_url: DirectMaker
) -> None:
    made = wheel("demo", "1.0", BIG)
    direct = direct_url(f"{index.url}/gone/{made[0]}", sha256="0" * 64)
    package = only(find(environment.install(made, direct_url=direct)))
    assert (package.source, package.evidence) == ("archive", "repacked")


@pytest.mark.parametrize("with_hash", [True, False])
def test_a_wheel_that_still_lies_on_this_disk_is_copied_and_its_directory_is_not_told(
    environment: Environment,
    find: Locate,
    store: Store,
    tmp_path: Path,
    direct_url: DirectMaker,
    *,
    with_hash: bool,
) -> None:
    made = wheel("demo", "1.0+cpu", BIG)
    kept = tmp_path / "ann" / made[0]
    kept.parent.mkdir()
    kept.write_bytes(made[1])
    sha256 = hashlib.sha256(made[1]).hexdigest() if with_hash else None
    direct = direct_url(kept.as_uri(), sha256=sha256)
    package = only(find(environment.install(made, direct_url=direct)))
    assert (package.source, package.evidence) == ("archive", "recorded" if with_hash else "hashed")
    assert package.wheel.path == f".envlock/wheels/{made[0]}"
    assert package.origin == ()
    assert store.find(Digest.of(made[1])) is not None


@pytest.mark.parametrize("fault", ["gone", "other hash", "other content", "damaged"])
def test_a_file_that_is_no_longer_what_was_installed_is_not_used(
    environment: Environment, find: Locate, tmp_path: Path, direct_url: DirectMaker, fault: str
) -> None:
    made = wheel("demo", "1.0", BIG)
    kept = tmp_path / made[0]
    other = wheel("demo", "1.0", {"demo/a.py": b"other"})[1]
    if fault != "gone":
        kept.write_bytes({"other content": other, "damaged": b"?"}.get(fault, made[1]))
    direct = direct_url(kept.as_uri(), sha256="0" * 64 if fault == "other hash" else None)
    assert only(find(environment.install(made, direct_url=direct))).evidence == "repacked"


@pytest.mark.parametrize(
    ("kind", "url", "source"),
    [
        ("vcs", "https://ann:pw@code.example/demo.git", "vcs"),
        ("archive", "https://code.example/demo-1.0.tar.gz?token=pw", "archive"),
        ("archive", "ftp://code.example/demo-1.0-py3-none-any.whl", "archive"),
        ("directory", "file:///home/ann/demo", "directory"),
    ],
)
def test_what_was_built_from_source_is_repacked_and_says_where_it_came_from(
    environment: Environment, find: Locate, direct_url: DirectMaker, kind: str, url: str, source: str
) -> None:
    direct = direct_url(url, kind=kind, vcs="git" if kind == "vcs" else None, commit="0f", subdirectory="sub")
    package = only(find(environment.install(wheel("demo", "1.0", BIG), direct_url=direct)))
    assert (package.source, package.evidence) == (source, "repacked")
    origin = dict(package.origin)
    assert origin["commit"] == "0f"
    assert "pw" not in str(origin)
    assert "ann" not in str(origin)
    assert ("url" in origin) == (kind != "directory")


def test_what_conda_installed_says_so_and_not_its_build_directory(
    environment: Environment, find: Locate, direct_url: DirectMaker
) -> None:
    direct = direct_url("file:///home/conda/feedstock_root", kind="directory")
    installed = environment.install(wheel("demo", "1.0", BIG), direct_url=direct, installer="conda")
    package = only(find(installed))
    assert (package.source, package.origin) == ("conda", ())


def test_an_editable_install_is_repacked_and_says_where_its_source_stands(
    environment: Environment, find: Locate, direct_url: DirectMaker
) -> None:
    direct = direct_url("file:///home/ann/demo", kind="directory", editable=True)
    facts = (("commit", "c"), ("dirty", "false"), ("tree", "sha256:0"), ("url", "https://git.example/x"))
    installed = environment.install(wheel("demo", "1.0", BIG), direct_url=direct, editable=True)
    package = only(find(replace(installed, origin=facts)))
    assert (package.source, package.evidence, package.editable) == ("vcs", "repacked", True)
    assert package.origin == facts
    dirty = only(find(replace(installed, origin=(("dirty", "true"), ("url", "https://git.example/x")))))
    assert dirty.source == "directory"
    assert only(find(installed)).source == "directory"


def test_what_the_capture_found_no_way_for_is_a_gap(environment: Environment, find: Locate) -> None:
    installed = environment.install(wheel("demo", "1.0", BIG), obstacle="left out: its source is gone")
    located = find(installed)
    assert located.packages == ()
    assert located.gaps == (Gap(subject="demo", reason="left out: its source is gone"),)


def test_what_was_changed_is_named_with_what_changed(environment: Environment, find: Locate) -> None:
    names = [f"demo/m{at}.py" for at in range(5)]
    environment.install(wheel("demo", "1.0", {**BIG, **dict.fromkeys(names, b"x"), "demo/gone.py": b"x"}))
    for name in names:
        (environment.site / name).write_text("other")
    (environment.site / "demo/gone.py").unlink()
    located = find(describe(environment.site, "demo-1.0"))
    package = only(located)
    assert package.modified == ("demo/gone.py", *names)
    assert package.missing == ("demo/gone.py",)
    assert [(gap.reason, gap.harmless) for gap in located.gaps] == [
        (f"changed since it was installed, carried as it is: {', '.join(names[:3])} and 2 more", True),
        ("missing since it was installed, carried as it is: demo/gone.py", True),
    ]


def test_damaged_metadata_is_made_anew(environment: Environment, find: Locate, store: Store) -> None:
    installed = environment.install(wheel("demo", "1.0", {"demo.py": b"x = 1\n"}))
    name = "demo-1.0.dist-info/METADATA"
    (installed.site / name).write_bytes(b"\xff")
    package = only(find(replace(installed, replaced=(name,), modified=(name,))))
    assert package.modified == ()
    with zipfile.ZipFile(store.path(package.wheel.sha256)) as opened:
        assert opened.read(name) == b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"


def test_a_repacked_file_that_names_a_home_directory_is_told_without_the_name(
    environment: Environment, find: Locate
) -> None:
    files = {
        "demo/__init__.py": b"DATA = '/home/ann/data'\n",
        "demo/native.so": b"\x7fELF\0/home/ann/src/native.c\0",
        "demo/other.py": b"EXAMPLE = '/home/user/data'\n",
    }
    installed = environment.install(wheel("demo", "1.0", files))
    expected = Gap(
        subject="demo",
        reason="names a home directory, which no image has: demo/__init__.py, demo/native.so",
    )
    assert find(installed, homes=("/home/ann",)).gaps == (expected,)
    # The second time the wheel is remembered, and what it names as well; for another user it is another.
    assert find(installed, homes=("/home/ann",)).gaps == (expected,)
    assert find(installed, homes=("/home/bob",)).gaps == ()


def test_a_wheel_of_an_index_may_name_what_it_likes(
    environment: Environment, index: IndexSimulator, find: Locate
) -> None:
    made = wheel("demo", "1.0", {"demo.py": b"DATA = '/home/ann/data'\n"})
    index.add(made)
    assert find(environment.install(made), homes=("/home/ann",)).gaps == ()


def test_conda_s_record_is_believed_before_the_direct_url(
    environment: Environment, find: Locate, direct_url: DirectMaker
) -> None:
    conda = CondaPackage(name="demo", version="1.0", build="py_0", channel="c", url="https://conda.example/x")
    installed = environment.install(
        wheel("demo", "1.0", BIG), direct_url=direct_url("file:///build", kind="directory"), conda=conda
    )
    package = only(find(installed))
    assert package.source == "conda"
    assert package.origin == (("build", "py_0"), ("url", "https://conda.example/x"))


def test_a_wheel_from_beside_another_lock_is_what_that_lock_said(
    environment: Environment, find: Locate, direct_url: DirectMaker, store: Store, tmp_path: Path
) -> None:
    first = only(find(environment.install(wheel("demo", "1.0", BIG))))
    beside = tmp_path / ".envlock/wheels" / first.wheel.name
    beside.parent.mkdir(parents=True)
    data = store.path(first.wheel.sha256).read_bytes()
    beside.write_bytes(data)
    direct = direct_url(f"file://{beside}", local=beside, sha256=first.wheel.sha256.hex)
    other = Environment(tmp_path / "other")
    assert only(find(other.install((first.wheel.name, data), direct_url=direct))) == first
    built = wheel("local", "1.0", {"local.py": b"x"})
    foreign = beside.with_name(built[0])
    foreign.write_bytes(built[1])
    direct = direct_url(f"file://{foreign}", local=foreign)
    package = only(find(other.install(built, direct_url=direct)))
    assert (package.source, package.evidence) == ("archive", "hashed")


def test_what_no_wheel_can_be_made_of_is_a_gap(environment: Environment, find: Locate) -> None:
    installed = environment.install(wheel("demo", "1.0", BIG))
    unlisted = replace(installed, record=())
    odd = replace(installed, name="odd", version="1.0-of-monday")
    located = find(unlisted, odd)
    assert located.packages == ()
    assert [gap.subject for gap in located.gaps] == ["demo", "odd"]


def test_an_invalid_requires_python_is_left_out(environment: Environment, find: Locate) -> None:
    made = wheel("demo", "1.0", BIG)
    installed = environment.install(made)
    assert only(find(replace(installed, requires_python=">=3.6.*"))).requires_python is None
    assert only(find(replace(installed, requires_python=">=3.6"))).requires_python == ">=3.6"


def test_envlock_and_what_only_it_needs_are_left_out_and_listed(
    environment: Environment, find: Locate
) -> None:
    def add(name: str, *requires: str, requested: bool = False) -> object:
        made = wheel(name, "1.0", {f"{name}/__init__.py": b""}, requires=requires)
        installed = environment.install(made)
        if requested:
            return installed
        marker = f"{installed.dist_info}/REQUESTED"
        return replace(installed, record=tuple(one for one in installed.record if one.path != marker))

    located = find(
        add("envlock", "docker", "shared>=1", "asked", "numpy; extra == 'frameworks'", "not a [ requirement"),
        add("docker", "urllib"),
        add("urllib"),
        add("shared", "deep"),
        add("deep"),
        add("asked", requested=True),
        add("job", "shared[fast]", "absent"),
        add("numpy"),
    )
    assert [one.name for one in located.packages] == ["asked", "deep", "job", "numpy", "shared"]
    assert [gap.subject for gap in located.gaps] == ["docker", "envlock", "urllib"]


def test_extras_lead_to_what_they_need(environment: Environment, find: Locate) -> None:
    def add(name: str, *requires: str) -> object:
        made = wheel(name, "1.0", {f"{name}/__init__.py": b""}, requires=requires)
        installed = environment.install(made)
        marker = f"{installed.dist_info}/REQUESTED"
        return replace(installed, record=tuple(one for one in installed.record if one.path != marker))

    located = find(
        add("envlock", "plugin", "other"),
        add("job", "shared[fast]"),
        add("shared", "plugin; extra == 'fast'", "other; extra == 'slow'"),
        add("plugin"),
        add("other"),
    )
    assert [one.name for one in located.packages] == ["job", "plugin", "shared"]


def test_a_record_of_absurd_size_is_not_read(
    environment: Environment, index: IndexSimulator, find: Locate
) -> None:
    made = wheel("demo", "1.0", BIG)
    bomb = BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("demo-1.0.dist-info/RECORD", bytes((1 << 26) + 1))
    index.add((made[0], bomb.getvalue()))
    assert only(find(environment.install(made))).evidence == "repacked"


def test_without_a_wheel_file_every_wheel_of_the_version_is_a_candidate(
    environment: Environment, index: IndexSimulator, find: Locate
) -> None:
    made = wheel("demo", "1.0", BIG)
    index.add(made)
    installed = environment.install(made)
    assert only(find(replace(installed, tags=()))).wheel.name == made[0]


def test_without_sha256_in_the_records_sizes_decide(
    environment: Environment, index: IndexSimulator, find: Locate
) -> None:
    made = wheel("demo", "1.0", BIG)
    index.add(made)
    installed = environment.install(made)
    unhashed = tuple(one._replace(sha256=None) for one in installed.record)
    assert only(find(replace(installed, record=unhashed))).evidence == "matched"
    shorter = tuple(one._replace(size=1) if one.size else one for one in unhashed)
    assert only(find(replace(installed, record=shorter))).evidence == "repacked"
