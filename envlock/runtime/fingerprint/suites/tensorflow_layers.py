"""TensorFlow and Keras: layers forward and backward, losses, optimisers, a step of training."""

from __future__ import annotations

from envlock.runtime.fingerprint.suites.suite import prefixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from envlock.runtime.fingerprint.suites.suite import Named, Operation
    from envlock.runtime.fingerprint.suites.tensorflow import TensorFlow

_STEPS = 3


def operations(suite: TensorFlow) -> Iterator[Named]:
    """Yield every operation of this part."""
    yield from prefixed("nn", _neural(suite))
    yield from prefixed("keras", _keras(suite))
    yield from prefixed("keras", _training(suite))


def _neural(suite: TensorFlow) -> dict[str, Operation]:
    tf = suite.framework

    def convolved() -> Any:
        return _gradients(
            suite,
            lambda x, w: tf.nn.conv2d(x, w, 1, "SAME"),
            suite.floats("x", 3, 33, 31, 5),
            suite.floats("w", 3, 3, 5, 8, scale=0.125),
        )

    return {
        "conv1d": lambda: tf.nn.conv1d(suite.floats("x", 3, 101, 7), suite.floats("w", 5, 7, 16), 1, "SAME"),
        "conv2d.backward": convolved,
        "depthwise_conv2d": lambda: tf.nn.depthwise_conv2d(
            suite.floats("x", 3, 33, 31, 16), suite.floats("w", 3, 3, 16, 1), [1, 1, 1, 1], "SAME"
        ),
        "conv2d_transpose": lambda: tf.nn.conv2d_transpose(
            suite.floats("x", 3, 17, 15, 8), suite.floats("w", 3, 3, 5, 8), [3, 34, 30, 5], 2
        ),
        "max_pool2d": lambda: tf.nn.max_pool2d(suite.floats("x", 3, 33, 31, 5), 3, 2, "VALID"),
        "avg_pool2d": lambda: tf.nn.avg_pool2d(suite.floats("x", 3, 33, 31, 5), 3, 2, "VALID"),
        "resize.bilinear": lambda: tf.image.resize(suite.floats("x", 2, 33, 31, 5), [57, 53]),
        "softmax_cross_entropy.backward": lambda: _gradients(
            suite,
            lambda x: tf.nn.sparse_softmax_cross_entropy_with_logits(suite.integers("y", 67, below=101), x),
            suite.floats("x", 67, 101, scale=8.0),
        ),
        "gather.backward": lambda: _gradients(
            suite, lambda w: tf.gather(w, suite.integers("i", 1001, below=101)), suite.floats("w", 101, 32)
        ),
    }


def _keras(suite: TensorFlow) -> dict[str, Operation]:
    tf = suite.framework

    def layer(kind: str, *shape: int, label: str = "x", **settings: Any) -> Any:
        made = getattr(tf.keras.layers, kind)(**settings)
        x = suite.floats(label, *shape)
        made(x)
        _fix(suite, made, kind)
        return _gradients(suite, made, x, *(one.value for one in made.trainable_weights))

    def attention() -> Any:
        made = tf.keras.layers.MultiHeadAttention(4, 8)
        x = suite.floats("x", 3, 17, 32)
        made(x, x)
        _fix(suite, made, "attention")
        return _gradients(suite, lambda one: made(one, one), x)

    return {
        "Dense.backward": lambda: layer("Dense", 67, 129, units=33, activation="relu"),
        "LayerNormalization.backward": lambda: layer("LayerNormalization", 33, 257),
        "BatchNormalization": lambda: tf.keras.layers.BatchNormalization()(
            suite.floats("x", 7, 15, 13, 16), training=True
        ),
        "LSTM.backward": lambda: layer("LSTM", 5, 19, 17, units=33),
        "GRU.backward": lambda: layer("GRU", 5, 19, 17, units=33),
        "MultiHeadAttention.backward": attention,
    }


def _training(suite: TensorFlow) -> dict[str, Operation]:
    tf = suite.framework

    def stepped(kind: str) -> Any:
        variable = tf.Variable(suite.floats("parameter", 10_007))
        optimiser = getattr(tf.keras.optimizers, kind)(0.125)
        for step in range(_STEPS):
            optimiser.apply_gradients([(suite.floats(f"gradient.{step}", 10_007), variable)])
        return variable

    def fitted() -> Any:
        model = tf.keras.Sequential([tf.keras.layers.Dense(33, "tanh"), tf.keras.layers.Dense(1)])
        x = suite.floats("x", 256, 17)
        model(x)
        _fix(suite, model, "fitted")
        model.compile("adam", "mse")
        model.fit(x, suite.floats("y", 256, 1), batch_size=64, epochs=1, shuffle=False, verbose=0)
        return model.get_weights()

    def compiled() -> Any:
        return tf.function(lambda x: tf.nn.softmax(tf.tanh(x) * 2.0), jit_compile=True)(
            suite.floats("x", 67, 101)
        )

    return {
        "Adam": lambda: stepped("Adam"),
        "SGD": lambda: stepped("SGD"),
        "fit": fitted,
        "function.jit": compiled,
    }


def _gradients(suite: TensorFlow, function: Any, *of: Any) -> Any:
    """Return the result and its gradients, for a fixed gradient of the result."""
    tf = suite.framework
    with tf.GradientTape() as tape:
        tape.watch(of)
        result = function(*of[: 1 if hasattr(function, "trainable_weights") else len(of)])
    return result, list(tape.gradient(result, of, suite.floats("upstream", *result.shape)))


def _fix(suite: TensorFlow, layer: Any, label: str) -> None:
    """Give every weight a fixed input in [-1/8, 1/8): initialisers are not what is looked at here."""
    weights = layer.get_weights()
    layer.set_weights(
        [suite.make.floats(f"{label}.{at}", *one.shape, scale=0.125) for at, one in enumerate(weights)]
    )
