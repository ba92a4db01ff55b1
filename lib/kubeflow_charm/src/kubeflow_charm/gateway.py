"""The Istio gateway: the options of every charm with a web app behind it, and the identities in the mesh.

The Kubernetes objects for that are macros for the charms' templates, in `templates/_gateway.j2`.
"""

from __future__ import annotations

from typing import Annotated

import pydantic

from kubeflow_charm.config import Config, if_empty
from kubeflow_charm.relations.gateway_info import Gateway
from kubeflow_charm.relations.kubernetes_names import DnsName, Namespace

Header = Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Za-z0-9-]+$", to_lower=True)]
"""The name of a header, in lower case, as Node spells headers: the pipelines web app looks for the name as it
is written (kubeflow/pipelines 2.17.0, frontend/server/helpers/auth.ts). To everybody else it is the same."""
Prefix = Annotated[str, pydantic.Field(pattern=r"^[!-~]*$")]


class GatewayConfig(Config):
    """The header that names the user, and where the gateway's own pods run."""

    userid_header: Header
    userid_prefix: Prefix
    cluster_domain: DnsName
    istio_gateway_namespace: Annotated[Namespace | None, if_empty(None)]
    istio_gateway_service_account: DnsName

    def gateway_namespace(self, gateway: Gateway) -> str:
        """Return the namespace of the gateway's pods: that of the Gateway, unless an option names another."""
        return self.istio_gateway_namespace or gateway.gateway_namespace


def principal(namespace: str, account: str) -> str:
    """Return the identity of a service account in Istio's mesh.

    `cluster.local` is Istio's word for its own trust domain, however that and the cluster's DNS are called.
    """
    return f"cluster.local/ns/{namespace}/sa/{account}"
