"""Alpine's database, as apk-tools 2.14 writes it: no apk program runs in these tests."""

from pathlib import Path

from envlock.capture import packages_apk
from envlock.capture.packages_apk import ApkDatabase
from tests.capture.simulators import put_file

INSTALLED = """\
C:Q1qKcZ+j23xssAXmgQhkOO8dHnbWw=
P:alpine-baselayout
V:3.6.5-r0
A:x86_64
S:8515
I:315392
T:Alpine base dir structure and init scripts
L:GPL-2.0-only
o:alpine-baselayout
m:A Maintainer <maintainer@example.org>
t:1714981135
D:alpine-baselayout-data=3.6.5-r0 /bin/sh
F:dev
F:dev/pts
F:etc
R:motd
Z:Q1SLkS9hBidUbPwwrw+XR0Whv3ww8=
F:etc/crontabs
R:root
a:0:0:600
Z:Q1vfk1apUWI4yLJGhhNRd0kJixfvY=
F:

C:Q1xM2lsqGJ1bb2o0YyM1Bp+qSzVyI=
P:musl
V:1.2.5-r0
A:x86_64
S:407278
I:667648
T:the musl c library (libc) implementation
L:MIT
p:so:libc.musl-x86_64.so.1=1
F:lib
R:ld-musl-x86_64.so.1
a:0:0:755
Z:Q1YGJ+hFh4hCTwGQtJbH0QnZp6MSo=
R:libc.musl-x86_64.so.1
a:0:0:777
Z:Q17yJ3JFNypA4mxhJJr0ou6CzsJVI=
F:usr
F:usr/share
F:usr/share/licenses
F:usr/share/licenses/musl
R:COPYRIGHT
Z:Q2LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=

P:without-version
F:x

C:Q1AAAA=
P:odd
V:1
F:usr/bin
R:none
R:other
Z:X1AAAA
R:broken
Z:Q1?
R:last
"""


def load(root: Path) -> ApkDatabase:
    put_file(root / "lib/apk/db/installed", INSTALLED.encode())
    database = packages_apk.load(root)
    assert database is not None
    return database


def test_owner_files_and_checksums(tmp_path: Path) -> None:
    database = load(tmp_path)
    musl = database.owner("/lib/ld-musl-x86_64.so.1")
    assert musl is not None
    assert (musl.name, musl.version, musl.architecture, musl.manager) == ("musl", "1.2.5-r0", "x86_64", "apk")
    licence = "/usr/share/licenses/musl/COPYRIGHT"
    assert database.files(musl) == ("/lib/ld-musl-x86_64.so.1", "/lib/libc.musl-x86_64.so.1", licence)
    checksums = database.checksums(musl)
    assert checksums["/lib/ld-musl-x86_64.so.1"] == "sha1:60627e8458788424f0190b496c7d109d9a7a312a"
    assert checksums[licence].startswith("sha256:")
    assert len(checksums[licence]) == 7 + 64
    assert database.licences(musl) == (licence,)
    assert [package.name for package in database.packages.values()] == ["alpine-baselayout", "musl", "odd"]


def test_what_the_image_repeats_is_the_stanza_without_files(tmp_path: Path) -> None:
    musl = load(tmp_path).named("musl")
    assert musl is not None
    assert musl.status.startswith("C:Q1xM2")
    assert musl.status.endswith("p:so:libc.musl-x86_64.so.1=1")


def test_configuration_and_unknown_checksums_hold_to_nothing(tmp_path: Path) -> None:
    database = load(tmp_path)
    layout, odd = database.named("alpine-baselayout"), database.named("odd")
    assert layout is not None
    assert odd is not None
    assert database.files(layout) == ("/etc/crontabs/root", "/etc/motd")
    assert database.checksums(layout) == {}
    assert database.files(odd) == ("/usr/bin/broken", "/usr/bin/last", "/usr/bin/none", "/usr/bin/other")
    assert database.checksums(odd) == {}
    assert database.licences(odd) == ()


def test_merged_usr_and_the_newer_place(tmp_path: Path) -> None:
    put_file(tmp_path / "usr/lib/apk/db/installed", INSTALLED.encode())
    (tmp_path / "lib").symlink_to("usr/lib")
    database = packages_apk.load(tmp_path)
    assert database is not None
    assert database.owner("/usr/lib/ld-musl-x86_64.so.1") == database.owner("/lib/ld-musl-x86_64.so.1")
    assert database.owner("/usr/lib/ld-musl-x86_64.so.1") is not None


def test_no_database_is_none(tmp_path: Path) -> None:
    assert packages_apk.load(tmp_path) is None
