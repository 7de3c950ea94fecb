"""A digest is a type, parsed once at the edge.

The text form is OCI's: ``sha256:`` and 64 lower-case hexadecimal digits
(OCI image-spec, descriptor.md, "Digests").
"""

import hashlib
import re
from dataclasses import dataclass

from envlock.runtime.errors import InputError

_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A SHA-256 digest, as 64 lower-case hexadecimal digits."""

    hex: str

    def __post_init__(self) -> None:
        """Refuse anything but 64 lower-case hexadecimal digits."""
        if not _HEX.fullmatch(self.hex):
            raise InputError(
                "not a SHA-256 digest",
                expected="64 lower-case hexadecimal digits",
                found=repr(self.hex),
            )

    @classmethod
    def parse(cls, text: str) -> "Digest":
        """Read ``sha256:<hex>``. Raises InputError for any other algorithm or form."""
        algorithm, _, value = text.partition(":")
        if algorithm != "sha256":
            raise InputError("not a digest", expected="sha256:<64 hex digits>", found=repr(text))
        return cls(value)

    @classmethod
    def of(cls, data: bytes) -> "Digest":
        """Return the digest of ``data``."""
        return cls(hashlib.sha256(data).hexdigest())

    def __str__(self) -> str:
        """Return ``sha256:<hex>``."""
        return f"sha256:{self.hex}"
