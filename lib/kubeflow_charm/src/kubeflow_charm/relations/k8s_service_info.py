"""`k8s-service` in its flat format: the name and port of a Kubernetes Service.

The provider writes `name` and `port`, both text. There are no versions. A reader waits until both exist
(canonical/mlops-libs, lib/charms/mlops_libs/v0/k8s_service_info.py, LIBPATCH 1). The same interface name also
has an SDI format, `k8s_service.py`; the charm decides which format an endpoint speaks.
"""

from __future__ import annotations

import ops
import pydantic

from kubeflow_charm.relations import k8s_service
from kubeflow_charm.relations.endpoint import Endpoint, Reader


class Service(k8s_service.Service):
    """The same Service, with the keys of the flat format."""

    model_config = pydantic.ConfigDict(alias_generator=lambda name: name.removeprefix("service_"))


class Requires(Reader[Service]):
    """The side that calls the Service."""

    def read(self, relation: ops.Relation) -> Service:
        """Return the Service; raises a `Problem` if the data is missing or wrong."""
        data = self.received(relation)
        if "_supported_versions" in data:
            raise self.garbage(relation, "SDI, where flat k8s-service is spoken here")
        if not {"name", "port"} <= data.keys():
            raise self.nothing_yet(relation)
        return self.parsed(relation, Service, dict(data))


class Provides(Endpoint):
    """The side that has the Service."""

    def send(self, service: Service) -> None:
        """Send the Service to every related application."""
        for relation in self.relations:
            self.write(relation, service.model_dump(by_alias=True))
