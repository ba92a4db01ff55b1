#!/usr/bin/env python3
"""Kubeflow's training: jobs in many pods, by the training operator and by Trainer."""

import dataclasses

import gang_scheduling
import job_pods
import ops
import runtime_finalizers
import training_runtimes
from training_options import TrainingConfig

from kubeflow_charm import ComponentCharm, Manifest, gather
from kubeflow_charm.cluster.executor import NOWHERE, Placed
from kubeflow_charm.cluster.resources import kind_of
from kubeflow_charm.gpu.pools import Gpus
from kubeflow_charm.images import Images
from kubeflow_charm.relations import dashboard_links, kubernetes_manifest
from kubeflow_charm.watch import watcher
from kubeflow_charm.webhooks.certificates import Certificate, webhook_certificate
from kubeflow_charm.webhooks.pod_policies import POLICY

OPERATOR = "training-operator"
TRAINER = "kubeflow-trainer-controller-manager"
JOBSET = "jobset-webhook-service"

OPERATOR_AUTHORITY = "training-operator-ca"
"""The name that the training operator gives its authority (kubeflow/trainer v1.9.4, pkg/cert/cert.go)."""

OPERATOR_LINK = dashboard_links.Link(
    text="Kubeflow Training Operator Documentation",
    link="https://www.kubeflow.org/docs/components/training/",
    desc="Documentation for Kubeflow Training Operator",
    location="documentation",
)
TRAINER_LINK = dashboard_links.Link(
    text="Kubeflow Trainer Documentation",
    link="https://www.kubeflow.org/docs/components/trainer/",
    desc="Documentation for Kubeflow Trainer",
    location="documentation",
)
"""What Charmed Kubeflow's training-operator and kubeflow-trainer send."""


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a hook of training knows."""

    config: TrainingConfig
    images: Images
    gpus: Gpus
    policies: list[Manifest]
    """What places the pods of jobs on GPUs, or off them."""
    served: bool
    """Whether these are objects of the API server, or PodDefaults for the profiles."""


class Training(ComponentCharm[Facts]):
    """Run the training operator, Trainer and JobSet, and make the runtimes."""

    config_type = TrainingConfig

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        self.dashboard = dashboard_links.Requires(self, "dashboard-links")
        open_image = f"juju attach-resource {self.app.name} torch-runtime=<image>"
        self.pod_defaults = kubernetes_manifest.Requires(self, "pod-defaults")
        self.secrets = kubernetes_manifest.SecretRequires(self, "secrets", smaller=open_image)

    def gather(self) -> Facts:
        """Read the options, and in the cluster its GPUs and the gang scheduler."""
        config, images = gather(self.read_config, lambda: self.images)
        gang_scheduling.check(config, self.cluster)
        gpus = config.gpus(self.cluster.nodes)
        served = bool(gpus.pools) and self.cluster.serves(POLICY)
        return Facts(config, images, gpus, job_pods.policies(config, gpus, served=served), served)

    def manifests(self, facts: Facts) -> list[Manifest]:
        """Return the objects of the controllers, and what places the pods of jobs."""
        config, policies = facts.config, facts.policies if facts.served else []
        certificates = self._certificates(config)
        rendered = self.render(config=config, gateway_namespace=self.namespace, certificates=certificates)
        return [*_definitions(config), *rendered, *policies]

    def spread(self, facts: Facts) -> list[Placed]:
        """Return the runtimes: one whose name somebody else has taken keeps nothing else back."""
        made = training_runtimes.runtimes(self.app.name, facts.config, facts.images)
        if not made or not self.cluster.serves(kind_of(made[0])):  # the first hook brings their type
            return []
        return [(runtime, NOWHERE) for runtime in made]

    def publish(self, facts: Facts) -> str:
        """Send links to the dashboard; to profiles the pull secret of runtimes, and PodDefaults for GPUs."""
        self.dashboard.send(links(facts.config))
        self.pod_defaults.send([] if facts.served else facts.policies)
        self.secrets.send(training_runtimes.secrets(self.app.name, facts.images))
        if not facts.config.trainer:
            runtime_finalizers.release(self.cluster, self.app.name, removed=False)
        return facts.gpus.summary

    def disconnect(self, relation: ops.Relation) -> None:
        """Remove the secret for a dispatcher whose relation breaks."""
        self.secrets.disconnect(relation)

    def followed(self) -> tuple[watcher.Followed, ...]:
        """Run a hook when nodes change, and when the gang scheduler comes or goes."""
        config = self.valid_config
        return (watcher.NODES, *(gang_scheduling.followed(config) if config else ()))

    def after_removal(self) -> None:
        """Let runtimes be deleted without Trainer."""
        runtime_finalizers.release(self.cluster, self.app.name, removed=True)

    def _certificates(self, config: TrainingConfig) -> dict[str, Certificate]:
        """Return the certificates of the webhooks that run, by their Services."""
        checked = {OPERATOR: OPERATOR_AUTHORITY}
        services = [OPERATOR] if config.kinds else []
        if config.trainer:
            services += [TRAINER, JOBSET]
        return {
            service: webhook_certificate(self, service, self.namespace, checked=checked.get(service, ""))
            for service in services
        }


def links(config: TrainingConfig) -> list[dashboard_links.Link]:
    """Return the links to the documentation of what runs."""
    return [*([OPERATOR_LINK] if config.kinds else []), *([TRAINER_LINK] if config.trainer else [])]


def _definitions(config: TrainingConfig) -> list[Manifest]:
    """Return the CustomResourceDefinitions of what runs."""
    import job_schemas  # a hook that stops before, and an action, need no models
    import jobset_schemas
    import trainer_schemas

    made = job_schemas.definitions(config.kinds)
    if config.trainer:
        made += [jobset_schemas.jobset_definition(), *trainer_schemas.definitions()]
    return made


if __name__ == "__main__":  # pragma: no cover
    ops.main(Training)
