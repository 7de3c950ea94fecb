"""What apt knows, asked of a real apt with lists of its own: archives are directories of this test."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from envlock.capture import apt
from envlock.core.digest import Digest
from envlock.lock.model import SystemPackage
from tests.capture.simulators import put_file

DATE = "20250520T000000Z"
EARLIER = "20250101T000000Z"

pytestmark = pytest.mark.skipif(shutil.which("apt-cache") is None, reason="apt is not installed")


def stanza(name: str, version: str, architecture: str, content: str) -> str:
    """Return a stanza as a Packages file has it; ``content`` stands for the .deb's bytes."""
    sha256 = hashlib.sha256(content.encode()).hexdigest()
    return (
        f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nMulti-Arch: same\n"
        f"Maintainer: A <a@example.org>\nInstalled-Size: {len(content)}\n"
        f"Filename: pool/{name}_{content}.deb\nSize: 1\nSHA256: {sha256}\nDescription: {name}\n\n"
    )


class Machine:
    """A machine whose apt reads the archives that a test writes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("etc/apt/sources.list.d", "etc/apt/preferences.d", "var/lib/apt/lists/partial"):
            (root / name).mkdir(parents=True)
        put_file(root / "var/lib/dpkg/status", b"")
        (root / "var/cache/apt/archives/partial").mkdir(parents=True)
        put_file(
            root / "apt.conf",
            (
                f'Dir "{root}";\nDir::Etc::main "";\nDir::Etc::parts "";\nDir::State::status '
                f'"{root}/var/lib/dpkg/status";\nAPT::Architecture "amd64";\n'
                f'APT::Architectures {{"amd64";"i386"}};\n'
                f'APT::Sandbox::User "";\nAcquire::Languages "none";\n'
            ).encode(),
        )

    def archive(self, place: str, *stanzas: str) -> str:
        """Write an archive below ``place`` and return its address."""
        put_file(self.root / place / "Packages", "".join(stanzas).encode())
        return f"file:{self.root}/{place}"

    def update(self) -> None:
        subprocess.run(["apt-get", "update"], check=True, capture_output=True)

    def source(self, name: str, text: str) -> None:
        put_file(self.root / "etc/apt/sources.list.d" / name, text.encode())


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    return made


def package(name: str, version: str, architecture: str = "amd64") -> SystemPackage:
    return SystemPackage(name=name, version=version, architecture=architecture)


def digest(content: str) -> Digest:
    return Digest.of(content.encode())


def test_only_the_very_version_and_architecture_counts(machine: Machine) -> None:
    place = machine.archive(
        "archive",
        stanza("lib", "2:1.0-1+b2", "amd64", "rebuilt"),
        stanza("lib", "2:1.0-1", "amd64", "first"),
        stanza("lib", "2:1.0-1", "i386", "narrow"),
        stanza("lib", "2:1.1-1", "amd64", "newest"),
        stanza("data", "1.0-1", "all", "data"),
    )
    machine.source("a.list", f"deb [trusted=yes] {place} ./\n")
    machine.update()
    asked = (
        package("lib", "2:1.0-1+b2"),
        package("lib", "2:1.0-1"),
        package("lib", "2:1.0-1", "i386"),
        # Neither without its epoch nor where only a newer one is offered.
        package("lib", "1.0-1"),
        package("lib", "2:0.9-1"),
        package("data", "1.0-1", "all"),
        package("unknown", "1"),
    )
    found = [one.sha256 for one in apt.identified(asked, machine.root)]
    assert found == [digest("rebuilt"), digest("first"), digest("narrow"), None, None, digest("data"), None]


def test_one_version_with_two_files_is_not_decided(machine: Machine) -> None:
    places = [
        machine.archive(name, stanza("lib", "1.0", "amd64", name), stanza("other", "1.0", "amd64", "same"))
        for name in ("debian", "local")
    ]
    machine.source("a.list", "".join(f"deb [trusted=yes] {place} ./\n" for place in places))
    machine.update()
    found = apt.identified((package("lib", "1.0"), package("other", "1.0")), machine.root)
    assert [one.sha256 for one in found] == [None, digest("same")]


@pytest.mark.parametrize("form", ["one-line", "deb822"])
def test_snapshot_is_that_of_the_archive_which_offers_the_version(machine: Machine, form: str) -> None:
    late = machine.archive(f"archive/debian/{DATE}", stanza("lib", "1.0", "amd64", "a"))
    early = machine.archive(f"archive/debian/{EARLIER}", stanza("lib", "1.0", "amd64", "a"))
    plain = machine.archive("plain", stanza("new", "1.0", "amd64", "b"))
    for number, place in enumerate((late, early, plain)):
        if form == "one-line":
            machine.source(f"{number}.list", f"deb [trusted=yes] {place} ./\n")
        else:
            text = f"Types: deb\nURIs: {place}\nSuites: ./\nTrusted: yes\n"
            machine.source(f"{number}.sources", text)
    machine.update()
    found = apt.identified((package("lib", "1.0"), package("new", "1.0")), machine.root)
    assert [one.snapshot for one in found] == [EARLIER, None]


@pytest.mark.parametrize(
    "text",
    [
        "# http://snapshot.example/20250520T000000Z\ndeb http://deb.example/debian bookworm main\n",
        "deb http://deb.example/debian bookworm main # was 20250520T000000Z\n",
        "deb http://deb.example/debian/20250520 bookworm main\n",
    ],
)
def test_comment_and_other_dates_are_no_snapshot(tmp_path: Path, text: str) -> None:
    put_file(tmp_path / "etc/apt/sources.list", text.encode())
    assert not apt.names_snapshot(tmp_path)
    put_file(tmp_path / "etc/apt/sources.list", f"deb http://x.example/{DATE}/ bookworm main\n".encode())
    assert apt.names_snapshot(tmp_path)


def test_snapshot_of_a_source_that_is_switched_off_is_none(machine: Machine) -> None:
    plain = machine.archive("plain", stanza("lib", "1.0", "amd64", "a"))
    machine.source("a.list", f"deb [trusted=yes] {plain} ./\n")
    off = machine.archive(f"archive/{DATE}", stanza("lib", "1.0", "amd64", "a"))
    machine.source("b.sources", f"Types: deb\nEnabled: no\nURIs: {off}\nSuites: ./\nTrusted: yes\n")
    machine.update()
    assert apt.names_snapshot(machine.root)
    (found,) = apt.identified((package("lib", "1.0"),), machine.root)
    assert (found.sha256, found.snapshot) == (digest("a"), None)


def test_without_packages_or_apt_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert apt.deb_digests([]) == {}
    monkeypatch.setenv("PATH", str(tmp_path))
    one = package("a", "1")
    assert apt.identified((one,), tmp_path) == (one,)
    assert os.environ["PATH"] == str(tmp_path)
