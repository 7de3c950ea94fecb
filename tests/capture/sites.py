"""A site-packages directory and the distributions in it, as the capture has read them."""

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

from envlock.capture.search_path import SearchPath
from envlock.lock.environment import DirectUrl, InstalledDistribution, RecordEntry
from tests.capture.simulators import put_file


@dataclass(frozen=True)
class Site:
    """Writes distributions below ``path``, a directory of sys.path."""

    path: Path

    def install(
        self,
        name: str,
        files: dict[str, str],
        *,
        version: str = "1.0",
        direct: DirectUrl | None = None,
        recorded: bool = True,
    ) -> InstalledDistribution:
        """Write the files and a dist-info, and return what a capture says of it."""
        info = f"{name.replace('-', '_')}-{version}.dist-info"
        metadata = {
            f"{info}/METADATA": f"Name: {name}\nVersion: {version}\n",
            f"{info}/WHEEL": "Tag: a-b-c\n",
        }
        texts = {**files, **metadata}
        for path, text in texts.items():
            put_file(self.path / path, text.encode())
        return self.described(
            name,
            version,
            info,
            record=tuple(
                RecordEntry(path=path, sha256=sha256(text), size=len(text)) for path, text in texts.items()
            )
            if recorded
            else (),
            direct=direct,
        )

    def egg(self, name: str, files: dict[str, str], *, version: str = "1.0") -> InstalledDistribution:
        """Write an egg-info directory with ``files`` in it, PKG-INFO besides."""
        info = f"{name}-{version}-py3.11.egg-info"
        for path, text in {"PKG-INFO": f"Name: {name}\nVersion: {version}\n", **files}.items():
            put_file(self.path / info / path, text.encode())
        return self.described(name, version, info)

    def described(
        self,
        name: str,
        version: str,
        info: str,
        *,
        record: tuple[RecordEntry, ...] = (),
        direct: DirectUrl | None = None,
    ) -> InstalledDistribution:
        """Return the facts of a distribution whose metadata is called ``info``."""
        return InstalledDistribution(
            name=name,
            raw_name=name,
            version=version,
            site=self.path,
            dist_info=info,
            tags=("a-b-c",) if record else (),
            build=None,
            root_is_purelib=True,
            record=record,
            requires_python=None,
            installer=None,
            direct_url=direct,
        )

    def put(self, path: str, text: str = "") -> Path:
        """Write a file that belongs to nobody."""
        return put_file(self.path / path, text.encode())


def editable(directory: Path) -> DirectUrl:
    """Return what an installer notes of an editable install."""
    return DirectUrl(kind="directory", url=f"file://{directory}", editable=True, local=directory)


def search(*directories: Path) -> SearchPath:
    return SearchPath(directories)


def names(distribution: InstalledDistribution) -> list[str]:
    """Return what is carried, by its name in the wheel."""
    return [file.name for file in distribution.carried]


def sha256(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
