"""`istio-gateway-info`: which Istio Gateway routes go on.

Flat strings in the provider's application data: `gateway_name`, `gateway_namespace` and `gateway_up`, whose
absence means true (canonical/istio-operators, lib/charms/istio_pilot/v0/istio_gateway_info.py).
"""

from __future__ import annotations

from typing import Literal

import pydantic

from kubeflow_charm.problems import waiting
from kubeflow_charm.relations.endpoint import Endpoint

_Name = pydantic.Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=253)


class Gateway(pydantic.BaseModel):
    """A Gateway of Istio."""

    model_config = pydantic.ConfigDict(frozen=True)

    gateway_name: str = _Name
    gateway_namespace: str = _Name
    gateway_up: Literal["true", "false"] = "true"

    @property
    def reference(self) -> str:
        """`<namespace>/<name>`, as a VirtualService names it."""
        return f"{self.gateway_namespace}/{self.gateway_name}"


class Requires(Endpoint):
    """The side that puts routes on the Gateway."""

    hint = "istio-pilot"

    def get(self) -> Gateway:
        """Return the Gateway; raises the problem that it is not related, not known yet, or not up."""
        relation = self.relation()
        data = dict(self.received(relation))
        if "gateway_name" not in data and "gateway_namespace" not in data:
            raise self.nothing_yet(relation)
        gateway = self.parsed(relation, Gateway, data)
        if gateway.gateway_up == "false":
            raise waiting(relation.app.name, f"gateway {gateway.reference} is not up yet")
        return gateway


class Provides(Endpoint):
    """The side that has the Gateway."""

    def send(self, gateway: Gateway) -> None:
        """Tell every related application."""
        for relation in self.relations:
            self.write(relation, gateway.model_dump())
