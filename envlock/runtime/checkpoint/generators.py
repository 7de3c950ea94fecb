"""The state of every random generator that a process has, as JSON, and of what numbers its seeds.

Only what the job has imported is looked at. With the generators go the ordinals of unseeded ones and
of child processes, so that the worker which a resumed job starts has the seed that it would have had.

Not to be had: cuRAND's state inside CuPy, states inside compiled TensorFlow functions and datasets,
and numba's in other threads.
"""

from __future__ import annotations

import sys
from importlib import import_module

from envlock.runtime import identity
from envlock.runtime.frameworks import unseeded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TORCH_DEVICES = ("cuda", "mps", "xpu")


def snapshot() -> dict[str, Any]:
    """Return the state of everything that is there."""
    found: dict[str, Any] = {"processes": list(identity.counters()), "unseeded": unseeded.ordinals()}
    for name, (read, _) in _FRAMEWORKS.items():
        if name in sys.modules:
            found[name] = read(sys.modules[name])
    return found


def restore(found: dict[str, Any]) -> None:
    """Put the state back; what the job has not imported yet is imported."""
    for name, (_, write) in _FRAMEWORKS.items():
        if name in found:
            write(import_module(name), found[name])
    # Last: an import may have made generators and started processes.
    identity.resume(*found["processes"])
    unseeded.resume(found["unseeded"])


def plain(value: Any) -> Any:
    """Return the state of a NumPy generator with lists in the place of arrays."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return value.tolist() if hasattr(value, "tolist") else value


def with_arrays(value: Any) -> Any:
    """Return the state that :func:`plain` was given; NumPy's are of 64 bits but for MT19937's."""
    import numpy as np

    if isinstance(value, dict):
        width = "uint32" if value.get("bit_generator") == "MT19937" else "uint64"
        return {key: _arrays(one, np.dtype(width)) for key, one in value.items()}
    return value


def tensor_text(tensor: Any) -> str:
    """Return a tensor of bytes as hexadecimal digits."""
    return bytes(tensor.tolist()).hex()


def tensor(text: str) -> Any:
    """Return the tensor of :func:`tensor_text`."""
    torch = import_module("torch")
    return torch.tensor(list(bytes.fromhex(text)), dtype=torch.uint8)


def python_state(random: Any) -> list[Any]:
    """Return the state of a ``random.Random``, or of the module."""
    version, words, gauss = random.getstate()
    return [version, list(words), gauss]


def set_python_state(random: Any, found: list[Any]) -> None:
    """Put back the state of :func:`python_state`."""
    version, words, gauss = found
    random.setstate((version, tuple(words), gauss))


def _arrays(value: Any, dtype: Any) -> Any:
    import numpy as np

    if isinstance(value, dict):
        return {key: _arrays(one, dtype) for key, one in value.items()}
    return np.array(value, dtype) if isinstance(value, list) else value


def _numpy(numpy: Any) -> Any:
    return plain(numpy.get_state(legacy=False))


def _set_numpy(numpy: Any, found: Any) -> None:
    numpy.set_state(with_arrays(found))


def _torch(torch: Any) -> dict[str, list[str]]:
    found = {"cpu": [tensor_text(torch.get_rng_state())]}
    for device in _TORCH_DEVICES:
        module = getattr(torch, device, None)
        if module is not None and module.is_available():
            every = getattr(module, "get_rng_state_all", None)
            states = every() if every else [module.get_rng_state()]
            found[device] = [tensor_text(state) for state in states]
    return found


def _set_torch(torch: Any, found: dict[str, list[str]]) -> None:
    torch.set_rng_state(tensor(found["cpu"][0]))
    for device in _TORCH_DEVICES:
        states = [tensor(text) for text in found.get(device, ())]
        if not states:
            continue
        module = getattr(torch, device)
        if hasattr(module, "set_rng_state_all"):
            module.set_rng_state_all(states)
        else:
            module.set_rng_state(states[0])


def _context() -> Any:
    return import_module("tensorflow.python.eager.context").context()


def _tensorflow(_: Any) -> list[Any]:
    # The generator that gives each operation its seed has no public name.
    context = _context()
    generator = getattr(context, "_rng", None)
    return [getattr(context, "_seed", None), python_state(generator) if generator else None]


def _set_tensorflow(tensorflow: Any, found: list[Any]) -> None:
    seed, state = found
    if seed is not None:
        tensorflow.random.set_seed(seed)
        set_python_state(getattr(_context(), "_rng"), state)  # noqa: B009 - it has no public name


def _numba(_: Any) -> list[Any]:
    native = import_module("numba._helperlib")
    states = (native.rnd_get_state(pointer) for pointer in _numba_pointers(native))
    return [[index, list(words)] for index, words in states]


def _set_numba(_: Any, found: list[Any]) -> None:
    native = import_module("numba._helperlib")
    for pointer, (index, words) in zip(_numba_pointers(native), found):  # noqa: B905 - strict is 3.10's
        native.rnd_set_state(pointer, (index, tuple(words)))


def _numba_pointers(native: Any) -> tuple[Any, Any]:
    return native.rnd_get_np_state_ptr(), native.rnd_get_py_state_ptr()


# Module → (reading its state, putting it back).
_FRAMEWORKS: dict[str, tuple[Any, Any]] = {
    "random": (python_state, set_python_state),
    "numpy.random": (_numpy, _set_numpy),
    "torch": (_torch, _set_torch),
    "tensorflow": (_tensorflow, _set_tensorflow),
    "numba": (_numba, _set_numba),
}
