#!/usr/bin/env python3
"""Kubeflow's central dashboard: the front door of the platform."""

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
    """The options; `charmcraft.yaml` says what each is for."""

    dashboard_configmap: DnsName
    port: Annotated[int, pydantic.Field(ge=1024, le=65535)]
    registration_flow: bool
    replicas: Annotated[int, pydantic.Field(ge=1)]
    logout_url: Url


class Dashboard(ComponentCharm):
    """Serve the central dashboard behind the gateway."""

    config_type = DashboardConfig

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        self.profiles = k8s_service.Requires(self, "kubeflow-profiles")
        self.gateway = gateway_info.Requires(self, "gateway-info")
        self.links = dashboard_links.Provides(self, "links")

    def manifests(self) -> list[Manifest]:
        """Return the dashboard."""
        config, profiles, gateway, offered, _ = gather(
            self.read_config,
            self.profiles.get,
            self.gateway.get,
            self.links.get,
            lambda: self.images,
        )
        return self.render(
            config=config,
            gateway=gateway,
            gateway_namespace=config.gateway_namespace(gateway),
            links=config.document(offered),
            profiles_host=profiles.host(self.namespace),
            profiles_port=profiles.service_port,
        )


if __name__ == "__main__":  # pragma: no cover
    ops.main(Dashboard)
