"""A conda environment whose packages and records are made by a real installer, from capture to a run."""

from hashlib import sha256
from pathlib import Path

import pytest

from tests.capture.simulators import build_elf
from tests.end_to_end.conda_channel import Channel
from tests.end_to_end.environments import DEBIAN
from tests.end_to_end.installing import read_lock
from tests.end_to_end.project import LOCK, CommandLine

pytestmark = pytest.mark.slow

JOB = "import demo, portable, sys; print(demo.VALUE, portable.VALUE, sys.base_prefix)"


def _distribution(site: str, name: str, **more: bytes) -> dict[str, bytes | str]:
    """The files of a Python package as conda-build leaves them, its directory in direct_url.json."""
    metadata = f"{site}/{name}-1.0.dist-info"
    wheel = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files: dict[str, bytes | str] = {
        f"{site}/{name}.py": f"VALUE = 'of {name}'\n".encode(),
        f"{metadata}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{metadata}/WHEEL": wheel.encode(),
        f"{metadata}/INSTALLER": b"conda",
        f"{metadata}/direct_url.json": b'{"dir_info": {}, "url": "file:///home/conda/feedstock_root/work"}',
        **{f"{site}/{file}.so": data for file, data in more.items()},
    }
    record = "".join(f"{path.removeprefix(site + '/')},,\n" for path in files)
    return {**files, f"{metadata}/RECORD": f"{record}{metadata.removeprefix(site + '/')}/RECORD,,\n".encode()}


def test_a_conda_environment_is_captured_built_and_run(tmp_path: Path, namespaces: None) -> None:
    channel = Channel(root=tmp_path / "channel")
    site = channel.add_python(DEBIAN)
    library: dict[str, bytes | str] = {
        "lib/libdemo.so.1.0": build_elf(soname="libdemo.so.1"),
        "lib/libdemo.so.1": "libdemo.so.1.0",
    }
    extension = build_elf(needed=("libdemo.so.1",), rpath="$ORIGIN/" + "../" * (site.count("/") + 1) + "lib")
    archives = {
        "libdemo": channel.add("libdemo", "1.0", library),
        "demo": channel.add("demo", "1.0", _distribution(site, "demo", _demo=extension), depends=["libdemo"]),
        "portable": channel.add("portable", "1.0", _distribution("site-packages", "portable"), portable=True),
        "tool": channel.add("tool", "1.0", {"bin/tool": b"#!/bin/sh\n", "etc/conda/activate.d/tool.sh": b""}),
    }
    prefix = tmp_path / "conda"
    channel.install(prefix, "python", *archives)

    work = tmp_path / "work"
    work.mkdir()
    command = CommandLine(cwd=work, variables=(("ENVLOCK_CACHE", str(tmp_path / "store")),))
    command.done("capture", "--offline", "--python", prefix / "bin/python")
    lock = read_lock(work / LOCK)
    assert lock.python.prefix_kind == "conda"
    assert {one.name: one.sha256.hex for one in lock.conda if one.sha256 and one.name != "python"} == {
        name: sha256(archive.read_bytes()).hexdigest() for name, archive in archives.items()
    }
    assert {one.channel for one in lock.conda} == {"file:channel"}
    assert [(one.name, one.source) for one in lock.packages] == [("demo", "conda"), ("portable", "conda")]
    assert dict(lock.packages[0].origin) == {"build": "h0_0", "url": "file:demo-1.0-h0_0.tar.bz2"}
    assert dict(lock.libraries)["libdemo.so.1"] == "conda:libdemo"
    assert [gap.reason.endswith(": tool") for gap in lock.gaps if gap.subject == "conda"] == [True, True]

    command.done("build", "-o", "oci-archive:image.tar")
    where = ("--engine", "embedded", "--image", "oci-archive:image.tar")
    printed = command.done("run", *where, "--", "python", "-c", JOB)
    assert printed.splitlines()[-1] == f"of demo of portable {lock.python.prefix}"
