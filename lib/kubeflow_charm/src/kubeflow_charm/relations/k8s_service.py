"""`k8s-service`: the name and port of a Kubernetes Service.

One interface name, two formats, which Juju connects without a word. Here is the SDI one, version v1: the
provider writes `service-name`, and `service-port` as a *string* (canonical/operator-schemas,
k8s-service.yaml). The flat one is in `k8s_service_info.py`. A name without a dot is a Service in the
provider's own model.
"""

from __future__ import annotations

import ops
import pydantic

from kubeflow_charm.relations.kubernetes_names import DnsName, Port
from kubeflow_charm.relations.sdi import SdiReader, SdiWriter


class Service(pydantic.BaseModel):
    """A Service that another application offers."""

    model_config = pydantic.ConfigDict(
        alias_generator=lambda name: name.replace("_", "-"),
        frozen=True,
        populate_by_name=True,
        defer_build=True,
    )

    service_name: DnsName
    service_port: Port

    def host(self, namespace: str) -> str:
        """Return the name that resolves from any namespace; `namespace` is the provider's model."""
        return self.service_name if "." in self.service_name else f"{self.service_name}.{namespace}"


class Requires(SdiReader[Service]):
    """The side that calls the Service."""

    hint = "kubeflow-profiles"
    model = Service

    def read(self, relation: ops.Relation) -> Service:
        """Return the Service; raises the problem that keeps it from being known."""
        if "name" in self.received(relation):
            raise self.garbage(relation, "flat k8s-service, where SDI v1 is spoken here")
        return super().read(relation)


class Provides(SdiWriter):
    """The side that has the Service."""

    def send(self, service: Service) -> None:
        """Tell every related application.

        Raises:
            ExceptionGroup: with a `Problem` for each that speaks other versions of SDI only.
        """
        self.send_data(service)
