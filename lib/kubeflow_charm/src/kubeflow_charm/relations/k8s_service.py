"""`k8s-service`: the name and port of a Kubernetes Service.

The interface name has two formats, and Juju does not tell them apart. This module has the SDI format, version
v1: the provider writes `service-name`, and `service-port` as a *string* (canonical/operator-schemas,
k8s-service.yaml). `k8s_service_info.py` has the flat format. A name without a dot is a Service in the
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
        """Return the Service; raises a `Problem` if the data is missing or wrong."""
        if "name" in self.received(relation):
            raise self.garbage(relation, "flat k8s-service, where SDI v1 is spoken here")
        return super().read(relation)


class Provides(SdiWriter):
    """The side that has the Service."""

    def send(self, service: Service) -> None:
        """Send the Service to every related application.

        Raises:
            ExceptionGroup: with a `Problem` for each application that speaks only other versions of SDI.
        """
        self.send_data(service)
