#!/usr/bin/env python3
"""Copy objects that other applications offer into every profile."""

import logging
from typing import Annotated

import offers
import ops
import pydantic

from kubeflow_charm import ComponentCharm, Config, Outcome
from kubeflow_charm.cluster.plan import Refusal
from kubeflow_charm.gpu.kubernetes_labels import LabelKey
from kubeflow_charm.relations import kubernetes_manifest
from kubeflow_charm.watch import watcher

logger = logging.getLogger(__name__)

ENDPOINTS = {
    "secrets": ("v1", "Secret"),
    "config-maps": ("v1", "ConfigMap"),
    "service-accounts": ("v1", "ServiceAccount"),
    "pod-defaults": ("kubeflow.org/v1alpha1", "PodDefault"),
    "roles": ("rbac.authorization.k8s.io/v1", "Role"),
    "role-bindings": ("rbac.authorization.k8s.io/v1", "RoleBinding"),
}
"""Endpoint to the version and kind of its objects."""
_LOGGED = 10
"""Objects that one log record names at most."""


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


class DispatcherConfig(Config):
    """The options; `charmcraft.yaml` describes each."""

    target_namespace_label: Annotated[LabelKey, pydantic.Field(alias="target_namespace_label")]


class ResourceDispatcher(ComponentCharm[DispatcherConfig]):
    """Keep the objects of the related applications in every profile."""

    config_type = DispatcherConfig

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        self.endpoints = [kubernetes_manifest.Provides(self, name, *kind) for name, kind in ENDPOINTS.items()]

    def gather(self) -> DispatcherConfig:
        """Read the options."""
        return self.read_config()

    def converge(self, facts: DispatcherConfig) -> Outcome:
        """Write the offered objects into every profile, and return the problems of those that fail."""
        label = facts.target_namespace_label
        offered = [offer for endpoint in self.endpoints for offer in endpoint.get()]
        wrong = [problem for offer in offered for problem in offer.problems]
        unclear = {offer.application for offer in offered if offer.problems}
        profiles = dict.fromkeys(item["metadata"]["name"] for item in self.cluster.namespaces(label))
        contested, problems = offers.conflicts(offered, profiles)
        refused = self.cluster.distribute(
            offers.spread(offered, profiles, contested),
            keep=lambda item: offers.stays(item, unclear, contested),
        )
        of_users = [each for each in refused if offers.is_users_doing(*each, self.cluster.own.is_member)]
        refusals = [offers.named(*each) for each in refused if each not in of_users]
        summary = self._summary(offers.count(offered), len(profiles), of_users)
        return Outcome([*wrong, *problems, *refusals], summary)

    def _summary(self, count: int, profiles: int, of_users: list[Refusal]) -> str:
        """Return the status text; log what users keep out of their profiles, when that changes."""
        summary = f"{_counted(count, 'manifest')} in {_counted(profiles, 'profile')}" if count else ""
        if of_users:
            lacking = len({item["metadata"]["namespace"] for item, _ in of_users})
            summary += f"; users keep some out of {_counted(lacking, 'profile')}"
            if self.unit.status.message != summary:
                logger.info(
                    "kept out by users: %s", "; ".join(str(problem) for _, problem in of_users[:_LOGGED])
                )
        return summary

    def followed(self) -> tuple[watcher.Followed, ...]:
        """Run a hook when a profile comes or goes."""
        label = self.config["target_namespace_label"]
        return (watcher.Followed("v1", "Namespace", "namespaces", {str(label): None}),)


if __name__ == "__main__":  # pragma: no cover
    ops.main(ResourceDispatcher)
