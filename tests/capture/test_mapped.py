"""A real run and what it loads. The jobs here are real processes under the real dynamic loader."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from envlock.capture import elf, environment, loader, mapped
from envlock.capture.elf import Elf
from envlock.capture.mapped import Chosen
from envlock.core.progress import Silent
from envlock.runtime.errors import UsageError

glibc = pytest.mark.skipif(os.confstr("CS_GNU_LIBC_VERSION") is None, reason="the C library is not glibc")


def run(source: str) -> mapped.Observed:
    return mapped.observe((sys.executable, "-c", source), os.environ)


@glibc
def test_everything_that_is_mapped_is_seen(tmp_path: Path) -> None:
    observed = run(
        "import ctypes, ssl, sqlite3\nctypes.CDLL('libresolv.so.2')\n"
        f"open({str(tmp_path / 'maps')!r}, 'w').write(open('/proc/self/maps').read())"
    )
    lines = (tmp_path / "maps").read_text().splitlines()
    in_maps = {line.split(None, 5)[5] for line in lines if ".so" in line}
    assert len(in_maps) > 5
    assert in_maps <= {os.path.realpath(path) for path in observed.objects}
    assert observed.gaps == ()


@glibc
def test_children_are_seen_too(tmp_path: Path) -> None:
    child = "import ctypes; ctypes.CDLL('libresolv.so.2')"
    observed = run(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])")
    assert any(path.endswith("/libresolv.so.2") for path in observed.objects)
    assert list(observed.objects) == sorted(set(observed.objects))


@glibc
def test_the_jobs_own_files_and_streams_hold_only_what_it_wrote(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # File descriptor 3 is the loader's until the shell takes it.
    script = f"exec 3>{tmp_path}/out; echo hello >&3; echo output; echo error >&2"
    mapped.observe(("bash", "-c", script), os.environ)
    assert (tmp_path / "out").read_text() == "hello\n"
    assert capfd.readouterr() == ("output\n", "error\n")


def test_job_that_fails_is_a_gap_and_what_it_loaded_stays() -> None:
    observed = run("raise SystemExit(3)")
    (gap,) = observed.gaps
    assert (gap.subject, gap.harmless) == ("run", False)
    assert "exit status 3" in gap.reason
    assert observed.objects


def test_job_of_which_nothing_is_seen_is_a_gap() -> None:
    static = elf.read(Path("/sbin/ldconfig"))
    if static is None or static.interpreter is not None:
        pytest.skip("ldconfig is no static program here")
    observed = mapped.observe(("/sbin/ldconfig", "--version"), os.environ)
    assert observed.objects == ()
    (gap,) = observed.gaps
    assert gap.reason.startswith("none of the job's processes")


def test_job_that_can_not_be_started_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot start the job"):
        mapped.observe((str(tmp_path / "absent"),), os.environ)


def test_signal_ends_the_job_and_then_envlock(tmp_path: Path) -> None:
    job = "import time; open('started', 'w').close(); time.sleep(60)"
    source = (
        "import os, sys\nfrom envlock.capture import mapped\n"
        f"mapped.observe((sys.executable, '-c', {job!r}), os.environ)\nprint('went on')"
    )
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environ = {**os.environ, "PYTHONPATH": os.getcwd(), "TMPDIR": str(scratch)}
    argv = [sys.executable, "-c", source]
    with subprocess.Popen(argv, cwd=tmp_path, stdout=subprocess.PIPE, env=environ) as process:
        until = time.monotonic() + 30
        while not (tmp_path / "started").exists() and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (-signal.SIGTERM, b"")
    assert list(scratch.iterdir()) == []


def test_reports_are_read_whatever_lies_beside_them(tmp_path: Path) -> None:
    (tmp_path / "loader.1").write_text("     1:\tobject=/a b/x.so [0]\n     1:\t scope 0: /no.so\n")
    (tmp_path / "loader.2").write_text("     2:\tobject=linux-vdso.so.1 [0]\n     2:\tobject=/y.so [1]\n")
    (tmp_path / "loader.3").symlink_to("loader.4")
    os.mkfifo(tmp_path / "loader.5")
    assert mapped._reported(tmp_path) == ("/a b/x.so", "/y.so")


def choose(objects: Mapping[str, Elf], *others: str, **changes: object) -> Chosen:
    settings = {
        "program": Elf(bits=64, machine=62),
        "known": lambda path: path.startswith("/env/"),
        "owned": lambda path: path.startswith("/usr/lib/"),
        "library_path": ("/home/ann/lib",),
        "never": ("libcuda.so*",),
        **changes,
    }
    return mapped.choose((*objects, *others), look=objects.get, **settings)  # type: ignore[arg-type]  # one table


def test_libraries_of_packages_and_administrators_are_packed() -> None:
    library = Elf(bits=64, machine=62, soname="libx.so.1")
    paths = ("/usr/lib/libx.so.1", "/opt/vendor/libx.so", "/home/ann/lib/libx.so")
    assert choose(dict.fromkeys(paths, library)) == Chosen(roots=paths, gaps=())


def test_what_the_environment_brings_or_the_driver_is_left_alone() -> None:
    library = Elf(bits=64, machine=62)
    assert choose({"/env/x.so": library, "/usr/lib/libcuda.so.1": library}) == Chosen(roots=(), gaps=())


def test_programs_and_libraries_of_other_machines_are_left_alone() -> None:
    program = Elf(bits=64, machine=62, interpreter="/lib64/ld.so")
    narrow = Elf(bits=32, machine=3, soname="libx.so.1")
    assert choose({"/usr/lib/git": program, "/usr/lib32/x.so": narrow}) == Chosen(roots=(), gaps=())
    # The C library can be started, and is one.
    libc = Elf(bits=64, machine=62, interpreter="/lib64/ld.so", soname="libc.so.6")
    assert choose({"/usr/lib/libc.so.6": libc}).roots == ("/usr/lib/libc.so.6",)


def test_what_lies_in_passing_places_is_one_gap_without_them() -> None:
    library = Elf(bits=64, machine=62)
    places = ("/home/ann/.cache/kernel.so", "/run/user/ann/c1.so", "/srv/x/site-packages/a.so")
    found = choose(dict.fromkeys(places, library), "/opt/gone.so")
    assert found.roots == ()
    (gap,) = found.gaps
    assert "a.so, c1.so, gone.so and 1 more" in gap.reason
    assert "ann" not in gap.reason


def test_loader_directories_of_this_machine_are_read_from_the_loader() -> None:
    program = elf.read(Path(os.path.realpath(sys.executable)))
    assert program is not None
    found = loader._compiled_in(program.interpreter)
    assert "/usr/lib" in found or "/usr/lib64" in found
    assert loader._compiled_in("/no/such/loader") == ()
    assert loader._compiled_in(None) == ()


@glibc
@pytest.mark.slow
def test_capture_of_a_run_has_what_only_the_run_opens(tmp_path: Path) -> None:
    """No NEEDED entry leads to this part of glibc, and only a child of the job opens it."""
    name = "libBrokenLocale.so.1"
    project = tmp_path / "project"
    project.mkdir()
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for step in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", *step], cwd=project, check=True)
    child = f"import ctypes; ctypes.CDLL({name!r})"
    job = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    job = f"{job}; open({str(project / 'out')!r}, 'w').close()"
    command = (sys.executable, "-c", job)
    here = Path(sys.executable)
    before = environment.read(here, project=project, environ=os.environ, progress=Silent())
    found = environment.read(here, project=project, environ=os.environ, progress=Silent(), command=command)
    assert name not in dict(before.libraries)
    assert dict(found.libraries)[name] not in ("unowned", "interpreter")
    assert {entry for entry in found.libraries if entry[0] != name} >= set(before.libraries)
    # What the job wrote is none of the code that ran.
    assert (project / "out").exists()
    assert found.project is not None
    assert (found.project, found.project.dirty) == (before.project, False)
    assert found.host_files is not None
    files = [file.path for package in found.host_files.packages for file in package.files]
    assert any(path.endswith(f"/{name}") for path in files)
