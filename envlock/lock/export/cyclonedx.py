"""A lock as a CycloneDX 1.6 bill of materials. Pure.

Rules kept here:

* The same lock gives the same bytes: no time, no random number. The serial number is made of the
  environment-id, components are sorted by the library, references are package URLs.
* A component is what the lock names: Python packages, OS packages, conda packages, the interpreter and
  the operating system. A licence is what a package's metadata declares: an SPDX expression, or a name.
* A Python package depends on those that its metadata asks for. The environment depends on all that no
  other package asks for, so that everything is reached.
* A wheel that is not the public index's own file says so in its package URL (``checksum``,
  ``vcs_url``, ``download_url``); the project's own code is ``pkg:generic``, since the public index may
  have something else under that name.
* Of an image, the bill also names what the lock does not list: envlock's runtime and what that carries,
  and the image that it stands on.
* CycloneDX has no place for evidence, gaps and the like: they are properties named ``envlock:…``.
"""

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.dependency import Dependency
from cyclonedx.model.license import (
    DisjunctiveLicense,
    License,
    LicenseAcknowledgement,
    LicenseExpression,
)
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.licenses import canonicalize_license_expression

from envlock import __version__
from envlock.core.digest import Digest
from envlock.lock.dependencies import top
from envlock.lock.identity import environment_id
from envlock.lock.model import CondaPackage, Lock, Package, SystemPackage

_TYPES: Final = {"dpkg": "deb", "rpm": "rpm", "apk": "apk"}
_PUBLIC: Final = "pypi"
# Capture's own package of the files that no distribution owns (envlock/capture/orphans.py).
_ORPHANS: Final = "envlock-orphans"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """An image of the lock: its manifest, its runtime, and the packages, name and version, in that."""

    manifest: Digest
    runtime: Digest
    carried: tuple[tuple[str, str], ...]


def dumps(lock: Lock, image: ImageFacts | None = None) -> bytes:
    """Return the bill of materials of the environment, or of an image of it, as JSON."""
    root = _environment(lock) if image is None else _image(lock, image)
    wheels = {one.name: _wheel(one) for one in lock.packages}
    others = (*_components(lock), *(_added(lock, image) if image is not None else ()))
    kind = "environment" if image is None else "image"
    bom = Bom(
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"urn:dev.envlock:{kind}:{root.version}"),
        metadata=BomMetaData(component=root, tools=ToolRepository(components=[_tool()])),
        components=(*wheels.values(), *others),
        dependencies=_dependencies(root, wheels, others, lock.packages),
    )
    document: dict[str, Any] = json.loads(JsonV1Dot6(bom).output_as_string())
    # The library writes the time of day, which the format does not demand.
    del document["metadata"]["timestamp"]
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def _dependencies(
    root: Component,
    wheels: Mapping[str, Component],
    others: Iterable[Component],
    packages: tuple[Package, ...],
) -> Iterator[Dependency]:
    """Yield who depends on whom. Made here, as the library looks through all of them to register one."""
    leaves = {name: Dependency(wheel.bom_ref) for name, wheel in wheels.items()}
    unasked = [leaves[name] for name in top(packages)]
    yield Dependency(root.bom_ref, (*unasked, *(Dependency(one.bom_ref) for one in others)))
    for package in packages:
        needs = [leaves[name] for name in package.dependencies]
        yield Dependency(wheels[package.name].bom_ref, needs)


def _environment(lock: Lock) -> Component:
    identity = str(environment_id(lock))
    return Component(
        type=ComponentType.APPLICATION,
        name="environment",
        version=identity,
        bom_ref=identity,
        properties=_properties(_facts(lock)),
    )


def _image(lock: Lock, image: ImageFacts) -> Component:
    identity = ("environment-id", str(environment_id(lock)))
    return Component(
        type=ComponentType.CONTAINER,
        name="envlock-image",
        version=str(image.manifest),
        bom_ref=str(image.manifest),
        properties=_properties([identity, *_facts(lock)]),
    )


def _added(lock: Lock, image: ImageFacts) -> Iterator[Component]:
    """Yield what the image has besides the environment."""
    yield Component(
        type=ComponentType.APPLICATION,
        name="envlock-runtime",
        version=__version__,
        bom_ref="envlock-runtime",
        properties=_properties([("digest", str(image.runtime))]),
    )
    for name, version in image.carried:
        # A reference of its own: the environment may have the same package.
        url = PackageURL("pypi", None, name, version)
        yield Component(
            type=ComponentType.LIBRARY,
            name=name,
            version=version,
            bom_ref=f"envlock-runtime/{name}",
            purl=url,
        )
    if lock.base.reference is not None:
        yield Component(
            type=ComponentType.CONTAINER,
            name=lock.base.reference,
            version=None if lock.base.digest is None else str(lock.base.digest),
            bom_ref="base-image",
        )


def _tool() -> Component:
    return Component(type=ComponentType.APPLICATION, name="envlock", version=__version__, bom_ref="envlock")


def _facts(lock: Lock) -> Iterator[tuple[str, str]]:
    """Yield what is known of the environment as a whole."""
    yield "platform", lock.platform
    yield "libc", lock.os.libc
    for number, layer in enumerate(lock.base.layers):
        yield f"base:{number}", f"{layer.diff_id} {layer.comment}".rstrip()
    for library in lock.cuda:
        yield f"cuda:{library.name}", f"{library.version} {library.origin}"
    for gap in lock.gaps:
        yield f"gap:{gap.subject}", gap.reason


def _components(lock: Lock) -> Iterator[Component]:
    """Yield what is in the environment besides wheels."""
    yield _interpreter(lock)
    yield Component(
        type=ComponentType.OPERATING_SYSTEM,
        name=lock.os.id,
        version=lock.os.version,
        bom_ref="operating-system",
    )
    for system in lock.system_packages:
        yield _system(system, lock)
    yield from map(_conda, lock.conda)


def _interpreter(lock: Lock) -> Component:
    python = lock.python
    is_cpython = python.implementation == "cpython"
    return Component(
        type=ComponentType.PLATFORM,
        name=python.implementation,
        version=python.version,
        bom_ref="interpreter",
        # The name under which the public vulnerability lists have it.
        cpe=f"cpe:2.3:a:python:python:{python.version}:*:*:*:*:*:*:*" if is_cpython else None,
        purl=PackageURL("generic", None, "python" if is_cpython else python.implementation, python.version),
        properties=_properties([("abi", python.abi), ("prefix-kind", python.prefix_kind)]),
    )


def _wheel(package: Package) -> Component:
    facts = [("source", package.source), ("evidence", package.evidence), ("wheel", package.wheel.name)]
    facts += [("index", package.index)] if package.index else []
    facts += [("editable", "true")] if package.editable else []
    facts += [("modified", path) for path in package.modified]
    facts += [(f"build:{name}", value) for name, value in package.build]
    return _package(
        _python_url(package),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=package.wheel.sha256.hex)],
        facts=facts,
        references=[
            (ExternalReferenceType.DISTRIBUTION, package.wheel.url),
            (ExternalReferenceType.VCS, _vcs(package)),
        ],
        licences=package.licences,
    )


def _python_url(package: Package) -> PackageURL:
    if package.source == "directory" or package.name == _ORPHANS:
        kind, qualifiers = "generic", _checksum(package)
    elif vcs := _vcs(package):
        commit = dict(package.origin).get("commit")
        kind, qualifiers = "pypi", {"vcs_url": f"{vcs}@{commit}" if commit else vcs}
    elif package.wheel.url is None:
        kind, qualifiers = "pypi", _checksum(package)
    else:
        is_public = package.index == _PUBLIC
        kind, qualifiers = "pypi", {} if is_public else {"download_url": package.wheel.url}
    return PackageURL(kind, None, package.name, package.version, qualifiers)


def _checksum(package: Package) -> dict[str, str]:
    return {"checksum": str(package.wheel.sha256)}


def _vcs(package: Package) -> str | None:
    """Return the repository in the form of the SPDX specification: ``git+https://…``."""
    origin = dict(package.origin)
    return f"{origin['vcs']}+{origin['url']}" if {"vcs", "url"} <= origin.keys() else None


def _system(system: SystemPackage, lock: Lock) -> Component:
    version, qualifiers = system.version, {"arch": system.architecture}
    if system.manager == "rpm" and ":" in version:
        qualifiers["epoch"], _, version = version.partition(":")
    qualifiers["distro"] = f"{lock.os.id}-{lock.os.version}"
    return _package(
        PackageURL(_TYPES[system.manager], lock.os.id, system.name, version, qualifiers),
        version=system.version,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=system.sha256.hex)] if system.sha256 else [],
        facts=[("snapshot", system.snapshot)] if system.snapshot else [],
    )


def _conda(conda: CondaPackage) -> Component:
    subdirectory, _, file = (conda.url or "").rpartition("/")
    qualifiers = {"build": conda.build, "channel": conda.channel}
    if file:
        qualifiers["subdir"] = subdirectory.rpartition("/")[2]
        qualifiers["type"] = "conda" if file.endswith(".conda") else "tar.bz2"
    sha256 = [HashType(alg=HashAlgorithm.SHA_256, content=conda.sha256.hex)] if conda.sha256 else []
    md5 = [HashType(alg=HashAlgorithm.MD5, content=conda.md5)] if conda.md5 else []
    return _package(
        PackageURL("conda", None, conda.name, conda.version, qualifiers),
        hashes=[*sha256, *md5],
        references=[(ExternalReferenceType.DISTRIBUTION, conda.url)],
    )


def _package(
    purl: PackageURL,
    *,
    version: str | None = None,
    hashes: Iterable[HashType] = (),
    facts: Iterable[tuple[str, str]] = (),
    references: Iterable[tuple[ExternalReferenceType, str | None]] = (),
    licences: tuple[str, ...] = (),
) -> Component:
    return Component(
        type=ComponentType.LIBRARY,
        name=purl.name,
        version=version or purl.version,
        bom_ref=purl.to_string(),
        purl=purl,
        hashes=hashes,
        properties=_properties(facts),
        licenses=_licences(licences),
        external_references=[ExternalReference(type=kind, url=XsUri(url)) for kind, url in references if url],
    )


def _licences(stated: tuple[str, ...]) -> list[License]:
    """Return one expression, or a name for each: the format does not take both."""
    declared = LicenseAcknowledgement.DECLARED
    try:
        (only,) = stated
        return [LicenseExpression(canonicalize_license_expression(only), acknowledgement=declared)]
    except ValueError:
        return [DisjunctiveLicense(name=one, acknowledgement=declared) for one in stated]


def _properties(facts: Iterable[tuple[str, str]]) -> list[Property]:
    return [Property(name=f"envlock:{name}", value=value) for name, value in facts]
