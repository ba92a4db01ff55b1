#!/usr/bin/env python3
"""Katib: experiments that look for the best parameters of a training."""

import dataclasses

import database_name
import ops
import trial_kinds
import trial_pods
from katib_options import KatibOptions
from katib_settings import Settings

from kubeflow_charm import ComponentCharm, Manifest, gather
from kubeflow_charm.cluster import finalizers
from kubeflow_charm.cluster.resources import WORKLOAD, Kind
from kubeflow_charm.gpu.pools import Gpus
from kubeflow_charm.relations import dashboard_links, gateway_info, kubernetes_manifest, mysql_client
from kubeflow_charm.watch import watcher
from kubeflow_charm.webhooks.certificates import webhook_certificate
from kubeflow_charm.webhooks.pod_policies import POLICY

WEBHOOK = "katib-controller"
"""The Service of the webhooks."""

LINKS = [
    dashboard_links.Link(text="Katib Experiments", link="/katib/", location="menu", icon="kubeflow:katib"),
    dashboard_links.Link(
        text="Katib Documentation",
        link="https://www.kubeflow.org/docs/components/katib/",
        location="documentation",
        desc="Tune the parameters of a training",
    ),
]
"""The first is upstream's (kubeflow/manifests 26.03,
applications/centraldashboard/upstream/base/configmap.yaml).
Charmhub's katib-ui has both."""

FINALIZERS = [
    finalizers.Held(Kind("kubeflow.org/v1beta1", "Trial", "trials", WORKLOAD), "clean-metrics-in-db"),
    finalizers.Held(
        Kind("kubeflow.org/v1beta1", "Experiment", "experiments", WORKLOAD), "update-prometheus-metrics"
    ),
]
"""What the controller holds (kubeflow/katib v0.19.0, pkg/controller.v1beta1/{trial,experiment}/*_util.go)."""


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a hook of Katib knows."""

    config: KatibOptions
    gateway: gateway_info.Gateway
    database: mysql_client.Database
    settings: Settings
    gpus: Gpus
    kinds: list[str]
    """The kinds of trials that exist."""
    pull_secret: Manifest | None
    """What pods of suggestions and trials pull images with; None where no registry asks."""
    policies: list[Manifest]
    """What the API server does to these pods."""


class Katib(ComponentCharm[Facts]):
    """Run the controller, the database manager and the web app."""

    config_type = KatibOptions

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        self.gateway = gateway_info.Requires(self, "gateway-info")
        self.database = mysql_client.Requires(self, "relational-db", database="katib", plain=True)
        self.dashboard = dashboard_links.Requires(self, "dashboard-links")
        open_image = f"juju attach-resource {self.app.name} suggestion-hyperopt=<image>"
        self.secrets = kubernetes_manifest.SecretRequires(self, "secrets", smaller=open_image)

    def gather(self) -> Facts:
        """Read the options, the relations, the cluster's GPUs and its kinds."""
        config, gateway, database, images = gather(
            self.read_config, self.gateway.get, self.database.get, lambda: self.images
        )
        settings = Settings(config, images.references)
        kinds = trial_kinds.existing(config.trial_resources, self.cluster)
        gpus = config.gpus(self.cluster.nodes)
        secret = images.profile_pull_secret(self.app.name, settings.images())
        served = bool(gpus.pools or secret) and self.cluster.serves(POLICY)
        policies = trial_pods.placing(gpus, served=served)
        policies += trial_pods.pulling(self.app.name) if served and secret else []
        return Facts(config, gateway, database, settings, gpus, kinds, secret, policies)

    def manifests(self, facts: Facts) -> list[Manifest]:
        """Return the objects of Katib's programs."""
        config = facts.config
        rendered = self.render(
            config=config,
            gateway=facts.gateway,
            gateway_namespace=config.gateway_namespace(facts.gateway),
            database=facts.database,
            database_name=database_name.with_parameters(facts.database),
            controller=config.katib_config.init.controller,
            controller_settings=facts.settings.controller,
            katib_config=facts.settings.text,
            trial_templates=facts.settings.templates,
            trial_rights=trial_kinds.rights(trial_kinds.every(config.trial_resources)),
            existing_kinds=facts.kinds,
            certificate=webhook_certificate(
                self, WEBHOOK, self.namespace, cluster_domain=config.cluster_domain
            ),
        )
        from katib_crds import definitions  # a hook that stops before, and an action, need no models

        return [*definitions(), *rendered, *facts.policies]

    def publish(self, facts: Facts) -> str:
        """Send menu entries to the dashboard, and to profiles what pods pull images with."""
        self.dashboard.send(LINKS)
        self.secrets.send([facts.pull_secret] if facts.pull_secret else [])
        missing = trial_kinds.missing(facts.config.trial_resources, facts.kinds)
        return "; ".join(filter(None, (missing, facts.gpus.summary)))

    def disconnect(self, relation: ops.Relation) -> None:
        """Remove the secret for a dispatcher whose relation breaks."""
        self.secrets.disconnect(relation)

    def after_removal(self) -> None:
        """Remove the controller's finalizers, so that experiments and trials can be deleted without it."""
        finalizers.release(self.cluster, self.app.name, FINALIZERS)

    def followed(self) -> tuple[watcher.Followed, ...]:
        """Run a hook when nodes change, and when kinds come or go."""
        config = self.valid_config
        further = trial_kinds.followed(config.trial_resources) if config else ()
        return (watcher.NODES, watcher.DEFINITIONS, *further)

    def user_images(self) -> list[str]:
        """Return the images of suggestions, of what runs beside trials, and of trial templates."""
        settings = Settings(self.read_config(), self.images.references)
        return settings.images()


if __name__ == "__main__":  # pragma: no cover
    ops.main(Katib)
