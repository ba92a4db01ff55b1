#!/usr/bin/env python3
"""Kubeflow Pipelines: graphs of containers, with their runs, artifacts and metadata."""

import bucket_retention
import databases
import menu_links
import metadata_store
import object_stores
import ops
import other_controllers
import profile_manifests
import store_policies
import viewer_images
import workflow_controller
from pipelines_config import PipelinesConfig
from pipelines_crds import definitions
from pipelines_facts import Facts

from kubeflow_charm import ComponentCharm, Manifest, Outcome, gather
from kubeflow_charm.minio import grants
from kubeflow_charm.minio.keys import Shared
from kubeflow_charm.relations import (
    dashboard_links,
    gateway_info,
    k8s_service,
    kubernetes_manifest,
    one_store,
)
from kubeflow_charm.watch import watcher
from kubeflow_charm.webhooks.certificates import Certificate, webhook_certificate

VERSION = "2.17.0"
"""The release of kubeflow/pipelines: the first whose web app asks if a user may see an artifact."""


class Pipelines(ComponentCharm[Facts]):
    """Run the API server with web app and controllers, the metadata store and Argo's workflow controller."""

    config_type = PipelinesConfig

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        self.gateway = gateway_info.Requires(self, "gateway-info")
        self.database = databases.endpoint(self)
        self.stores = one_store.OneStore.of(self)
        self.dashboard = dashboard_links.Requires(self, "dashboard-links")
        shared = f"juju config {self.app.name} object-store-keys=shared"
        self.secrets = kubernetes_manifest.SecretRequires(self, "secrets", smaller=shared)
        self.config_maps = kubernetes_manifest.Requires(self, "config-maps")
        self.pod_defaults = kubernetes_manifest.Requires(self, "pod-defaults")
        self.apis = {
            "8888": k8s_service.Provides(self, "kfp-api"),
            "8887": k8s_service.Provides(self, "kfp-api-grpc"),
        }
        self.owner = f"{self.model.uuid}.{self.app.name}"

    def gather(self) -> Facts:
        """Read the options, the relations and the cluster's GPUs."""
        config, gateway, database, store, images = gather(
            self.read_config,
            self.gateway.get,
            self.database.get,
            lambda: object_stores.chosen(self.stores, self.read_config()),
            lambda: self.images,
        )
        terms = store_policies.terms(self.app.name, self.owner, config, store)
        decision = grants.Decision(terms, store, self.cluster)
        gpus = config.gpus(self.cluster.nodes)
        pull_secret = images.profile_pull_secret(self.app.name, config.images_of_runs(images.references))
        return Facts(config, gateway, database, store, *decision.keys(), gpus, pull_secret)

    def converge(self, facts: Facts) -> Outcome:
        """Do nothing while another Argo acts on the cluster's Workflows."""
        other_controllers.refuse(self.cluster)
        return super().converge(facts)

    def manifests(self, facts: Facts) -> list[Manifest]:
        """Return the objects of pipelines' programs."""
        config, database, store = facts.config, facts.database, facts.store
        native = config.pipeline_store == "kubernetes"
        authorities = database.tls_ca + store.tls_ca
        rendered = self.render(
            version=VERSION,
            config=config,
            gateway=facts.gateway,
            gateway_namespace=config.gateway_namespace(facts.gateway),
            database=database,
            store=store,
            store_key=facts.keys.platform,
            own_secrets=profile_manifests.platform_secrets(facts.keys, authorities),
            ca_bundle=authorities,
            pipeline_root=config.pipeline_root(store.bucket, store.folder),
            log_key=config.log_key(store.folder),
            run_images=config.run_images(self.images.references),
            kubernetes_native=native,
            certificates={
                "cache": self.certificate("cache-server", wanted=config.cache_enabled),
                "api": self.certificate("ml-pipeline", wanted=native),
            },
            metadata_server_config=metadata_store.server(database),
            envoy_config=metadata_store.envoy(),
            run_pull_secret=facts.run_pull_secret,
            workflow_controller_config=workflow_controller.settings(
                config, store, facts.gpus, facts.run_pull_secret
            ),
        )
        return [*definitions(kubernetes_native=native), *rendered]

    def certificate(self, service: str, *, wanted: bool) -> Certificate | None:
        """Return the certificate of a webhook, or None if the webhook is not wanted."""
        domain = self.read_config().cluster_domain
        return webhook_certificate(self, service, self.namespace, cluster_domain=domain) if wanted else None

    def publish(self, facts: Facts) -> str:
        """Send the API's Services, the menu links, and the objects for profiles."""
        config, store = facts.config, facts.store
        for port, endpoint in self.apis.items():
            name = f"ml-pipeline.{self.namespace}"
            endpoint.send(k8s_service.Service(service_name=name, service_port=port))
        self.dashboard.send(menu_links.LINKS)
        self.pod_defaults.send(profile_manifests.pod_defaults())
        if facts.unasked:
            raise facts.unasked
        self.secrets.send(profile_manifests.secrets(facts.keys, store.tls_ca, facts.run_pull_secret))
        self.config_maps.send(profile_manifests.config_maps(config, store, self.namespace, facts.keys))
        bucket_retention.ensured(store, config.retention(self.app.name, store))
        shared = "profiles share one object store key" if isinstance(facts.keys, Shared) else ""
        return "; ".join(filter(None, (shared, facts.gpus.summary)))

    def disconnect(self, relation: ops.Relation) -> None:
        """Revoke our keys in a store whose relation breaks; remove the secret for the dispatcher."""
        self.secrets.disconnect(relation)
        grants.left(self.stores, relation, self.owner, self.read_config().object_store_keys)

    def followed(self) -> tuple[watcher.Followed, ...]:
        """Run a hook when nodes change, and when a new profile needs a key."""
        profiles = watcher.Followed("v1", "Namespace", "namespaces", {grants.PROFILE: None})
        return (watcher.NODES,) if self.config["object-store-keys"] == "shared" else (watcher.NODES, profiles)

    def user_images(self) -> list[str]:
        """Return the images that runs and viewers start, besides those of steps."""
        runs = self.read_config().run_images(self.images.references).model_dump()
        return [*runs.values(), *viewer_images.IMAGES]


if __name__ == "__main__":  # pragma: no cover
    ops.main(Pipelines)
