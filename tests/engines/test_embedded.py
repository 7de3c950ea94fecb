"""The embedded engine on a real root file system in real namespaces."""

import os
import shutil
import signal
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from envlock.core.progress import Silent
from envlock.engines import configuration, embedded
from envlock.engines.embedded import Embedded
from envlock.engines.engine import Job, Mount
from envlock.host.store import Store
from envlock.oci.reader import OpenedImage
from envlock.runtime.errors import InputError, UnreachableError
from tests.engines.conftest import Process

AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def job(work: Path, script: str, **settings: object) -> Job:
    mounts = (Mount(source=work, target="/work"), Mount(source=work, target="/out"))
    return replace(Job(arguments=(script,), mounts=mounts), **settings)  # type: ignore[arg-type] # by name


@pytest.mark.parametrize("status", [0, 1, 3, 121, 255])
def test_the_exit_status_is_the_jobs(engine: Embedded, work: Path, status: int) -> None:
    assert engine.run(job(work, f"exit {status}")) == status


def test_without_arguments_the_images_own_command_runs(
    engine: Embedded, capfd: pytest.CaptureFixture[str]
) -> None:
    assert engine.run(Job()) == 0
    assert capfd.readouterr().out == "default\n"


def test_the_job_is_process_1_and_the_images_user(
    engine: Embedded, work: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    engine.run(job(work, "echo $$; id -u; id -g; readlink /proc/self >/dev/null && cat /proc/1/comm"))
    assert capfd.readouterr().out.split() == ["1", "65532", "65533", "sh"]


def test_another_user_can_be_named(engine: Embedded, work: Path, capfd: pytest.CaptureFixture[str]) -> None:
    engine.run(job(work, "id -u; id -g", user="1234:99"))
    assert capfd.readouterr().out.split() == ["1234", "99"]


def test_the_environment_is_the_images_and_the_jobs_alone(
    engine: Embedded, work: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENVLOCK_TEST_LEAK", "1")
    engine.run(job(work, "exec env", environment=(("GIVEN", "x=y z"), ("HOME", "/out"))))
    lines = set(capfd.readouterr().out.splitlines())
    # The shell itself adds the last.
    assert lines == {"PATH=/bin", "HOME=/out", "FROM_IMAGE=a 'b'", "GIVEN=x=y z", "PWD=/work"}


def test_the_root_is_read_only_and_tmp_is_private(
    engine: Embedded, work: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    script = (
        "for f in /x /bin/x /etc/hosts /etc/resolv.conf /sys/x /proc/sys/kernel/printk; do"
        " (echo x >$f) 2>/dev/null && echo writable $f; done;"
        " ls -A /tmp; for f in /tmp/x /dev/shm/x /work/x /out/y /dev/null; do"
        " echo x >$f || echo refused $f; done; stat -c %a /tmp /dev/shm"
    )
    assert engine.run(job(work, script)) == 0
    assert capfd.readouterr().out.split() == ["1777", "1777"]
    assert engine.run(job(work, "ls -A /tmp /dev/shm")) == 0
    assert "x" not in capfd.readouterr().out.split()


def test_devices_and_kernel_file_systems_are_there(
    engine: Embedded, work: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    script = "ls -A /dev; test -d /sys/devices && cat /dev/null && readlink /dev/fd; cat /proc/mounts"
    engine.run(job(work, script, shm_size=3 << 20))
    printed = capfd.readouterr().out
    names = [
        "fd",
        "full",
        "null",
        "ptmx",
        "pts",
        "random",
        "shm",
        "stderr",
        "stdin",
        "stdout",
        "tty",
        "urandom",
        "zero",
        "/proc/self/fd",
    ]
    assert printed.split()[: len(names)] == names
    assert "size=3072k" in next(line for line in printed.splitlines() if " /dev/shm " in line)
    # Of the host's own mounts nothing is seen.
    assert str(work) not in printed


def test_what_the_job_writes_belongs_to_the_caller(engine: Embedded, work: Path) -> None:
    engine.run(job(work, "mkdir /out/made; touch /out/made/file"))
    assert {os.stat(work / name).st_uid for name in ("made", "made/file")} == {os.geteuid()}


def test_read_only_mounts_are_read_only_and_files_can_be_mounted(
    engine: Embedded, work: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given = tmp_path / "a 'strange' name"
    given.write_text("content\n")
    mounts = (
        Mount(source=given, target="/run/envlock/a file", read_only=True),
        Mount(source=tmp_path, target="/run/envlock/all", read_only=True),
    )
    engine.run(job(work, "cat '/run/envlock/a file'; touch /run/envlock/all/x; echo $?", mounts=mounts))
    assert capfd.readouterr().out == "content\n1\n"
    assert not (tmp_path / "x").exists()


def test_a_mount_may_lie_inside_another(engine: Embedded, work: Path, tmp_path: Path) -> None:
    (work / "out").mkdir()
    other = tmp_path / "other"
    other.mkdir()
    mounts = (Mount(source=work, target="/work"), Mount(source=other, target="/work/out"))
    engine.run(job(work, "touch out/x", mounts=mounts))
    assert [path.name for path in other.iterdir()] == ["x"]
    assert list((work / "out").iterdir()) == []


def test_orphans_of_the_job_end_with_it(engine: Embedded, work: Path) -> None:
    engine.run(job(work, "(sleep 4321 &) ; exit 0"))
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert b"sleep\x004321\x00" not in commands


def test_nothing_is_left_mounted_or_on_disk(
    engine: Embedded, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    before = Path("/proc/self/mounts").read_text()
    engine.run(job(work, "mkdir -p /tmp/a/b; touch /tmp/a/b/c; chmod 0 /tmp/a 2>/dev/null; exit 1"))
    assert Path("/proc/self/mounts").read_text() == before
    assert list(scratch.iterdir()) == []
    assert not (engine.root / "tmp" / "a").exists()


@pytest.mark.parametrize(("name", "status"), [("TERM", 9), ("INT", 9)])
def test_signals_reach_the_job(
    started: Callable[..., Process], store: Store, engine: Embedded, name: str, status: int
) -> None:
    running = started(f"trap 'exit {status}' {name}; touch ready; while :; do sleep 0.05; done", store.root)
    running.ready().process.send_signal(getattr(signal, f"SIG{name}"))
    assert running.end()[0] == status


@pytest.fixture
def nobodys() -> Iterator[Path]:
    """A directory that another user can reach: pytest keeps its own to their owner."""
    with tempfile.TemporaryDirectory(prefix="envlock-nobody-") as place:
        yield Path(place)


@only_root
def test_an_ordinary_user_runs_it_too(start: Callable[..., Process], layout: Path, nobodys: Path) -> None:
    shutil.copytree(layout, nobodys / "layout")
    work = nobodys / "work"
    work.mkdir()
    for path in (nobodys, work):
        os.chown(path, 65534, 65534)
    script = "id -u; touch /out/x; env; (touch /x || touch /bin/sh) 2>/dev/null || echo read-only; exit 5"
    running = start(script, nobodys / "store", nobodys / "layout", work, before=AS_NOBODY)
    status, printed = running.end()
    assert status == 5
    assert printed.split()[0] == "65532"
    assert "read-only" in printed
    assert "HOST_SECRET" not in printed
    assert os.stat(work / "x").st_uid == 65534


def test_two_first_runs_at_once_share_one_extraction(
    started: Callable[..., Process], tmp_path: Path, namespaces: None
) -> None:
    store = tmp_path / "shared"
    runs = [started("echo done", store) for _ in range(2)]
    assert [run.end() for run in runs] == [(0, "done\n")] * 2
    (tree,) = [path for path in (store / "rootfs").iterdir() if path.is_dir()]
    assert stat.S_IMODE(tree.stat().st_mode) == 0o755


def test_an_extraction_that_was_cut_short_is_never_used(
    opened: OpenedImage, tmp_path: Path, namespaces: None
) -> None:
    store = Store(tmp_path)
    leftover = tmp_path / "rootfs" / f".{opened.image.config_digest.hex}.abc.part"
    leftover.mkdir(parents=True)
    made = embedded.prepare(opened, store, Silent())
    assert (made.root / "bin" / "entry").is_file()
    assert not (made.root / "etc" / "resolv.conf").is_symlink()


def test_facts_of_the_image_are_known(engine: Embedded, opened: OpenedImage) -> None:
    assert engine.image.config_digest == opened.image.config_digest
    assert engine.image.manifest_digest == opened.image.digest
    assert engine.image.environment_id == "sha256:" + "e" * 64


def test_a_setup_that_fails_is_told_from_a_job_that_fails(engine: Embedded, work: Path) -> None:
    impossible = (Mount(source=work, target="/bin/nowhere"),)
    with pytest.raises(UnreachableError, match="could not set the container up: found exit status 1"):
        engine.run(job(work, "exit 1", mounts=impossible))


def test_an_entrypoint_that_is_not_there_is_refused(engine: Embedded) -> None:
    broken = configuration.ImageConfiguration(entrypoint=("/bin/nothing",))
    with pytest.raises(InputError, match="entrypoint can't be started: /bin/nothing"):
        replace(engine, configuration=broken).run(Job())


def test_an_image_that_starts_nothing_is_refused(engine: Embedded) -> None:
    with pytest.raises(InputError, match="no entrypoint"):
        replace(engine, configuration=configuration.ImageConfiguration()).run(Job())


@only_root
def test_root_without_user_namespaces_becomes_the_images_user(
    engine: Embedded, work: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plain = replace(engine, namespaces=replace(engine.namespaces, users=False))
    script = "id -u; id -g; touch /out/x; (echo 1 >/proc/sys/kernel/printk) 2>/dev/null; exit 6"
    assert plain.run(job(work, script)) == 6
    assert capfd.readouterr().out.split() == ["65532", "65533"]
    assert {os.stat(path).st_uid for path in (work, work / "x")} == {0}


def test_without_network_there_is_only_loopback(
    engine: Embedded, work: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    engine.run(job(work, "cat /proc/net/dev", network=False))
    interfaces = [line.split(":")[0].strip() for line in capfd.readouterr().out.splitlines() if ":" in line]
    assert "lo" in interfaces
    assert not [name for name in interfaces if name.startswith(("eth", "en"))]


def test_two_jobs_at_once_do_not_see_each_other(engine: Embedded, work: Path) -> None:
    script = 'echo $1 >/tmp/mine; sleep 0.3; [ "$(ls /tmp)" = mine ]'
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(engine.run(job(work, script)))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [0, 0]
