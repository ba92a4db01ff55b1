"""Redirect charms' connections by DNS name to the object stores that the rehearsal plays.

No other server is contacted, so no key leaves this machine. No pod behind an application's Service could
answer, so the connection goes to the server of all stores (`rehearsal.stores`), which tells them apart.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import Any

VARIABLE = "REHEARSAL_STORES"
"""An environment variable of charms: the port of the server of all stores on 127.0.0.1."""


def leading_to(port: int) -> Callable[..., Any]:
    """Return a `socket.getaddrinfo` that sends every connection by name to a port of 127.0.0.1."""
    found = socket.getaddrinfo

    def getaddrinfo(host: Any, service: Any, *how: Any, **further: Any) -> Any:
        if isinstance(host, str) and not _is_address(host):
            host, service = "127.0.0.1", port
        return found(host, service, *how, **further)

    return getaddrinfo


def _is_address(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
