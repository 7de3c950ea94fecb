"""How an image was made, as an in-toto statement with SLSA provenance. Pure.

Source: in-toto Statement v1 and ResourceDescriptor v1; SLSA provenance v1.

Rules kept here:

* The same lock, options and envlock give the same bytes: no time but SOURCE_DATE_EPOCH as it was asked
  for, no invocation, no host, no user. Who vouches for the statement is told by a signature, not by it.
* Every byte that went in is a resolved dependency with its SHA-256: the lock, each wheel, each blob of
  the base. URLs are the lock's, which hold no secrets.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from envlock import __version__
from envlock.core import canonical
from envlock.core.digest import Digest
from envlock.image.plan import BuildOptions
from envlock.lock.identity import environment_id
from envlock.lock.model import BaseLayer, Lock, Package
from envlock.oci.model import Image

PREDICATE_TYPE: Final = "https://slsa.dev/provenance/v1"
# Identifiers, explained in docs/attestations.md; nothing is served there.
BUILD_TYPE: Final = "https://envlock.dev/build/v1"
BUILDER: Final = "https://envlock.dev/builder/v1"
_STATEMENT: Final = "https://in-toto.io/Statement/v1"

Members = Mapping[str, object]


def statement(
    lock: Lock, *, lock_bytes: bytes, image: Image, options: BuildOptions, labels: Mapping[str, str]
) -> bytes:
    """Return the statement about ``image`` as JSON. ``labels``: the image's own."""
    members: dict[str, Any] = {
        "_type": _STATEMENT,
        "subject": [{"name": f"envlock-image/{lock.platform}", "digest": _digest(image.digest)}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "lock": {"name": "pylock.envlock.toml", "digest": _digest(Digest.of(lock_bytes))},
                    "platform": lock.platform,
                    "options": _options(options),
                },
                "internalParameters": {
                    "environment-id": str(environment_id(lock)),
                    "format": labels["dev.envlock.format"],
                },
                "resolvedDependencies": [
                    {"name": "pylock.envlock.toml", "digest": _digest(Digest.of(lock_bytes))},
                    *map(_wheel, lock.packages),
                    *_base(lock),
                ],
            },
            "runDetails": {
                "builder": {
                    "id": BUILDER,
                    "version": {"envlock": __version__},
                    "builderDependencies": [
                        {
                            "name": "envlock-runtime",
                            "digest": _digest(Digest.parse(labels["dev.envlock.runtime"])),
                        }
                    ],
                }
            },
        },
    }
    return canonical.dumps(members) + b"\n"


def _options(options: BuildOptions) -> Members:
    """Return the options as asked for; threads are left out where the lock decides them."""
    return {
        "bytecode": options.bytecode,
        "created": options.created,
        "isa": options.isa,
        **({} if options.project is None else {"project": str(options.project)}),
        **({} if options.threads is None else {"threads": options.threads}),
        **({"labels": dict(options.labels)} if options.labels else {}),
    }


def _wheel(package: Package) -> Members:
    wheel = package.wheel
    return {
        "name": wheel.name,
        "digest": _digest(wheel.sha256),
        "annotations": {"evidence": package.evidence, "source": package.source, "size": wheel.size},
        **({} if wheel.url is None else {"downloadLocation": wheel.url}),
    }


def _base(lock: Lock) -> Iterator[Members]:
    """Yield the image that the base is, where it is one, and each blob of its layers."""
    if lock.base.reference is not None and lock.base.digest is not None:
        yield {"name": lock.base.reference, "digest": _digest(lock.base.digest)}
    seen: set[Digest] = set()
    for layer in lock.base.layers:
        if layer.blob not in seen:
            seen.add(layer.blob)
            yield _layer(layer, lock)


def _layer(layer: BaseLayer, lock: Lock) -> Members:
    return {
        "name": f"base: {layer.comment}" if layer.comment else "base",
        "digest": _digest(layer.blob),
        "mediaType": layer.media_type,
        "annotations": {
            "diff-id": str(layer.diff_id),
            "kind": lock.base.kind,
        },
    }


def _digest(digest: Digest) -> dict[str, str]:
    return {"sha256": digest.hex}
