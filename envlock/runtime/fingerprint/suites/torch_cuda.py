"""torch on the first CUDA device: the operations of ``torch`` with their inputs there."""

from __future__ import annotations

from envlock.runtime.fingerprint.suites.torch import Torch


class TorchCuda(Torch):
    """torch's operations on a GPU. Raises RuntimeError where torch sees none."""

    name = "torch.cuda"
    device = "cuda"

    def __init__(self) -> None:
        """Import torch and look for the device."""
        super().__init__()
        if not self.framework.cuda.is_available():
            raise RuntimeError("torch sees no CUDA device")

    def kernels(self) -> str:
        """Return the device and the libraries that it computes with."""
        torch = self.framework
        major, minor = torch.cuda.get_device_capability()
        cudnn = torch.backends.cudnn.version()
        return f"{torch.cuda.get_device_name()} (sm_{major}{minor}), CUDA {torch.version.cuda}, cuDNN {cudnn}"


SUITE = TorchCuda
