"""Files on sys.path that no distribution owns, and that imports see all the same.

A module dropped by hand, ``sitecustomize.py``, what a removed package left: they decide results as
installed code does. The importable ones become one more distribution, so that the lock carries them as
a wheel; its version is a hash of their names and bytes. An environment that was installed from the lock
has that distribution installed; its files then count as orphans again, so the second capture gives the
same. Rules kept here:

* A directory that no distribution has a file in is carried whole where a module is in it. In a directory
  that some distribution owns, modules are carried; data there (caches, downloads) is named.
* A link in a circle, a link that leads nowhere and a pipe are named.
* A secret, a file that can't be read, and a text that names a home directory are named, never carried.
* envlock's runtime, which each image that it built has, is none of the job's.
* What installers and the interpreter leave is neither: bytecode, caches, ``distutils-precedence.pth``,
  virtualenv's ``_virtualenv.py``, ``.pth`` files that only name directories (those are on sys.path, and
  are looked through themselves).
* A module or package that an earlier directory of sys.path hides is not importable, and is nothing.
* A directory with more files than code has is named and left out; memory never holds many more.
"""

import hashlib
import os
import re
import stat
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from envlock.capture import own_runtime, source_tree
from envlock.capture.confidential import is_confidential
from envlock.capture.orphan_scan import Found, Limits, Scan
from envlock.capture.search_path import SearchPath
from envlock.capture.source_tree import Collected, TooMuchError, import_name
from envlock.core.digest import Digest
from envlock.host.files import CHUNK
from envlock.lock.environment import CarriedFile, InstalledDistribution
from envlock.lock.model import Gap

NAME = "envlock-orphans"
_HOME = re.compile(rb"(?<![\w.])(/root|/home/[\w.-]+|/Users/[\w.-]+)/")
_WHEEL_NAME = NAME.replace("-", "_")


def without_own(
    distributions: Iterable[InstalledDistribution],
) -> tuple[InstalledDistribution, ...]:
    """Return the distributions but for the one that an earlier lock made of orphans."""
    return tuple(one for one in distributions if one.name != NAME)


def read(
    sites: tuple[Path, ...],
    sources: Iterable[Path],
    distributions: tuple[InstalledDistribution, ...],
    search: SearchPath,
    limits: Limits | None = None,
) -> tuple[InstalledDistribution | None, tuple[Gap, ...]]:
    """Return the distribution made of the orphans of ``sites``, and a gap for each thing found.

    ``sources`` are directories of editable installs, whose files are accounted for.
    """
    owned = frozenset(_owned(distributions))
    taken = {os.path.realpath(one) for one in sources}
    found = Found(limits or Limits())
    holding = {site for one in sites if _holds_distributions(site := os.path.realpath(one))}
    for site in dict.fromkeys(os.path.realpath(one) for one in sites):
        if site in taken or any(site.startswith(f"{other}/") for other in holding):
            continue
        if site in holding:
            Scan(site, owned, found).run(search.before(Path(site)))
        else:
            _source_directory(Path(site), owned, search.before(Path(site)), found)
    kept = tuple(_readable(found))
    gaps = tuple(_gaps(found, kept))
    return (_distribution(Path(sites[0]), kept) if kept else None), gaps


def _owned(distributions: tuple[InstalledDistribution, ...]) -> Iterator[str]:
    for one in distributions:
        site = os.path.realpath(one.site)
        for entry in one.record:
            plain = ".." not in entry.path and not entry.path.startswith(("/", "./"))
            yield f"{site}/{entry.path}" if plain else os.path.normpath(os.path.join(site, entry.path))
        for file in one.carried:
            yield os.path.realpath(file.path.parent) + "/" + file.path.name


def _holds_distributions(site: str) -> bool:
    if os.path.basename(site) in ("site-packages", "dist-packages"):
        return True
    try:
        with os.scandir(site) as entries:
            return any(entry.name.endswith(".dist-info") for entry in entries)
    except OSError:
        return False


def _source_directory(directory: Path, owned: frozenset[str], hidden: frozenset[str], found: Found) -> None:
    """Take the modules and packages of a directory that a ``.pth`` file put on sys.path."""
    for path in source_tree.top_level(directory):
        if import_name(path.name) in hidden or own_runtime.is_runtime(path):
            continue
        collected = Collected()
        try:
            source_tree.collect(path, path.name, directory, collected)
        except TooMuchError as error:
            found.named.append((path.name, f"belongs to no distribution and holds {error}"))
            continue
        shown = f"{path.name}/" if path.is_dir() else path.name
        for name, one in collected.files.items():
            if str(one) not in owned:
                found.take(name, str(one), shown)
        found.named += collected.refused


def _readable(found: Found) -> Iterator[CarriedFile]:
    """Yield the files that may be carried, with their hashes; the others are named."""
    if found.too_many:
        found.named.append((f"{found.count} files", "belong to no distribution, too many to be code"))
        return
    for name in sorted(found.carried):
        path = Path(found.carried[name][0])
        digest, fault = (None, "has a name that no wheel can hold") if _is_odd(name) else _inspect(path)
        if fault is None:
            yield CarriedFile(name=name, path=path, sha256=digest)
        else:
            found.named.append((name, f"belongs to no distribution and {fault}"))


def _is_odd(name: str) -> bool:
    return not name.isprintable() or "\\" in name


def _inspect(path: Path) -> tuple[str | None, str | None]:
    """Return the file's SHA-256 in RECORD's form, or why it must not be carried."""
    if is_confidential(path):
        return None, "holds a secret"
    state, names_home, before = hashlib.sha256(), False, b""
    try:
        with path.open("rb") as stream:
            while piece := stream.read(CHUNK):
                state.update(piece)
                if b"\0" not in piece:
                    names_home |= _HOME.search(before + piece) is not None
                before = piece[-256:]
    except OSError:
        return None, "can't be read"
    if names_home:
        return None, "names a home directory"
    return urlsafe_b64encode(state.digest()).rstrip(b"=").decode(), None


def _distribution(site: Path, files: tuple[CarriedFile, ...]) -> InstalledDistribution:
    lines = (f"{one.name}\0{one.sha256}\0{one.path.stat().st_mode & stat.S_IXUSR != 0}\n" for one in files)
    # The letter keeps a hash of digits alone from being a number, which loses its leading zeros.
    version = f"0+h{Digest.of(''.join(lines).encode()).hex[:16]}"
    return InstalledDistribution(
        name=NAME,
        raw_name=NAME,
        version=version,
        site=site,
        dist_info=f"{_WHEEL_NAME}-{version}.dist-info",
        tags=(),
        build=None,
        root_is_purelib=True,
        record=(),
        requires_python=None,
        installer=None,
        direct_url=None,
        carried=files,
    )


def _gaps(found: Found, kept: tuple[CarriedFile, ...]) -> Iterator[Gap]:
    most = found.limits.named
    shown = sorted(Counter(found.carried[one.name][1] for one in kept).items())
    for what, count in shown[:most]:
        subject = f"{what} ({count} files)" if count > 1 else what
        yield Gap(subject=subject, reason=f"belongs to no distribution; carried in {NAME}", harmless=True)
    if len(shown) > most:
        more = f"{len(shown) - most} more files and directories belong to no distribution; carried"
        yield Gap(subject=NAME, reason=more, harmless=True)
    for what, reason in sorted(set(found.named))[:most]:
        yield Gap(subject=what if what.isprintable() else ascii(what)[1:-1], reason=f"left out: {reason}")
    if (hidden := len(set(found.named)) - most) > 0:
        yield Gap(subject=NAME, reason=f"left out: {hidden} more files and directories")
