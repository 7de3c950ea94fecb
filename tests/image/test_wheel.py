import base64
import hashlib
from pathlib import Path

import pytest

from envlock.image.record import Verifier, format_record, parse_record, recorded_hash
from envlock.image.wheel import WheelContents, open_wheel, read_contents
from envlock.runtime.errors import InputError, IntegrityError
from tests.image.wheels import Item, changed, record_line, wheel_items, write_wheel

NAME = "demo-1.0-py3-none-any.whl"
INFO = "demo-1.0.dist-info"


def contents(directory: Path, items: list[Item], filename: str = NAME) -> WheelContents:
    path = write_wheel(directory, items)
    with open_wheel(path, filename) as reader:
        return read_contents(reader)


def test_a_wheel_is_read(tmp_path: Path) -> None:
    items = wheel_items(
        files={"demo/a.py": b"1", "demo-1.0.data/scripts/run": b"#!python\nx"},
        entry_points="[console_scripts]\nx = demo:x\n",
        executable=("demo/a.py",),
    )
    found = contents(tmp_path, items)
    assert (found.distribution, found.dist_info, found.data) == ("demo", INFO, "demo-1.0.data")
    assert found.root_is_purelib
    assert "console_scripts" in found.entry_points
    by_name = {one.name: one for one in found.files}
    assert by_name["demo/a.py"].executable
    assert by_name["demo/a.py"].recorded == recorded_hash(b"1")
    assert by_name["demo-1.0.data/scripts/run"].script == b"#!python\nx"
    assert by_name[f"{INFO}/RECORD"].recorded is None


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (wheel_items(name="other"), "one .dist-info directory, of demo 1.0"),
        (wheel_items(version="2.0"), "one .dist-info directory, of demo 1.0"),
        (wheel_items(version="not!a!version"), "one .dist-info directory"),
        ([*wheel_items(), Item(name="x-1.dist-info/METADATA")], "one .dist-info directory"),
        ([Item(name="demo/__init__.py")], "found none"),
        ([item for item in wheel_items() if not item.name.endswith("RECORD")], "RECORD, found no such"),
        ([item for item in wheel_items() if not item.name.endswith("WHEEL")], "WHEEL, found no such"),
        (changed(wheel_items(), f"{INFO}/WHEEL", data=b"Wheel-Version: 2.0\n"), "Wheel-Version 1.x"),
        (changed(wheel_items(), f"{INFO}/WHEEL", data=b"\n"), "Wheel-Version 1.x"),
        (changed(wheel_items(), f"{INFO}/WHEEL", data=b"\xff"), "UTF-8"),
        (changed(wheel_items(), f"{INFO}/RECORD", data=b"\xff\xff"), "UTF-8"),
        (changed(wheel_items(), f"{INFO}/RECORD", data=b""), "file without a hash in RECORD"),
        (changed(wheel_items(), f"{INFO}/RECORD", data=b"a,b\n"), "line 1: expected 3 fields"),
        (changed(wheel_items(), f"{INFO}/RECORD", data=b"a,md5=xx,1\n"), "a hash by sha256"),
        (changed(wheel_items(), f"{INFO}/RECORD", data=b"a,sha256=,1\n"), "a hash by sha256"),
        (changed(wheel_items(), f"{INFO}/RECORD", data=b"a,,\na,,\n"), "line 2"),
        (changed(wheel_items(), f"{INFO}/RECORD", data=b'"a'), "CSV"),
        (changed(wheel_items(), f"{INFO}/RECORD", data=b"x", crc=5), "CRC-32 00000005"),
        (changed(wheel_items(), f"{INFO}/RECORD", method=0, crc=5), "CRC-32 00000005"),
        (changed(wheel_items(), f"{INFO}/WHEEL", body=b"\xff\xff\xff"), "corrupt compressed data"),
    ],
)
def test_a_malformed_wheel_is_refused_by_name(tmp_path: Path, items: list[Item], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        contents(tmp_path, items)
    assert NAME in str(caught.value)


def test_a_metadata_file_beyond_64_mib_is_refused(tmp_path: Path) -> None:
    items = changed(wheel_items(), f"{INFO}/WHEEL", body=bytes(70 << 10), size=65 << 20)
    with pytest.raises(InputError, match="too large"):
        contents(tmp_path, items)


def test_a_file_name_that_is_no_wheels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a wheel's file name"):
        contents(tmp_path, wheel_items(), "demo.whl")


def test_a_missing_wheel_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read a wheel"), open_wheel(tmp_path / "none", NAME):
        pass


def test_a_wheel_that_shrinks_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = write_wheel(tmp_path, wheel_items(files={"demo/big": b"x" * 100_000}))
    with open_wheel(path, NAME) as reader:
        path.write_bytes(path.read_bytes()[:50])
        with pytest.raises(InputError, match="changed while it was read"):
            reader.content("demo/big")


def test_names_are_compared_as_pep_503_and_440_compare_them(tmp_path: Path) -> None:
    items = wheel_items(name="My.Demo", version="1.0.0")
    assert contents(tmp_path, items, "my_demo-1.0-py3-none-any.whl").dist_info == "My.Demo-1.0.0.dist-info"


def test_stronger_hashes_and_padding_are_understood() -> None:
    digest = base64.urlsafe_b64encode(hashlib.sha512(b"x").digest()).decode()
    rows = parse_record(f"a,sha512={digest},1\nb,,\n\n", "R")
    verifier = Verifier()
    verifier.watch("a", rows["a"])(b"x")
    verifier.finish()
    assert set(rows) == {"a"}


def test_every_file_that_differs_from_record_is_named() -> None:
    verifier = Verifier()
    for number in range(25):
        where, data = f"w.whl: f{number:02}", b"wrong" if number else b"right"
        if number % 2:  # hashed here, or by who reads the file anyway
            verifier.watch(where, recorded_hash(b"right"))(data)
        else:
            verifier.check(where, recorded_hash(b"right"), hashlib.sha256(data).digest())
    with pytest.raises(IntegrityError, match=r"24 file\(s\) differ from RECORD") as caught:
        verifier.finish()
    assert "w.whl: f01" in str(caught.value)
    assert "and 4 more" in str(caught.value)
    assert "f00" not in str(caught.value)


def test_record_is_written_sorted_and_quoted_where_needed() -> None:
    data = format_record([("b,c", recorded_hash(b"1"), 1), ("a", None, None)])
    assert data.decode() == 'a,,\n"b,c",' + record_line("x", b"1").removeprefix("x,")
