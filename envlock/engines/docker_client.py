"""A connection to a Docker engine, and what its faults are called."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import docker
from docker.errors import APIError, DockerException
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
        explanation = error.explanation if isinstance(error, APIError) else None
        raise UnreachableError(
            "the Docker engine refused" if explanation else "no Docker engine answers",
            found=str(explanation or error),
            hint=None if explanation else _HINT,
        ) from error
