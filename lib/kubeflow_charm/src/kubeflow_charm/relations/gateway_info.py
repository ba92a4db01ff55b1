"""`istio-gateway-info`: the Istio Gateway for routes.

The provider writes flat text: `gateway_name`, `gateway_namespace`, and optionally `gateway_up`, which is
`true` (the default) or `false`, in any case. A reader waits until the first two exist
(canonical/istio-operators, charms/istio-pilot/lib/charms/istio_pilot/v0/istio_gateway_info.py, LIBPATCH 4).
"""

from __future__ import annotations

from typing import Annotated, Literal

import ops
import pydantic

from kubeflow_charm.problems import blocked, waiting
from kubeflow_charm.relations.endpoint import Endpoint, Reader
from kubeflow_charm.relations.kubernetes_names import DnsName, Namespace

CAUSE = "has its Service an address? (kubectl get service)"
"""What usually keeps a Gateway down: istio-pilot waits for the load balancer's address."""


class Gateway(pydantic.BaseModel):
    """A Gateway of Istio."""

    model_config = pydantic.ConfigDict(frozen=True, defer_build=True)

    gateway_name: DnsName
    gateway_namespace: Namespace
    gateway_up: Annotated[Literal["true", "false"], pydantic.BeforeValidator(str.lower)] = "true"

    @property
    def reference(self) -> str:
        """`<namespace>/<name>`, as in a VirtualService."""
        return f"{self.gateway_namespace}/{self.gateway_name}"


class Requires(Reader[Gateway]):
    """The side that puts routes on the Gateway."""

    hint = "istio-pilot"

    def get(self) -> Gateway:
        """Return the Gateway; raises a `Problem` if there is none, more than one, or none that is up."""
        if len(self.relations) > 1:
            remove = f"juju remove-relation {self.charm.app.name}:{self.name} {self.relations[-1].app.name}"
            raise blocked(f"{self.name} is related twice", remove)
        return super().get()

    def read(self, relation: ops.Relation) -> Gateway:
        """Return the Gateway; raises a `Problem` if its data is missing or wrong, or if it is not up."""
        data = self.received(relation)
        if not {"gateway_name", "gateway_namespace"} <= data.keys():
            raise self.nothing_yet(relation)
        gateway = self.parsed(relation, Gateway, dict(data))
        if gateway.gateway_up == "false":
            raise waiting(relation.app.name, f"gateway {gateway.reference} is not up yet: {CAUSE}")
        return gateway


class Provides(Endpoint):
    """The side that has the Gateway."""

    def send(self, gateway: Gateway) -> None:
        """Send the Gateway to every related application."""
        for relation in self.relations:
            self.write(relation, gateway.model_dump())
