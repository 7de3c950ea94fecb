"""What a lock looks like, what is read of it, and what is refused."""

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from packaging.pylock import Pylock

from envlock.core.digest import Digest
from envlock.lock.codec import dumps, loads
from envlock.lock.model import Lock
from envlock.runtime.errors import InputError, IntegrityError
from tests.golden import pinned
from tests.lock.strategies import locks

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

GOLDEN = Path(__file__).parent / "golden" / "pylock.envlock.toml"


def test_a_lock_reads_back_as_it_was_written(lock: Lock, small_lock: Lock) -> None:
    assert loads(dumps(lock), "x") == lock
    assert loads(dumps(small_lock), "x") == small_lock


def test_the_text_is_the_golden_file(lock: Lock) -> None:
    pinned(GOLDEN, dumps(lock))


def test_the_text_is_a_valid_pep_751_lockfile_with_one_hashed_wheel_each(lock: Lock) -> None:
    pylock = Pylock.from_dict(tomllib.loads(dumps(lock).decode()))
    pylock.validate()
    assert [package.name for package in pylock.packages] == ["numpy", "torch"]
    for package in pylock.packages:
        assert package.wheels is not None
        (wheel,) = package.wheels
        assert set(wheel.hashes) == {"sha256"}
        assert wheel.size is not None


def test_who_needs_whom_stands_where_pep_751_has_it(lock: Lock) -> None:
    text = dumps(lock).decode()
    pylock = Pylock.from_dict(tomllib.loads(text))
    assert [one.dependencies for one in pylock.packages] == [None, [{"name": "numpy"}]]
    # A lock that says more of a dependency, as PEP 751 allows, is read; one of no package is not.
    more = text.replace('{ name = "numpy" }', '{ name = "numpy", version = "2.4.6" }')
    assert loads(more.encode(), "x") == lock
    other = text.replace('{ name = "numpy" }', '{ name = "pandas" }')
    with pytest.raises(InputError) as raised:
        loads(other.encode(), "x")
    assert "packages[1].dependencies[0].name" in str(raised.value)


def test_the_order_of_the_values_does_not_show_in_the_text(lock: Lock) -> None:
    turned = replace(
        lock,
        packages=lock.packages[::-1],
        system_packages=lock.system_packages[::-1],
        environment=lock.environment[::-1],
    )
    assert dumps(turned) == dumps(lock)


def test_an_unchanged_package_keeps_its_entry_when_another_one_changes(lock: Lock) -> None:
    other = replace(lock.packages[1], version="2.14.0+cpu")
    other = replace(other, wheel=replace(other.wheel, name=other.wheel.name.replace("2.13", "2.14")))
    before, after = (
        dumps(one).decode().split("[[packages]]")
        for one in (lock, replace(lock, packages=(lock.packages[0], other)))
    )
    assert before[1] == after[1]
    assert before[2] != after[2]


def test_without_requires_python_the_lock_names_its_minor_version(lock: Lock) -> None:
    assert loads(dumps(replace(lock, requires_python=None)), "x").requires_python == "==3.11.*"


def test_unknown_fields_of_this_version_are_kept_and_written_back(lock: Lock) -> None:
    document = tomllib.loads(dumps(lock).decode())
    tool = document["tool"]["envlock"]
    tool["colour"] = {"warm": [1, {"deep": True}]}
    tool["python"]["flavour"] = "plain"
    tool["gaps"][0]["since"] = "yesterday"
    tool["base"]["layers"][0]["origin"] = "here"
    tool["system-packages"][0]["section"] = "libs"
    document["packages"][0]["tool"]["envlock"]["mood"] = "good"
    written = dumps(loads(tomli_w.dumps(document).encode(), "x"))
    assert tomllib.loads(written.decode()) == document


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(locks())
def test_every_lock_survives_writing_and_reading(drawn: Lock) -> None:
    """Rule: ``loads`` is the inverse of ``dumps``, and the same lock gives the same bytes."""
    written = dumps(drawn)
    assert loads(written, "x") == drawn
    assert dumps(loads(written, "x")) == written


def _without(text: str, pattern: str) -> str:
    changed, count = re.subn(pattern, "", text, count=1, flags=re.MULTILINE)
    assert count == 1
    return changed


def _replaced(text: str, pattern: str, by: str) -> str:
    changed, count = re.subn(pattern, by, text, count=1, flags=re.MULTILINE)
    assert count == 1
    return changed


# (pattern, replacement, part of the place named, part of the message)
MALFORMED = {
    "no package name": (r'^name = "numpy"$', "", "packages[0].name", "Missing required value"),
    "package name not normalised": (r'^name = "numpy"$', 'name = "NumPy"', "packages[0].name", "normalized"),
    "no version": (r'^version = "2.4.6"$', "", "packages[0].version", "the exact version"),
    "size is text": ("^size = 16500000$", 'size = "big"', "packages[0].wheels[0].size", "int"),
    "size is negative": ("^size = 16500000$", "size = -1", "packages[0].wheels[0].size", "from 0 to"),
    "size is absurd": (
        "^size = 16500000$",
        "size = 9007199254740992",
        "packages[0].wheels[0].size",
        "from 0 to",
    ),
    "no size": ("^size = 16500000$", "", "packages[0].wheels[0].size", "nothing"),
    "digest too short": (
        '^sha256 = "[0-9a-f]{64}"',
        'sha256 = "abc"',
        "packages[0].wheels[0].hashes.sha256",
        "64 lower-case",
    ),
    "digest of another algorithm": (
        '^sha256 = "',
        'md5 = "',
        "packages[0].wheels[0].hashes.sha256",
        "64 lower-case",
    ),
    "name of another project": (
        'name = "numpy-2.4.6-cp311',
        'name = "scipy-2.4.6-cp311',
        "packages[0].wheels[0]",
        "not consistent",
    ),
    "path leaves the directory": (
        'path = ".envlock/wheels',
        'path = ".envlock/../..',
        "packages[1].wheels[0].path",
        "below the lockfile's directory",
    ),
    "path is absolute": ('path = ".envlock', 'path = "/envlock', "packages[1].wheels[0].path", "below"),
    "url and path": (
        "^url = ",
        'path = "x.whl"\nurl = ',
        "packages[0].wheels[0]",
        "either url or path",
    ),
    "url to a file": (
        'url = "https://index.example',
        'url = "file:///home/ann',
        "packages[0].wheels[0].url",
        "http or https",
    ),
    "url with credentials": (
        'url = "https://index',
        'url = "https://ann:secret@index',
        "packages[0].wheels[0].url",
        "without credentials",
    ),
    "path has another name": (
        'path = ".envlock/wheels/torch-2.13',
        'path = ".envlock/wheels/torch-2.12',
        "packages[1].wheels[0].path",
        "a path that ends in torch-2.13",
    ),
    "path has a line break": (
        'path = ".envlock',
        'path = ".env\\\\nlock',
        "packages[1].wheels[0].path",
        "below",
    ),
    "name has an escape sequence": (
        'name = "torch-2.13.0\\+cpu-cp311',
        'name = "torch-2.13.0+cpu-\\\\u001b[31mcp311',
        "packages[1].wheels[0]",
        r"\x1b[31m",
    ),
    "url of another scheme": (
        'url = "https://index',
        'url = "ftp://ann:secret@index',
        "packages[0].wheels[0].url",
        "a URL of ftp",
    ),
    "url that is none": (
        'url = "https://index',
        'url = "https://[secret',
        "packages[0].wheels[0].url",
        "can't be read",
    ),
    "url with a space": (
        'url = "https://index',
        'url = "https://in dex',
        "packages[0].wheels[0].url",
        "http or https",
    ),
    "version with a line break": (
        '^version = "2.4.6"$',
        'version = "2.4.6\\\\n"',
        "packages[0].version",
        "without white space",
    ),
    "size of a thousand digits": (
        "^size = 16500000$",
        f"size = 0x{'f' * 5000}",
        "packages[0].wheels[0].size",
        "an integer of 20000 bits",
    ),
    "size is not a number": ("^size = 16500000$", "size = nan", "packages[0].wheels[0].size", "float"),
    "version is a date": ("^version = 1$", "version = 2026-11-01", "tool.envlock.version", "an integer"),
    "kernel is an array": ('^kernel = "6.1.0"$', "kernel = [[[]]]", "tool.envlock.os.kernel", "an array"),
    "unknown package manager": (
        'manager = "rpm"',
        'manager = "moon"',
        "tool.envlock.system-packages[1].manager",
        "one of dpkg, rpm, apk",
    ),
    "conda sha256 too short": (
        '^sha256 = "0ea5',
        'sha256 = "5',
        "tool.envlock.conda[0].sha256",
        "64 lower-case",
    ),
    "unknown source": (
        'source = "index"',
        'source = "moon"',
        "packages[0].tool.envlock.source",
        "one of index",
    ),
    "no evidence": ('^evidence = "matched"$', "", "packages[0].tool.envlock.evidence", "nothing"),
    "a marker": (
        '^name = "numpy"$',
        'name = "numpy"\nmarker = "os_name == \'posix\'"',
        "packages[0].marker",
        "one wheel and nothing else",
    ),
    "an extra": ('^created-by = "envlock"$', 'created-by = "x"\nextras = ["gpu"]', "extras", "no such key"),
    "no python table": (
        r"^\[tool.envlock.python\]$",
        "[tool.envlock.snake]",
        "tool.envlock.python",
        "nothing",
    ),
    "python version is a number": ('^version = "3.11.7"$', "version = 3.11", "tool.envlock.python", "3.11"),
    "cores is true": ("^cores = 8$", "cores = true", "tool.envlock.cpu.cores", "an integer"),
    "threads is no table of strings": (
        '^OMP_NUM_THREADS = "8"$',
        "OMP_NUM_THREADS = 8",
        "tool.envlock.cpu.threads.OMP_NUM_THREADS",
        "a string",
    ),
    "diff-id without algorithm": (
        '^diff-id = "sha256:',
        'diff-id = "',
        "tool.envlock.base.layers[0].diff-id",
        "sha256:<64",
    ),
    "os is text": (r"^\[tool.envlock.os\]\n(.+\n)+", "[tool.envlock.fields]\n", "tool.envlock.os", "nothing"),
    "kernel is a table": ('^kernel = "6.1.0"$', "kernel = {a = 1}", "tool.envlock.os.kernel", "a string"),
    "gpu device is text": (r"^    \{ model.*$", '    "H100",', "tool.envlock.gpu.devices[0]", "a table"),
    "gaps is a table": (r"^gaps = \[$\n(    .*\n)+\]", "gaps = {}", "tool.envlock.gaps", "an array"),
    "no environment-id": (
        "^environment-id = .*$",
        "",
        "tool.envlock.environment-id",
        "nothing",
    ),
    "newer version": ("^version = 1$", "version = 2", "tool.envlock.version", "newer version"),
    "version is text": ("^version = 1$", 'version = "1"', "tool.envlock.version", "an integer"),
    "newer PEP 751": ('^lock-version = "1.0"$', 'lock-version = "2.0"', "x", "not supported"),
    "not TOML": ('^lock-version = "1.0"$', "lock-version = ", "x", "not a TOML file"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_lock_is_refused_and_the_fault_is_named(lock: Lock, case: str) -> None:
    pattern, by, place, message = MALFORMED[case]
    text = _replaced(dumps(lock).decode(), pattern, by)
    with pytest.raises(InputError) as caught:
        loads(text.encode(), "x")
    assert place in str(caught.value.where)
    assert message in str(caught.value)
    assert "secret" not in str(caught.value)


_DEEP_KEY = b"a" + b".a" * 5000
_RAW: dict[str, tuple[Callable[[bytes], bytes], str, str]] = {
    "empty": (lambda _: b"", "x", "a table [tool.envlock]"),
    "no UTF-8": (
        lambda data: data.replace(b"[[packages]]", b"# \xff\n[[packages]]", 1),
        "x: line 5",
        "UTF-8",
    ),
    "UTF-16": (lambda data: data.decode().encode("utf-16"), "x: line 1", "UTF-8"),
    "a byte order mark": (lambda data: b"\xef\xbb\xbf" + data, "x", "byte order mark"),
    "arrays nested deeply": (lambda data: data + b"\nz = " + b"[" * 9000 + b"]" * 9000, "x", "nested too"),
    "tables nested deeply": (lambda data: data + b"[" + _DEEP_KEY + b"]\n", "x", "nested too deeply"),
    "a number of 5000 digits": (lambda data: data + b"\n[z]\nz = " + b"9" * 5000, "x", "not a TOML file"),
    "a control character": (lambda data: data.replace(b"6.1.0", b"6.1\x1b[2J", 1), "x", r"\x1b"),
    "binary": (lambda _: bytes(range(128, 256)), "x: line 1", "UTF-8"),
    "a key twice": (lambda data: data.replace(b"version = 1\n", b"version = 1\nversion = 1\n"), "x", "TOML"),
}


@pytest.mark.parametrize("case", _RAW)
def test_what_is_no_text_of_a_lock_is_refused_with_its_place(lock: Lock, case: str) -> None:
    spoiled, place, message = _RAW[case]
    with pytest.raises(InputError) as caught:
        loads(spoiled(dumps(lock)), "x")
    assert caught.value.where == place
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


def test_no_truncated_lock_is_read(lock: Lock) -> None:
    data = dumps(lock)
    for length in range(0, len(data) - 1, 7):
        with pytest.raises(InputError):
            loads(data[:length], "x")
    with pytest.raises(InputError, match="cut short"):
        loads(data[: data.index(b"[tool.envlock.project]")], "x")


def test_lines_that_end_as_in_windows_are_read(lock: Lock) -> None:
    assert loads(dumps(lock).replace(b"\n", b"\r\n"), "x") == lock


def test_times_and_infinite_numbers_in_unknown_fields_are_kept(lock: Lock) -> None:
    odd = "\n[tool.envlock.odd]\nwhen = 2026-11-01T00:00:00Z\nmost = inf\nno = nan\n"
    written = dumps(loads(dumps(lock) + odd.encode(), "x"))
    kept = tomllib.loads(written.decode())["tool"]["envlock"]["odd"]
    assert kept["when"] == datetime(2026, 11, 1, tzinfo=timezone.utc)
    assert kept["most"] == float("inf")
    assert kept["no"] != kept["no"]


def test_keys_of_the_file_are_shown_escaped_and_cut(lock: Lock) -> None:
    for key in (r'"\u001b[31m"', f'"{"k" * 500}"'):
        text = dumps(lock).decode().replace('OMP_NUM_THREADS = "8"', f"{key} = 8", 1)
        with pytest.raises(InputError) as caught:
            loads(text.encode(), "x")
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 250


def test_two_packages_with_one_file_are_refused(lock: Lock) -> None:
    text = dumps(lock).decode()
    wheel = lock.packages[1].wheel
    second = replace(
        lock.packages[1],
        name="torch-2",
        wheel=replace(wheel, sha256=Digest.of(b"other"), name=wheel.name.replace("torch", "torch_2")),
    )
    text = dumps(replace(lock, packages=(lock.packages[1], second))).decode()
    with pytest.raises(
        InputError, match=r"packages\[1\].wheels\[0\].path: expected a path that ends in torch_2"
    ):
        loads(text.encode(), "x")
    twice = replace(second, name="torch", wheel=replace(wheel, sha256=Digest.of(b"other")))
    text = dumps(replace(lock, packages=(lock.packages[1], twice))).decode()
    with pytest.raises(InputError, match=r"packages\[1\]"):
        loads(text.encode(), "x")


@pytest.mark.parametrize("table", ["vcs", "directory", "archive"])
def test_a_package_that_is_no_wheel_is_refused(lock: Lock, table: str) -> None:
    document = tomllib.loads(dumps(lock).decode())
    del document["packages"][0]["wheels"]
    document["packages"][0][table] = {
        "type": "git",
        "commit-id": "0f",
        "path": "x",
        "hashes": {"sha256": "0" * 64},
    }
    with pytest.raises(InputError, match=rf"packages\[0\]\.{table}: expected one wheel"):
        loads(tomli_w.dumps(document).encode(), "x")


def test_two_wheels_for_one_package_are_refused(lock: Lock) -> None:
    document = tomllib.loads(dumps(lock).decode())
    document["packages"][0]["wheels"] *= 2
    with pytest.raises(InputError, match=r"packages\[0\]\.wheels: expected exactly one wheel, found '2"):
        loads(tomli_w.dumps(document).encode(), "x")


def test_a_package_that_stands_twice_is_refused(lock: Lock) -> None:
    document = tomllib.loads(dumps(lock).decode())
    document["packages"].append(document["packages"][0])
    with pytest.raises(InputError, match=r"packages\[2\]\.name: expected each package once"):
        loads(tomli_w.dumps(document).encode(), "x")


def test_a_wheel_name_with_a_directory_is_refused(lock: Lock) -> None:
    document = tomllib.loads(dumps(lock).decode())
    wheel = document["packages"][0]["wheels"][0]
    wheel["name"] = wheel["name"].replace("-x86", "-../x86").replace("_x86_64", "_x/86")
    with pytest.raises(InputError, match=r"packages\[0\]\.wheels\[0\]"):
        loads(tomli_w.dumps(document).encode(), "x")


@pytest.mark.parametrize("data", [b"\xff", b"[" * 5000, b"", b'[tool]\nx = 1\nlock-version = "1.0"'])
def test_what_is_no_lock_at_all_is_refused(data: bytes) -> None:
    with pytest.raises(InputError) as caught:
        loads(data, "x")
    assert caught.value.where is not None
    assert caught.value.where.startswith("x")


def test_a_pylock_of_another_tool_is_refused_with_the_way_to_make_one() -> None:
    with pytest.raises(InputError, match="not an envlock lockfile") as caught:
        loads(b'lock-version = "1.0"\ncreated-by = "uv"\npackages = []', "x")
    assert "envlock capture" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("pattern", "by"),
    [
        (Digest.of(b"torch").hex, "0" * 64),
        ("^size = 191797460$", "size = 191797461"),
    ],
)
def test_a_hash_edited_by_hand_is_refused_and_the_package_is_named(lock: Lock, pattern: str, by: str) -> None:
    text = _replaced(dumps(lock).decode(), pattern, by)
    with pytest.raises(IntegrityError, match=r"entry of torch 2\.13\.0\+cpu") as caught:
        loads(text.encode(), "x")
    assert caught.value.where == "x: packages[1]"


def test_an_edit_elsewhere_does_not_match_the_environment_id(lock: Lock) -> None:
    text = _replaced(dumps(lock).decode(), '^version = "3.11.7"$', 'version = "3.11.8"')
    with pytest.raises(IntegrityError, match="environment-id") as caught:
        loads(text.encode(), "x")
    assert caught.value.expected != caught.value.found
    assert caught.value.hint is not None


def test_a_removed_package_does_not_match_the_environment_id(lock: Lock) -> None:
    document = tomllib.loads(dumps(lock).decode())
    del document["packages"][0]
    with pytest.raises(IntegrityError, match="environment-id"):
        loads(tomli_w.dumps(document).encode(), "x")


def test_an_entry_without_its_digest_is_still_covered_by_the_environment_id(lock: Lock) -> None:
    text = _without(dumps(lock).decode(), "^entry-digest = .*$")
    assert loads(text.encode(), "x") == lock
    text = _replaced(text, Digest.of(b"numpy").hex, "0" * 64)
    with pytest.raises(IntegrityError, match="environment-id"):
        loads(text.encode(), "x")
