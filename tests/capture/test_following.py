"""What no NEEDED entry leads to: libraries opened by name, and the rest of a conda package."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from envlock.capture import conda, host_definition
from envlock.capture.closure import Search
from envlock.capture.conda import Conda
from envlock.capture.following import Following
from envlock.capture.host_definition import Opened
from envlock.capture.objects import Objects
from tests.capture.simulators import CondaSimulator

Put = Callable[[Path, bytes], Path]
Elf = Callable[..., bytes]


def following(*opened: Opened, search: Search | None = None, found: Conda | None = None) -> Following:
    return Following(
        own=Objects(found={}),
        definition=replace(host_definition.read(), opened=opened),
        search=search or Search(),
        conda=found or Conda(),
    )


def names(libraries: tuple[str, ...]) -> list[str]:
    return [Path(path).name for path in libraries]


def test_opened_libraries_come_from_beside_their_user_by_pattern(
    tmp_path: Path, put: Put, make_elf: Elf
) -> None:
    user = put(tmp_path / "a/libcudnn.so.9", make_elf(soname="libcudnn.so.9"))
    put(tmp_path / "a/libcudnn_ops.so.9", make_elf(needed=("libzdep.so",), runpath="$ORIGIN"))
    put(tmp_path / "a/libzdep.so", make_elf())
    put(tmp_path / "a/libcudnn_ops.so.txt", b"")
    put(tmp_path / "b/libcudnn_ops.so.9", make_elf())
    wants = Opened(when="libcudnn.so*", wants=("libcudnn_*.so.[0-9]*", "libabsent.so"))
    found = following(wants, search=Search(default=(str(tmp_path / "b"),))).closure([str(user)])
    assert names(found.libraries) == ["libcudnn_ops.so.9", "libzdep.so"]
    assert all(path.startswith(f"{tmp_path}/a/") for path in found.libraries)


def test_opened_libraries_are_else_looked_for_where_the_loader_looks(
    tmp_path: Path, put: Put, make_elf: Elf
) -> None:
    user = put(tmp_path / "a/libnccl.so.2", make_elf())
    put(tmp_path / "os/libibverbs.so.1", make_elf())
    wants = Opened(when="libnccl.so*", wants=("libibverbs.so.1",))
    search = Search(library_path=(str(tmp_path / "none"),), configured=(str(tmp_path / "os"),))
    assert names(following(wants, search=search).closure([str(user)]).libraries) == ["libibverbs.so.1"]


def test_a_loaded_conda_package_brings_its_other_libraries(tmp_path: Path, put: Put, make_elf: Elf) -> None:
    simulator = CondaSimulator(tmp_path / "prefix")
    elf = make_elf()
    simulator.install(
        "mkl",
        {
            "lib/libmkl_rt.so.2": elf,
            "lib/libmkl_avx512.so.2": elf,
            "lib/python3.11/site-packages/mkl/own.so": elf,
            "lib/libmkl.so.txt": b"no library",
        },
    )
    simulator.install("other", {"lib/libother.so": elf})
    found, _ = conda.read([simulator.prefix])
    root = put(tmp_path / "ext.so", make_elf(needed=("libmkl_rt.so.2",), runpath=f"{tmp_path}/prefix/lib"))
    libraries = following(found=found).closure([str(root)]).libraries
    assert names(libraries) == ["libmkl_avx512.so.2", "libmkl_rt.so.2"]
