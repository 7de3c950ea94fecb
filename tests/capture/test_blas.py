"""Numeric libraries: NumPy's own OpenBLAS, and small ones that answer as OpenBLAS, BLIS and MKL do."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from envlock.capture import blas, blas_probe

Put = Callable[[Path, bytes], Path]
PROGRAM = Path(sys.executable)
OPENBLAS = """
char *scipy_openblas_get_config64_(void) { return "OpenBLAS 0.3.30.1 USE64BITINT DYNAMIC_ARCH Zen"; }
char *scipy_openblas_get_corename64_(void) { return "SkylakeX"; }
int scipy_openblas_get_parallel64_(void) { return 2; }
"""
BLIS = """
char *bli_info_get_version_str(void) { return "2.0"; }
int bli_info_get_enable_openmp(void) { return 0; }
int bli_info_get_enable_pthreads(void) { return 1; }
int bli_arch_query_id(void) { return 7; }
char *bli_arch_string(int id) { return id == 7 ? "zen3" : "generic"; }
"""
MKL = """
#include <string.h>
void mkl_get_version_string(char *text, int length) {
    strncpy(text, "Intel(R) oneAPI Math Kernel Library Version 2024.2-Product Build 20240605", length);
}
"""
ABORTS = "#include <stdlib.h>\n__attribute__((constructor)) static void start(void) { abort(); }"
TALKS = '#include <stdio.h>\n__attribute__((constructor)) static void start(void) { puts("[1]\\nhello {"); }'


def read(*libraries: Path, program: Path | None = PROGRAM) -> tuple[str, ...]:
    return blas.read(map(str, libraries), program, {})


def test_libraries_tell_version_threading_and_kernels(shared_library: Callable[..., Path]) -> None:
    found = read(
        shared_library("libscipy_openblas64_-8fb3d286.so", OPENBLAS + TALKS),
        shared_library("libblis.so.4", BLIS),
        shared_library("libmkl_rt.so.2", MKL),
    )
    assert found == ("blis 2.0 pthreads zen3", "mkl_rt 2024.2", "openblas 0.3.30.1 openmp SkylakeX")


def test_what_lies_beside_a_library_is_found_without_a_path_to_it(
    shared_library: Callable[..., Path],
) -> None:
    """NumPy 1.26's OpenBLAS, which only its extension modules lead to, and its Fortran library."""
    fortran = shared_library("libgfortran-040039e1.so", "int fortran(void) { return 1; }")
    name = "libopenblas64_p-r0-0cf96a72.3.23.dev.so"
    openblas = shared_library(
        name, "int fortran(void);\nint used(void) { return fortran(); }\n" + OPENBLAS, fortran
    )
    assert read(openblas) == ("openblas 0.3.30.1 openmp SkylakeX",)
    fortran.unlink()
    assert read(openblas) == ("openblas 0.3.30.1 pthreads",)


def test_a_library_that_crashes_takes_only_what_follows_with_it(shared_library: Callable[..., Path]) -> None:
    found = read(
        shared_library("libblis.so.4", BLIS),
        shared_library("libopenblas-aborts.so.0", ABORTS),
        shared_library("libscipy_openblas64_-8fb3d286.so", OPENBLAS),
    )
    assert "blis 2.0 pthreads zen3" in found
    assert "openblas 0" in found


def test_a_library_without_the_functions_is_told_by_its_name(shared_library: Callable[..., Path]) -> None:
    found = read(
        shared_library("libblis.so.4", "int x;"),
        shared_library("libmkl_rt.so.2", "int x;"),
        shared_library("libopenblas.so.0", "int x;"),
    )
    assert found == ("blis 4 sequential", "mkl_rt 2", "openblas 0")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"\0OpenBLAS 0.3.30  USE64BITINT DYNAMIC_ARCH\0", "openblas 0.3.30 pthreads"),
        (b"OpenBLAS error: x\0OpenBLAS 0.3.31.188.0 USE_OPENMP \0", "openblas 0.3.31.188.0 openmp"),
        (b"OpenBLAS 0.3.21.dev  SINGLE_THREADED\0", "openblas 0.3.21.dev sequential"),
        (b"no text", "openblas 0"),
        (b"", "openblas 0"),
    ],
)
@pytest.mark.parametrize("program", [None, Path("/no/such/python"), PROGRAM])
def test_what_can_not_be_asked_is_told_by_its_file(
    tmp_path: Path, put: Put, program: Path | None, text: bytes, told: str
) -> None:
    assert read(put(tmp_path / "libopenblasp.so.0", text), program=program) == (told,)


def test_openmp_libraries_are_told_by_their_names_through_links(tmp_path: Path, put: Put) -> None:
    gomp = put(tmp_path / "libgomp-a34b3233.so.1.0.0", b"")
    link = tmp_path / "libgomp.so.1"
    link.symlink_to(gomp.name)
    plain = put(tmp_path / "libz.so.1", b"")
    assert read(gomp, link, tmp_path / "libiomp5.so", plain, program=None) == ("gomp 1.0.0", "iomp5")


def test_the_openblas_of_numpy_answers_and_its_file_tells_the_same_without_being_loaded() -> None:
    spec = importlib.util.find_spec("numpy")
    assert spec is not None, "the development environment has NumPy"
    (library,) = (Path(str(spec.origin)).parents[1] / "numpy.libs").glob("libscipy_openblas*")
    (told,) = read(library)
    name, version, layer, architecture = told.split()
    assert (name, layer) == ("openblas", "pthreads")
    assert architecture.isalnum()
    assert read(library, program=None) == (f"openblas {version} pthreads",)


class Function:
    """A function of a C library, as ctypes gives it."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def __call__(self, *arguments: Any) -> object:
        if isinstance(self.answer, bytes) and arguments and hasattr(arguments[0], "value"):
            arguments[0].value = self.answer
        return self.answer


def library(**functions: object) -> Any:
    return SimpleNamespace(**{name: Function(answer) for name, answer in functions.items()})


def test_the_words_of_each_library_are_understood() -> None:
    """The probe's own functions, also where no compiler can build the libraries above."""
    openblas = library(
        openblas_get_config=b"OpenBLAS 0.3.21 NO_LAPACKE",
        openblas_get_parallel=0,
        openblas_get_corename=b"Zen",
    )
    assert blas_probe.openblas(openblas) == {
        "version": "0.3.21",
        "layer": "sequential",
        "architecture": "Zen",
    }
    nothing = {"version": None, "layer": None, "architecture": None}
    assert blas_probe.openblas(library()) == nothing
    assert blas_probe.openblas(library(openblas_get_config=b"")) == nothing
    blis = library(
        bli_info_get_version_str=b"1.0",
        bli_info_get_enable_openmp=1,
        bli_arch_query_id=7,
        bli_arch_string=b"zen3",
    )
    assert blas_probe.blis(blis) == {"version": "1.0", "layer": "openmp", "architecture": "zen3"}
    assert blas_probe.blis(library())["layer"] == "sequential"
    for text, version in (
        (b"MKL Version 2024.2-Product Build", "2024.2"),
        (b"MKL", None),
        (b"a Version", None),
    ):
        assert blas_probe.mkl(library(mkl_get_version_string=text))["version"] == version


def test_the_probe_passes_over_what_is_no_library(
    tmp_path: Path, put: Put, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["-c", str(put(tmp_path / "libmkl_rt.so", b"")), str(tmp_path / "none")])
    blas_probe.main()
    assert capsys.readouterr().out == ""
