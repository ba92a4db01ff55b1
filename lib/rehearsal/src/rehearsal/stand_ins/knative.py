"""What Knative's operator makes of a KnativeServing or KnativeEventing: a release, changed as it says.

Facts: knative.dev/operator v0.42.2, pkg/reconciler/common (images, config_maps, workload_override, releases)
and pkg/reconciler/knativeserving/ingress. The releases come out of that module, too: serving 1.15.2, eventing
1.15.0 and net-istio 1.15.1. The charms ask for 1.16, whose operator no module has; what is made is labelled
as what was asked for.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from rehearsal import documents
from rehearsal.cluster import crds
from rehearsal.stand_ins.manifests import Manifest
from rehearsal.stand_ins.objects import Kind
from rehearsal.stand_ins.stopping import blocked

RELEASES = ("1.12", "1.13", "1.14", "1.15", "1.16")
"""The minor releases that the operator of 1.16 knows."""

LOCAL_GATEWAY = "knative-local-gateway"

_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"
_ROWS = [
    ("Namespace", "", "v1", "namespaces", True),
    ("ServiceAccount", "", "v1", "serviceaccounts", False),
    ("ClusterRole", _RBAC, "v1", "clusterroles", True),
    ("ClusterRoleBinding", _RBAC, "v1", "clusterrolebindings", True),
    ("Role", _RBAC, "v1", "roles", False),
    ("RoleBinding", _RBAC, "v1", "rolebindings", False),
    ("ConfigMap", "", "v1", "configmaps", False),
    ("Secret", "", "v1", "secrets", False),
    ("Service", "", "v1", "services", False),
    ("Deployment", "apps", "v1", "deployments", False),
    ("HorizontalPodAutoscaler", "autoscaling", "v2", "horizontalpodautoscalers", False),
    ("PodDisruptionBudget", "policy", "v1", "poddisruptionbudgets", False),
    ("Certificate", "networking.internal.knative.dev", "v1alpha1", "certificates", False),
    ("Image", "caching.internal.knative.dev", "v1alpha1", "images", False),
    ("Gateway", "networking.istio.io", "v1beta1", "gateways", False),
    ("PeerAuthentication", "security.istio.io", "v1beta1", "peerauthentications", False),
    ("MutatingWebhookConfiguration", _ADMISSION, "v1", "mutatingwebhookconfigurations", True),
    ("ValidatingWebhookConfiguration", _ADMISSION, "v1", "validatingwebhookconfigurations", True),
]
KINDS: Mapping[str, Kind] = {
    kind: (documents.cluster_wide if wide else documents.namespaced)(group, version, kind, plural)
    for kind, group, version, plural, wide in _ROWS
}
"""The kinds of a release, in the order of creation: webhooks come last, since they are asked from then on."""


@dataclass(frozen=True)
class Asked:
    """What the operator is asked for.

    Attributes:
        namespace: of the component.
        version: of the component.
        config: name of a ConfigMap, without `config-`, to the data that it gets.
        images: `deployment/container`, a container, a variable or an Image to an image.
        variables: a deployment to variables of all its containers.
    """

    namespace: str
    version: str
    config: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def definitions(project: str) -> list[Manifest]:
    """Return a release's definitions, without the conversion by a webhook that nobody answers for."""
    found = crds.read(project)
    for each in found:
        each["spec"].pop("conversion", None)
    return found


def release(whole: Iterable[Manifest], asked: Asked) -> list[Manifest]:
    """Return copies of a release's documents as they are applied.

    Left out are definitions, one-time jobs, and what is of cert-manager, which is not there.
    """
    versions = {kind: f"{group}/{version}".lstrip("/") for kind, group, version, *_ in _ROWS}
    made = [copy.deepcopy(each) for each in whole if versions.get(each["kind"]) == each["apiVersion"]]
    for each in made:
        _label(each, asked.version)
        if each["kind"] == "ConfigMap":
            name = each["metadata"]["name"]
            data = asked.config.get(name.removeprefix("config-"), asked.config.get(name, {}))
            each["data"] = {**(each.get("data") or {}), **data}
        elif each["kind"] == "Deployment":
            _furnish(each, asked)
        elif each["kind"] == "Image":
            each["spec"]["image"] = asked.images.get(each["metadata"]["name"], each["spec"]["image"])
        elif each["kind"] == "Service" and each["metadata"]["name"] == LOCAL_GATEWAY:
            each["metadata"]["namespace"] = _of_istio(asked)
    return made


def by_kind(made: Sequence[Manifest]) -> Iterator[tuple[Kind, str, list[Manifest]]]:
    """Yield a kind, a namespace and what belongs there, in the order of creation."""
    for name, kind in KINDS.items():
        of_kind = [each for each in made if each["kind"] == name]
        for namespace in sorted({each["metadata"].get("namespace", "") for each in of_kind} or {""}):
            yield (
                kind,
                namespace,
                [each for each in of_kind if each["metadata"].get("namespace", "") == namespace],
            )


def images(option: str, defaults: Mapping[str, str]) -> dict[str, str]:
    """Return the images of the option `custom_images`: those that it leaves out are the charm's own."""
    try:
        said = yaml.safe_load(option) or {}
    except yaml.YAMLError:
        said = None
    if not isinstance(said, dict):
        raise blocked("Error parsing the `custom_images` config - fix `custom_images` to unblock.")
    return {**defaults, **{str(name): str(image) for name, image in said.items() if image}}


def metrics(collector: Mapping[str, str]) -> dict[str, str]:
    """Return `config-observability` for a collector that knative-operator has told of."""
    name, namespace, port = (
        collector.get(f"otel_collector_{each}", "") for each in ("svc_name", "svc_namespace", "port")
    )
    return {
        "metrics.backend-destination": "opencensus",
        "metrics.request-metrics-backend-destination": "opencensus",
        "metrics.opencensus-address": f"{name}.{namespace}:{port}",
    }


def check_version(component: str, version: str) -> None:
    """Block if the operator has no such release; the real charm is active, and nothing is installed."""
    found = re.match(r"v?(\d+\.\d+)(\.\d+)?$", version)
    if version != "latest" and (found is None or found[1] not in RELEASES):
        raise blocked(f"the operator has no {component} {version}: juju config {component} version=1.16.0")


def _label(item: Manifest, version: str) -> None:
    for metadata in (item["metadata"], item.get("spec", {}).get("template", {}).get("metadata", {})):
        labels = metadata.get("labels") or {}
        if "app.kubernetes.io/version" in labels:
            labels["app.kubernetes.io/version"] = version


def _furnish(deployment: Manifest, asked: Asked) -> None:
    """Give a Deployment its images and variables."""
    name = deployment["metadata"]["name"]
    for container in deployment["spec"]["template"]["spec"]["containers"]:
        own = container["name"]
        container["image"] = asked.images.get(f"{name}/{own}", asked.images.get(own, container["image"]))
        for variable in container.get("env", ()):
            if variable["name"] in asked.images:
                variable["value"] = asked.images[variable["name"]]
        more: list[dict[str, Any]] = [
            {"name": key, "value": value} for key, value in asked.variables.get(name, {}).items()
        ]
        container["env"] = [*container.get("env", ()), *more]


def _of_istio(asked: Asked) -> str:
    """Return the namespace of the local gateway's Service, which `config-istio` has in the Service's host."""
    key = f"local-gateway.{asked.namespace}.{LOCAL_GATEWAY}"
    fields = asked.config.get("istio", {}).get(key, "").split(".")
    return fields[1] if len(fields) > 1 else "istio-system"
