"""Hosts whose certificate is not checked, because their user said so (pip's ``trusted-host``)."""

from collections.abc import Iterable
from typing import Any

import requests
import urllib3
from requests.adapters import BaseAdapter
from urllib3.exceptions import InsecureRequestWarning


def trust(session: requests.Session, hosts: Iterable[str]) -> None:
    """Accept any certificate of ``hosts``: ``host``, at every port, or ``host:port``."""
    adapter = _Trusting(session.get_adapter("https://"))
    for host in hosts:
        place = f"[{host}]" if host.count(":") > 1 and "[" not in host else host
        ends = "/" if place.rpartition(":")[2].isdigit() else "/:"
        for end in ends:
            session.mount(f"https://{place}{end}", adapter)
        # The user knows: pip says nothing either.
        urllib3.disable_warnings(InsecureRequestWarning)


class _Trusting(BaseAdapter):
    """Sends as another adapter does, and believes whoever answers."""

    def __init__(self, adapter: BaseAdapter) -> None:
        super().__init__()
        self._adapter = adapter

    def send(self, request: requests.PreparedRequest, *positional: Any, **named: Any) -> requests.Response:
        """Send without looking at the certificate."""
        return self._adapter.send(request, *positional, **{**named, "verify": False})

    def close(self) -> None:
        """Close the other adapter's connections."""
        self._adapter.close()
