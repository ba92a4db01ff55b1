"""Who may call a model: policies of both kinds in every profile.

The profile controller's own policy lets in users through the gateway, and pods of the same profile. It knows
nothing of Knative, whose activator and autoscaler must reach servers, too. In the network, nothing shuts the
pods of models: so we do, but for the profile itself, the platform, the gateway and Knative.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from kubeflow_charm import Manifest
from kubeflow_charm.cluster.executor import Cluster, Placed
from kubeflow_charm.cluster.resources import kind_of
from kubeflow_charm.watch import watcher

NAME = "kserve-models"
_NAMESPACE = "kubernetes.io/metadata.name"
_MODELS: tuple[Manifest, ...] = (
    {"matchExpressions": [{"key": "serving.kserve.io/inferenceservice", "operator": "Exists"}]},
    {"matchExpressions": [{"key": "serving.kserve.io/inferencegraph", "operator": "Exists"}]},
    {"matchLabels": {"app.kubernetes.io/part-of": "llminferenceservice"}},
)
"""The pods of services, graphs and LLM services."""


Users = dict[str, dict[str, list[str]]]
"""Profile to condition (`request.headers[kubeflow-userid]`) to the values with which the gateway may call."""

POLICIES = watcher.Followed(
    "security.istio.io/v1", "AuthorizationPolicy", "authorizationpolicies", matters="spec"
)
"""Whom profiles let in changes with their owners and contributors."""
_POLICY = kind_of({"apiVersion": POLICIES.api_version, "kind": POLICIES.kind})
_HEADER = "request.headers["


def users(cluster: Cluster, profiles: Collection[str]) -> Users:
    """Return whom each profile lets in through the gateway; one request.

    The profile controller and kfam make one policy for the owner and for each contributor, with the user in
    an annotation (kubeflow/kubeflow v1.10.0, components/profile-controller/controllers/profile_controller.go,
    components/access-management/kfam/bindings.go).

    Raises:
        Problem: if the API server does not answer or refuses.
    """
    found: Users = {name: {} for name in profiles}
    for policy in cluster.of_kind(_POLICY, "*", None, whole=True):
        metadata, spec = policy["metadata"], policy.get("spec") or {}
        if metadata["namespace"] not in found or "user" not in (metadata.get("annotations") or {}):
            continue
        conditions = [each for rule in spec.get("rules") or () for each in rule.get("when") or ()]
        for each in conditions:
            if each["key"].startswith(_HEADER):
                values = found[metadata["namespace"]].setdefault(each["key"], [])
                values += [value for value in each.get("values") or () if value not in values]
    return {name: {key: sorted(said[key]) for key in sorted(said)} for name, said in found.items()}


def spread(profiles: list[str], platform: Iterable[str], knative: str) -> list[Placed]:
    """Return the policies, and the profiles to put them into.

    Args:
        profiles: the namespaces of profiles.
        platform: the namespaces of the platform, and of the gateway's pods.
        knative: the namespace of Knative; empty if no model runs on it.
    """
    callers = {*platform, knative} - {""}
    placed: list[Placed] = [
        (_network(f"{NAME}-{number}", selector, sorted(callers)), profiles)
        for number, selector in enumerate(_MODELS, start=1)
    ]
    if knative:
        placed.append((_mesh(knative), profiles))
    return placed


def _network(name: str, selector: Manifest, callers: list[str]) -> Manifest:
    """Return the policy of the network: the profile's own pods, and those of some namespaces."""
    sources: list[Manifest] = [{"podSelector": {}}]
    sources.append({"namespaceSelector": {"matchExpressions": [_in(callers)]}})
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {"podSelector": selector, "policyTypes": ["Ingress"], "ingress": [{"from": sources}]},
    }


def _in(namespaces: list[str]) -> Manifest:
    return {"key": _NAMESPACE, "operator": "In", "values": namespaces}


def _mesh(knative: str) -> Manifest:
    """Return the policy of the mesh: Knative, beside those whom the profile controller lets in.

    Knative calls servers only, at the ports of the proxy that it puts beside each (knative/serving v0.51,
    pkg/networking/constants.go).
    """
    operation = {"operation": {"ports": ["8012", "8013", "8022", "8112", "9090", "9091"]}}
    source = {"source": {"namespaces": [knative]}}
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": NAME},
        "spec": {"action": "ALLOW", "rules": [{"from": [source], "to": [operation]}]},
    }
