"""What Keras trains: each variable of the model after each batch of ``fit``, at every trace level.

What happens within a batch is inside a compiled function. Under the JAX backend the model's variables are
not the trained ones before the epoch ends: nothing is traced there.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def after_import(module: Any) -> None:
    """Cover what ``fit`` calls when it has trained on a batch."""
    if not os.environ.get("ENVLOCK_TRACE_TO") or module.backend.backend() == "jax":
        return
    from envlock.runtime import processes

    kind = module.CallbackList
    ended = kind.on_train_batch_end

    def on_train_batch_end(self: Any, batch: int, logs: Any = None) -> Any:
        _record(self.model)
        return ended(self, batch, logs)

    processes.replace(kind, "on_train_batch_end", ended, on_train_batch_end)


def _record(model: Any) -> None:
    from envlock.runtime.trace import writer

    try:
        for variable in model.variables:
            array = variable.numpy()
            shape = f"{array.dtype}[{','.join(map(str, array.shape))}]"
            writer.write("parameter", model.name, variable.path, shape, writer.digest_of(array.tobytes()))
        writer.step()
    except Exception as error:  # noqa: BLE001 - whatever it is, the job comes first
        writer.end(f"{type(error).__name__}: {error}")
