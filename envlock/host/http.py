"""HTTP with retries, the machine's CA bundle and no credentials in errors.

``requests`` honours netrc, proxies and REQUESTS_CA_BUNDLE by itself; envlock adds PIP_CERT and
SSL_CERT_FILE, which users behind a corporate CA already set for pip and uv.
"""

import re
from collections.abc import Callable, Mapping

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from envlock.host.files import CHUNK
from envlock.host.store import HashingWriter
from envlock.runtime.errors import UnreachableError

TIMEOUT = (10.0, 120.0)
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


def redacted(text: str) -> str:
    """Return ``text`` with the user and password of every URL in it taken out."""
    return _CREDENTIALS.sub("", text)


def session(environ: Mapping[str, str], ca_bundle: str | None = None) -> requests.Session:
    """Return a session with retries (408, 429, 5xx; Retry-After is honoured) and 16 pooled connections.

    The CA bundle is ``ca_bundle``, else PIP_CERT, REQUESTS_CA_BUNDLE or SSL_CERT_FILE of ``environ``.
    """
    made = requests.Session()
    retry = Retry(total=4, backoff_factor=0.5, status_forcelist=(408, 429, 500, 502, 503, 504))
    adapter = HTTPAdapter(max_retries=retry, pool_maxsize=16)
    made.mount("https://", adapter)
    made.mount("http://", adapter)
    named = (environ.get(name) for name in ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"))
    made.verify = ca_bundle or next(filter(None, named), True)
    return made


def reason(error: requests.RequestException) -> tuple[str, str | None]:
    """Return what went wrong, without credentials, and a hint where it is the CA's fault."""
    text = redacted(str(error))
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return (
            "a certificate that no known CA has signed",
            "behind a corporate proxy, name its CA certificates with --ca-bundle or PIP_CERT",
        )
    return text, None


def download(
    client: requests.Session, url: str, sink: HashingWriter, progress: Callable[[int], None]
) -> None:
    """Stream ``url`` into ``sink``, telling ``progress`` of each piece's bytes.

    Raises UnreachableError; the caller checks the digest.
    """
    try:
        with client.get(url, stream=True, timeout=TIMEOUT) as answer:
            answer.raise_for_status()
            for piece in answer.iter_content(CHUNK):
                sink.write(piece)
                progress(len(piece))
    except requests.RequestException as error:
        found, hint = reason(error)
        raise UnreachableError("download failed", where=redacted(url), found=found, hint=hint) from error
