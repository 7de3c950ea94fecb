"""docs/image.md, "Bytecode": compiled by the image's own interpreter, never run, the same everywhere."""

import gzip
import importlib.util
import io
import marshal
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import CodeType

import pytest

from envlock.core.progress import Silent
from envlock.host.store import Store
from envlock.image import base_bytecode, bytecode_worker, interpreter
from envlock.image.interpreter import Interpreter
from envlock.lock.model import BaseLayer
from envlock.oci import layout
from envlock.oci.estargz import NOT_OF_THE_IMAGE
from envlock.oci.layer import Entry, write_layer
from envlock.oci.model import Image
from envlock.oci.path import ImagePath
from envlock.oci.reader import extract, open_image
from envlock.oci.validate import validate
from envlock.runtime.errors import InputError, IntegrityError, UnreachableError
from tests.image import fixture_lock, interpreter_base
from tests.image.interpreter_base import PYTHON, SITE, TAG, build, lock, wheel
from tests.image.wheels import package

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, BaseLayer]:
    """A store that has the base, its interpreter unpacked by the first test that compiles."""
    store = Store(tmp_path_factory.mktemp("shared") / "store")
    return store, interpreter_base.make(store)


@pytest.fixture
def store(shared: tuple[Store, BaseLayer]) -> Store:
    return shared[0]


@pytest.fixture
def base(shared: tuple[Store, BaseLayer]) -> BaseLayer:
    return shared[1]


@pytest.fixture
def fresh(tmp_path: Path, store: Store, base: BaseLayer) -> Store:
    """A store of one test's own that has the base."""
    own = Store(tmp_path / "own")
    own.add_file(store.path(base.blob))
    return own


def of(layer_comment: str, image: Image, store: Store) -> dict[str, bytes]:
    """The files of the layer with this comment; none when there is no such layer."""
    found = {}
    for layer in image.layers:
        if layer.comment == layer_comment:
            with gzip.open(store.path(layer.blob)) as plain, tarfile.open(fileobj=plain) as archive:
                for member in archive:
                    body = archive.extractfile(member)
                    if body is not None and f"/{member.name}" not in NOT_OF_THE_IMAGE:
                        found[member.name] = body.read()
    return found


def compiled(tmp_path: Path, store: Store, base: BaseLayer, files: dict[str, bytes]) -> dict[str, bytes]:
    made = wheel(tmp_path, files)
    image = build(lock(base, package(made)), {"demo": made}, store)
    return of("bytecode of demo 1.0", image, store)


def pyc(name: str) -> str:
    directory, _, last = name.rpartition("/")
    return f"{SITE}/{directory}{'/' if directory else ''}__pycache__/{last.removesuffix('.py')}.{TAG}.pyc"


def test_a_module_has_an_unchecked_pyc_that_names_its_place_in_the_image(
    tmp_path: Path, store: Store, base: BaseLayer
) -> None:
    source = b"def f(x):\n    assert x, 'kept'\n    return 1\n"
    found = compiled(
        tmp_path, store, base, {"demo/__init__.py": b"", "demo/a.py": source, "top.py": b"x = 1"}
    )
    assert sorted(found) == sorted([pyc("demo/__init__.py"), pyc("demo/a.py"), pyc("top.py")])
    data = found[pyc("demo/a.py")]
    assert data[:4] == importlib.util.MAGIC_NUMBER
    assert data[4:8] == b"\1\0\0\0"
    assert data[8:16] == importlib.util.source_hash(source)
    code = marshal.loads(data[16:])  # noqa: S302 # made by this test
    assert isinstance(code, CodeType)
    assert code.co_filename == f"/{SITE}/demo/a.py"
    assert b"kept" in data


def test_the_interpreter_of_the_image_uses_it(tmp_path: Path, store: Store, base: BaseLayer) -> None:
    made = wheel(tmp_path, {"demo.py": b"print('compiled')\n"})
    image = build(lock(base, package(made)), {"demo": made}, store)
    layout.write(image, store.path, tmp_path / "image")
    opened = open_image(str(tmp_path / "image"))
    assert validate(opened) == ()
    root = tmp_path / "root"
    extract(opened, root)
    # An unchecked pyc is believed even where the source says otherwise.
    (root / SITE / "demo.py").write_text("print('source')\n")
    argv = interpreter.found(root, PYTHON).argv
    code = f"import sys; sys.path.insert(0, {str(root / SITE)!r}); import demo"
    done = subprocess.run([*argv, "-s", "-S", "-B", "-c", code], env={}, capture_output=True, check=True)
    assert done.stdout == b"compiled\n"


def test_without_bytecode_there_is_none(tmp_path: Path, store: Store, base: BaseLayer) -> None:
    made = wheel(tmp_path, {"demo.py": b"x = 1\n"})
    locked = lock(base, package(made))
    image = build(locked, {"demo": made}, store, bytecode=False)
    assert not [layer for layer in image.layers if "bytecode" in layer.comment]
    assert image.digest != build(locked, {"demo": made}, store).digest


def test_sources_are_compiled_and_never_run(tmp_path: Path, store: Store, base: BaseLayer) -> None:
    proof = tmp_path / "proof"
    evil = f"open({str(proof)!r}, 'w')\nimport demo.other\nraise SystemExit(1)\n".encode()
    names = ("demo/__init__.py", "json.py", "zipfile.py", "sitecustomize.py", "encodings/__init__.py")
    found = compiled(tmp_path, store, base, dict.fromkeys(names, evil))
    assert sorted(found) == sorted(map(pyc, names))
    assert not proof.exists()


def test_what_does_not_compile_has_no_bytecode(tmp_path: Path, store: Store, base: BaseLayer) -> None:
    bad = {
        "demo/two.py": b"print 'python 2'\n",
        "demo/template.py": b"{{ name }} = {% x %}\n",
        "demo/zero.py": b"x = '\0'\n",
        "demo/coding.py": b"# coding: nothing\n",
        "demo/deep.py": b"(" * 5000 + b")" * 5000,
        "demo/notes.txt": b"x = 1\n",
        f"demo/{'n' * 240}.py": b"x = 1\n",
    }
    assert list(compiled(tmp_path, store, base, {**bad, "demo/a.py": b"x = 1\n"})) == [pyc("demo/a.py")]
    made = wheel(tmp_path, bad)
    image = build(lock(base, package(made)), {"demo": made}, store)
    assert [layer.comment for layer in image.layers if "bytecode" in layer.comment] == [
        "bytecode of envlock runtime"
    ]
    assert build(lock(base, package(made)), {"demo": made}, store) == image


def test_bytecode_that_a_wheel_ships_beside_its_sources_stays_and_its_cache_does_not(
    tmp_path: Path, store: Store, base: BaseLayer
) -> None:
    files = {"demo/a.py": b"x = 1\n", "demo/b.pyc": b"sourceless", f"demo/__pycache__/a.{TAG}.pyc": b"theirs"}
    made = wheel(tmp_path, files)
    image = build(lock(base, package(made)), {"demo": made}, store)
    assert of("bytecode of demo 1.0", image, store)[pyc("demo/a.py")] != b"theirs"
    assert of("demo 1.0", image, store)[f"{SITE}/demo/b.pyc"] == b"sourceless"
    layout.write(image, store.path, tmp_path / "image")
    assert validate(open_image(str(tmp_path / "image"))) == ()


def test_the_wheel_that_owns_a_contested_source_owns_its_bytecode(
    tmp_path: Path, store: Store, base: BaseLayer
) -> None:
    files = {name: {"nvidia/__init__.py": f"x = {name!r}".encode()} for name in ("aa", "bb")}
    wheels = {name: wheel(tmp_path, files[name], name) for name in files}
    locked = lock(base, package(wheels["aa"], modified=("nvidia/__init__.py",)), package(wheels["bb"]))
    image = build(locked, wheels, store)
    layers = [of(f"bytecode of {name} 1.0", image, store) for name in files]
    (data,) = [layer[pyc("nvidia/__init__.py")] for layer in layers if layer]
    assert b"bb" in data


def test_the_runtime_is_compiled_too(tmp_path: Path, store: Store, base: BaseLayer) -> None:
    image = build(lock(base), {}, store)
    found = of("bytecode of envlock runtime", image, store)
    assert f"opt/envlock/runtime/envlock/runtime/__pycache__/entrypoint.{TAG}.pyc" in found
    assert f"opt/envlock/lib/yaml/__pycache__/__init__.{TAG}.pyc" in found


def test_a_second_build_compiles_and_unpacks_nothing(tmp_path: Path, fresh: Store, base: BaseLayer) -> None:
    made = wheel(tmp_path, {"demo.py": b"x = 1\n"})
    locked = lock(base, package(made))
    first = build(locked, {"demo": made}, fresh)
    (fresh.root / "interpreters").rename(tmp_path / "aside")
    made.unlink()
    assert build(locked, {"demo": made}, fresh) == first
    assert not (fresh.root / "interpreters").exists()


def _remove_blobs(store: Store, image: Image) -> None:
    for layer in image.layers:
        if "bytecode" in layer.comment:
            store.path(layer.blob).unlink()


def _damage_parts(store: Store, image: Image) -> None:
    _remove_blobs(store, image)
    for blob in (store.root / "blobs" / "sha256").iterdir():
        if blob.read_bytes()[:2] == b"PK":
            blob.write_bytes(b"PK")


def _damage_facts(store: Store, image: Image) -> None:
    _remove_blobs(store, image)
    for number, fact in enumerate((store.root / "facts" / "bytecode").iterdir()):
        fact.write_text(('{"parts": ["x"]}', '{"parts": 1}')[number % 2])


@pytest.mark.parametrize("damage", [_remove_blobs, _damage_parts, _damage_facts])
def test_what_is_damaged_in_the_store_is_made_anew(
    tmp_path: Path, fresh: Store, base: BaseLayer, damage: Callable[[Store, Image], None]
) -> None:
    made = wheel(tmp_path, {"demo.py": b"x = 1\n"})
    locked = lock(base, package(made))
    first = build(locked, {"demo": made}, fresh)
    damage(fresh, first)
    assert build(locked, {"demo": made}, fresh) == first
    assert all(fresh.find(layer.blob) is not None for layer in first.layers)


def test_a_wheel_that_changed_since_is_not_compiled(tmp_path: Path, fresh: Store, base: BaseLayer) -> None:
    made = wheel(tmp_path, {"demo.py": b"x = 1\n"})
    locked = lock(base, package(made))
    build(locked, {"demo": made}, fresh, bytecode=False)
    wheel(tmp_path, {"demo.py": b"x = 2\n"})
    with pytest.raises(IntegrityError, match="not the locked one"):
        build(locked, {"demo": made}, fresh)


@pytest.mark.slow
def test_builds_under_other_conditions_and_on_one_core_are_the_same(tmp_path: Path) -> None:
    conditions = [
        (
            {"TZ": "Asia/Kolkata", "LC_ALL": "C", "PYTHONHASHSEED": "1", "PYTHONOPTIMIZE": "0"},
            "022",
            "/",
            False,
        ),
        (
            {"TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "77", "LD_LIBRARY_PATH": "/nonexistent"},
            "077",
            str(tmp_path),
            True,
        ),
    ]
    digests = set()
    for number, (environment, umask, cwd, one_core) in enumerate(conditions):
        place = tmp_path / f"place-{number}"
        (place / "tmp").mkdir(parents=True)
        code = (
            "import os, pathlib, sys\n"
            f"os.umask(0o{umask})\n"
            f"if {one_core}: os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])\n"
            f"sys.path.insert(0, {str(ROOT)!r})\n"
            "from tests.image.interpreter_base import build_many\n"
            f"print(build_many(pathlib.Path({str(place)!r})))\n"
        )
        variables = {**os.environ, "TMPDIR": str(place / "tmp"), **environment}
        done = subprocess.run(
            [sys.executable, "-c", code], env=variables, cwd=cwd, check=True, timeout=300, capture_output=True
        )
        digests.add(done.stdout)
    assert len(digests) == 1


def test_the_standard_library_is_compiled_into_a_layer_of_the_base(fresh: Store, base: BaseLayer) -> None:
    made = base_bytecode.layer((base,), PYTHON, fresh, Silent())
    assert made is not None
    assert made.comment == "bytecode of the standard library"
    with gzip.open(fresh.path(made.blob)) as plain, tarfile.open(fileobj=plain) as archive:
        members = {member.name: member for member in archive}
        minor = PYTHON.minor
        body = archive.extractfile(
            members[f"opt/python/lib/python{minor}/json/__pycache__/decoder.{TAG}.pyc"]
        )
        assert body is not None
        code = marshal.loads(body.read()[16:])  # noqa: S302 # made by this test
    assert isinstance(code, CodeType)
    assert code.co_filename == f"/opt/python/lib/python{minor}/json/decoder.py"
    assert {path.name for path in fresh.root.iterdir()} <= {"blobs", "facts", "incoming"}
    fresh.path(base.blob).unlink()  # so that nothing could be unpacked
    assert base_bytecode.layer((base,), PYTHON, fresh, Silent()) == made


def layer_of(store: Store, *entries: Entry) -> BaseLayer:
    with store.writing() as sink:
        layer = write_layer(entries, sink)
    return BaseLayer(diff_id=layer.diff_id, blob=layer.blob, size=layer.size, media_type=layer.media_type)


def program(data: bytes) -> Entry:
    return Entry(path=ImagePath("/opt/env/bin/python"), mode=0o755, content=data)


def test_a_base_without_a_standard_library_gets_no_layer(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    layer = layer_of(store, program(Path("/bin/true").read_bytes()))
    assert base_bytecode.layer((layer,), PYTHON, store, Silent()) is None
    assert base_bytecode.layer((layer,), PYTHON, store, Silent()) is None


def test_a_base_without_an_interpreter_is_told_with_the_way_out(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    locked, wheels = fixture_lock.make(tmp_path, store)
    with pytest.raises(InputError, match="the base has no interpreter") as caught:
        build(locked, wheels, store)
    assert "--no-bytecode" in str(caught.value.hint)


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "opt/env/bin").mkdir(parents=True)
    (tmp_path / "opt/env/bin/python").symlink_to("/opt/env/bin/python3")
    (tmp_path / "opt/env/bin/python3").symlink_to("python")
    with pytest.raises(InputError, match="links lead in a circle"):
        interpreter.found(tmp_path, PYTHON)


def interpreting(*argv: str) -> Interpreter:
    return Interpreter(root=Path("/nonexistent"), executable="/x", argv=argv, python=PYTHON)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("/bin/sh", "-c", "echo compiling /a.py >&2; kill -SEGV $$"), "signal 11: compiling /a.py"),
        (("/bin/sh", "-c", "exit 3"), "exit 3: nothing said"),
        (("/nonexistent/python",), "does not run here: demo 1.0: found cannot start"),
        ((__file__,), "does not run here: demo 1.0"),
        ((sys.executable,), "used outside of the image"),
    ],
)
def test_a_worker_that_fails_is_one_clear_error(tmp_path: Path, argv: tuple[str, ...], message: str) -> None:
    with pytest.raises(UnreachableError, match=message) as caught:
        interpreting(*argv).compiled(tmp_path / "a.zip", [("a.py", "/a.py")], "demo 1.0")
    assert "demo 1.0" in str(caught.value)
    assert "--no-bytecode" in str(caught.value.hint)


def test_another_python_than_the_locked_one_is_refused(tmp_path: Path) -> None:
    other = replace(interpreting(sys.executable), python=replace(PYTHON, version="3.1.4"))
    with pytest.raises(UnreachableError, match=r"expected Python 3\.1\.4 \(cpython-31\)"):
        other.compiled(tmp_path / "a.zip", [], "demo 1.0")


@pytest.mark.parametrize(
    ("source", "unstable"),
    [
        ("x in {None, 'a'}", True),
        ("x in {('a', ...), 'b'}", True),
        ("x in {None}", False),
        ("x in {'a', 'b', 1, 2.5, b'c'}", False),
        ("x in (None, 'a')", False),
        ("def f():\n    return x in {1, None}", True),
    ],
)
def test_sets_whose_order_depends_on_addresses_are_found(
    source: str,
    unstable: bool,  # noqa: FBT001 # a parameter of the test
) -> None:
    assert bytecode_worker.has_unstable_order(compile(source, "x", "exec")) == unstable


def test_only_the_zlib_whose_output_is_known_compresses() -> None:
    assert bytecode_worker.method("1.2.13") == zipfile.ZIP_DEFLATED
    assert bytecode_worker.method("1.3.1.zlib-ng") == zipfile.ZIP_STORED


def test_the_worker_in_this_process_answers_as_the_image_does(
    tmp_path: Path, store: Store, base: BaseLayer
) -> None:
    files = {"demo/a.py": b"x = 1\n", "demo/b.py": b"print 1\n", "demo/c.py": b"y = {'a', 'b'}\n"}
    found = compiled(tmp_path, store, base, files)
    wanted = [[name, f"/{SITE}/{name}"] for name in files]
    answer = bytecode_worker.answer(str(tmp_path / "demo-1.0-py3-none-any.whl"), wanted)
    with zipfile.ZipFile(io.BytesIO(answer)) as archive:
        assert {pyc(name[len(SITE) + 1 :]): archive.read(name) for name in archive.namelist()} == found


def test_the_worker_knows_an_unsuitable_interpreter() -> None:
    assert bytecode_worker.unsuitable("", TAG, PYTHON.version) == ""
    assert "expected Python 2.7.1" in bytecode_worker.unsuitable("", "cpython-27", "2.7.1")
    assert "used outside of the image" in bytecode_worker.unsuitable("/nonexistent", TAG, PYTHON.version)
