"""Who sent something, as the observability charms say it: in labels, and in the names of files and groups.

Facts: canonical/cos-lib, src/cosl/juju_topology.py.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ops

LABELS = {
    "juju_model": "model",
    "juju_model_uuid": "model_uuid",
    "juju_application": "application",
    "juju_charm": "charm",
}
"""The labels of every series of an application, to the attributes that they hold."""
SCOPE = ("juju_model", "juju_model_uuid", "juju_application")
"""The labels that restrict an expression to one application."""


class HookFails(Exception):
    """The real charm's hook fails on what another application wrote; the text says on what."""


@dataclass(frozen=True)
class Topology:
    """An application in its model.

    Raises:
        HookFails: if the model's UUID is none of version 4.
    """

    model: str
    model_uuid: str
    application: str
    charm: str = ""

    def __post_init__(self) -> None:
        try:
            sound = uuid.UUID(self.model_uuid).version == 4
        except (ValueError, AttributeError, TypeError):
            sound = False
        if not sound:
            raise HookFails(f"InvalidUUIDError: {self.model_uuid!r} is no UUID of version 4")

    @property
    def identifier(self) -> str:
        """The text by which files and groups are named."""
        return f"{self.model}_{self.model_uuid[:8]}_{self.application}".replace("/", "_")

    @property
    def labels(self) -> dict[str, str]:
        """The labels of its series."""
        return {label: getattr(self, attribute) for label, attribute in LABELS.items()}

    @property
    def scope(self) -> dict[str, str]:
        """The labels that restrict an expression to it."""
        return {label: self.labels[label] for label in SCOPE}


def of(charm: ops.CharmBase) -> Topology:
    """Return who a charm is."""
    return Topology(charm.model.name, charm.model.uuid, charm.app.name, charm.meta.name)


def metadata(charm: ops.CharmBase) -> dict[str, str]:
    """Return what a charm writes about itself."""
    return {
        "model": charm.model.name,
        "model_uuid": charm.model.uuid,
        "application": charm.app.name,
        "unit": charm.unit.name,
        "charm_name": charm.meta.name,
    }


def said_in_metadata(said: Mapping[str, Any]) -> Topology:
    """Return who wrote a `scrape_metadata`; raises HookFails if it does not say."""
    try:
        return Topology(said["model"], said["model_uuid"], said["application"], said.get("charm_name", ""))
    except KeyError as error:
        raise HookFails(f"KeyError: scrape_metadata has no {error}") from None


def said_in_labels(labels: Mapping[str, Any]) -> Topology:
    """Return whom a rule's labels name.

    Raises:
        KeyError: if they name nobody.
        HookFails: if they name a model that cannot be.
    """
    model, model_uuid, application = (labels[label] for label in SCOPE)
    return Topology(model, model_uuid, application, labels.get("juju_charm", ""))
