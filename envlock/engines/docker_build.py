"""Images that a Docker engine builds from a Dockerfile."""

import io
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from docker.errors import BuildError

from envlock.engines.docker_client import connected
from envlock.runtime.errors import UnreachableError

# Docker's predefined build arguments: not kept in a history (Dockerfile reference, ARG).
_PROXIES: Final = tuple(
    spelled
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for spelled in (name, name.lower())
)


def build_directory(directory: Path, tag: str) -> str:
    """Build the Dockerfile in ``directory`` as ``tag``, without a network, and return the image's ID.

    Raises UnreachableError when no engine answers or it can't build.
    """
    with connected() as client, closing(client), _built():
        made, _ = client.images.build(path=str(directory), tag=tag, network_mode="none", rm=True)
    return str(made.id)


def build(dockerfile: bytes, environ: Mapping[str, str], hint: str | None = None) -> str:
    """Build an image from a Dockerfile that copies nothing, and return its ID.

    The usual proxy variables go along, as ``docker build`` does it: they are no part of the image. Raises
    UnreachableError when no engine answers or it can't build, then with ``hint``.
    """
    proxies = {name: environ[name] for name in _PROXIES if environ.get(name)}
    with connected() as client, closing(client), _built(hint):
        made, _ = client.images.build(fileobj=io.BytesIO(dockerfile), buildargs=proxies, rm=True)
    return str(made.id)


@contextmanager
def _built(hint: str | None = None) -> Iterator[None]:
    """Turn a build's failure into one message, with the last that it said."""
    try:
        yield
    except BuildError as error:
        said = [str(line["stream"]).strip() for line in error.build_log if line.get("stream", "").strip()]
        found = f"{error.msg}: {said[-1] if said else ''}"
        raise UnreachableError(
            "the Docker engine could not build an image", found=found, hint=hint
        ) from error
