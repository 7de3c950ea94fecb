"""The lockfile's text: valid PEP 751 TOML, with envlock's own facts in the tool tables. Pure.

Rules kept here (docs/lockfile.md):

* The same lock gives the same bytes: packages and lists are sorted, one key a line.
* Each package is exactly one ``wheels`` entry with ``sha256`` and ``size``. A ``vcs``, ``directory``,
  ``archive`` or ``sdist`` table, or a ``marker``, is refused: the lock is of one environment.
* A newer major version is refused; unknown fields below ``[tool.envlock]`` of this one are kept.
* The environment-id is checked against the packages and the base when the lock is read, and each
  package's entry against its ``entry-digest``, so that the error names the package that was altered.
* The last table is an empty ``[tool.envlock.end]``: TOML that is cut after any table is TOML still.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import tomli_w

from envlock.core.digest import Digest
from envlock.core.printable import printable
from envlock.lock.identity import entry_digest, environment_id
from envlock.lock.model import LOCK_VERSION, Lock, Package, Wheel
from envlock.lock.tables import from_table, read_array, read_table, shown, to_table, under, wrong
from envlock.lock.text import parse
from envlock.runtime.errors import InputError, IntegrityError

_IN_PACKAGE = ("name", "version", "requires_python", "dependencies", "wheel")
_IN_LOCK = ("requires_python", "packages")
# What would make a package conditional or give it another artifact than its one wheel.
_REFUSED = ("marker", "vcs", "directory", "archive", "sdist")
_REFUSED_IN_LOCK = ("environments", "extras", "dependency-groups", "default-groups")
_END = "end"
_EDITED = "a lock is not edited by hand: capture again, or restore the file"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dependency:
    name: str


def dumps(lock: Lock) -> bytes:
    """Return the lockfile's bytes. Without ``requires_python`` the lock names its own minor version."""
    packages = sorted(lock.packages, key=lambda one: one.name)
    ordered = replace(
        lock,
        system_packages=tuple(
            sorted(lock.system_packages, key=lambda one: (one.name, one.architecture, one.version))
        ),
        conda=tuple(sorted(lock.conda, key=lambda one: (one.name, one.version, one.build, one.channel))),
        cuda=tuple(sorted(lock.cuda, key=lambda one: (one.name, one.version, one.origin))),
        gaps=tuple(sorted(lock.gaps)),
    )
    tool = {"version": LOCK_VERSION, "environment-id": str(environment_id(lock))}
    document = {
        "lock-version": "1.0",
        "requires-python": lock.requires_python or f"=={lock.python.minor}.*",
        "created-by": "envlock",
        "packages": [_package_table(one) for one in packages],
        "tool": {"envlock": {**tool, **to_table(ordered, without=_IN_LOCK), _END: {}}},
    }
    return tomli_w.dumps(document).encode()


def loads(data: bytes, where: str) -> Lock:
    """Read a lockfile; ``where`` names it in errors.

    Raises InputError, with the path to the fault, for what is no lock of this version, and
    IntegrityError for a lock that was altered after it was written.
    """
    document = parse(data, where)
    root = f"{where}:"
    tool = _tool(document, root)
    _validate(document, root)
    packages = [
        _package(one, f"{root} packages[{i}]")
        for i, one in enumerate(read_array(document["packages"], f"{root} packages"))
    ]
    _refuse_duplicates(packages, root)
    lock = from_table(
        Lock,
        tool,
        f"{root} tool.envlock",
        given={"packages": tuple(packages), "requires_python": document.get("requires-python")},
        reserved=("version", "environment-id", _END),
    )
    _check_identity(lock, tool, root)
    _check_dependencies(packages, root)
    return lock


def _package_table(package: Package) -> dict[str, object]:
    wheel = package.wheel
    entry: dict[str, object] = {"name": wheel.name}
    entry |= {"url": wheel.url} if wheel.url is not None else {"path": wheel.path}
    entry |= {"size": wheel.size, "hashes": {"sha256": wheel.sha256.hex}}
    table: dict[str, object] = {"name": package.name, "version": package.version}
    if package.requires_python is not None:
        table["requires-python"] = package.requires_python
    if package.dependencies:
        table["dependencies"] = [{"name": name} for name in package.dependencies]
    own = to_table(package, without=_IN_PACKAGE)
    own["entry-digest"] = str(entry_digest(package))
    return {**table, "wheels": [entry], "tool": {"envlock": own}}


def _tool(document: Mapping[str, object], root: str) -> Mapping[str, object]:
    tool = read_table(document.get("tool", {}), f"{root} tool")
    if "envlock" not in tool:
        raise InputError(
            "not an envlock lockfile",
            where=root.rstrip(":"),
            expected="a table [tool.envlock]",
            found="none",
            hint="`envlock capture` writes one from a live environment",
        )
    own = read_table(tool["envlock"], f"{root} tool.envlock")
    version = own.get("version")
    if type(version) is not int or version < 1:
        raise wrong(f"{root} tool.envlock.version", "an integer of at least 1", version)
    if version > LOCK_VERSION:
        raise InputError(
            "the lockfile is of a newer version",
            where=f"{root} tool.envlock.version",
            expected=f"{LOCK_VERSION} or older",
            found=shown(version),
            hint="upgrade envlock",
        )
    if _END not in own:
        raise InputError(
            "the lockfile is cut short",
            where=root.rstrip(":"),
            expected=f"[tool.envlock.{_END}] as its last table",
            found="none",
            hint="restore the file, or capture again",
        )
    return own


def _validate(document: Mapping[str, object], root: str) -> None:
    """Hold the file against PEP 751, then refuse the parts of it that an environment's lock never has."""
    # A capture only writes, and its writing is not to wait for this import.
    from packaging.pylock import Pylock, PylockValidationError  # noqa: PLC0415

    try:
        Pylock.from_dict(document)  # which validates; its own validate() would do it all once more
    except PylockValidationError as error:
        place = under(root, error.context) if error.context else root.rstrip(":")
        found = printable(error.message)
        raise InputError("not a valid PEP 751 lockfile", where=place, found=found) from error
    for key in _REFUSED_IN_LOCK:
        if key in document:
            raise wrong(f"{root} {key}", "no such key in the lock of one environment", document[key])


def _package(value: object, where: str) -> Package:
    table = read_table(value, where)
    for key in _REFUSED:
        if key in table:
            raise wrong(under(where, key), "one wheel and nothing else", table[key])
    wheels = read_array(table.get("wheels"), f"{where}.wheels")
    if len(wheels) != 1:
        raise wrong(f"{where}.wheels", "exactly one wheel", f"{len(wheels)} wheels")
    version = table.get("version")
    if version is None:
        raise wrong(f"{where}.version", "the exact version", None)
    if str(version).strip() != version:
        # PEP 440 allows white space around it; nothing that compares or prints it does.
        raise wrong(f"{where}.version", "a version without white space around it", version)
    own = read_table(table.get("tool", {}), f"{where}.tool").get("envlock", {})
    package = from_table(
        Package,
        own,
        f"{where}.tool.envlock",
        given={
            "name": table["name"],
            "version": version,
            "requires_python": table.get("requires-python"),
            "dependencies": _dependencies(table.get("dependencies", []), f"{where}.dependencies"),
            "wheel": _wheel(read_table(wheels[0], f"{where}.wheels[0]"), f"{where}.wheels[0]"),
        },
        reserved=("entry-digest",),
    )
    _check_entry(package, read_table(own, where), where)
    return package


def _dependencies(value: object, where: str) -> tuple[str, ...]:
    """Return the names. PEP 751 lets a dependency say more, for locks that have a name more than once."""
    return tuple(
        from_table(_Dependency, one, f"{where}[{i}]").name for i, one in enumerate(read_array(value, where))
    )


def _wheel(table: Mapping[str, object], where: str) -> Wheel:
    hashes = read_table(table["hashes"], f"{where}.hashes")
    # The hash stands one table deeper than the field; everything else is the value's own table.
    flat = {key: table[key] for key in ("name", "size", "url", "path") if key in table}
    wheel = from_table(
        Wheel, flat, where, given={"sha256": _sha256(hashes.get("sha256"), f"{where}.hashes.sha256")}
    )
    if "/" in wheel.name or "\\" in wheel.name or not wheel.name.isprintable():
        raise wrong(f"{where}.name", "a file name without a directory", wheel.name)
    if (wheel.url is None) == (wheel.path is None):
        raise wrong(where, "either url or path", "both" if wheel.url else "neither")
    if wheel.path is not None:
        _check_path(wheel.path, f"{where}.path")
        if wheel.path.rpartition("/")[2] != wheel.name:
            # pip and uv take the file's name from its path.
            raise wrong(f"{where}.path", f"a path that ends in {printable(wheel.name)}", wheel.path)
    if wheel.url is not None:
        _check_url(wheel.url, f"{where}.url")
    return wheel


def _sha256(value: object, where: str) -> Digest:
    try:
        return Digest(value if isinstance(value, str) else "")
    except InputError as error:
        raise wrong(where, "64 lower-case hexadecimal digits", value) from error


def _check_path(path: str, where: str) -> None:
    parts = path.split("/")
    if path.startswith("/") or "\\" in path or not path.isprintable() or not all(parts) or ".." in parts:
        raise wrong(where, "a path below the lockfile's directory", path)


def _check_url(url: str, where: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise wrong(where, "an http or https URL", "a URL that can't be read") from None
    if not usable or not url.isprintable() or " " in url:
        # The URL itself may carry a credential.
        raise wrong(where, "an http or https URL", f"a URL of {parts.scheme or 'no scheme'}")
    if "@" in parts.netloc:
        raise wrong(where, "a URL without credentials", "a URL with credentials")


def _refuse_duplicates(packages: list[Package], root: str) -> None:
    """Refuse a name twice. Two packages never share a file: a path ends in a name that begins with theirs."""
    seen: set[str] = set()
    for i, package in enumerate(packages):
        if package.name in seen:
            raise wrong(f"{root} packages[{i}].name", "each package once", package.name)
        seen.add(package.name)


def _check_dependencies(packages: list[Package], root: str) -> None:
    known = {package.name for package in packages}
    for i, package in enumerate(packages):
        for j, name in enumerate(package.dependencies):
            if name not in known:
                raise wrong(f"{root} packages[{i}].dependencies[{j}].name", "a package of this lock", name)


def _check_entry(package: Package, own: Mapping[str, object], where: str) -> None:
    stated = own.get("entry-digest")
    found = str(entry_digest(package))
    if stated is not None and stated != found:
        raise IntegrityError(
            f"the lock's entry of {package.name} {package.version} was altered",
            where=where,
            expected=shown(stated).strip("'"),
            found=found,
            hint=_EDITED,
        )


def _check_identity(lock: Lock, tool: Mapping[str, object], root: str) -> None:
    stated = tool.get("environment-id")
    found = str(environment_id(lock))
    if stated is None:
        raise wrong(f"{root} tool.envlock.environment-id", "the environment's identity", None)
    if stated != found:
        raise IntegrityError(
            "the lock's contents do not match its environment-id",
            where=f"{root} tool.envlock.environment-id",
            expected=shown(stated).strip("'"),
            found=found,
            hint=_EDITED,
        )
