"""The host files of a simulated machine: a dpkg database, ELF files and an interpreter in a directory."""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from envlock.capture import (
    host_definition,
    host_files,
    interpreter_tree,
    links,
    loader,
    objects,
    packages_apk,
    packages_dpkg,
)
from envlock.capture.host_definition import HostDefinition, Opened
from envlock.capture.host_files import Collected
from envlock.capture.packages import Database, Unmanaged
from envlock.capture.python import Interpreter
from envlock.lock.environment import OwnedFile, PackedPackage
from envlock.lock.model import SystemPackage
from envlock.runtime.errors import InputError
from tests.capture.simulators import DpkgSimulator

Put = Callable[[Path, bytes], Path]
Elf = Callable[..., bytes]

DEFINITION = replace(
    host_definition.read(),
    essential=("shell", "absent"),
    owners=(),
    links=(),
    opened=(),
    keep=("*",),
    exclude=("*/doc/*",),
    configuration=(),
    bundles=(),
)
SYSTEM = SystemPackage(name="ca-certificates", version="1", architecture="all")
CERTIFICATE = "/usr/share/ca-certificates/mozilla/x.crt"


def interpreter(tmp_path: Path, *, prefix: str = "opt/py") -> Interpreter:
    base = tmp_path / prefix
    site = tmp_path / "env/lib/python3.11/site-packages"
    return Interpreter(
        implementation="cpython",
        version="3.11.7",
        soabi="cpython-311",
        build="GCC",
        executable=base / "bin/python3.11",
        prefix=tmp_path / "env",
        base_prefix=base,
        built_prefix="",
        stdlib=base / "lib/python3.11",
        path=(base / "lib/python3.11", base / "lib/python3.11/lib-dynload", site),
        user_site=tmp_path / "user",
        distributions=(),
    )


def collect(
    tmp_path: Path,
    one: Interpreter,
    definition: HostDefinition = DEFINITION,
    environ: Mapping[str, str] | None = None,
    *,
    database: Database | None = None,
    run: tuple[str, ...] = (),
) -> Collected:
    database = database or packages_dpkg.load(tmp_path)
    assert database is not None
    return host_files.collect(
        one,
        objects.collect(one.sites),
        database=database,
        definition=definition,
        environ=environ or {},
        machine="x86_64",
        run=run,
    )


@pytest.fixture
def machine(tmp_path: Path, dpkg: DpkgSimulator, put: Put, make_elf: Elf) -> Interpreter:
    """A machine with an unowned interpreter, one extension module and two library packages."""
    one = interpreter(tmp_path)
    run = f"{tmp_path}/os"
    put(one.executable, make_elf(needed=("libpy.so.1",), runpath=str(one.base_prefix / "lib")))
    (one.base_prefix / "bin/python3").symlink_to("python3.11")
    put(one.base_prefix / "lib/libpy.so.1.0", make_elf(soname="libpy.so.1"))
    (one.base_prefix / "lib/libpy.so.1").symlink_to("libpy.so.1.0")
    put(one.stdlib / "os.py", b"pass")
    put(one.stdlib / "site-packages/pip/x.so", make_elf(needed=("never.so",)))
    put(one.stdlib / "__pycache__/os.pyc", b"")
    put(one.stdlib / "lib-dynload/_ssl.so", make_elf(needed=("libssl.so.3",), runpath=run))
    put(one.sites[-1] / "pkg/ext.so", make_elf(needed=("libown.so", "libgone.so.5"), runpath="$ORIGIN"))
    put(one.sites[-1] / "pkg/libown.so", make_elf())
    ssl = make_elf(needed=("libz.so.1",), runpath=run)
    put(tmp_path / "os/libssl.so.3", ssl)
    put(tmp_path / "os/doc/readme", b"")
    dpkg.install("simssl", {f"{run}/libssl.so.3": ssl, f"{run}/doc/readme": b"", f"{run}": None})
    z = make_elf(soname="libz.so.1")
    put(tmp_path / "os/libz.so.1.3", z)
    (tmp_path / "os/libz.so.1").symlink_to("libz.so.1.3")
    dpkg.install("simz", {f"{run}/libz.so.1.3": z, f"{run}/libz.so.1": None}, same=True)
    put(tmp_path / "os/sh", b"shell")
    dpkg.install("shell", {f"{run}/sh": b"shell"})
    return one


def test_libraries_bring_their_packages_and_the_interpreter_its_tree(
    tmp_path: Path, machine: Interpreter
) -> None:
    found = collect(tmp_path, machine)
    files = found.files
    assert [package.package.name for package in files.packages] == ["shell", "simssl", "simz"]
    z = files.packages[2]
    assert [Path(file.path).name for file in z.files] == ["libz.so.1", "libz.so.1.3"]
    assert [file.checksum is None for file in z.files] == [True, False]
    assert files.interpreter is not None
    assert files.interpreter.target == "/opt/python"
    assert files.interpreter.files == (
        "bin/python3",
        "bin/python3.11",
        "lib/libpy.so.1",
        "lib/libpy.so.1.0",
        "lib/python3.11/lib-dynload/_ssl.so",
        "lib/python3.11/os.py",
    )
    assert files.python_executable == "/opt/python/bin/python3.11"
    assert (files.loose, files.moved, files.links) == ((), (), ())


def test_what_nothing_provides_is_a_gap_that_names_no_directory(tmp_path: Path, machine: Interpreter) -> None:
    (gap,) = collect(tmp_path, machine).gaps
    assert gap.subject == "libgone.so.5"
    assert gap.reason.endswith("needed by pkg/ext.so")


def test_changed_files_of_a_package_are_a_gap_and_keep_their_real_checksum(
    tmp_path: Path, machine: Interpreter, put: Put
) -> None:
    put(tmp_path / "os/sh", b"edited")
    found = collect(tmp_path, machine)
    reasons = {gap.subject: gap.reason for gap in found.gaps}
    assert reasons["shell"].startswith("changed since")
    edited = hashlib.md5(b"edited", usedforsecurity=False).hexdigest()
    assert found.files.packages[0].files == (OwnedFile(path=f"{tmp_path}/os/sh", checksum=f"md5:{edited}"),)


def test_many_absent_files_are_counted(tmp_path: Path, machine: Interpreter, dpkg: DpkgSimulator) -> None:
    dpkg.install("shell", {f"{tmp_path}/os/none{index}": b"" for index in range(5)})
    reasons = {gap.subject: gap.reason for gap in collect(tmp_path, machine).gaps}
    assert reasons["shell"].endswith("and 2 more")


def test_owned_interpreter_brings_the_packages_of_its_standard_library(
    tmp_path: Path, machine: Interpreter, dpkg: DpkgSimulator
) -> None:
    dpkg.install("python3.11-minimal", {str(machine.executable): None})
    dpkg.install("libpython3.11-stdlib", {f"{machine.stdlib}/os.py": None})
    dpkg.install("libpython3.11-dev", {f"{machine.stdlib}/config": None})
    dpkg.install(
        "libpy",
        {f"{machine.base_prefix}/lib/libpy.so.1": None, f"{machine.base_prefix}/lib/libpy.so.1.0": None},
    )
    files = collect(tmp_path, machine).files
    assert files.interpreter is None
    assert files.python_executable == str(machine.executable)
    names = [package.package.name for package in files.packages]
    assert names == ["libpy", "libpython3.11-stdlib", "python3.11-minimal", "shell", "simssl", "simz"]


def test_unowned_library_is_loose_and_one_found_by_configuration_gets_a_link(
    tmp_path: Path, machine: Interpreter, put: Put, make_elf: Elf
) -> None:
    library = put(tmp_path / "site/libgone.so.5.1", make_elf())
    (tmp_path / "site/libgone.so.5").symlink_to("libgone.so.5.1")
    found = collect(tmp_path, machine, environ={"LD_LIBRARY_PATH": f"relative:{tmp_path}/site"})
    assert found.gaps == ()
    assert found.files.loose == (f"{tmp_path}/site/libgone.so.5", str(library))
    assert found.files.links == (("/usr/lib/x86_64-linux-gnu/libgone.so.5", f"{tmp_path}/site/libgone.so.5"),)


def test_link_to_a_library_of_the_interpreter_points_to_its_new_place(
    tmp_path: Path, machine: Interpreter, put: Put, make_elf: Elf
) -> None:
    put(machine.base_prefix / "lib/libgone.so.5", make_elf())
    found = collect(tmp_path, machine, environ={"LD_LIBRARY_PATH": f"{machine.base_prefix}/lib"})
    assert ("/usr/lib/x86_64-linux-gnu/libgone.so.5", "/opt/python/lib/libgone.so.5") in found.files.links
    assert found.files.interpreter is not None
    assert "lib/libgone.so.5" in found.files.interpreter.files


def test_environment_library_found_by_configuration_needs_no_link(
    tmp_path: Path, machine: Interpreter
) -> None:
    site = machine.sites[-1]
    (site / "pkg/libgone.so.5").write_bytes((site / "pkg/libown.so").read_bytes())
    (site / "pkg/ext.so").write_bytes((site / "pkg/ext.so").read_bytes().replace(b"$ORIGIN", b"/nowher"))
    found = collect(tmp_path, machine, environ={"LD_LIBRARY_PATH": f"{site}/pkg"})
    assert (found.files.links, found.files.loose) == ((), ())


def test_opened_libraries_come_along_where_their_user_is_loaded(tmp_path: Path, machine: Interpreter) -> None:
    libc = next((d for d in loader.defaults(os.uname().machine) if Path(d, "libc.so.6").exists()), None)
    if libc is None:
        pytest.skip("no libc.so.6 in the loader's directories")
    definition = replace(DEFINITION, opened=(Opened(when="libown*", wants=("libc.so.6", "libnot.so")),))
    loaded = collect(tmp_path, machine, definition).loaded
    # Where /lib is /usr/lib, ld.so.conf decides which of the two names is found first.
    assert [os.path.realpath(one) for one in loaded if one.endswith("/libc.so.6")] == [
        os.path.realpath(f"{libc}/libc.so.6")
    ]


def test_kept_links_are_packed_with_what_they_point_to(tmp_path: Path, machine: Interpreter) -> None:
    (tmp_path / "awk").symlink_to("alternative")
    (tmp_path / "alternative").symlink_to("os/libz.so.1")
    definition = replace(DEFINITION, links=(f"{tmp_path}/awk", f"{tmp_path}/absent"))
    assert collect(tmp_path, machine, definition).files.loose == (
        f"{tmp_path}/alternative",
        f"{tmp_path}/awk",
    )


def test_links_are_resolved_in_directories_and_circles_end(tmp_path: Path, put: Put) -> None:
    put(tmp_path / "real/file", b"")
    (tmp_path / "directory").symlink_to("real")
    (tmp_path / "link").symlink_to("directory/../directory/file")
    found = links.resolve(f"{tmp_path}/link")
    assert found is not None
    assert found.path == f"{tmp_path}/real/file"
    assert found.links == (f"{tmp_path}/link", f"{tmp_path}/directory")
    (tmp_path / "circle").symlink_to("circle")
    assert links.resolve(f"{tmp_path}/circle") is None
    assert links.resolve(f"{tmp_path}/absent") is None


def test_link_out_of_the_prefix_is_left_out(tmp_path: Path, machine: Interpreter) -> None:
    (machine.stdlib / "out.py").symlink_to(tmp_path / "os/sh")
    (machine.stdlib / "dangling.py").symlink_to("nowhere")
    tree = interpreter_tree.collect(machine, DEFINITION, ("/no/such/library",))
    assert not [name for name in tree.files if name.endswith(("out.py", "dangling.py"))]


def test_ld_so_conf_is_read_with_includes(tmp_path: Path, put: Put) -> None:
    put(
        tmp_path / "etc/ld.so.conf",
        b"include /etc/ld.so.conf.d/*.conf\ninclude more.conf\n/last # why\nhwcap 0\n",
    )
    put(tmp_path / "etc/ld.so.conf.d/b.conf", b"/b/\n/a\n")
    put(tmp_path / "etc/ld.so.conf.d/a.conf", b"/a\n")
    put(tmp_path / "etc/more.conf", b"/more\n")
    assert loader.configured(tmp_path, tmp_path / "etc/ld.so.conf") == ("/a", "/b", "/more", "/last")


def test_ld_so_conf_that_includes_itself_ends(tmp_path: Path, put: Put) -> None:
    file = put(tmp_path / "etc/ld.so.conf", b"include /etc/ld.so.conf\n/a\n")
    assert loader.configured(tmp_path, file) == ("/a",)


def test_definition_that_is_broken_names_its_file(tmp_path: Path, put: Put) -> None:
    for text in (b"[", b"[packages]\n"):
        with pytest.raises(InputError, match=r"base definition: host\.toml"):
            host_definition.read(put(tmp_path / "host.toml", text))
    assert not host_definition.matcher([])("anything")


def test_definition_keeps_secrets_and_machine_configuration_out() -> None:
    definition = host_definition.read()
    configuration = host_definition.matcher(definition.configuration)
    kept = host_definition.matcher(definition.keep)
    for path in (
        "/etc/machine-id",
        "/etc/shadow",
        "/etc/resolv.conf",
        "/etc/pip.conf",
        "/etc/ssl/certs/local.pem",
    ):
        assert not configuration(path)
        assert not kept(path)
    never = host_definition.matcher(definition.never_libraries)
    assert all(map(never, ("libcuda.so.1", "libnvidia-ml.so.1", "libnvidia-ptxjitcompiler.so.1")))
    assert not any(map(never, ("libcudart.so.12", "libcudnn.so.9", "libnvrtc.so.12")))


def test_without_a_package_manager_programs_and_libraries_are_loose(
    tmp_path: Path, machine: Interpreter
) -> None:
    definition = replace(DEFINITION, programs=(f"{tmp_path}/os/sh", f"{tmp_path}/absent"))
    files = collect(tmp_path, machine, definition, database=Unmanaged(root=tmp_path)).files
    assert files.packages == ()
    names = [path.removeprefix(f"{tmp_path}/os/") for path in files.loose]
    assert names == ["libssl.so.3", "libz.so.1", "libz.so.1.3", "sh"]
    assert files.interpreter is not None


def test_owners_of_named_files_are_essential(
    tmp_path: Path, machine: Interpreter, dpkg: DpkgSimulator, put: Put
) -> None:
    put(tmp_path / "os/release", b"ID=x")
    dpkg.install("distro-release", {f"{tmp_path}/os/release": b"ID=x"})
    definition = replace(DEFINITION, owners=(f"{tmp_path}/os/release", "/nowhere"))
    names = [one.package.name for one in collect(tmp_path, machine, definition).files.packages]
    assert names == ["distro-release", "shell", "simssl", "simz"]


def test_mapped_libraries_of_a_run_are_packed_with_what_they_need(
    tmp_path: Path, machine: Interpreter, dpkg: DpkgSimulator, put: Put, make_elf: Elf
) -> None:
    place = f"{tmp_path}/dlopen"
    library = make_elf(soname="libplug.so.1", needed=("libdep.so.1",), runpath="$ORIGIN")
    put(tmp_path / "dlopen/libplug.so.1", library)
    dependency = put(tmp_path / "dlopen/libdep.so.1", make_elf())
    dpkg.install("plug", {f"{place}/libplug.so.1": library})
    dpkg.install("dep", {str(dependency): None})
    inside = put(machine.base_prefix / "lib/libinside.so", make_elf())
    run = (
        f"{place}/libplug.so.1",
        str(inside),
        # The environment's and the standard library's own need nothing.
        str(machine.sites[-1] / "pkg/ext.so"),
        str(machine.stdlib / "lib-dynload/_ssl.so"),
        "/dev/shm/made.so",  # noqa: S108 (a place that is never packed)
    )
    found = collect(tmp_path, machine, run=run)
    assert [one.package.name for one in found.files.packages] == ["dep", "plug", "shell", "simssl", "simz"]
    assert found.files.interpreter is not None
    assert "lib/libinside.so" in found.files.interpreter.files
    assert set(run[:2]) <= set(found.loaded)
    assert not set(run[2:]) & set(found.loaded)
    assert sorted(gap.subject for gap in found.gaps) == ["libgone.so.5", "run"]


def test_mapped_library_that_only_configuration_leads_to_gets_a_link(
    tmp_path: Path, machine: Interpreter, put: Put, make_elf: Elf
) -> None:
    library = put(tmp_path / "vendor/libvendor.so.1", make_elf())
    environ = {"LD_LIBRARY_PATH": f"{tmp_path}/vendor"}
    files = collect(tmp_path, machine, environ=environ, run=(str(library),)).files
    assert ("/usr/lib/x86_64-linux-gnu/libvendor.so.1", str(library)) in files.links


def test_links_to_a_packed_multi_tool_come_along(tmp_path: Path, dpkg: DpkgSimulator) -> None:
    target = Path(os.path.realpath("/bin/sh"))
    dpkg.install("shell", {str(target): None})
    database = packages_dpkg.load(tmp_path)
    assert database is not None
    package = database.named("shell")
    assert package is not None
    whose = host_files._Sorted({package.key: package}, set(), set(), set())
    found = host_files._links_to((str(target), "/no/such/tool"), whose, database)
    assert all(os.path.realpath(path) == str(target) for path in found)
    assert "/usr/bin/sh" in found or "/bin/sh" in found
    assert (
        host_files._links_to((str(target),), host_files._Sorted({}, set(), set(), set()), database) == set()
    )


def test_machine_whose_ca_certificates_are_only_a_bundle_is_told(
    tmp_path: Path, machine: Interpreter, put: Put
) -> None:
    bundle = put(tmp_path / "ca-bundle.crt", b"")
    definition = replace(DEFINITION, bundles=(f"{tmp_path}/absent", str(bundle)))
    assert "CA certificates" in {gap.subject for gap in collect(tmp_path, machine, definition).gaps}
    kept = (PackedPackage(package=SYSTEM, files=(OwnedFile(path=CERTIFICATE, checksum=None),), status=""),)
    assert host_files._trust(kept, definition) == ()


def test_each_manager_has_its_own_essential_packages(tmp_path: Path, put: Put) -> None:
    put(
        tmp_path / "lib/apk/db/installed",
        b"P:musl\nV:1\nF:lib\nR:libc.so\n\nP:bash\nV:1\nF:bin\nR:bash\n\nP:x\nV:1\n",
    )
    database = packages_apk.load(tmp_path)
    assert database is not None
    definition = replace(host_definition.read(), owners=("/bin/bash",))
    assert sorted(host_files._essential(database, definition)) == ["bash", "musl"]


def test_musl_looks_in_its_own_directories(tmp_path: Path, put: Put) -> None:
    musl = "/lib/ld-musl-x86_64.so.1"
    found = loader.search(DEFINITION, {}, "x86_64", loader=musl, root=tmp_path)
    assert (found.musl, found.default) == (musl, ("/lib", "/usr/local/lib", "/usr/lib"))
    assert loader.place(found) == "/usr/lib"
    put(tmp_path / "etc/ld-musl-x86_64.path", b"/opt/lib:/usr/lib\nrelative\n/usr/lib\n")
    found = loader.search(DEFINITION, {}, "x86_64", loader=musl, root=tmp_path)
    assert (found.configured, found.default) == (("/opt/lib", "/usr/lib"), ("/usr/lib",))


def test_directories_of_glibc_are_those_in_its_loader(tmp_path: Path, put: Put) -> None:
    red_hat = put(tmp_path / "ld.so", b"\x7fELF\0/lib64/\0/usr/lib64/\0rest/etc/ld.so.cache\0")
    found = loader.search(DEFINITION, {}, "x86_64", loader=str(red_hat), root=tmp_path)
    assert (found.default, loader.place(found)) == (("/lib64", "/usr/lib64"), "/usr/lib64")
    unknown = put(tmp_path / "other.so", b"\x7fELF")
    found = loader.search(DEFINITION, {}, "x86_64", loader=str(unknown), root=tmp_path)
    assert found.default == loader.defaults("x86_64")
