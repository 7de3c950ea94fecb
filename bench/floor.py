"""The least that a build from wheels can cost: inflate and SHA-256 every byte once, on all cores.

    python bench/floor.py zlib|zlib-ng WHEEL...

Nothing is checked, written or remembered. The files of all wheels are spread over one process for each
core, the largest wheel first; a wheel that is more than its share is cut between files.
"""

import hashlib
import importlib
import multiprocessing
import os
import sys
import zipfile
from pathlib import Path

PIECE = 1 << 18
INFLATERS = {"zlib": "zlib", "zlib-ng": "zlib_ng.zlib_ng"}
Part = tuple[str, int, int, int]
"""Wheel, offset, compressed size and method of a file's data."""


def parts(wheel: str) -> list[Part]:
    found = []
    with zipfile.ZipFile(wheel) as archive, Path(wheel).open("rb") as stream:
        for info in archive.infolist():
            stream.seek(info.header_offset + 26)
            name, extra = (int.from_bytes(stream.read(2), "little") for _ in range(2))
            offset = info.header_offset + 30 + name + extra
            found.append((wheel, offset, info.compress_size, info.compress_type))
    return found


def work(share: list[Part]) -> int:
    zlib = importlib.import_module(INFLATERS[sys.argv[1]])
    total = 0
    opened: dict[str, int] = {}
    for wheel, offset, size, method in share:
        if wheel not in opened:
            opened[wheel] = os.open(wheel, os.O_RDONLY)
        inflater = zlib.decompressobj(wbits=-15) if method else None
        state = hashlib.sha256()
        for start in range(0, size, PIECE):
            rest = os.pread(opened[wheel], min(PIECE, size - start), offset + start)
            while rest:
                data = inflater.decompress(rest, PIECE) if inflater else rest
                rest = inflater.unconsumed_tail if inflater else b""
                state.update(data)
                total += len(data)
        state.digest()
    return total


def main() -> None:
    cores = len(os.sched_getaffinity(0))
    shares: list[list[Part]] = [[] for _ in range(cores)]
    loads = [0] * cores
    everything = (part for wheel in sys.argv[2:] for part in parts(wheel))
    for part in sorted(everything, key=lambda one: -one[2]):
        least = loads.index(min(loads))
        shares[least].append(part)
        loads[least] += part[2]
    with multiprocessing.get_context("fork").Pool(cores) as pool:
        print(sum(pool.map(work, shares, chunksize=1)), "bytes")


if __name__ == "__main__":
    main()
