"""Frameworks that compute nothing and remember what they were asked: their results are expressions.

Run as a program with a suite's name it is a probe whose framework is simulated: the hash of an operation
is then the hash of what the suite asks for, inputs included.
"""

import ctypes
import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[2]
# Suite → the packages that are simulated for it; real NumPy makes the inputs of the others.
SUITES = {
    "jax": "jax",
    "lightgbm": "lightgbm",
    "numpy": "numpy",
    "scipy": "scipy",
    "sklearn": "sklearn",
    "tensorflow": "tensorflow",
    "torch": "torch",
    "torch_cuda": "torch",
    "xgboost": "xgboost",
}
_LONGEST = 200


class _Nothing:
    """A type that no value has."""


class Expression:
    """What was asked for, as text; whatever is done with it is asked for too."""

    shape = (3, 2)

    def __init__(self, text: str) -> None:
        self._text = text if len(text) < _LONGEST else hashlib.sha256(text.encode()).hexdigest()

    def __repr__(self) -> str:
        return self._text

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        types = {"Array": Expression, "IndexedSlices": _Nothing, "Tensor": Expression}
        return types.get(name) or Expression(f"{self}.{name}")

    def __call__(self, *values: object, **named: object) -> "Expression":
        given = [_text(one) for one in values] + [f"{name}={_text(one)}" for name, one in named.items()]
        return Expression(f"{self}({', '.join(given)})")

    def __getitem__(self, key: object) -> "Expression":
        return Expression(f"{self}[{_text(key)}]")

    def __setitem__(self, key: object, value: object) -> None:
        self._text = f"{self}[{_text(key)}]:={_text(value)}"

    def __iter__(self) -> Iterator["Expression"]:
        return iter((self[0], self[1]))

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    @property
    def dtype(self) -> "Expression":
        return Expression("a type")

    def __array__(self, *_: object, **__: object) -> Any:
        import numpy as np  # noqa: PLC0415 - not where NumPy is simulated

        return np.frombuffer(self.tobytes(), "uint8")

    def tobytes(self) -> bytes:
        return self._text.encode()

    def numpy(self) -> "Expression":
        return self

    # How torch's tensors give their memory away.
    def numel(self) -> int:
        return len(self._text)

    def element_size(self) -> int:
        return 1

    def data_ptr(self) -> int:
        self._memory = ctypes.create_string_buffer(self._text.encode())
        return ctypes.addressof(self._memory)


def _operator(name: str) -> Any:
    return lambda self, *others: Expression(f"{name}({', '.join(map(_text, (self, *others)))})")


for _name in (
    *("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "rshift", "and", "neg"),
    *("radd", "rsub", "rmul", "rtruediv", "rmatmul", "gt", "lt", "ge", "le"),
):
    setattr(Expression, f"__{_name}__", _operator(_name))


def _text(value: object) -> str:
    if isinstance(value, (bytes, bytearray)):
        return f"bytes:{hashlib.sha256(value).hexdigest()[:16]}"
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_text, value))}]"
    if callable(value) and not isinstance(value, Expression):
        return "a function"
    if hasattr(value, "tobytes") and not isinstance(value, Expression):
        array: Any = value
        return f"{array.dtype}{array.shape}:{hashlib.sha256(array.tobytes()).hexdigest()[:16]}"
    return repr(value)


class _Module(ModuleType):
    __version__ = "1.2.3"

    def __getattr__(self, name: str) -> Any:
        return getattr(Expression(self.__name__), name)


class Simulator(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports a package, and whatever lies below it, as expressions."""

    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] != self._package:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        return None


def simulated(name: str) -> Any:
    """Return the simulated module ``name``, which is not imported."""
    return importlib.util.module_from_spec(importlib.machinery.ModuleSpec(name, Simulator(name)))


def asked(suite: str) -> dict[str, object]:
    """Return what the probe of ``suite`` tells of a simulated framework."""
    argv = [sys.executable, __file__, suite]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {
        "list": next(line[2] for line in lines if line[0] == "framework"),
        "operations": {line[1]: line[2] for line in lines if line[0] in ("hash", "absent")},
    }


def main(suite: str) -> None:
    sys.path.insert(0, str(ROOT))
    sys.meta_path.insert(0, Simulator(SUITES[suite]))
    from envlock.runtime.fingerprint import probe  # noqa: PLC0415 - found on the path just made

    probe.main(suite)


if __name__ == "__main__":
    main(sys.argv[1])
