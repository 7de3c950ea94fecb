import pytest

from envlock.capture.closure import Closure, Missing, Search, resolve
from envlock.capture.elf import Elf

X86, ARM = 62, 183


def lib(*needed: str, rpath: str = "", runpath: str = "", machine: int = X86, bits: int = 64) -> Elf:
    return Elf(
        bits=bits,
        machine=machine,
        needed=needed,
        rpath=tuple(filter(None, rpath.split(":"))),
        runpath=tuple(filter(None, runpath.split(":"))),
    )


def follow(
    files: dict[str, Elf],
    *roots: str,
    provided: dict[str, str] | None = None,
    musl: str | None = None,
    program: str | None = None,
    **search: tuple[str, ...],
) -> Closure:
    places = Search(musl=musl, **{"default": ("/lib",), **search})
    return resolve(roots, provided=provided or {}, look=files.get, search=places, program=program)


def test_needed_is_followed_through_default_directories_and_cycles() -> None:
    files = {"/a.so": lib("libb.so"), "/lib/libb.so": lib("libc.so"), "/lib/libc.so": lib("libb.so")}
    assert follow(files, "/a.so", "/no-elf").libraries == ("/lib/libb.so", "/lib/libc.so")


def test_runpath_beats_default_and_serves_only_its_own_object() -> None:
    files = {
        "/env/a.so": lib("libb.so", runpath="$ORIGIN/libs"),
        "/env/libs/libb.so": lib("libc.so"),
        "/env/libs/libc.so": lib(),
        "/lib/libb.so": lib(),
    }
    found = follow(files, "/env/a.so")
    assert found.libraries == ("/env/libs/libb.so",)
    assert found.missing == (Missing(requester="/env/libs/libb.so", name="libc.so"),)


def test_rpath_serves_what_the_object_loads() -> None:
    files = {
        "/env/a.so": lib("libb.so", rpath="${ORIGIN}/libs"),
        "/env/libs/libb.so": lib("libc.so"),
        "/env/libs/libc.so": lib(),
    }
    assert follow(files, "/env/a.so").libraries == ("/env/libs/libb.so", "/env/libs/libc.so")


def test_rpath_of_the_program_serves_what_its_process_opens_but_for_objects_with_a_runpath() -> None:
    files = {
        "/conda/bin/python": lib(rpath="$ORIGIN/../lib"),
        "/conda/lib/libstdc++.so.6": lib("libgcc_s.so.1"),
        "/conda/lib/libgcc_s.so.1": lib(),
        "/conda/lib/libz.so.1": lib(),
        "/lib/libstdc++.so.6": lib(),
        "/lib/libz.so.1": lib(),
        "/site/a.so": lib("libstdc++.so.6", rpath="$ORIGIN/libs"),
        "/site/b.so": lib("libz.so.1", runpath="$ORIGIN/libs"),
    }
    found = follow(files, "/site/a.so", "/site/b.so", program="/conda/bin/python")
    inside = ("/conda/lib/libgcc_s.so.1", "/conda/lib/libstdc++.so.6")
    assert found.libraries == (*inside, "/lib/libz.so.1")
    # Another program's process knows nothing of it.
    assert follow(files, "/site/a.so").libraries == ("/lib/libstdc++.so.6",)
    # One with a RUNPATH hands nothing on, under musl alone.
    files["/conda/bin/python"] = lib(rpath="/old", runpath="$ORIGIN/../lib")
    found = follow(files, "/site/a.so", program="/conda/bin/python")
    assert found.libraries == ("/lib/libstdc++.so.6",)
    found = follow(files, "/site/a.so", program="/conda/bin/python", musl=MUSL)
    assert found.libraries == inside


def test_rpath_beside_a_runpath_is_ignored() -> None:
    files = {"/a.so": lib("libb.so", rpath="/old", runpath="/new"), "/old/libb.so": lib()}
    assert follow(files, "/a.so").missing == (Missing(requester="/a.so", name="libb.so"),)


def test_order_is_rpath_library_path_runpath_configured_default() -> None:
    places = ["/rpath", "/ld", "/conf", "/lib"]
    for index, place in enumerate(places):
        files = {f"{later}/libb.so": lib() for later in places[index:]}
        files["/a.so"] = lib("libb.so", rpath="/rpath")
        found = follow(files, "/a.so", library_path=("/ld",), configured=("/conf", "/lib"))
        assert found.libraries == (f"{place}/libb.so",)
        assert found.unreachable == ((f"{place}/libb.so",) if place in ("/ld", "/conf") else ())


def test_candidate_of_another_machine_or_class_is_passed_over() -> None:
    files = {
        "/a.so": lib("libb.so"),
        "/one/libb.so": lib(machine=ARM),
        "/two/libb.so": lib(bits=32),
        "/lib/libb.so": lib(),
    }
    assert follow(files, "/a.so", configured=("/one", "/two")).libraries == ("/lib/libb.so",)


def test_soname_of_the_environment_answers_what_the_system_lacks() -> None:
    files = {"/a.so": lib("libcublas.so.12"), "/env/libcublas.so.12": lib("libcudart.so.12")}
    provided = {"libcublas.so.12": "/env/libcublas.so.12"}
    found = follow(files, "/a.so", provided=provided)
    assert found.libraries == ("/env/libcublas.so.12",)
    assert found.missing == (Missing(requester="/env/libcublas.so.12", name="libcudart.so.12"),)


@pytest.mark.parametrize(("prefer", "expected"), [((), "/lib/libx.so"), (("libx*",), "/env/libx.so")])
def test_preferred_names_come_from_the_environment_first(prefer: tuple[str, ...], expected: str) -> None:
    files = {"/a.so": lib("libx.so"), "/env/libx.so": lib(), "/lib/libx.so": lib()}
    assert follow(files, "/a.so", provided={"libx.so": "/env/libx.so"}, prefer=prefer).libraries == (
        expected,
    )


def test_driver_libraries_are_neither_found_nor_missing() -> None:
    files = {"/a.so": lib("libcuda.so.1"), "/lib/libcuda.so.1": lib()}
    found = follow(files, "/a.so", never=("libcuda.so*",))
    assert (found.libraries, found.missing) == ((), ())


def test_name_with_a_slash_is_a_path() -> None:
    files = {"/a.so": lib("/opt/x/libb.so"), "/opt/x/libb.so": lib(), "/lib/libb.so": lib()}
    assert follow(files, "/a.so").libraries == ("/opt/x/libb.so",)


def test_lib_and_platform_tokens_are_expanded() -> None:
    files = {"/a.so": lib("libb.so", runpath="/x/$LIB/$PLATFORM"), "/x/lib64/x86_64/libb.so": lib()}
    assert follow(files, "/a.so").libraries == ("/x/lib64/x86_64/libb.so",)


MUSL = "/lib/ld-musl-x86_64.so.1"


def test_musl_hands_a_runpath_on_and_looks_in_library_path_first() -> None:
    files = {
        "/app/python": lib("liba.so", runpath="$ORIGIN/lib"),
        "/app/lib/liba.so": lib("libb.so"),
        "/app/lib/libb.so": lib(),
        "/first/libb.so": lib(),
    }
    assert follow(files, "/app/python", musl=MUSL).libraries == ("/app/lib/liba.so", "/app/lib/libb.so")
    found = follow(files, "/app/python", musl=MUSL, library_path=("/first",))
    assert found.libraries == ("/app/lib/liba.so", "/first/libb.so")
    # As glibc does it, the second is not found.
    assert [one.name for one in follow(files, "/app/python").missing] == ["libb.so"]


def test_the_parts_of_musl_are_its_loader() -> None:
    files = {"/a.so": lib("libc.musl-x86_64.so.1", "libm.so.6", "libcurl.so.4"), MUSL: lib()}
    found = follow(files, "/a.so", musl=MUSL)
    assert (found.libraries, [one.name for one in found.missing]) == ((MUSL,), ["libcurl.so.4"])
