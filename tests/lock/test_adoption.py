from dataclasses import replace

from envlock.core.digest import Digest
from envlock.lock.adoption import adopted
from envlock.lock.model import Gap, Lock, Package, SystemPackage


def repacked(package: Package, content: str = "same") -> Package:
    """Return the package as a capture sees it that knows nothing of where it came from."""
    wheel = replace(package.wheel, sha256=Digest.of(content.encode()), url=None, path="wheels/x.whl")
    return replace(package, wheel=wheel, source="repacked", evidence="repacked", modified=())


def test_what_is_the_same_keeps_its_entry_and_its_gaps(lock: Lock) -> None:
    seen = repacked(lock.packages[0])
    known = replace(seen, source="directory", modified=("numpy/core.py",))
    changed = Gap(subject=known.name, reason="changed since it was installed", harmless=True)
    earlier = replace(lock, packages=(known,), gaps=(changed, Gap(subject="gpu", reason="no driver")))
    found = adopted(replace(lock, packages=(seen,), gaps=()), earlier)
    assert found.packages == (known,)
    assert found.gaps == (changed,)


def test_what_has_other_content_is_as_it_was_captured(lock: Lock) -> None:
    seen = repacked(lock.packages[0])
    other = replace(repacked(lock.packages[0], "other"), source="directory")
    earlier = replace(lock, packages=(other,), gaps=(Gap(subject=other.name, reason="changed"),))
    found = adopted(replace(lock, packages=(seen,), gaps=()), earlier)
    assert (found.packages, found.gaps) == ((seen,), ())


def test_archives_hashes_come_from_the_earlier_lock_for_the_same_version_only(lock: Lock) -> None:
    known = SystemPackage(name="libc6", version="2.36-9", architecture="amd64", sha256=Digest.of(b"deb"))
    seen = replace(known, sha256=None)
    newer = replace(seen, version="2.36-10")
    earlier = replace(lock, system_packages=(known,))
    assert adopted(replace(lock, system_packages=(seen,)), earlier).system_packages == (known,)
    assert adopted(replace(lock, system_packages=(newer,)), earlier).system_packages == (newer,)


def test_who_installed_the_interpreter_is_believed_of_the_same_one_only(lock: Lock) -> None:
    seen = replace(lock.python, prefix_kind="other")
    newer = replace(seen, version="3.11.9")
    assert adopted(replace(lock, python=seen), lock).python == lock.python
    assert adopted(replace(lock, python=newer), lock).python == newer


def test_who_needs_whom_is_what_was_found(lock: Lock) -> None:
    numpy, torch = lock.packages
    found = adopted(replace(lock, packages=(replace(torch, dependencies=()),)), lock)
    assert found.packages == (replace(torch, dependencies=()),)
    assert adopted(lock, replace(lock, packages=(numpy,))).packages == lock.packages
