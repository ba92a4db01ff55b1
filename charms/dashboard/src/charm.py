#!/usr/bin/env python3
"""Kubeflow's central dashboard."""

import dataclasses
from typing import Annotated

import links
import ops
import pydantic

from kubeflow_charm import ComponentCharm, Manifest, gather
from kubeflow_charm.gateway import GatewayConfig
from kubeflow_charm.relations import dashboard_links, gateway_info, k8s_service
from kubeflow_charm.relations.kubernetes_names import DnsName

Url = Annotated[str, pydantic.Field(pattern=r"^(/|https?://)[!-~]*$")]


class DashboardConfig(links.LinkOptions, GatewayConfig):
    """The options; `charmcraft.yaml` describes each."""

    dashboard_configmap: DnsName
    port: Annotated[int, pydantic.Field(ge=1024, le=65535)]
    registration_flow: bool
    replicas: Annotated[int, pydantic.Field(ge=1)]
    logout_url: Url


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a hook of the dashboard knows."""

    config: DashboardConfig
    profiles: k8s_service.Service
    gateway: gateway_info.Gateway
    links: list[dashboard_links.Link]


class Dashboard(ComponentCharm[Facts]):
    """Serve the central dashboard behind the gateway."""

    config_type = DashboardConfig

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        self.profiles = k8s_service.Requires(self, "kubeflow-profiles")
        self.gateway = gateway_info.Requires(self, "gateway-info")
        self.links = dashboard_links.Provides(self, "links")

    def gather(self) -> Facts:
        """Read the options, access management's Service, the gateway, and the related charms' links."""
        *facts, _ = gather(
            self.read_config, self.profiles.get, self.gateway.get, self.links.get, lambda: self.images
        )
        return Facts(*facts)

    def manifests(self, facts: Facts) -> list[Manifest]:
        """Return the dashboard's objects."""
        return self.render(
            config=facts.config,
            gateway=facts.gateway,
            gateway_namespace=facts.config.gateway_namespace(facts.gateway),
            links=facts.config.document(facts.links),
            profiles_host=facts.profiles.host(self.namespace),
            profiles_port=facts.profiles.service_port,
        )


if __name__ == "__main__":  # pragma: no cover
    ops.main(Dashboard)
