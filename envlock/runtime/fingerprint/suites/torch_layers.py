"""torch: layers forward and backward, losses, optimisers, and a training step of each kind of network."""

from __future__ import annotations

from envlock.runtime.fingerprint.suites.suite import each, prefixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from envlock.runtime.fingerprint.suites.suite import Named, Operation
    from envlock.runtime.fingerprint.suites.torch import Torch

_OPTIMISERS = {
    "SGD": {"lr": 0.125, "momentum": 0.875},
    "Adam": {"lr": 0.125},
    "AdamW": {"lr": 0.125},
    "RMSprop": {"lr": 0.125},
}
_STEPS = 3


def operations(suite: Torch) -> Iterator[Named]:
    """Yield every operation of this part."""
    yield from prefixed("conv", _convolutions(suite))
    yield from prefixed("norm", _norms(suite))
    yield from prefixed("attention", _attention(suite))
    yield from prefixed("rnn", _recurrent(suite))
    yield from prefixed("image", _images(suite))
    yield from prefixed("loss", _losses(suite))
    yield from prefixed("optim", _optimisers(suite))


def _convolutions(suite: Torch) -> dict[str, Operation]:
    functional = suite.framework.nn.functional

    def convolved(name: str, x: tuple[int, ...], weight: tuple[int, ...], **settings: Any) -> Any:
        dtype = settings.pop("dtype", "float32")
        signal = suite.floats("x", *x, dtype=dtype)
        return getattr(functional, name)(signal, suite.floats("w", *weight, dtype=dtype), **settings)

    def backward() -> Any:
        x, weight = suite.needing("x", 3, 5, 33, 31), suite.needing("w", 8, 5, 3, 3, scale=0.125)
        return suite.gradients(functional.conv2d(x, weight, padding=1), x, weight)

    return {
        "conv1d": lambda: convolved("conv1d", (3, 7, 101), (16, 7, 5)),
        "conv2d": lambda: convolved("conv2d", (3, 5, 33, 31), (8, 5, 3, 3), padding=1),
        "conv2d.1x1": lambda: convolved("conv2d", (3, 32, 17, 15), (24, 32, 1, 1)),
        "conv2d.depthwise": lambda: convolved("conv2d", (3, 16, 33, 31), (16, 1, 3, 3), groups=16),
        "conv2d.strided": lambda: convolved("conv2d", (2, 3, 65, 63), (16, 3, 7, 7), stride=2, padding=3),
        "conv2d.bfloat16": lambda: convolved("conv2d", (3, 5, 33, 31), (8, 5, 3, 3), dtype="bfloat16"),
        "conv2d.backward": backward,
        "conv3d": lambda: convolved("conv3d", (1, 3, 9, 11, 13), (4, 3, 3, 3, 3)),
        "conv_transpose2d": lambda: convolved("conv_transpose2d", (3, 8, 17, 15), (8, 5, 3, 3), stride=2),
    }


def _norms(suite: Torch) -> dict[str, Operation]:
    functional = suite.framework.nn.functional

    def layer_norm() -> Any:
        x, weight, bias = suite.needing("x", 33, 257), suite.needing("w", 257), suite.needing("b", 257)
        return suite.gradients(functional.layer_norm(x, (257,), weight, bias), x, weight, bias)

    def batch_norm() -> Any:
        x, weight, bias = suite.needing("x", 7, 16, 15, 13), suite.needing("w", 16), suite.needing("b", 16)
        return suite.gradients(
            functional.batch_norm(x, None, None, weight, bias, training=True), x, weight, bias
        )

    return {
        "layer_norm.backward": layer_norm,
        "batch_norm.backward": batch_norm,
        "group_norm": lambda: functional.group_norm(suite.floats("x", 7, 16, 15, 13), 4),
        "rms_norm": lambda: functional.rms_norm(suite.floats("x", 33, 257), (257,)),
        "instance_norm": lambda: functional.instance_norm(suite.floats("x", 7, 16, 15, 13)),
        "normalize": lambda: functional.normalize(suite.floats("x", 33, 257)),
    }


def _attention(suite: Torch) -> dict[str, Operation]:
    torch = suite.framework
    attend = torch.nn.functional.scaled_dot_product_attention

    def attended(**settings: Any) -> Any:
        dtype = settings.pop("dtype", "float32")
        return attend(*(suite.floats(one, 2, 4, 67, 32, dtype=dtype) for one in "qkv"), **settings)

    def backward() -> Any:
        given = [suite.needing(one, 2, 4, 67, 32) for one in "qkv"]
        return suite.gradients(attend(*given), *given)

    def encoder() -> Any:
        layer = suite.fixed(torch.nn.TransformerEncoderLayer(32, 4, 64, 0.0, batch_first=True), "encoder")
        x = suite.needing("x", 3, 17, 32)
        return suite.gradients(layer(x), x, *layer.parameters())

    def embedded() -> Any:
        weight = suite.needing("w", 101, 32)
        return suite.gradients(
            torch.nn.functional.embedding(suite.integers("i", 1001, below=101), weight), weight
        )

    return {
        "sdpa": attended,
        "sdpa.causal": lambda: attended(is_causal=True),
        "sdpa.bfloat16": lambda: attended(dtype="bfloat16"),
        "sdpa.backward": backward,
        "encoder.backward": encoder,
        "embedding.backward": embedded,
    }


def _recurrent(suite: Torch) -> dict[str, Operation]:
    nn = suite.framework.nn

    def stepped(kind: str) -> Any:
        layer = suite.fixed(getattr(nn, kind)(17, 33, num_layers=2), kind)
        x = suite.needing("x", 19, 5, 17)
        return suite.gradients(layer(x)[0], x, *layer.parameters())

    kinds = each(stepped, ("LSTM", "GRU", "RNN"))
    return {f"{kind}.backward": operation for kind, operation in kinds.items()}


def _images(suite: Torch) -> dict[str, Operation]:
    functional = suite.framework.nn.functional

    def image() -> Any:
        return suite.floats("image", 2, 5, 33, 31)

    def resized(mode: str) -> Any:
        return functional.interpolate(image(), scale_factor=1.7, mode=mode, align_corners=False)

    return {
        "max_pool2d": lambda: functional.max_pool2d(image(), 3, 2),
        "avg_pool2d": lambda: functional.avg_pool2d(image(), 3, 2),
        "adaptive_avg_pool2d": lambda: functional.adaptive_avg_pool2d(image(), 7),
        "interpolate.bilinear": lambda: resized("bilinear"),
        "interpolate.bicubic": lambda: resized("bicubic"),
        "grid_sample": lambda: functional.grid_sample(
            image(), suite.floats("grid", 2, 17, 19, 2), align_corners=False
        ),
    }


def _losses(suite: Torch) -> dict[str, Operation]:
    functional = suite.framework.nn.functional

    def cross_entropy() -> Any:
        x = suite.needing("x", 67, 101, scale=8.0)
        return suite.gradients(functional.cross_entropy(x, suite.integers("y", 67, below=101)), x)

    return {
        "cross_entropy.backward": cross_entropy,
        "log_softmax": lambda: functional.log_softmax(suite.floats("x", 67, 101, scale=8.0), 1),
        "mse": lambda: functional.mse_loss(suite.floats("x", 10_007), suite.floats("y", 10_007)),
        "bce_with_logits": lambda: functional.binary_cross_entropy_with_logits(
            suite.floats("x", 10_007, scale=8.0), suite.units("y", 10_007)
        ),
        "ctc": lambda: functional.ctc_loss(
            functional.log_softmax(suite.floats("x", 23, 3, 11, scale=4.0), 2),
            suite.integers("y", 3, 7, below=10) + 1,
            (23, 23, 23),
            (7, 7, 7),
        ),
    }


def _optimisers(suite: Torch) -> dict[str, Operation]:
    torch = suite.framework

    def stepped(kind: str) -> Any:
        parameter = torch.nn.Parameter(suite.floats("parameter", 10_007))
        optimiser = getattr(torch.optim, kind)([parameter], **_OPTIMISERS[kind])
        for step in range(_STEPS):
            parameter.grad = suite.floats(f"gradient.{step}", 10_007)
            optimiser.step()
        return parameter

    def clipped() -> Any:
        parameter = torch.nn.Parameter(suite.floats("parameter", 10_007))
        parameter.grad = suite.floats("gradient.0", 10_007)
        return torch.nn.utils.clip_grad_norm_([parameter], 1.0), parameter.grad

    return {**each(stepped, _OPTIMISERS), "clip_grad_norm": clipped}
