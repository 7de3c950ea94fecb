"""Wheels that mean harm, given to the command: one message with the wheel's name, its exit status, no file.

Each wheel is the locked one, by hash and size: only its content can give it away.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from envlock.cli import main
from envlock.core.digest import Digest
from envlock.host.store import Store
from envlock.lock import file
from tests.image import interpreter_base
from tests.image.test_zip import HOSTILE
from tests.image.wheels import Item, changed, make_zip, package, record_line, wheel_items, write_wheel

INFO = "demo-1.0.dist-info"
WHEEL = "demo-1.0-py3-none-any.whl"
PLAIN = wheel_items(files={"demo/a.py": b"x = 1\n"})


def recorded(*items: Item) -> list[Item]:
    """A wheel with more entries, which its RECORD lists as they are."""
    record = next(item for item in PLAIN if item.name.endswith("/RECORD"))
    lines = "".join(record_line(item.name, item.data) for item in items).encode()
    return [*changed(PLAIN, record.name, data=record.data + lines), *items]


def with_entry_point(line: str) -> list[Item]:
    return wheel_items(entry_points=f"[console_scripts]\n{line}\n")


# Name → archive, exit status, and what the message says beside the wheel's name.
WHEELS: dict[str, tuple[bytes, int, str]] = {
    **{f"zip: {name}": (data, 3, "not a usable zip archive") for name, (data, _) in HOSTILE.items()},
    "escaping name": (make_zip(recorded(Item(name="../../etc/passwd"))), 3, "../../etc/passwd"),
    "absolute name": (make_zip(recorded(Item(name="/etc/passwd"))), 3, "/etc/passwd"),
    "symlink": (make_zip(recorded(Item(name="demo/l", data=b"/etc", mode=0o120777))), 3, "demo/l"),
    "setuid": (make_zip(recorded(Item(name="demo/su", data=b"x", mode=0o104755))), 3, "demo/su"),
    "two entries of one name": (make_zip([*PLAIN, PLAIN[0]]), 3, "demo/a.py: expected one entry a name"),
    "names that differ in case": (make_zip(recorded(Item(name="demo/A.py"))), 3, "found demo/A.py"),
    "another local header": (make_zip(changed(PLAIN, "demo/a.py", local_name="demo/b.py")), 3, "demo/a.py"),
    "wrong CRC": (make_zip(changed(PLAIN, "demo/a.py", crc=1)), 3, "demo/a.py"),
    "RECORD of other bytes": (make_zip(changed(PLAIN, "demo/a.py", data=b"y = 2\n")), 5, "demo/a.py"),
    "file that RECORD lacks": (make_zip([*PLAIN, Item(name="demo/b.py")]), 3, "demo/b.py"),
    "bomb": (make_zip(changed(PLAIN, "demo/a.py", body=bytes(9), size=1 << 31)), 3, "deflate can hold"),
    "size that is none": (make_zip(changed(PLAIN, "demo/a.py", size=7)), 3, "demo/a.py"),
    "broken stream": (make_zip(changed(PLAIN, "demo/a.py", body=b"\xff" * 9)), 3, "demo/a.py"),
    "encrypted": (make_zip(changed(PLAIN, "demo/a.py", flags=0x801)), 3, "demo/a.py"),
    "other method": (make_zip(changed(PLAIN, "demo/a.py", method=12)), 3, "method 12"),
    "data after the end": (make_zip(PLAIN) + b"\0", 3, "end of central directory"),
    "entry point python": (make_zip(with_entry_point("python = demo:f")), 3, "/opt/env/bin/python"),
    "entry point python3.11": (make_zip(with_entry_point("python3.11 = demo:f")), 3, "bin/python3.11"),
    "entry point with code": (make_zip(with_entry_point("x = demo:f; import os")), 3, "not an entry point"),
    "entry point elsewhere": (make_zip(with_entry_point("../../x = demo:f")), 3, "not a command's name"),
    "script python": (
        make_zip(wheel_items(files={"demo-1.0.data/scripts/python": b"#!python\n"})),
        3,
        "belongs to the interpreter",
    ),
    "whiteout": (make_zip(recorded(Item(name="demo/.wh.a.py"))), 3, "demo/.wh.a.py"),
    "whiteout of a directory": (make_zip(recorded(Item(name="demo/.wh..wh..opq"))), 3, ".wh..wh..opq"),
    "whiteout of the environment": (
        make_zip(recorded(Item(name="demo-1.0.data/data/.wh.bin"))),
        3,
        "demo-1.0.data/data/.wh.bin",
    ),
    "command that is a whiteout": (make_zip(with_entry_point(".wh.pip = demo:f")), 3, "without '..', '.wh.'"),
    "command of two dots": (make_zip(with_entry_point(".. = demo:f")), 3, "refused to install"),
    "name that no disk takes": (make_zip(recorded(Item(name=f"demo/{'a' * 256}"))), 3, "at most 255 bytes"),
    "place climbing out": (make_zip(recorded(Item(name="demo-1.0.data/scripts/../x"))), 3, "scripts/../x"),
    "place of another": (
        make_zip(recorded(Item(name="other-1.0.data/scripts/x"))),
        3,
        "found other-1.0.data",
    ),
    "no METADATA": (
        make_zip([item for item in PLAIN if not item.name.endswith("/METADATA")]),
        3,
        "expected demo-1.0.dist-info/METADATA",
    ),
    "another distribution": (make_zip(wheel_items("other")), 3, "one .dist-info directory, of demo 1.0"),
}


@pytest.mark.parametrize("name", WHEELS)
def test_a_hostile_wheel_is_refused_by_name_and_nothing_is_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, status, message = WHEELS[name]
    told = _refused(data, status, tmp_path, monkeypatch, capsys)
    assert message in told
    assert WHEEL in told
    assert "Traceback" not in told
    assert told.startswith("envlock: ")


def test_what_the_wheels_are_made_of_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else the table would prove nothing."""
    assert _built(make_zip(recorded(Item(name="demo/b.py"))), tmp_path, monkeypatch) == 0
    assert (tmp_path / "project/image.tar").is_file()


def _refused(
    data: bytes,
    status: int,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> str:
    assert _built(data, root, monkeypatch) == status
    # The layers of the store are of other wheels or of none: only the wheel itself came in.
    blobs = [path.name for path in (root / "store/blobs/sha256").iterdir()]
    assert blobs == [Digest.of(data).hex]
    assert sorted(path.name for path in (root / "project").iterdir()) == ["pylock.envlock.toml"]
    assert not [path for path in root.rglob("*") if path.name.endswith(".part")]
    return capsys.readouterr().err


def _built(data: bytes, root: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Lock the archive as a wheel, whatever it is, and build the lock; return the exit status."""
    store, project = Store(root / "store"), root / "project"
    project.mkdir()
    wheel = write_wheel(root, PLAIN)
    locked = package(wheel)
    wheel.write_bytes(data)
    stated = replace(locked.wheel, sha256=store.add_file(wheel), size=len(data))
    file.write(project / "pylock.envlock.toml", interpreter_base.without_base(replace(locked, wheel=stated)))
    wheel.unlink()
    monkeypatch.chdir(project)
    monkeypatch.setenv("ENVLOCK_CACHE", str(store.root))
    with pytest.raises(SystemExit) as ended:
        main.main(["build", "-q", "--offline", "--no-bytecode", "-o", "oci-archive:image.tar"])
    assert isinstance(ended.value.code, int)
    return ended.value.code
