"""Image names as people write them, ``team/exp:1``, and in full, ``docker.io/team/exp:1``.

Grammar: github.com/distribution/reference (a domain has a dot, a colon or is ``localhost``; path
parts are lower case; a tag has at most 128 characters). Digests are no tags and are refused.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from envlock.runtime.errors import InputError, UsageError

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_DOMAIN = r"(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|[A-Za-z0-9.-]+(?=:))(?::[0-9]+)?"
_NAME = re.compile(
    rf"(?:(?P<domain>{_DOMAIN})/)?(?P<path>{_PART}(?:/{_PART})*)(?::(?P<tag>\w[\w.-]{{0,127}}))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageName:
    """A repository and a tag."""

    repository: str
    """As the user wrote it, without the tag."""
    full_repository: str
    tag: str

    @classmethod
    def parse(cls, text: str) -> "ImageName":
        """Read ``[DOMAIN/]PATH[:TAG]``; without a tag it is ``latest``. Raises InputError."""
        found = _NAME.fullmatch(text)
        if found is None:
            raise InputError(
                "not an image name",
                expected="[registry/]name[:tag] in lower case, such as team/exp:1",
                found=repr(text),
            )
        domain, path = found["domain"], found["path"]
        if domain is None:
            full = f"docker.io/{path}" if "/" in path else f"docker.io/library/{path}"
        else:
            full = f"{domain}/{path}"
        return cls(
            repository=path if domain is None else full, full_repository=full, tag=found["tag"] or "latest"
        )

    def __str__(self) -> str:
        """Return the name as the user wrote it, with its tag."""
        return f"{self.repository}:{self.tag}"

    @property
    def full(self) -> str:
        """The name with its registry and tag."""
        return f"{self.full_repository}:{self.tag}"


@contextmanager
def typed(where: str) -> Iterator[None]:
    """Blame the command line, ``where`` it was typed, for a name that is none; else a file is to blame."""
    try:
        yield
    except InputError as error:
        raise UsageError(error.what, where=where, expected=error.expected, found=error.found) from error
