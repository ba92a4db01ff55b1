"""Knative: whether it is there, and whether it takes what models need.

The charm reads the kinds of the cluster, and Knative's own settings in the namespace that the relation
`local-gateway` names. KServe's controller looks for kinds only when it starts (kserve v0.16.0,
cmd/manager/main.go), so it must start again when one of them comes or goes.
"""

from __future__ import annotations

from kserve_options import KServeOptions

from kubeflow_charm import Problem
from kubeflow_charm.cluster.executor import Cluster
from kubeflow_charm.cluster.resources import kind_of
from kubeflow_charm.problems import blocked, waiting
from kubeflow_charm.relations.gateway_info import Gateway, Requires
from kubeflow_charm.watch import watcher

SERVICES = "services.serving.knative.dev"
KINDS = (
    SERVICES,
    "virtualservices.networking.istio.io",
    "scaledobjects.keda.sh",
    "opentelemetrycollectors.opentelemetry.io",
)
"""The definitions that KServe's controller looks for when it starts."""

FEATURES, DOMAIN = "config-features", "config-domain"
"""ConfigMaps of Knative's (knative/serving v0.51, pkg/apis/config/features.go,
pkg/reconciler/route/config/domain.go)."""
NEEDED = ("affinity", "nodeselector", "tolerations")
"""Features of Knative that are off by themselves, and that models on GPUs or on chosen nodes need.
Charmhub's knative-serving switches them on. A model from a `pvc://` needs none: KServe's webhook puts the
volume into the pod, which Knative does not see (kserve v0.16.0,
pkg/webhook/admission/pod/storage_initializer_injector.go)."""
_ON = ("enabled", "allowed")

_CONFIG_MAP = kind_of({"apiVersion": "v1", "kind": "ConfigMap"})


def followed(config: KServeOptions | None) -> tuple[watcher.Followed, ...]:
    """Return what to follow: which kinds there are, and Knative's settings if models run on it."""
    if config is None or not config.serverless:
        return (watcher.DEFINITIONS,)
    settings = tuple(
        watcher.Followed("v1", "ConfigMap", "configmaps", fields={"metadata.name": name}, matters="data")
        for name in (FEATURES, DOMAIN)
    )
    return (watcher.DEFINITIONS, *settings)


def existing(cluster: Cluster) -> list[str]:
    """Return the definitions that exist, of those that KServe's controller looks for; one request.

    Raises:
        Problem: if the API server does not answer or refuses.
    """
    present = cluster.definitions()
    return [name for name in KINDS if name in present]


def check(config: KServeOptions, local: Gateway, kinds: list[str], cluster: Cluster) -> str:
    """Check that Knative takes what models need; one request.

    Args:
        config: the options.
        local: Knative's gateway for calls within the cluster.
        kinds: the definitions that exist.
        cluster: the cluster.

    Returns:
        What the operator may want to change, for `juju status`; empty if there is nothing.

    Raises:
        Problem: if Knative is not there yet, or does not take what models need.
    """
    namespace = local.gateway_namespace
    if SERVICES not in kinds:
        raise waiting("Knative", f"its kind Service is not there yet; see juju status of {namespace}")
    settings = _settings(cluster, namespace)
    features = settings[FEATURES]
    edit = f"kubectl edit knativeserving -n {namespace}"
    for feature in NEEDED:
        if not _is_on(features, feature):
            raise blocked(f"Knative's kubernetes.podspec-{feature} is off", edit, in_cluster=True)
    domains = _domains(settings[DOMAIN])
    if domains and config.domain_name not in domains:
        return f"Knative's domain is {domains[0]}, not {config.domain_name}"
    return ""


def gateway(config: KServeOptions, application: str, endpoint: Requires) -> Gateway | None:
    """Return Knative's gateway for calls within the cluster; None where none is related, nor needed.

    Raises:
        Problem: if models run on Knative and none is related, or if its data is missing or wrong.
    """
    if config.serverless and not endpoint.relations:
        what = f"deployment-mode={config.deployment_mode} needs Knative"
        cure = f"juju integrate {application}:{endpoint.name} knative-serving"
        raise Problem(blocked(what, cure).status, missing=endpoint.name)
    return endpoint.find()


def _is_on(features: dict[str, str], feature: str) -> bool:
    return features.get(f"kubernetes.podspec-{feature}", "disabled").lower() in _ON


def _settings(cluster: Cluster, namespace: str) -> dict[str, dict[str, str]]:
    """Return the data of Knative's ConfigMaps, by name; one request.

    Raises:
        Problem: if one that we read is not there yet.
    """
    found = cluster.of_kind(_CONFIG_MAP, namespace, None, whole=True)
    settings = {each["metadata"]["name"]: each.get("data") or {} for each in found}
    for name in (FEATURES, DOMAIN):
        if name not in settings:
            raise waiting("Knative", f"no ConfigMap {name} in namespace {namespace} yet")
    return settings


def _domains(data: dict[str, str]) -> list[str]:
    """Return the domains of all services: those that no selector limits."""
    return [name for name, rule in data.items() if not name.startswith("_") and not _selects(rule)]


def _selects(rule: str) -> bool:
    return "selector" in (rule or "")
