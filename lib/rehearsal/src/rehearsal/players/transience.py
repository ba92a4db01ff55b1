"""Which errors Argo tries again, and which end a run: argo-workflows v3.7.14, util/errors/errors.go."""

from __future__ import annotations

import re

import httpx2
from lightkube.core.exceptions import ApiError

_NETWORK = (
    "Connection closed by foreign host",
    "net/http: TLS handshake timeout",
    "i/o timeout",
    "connection timed out",
    "connection reset by peer",
    "http2: client connection lost",
    "http2: server sent GOAWAY and closed the connection",
    "connect: connection refused",
    "invalid connection",
    "etcdserver: leader changed",
    "etcdserver: request timed out",
    "etcdserver: too many requests",
    "upper: no more rows in",
)
_BUSY = (429, 503, 504)
"""Too many requests, unavailable, and a timeout of the server's."""


def is_transient(error: httpx2.HTTPError, pattern: str) -> bool:
    """Return whether Argo would try again after an error.

    Args:
        error: of a request to the API server.
        pattern: TRANSIENT_ERROR_PATTERN of the controller's environment; empty for none.
    """
    if isinstance(error, httpx2.TransportError):
        return True
    message, code, reason = str(error), 0, ""
    if isinstance(error, ApiError):
        status = error.status
        message, code, reason = status.message or "", status.code or 0, status.reason or ""
    elif isinstance(error, httpx2.HTTPStatusError):
        code = error.response.status_code
    return (
        code in _BUSY
        or reason in ("TooManyRequests", "ServerTimeout", "ServiceUnavailable")
        or _of_quota(code, message)
        or any(text in message for text in _NETWORK)
        or _matches(pattern, message)
    )


def _of_quota(code: int, message: str) -> bool:
    """Return whether a quota may have room later; one that lacks a request never has."""
    return (
        (code == 403 and "exceeded quota" in message)
        or (code == 409 and "Operation cannot be fulfilled on resourcequota" in message)
        or (code == 500 and "resource quota evaluation timed out" in message)
    )


def _matches(pattern: str, message: str) -> bool:
    """Return whether a message has what a pattern says; one that cannot be read says nothing."""
    try:
        return bool(pattern) and re.search(pattern, message) is not None
    except re.error:
        return False
