"""The VirtualServices that lead from a gateway to what a controller made."""

from __future__ import annotations

import copy
from typing import Any

from rehearsal.players.kinds import Object

PORT = 80
"""Of every Service that a VirtualService leads to."""


def spec(host: str, gateway: str, prefix: str, rewrite: str, service: str, **more: Any) -> Object:
    """Return the spec of one that leads a path prefix to a service; `more` goes into its only route."""
    route = {
        "match": [{"uri": {"prefix": prefix}}],
        "rewrite": {"uri": rewrite},
        "route": [{"destination": {"host": service, "port": {"number": PORT}}}],
    }
    return {"hosts": [host], "gateways": [gateway], "http": [route | more]}


def copy_spec(wanted: Object, item: Object) -> None:
    """Copy the spec, and nothing else, into one that is there."""
    item["spec"] = copy.deepcopy(wanted["spec"])


def copy_service(wanted: Object, item: Object) -> None:
    """Copy into a Service what upstream's reconcile helper copies: of its spec, not the address."""
    for part in ("labels", "annotations"):
        replace_part(wanted["metadata"], item["metadata"], part)
    for part in ("selector", "ports"):
        item["spec"][part] = copy.deepcopy(wanted["spec"][part])


def replace_part(wanted: Object, item: Object, part: str) -> None:
    """Copy a part of an object; take it away if none is wanted."""
    item.pop(part, None)
    if wanted.get(part):
        item[part] = copy.deepcopy(wanted[part])
