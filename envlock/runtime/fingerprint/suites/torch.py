"""torch on the CPU: inputs, hashing, and the operations of its three parts.

The same operations serve another device (``torch_cuda``). Inputs need no NumPy. Parameters of layers
are fixed inputs too, so that a different random stream shows in ``torch.random`` and nowhere else.
"""

from __future__ import annotations

import ctypes

from envlock.runtime.fingerprint import inputs
from envlock.runtime.fingerprint.suites import torch_layers, torch_linear, torch_tensors
from envlock.runtime.fingerprint.suites.suite import Suite

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from envlock.runtime.fingerprint.suites.suite import Leaf, Named

SEED = 20_240_607


class Torch(Suite):
    """torch's operations on one device."""

    name = "torch"
    module = "torch"
    device = "cpu"

    def kernels(self) -> str:
        """Return the instruction set that ATen chose and the number of threads."""
        torch = self.framework
        chosen = torch.backends.cpu.get_cpu_capability()
        return f"ATen {chosen}, {torch.get_num_threads()} threads"

    def reseed(self) -> None:
        """Seed the generators of every device."""
        self.framework.manual_seed(SEED)

    def operations(self) -> Iterator[Named]:
        """Return every operation."""
        for part in (torch_tensors, torch_linear, torch_layers):
            for name, operation in part.operations(self):
                yield f"{self.name}.{name}", operation

    def leaf(self, value: Any) -> Leaf | None:
        """Return dtype, shape and bytes of a tensor."""
        if not isinstance(value, self.framework.Tensor):
            return None
        plain = value.detach().cpu().resolve_conj().contiguous()
        size = plain.numel() * plain.element_size()
        data = ctypes.string_at(plain.data_ptr(), size) if size else b""
        return str(plain.dtype).rpartition(".")[2], tuple(plain.shape), data

    def floats(self, label: str, *shape: int, dtype: str = "float32", scale: float = 1.0) -> Any:
        """Return numbers in [-scale, scale): 24 bits of float32, 53 of float64, 8 of smaller types."""
        torch = self.framework
        width, shift = (8, 11) if dtype == "float64" else (4, 8 if dtype == "float32" else 24)
        count = 1
        for one in shape:
            count *= one
        data = bytearray(inputs.raw(label, width * count))
        words = torch.frombuffer(data, dtype=torch.int64 if width == 8 else torch.int32) >> shift  # noqa: PLR2004 - bytes
        factor = 2.0 ** (1 + shift - 8 * width) * scale
        made = words.to(getattr(torch, dtype)) * factor
        return made.reshape(shape).to(self.device)

    def units(self, label: str, *shape: int, dtype: str = "float32", scale: float = 1.0) -> Any:
        """Return numbers in [0, scale)."""
        return (self.floats(label, *shape, dtype=dtype) + 1) * (scale / 2)

    def integers(self, label: str, *shape: int, below: int) -> Any:
        """Return int64 numbers in [0, below)."""
        return ((self.floats(label, *shape) + 1) * 2**23).to(self.framework.int64) % below

    def complex(self, label: str, *shape: int) -> Any:
        """Return complex64 numbers whose parts lie in [-1, 1)."""
        real, imaginary = self.floats(f"{label}.real", *shape), self.floats(f"{label}.imag", *shape)
        return self.framework.complex(real, imaginary)

    def positive_definite(self, label: str, size: int, dtype: str = "float64") -> Any:
        """Return a symmetric matrix whose diagonal outweighs each row."""
        square = self.floats(label, size, size, dtype=dtype)
        return square + square.T + self.framework.eye(size, dtype=square.dtype, device=self.device) * 4 * size

    def special(self, dtype: str) -> Any:
        """Return numbers at the edges of ``dtype``."""
        torch = self.framework
        return torch.frombuffer(bytearray(inputs.special(dtype)), dtype=getattr(torch, dtype)).to(self.device)

    def fixed(self, layer: Any, label: str) -> Any:
        """Return ``layer`` on the device, its parameters fixed inputs in [-1/8, 1/8)."""
        torch = self.framework
        with torch.no_grad():
            for name, parameter in layer.named_parameters():
                parameter.copy_(self.floats(f"{label}.{name}", *parameter.shape, scale=0.125))
        return layer.to(self.device)

    def gradients(self, result: Any, *of: Any) -> Any:
        """Return ``result`` and its gradients, for a fixed gradient of the result."""
        upstream = self.floats("upstream", *result.shape).to(result.dtype)
        return result, self.framework.autograd.grad(result, of, upstream)

    def needing(self, label: str, *shape: int, scale: float = 1.0) -> Any:
        """Return floats that gradients are asked of."""
        return self.floats(label, *shape, scale=scale).requires_grad_()


SUITE = Torch
