"""Where an image lies in a registry: ``HOST[:PORT]/NAME[:TAG][@DIGEST]``."""

import ipaddress
from dataclasses import dataclass
from typing import Final

from envlock.core.digest import Digest
from envlock.oci.name import ImageName
from envlock.runtime.errors import InputError

SCHEME: Final = "registry:"
"""What stands before a reference where other places could be meant."""

_DEFAULT = "docker.io"
# The default registry answers under another name than the one that images bear.
_SERVED_BY = {_DEFAULT: "registry-1.docker.io"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An image in a registry. ``digest`` beats ``tag``, as everywhere else."""

    registry: str
    """As it stands in image names and in credentials: ``localhost:5000``, ``docker.io``."""
    repository: str
    tag: str
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Read ``text``; without a host it is the default registry's. Raises InputError."""
        named, at, digest = text.partition("@")
        name = ImageName.parse(named)
        registry, _, repository = name.full_repository.partition("/")
        return cls(
            registry=registry,
            repository=repository,
            tag=name.tag,
            digest=Digest.parse(digest) if at else None,
        )

    def __str__(self) -> str:
        """Return the name with its tag or, where it has one, its digest."""
        own = f"@{self.digest}" if self.digest is not None else f":{self.tag}"
        return f"{self.name}{own}"

    @property
    def name(self) -> str:
        """Registry and repository, without tag and digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def host(self) -> str:
        """Who answers: host and port."""
        return _SERVED_BY.get(self.registry, self.registry)

    @property
    def wanted(self) -> str:
        """What a manifest is asked for by: the digest or the tag."""
        return str(self.digest) if self.digest is not None else self.tag

    @property
    def is_loopback(self) -> bool:
        """Whether the registry is this machine, where plain HTTP is accepted as Docker accepts it."""
        name = self.host.rpartition(":")[0] or self.host
        if name == "localhost":
            return True
        try:
            return ipaddress.ip_address(name.strip("[]")).is_loopback
        except ValueError:
            return False


def parse_digest(text: str, where: str) -> Digest:
    """Read a digest that a registry states. Raises InputError that names ``where``."""
    try:
        return Digest.parse(text)
    except InputError as error:
        raise InputError(
            "not an answer of a registry", where=where, expected="a digest", found=repr(text)
        ) from error
