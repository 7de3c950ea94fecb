"""A connection to a Docker engine, and what its faults are called."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import docker
from docker.errors import APIError, DockerException, ImageLoadError
from requests.exceptions import RequestException

from envlock.runtime.errors import UnreachableError

_HINT: Final = (
    "is it running, and DOCKER_HOST right? --engine embedded and images on disk (oci:DIR) need none"
)


@contextmanager
def connected() -> Iterator[docker.DockerClient]:
    """Yield a client that has answered once; it is closed when the block fails.

    From then on it is waited for: an image of gigabytes is loaded before the engine says a word.
    """
    with told(), ExitStack() as failed:
        client = docker.from_env()
        failed.callback(client.close)
        client.ping()
        client.api.timeout = None  # type: ignore[assignment]  # requests' word for no limit
        yield client
        failed.pop_all()


@contextmanager
def told() -> Iterator[None]:
    """Turn the SDK's errors into one message."""
    try:
        yield
    except (DockerException, RequestException) as error:
        explanation = _explanation(error)
        raise UnreachableError(
            "the Docker engine refused" if explanation else "no Docker engine answers",
            found=str(explanation or error),
            hint=None if explanation else _HINT,
        ) from error


def _explanation(error: Exception) -> str | None:
    """Return what the engine itself says of a request that it refuses, or None."""
    if isinstance(error, APIError):
        return error.explanation
    return str(error) if isinstance(error, ImageLoadError) else None
