import gzip
import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from envlock.capture import transfer
from envlock.core.progress import Silent
from envlock.host.store import Store
from envlock.image import base, deflate_worker, interpreter
from envlock.image.base_members import Plan, copied
from envlock.image.packing import packing, packing_of
from envlock.lock.environment import HostFiles
from envlock.lock.model import Python
from envlock.runtime.errors import UnreachableError
from tests.conftest import IN_CI

ROOT = Path(__file__).parents[2]
HERE = os.path.realpath(sys.executable)

_PACK = """\
import json, sys
{first}
sys.path[:0] = [{root!r}]
sys.path.append({site!r})
from pathlib import Path
from envlock.capture import transfer
from envlock.core.progress import Silent
from envlock.host.store import Store
from envlock.host.files import file_digest
from envlock.image import base
from envlock.image.packing import packing_of
from envlock.wheels import archive
from envlock.wheels.archive import Member
from envlock.lock.environment import HostFiles
from envlock.lock.model import Python
host, python = json.loads(Path({place!r}, "facts").read_bytes())
host, python = transfer.loads(HostFiles, host), transfer.loads(Python, python)
store = Store(Path({place!r}, {store!r}))
with packing_of(host, python) as packs:
    made = base.pack_host(
        host, python=python, store=store, progress=Silent(), packs=packs, bytecode=False
    )
    with open(Path({place!r}, {store!r}, "wheel"), "wb") as stream:
        members = [Member(name=path, executable=False, path=path) for path in host.loose]
        archive.write(members, stream, lambda *_: None, packs.wheels)
print([(str(layer.diff_id), str(layer.blob)) for layer in made.base.layers], made.gaps)
print(packs.wheels.name, file_digest(Path(stream.name)))
"""


@pytest.fixture
def live(host: HostFiles) -> HostFiles:
    """The small machine with the interpreter of these tests in the place of its own."""
    libraries = (ROOT / "envlock/image").glob("*.py")
    return replace(host, interpreter=None, python_executable=HERE, loose=tuple(sorted(map(str, libraries))))


def _packed(place: Path, python: str, store: str, first: str = "") -> str:
    site = sysconfig.get_paths()["purelib"]
    code = _PACK.format(first=first, root=str(ROOT), site=site, place=str(place), store=store)
    done = subprocess.run(
        [python, "-c", code], cwd=place, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_base_and_repacked_wheels_are_the_same_whatever_python_and_zlib_run_envlock(
    live: HostFiles, python: Python, tmp_path: Path
) -> None:
    """zlib-ng compresses otherwise, and the table of contents holds offsets of what is compressed."""
    if importlib.util.find_spec("zlib_ng") is None and not IN_CI:
        pytest.skip("zlib-ng is not installed")
    facts = json.dumps([transfer.dumps(live), transfer.dumps(python)])
    (tmp_path / "facts").write_text(facts)
    plain = _packed(tmp_path, sys.executable, "plain")
    assert "not compressed" not in plain
    replaced = "from zlib_ng import zlib_ng; sys.modules['zlib'] = zlib_ng"
    first = f"sys.path.append({sysconfig.get_paths()['platlib']!r}); {replaced}"
    assert _packed(tmp_path, sys.executable, "ng", first) == plain
    for number, other in enumerate(_others()):
        assert _packed(tmp_path, other, f"other-{number}") == plain


def _others() -> list[str]:
    """Return other Pythons of this machine that can run envlock."""
    versions = Path("~/.pyenv/versions").expanduser()
    found = [str(path) for minor in ("3.12", "3.13") for path in versions.glob(f"{minor}.*/bin/python")]
    return [path for path in ("/usr/bin/python3", *found) if Path(path).exists()]


def test_members_are_made_by_the_interpreter_for_many_threads_at_once(python: Python) -> None:
    found = interpreter.found(Path("/"), python, HERE)
    pieces = [bytes([number]) * 100_000 + os.urandom(10) for number in range(40)]
    with packing(found) as packs, ThreadPoolExecutor(4) as pool:
        assert packs.name.startswith(f"zlib {zlib.ZLIB_RUNTIME_VERSION}")
        made = list(pool.map(packs.member, pieces))
    assert [gzip.decompress(one) for one in made] == pieces
    assert max(map(len, made)) < 1000


def test_an_interpreter_that_does_not_run_here_leaves_all_but_zeros_as_it_is(
    host: HostFiles, python: Python, store: Store
) -> None:
    with (
        pytest.raises(UnreachableError),
        packing(
            interpreter.Interpreter(
                root=Path("/"), executable="/bin/false", argv=("/bin/false",), python=python
            )
        ),
    ):
        pass
    with packing_of(host, python) as packs:
        packed = base.pack_host(
            host, python=python, store=store, progress=Silent(), packs=packs, bytecode=False
        )
    assert [gap.subject for gap in packed.gaps] == ["base"]
    assert packed.gaps[0].reason == "not compressed: the captured interpreter does not run here"
    assert all(b"program" * 900 in store.path(layer.blob).read_bytes() for layer in packed.base.layers[:1])


def test_an_interpreter_that_ends_in_the_middle_is_an_error_and_leaves_nothing(
    live: HostFiles, python: Python, store: Store, tmp_path: Path
) -> None:
    """Three answers: its name, and two files."""
    dying = tmp_path / "dying"
    dying.write_text(
        f"#!{HERE}\nimport sys; sys.stdout.buffer.write(b'\\4\\0\\0\\0zlib' + 2 * b'\\2\\0\\0\\0\\3\\0')\n"
    )
    dying.chmod(0o755)
    with packing(
        interpreter.Interpreter(root=Path("/"), executable=HERE, argv=(str(dying),), python=python)
    ) as packs:
        plan = Plan(comment="os", members=tuple(copied(Path("/"), path, path) for path in live.loose))
        with pytest.raises(UnreachableError, match="ended too early"):
            base.packed_layer(plan, store, lambda _: None, packs)
    assert {path.parts[len(store.root.parts)] for path in store.root.rglob("*") if path.is_file()} == {
        "facts"
    }


@pytest.mark.parametrize(
    ("version", "strategy"),
    [("1.2.13", zlib.Z_DEFAULT_STRATEGY), ("1.3.1", zlib.Z_DEFAULT_STRATEGY), ("1.3.1.zlib-ng", zlib.Z_RLE)],
)
def test_a_zlib_that_may_choose_by_cpu_searches_for_runs_alone(version: str, strategy: int) -> None:
    assert deflate_worker.strategy(version) == strategy


def test_a_zlib_of_another_root_does_not_answer(tmp_path: Path) -> None:
    """On a machine whose Python has zlib inside of it there is none to be of another root."""
    if "libz." not in Path("/proc/self/maps").read_text():
        pytest.skip("this Python has zlib inside of it")
    with pytest.raises(SystemExit, match="used outside of the image"):
        deflate_worker.named(str(tmp_path))
    assert deflate_worker.named("/") == f"zlib {zlib.ZLIB_RUNTIME_VERSION}"
