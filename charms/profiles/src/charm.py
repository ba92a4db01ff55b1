#!/usr/bin/env python3
"""Kubeflow's profiles: namespaces that belong to users, and what users may do in them."""

import dataclasses
from typing import Annotated, Literal

import failed_profiles
import finalizers
import namespace_labels
import ops
import pydantic
import quota_defaults
from poddefault_crd import poddefault_definition
from profile_crd import profile_definition

from kubeflow_charm import ComponentCharm, Manifest, gather
from kubeflow_charm.cluster.executor import Placed
from kubeflow_charm.gateway import GatewayConfig, principal
from kubeflow_charm.relations import gateway_info, k8s_service
from kubeflow_charm.watch import watcher
from kubeflow_charm.webhooks.certificates import webhook_certificate

KFAM = k8s_service.Service(service_name="profiles-kfam", service_port="8081")
WEBHOOK = "admission-webhook-service"

_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_NAME = rf"{_LABEL}(\.{_LABEL})*"

ServiceAccount = Annotated[str, pydantic.Field(pattern=f"^(({_LABEL}/)?{_NAME})?$")]
User = Annotated[str, pydantic.Field(pattern=r"^[^\s,]*$")]

NOBODY = principal("-", "-")
"""A principal that cannot exist: no namespace may have this name."""


class ProfilesConfig(GatewayConfig, quota_defaults.DefaultsConfig):
    """The options; `charmcraft.yaml` describes each."""

    security_policy: Literal["privileged", "baseline", "restricted"]
    default_namespace_labels: namespace_labels.Labels
    cluster_admin: User
    notebook_controller_service_account: ServiceAccount
    kfp_ui_service_account: ServiceAccount


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a hook of profiles knows."""

    config: ProfilesConfig
    gateway: gateway_info.Gateway


class Profiles(ComponentCharm[Facts]):
    """Run the profile controller, access management and the PodDefaults webhook."""

    config_type = ProfilesConfig

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        self.gateway = gateway_info.Requires(self, "gateway-info")
        self.kfam = k8s_service.Provides(self, "kubeflow-profiles")

    def gather(self) -> Facts:
        """Read the options and the gateway."""
        *facts, _ = gather(self.read_config, self.gateway.get, lambda: self.images)
        return Facts(*facts)

    def manifests(self, facts: Facts) -> list[Manifest]:
        """Return the objects of the controller, access management and the webhook."""
        config = facts.config
        gateway_namespace = config.gateway_namespace(facts.gateway)
        rendered = self.render(
            config=config,
            gateway=facts.gateway,
            gateway_namespace=gateway_namespace,
            gateway_principal=principal(gateway_namespace, config.istio_gateway_service_account),
            notebook_controller_principal=self.allowed(config.notebook_controller_service_account),
            kfp_ui_principal=self.allowed(config.kfp_ui_service_account),
            callers=self.callers(),
            labels=namespace_labels.labels(config.security_policy, config.default_namespace_labels),
            certificate=webhook_certificate(
                self, WEBHOOK, self.namespace, cluster_domain=config.cluster_domain
            ),
            webhook=WEBHOOK,
        )
        return [profile_definition(), poddefault_definition(), *rendered]

    def spread(self, facts: Facts) -> list[Placed]:
        """Return the LimitRanges of profiles with a quota."""
        return quota_defaults.spread(self.cluster, facts.config.defaults)

    def allowed(self, account: str) -> str:
        """Return the principal of `[<namespace>/]<service account>`, or `NOBODY` for an empty text.

        If a setting is empty, upstream's programs use a principal in a namespace called `kubeflow`. On a
        platform with another name, that namespace may belong to any user.
        """
        namespace, _, name = account.rpartition("/")
        return principal(namespace or self.namespace, name) if name else NOBODY

    def callers(self) -> list[str]:
        """Return the principals of the related dashboards, which may call access management.

        Our dashboard runs as upstream's `centraldashboard`. Charmhub's runs as the service account that Juju
        names after the application. Without a related dashboard, nobody may call.
        """
        related = [relation.app.name for relation in self.kfam.relations]
        accounts = ["centraldashboard", *related] if related else []
        return [principal(self.namespace, account) for account in accounts]

    def publish(self, facts: Facts) -> str:
        """Send the Service to dashboards, set the policy on old profiles, count unready profiles."""
        self.kfam.send(KFAM)
        namespace_labels.enforce(facts.config.security_policy, self.app.name, self.cluster)
        return failed_profiles.message(self.cluster)

    def followed(self) -> tuple[watcher.Followed, ...]:
        """Run a hook when profiles or their quotas change."""
        return (failed_profiles.FOLLOWED, *quota_defaults.FOLLOWED)

    def after_removal(self) -> None:
        """Remove the controller's finalizer from profiles, so that they can be deleted without it."""
        finalizers.release(self.cluster, self.app.name)


if __name__ == "__main__":  # pragma: no cover
    ops.main(Profiles)
