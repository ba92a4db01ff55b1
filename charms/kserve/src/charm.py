#!/usr/bin/env python3
"""KServe: models behind addresses, as plain Deployments or on Knative."""

import knative
import llm_configs
import model_access
import model_store
import ops
import serving_finalizers
import serving_links
import serving_modes
import serving_names
import serving_pods
import serving_runtimes
import serving_settings
from kserve_options import KServeOptions
from serving_facts import Facts

from kubeflow_charm import ComponentCharm, Manifest, gather
from kubeflow_charm.cluster.executor import NOWHERE, Placed
from kubeflow_charm.cluster.resources import kind_of
from kubeflow_charm.minio import grants
from kubeflow_charm.minio.keys import uids
from kubeflow_charm.relations import dashboard_links, gateway_info, kubernetes_manifest, one_store
from kubeflow_charm.watch import watcher
from kubeflow_charm.webhooks.certificates import webhook_certificate
from kubeflow_charm.webhooks.pod_policies import POLICY


class KServe(ComponentCharm[Facts]):
    """Run the controllers and the web app, and make what serves models in every profile."""

    config_type = KServeOptions

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        self.gateway = gateway_info.Requires(self, "ingress-gateway")
        self.local_gateway = gateway_info.Requires(self, "local-gateway")
        self.stores = one_store.OneStore.of(self)
        self.dashboard = dashboard_links.Requires(self, "dashboard-links")
        shared = f"juju config {self.app.name} object-store-keys=shared"
        self.secrets = kubernetes_manifest.SecretRequires(self, "secrets", smaller=shared)
        self.accounts = kubernetes_manifest.Requires(self, "service-accounts")
        self.config_maps = kubernetes_manifest.Requires(self, "config-maps")
        self.pod_defaults = kubernetes_manifest.Requires(self, "pod-defaults")
        self.owner = f"{self.model.uuid}.{self.app.name}"

    def gather(self) -> Facts:
        """Read the options, the relations, and in the cluster its kinds, profiles and GPUs."""
        config, gateway, local, store, own = gather(
            self.read_config,
            self.gateway.get,
            lambda: knative.gateway(self.read_config(), self.app.name, self.local_gateway),
            lambda: self.stores.find(self.read_config().object_store_bucket_name),
            lambda: self.images,
        )
        kinds = knative.existing(self.cluster)
        note = knative.check(config, local, kinds, self.cluster) if config.serverless else ""
        profiles = sorted(uids(self.cluster.namespaces(grants.PROFILE)))
        asked = bool(local and profiles) and knative.SERVICES in kinds
        callers = model_access.users(self.cluster, profiles) if asked else {}
        gpus = config.gpus(self.cluster.nodes)
        images = config.serving_images(own.references)
        secret = own.profile_pull_secret(self.app.name, images.values())
        served = bool(gpus.pools or secret) and self.cluster.serves(POLICY)
        policies = serving_pods.policies(config, gpus, served=served)
        policies += serving_pods.pulling(self.app.name) if served and secret else []
        models = model_store.models(self.app.name, self.owner, config, store, self.cluster)
        known = (config, images, gateway, local, kinds, note, profiles, callers)
        return Facts(*known, models, gpus, secret, policies, served)

    def manifests(self, facts: Facts) -> list[Manifest]:
        """Return the objects of KServe's programs."""
        from serving_crds import definitions  # a hook that stops before, and an action, need no models

        config, models = facts.config, facts.models
        sections = serving_settings.sections(
            config, facts.images, facts.gateway, facts.local_gateway, facts.pull_secret_name(self.app.name)
        )
        rendered = self.render(
            config=config,
            gateway=facts.gateway,
            gateway_namespace=facts.gateway_namespace,
            serving_config=serving_settings.texts(sections),
            started_with=[*serving_settings.read_at_start(sections), facts.kinds],
            knative_namespace=facts.knative if knative.SERVICES in facts.kinds else "",
            profiles=facts.profiles,
            callers=facts.callers,
            certificates={
                name: webhook_certificate(self, name, self.namespace, cluster_domain=config.cluster_domain)
                for name in config.webhook_services
            },
        )
        own = [model_store.own_secret(self.app.name, self.namespace, models)] if models else []
        return [*definitions(), *rendered, *own, *(facts.policies if facts.served else [])]

    def spread(self, facts: Facts) -> list[Placed]:
        """Return what serves models everywhere, and who may call them in each profile."""
        config, secret = facts.config, facts.pull_secret_name(self.app.name)
        everywhere = serving_runtimes.made(self.app.name, config, facts.images, self.images, facts.models)
        placed: list[Placed] = [(each, NOWHERE) for each in [*everywhere, *serving_names.checks(config)]]
        if config.llm_inference:
            placed += [(each, [self.namespace]) for each in llm_configs.configs(facts.images, secret)]
        kinds = {kind_of(each) for each, _ in placed}
        there = {kind for kind in kinds if self.cluster.serves(kind)}  # the first hook brings their types
        platform = (self.namespace, facts.gateway_namespace)
        access = model_access.spread(facts.profiles, platform, facts.knative)
        return [*(each for each in placed if kind_of(each[0]) in there), *access]

    def publish(self, facts: Facts) -> str:
        """Send links to the dashboard; to profiles the key of models, and PodDefaults for GPUs."""
        config, models = facts.config, facts.models
        self.dashboard.send(serving_links.LINKS)
        self.pod_defaults.send([] if facts.served else facts.policies)
        self.accounts.send(model_store.service_accounts(self.app.name, facts.pull_secret is not None, models))
        self.config_maps.send(model_store.config_maps(self.app.name, models))
        serving_finalizers.released_of_parts(self.cluster, self.app.name, config)
        if not config.serverless and knative.SERVICES in facts.kinds:
            serving_modes.kept(self.cluster, self.app.name)
        if models and models.unasked:
            raise models.unasked
        pull_secret = [facts.pull_secret] if facts.pull_secret else []
        self.secrets.send([*model_store.secrets(self.app.name, models), *pull_secret])
        model_store.trusted(self.app.name, models, told=bool(self.config_maps.relations))
        return "; ".join(filter(None, (facts.note, model_store.summary(models), facts.gpus.summary)))

    def disconnect(self, relation: ops.Relation) -> None:
        """Revoke our keys in a store whose relation breaks; remove the secret for the dispatcher."""
        self.secrets.disconnect(relation)
        grants.left(self.stores, relation, self.owner, self.read_config().object_store_keys)

    def followed(self) -> tuple[watcher.Followed, ...]:
        """Run a hook when nodes or profiles come and go, and when Knative does or changes."""
        profiles = watcher.Followed("v1", "Namespace", "namespaces", {grants.PROFILE: None})
        callers = (model_access.POLICIES,) if self.local_gateway.relations else ()
        return (watcher.NODES, profiles, *callers, *knative.followed(self.valid_config))

    def user_images(self) -> list[str]:
        """Return the images of servers, on GPUs, too, and of what runs beside them."""
        images = self.read_config().serving_images(self.images.references)
        return [*images.values(), *serving_runtimes.gpu_images(self.read_config(), images)]

    def after_removal(self) -> None:
        """Remove the controllers' finalizers, so that services can be deleted without them."""
        serving_finalizers.released(self.cluster, self.app.name)


if __name__ == "__main__":  # pragma: no cover
    ops.main(KServe)
