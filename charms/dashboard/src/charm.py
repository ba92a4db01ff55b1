#!/usr/bin/env python3
"""Kubeflow's central dashboard: the front door of the platform."""

from typing import Annotated

import links
import ops
import pydantic

from kubeflow_charm import YAML, ComponentCharm, Config, Manifest, gather
from kubeflow_charm.relations import dashboard_links, gateway_info, k8s_service

Name = Annotated[str, pydantic.Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=253)]
Links = Annotated[list[links.ConfiguredLink], YAML, links.EMPTY_IS_NONE]
Order = Annotated[list[str], YAML, links.EMPTY_IS_NONE]


class DashboardConfig(Config):
    """The options; `charmcraft.yaml` says what each is for."""

    additional_menu_links: Links
    additional_external_links: Links
    additional_quick_links: Links
    additional_documentation_links: Links
    menu_link_order: Order
    external_link_order: Order
    quick_link_order: Order
    documentation_link_order: Order
    dashboard_configmap: Name
    port: Annotated[int, pydantic.Field(ge=1024, le=65535)]
    registration_flow: bool
    replicas: Annotated[int, pydantic.Field(ge=1, le=100)]
    userid_header: Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9-]+$")]
    userid_prefix: str
    logout_url: str
    cluster_domain: Name
    istio_gateway_namespace: Name | Annotated[str, pydantic.Field(max_length=0)]
    istio_gateway_service_account: Name


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
        namespace = config.istio_gateway_namespace or gateway.gateway_namespace
        account = config.istio_gateway_service_account
        return self.render(
            config=config,
            gateway=gateway,
            gateway_principal=f"cluster.local/ns/{namespace}/sa/{account}",
            profiles=profiles,
            profiles_host=profiles.host(self.namespace),
            links=links.merged(offered, config),
        )


if __name__ == "__main__":  # pragma: no cover
    ops.main(Dashboard)
