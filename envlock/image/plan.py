"""What an image will be, decided from the lock and the options alone: pure, without I/O.

Rules kept here (docs/image.md):

* Layers go from large and stable to small and changing: base, big wheels by size class, small
  wheels, the bytecode of each of these layers in the same order, envlock's runtime, the lock. A layer
  of bytecode that would be empty is left out.
* The config holds nothing that depends on where or when the image is built.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final, Literal

from envlock.core import canonical
from envlock.core.digest import Digest
from envlock.image.base_layer import of_image
from envlock.image.bytecode_worker import FORMAT as BYTECODE_FORMAT
from envlock.image.facts import image_json
from envlock.image.groups import WheelGroup, grouped, room
from envlock.image.install import FORMAT as INSTALL_FORMAT
from envlock.image.install import site_packages
from envlock.lock.identity import environment_id
from envlock.lock.model import Lock
from envlock.oci.layer import FORMAT as LAYER_FORMAT
from envlock.oci.model import MEDIA_CONFIG, MEDIA_MANIFEST, Image, Layer
from envlock.oci.path import ImagePath
from envlock.runtime.determinism import image_environment
from envlock.runtime.layout import HOOK, HOOK_NAME

DEFAULT_CREATED: Final = 315_532_800
"""1980-01-01T00:00:00Z."""
FORMAT: Final = f"{LAYER_FORMAT}.{INSTALL_FORMAT}"
"""The label ``dev.envlock.format``: which bytes the same lock turns into. Bytecode adds its own."""

_USER: Final = 65532
_ENTRYPOINT: Final = "/opt/envlock/bin/envlock-run"
_SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_BASE: Final = "org.opencontainers.image.base."

Isa = Literal["portable", "native"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """What the user may choose. ``created`` in seconds since 1970; ``threads`` None: the lock's."""

    created: int = DEFAULT_CREATED
    threads: int | None = None
    isa: Isa = "portable"
    bytecode: bool = True
    project: Digest | None = None
    """Of the project's tree, where its code is the last layer."""
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFile:
    """A file that envlock makes; ``data`` None is a directory."""

    path: ImagePath
    mode: int
    data: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeFiles:
    """What travels in every image that this envlock builds, and its digest."""

    files: tuple[ImageFile, ...]
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLayer:
    """A layer of files that envlock makes."""

    comment: str
    files: tuple[ImageFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePlan:
    """An image before its layers are built.

    Layers: ``base``, then ``groups``, then with ``bytecode`` that of each group and of envlock's
    runtime (none that would be empty), then ``own``.
    """

    base: tuple[Layer, ...]
    groups: tuple[WheelGroup, ...]
    own: tuple[FileLayer, ...]
    bytecode: bool
    architecture: str
    created: int
    environment: tuple[tuple[str, str], ...]
    user: str
    labels: tuple[tuple[str, str], ...]

    @property
    def bytecode_comments(self) -> tuple[str, ...]:
        """The history entries of the bytecode's layers, were none of them empty."""
        comments = (*(group.comment for group in self.groups), self.own[0].comment)
        return tuple(map(bytecode_comment, comments)) if self.bytecode else ()


def bytecode_comment(sources: str) -> str:
    """Return the history entry of the layer with the bytecode of ``sources``."""
    return f"bytecode of {sources}"


def plan(lock: Lock, *, lock_bytes: bytes, options: BuildOptions, runtime: RuntimeFiles) -> ImagePlan:
    """Decide layers, labels and config. Raises InputError when the base leaves no room for layers."""
    base = tuple(map(of_image, lock.base.layers))
    identity = environment_id(lock)
    variables = _determinism(lock, options)
    facts = image_json(
        lock,
        environment_id=identity,
        lock_sha256=Digest.of(lock_bytes),
        runtime=runtime.digest,
        variables=variables,
    )
    labels = {
        **_standard_labels(lock, options.created),
        "dev.envlock.environment-id": str(identity),
        "dev.envlock.format": f"{FORMAT}.{BYTECODE_FORMAT}" if options.bytecode else FORMAT,
        "dev.envlock.lock-sha256": Digest.of(lock_bytes).hex,
        **({} if options.project is None else {"dev.envlock.project": str(options.project)}),
        "dev.envlock.runtime": str(runtime.digest),
        **dict(options.labels),
    }
    return ImagePlan(
        base=base,
        groups=grouped(
            lock.packages, room(len(base) + (options.project is not None), bytecode=options.bytecode)
        ),
        own=(_runtime_layer(lock, runtime), _lock_layer(lock_bytes, facts)),
        bytecode=options.bytecode,
        architecture=lock.platform.partition("/")[2],
        created=options.created,
        environment=_environment(lock, variables),
        user=lock.base.user or f"{_USER}:{_USER}",
        labels=tuple(sorted(labels.items())),
    )


def finish(planned: ImagePlan, built: tuple[Layer, ...]) -> Image:
    """Return the image of the plan. ``built``: its groups', its bytecode's and its own layers, in order."""
    settings = {
        "Entrypoint": [_ENTRYPOINT],
        "Env": _texts(planned.environment),
        "Labels": dict(planned.labels),
        "User": planned.user,
        "WorkingDir": "/work",
    }
    # Where scanners and registries look for the base (image-spec 1.1, annotations.md).
    based = {name: value for name, value in planned.labels if name.startswith(_BASE)}
    return _image(planned.base + built, settings, planned.architecture, planned.created, based)


def base_image(lock: Lock) -> Image:
    """Return the lock's base as an image of its own, for those who build on it with other tools."""
    variables = {**dict(lock.base.environment), "PATH": _path(lock)}
    settings = {"Env": _texts(sorted(variables.items())), "WorkingDir": "/"}
    layers = tuple(map(of_image, lock.base.layers))
    return _image(layers, settings, lock.platform.partition("/")[2], DEFAULT_CREATED, {})


def _texts(variables: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{name}={value}" for name, value in variables]


def _image(
    layers: tuple[Layer, ...],
    settings: Mapping[str, object],
    architecture: str,
    seconds: int,
    annotations: dict[str, str],
) -> Image:
    created = _rfc3339(seconds)
    config = canonical.dumps(
        {
            "architecture": architecture,
            "config": settings,
            "created": created,
            "history": [
                {"comment": layer.comment, "created": created, "created_by": "envlock"} for layer in layers
            ],
            "os": "linux",
            "rootfs": {"diff_ids": [str(layer.diff_id) for layer in layers], "type": "layers"},
        }
    )
    manifest = canonical.dumps(
        {
            **({"annotations": annotations} if annotations else {}),
            "config": {"digest": str(Digest.of(config)), "mediaType": MEDIA_CONFIG, "size": len(config)},
            "layers": [_descriptor(layer) for layer in layers],
            "mediaType": MEDIA_MANIFEST,
            "schemaVersion": 2,
        }
    )
    return Image(manifest=manifest, config=config, layers=layers)


def _descriptor(layer: Layer) -> dict[str, object]:
    members: dict[str, object] = {
        "digest": str(layer.blob),
        "mediaType": layer.media_type,
        "size": layer.size,
    }
    return {**members, "annotations": dict(layer.annotations)} if layer.annotations else members


def _determinism(lock: Lock, options: BuildOptions) -> Mapping[str, str]:
    return image_environment(
        threads=options.threads or _captured_threads(lock) or lock.cpu.cores,
        isa=options.isa,
        packages={package.name: package.version for package in lock.packages},
        machine=lock.os.machine,
    )


def _captured_threads(lock: Lock) -> int:
    """Return OMP_NUM_THREADS at capture, 0 when it was unset or a list for nested teams."""
    text = dict(lock.cpu.threads).get("OMP_NUM_THREADS", "")
    return int(text) if text.isascii() and text.isdigit() else 0


def _environment(lock: Lock, variables: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the image's variables: the contract's, determinism's, then the base's own that are left."""
    base = dict(lock.base.environment)
    base.pop("PATH", None)
    fixed = {
        "PATH": f"/opt/env/bin:{_path(lock)}",
        "HOME": "/tmp",  # noqa: S108 # the image's contract: a home that any user may write to
        "USER": "envlock",
        "LOGNAME": "envlock",
        "LANG": "C.UTF-8",
        "NVIDIA_DRIVER_CAPABILITIES": base.pop("NVIDIA_DRIVER_CAPABILITIES", "compute,utility"),
    }
    others = {**base, **variables}
    return tuple(fixed.items()) + tuple(sorted((k, v) for k, v in others.items() if k not in fixed))


def _path(lock: Lock) -> str:
    """Return PATH as the base has it, with the interpreter's directory on it."""
    path = dict(lock.base.environment).get("PATH", _SYSTEM_PATH)
    prefix = f"{lock.python.prefix}/bin"
    return path if prefix in path.split(":") else f"{prefix}:{path}"


def _standard_labels(lock: Lock, created: int) -> dict[str, str]:
    """Return the annotations of OCI image-spec 1.1 (annotations.md) that the lock can answer."""
    labels = {
        "org.opencontainers.image.created": _rfc3339(created),
        "org.opencontainers.image.title": "envlock environment",
        "org.opencontainers.image.description": (
            f"Python {lock.python.version} with {len(lock.packages)} packages, locked by envlock"
        ),
    }
    if lock.project is not None and lock.project.commit and not lock.project.dirty:
        labels["org.opencontainers.image.revision"] = lock.project.commit
        if lock.project.remote:
            labels["org.opencontainers.image.source"] = lock.project.remote
    if lock.base.reference:
        labels["org.opencontainers.image.base.name"] = lock.base.reference
    if lock.base.digest and lock.base.kind == "registry":
        labels["org.opencontainers.image.base.digest"] = str(lock.base.digest)
    return labels


def _rfc3339(seconds: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _runtime_layer(lock: Lock, runtime: RuntimeFiles) -> FileLayer:
    """Return the layer that only a new envlock or a new interpreter changes."""
    home = f"{lock.python.prefix}/bin"
    configuration = f"home = {home}\ninclude-system-site-packages = false\nversion = {lock.python.version}\n"
    made = (
        ImageFile(path=ImagePath("/opt/env/pyvenv.cfg"), mode=0o644, data=configuration.encode()),
        ImageFile(path=site_packages(lock.python.minor) / HOOK_NAME, mode=0o644, data=HOOK.encode()),
    )
    return FileLayer(comment="envlock runtime", files=runtime.files + made)


def _lock_layer(lock_bytes: bytes, facts: Mapping[str, object]) -> FileLayer:
    text = json.dumps(facts, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    return FileLayer(
        comment="lock",
        files=(
            ImageFile(path=ImagePath("/opt/envlock/pylock.envlock.toml"), mode=0o644, data=lock_bytes),
            ImageFile(path=ImagePath("/opt/envlock/image.json"), mode=0o644, data=text.encode()),
        ),
    )
