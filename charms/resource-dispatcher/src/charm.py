#!/usr/bin/env python3
"""Put what other applications offer into every profile."""

from typing import Annotated

import offers
import ops
import pydantic

from kubeflow_charm import ComponentCharm, Config, Outcome
from kubeflow_charm.cluster.resources import kind_of
from kubeflow_charm.gpu.pod_scheduling import LabelKey
from kubeflow_charm.relations import kubernetes_manifest
from kubeflow_charm.watch import watcher

ENDPOINTS = {
    "secrets": ("v1", "Secret"),
    "config-maps": ("v1", "ConfigMap"),
    "service-accounts": ("v1", "ServiceAccount"),
    "pod-defaults": ("kubeflow.org/v1alpha1", "PodDefault"),
    "roles": ("rbac.authorization.k8s.io/v1", "Role"),
    "role-bindings": ("rbac.authorization.k8s.io/v1", "RoleBinding"),
}
"""Endpoint to version and kind of what it takes."""


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


class DispatcherConfig(Config):
    """The options; `charmcraft.yaml` says what each is for."""

    target_namespace_label: Annotated[LabelKey, pydantic.Field(alias="target_namespace_label")]


class ResourceDispatcher(ComponentCharm[DispatcherConfig]):
    """Keep in every profile what the related applications offer."""

    config_type = DispatcherConfig

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        self.endpoints = [kubernetes_manifest.Provides(self, name, *kind) for name, kind in ENDPOINTS.items()]

    def gather(self) -> DispatcherConfig:
        """Read the options."""
        return self.read_config()

    def converge(self, facts: DispatcherConfig) -> Outcome:
        """Bring to every profile what is offered, as far as it can be, and return what cannot."""
        label = facts.target_namespace_label
        offered = [offer for endpoint in self.endpoints for offer in endpoint.get()]
        wrong = [problem for offer in offered for problem in offer.problems]
        contested, problems = offers.conflicts(offered)
        unclear = {offer.application for offer in offered if offer.problems}
        profiles = [item["metadata"]["name"] for item in self.cluster.namespaces(label)]
        refused = self.cluster.distribute(
            offers.spread(offered, profiles, contested),
            keep=lambda item: offers.stays(item, unclear, contested),
        )
        count = offers.count(offered)
        summary = f"{_counted(count, 'manifest')} in {_counted(len(profiles), 'profile')}" if count else ""
        refusals = [offers.named(item, problem) for item, problem in refused]
        return Outcome([*wrong, *problems, *refusals], summary)

    def followed(self) -> tuple[watcher.Followed, ...]:
        """Have a hook when a profile comes, or one of the objects changes."""
        label = self.config["target_namespace_label"]
        kinds = [kind_of({"apiVersion": version, "kind": kind}) for version, kind in ENDPOINTS.values()]
        own = self.cluster.own.selector
        return (
            watcher.Followed("v1", "Namespace", "namespaces", {str(label): None}),
            *(
                watcher.Followed(kind.api_version, kind.kind, kind.plural, own, matters="anything")
                for kind in kinds
            ),
        )


if __name__ == "__main__":  # pragma: no cover
    ops.main(ResourceDispatcher)
