"""What the import hooks of editable installs lead to, read from their text and never executed.

Each build backend leaves a module beside its ``.pth`` file that knows where the code lies:

* setuptools: ``MAPPING`` and ``NAMESPACES``, import names and the paths that they stand for;
* the library ``editables`` (hatchling's exact mode, PDM): calls of ``map_module``;
* scikit-build-core: the call of ``install`` with its table of source files. The files that it built are
  installed, and RECORD lists them;
* meson-python: the build directory, whose install plan names each file. An import would build anew
  first; what is read is the last build.
"""

import ast
import json
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SUFFIXES = (".py", ".so", ".pyc")
_SCHEMES = ("{py_platlib}/", "{py_purelib}/")
_LARGEST = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """Import targets: (path in the wheel, file or package directory on disk), in the hook's order."""

    targets: tuple[tuple[str, Path], ...]


def read(module: Path) -> Hook | None:
    """Return what the hook in the file ``module`` leads to; None for one of no known kind."""
    try:
        if module.stat().st_size > _LARGEST:
            return None
        tree = ast.parse(module.read_bytes())
        found = (*_setuptools(tree), *_editables(tree), *_scikit_build(tree), *_meson(tree))
    except (OSError, ValueError, SyntaxError, TypeError, AttributeError, RecursionError, MemoryError):
        return None
    return Hook(targets=found) if found else None


def _setuptools(tree: ast.Module) -> Iterator[tuple[str, Path]]:
    tables = dict(_assigned(tree, ("MAPPING", "NAMESPACES")))
    for name, path in tables.get("MAPPING", {}).items():
        yield from _target(name, Path(path))
    for name, paths in tables.get("NAMESPACES", {}).items():
        yield from ((name.replace(".", "/"), Path(path)) for path in paths if Path(path).is_dir())


def _assigned(tree: ast.Module, names: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name) and target.id in names:
                yield target.id, ast.literal_eval(node.value)  # type: ignore[attr-defined]  # an assignment


def _editables(tree: ast.Module) -> Iterator[tuple[str, Path]]:
    for call in _calls(tree, "map_module"):
        name, path = (ast.literal_eval(argument) for argument in call.args[:2])
        yield from _target(name, Path(path))


def _scikit_build(tree: ast.Module) -> Iterator[tuple[str, Path]]:
    for call in _calls(tree, "install"):
        if not call.args or not isinstance(call.args[0], ast.Dict):
            continue
        for name, path in ast.literal_eval(call.args[0]).items():
            yield from _target(name, Path(path))


def _meson(tree: ast.Module) -> Iterator[tuple[str, Path]]:
    for call in _calls(tree, "MesonpyMetaFinder"):
        build = Path(ast.literal_eval(call.args[2]))
        plan = json.loads((build / "meson-info/intro-install_plan.json").read_bytes())
        for files in plan.values():
            for source, file in files.items():
                destination = str(file["destination"])
                if destination.startswith(_SCHEMES):
                    yield destination.partition("/")[2], Path(posixpath.normpath(source))


def _calls(tree: ast.Module, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            if name in (getattr(called, "id", None), getattr(called, "attr", None)):
                yield node


def _target(name: str, path: Path) -> Iterator[tuple[str, Path]]:
    """Yield where the module ``name`` lies: a package's directory, or a file, with its suffix or without."""
    place = name.replace(".", "/")
    if path.name.startswith("__init__."):
        # The directory, for the data beside the module.
        yield place, path.parent
    elif path.is_dir():
        yield place, path
    elif path.is_file():
        yield posixpath.join(posixpath.dirname(place), path.name), path
    else:
        beside = sorted(path.parent.glob(f"{path.name}.*"))
        yield from (
            (posixpath.join(posixpath.dirname(place), one.name), one)
            for one in beside
            if one.suffix in _SUFFIXES
        )
