"""``/opt/envlock/image.json``: what the entrypoint knows of the image that it stands in.

The build writes it from the lock, as there is no TOML parser in the standard library before 3.11.
"""

from __future__ import annotations

from envlock.runtime import document
from envlock.runtime.errors import InputError
from envlock.runtime.reader import Mapping
from envlock.runtime.value import Value

FORMAT = 1


class Cpu(Value):
    """The CPU of the capture; ``isa`` is the psABI level, ``x86-64-v3``."""

    model: str
    isa: str
    cores: int


class GpuDevice(Value):
    """A GPU of the capture; ``memory`` in bytes, ``capability`` as ``9.0``."""

    model: str
    capability: str
    memory: int
    mig: bool


class Gpu(Value):
    """The GPUs of the capture; ``driver`` None where there was none."""

    driver: str | None
    cuda: str | None
    devices: tuple[GpuDevice, ...]


class CudaLibrary(Value):
    """A CUDA library in the environment and where it comes from."""

    name: str
    version: str
    origin: str


class Project(Value):
    """The code of the capture."""

    commit: str | None
    dirty: bool
    tree: str | None


class Gap(Value):
    """Something that is not reproducible, and why."""

    subject: str
    reason: str


class Image(Value):
    """All of ``image.json``."""

    environment_id: str
    lock_sha256: str
    runtime: str
    env: tuple[tuple[str, str], ...]
    """The determinism variables that the image's configuration holds, sorted by name."""
    python_version: str
    python_implementation: str
    os: tuple[tuple[str, str], ...]
    """``id``, ``version``, ``kernel``, ``libc``, ``machine`` as the lock has them."""
    cpu: Cpu
    gpu: Gpu
    cuda: tuple[CudaLibrary, ...]
    packages: tuple[tuple[str, str], ...]
    project: Project | None
    gaps: tuple[Gap, ...]

    @property
    def machine(self) -> str:
        """The machine that the image is for, ``x86_64``."""
        return dict(self.os).get("machine", "")


def read(path: str) -> Image:
    """Return the image that the file ``path`` describes. Raises InputError."""
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "cannot read what this image is", where=path, found=str(error), hint="build the image again"
        ) from error
    return parse(document.read(text, path), path)


def parse(found: object, where: str) -> Image:
    """Return the image that the document ``found`` describes. Unknown keys are ignored."""
    top = Mapping.of(found, where)
    top.version("format", FORMAT)
    python = top.mapping("python")
    return Image(
        environment_id=top.text("environment-id", None),
        lock_sha256=top.text("lock-sha256", None),
        runtime=top.text("runtime", ""),
        env=top.text_items("env"),
        python_version=python.text("version", ""),
        python_implementation=python.text("implementation", ""),
        os=top.text_items("os"),
        cpu=_cpu(top.mapping("cpu")),
        gpu=_gpu(top.mapping("gpu")),
        cuda=tuple(map(_library, top.mappings("cuda"))),
        packages=top.text_items("packages"),
        project=None if top.get("project") is None else _project(top.mapping("project")),
        gaps=tuple(Gap(one.text("subject", None), one.text("reason", None)) for one in top.mappings("gaps")),
    )


def _cpu(section: Mapping) -> Cpu:
    return Cpu(section.text("model", ""), section.text("isa", ""), section.integer("cores", 1, least=1))


def _gpu(section: Mapping) -> Gpu:
    devices = tuple(
        GpuDevice(
            one.text("model", None), one.text("capability", ""), one.integer("memory", 0), one.boolean("mig")
        )
        for one in section.mappings("devices")
    )
    return Gpu(section.nullable_text("driver"), section.nullable_text("cuda"), devices)


def _library(section: Mapping) -> CudaLibrary:
    return CudaLibrary(section.text("name", None), section.text("version", ""), section.text("origin", ""))


def _project(section: Mapping) -> Project:
    return Project(section.nullable_text("commit"), section.boolean("dirty"), section.nullable_text("tree"))
