"""The state of the objects that a job names: how it is read, kept and put back, by what they can do.

- ``state_dict`` and ``load_state_dict`` (torch modules, optimizers, schedulers, scalers, Batches):
  torch's weights-only format where torch is loaded, else plain data;
- ``variables`` with ``assign`` (Keras models and optimizers, tf.Module), ``state`` with ``assign``
  (tf.random.Generator): an array each;
- generators of NumPy, of torch and of the standard library: JSON.

State that could not be loaded again without unpickling is refused when it is saved.
"""

from __future__ import annotations

import sys

from envlock.runtime.checkpoint import generators, trees
from envlock.runtime.errors import InputError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from envlock.runtime.checkpoint.archive import Reader, Writer

_PLAIN = ("NoneType", "bool", "bytes", "complex", "float", "int", "str")
_TORCH_TYPES = ("Parameter", "Size", "Tensor", "device", "dtype")


def save(value: Any, writer: Writer, path: str) -> dict[str, Any]:
    """Add the state of ``value`` to ``writer`` and return its entry in the manifest. Raises InputError."""
    for kind, (applies, read, _) in _KINDS.items():
        if applies(value):
            return {"kind": kind, "state": read(value, writer, path)}
    raise InputError(
        "has no state that can be kept",
        where=path,
        expected="state_dict() and load_state_dict(), variables, or a random generator",
        found=type(value).__name__,
        hint="plain data and arrays go into the second argument of save",
    )


def load(value: Any, entry: dict[str, Any], reader: Reader, path: str) -> None:
    """Put the state of ``entry`` back into ``value``. Raises InputError where it is another kind."""
    applies, _, restore = _KINDS.get(entry["kind"], (lambda _: False, None, None))
    if not applies(value):
        raise InputError(
            "is not what was saved", where=path, expected=f"a {entry['kind']}", found=type(value).__name__
        )
    restore(value, entry["state"], reader, path)


def _has_state_dict(value: Any) -> bool:
    return hasattr(value, "state_dict") and hasattr(value, "load_state_dict")


def _save_state(value: Any, writer: Writer, path: str) -> dict[str, Any]:
    state = value.state_dict()
    torch = sys.modules.get("torch")
    if torch is None:
        return {"plain": trees.to_document(state, writer, path)}
    _check_loadable(state, path)
    return {"torch": writer.add(lambda stream: torch.save(state, stream))}


def _load_state(value: Any, state: dict[str, Any], reader: Reader, path: str) -> None:
    if "plain" in state:
        found = trees.from_document(state["plain"], reader)
    else:
        import torch

        # To the CPU: load_state_dict copies to where the object's own tensors are.
        found = torch.load(reader.member(state["torch"]), weights_only=True, map_location="cpu")
    try:
        value.load_state_dict(found)
    except (RuntimeError, ValueError, KeyError) as error:
        raise InputError("is not what was saved", where=path, found=str(error)) from error


def _check_loadable(value: Any, path: str) -> None:
    """Refuse what torch does not load in its weights-only mode, by the path to it."""
    name = type(value).__name__
    if isinstance(value, dict):
        for key, one in value.items():
            _check_loadable(key, f"{path}, a key")
            _check_loadable(one, f"{path}.{key}")
    elif isinstance(value, (list, tuple, set)) and name in ("list", "tuple", "set"):
        for at, one in enumerate(value):
            _check_loadable(one, f"{path}[{at}]")
    elif name not in (_TORCH_TYPES if type(value).__module__.startswith("torch") else _PLAIN):
        raise InputError(
            "cannot be kept in a checkpoint",
            where=path,
            expected="tensors and plain data",
            found=f"{type(value).__module__}.{name}",
            hint="it could only be loaded by unpickling, which runs whatever a file says",
        )


def _variables(value: Any) -> list[Any]:
    state = getattr(value, "state", None)
    found = [state] if hasattr(state, "assign") else getattr(value, "variables", None)
    try:
        made = list(found or ())
    except TypeError:
        return []
    return made if all(hasattr(one, "assign") for one in made) else []


def _save_variables(value: Any, writer: Writer, path: str) -> list[str]:
    return [
        trees.add_array(one, writer, f"{path}.variables[{at}]") for at, one in enumerate(_variables(value))
    ]


def _load_variables(value: Any, state: list[str], reader: Reader, path: str) -> None:
    own = _variables(value)
    arrays = [trees.array(name, reader) for name in state]
    shapes = [tuple(one.shape) for one in own]
    if [array.shape for array in arrays] != shapes:
        raise InputError(
            "is not what was saved",
            where=path,
            expected=f"{len(arrays)} variables of the saved shapes",
            found=f"{len(own)}",
            hint="build it before loading: model.build(…), optimizer.build(model.trainable_variables)",
        )
    for variable, array in zip(own, arrays):  # noqa: B905 - as many, by the check above
        variable.assign(array)


def _is_torch_generator(value: Any) -> bool:
    return type(value).__module__.startswith("torch") and hasattr(value, "initial_seed")


def _is_standard(value: Any) -> bool:
    return hasattr(value, "getstate") and hasattr(value, "setstate")


def _is_legacy(value: Any) -> bool:
    return type(value).__name__ == "RandomState"


# Kind → (is it for this object?, what the manifest keeps, putting that back), the first that applies.
_KINDS: dict[str, tuple[Any, Any, Any]] = {
    "state": (_has_state_dict, _save_state, _load_state),
    "torch generator": (
        _is_torch_generator,
        lambda value, *_: generators.tensor_text(value.get_state()),
        lambda value, state, *_: value.set_state(generators.tensor(state)),
    ),
    "numpy generator": (
        lambda value: hasattr(value, "bit_generator"),
        lambda value, *_: generators.plain(value.bit_generator.state),
        lambda value, state, *_: setattr(value.bit_generator, "state", generators.with_arrays(state)),
    ),
    "numpy legacy generator": (
        _is_legacy,
        lambda value, *_: generators.plain(value.get_state(legacy=False)),
        lambda value, state, *_: value.set_state(generators.with_arrays(state)),
    ),
    "standard generator": (
        _is_standard,
        lambda value, *_: generators.python_state(value),
        lambda value, state, *_: generators.set_python_state(value, state),
    ),
    "variables": (lambda value: bool(_variables(value)), _save_variables, _load_variables),
}
