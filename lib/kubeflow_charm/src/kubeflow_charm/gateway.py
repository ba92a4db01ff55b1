"""The Istio gateway: the options of every charm with a web app behind it, and identities in the mesh.

The macros in `templates/_gateway.j2` make the Kubernetes objects for it.
"""

from __future__ import annotations

from typing import Annotated

import pydantic

from kubeflow_charm.config import Config, if_empty
from kubeflow_charm.relations.gateway_info import Gateway
from kubeflow_charm.relations.kubernetes_names import DnsName, Namespace

Header = Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Za-z0-9-]+$", to_lower=True)]
"""The name of a header, in lower case, as Node has it: the pipelines web app compares the name as written
(kubeflow/pipelines 2.17.0, frontend/server/helpers/auth.ts). Other programs ignore the case."""
Prefix = Annotated[str, pydantic.Field(pattern=r"^[!-~]*$")]


class GatewayConfig(Config):
    """The header that names the user, and the place of the gateway's own pods."""

    userid_header: Header
    userid_prefix: Prefix
    cluster_domain: DnsName
    istio_gateway_namespace: Annotated[Namespace | None, if_empty(None)]
    istio_gateway_service_account: DnsName

    def gateway_namespace(self, gateway: Gateway) -> str:
        """Return the namespace of the gateway's pods: the option's, otherwise the Gateway's."""
        return self.istio_gateway_namespace or gateway.gateway_namespace


def principal(namespace: str, account: str) -> str:
    """Return the identity of a service account in Istio's mesh.

    Istio accepts `cluster.local` for its own trust domain, whatever the names of that domain and of the
    cluster's DNS domain are.
    """
    return f"cluster.local/ns/{namespace}/sa/{account}"
