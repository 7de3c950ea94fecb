"""TensorFlow: 64 bits to ``tf.random.set_seed``, and ``enable_op_determinism``.

Keras is seeded through both that and ``random``. Determinism is on under ``warn`` and ``strict``:
TensorFlow has no mode that only warns. With determinism on, an operation without a deterministic
implementation raises. That is accepted under ``warn`` too, because without it bits differ from run to
run; ``none`` turns it off. It is turned on after seeding, since unseeded random operations raise too.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def after_import(module: Any) -> None:
    """Set the global seed and turn determinism on."""
    from envlock.runtime import frameworks
    from envlock.runtime.frameworks import reseeding, tensorflow_portable

    set_seed = reseeding.watch(module.random, "set_seed", "tensorflow.random.set_seed")

    def seed(forked: bool) -> None:  # noqa: FBT001 - as frameworks.Seed has it
        # After a fork TensorFlow's runtime is not usable, and its locks may be held for ever.
        if not forked:
            set_seed(frameworks.take("tensorflow", 64))

    frameworks.register("tensorflow", seed)
    if frameworks.level() != "none":
        module.config.experimental.enable_op_determinism()
    if frameworks.portable():
        tensorflow_portable.prepare(module)
