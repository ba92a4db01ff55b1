#!/usr/bin/env python3
"""Kubeflow's notebooks: servers that users work in, their volumes, and TensorBoards on their logs."""

import dataclasses
from typing import Annotated, Literal

import ops
import profile_images
import pydantic
import spawner
from spawner_options import SpawnerOptions

from kubeflow_charm import ComponentCharm, Manifest, gather
from kubeflow_charm.gateway import GatewayConfig
from kubeflow_charm.gpu import placement
from kubeflow_charm.gpu.pools import Gpus
from kubeflow_charm.images import Images
from kubeflow_charm.relations import dashboard_links, gateway_info, kubernetes_manifest
from kubeflow_charm.watch import watcher
from kubeflow_charm.webhooks.certificates import webhook_certificate

WEBHOOK = "pvcviewer-webhook-service"

LINKS = [
    dashboard_links.Link(text="Notebooks", link="/jupyter/", location="menu", icon="book"),
    dashboard_links.Link(text="TensorBoards", link="/tensorboards/", location="menu", icon="assessment"),
    dashboard_links.Link(text="Volumes", link="/volumes/", location="menu", icon="device:storage"),
    dashboard_links.Link(
        text="Create a new Notebook", link="/jupyter/new", location="quick", desc="Kubeflow Notebooks"
    ),
]
"""From kubeflow/manifests 26.03, applications/centraldashboard/upstream/base/configmap.yaml."""

Minutes = Annotated[int, pydantic.Field(ge=1)]


class NotebooksConfig(SpawnerOptions, GatewayConfig):
    """The options; `charmcraft.yaml` says what each is for."""

    notebook_security_policy: Literal["privileged", "restricted"]
    enable_culling: bool
    cull_idle_time: Minutes
    idleness_check_period: Minutes
    secure_cookies: bool
    replicas: Annotated[int, pydantic.Field(ge=1)]


@dataclasses.dataclass(frozen=True)
class Facts:
    """What notebooks are made from."""

    config: NotebooksConfig
    gateway: gateway_info.Gateway
    gpus: Gpus
    images: Images


class Notebooks(ComponentCharm[Facts]):
    """Run the notebook, PVC viewer and TensorBoard controllers, and the web apps in front of them."""

    config_type = NotebooksConfig

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        self.gateway = gateway_info.Requires(self, "gateway-info")
        self.dashboard = dashboard_links.Requires(self, "dashboard-links")
        self.pod_defaults = kubernetes_manifest.Requires(self, "pod-defaults")
        open_image = f"juju attach-resource {self.app.name} {profile_images.VIEWER}=<image>"
        self.secrets = kubernetes_manifest.SecretRequires(self, "secrets", smaller=open_image)
        if "list-gpus" in self.meta.actions:
            framework.observe(self.on["list-gpus"].action, self._list_gpus)

    def gather(self) -> Facts:
        """Read the options, the gateway, and the cluster's GPUs."""
        config, gateway, images = gather(self.read_config, self.gateway.get, lambda: self.images)
        return Facts(config, gateway, config.gpus(self.cluster.nodes), images)

    def manifests(self, facts: Facts) -> list[Manifest]:
        """Return the objects of the controllers and web apps."""
        config = facts.config
        rendered = self.render(
            config=config,
            gateway=facts.gateway,
            gateway_namespace=config.gateway_namespace(facts.gateway),
            spawner=spawner.text(config, facts.gpus),
            certificate=webhook_certificate(
                self, WEBHOOK, self.namespace, cluster_domain=config.cluster_domain
            ),
            webhook=WEBHOOK,
            viewer_pull_secret=profile_images.viewer_pull_secret(self.app.name, facts.images),
        )
        from custom_resources import definitions  # a hook that stops before, and an action, need no models

        return [*definitions(), *rendered]

    def publish(self, facts: Facts) -> str:
        """Send menu entries to the dashboard; PodDefaults for GPUs and pull secrets to the profiles."""
        self.dashboard.send(LINKS)
        pools = [placement.pod_default(pool) for pool in facts.gpus.pools]
        self.pod_defaults.send([*pools, *profile_images.pod_defaults(self.app.name, facts.images)])
        self.secrets.send(profile_images.secrets(self.app.name, facts.images))
        return facts.gpus.summary

    def disconnect(self, relation: ops.Relation) -> None:
        """Remove the secret for a dispatcher whose relation breaks."""
        self.secrets.disconnect(relation)

    def followed(self) -> tuple[watcher.Followed, ...]:
        """Run a hook when nodes change."""
        return (watcher.NODES,)

    def user_images(self) -> list[str]:
        """Return the images of notebooks."""
        return spawner.images(self.read_config())

    def _list_gpus(self, event: ops.ActionEvent) -> None:
        with self.answering(event):
            pools = self.read_config().gpus(self.cluster.nodes).pools
            pods = self.cluster.all_pods() if pools else []
            event.set_results({pool.name: pool.described(pods) for pool in pools})


if __name__ == "__main__":  # pragma: no cover
    ops.main(Notebooks)
