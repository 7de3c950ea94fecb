"""Whose each library is, by simulated owners, and against the loader's own answer (ldd)."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from envlock.capture import (
    conda,
    host_definition,
    host_files,
    objects,
    owners,
    packages_dpkg,
    packages_select,
    python,
)
from envlock.capture.conda import Conda
from envlock.capture.owners import Owners
from envlock.capture.packages import Unmanaged
from envlock.lock.environment import CarriedFile, InstalledDistribution, RecordEntry
from envlock.lock.model import Gap
from tests.capture.simulators import CondaSimulator, DpkgSimulator

Put = Callable[[Path, bytes], Path]
Elf = Callable[..., bytes]


def distribution(site: Path, name: str, *files: str, carried: tuple[Path, ...] = ()) -> InstalledDistribution:
    return InstalledDistribution(
        name=name,
        raw_name=name,
        version="1",
        site=site,
        dist_info=f"{name}-1.dist-info",
        tags=(),
        build=None,
        root_is_purelib=False,
        record=tuple(RecordEntry(path=file, sha256=None, size=None) for file in files),
        requires_python=None,
        installer=None,
        direct_url=None,
        carried=tuple(CarriedFile(name=path.name, path=path) for path in carried),
    )


def test_each_kind_of_owner_is_named(tmp_path: Path, dpkg: DpkgSimulator, put: Put) -> None:
    simulator = CondaSimulator(tmp_path / "prefix")
    simulator.install("mkl", {"lib/libmkl_rt.so.2": b""})
    found, _ = conda.read([simulator.prefix])
    site = tmp_path / "env/site-packages"
    (tmp_path / "linked").symlink_to(site)
    put(tmp_path / "os/libz.so.1.3", b"")
    (tmp_path / "alternative.so").symlink_to("os/libz.so.1.3")
    dpkg.install("zlib1g", {f"{tmp_path}/os/libz.so.1.3": b""})
    database = packages_dpkg.load(tmp_path)
    assert database is not None
    known = owners.owners(
        [
            distribution(tmp_path / "linked", "numpy", "numpy.libs/libblas.so", "../../data/libdata.so"),
            distribution(site, "carrier", carried=(site / "own.so", tmp_path / "os/libz.so.1.3")),
        ],
        database=database,
        conda=found,
        prefix=tmp_path / "prefix",
    )
    expected = {
        tmp_path / "prefix/lib/libmkl_rt.so.2": "conda:mkl",
        site / "numpy.libs/libblas.so": "wheel:numpy",
        tmp_path / "linked/numpy.libs/libblas.so": "wheel:numpy",
        tmp_path / "data/libdata.so": "wheel:numpy",
        tmp_path / "alternative.so": "os:zlib1g",
        site / "own.so": "wheel:carrier",
        tmp_path / "prefix/lib/libpython3.so": "interpreter",
        tmp_path / "prefixed/libx.so": "unowned",
    }
    assert {path: known.of(str(path)) for path in expected} == expected


def test_one_soname_lists_all_its_owners_and_unowned_ones_are_gaps_with_their_hash(
    tmp_path: Path, put: Put, make_elf: Elf
) -> None:
    data = make_elf(soname="libgomp.so.1")
    paths = [str(put(tmp_path / name, data)) for name in ("wheel/libgomp-abc.so", "local/libgomp.so.1.0")]
    known = Owners(database=Unmanaged(), recorded={paths[0]: "torch"})
    table, gaps = owners.table([*paths, f"{tmp_path}/local/absent.so"], known)
    assert table == (("absent.so", "unowned"), ("libgomp.so.1", "unowned, wheel:torch"))
    sha256 = hashlib.sha256(data).hexdigest()
    reason = "no package owns this library"
    assert gaps == (Gap(subject="absent.so", reason=reason), Gap(subject="libgomp.so.1", reason=reason))
    assert [gap.extra for gap in gaps] == [(), (("sha256", sha256),)]


def test_soname_can_smuggle_no_directory(tmp_path: Path, put: Put, make_elf: Elf) -> None:
    path = put(tmp_path / "x.so", make_elf(soname="/home/ann/lib/libx.so.1"))
    table, _ = owners.table([str(path)], Owners(database=Unmanaged(), conda=Conda()))
    assert table == (("libx.so.1", "unowned"),)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ldd") is None, reason="ldd is not installed")
def test_the_libraries_are_those_that_ldd_tells() -> None:
    """By hand: ldd of the interpreter and of every extension module of this very environment."""
    environ = {**os.environ, "LD_LIBRARY_PATH": ""}
    interpreter = python.ask(Path(sys.executable), environ)
    database, _ = packages_select.load()
    definition = host_definition.read()
    own = objects.collect(interpreter.sites)
    found = host_files.collect(
        interpreter,
        own,
        database=database,
        definition=definition,
        environ=environ,
        machine=os.uname().machine,
    )
    table, _ = owners.table(found.loaded, Owners(database=database))
    standard = objects.collect([interpreter.stdlib], without=("site-packages",))
    program = os.path.realpath(sys.executable)
    modules = [program, *own.found, *standard.found]
    done = subprocess.run(["ldd", *modules], capture_output=True, text=True, check=False, env=environ)
    named = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("\t") and "=>" in line}
    opened = {name for one in definition.opened for name in one.wants}
    captured = {name for name, _ in table}
    assert len(named) > 20
    assert named - captured == set()
    # The loader itself stands there without an arrow, and what is opened by name not at all.
    assert {name for name in captured - named if not name.startswith("ld-")} <= opened
