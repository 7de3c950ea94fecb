"""A lock as a CycloneDX 1.6 bill of materials. Pure.

Rules kept here:

* The same lock gives the same bytes: no time, no random number. The serial number is made of the
  environment-id, everything is sorted, references are package URLs.
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
from typing import Final

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
# What no IRI reference (RFC 3987) may hold as it is, though URLs that people type do.
_ESCAPES: Final = str.maketrans({one: f"%{ord(one):02X}" for one in " \"'[]<>{}"})

_Component = Mapping[str, object]
"""As JSON has it."""


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
    components = {str(one["bom-ref"]): one for one in (*wheels.values(), *others)}
    kind = "environment" if image is None else "image"
    document = {
        "components": sorted(components.values(), key=_order),
        "dependencies": _dependencies(root, components, wheels, lock.packages),
        "metadata": {"component": root, "tools": {"components": [_tool()]}},
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, f"urn:dev.envlock:{kind}:{root['version']}").urn,
        "version": 1,
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
    }
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def _order(component: _Component) -> tuple[str, ...]:
    return tuple(str(component.get(key, "")) for key in ("type", "name", "version", "bom-ref"))


def _dependencies(
    root: _Component,
    components: Iterable[str],
    wheels: Mapping[str, _Component],
    packages: tuple[Package, ...],
) -> list[dict[str, object]]:
    """Return who depends on whom, by their references."""
    references = {name: str(wheel["bom-ref"]) for name, wheel in wheels.items()}
    reached = {references[name] for name in references.keys() - set(top(packages))}
    below = {
        **dict.fromkeys(components, ()),
        **{references[one.name]: [references[name] for name in one.dependencies] for one in packages},
        str(root["bom-ref"]): [one for one in components if one not in reached],
    }
    return [
        {"dependsOn": sorted(below[name]), "ref": name} if below[name] else {"ref": name}
        for name in sorted(below)
    ]


def _environment(lock: Lock) -> _Component:
    identity = str(environment_id(lock))
    return _component("application", "environment", identity, identity, _facts(lock))


def _image(lock: Lock, image: ImageFacts) -> _Component:
    facts = [("environment-id", str(environment_id(lock))), *_facts(lock)]
    digest = str(image.manifest)
    return _component("container", "envlock-image", digest, digest, facts)


def _added(lock: Lock, image: ImageFacts) -> Iterator[_Component]:
    """Yield what the image has besides the environment."""
    runtime = "envlock-runtime"
    yield _component("application", runtime, __version__, runtime, [("digest", str(image.runtime))])
    for name, version in image.carried:
        # A reference of its own: the environment may have the same package.
        url = PackageURL("pypi", None, name, version)
        yield _component("library", name, version, f"{runtime}/{name}", purl=url.to_string())
    if lock.base.reference is not None:
        digest = None if lock.base.digest is None else str(lock.base.digest)
        yield _component("container", lock.base.reference, digest, "base-image")


def _tool() -> _Component:
    return _component("application", "envlock", __version__, "envlock")


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


def _components(lock: Lock) -> Iterator[_Component]:
    """Yield everything in the environment but its wheels."""
    yield _interpreter(lock)
    yield _component("operating-system", lock.os.id, lock.os.version, "operating-system")
    for system in lock.system_packages:
        yield _system(system, lock)
    yield from map(_conda, lock.conda)


def _interpreter(lock: Lock) -> _Component:
    python = lock.python
    is_cpython = python.implementation == "cpython"
    generic = "python" if is_cpython else python.implementation
    return _component(
        "platform",
        python.implementation,
        python.version,
        "interpreter",
        [("abi", python.abi), ("prefix-kind", python.prefix_kind)],
        # The name under which the public vulnerability lists have it.
        cpe=f"cpe:2.3:a:python:python:{python.version}:*:*:*:*:*:*:*" if is_cpython else None,
        purl=PackageURL("generic", None, generic, python.version).to_string(),
    )


def _wheel(package: Package) -> _Component:
    facts = [("source", package.source), ("evidence", package.evidence), ("wheel", package.wheel.name)]
    facts += [("index", package.index)] if package.index else []
    facts += [("editable", "true")] if package.editable else []
    facts += [("modified", path) for path in package.modified]
    facts += [(f"build:{name}", value) for name, value in package.build]
    return _package(
        _python_url(package),
        hashes=[("SHA-256", package.wheel.sha256.hex)],
        facts=facts,
        references=[("distribution", package.wheel.url), ("vcs", _vcs(package))],
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


def _system(system: SystemPackage, lock: Lock) -> _Component:
    version, qualifiers = system.version, {"arch": system.architecture}
    if system.manager == "rpm" and ":" in version:
        qualifiers["epoch"], _, version = version.partition(":")
    qualifiers["distro"] = f"{lock.os.id}-{lock.os.version}"
    return _package(
        PackageURL(_TYPES[system.manager], lock.os.id, system.name, version, qualifiers),
        version=system.version,
        hashes=[("SHA-256", system.sha256.hex)] if system.sha256 else [],
        facts=[("snapshot", system.snapshot)] if system.snapshot else [],
    )


def _conda(conda: CondaPackage) -> _Component:
    subdirectory, _, file = (conda.url or "").rpartition("/")
    qualifiers = {"build": conda.build, "channel": conda.channel}
    if file:
        qualifiers["subdir"] = subdirectory.rpartition("/")[2]
        qualifiers["type"] = "conda" if file.endswith(".conda") else "tar.bz2"
    sha256 = [("SHA-256", conda.sha256.hex)] if conda.sha256 else []
    md5 = [("MD5", conda.md5)] if conda.md5 else []
    return _package(
        PackageURL("conda", None, conda.name, conda.version, qualifiers),
        hashes=[*sha256, *md5],
        references=[("distribution", conda.url)],
    )


def _package(
    purl: PackageURL,
    *,
    version: str | None = None,
    hashes: Iterable[tuple[str, str]] = (),
    facts: Iterable[tuple[str, str]] = (),
    references: Iterable[tuple[str, str | None]] = (),
    licences: tuple[str, ...] = (),
) -> _Component:
    return _component(
        "library",
        purl.name,
        version or purl.version,
        purl.to_string(),
        facts,
        purl=purl.to_string(),
        hashes=[{"alg": algorithm, "content": value} for algorithm, value in sorted(hashes)],
        externalReferences=[
            {"type": kind, "url": url.translate(_ESCAPES)} for kind, url in references if url
        ],
        licenses=_licences(licences),
    )


def _component(
    kind: str,
    name: str,
    version: str | None,
    reference: str,
    facts: Iterable[tuple[str, str]] = (),
    **more: object,
) -> _Component:
    """Return a component without the members that say nothing."""
    properties = [{"name": f"envlock:{key}", "value": value} for key, value in sorted(facts)]
    members = {"bom-ref": reference, "name": name, "properties": properties, "type": kind, "version": version}
    return {key: value for key, value in sorted({**members, **more}.items()) if value}


def _licences(stated: tuple[str, ...]) -> list[dict[str, object]]:
    """Return one expression, or a name for each: the format does not take both."""
    declared = {"acknowledgement": "declared"}
    try:
        (only,) = stated
        return [{**declared, "expression": canonicalize_license_expression(only)}]
    except ValueError:
        return [{"license": {**declared, "name": one}} for one in sorted(stated)]
