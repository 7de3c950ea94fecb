"""One part of a capture as a process of its own, for bench/capture.py.

    python bench/parts.py PART PYTHON STORE

Files are passed on in the working directory: ``prepare`` writes ``facts.json`` (what a capture reads),
``recorded`` and ``packed`` (lists of files, each ended by a NUL) and ``pins.in``.
"""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from envlock.core.progress import Silent
from envlock.host.store import Store

if TYPE_CHECKING:
    from envlock.lock.environment import Environment, InstalledDistribution

FACTS = Path("facts.json")


def list_distributions(python: Path, store: Path) -> None:  # noqa: ARG001 (all parts are called alike)
    """Read the metadata of all that is installed."""
    for one in installed(python):
        print(f"{one.name}=={one.version}")


def verify(python: Path, store: Path) -> None:
    """Check every installed file; a store named ``none`` remembers nothing."""
    from envlock.capture import record

    checked = record.verify(installed(python), Silent(), Store(store) if store.name != "none" else None)
    print(sum(len(one.modified) for one in checked), "modified files")


def pack(python: Path, store: Path) -> None:  # noqa: ARG001 (as above)
    """Pack the base that ``prepare`` found, without bytecode."""
    from envlock.capture import transfer
    from envlock.image import base
    from envlock.image.packing import packing_of
    from envlock.lock.environment import Environment

    read = transfer.loads(Environment, json.loads(FACTS.read_bytes()))
    if read.host_files is None:
        sys.exit("bench: this machine's files can't be packed")
    with packing_of(read.host_files, read.python) as packs:
        made = base.pack_host(
            read.host_files,
            python=read.python,
            store=Store(store),
            progress=Silent(),
            packs=packs,
            bytecode=False,
        )
    print(sum(layer.size for layer in made.base.layers), "bytes")


def locate_wheels(python: Path, store: Path) -> None:
    """Find the hash of each distribution that an index may have."""
    from envlock.wheels import configuration, credentials, locate

    places = configuration.read(os.environ)
    with credentials.session(os.environ, places) as session:
        located = locate.locate(
            tuple(one for one in installed(python) if is_on_an_index(one)),
            store=Store(store),
            indexes=places.indexes,
            session=session,
            offline=False,
            progress=Silent(),
        )
    print(
        len(located.packages),
        "hashes,",
        sum(one.evidence == "matched" for one in located.packages),
        "matched",
    )


def prepare(python: Path, store: Path) -> None:  # noqa: ARG001 (as above)
    """Write what the other parts and their rivals work on."""
    from envlock.capture import environment, transfer

    read = environment.read(python, project=None, environ=os.environ, progress=Silent())
    # Packing needs no list of files that wheels brought, which is most of what was read.
    FACTS.write_text(json.dumps(transfer.dumps(replace(read, distributions=()))))
    Path("recorded").write_bytes(listed(recorded_files(read)))
    Path("packed").write_bytes(listed(packed_files(read)))
    pins = (f"{one.name}=={one.version}\n" for one in read.distributions if is_on_an_index(one))
    Path("pins.in").write_text("".join(pins))


def installed(python: Path) -> "tuple[InstalledDistribution, ...]":
    from envlock.capture import distributions
    from envlock.capture.python import ask

    return distributions.read(ask(python, os.environ).distributions)[0]


def is_on_an_index(one: "InstalledDistribution") -> bool:
    """Tell whether both rivals can look for it: no local version, no URL, nothing without RECORD."""
    return "+" not in one.version and one.direct_url is None and bool(one.record)


def recorded_files(read: "Environment") -> set[str]:
    return {
        os.path.normpath(one.site / entry.path)
        for one in read.distributions
        for entry in one.record
        if entry.sha256 is not None and (one.site / entry.path).is_file()
    }


def packed_files(read: "Environment") -> set[str]:
    host = read.host_files
    if host is None:
        return set()
    tree = host.interpreter
    inside = {f"{tree.prefix}/{name}" for name in tree.files} if tree is not None else set()
    owned = {file.path for package in host.packages for file in package.files}
    return {*host.loose, *(source for source, _ in host.moved), *owned, *inside}


def listed(paths: set[str]) -> bytes:
    return b"".join(os.fsencode(path) + b"\0" for path in sorted(paths))


PARTS = {
    "list": list_distributions,
    "verify": verify,
    "pack": pack,
    "locate": locate_wheels,
    "prepare": prepare,
}

if __name__ == "__main__":
    PARTS[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
