"""torch: products of matrices, distances, linear algebra, transforms."""

from __future__ import annotations

from envlock.runtime.fingerprint.suites.suite import prefixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from envlock.runtime.fingerprint.suites.suite import Named, Operation
    from envlock.runtime.fingerprint.suites.torch import Torch


def operations(suite: Torch) -> Iterator[Named]:
    """Yield every operation of this part."""
    yield from _products(suite)
    yield from prefixed("linalg", _linear(suite))
    yield from prefixed("fft", _transforms(suite))


def _products(suite: Torch) -> Iterator[Named]:
    torch = suite.framework

    def matmul(rows: int, inner: int, columns: int, dtype: str = "float32") -> Any:
        a = suite.floats("a", rows, inner, dtype=dtype)
        return a @ suite.floats("b", inner, columns, dtype=dtype)

    def linear() -> Any:
        x, weight = suite.needing("x", 67, 129), suite.needing("weight", 33, 129, scale=0.125)
        bias = suite.needing("bias", 33)
        return suite.gradients(torch.nn.functional.linear(x, weight, bias), x, weight, bias)

    yield "float32.matmul.31", lambda: matmul(31, 17, 29)
    yield "float32.matmul.257", lambda: matmul(257, 129, 255)
    yield "float32.matmul.512", lambda: matmul(512, 512, 512)
    yield "float32.matmul.vector", lambda: suite.floats("a", 513, 515) @ suite.floats("b", 515)
    yield "float32.bmm", lambda: suite.floats("a", 7, 33, 65) @ suite.floats("b", 7, 65, 31)
    yield "float32.dot", lambda: suite.floats("a", 10_007) @ suite.floats("b", 10_007)
    yield (
        "float32.einsum",
        lambda: torch.einsum("bhqd,bhkd->bhqk", *(suite.floats(one, 2, 3, 19, 32) for one in "ab")),
    )
    yield "float32.linear.backward", linear
    yield "float32.cdist", lambda: torch.cdist(suite.floats("a", 65, 33), suite.floats("b", 67, 33))
    yield (
        "float32.cosine_similarity",
        lambda: torch.nn.functional.cosine_similarity(suite.floats("a", 65, 133), suite.floats("b", 65, 133)),
    )
    yield "float64.matmul.257", lambda: matmul(257, 129, 255, "float64")
    yield "bfloat16.matmul.257", lambda: matmul(257, 129, 255, "bfloat16")
    yield "float16.matmul.65", lambda: matmul(65, 67, 63, "float16")
    yield "complex64.matmul.65", lambda: suite.complex("a", 65, 67) @ suite.complex("b", 67, 63)


def _linear(suite: Torch) -> dict[str, Operation]:
    linalg = suite.framework.linalg

    def square(size: int = 65) -> Any:
        return suite.floats("square", size, size, dtype="float64")

    def tall(dtype: str = "float64") -> Any:
        return suite.floats("tall", 97, 65, dtype=dtype)

    return {
        "svd": lambda: linalg.svd(tall()),
        "svd.float32": lambda: linalg.svd(tall("float32")),
        "qr": lambda: linalg.qr(tall()),
        "cholesky": lambda: linalg.cholesky(suite.positive_definite("spd", 65)),
        "cholesky.float32": lambda: linalg.cholesky(suite.positive_definite("spd", 65, "float32")),
        "eigh": lambda: linalg.eigh(suite.positive_definite("spd", 65)),
        "solve": lambda: linalg.solve(square(), suite.floats("b", 65, 3, dtype="float64")),
        "inv": lambda: linalg.inv(square()),
        "det": lambda: linalg.det(square(17)),
        # The default driver, gelsy, starts from memory that nobody filled: it varies from call to call.
        "lstsq": lambda: (
            linalg.lstsq(tall(), suite.floats("b", 97, 2, dtype="float64"), driver="gelsd").solution
        ),
        "matrix_exp": lambda: linalg.matrix_exp(square()),
    }


def _transforms(suite: Torch) -> dict[str, Operation]:
    torch = suite.framework
    return {
        "fft": lambda: torch.fft.fft(suite.complex("signal", 1021)),
        "rfft": lambda: torch.fft.rfft(suite.floats("signal", 1000)),
        "fft2": lambda: torch.fft.fft2(suite.complex("signal", 60, 64)),
        "stft": lambda: torch.stft(
            suite.floats("signal", 2001),
            256,
            window=torch.ones(256, device=suite.device),
            return_complex=True,
        ),
    }
