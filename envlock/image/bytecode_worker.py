"""Compiles Python sources for an image. Runs under the image's own interpreter, standard library only.

Rules kept here:

* Nothing of the sources is imported or run: :func:`compile` alone sees them. One that does not
  compile (a template, Python 2) has no bytecode, as with pip.
* Bytecode is an unchecked hash-based pyc (PEP 552) of optimisation level 0, whose code names the
  source by its path in the image.
* The answer depends on the request and this interpreter alone. One process answers one request,
  because what marshal shares depends on which strings live elsewhere in the process
  (python/cpython#73894); before 3.11 it wrote frozensets in hash order, and the hash of None and
  Ellipsis is their address, so code with such a constant gets no bytecode there.
* zlib compresses at level 6. A rewritten zlib (zlib-ng, by its version's name) may answer otherwise
  on another CPU: its members are stored.

Standard input: JSON ``{"archive": zip file, "root": the image's root here, "tag": cache tag,
"version": "3.11.7", "files": [[member, path in the image], …]}``. Standard output: a zip of pycs, each
under its source's path in the image without the leading slash. Standard error: the file in hand, a
line each, so that the last one names the culprit of a crash; or one line that says what is wrong.
"""

import sys

# The directory of this file holds modules of envlock: none of them may stand in for the library's.
if __name__ == "__main__":
    del sys.path[0]

import importlib.util
import io
import json
import marshal
import zipfile
import zlib
from types import CodeType

FORMAT = "1"
"""Changes whenever the same source gives other bytes: part of every cache key and of the label."""

_UNCHECKED = (1).to_bytes(4, "little")
_DATE = (1980, 1, 1, 0, 0, 0)
_SORTED_SETS = (3, 11)
# What the bytes of an answer come from; the rest of the process's libraries do not matter.
_DECISIVE = ("libpython", "libz.")


def main() -> None:
    """Answer the request on standard input."""
    request = json.load(sys.stdin)
    fault = unsuitable(request["root"], request["tag"], request["version"])
    if fault:
        sys.exit(fault)
    sys.stdout.buffer.write(answer(request["archive"], request["files"]))


def answer(archive: str, files: "list[list[str]]") -> bytes:
    """Return a zip with the bytecode of those ``files`` of ``archive`` that have any."""
    written = io.BytesIO()
    with zipfile.ZipFile(archive) as sources, zipfile.ZipFile(written, "w") as compiled:
        for member, path in files:
            sys.stderr.write(f"compiling {path}\n")
            sys.stderr.flush()
            bytecode = pyc(sources.read(member), path)
            if bytecode is not None:
                add(compiled, path[1:], bytecode)
    return written.getvalue()


def unsuitable(root: str, tag: str, version: str) -> str:
    """Return why this is not the interpreter of the image at ``root``; nothing when it is."""
    found = ".".join(map(str, sys.version_info[:3]))
    if (sys.implementation.cache_tag, found) != (tag, version):
        return f"expected Python {version} ({tag}), found {found} ({sys.implementation.cache_tag})"
    foreign = [place for place in (sys.prefix, *_libraries()) if not place.startswith(root + "/")]
    return "used outside of the image: {}".format(", ".join(foreign)) if foreign else ""


def _libraries() -> "list[str]":
    """Return where the decisive libraries were loaded from."""
    with open("/proc/self/maps", "rb") as maps:
        places = {line.split(None, 5)[-1].strip().decode("utf-8", "surrogateescape") for line in maps}
    return sorted(place for place in places if place.rpartition("/")[2].startswith(_DECISIVE))


def pyc(source: bytes, path: str) -> "bytes | None":
    """Return the bytecode file of ``source``, which lies at ``path``; None when there is none."""
    try:
        code = compile(source, path, "exec", dont_inherit=True, optimize=0)
        if sys.version_info < _SORTED_SETS and has_unstable_order(code):
            return None
        body = marshal.dumps(code)
    except MemoryError:
        # Of this machine and not of the source: the answer must not depend on it.
        raise
    except Exception:  # noqa: BLE001 # whatever the compiler refuses, importing would refuse too
        return None
    return importlib.util.MAGIC_NUMBER + _UNCHECKED + importlib.util.source_hash(source) + body


def has_unstable_order(constant: object) -> bool:
    """Does ``constant`` hold a set whose order depends on the address of what is in it?"""
    if isinstance(constant, CodeType):
        return any(map(has_unstable_order, constant.co_consts))
    if isinstance(constant, frozenset):
        return len(constant) > 1 and any(map(_is_hashed_by_address, constant))
    return isinstance(constant, tuple) and any(map(has_unstable_order, constant))


def _is_hashed_by_address(constant: object) -> bool:
    # A NaN (unequal to itself) too: since 3.10 its hash is its identity.
    if isinstance(constant, (tuple, frozenset)):
        return any(map(_is_hashed_by_address, constant))
    return constant is None or constant is Ellipsis or constant != constant  # noqa: PLR0124 # NaN


def method(version: str) -> int:
    """Return how members are packed by the zlib of this ``version``."""
    return zipfile.ZIP_DEFLATED if version.replace(".", "").isdigit() else zipfile.ZIP_STORED


def add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    """Add a member whose bytes depend on ``name``, ``data`` and zlib alone."""
    information = zipfile.ZipInfo(name, date_time=_DATE)
    information.create_system = 3
    information.external_attr = 0o100644 << 16
    how = method(zlib.ZLIB_RUNTIME_VERSION)
    archive.writestr(information, data, compress_type=how, compresslevel=6)


if __name__ == "__main__":
    main()
