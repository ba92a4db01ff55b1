"""`k8s-service`: the name and port of a Kubernetes Service.

One interface name, two formats. Here is the SDI one, version v1: `service-name`, and `service-port` as a
*string* (canonical/operator-schemas, k8s-service.yaml). A name without a dot is a Service in the provider's
own model.
"""

from __future__ import annotations

import pydantic

from kubeflow_charm.relations.sdi import SdiEndpoint


class Service(pydantic.BaseModel):
    """A Service that another application offers."""

    model_config = pydantic.ConfigDict(
        alias_generator=lambda name: name.replace("_", "-"), frozen=True, populate_by_name=True
    )

    service_name: str = pydantic.Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=253)
    service_port: str = pydantic.Field(pattern=r"^[0-9]{1,5}$")

    def host(self, namespace: str) -> str:
        """Return the name that resolves from any namespace; `namespace` is the provider's model."""
        return self.service_name if "." in self.service_name else f"{self.service_name}.{namespace}"


class Requires(SdiEndpoint):
    """The side that calls the Service."""

    hint = "kubeflow-profiles"

    def get(self) -> Service:
        """Return the Service; raises the problem that keeps it from being known."""
        relation = self.relation()
        return self.parsed(relation, Service, self.receive_data(relation))


class Provides(SdiEndpoint):
    """The side that has the Service."""

    def send(self, service: Service) -> None:
        """Tell every related application."""
        for relation in self.relations:
            self.send_data(relation, service)
