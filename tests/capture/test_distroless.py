"""Images without dpkg keep its stanzas in var/lib/dpkg/status.d, one file each (distroless)."""

from collections.abc import Callable
from pathlib import Path

from envlock.capture import packages_dpkg

STANZA = b"Package: libc6\nVersion: 2.36-9\nArchitecture: amd64\nDescription: C library\n"


def test_a_package_of_an_image_without_dpkg_is_installed_by_being_there(
    tmp_path: Path, put: Callable[[Path, bytes], Path]
) -> None:
    place = tmp_path / "var/lib/dpkg/status.d"
    put(place / "libc6", STANZA)
    put(place / "libc6.md5sums", b"d41d8cd98f00b204e9800998ecf8427e  usr/lib/libm.so.6\n")
    put(place / "noise", b"no stanza\n")
    database = packages_dpkg.load(tmp_path)
    assert database is not None
    package = database.owner("/usr/lib/libm.so.6")
    assert package is not None
    assert (package.name, package.version) == ("libc6", "2.36-9")
    assert database.files(package) == ("/usr/lib/libm.so.6",)
    assert list(database.checksums(package)) == ["/usr/lib/libm.so.6"]
    # In an image that envlock builds, dpkg reads it among others.
    assert "\nStatus: install ok installed\n" in package.status


def test_an_image_with_dpkg_may_have_both(tmp_path: Path, put: Callable[[Path, bytes], Path]) -> None:
    place = tmp_path / "var/lib/dpkg"
    put(place / "status", b"Package: zlib\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n")
    put(place / "info/zlib.list", b"/.\n/usr/lib/libz.so\n")
    put(place / "status.d/libc6", STANZA)
    database = packages_dpkg.load(tmp_path)
    assert database is not None
    assert sorted(one.name for one in database.packages.values()) == ["libc6", "zlib"]
