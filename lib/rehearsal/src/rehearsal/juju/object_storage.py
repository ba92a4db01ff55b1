"""Which object stores the applications of a model of Juju tell of, by `object-storage`.

The provider writes under `data` where it is and its administrator's key (canonical/operator-schemas,
object-storage.yaml).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from rehearsal.juju.state import Model

INTERFACE = "object-storage"


def administrator(models: Iterable[Model], address: str) -> tuple[str, str] | None:
    """Return name and secret of the administrator's key of the store at `host:port`; None if none is told."""
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
