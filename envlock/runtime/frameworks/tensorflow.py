"""TensorFlow: 64 bits to ``tf.random.set_seed``, and ``enable_op_determinism``.

Keras is seeded through both that and ``random``. Determinism is on under ``warn`` and ``strict``:
TensorFlow has no mode that only warns. With determinism on, an operation without a deterministic
implementation raises. That is accepted under ``warn`` too, because without it bits differ from run to
run; ``none`` turns it off. It is turned on after seeding, since unseeded random operations raise too.

``Generator.from_non_deterministic_state`` and the global generator, which would raise with determinism
on, take child ``gen/<ordinal>``.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BITS = 128
_UNSEEDED = "from_non_deterministic_state"


def after_import(module: Any) -> None:
    """Set the global seed and turn determinism on."""
    from envlock.runtime import frameworks
    from envlock.runtime.frameworks import reseeding, tensorflow_portable, unseeded

    set_seed = reseeding.watch(module.random, "set_seed", "tensorflow.random.set_seed", "tensorflow")

    def seed(forked: bool) -> None:  # noqa: FBT001 - as frameworks.Seed has it
        unseeded.restart("tensorflow")
        # After a fork TensorFlow's runtime is not usable, and its locks may be held for ever.
        if not forked:
            set_seed(frameworks.take("tensorflow", 64))

    frameworks.register("tensorflow", seed)
    _seed_unseeded(module.random)
    if frameworks.level() != "none":
        module.config.experimental.enable_op_determinism()
    if frameworks.portable():
        tensorflow_portable.prepare(module)


def _seed_unseeded(random: Any) -> None:
    from envlock.runtime import processes
    from envlock.runtime.frameworks import unseeded

    operations = import_module("tensorflow.python.ops.stateful_random_ops")
    kind, get_global = random.Generator, random.get_global_generator

    def from_non_deterministic_state(alg: Any = None) -> Any:
        return kind.from_seed(unseeded.entropy("tensorflow", _BITS), alg)

    def get_global_generator() -> Any:
        if operations.global_generator is None:
            random.set_global_generator(from_non_deterministic_state())
        return get_global()

    processes.replace(kind, _UNSEEDED, getattr(kind, _UNSEEDED), from_non_deterministic_state)
    setattr(kind, _UNSEEDED, staticmethod(from_non_deterministic_state))
    for owner in (random, random.experimental, operations):
        processes.replace(owner, "get_global_generator", get_global, get_global_generator)
