from dataclasses import replace

import pytest

from envlock.core.digest import Digest
from envlock.lock.model import (
    Base,
    BaseLayer,
    CondaPackage,
    Cpu,
    CudaLibrary,
    Gap,
    Gpu,
    GpuDevice,
    Lock,
    OperatingSystem,
    Package,
    Project,
    Python,
    SystemPackage,
    Wheel,
)


def _digest(text: str) -> Digest:
    return Digest.of(text.encode())


NUMPY = Package(
    name="numpy",
    version="2.4.6",
    wheel=Wheel(
        name="numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl",
        sha256=_digest("numpy"),
        size=16_500_000,
        url="https://index.example/files/numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl",
    ),
    source="index",
    evidence="matched",
    requires_python=">=3.11",
    index="pypi",
)
TORCH = Package(
    name="torch",
    version="2.13.0+cpu",
    wheel=Wheel(
        name="torch-2.13.0+cpu-cp311-cp311-linux_x86_64.whl",
        sha256=_digest("torch"),
        size=191_797_460,
        path=".envlock/wheels/torch-2.13.0+cpu-cp311-cp311-linux_x86_64.whl",
    ),
    source="vcs",
    evidence="repacked",
    origin=(("commit", "0f9e"), ("url", "https://code.example/torch.git"), ("vcs", "git")),
    modified=("torch/cuda/nccl.py", "torch/version.py"),
    missing=("torch/cuda/nccl.py",),
    editable=True,
    build=(("compiler", "gcc 12.2.0"), ("generator", "setuptools (80.9.0)")),
    content_digest=_digest("torch's files"),
    licences=("BSD-3-Clause",),
    dependencies=("numpy",),
)


@pytest.fixture
def lock() -> Lock:
    """A lock with something in every table."""
    return Lock(
        python=Python(
            implementation="cpython",
            version="3.11.7",
            abi="cpython-311",
            build="main",
            prefix_kind="pyenv",
            prefix="/opt/python",
        ),
        os=OperatingSystem(id="debian", version="12", kernel="6.1.0", libc="glibc 2.36", machine="x86_64"),
        cpu=Cpu(
            model="Example 9000",
            isa="x86-64-v3",
            cores=8,
            vendor="GenuineExample",
            flags=("avx2", "fma"),
            blas=("openblas 0.3.30",),
            threads=(("OMP_NUM_THREADS", "8"),),
        ),
        gpu=Gpu(
            driver="580.65.06",
            cuda="13.0",
            devices=(
                GpuDevice(model="H100", capability="9.0", memory=85_520_809_984, mig=False),
                GpuDevice(model="H100", capability="9.0", memory=10_200_547_328, mig=True, profile="1g.10gb"),
            ),
            topology=(("0-1", "nvlink x18"),),
        ),
        packages=(NUMPY, TORCH),
        base=Base(
            kind="host",
            layers=(
                BaseLayer(
                    diff_id=_digest("diff"),
                    blob=_digest("blob"),
                    size=31_000_000,
                    media_type="application/vnd.oci.image.layer.v1.tar+gzip",
                    comment="interpreter",
                ),
            ),
        ),
        system_packages=(
            SystemPackage(
                name="libc6", version="2.36-9+deb12u9", architecture="amd64", sha256=_digest("libc6")
            ),
            SystemPackage(
                name="libgomp",
                version="12.2.0-14",
                architecture="amd64",
                manager="rpm",
                snapshot="20261101T000000Z",
            ),
        ),
        conda=(
            CondaPackage(
                name="zlib",
                version="1.3.1",
                build="h4ab18f5_2",
                channel="conda-forge",
                url="https://conda.example/conda-forge/linux-64/zlib-1.3.1-h4ab18f5_2.conda",
                sha256=_digest("zlib"),
                md5="0123456789abcdef0123456789abcdef",
            ),
        ),
        libraries=(("libgomp.so.1", "os:libgomp"), ("libopenblas.so.0", "wheel:numpy")),
        cuda=(CudaLibrary(name="cudnn", version="9.10.2", origin="wheel:nvidia-cudnn-cu13"),),
        project=Project(
            commit="0a1b", dirty=True, tree=_digest("tree"), remote="https://code.example/me.git"
        ),
        environment=(("CUBLAS_WORKSPACE_CONFIG", ":4096:8"), ("MKL_CBWR", "AVX2")),
        gaps=(
            Gap(subject="gpu", reason="no NVIDIA driver", harmless=True),
            Gap(subject="mine", reason="left out: an editable install"),
        ),
        requires_python="==3.11.*",
    )


@pytest.fixture
def small_lock(lock: Lock) -> Lock:
    """A lock with nothing that may be absent."""
    return replace(
        lock,
        cpu=Cpu(model="Example 9000", isa="x86-64-v3", cores=1),
        gpu=Gpu(),
        packages=(),
        base=Base(kind="docker-daemon", layers=(), reference="debian:12"),
        system_packages=(),
        conda=(),
        libraries=(),
        cuda=(),
        project=None,
        environment=(),
        gaps=(),
    )
