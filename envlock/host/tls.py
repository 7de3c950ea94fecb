"""Connections that keep a pace and share one TLS context: to read a bundle of CA certificates takes 50 ms."""

import os
import ssl
import threading
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import ProxyManager
from urllib3.util.ssl_ import create_urllib3_context

from envlock.host.pace import POOLS

Verify = bool | str | None
Certificate = str | tuple[str, str] | None


class SharingAdapter(HTTPAdapter):
    """An adapter of requests that makes a context once for each bundle and client certificate."""

    def __init__(self, bundle: Verify, **named: Any) -> None:
        """``bundle``: what a proxy's certificate is checked with, as the session's ``verify``."""
        self._bundle = bundle
        self._contexts: dict[tuple[str, Certificate], ssl.SSLContext] = {}
        # Sixteen threads that begin at once shall not read the bundle sixteen times.
        self._lock = threading.Lock()
        super().__init__(**named)

    def init_poolmanager(self, *sizes: Any, **named: Any) -> None:
        """Make connections of :mod:`envlock.host.pace`."""
        super().init_poolmanager(*sizes, **named)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        """Return what connections are told apart by, and made with."""
        place, tls = super().build_connection_pool_key_attributes(request, verify, cert)
        if verify is not False and place["scheme"] == "https":
            tls = {"cert_reqs": "CERT_REQUIRED", "ssl_context": self._context(verify, cert)}
        return place, tls

    def cert_verify(self, conn: Any, url: str, verify: Verify, cert: Certificate) -> None:
        """Name no certificates to urllib3 that the context has already: it would read them again."""
        if verify is False:
            super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]

    def proxy_manager_for(self, proxy: str, **named: Any) -> Any:
        """Return the connections of a proxy, which is checked with the same certificates."""
        if proxy.lower().startswith("https:"):
            named["proxy_ssl_context"] = self._context(self._bundle, None)
        manager = super().proxy_manager_for(proxy, **named)
        # SOCKS has connections of its own.
        if isinstance(manager, ProxyManager):
            manager.pool_classes_by_scheme = POOLS
        return manager

    def _context(self, verify: Verify, cert: Certificate) -> ssl.SSLContext:
        bundle = verify if isinstance(verify, str) else DEFAULT_CA_BUNDLE_PATH
        with self._lock:
            if (bundle, cert) not in self._contexts:
                try:
                    self._contexts[bundle, cert] = _made(bundle, cert)
                except OSError as error:
                    raise requests.exceptions.SSLError(error) from error
            return self._contexts[bundle, cert]


def _made(bundle: str, cert: Certificate) -> ssl.SSLContext:
    """Raises OSError for files that can't be read or hold no certificates, and encrypted keys."""
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    if os.path.isdir(bundle):
        context.load_verify_locations(capath=bundle)
    else:
        context.load_verify_locations(bundle)
    if cert is not None:
        file, key = (cert, None) if isinstance(cert, str) else cert
        # A password, or OpenSSL asks the terminal for one.
        context.load_cert_chain(file, key, password="")
    return context
