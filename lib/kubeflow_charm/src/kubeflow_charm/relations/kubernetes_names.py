"""Names and ports as Kubernetes accepts them, for the models of relation data.

If Kubernetes would refuse a name, the reader must find it and blame the remote application. In a manifest,
the name would fail a request, which looks like our own bug.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated

import pydantic

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_PORT = r"[1-9][0-9]{0,4}"


def _matching(pattern: str, longest: int, what: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if len(value) > longest or not re.fullmatch(pattern, value, re.ASCII):
            raise ValueError(f"{value[:40]!r} is not {what}")
        return value

    return check


def _port(value: str) -> str:
    if not re.fullmatch(_PORT, value, re.ASCII) or int(value) > 65535:
        raise ValueError(f"{value[:40]!r} is not a port number")
    return value


Namespace = Annotated[str, pydantic.AfterValidator(_matching(_LABEL, 63, "a namespace"))]
"""An RFC 1123 label: the name of a namespace or a Service."""

DnsName = Annotated[
    str, pydantic.AfterValidator(_matching(rf"{_LABEL}(\.{_LABEL})*", 253, "a DNS name in lower case"))
]
"""An RFC 1123 subdomain: the name of a host, and of most objects."""

Port = Annotated[str, pydantic.AfterValidator(_port)]
"""A port number from 1 to 65535, as text."""
