"""What the ``host`` base makes instead of copying: accounts, name service, CA bundle, empty places.

Nothing here reads the machine's own configuration: the text is the same on every host, and the CA
bundle is built from the ca-certificates package's files alone.
"""

from collections.abc import Iterable
from pathlib import Path

from envlock.host.rooted import located
from envlock.lock.environment import HostFiles, PackedPackage

USER_ID = 65532

BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_CERTIFICATES = "/usr/share/ca-certificates/"

DIRECTORIES = {
    "/dev": 0o755,
    "/etc": 0o755,
    "/home": 0o755,
    "/opt": 0o755,
    "/out": 0o1777,
    "/proc": 0o755,
    "/root": 0o700,
    "/run": 0o755,
    "/sys": 0o755,
    "/tmp": 0o1777,  # noqa: S108 (a directory of the image)
    "/usr/local/bin": 0o755,
    "/var/lib": 0o755,
    "/var/tmp": 0o1777,  # noqa: S108 (as above)
    "/work": 0o1777,
}
"""Directories that an image has whatever its packages list, with their modes."""

ACCOUNT = {
    "/etc/passwd": f"envlock:x:{USER_ID}:{USER_ID}:envlock:/tmp:/bin/sh\n",
    "/etc/group": f"envlock:x:{USER_ID}:\n",
}
"""The job's own line of each account file."""

_ACCOUNTS = {
    "/etc/passwd": (
        "root:x:0:0:root:/root:/bin/sh\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
        f"{ACCOUNT['/etc/passwd']}"
    ),
    "/etc/group": f"root:x:0:\nnogroup:x:65534:\n{ACCOUNT['/etc/group']}",
    "/etc/nsswitch.conf": (
        "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\n"
        "protocols: files\nservices: files\nrpc: files\n"
    ),
    # Engines mount their own over these; without the files, a read-only root has nowhere to mount.
    "/etc/hostname": "",
    "/etc/hosts": "",
    "/etc/resolv.conf": "",
}

# Where each package manager keeps its list, and what ends an entry. An rpm database is no text: the manifest
# is what images without rpm have in its place (Azure Linux), and scanners read it.
_DATABASES = {
    "dpkg": ("/var/lib/dpkg/status", "\n\n"),
    "rpm": ("/var/lib/rpmmanifest/container-manifest-2", "\n"),
    "apk": ("/lib/apk/db/installed", "\n\n"),
}

_LISTS = "/var/lib/dpkg/info"

# OpenSSL's built-in places (OPENSSLDIR of Debian and Ubuntu).
_LINKS = {"/usr/lib/ssl/cert.pem": BUNDLE, "/usr/lib/ssl/certs": "/etc/ssl/certs"}


def files(host: HostFiles) -> dict[str, bytes]:
    """Return path → bytes of the files that are made; their mode is 0644."""
    made = {path: text.encode() for path, text in _ACCOUNTS.items()}
    made |= _databases(host)
    bundle = ca_bundle((file.path for package in host.packages for file in package.files), host.root)
    return {**made, BUNDLE: bundle} if bundle else made


def _databases(host: HostFiles) -> dict[str, bytes]:
    """Return what tells which packages the image has and, for dpkg, which files are whose.

    Scanners read it, and a capture of the image.
    """
    # Without packages, dpkg's: an empty list is the truth.
    managers = {package.package.manager for package in host.packages} or {"dpkg"}
    made = {}
    for manager in managers:
        path, end = _DATABASES[manager]
        if "/lib" in host.loose and path.startswith("/lib/"):
            # A link, on a merged /usr.
            path = f"/usr{path}"
        texts = sorted(one.status for one in host.packages if one.package.manager == manager)
        made[path] = "".join(f"{text}{end}" for text in texts).encode("utf-8", "surrogateescape")
    for package in host.packages:
        if package.package.manager == "dpkg":
            made |= _listed(package)
    return made


def _listed(package: PackedPackage) -> dict[str, bytes]:
    """Return dpkg's lists of the files that are packed, and of their checksums.

    As dpkg names them (dpkg-query(1), ``--control-path``): the architecture is part of the name where
    packages of two may be installed side by side.
    """
    described = package.package
    several = "\nMulti-Arch: same" in package.status
    name = f"{_LISTS}/{described.name}{f':{described.architecture}' if several else ''}"
    paths = "".join(f"{file.path}\n" for file in package.files)
    sums = [
        f"{file.checksum.removeprefix('md5:')}  {file.path[1:]}\n"
        for file in package.files
        if file.checksum is not None and file.checksum.startswith("md5:")
    ]
    texts = {f"{name}.list": f"/.\n{paths}", f"{name}.md5sums": "".join(sums)}
    return {path: text.encode("utf-8", "surrogateescape") for path, text in texts.items()}


def links(host: HostFiles) -> dict[str, str]:
    """Return path → target of the symlinks that are made."""
    names = {package.package.name for package in host.packages}
    return {**(_LINKS if "ca-certificates" in names else {}), **dict(host.links)}


def ca_bundle(paths: Iterable[str], root: Path = Path("/")) -> bytes:
    """Return the package's certificates, one after the other in path order, each ending in a newline."""
    chosen = sorted(path for path in paths if path.startswith(_CERTIFICATES) and path.endswith(".crt"))
    return b"".join(located(root, path).read_bytes().rstrip(b"\n") + b"\n" for path in chosen)
