"""The object stores that applications of a Juju model announce over `object-storage` relations.

The provider writes its address and its administrator's key under `data` (canonical/operator-schemas,
object-storage.yaml).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from rehearsal.juju.model.state import Model

INTERFACE = "object-storage"


def administrator(models: Iterable[Model], address: str) -> tuple[str, str] | None:
    """Return the administrator's key (name, secret) of the store at `host:port`; None if it is unknown."""
    for model in models:
        for said in _told(model):
            namespace = said.get("namespace") or model.name
            if address == f"{said.get('service')}.{namespace}:{said.get('port')}":
                return str(said.get("access-key")), str(said.get("secret-key"))
    return None


def _told(model: Model) -> Iterator[dict[str, Any]]:
    for relation in model.relations.values():
        if relation.interface != INTERFACE:
            continue
        for bag in relation.application_data.values():
            said = yaml.safe_load(bag.data.get("data", "")) if "data" in bag.data else None
            if isinstance(said, dict):
                yield said
