"""Policies by which the API server itself changes the pods of profiles when it creates them.

A MutatingAdmissionPolicy (admissionregistration.k8s.io/v1, Kubernetes 1.36) needs no webhook, and so no
workload that can be away.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from kubeflow_charm.cluster.resources import MUTATING_POLICY, Manifest

POLICY = MUTATING_POLICY
"""The kind that the API server must have: `cluster.serves(POLICY)`."""

PROFILES: Manifest = {"matchLabels": {"app.kubernetes.io/part-of": "kubeflow-profile"}}
"""Selects the namespaces of profiles (kubeflow/dashboard v2.0.0, components/profile-controller)."""

_PODS = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}


def pod_policy(
    name: str,
    patches: Iterable[str],
    *,
    selector: Manifest | None = None,
    conditions: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
    again: bool = False,
) -> list[Manifest]:
    """Return a policy and the binding that puts it into force; it never refuses a pod.

    Args:
        name: of both objects: no other object of the cluster has it.
        patches: expressions in CEL, each of which results in a list of JSONPatch.
        selector: a LabelSelector that selects the pods; all pods of profiles if not given.
        conditions: name to expression: all must be true of a pod.
        variables: name to expression, in the order of their use.
        again: whether the API server may call the policy again, after a webhook has changed the pod.
    """
    constraints: Manifest = {"resourceRules": [_PODS], "namespaceSelector": PROFILES}
    if selector is not None:
        constraints["objectSelector"] = selector
    spec: Manifest = {
        "matchConstraints": constraints,
        "failurePolicy": "Ignore",
        "reinvocationPolicy": "IfNeeded" if again else "Never",
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": each}} for each in patches],
    }
    if conditions:
        spec["matchConditions"] = _named(conditions)
    if variables:
        spec["variables"] = _named(variables)
    about = {"apiVersion": POLICY.api_version, "metadata": {"name": name}}
    return [
        about | {"kind": POLICY.kind, "spec": spec},
        about | {"kind": f"{POLICY.kind}Binding", "spec": {"policyName": name}},
    ]


def pull_policy(secret: str, labels: Iterable[str]) -> list[Manifest]:
    """Return the policy, and its binding, that names a pull secret in some pods of profiles.

    It adds to the secrets of the pod and of its service account, which Kubernetes has put into the pod before
    (kubernetes v1.36, pkg/kubeapiserver/options/plugins.go).

    Args:
        secret: the Secret, which is also the name of the policy.
        labels: the pods have one of these labels, or `label=value`.
    """
    found = " || ".join(_has_label(*each.split("=")) for each in labels)
    given = "object.spec.?imagePullSecrets.orValue([])"
    expression = (
        f"{given}.exists(each, each.name == {json.dumps(secret)}) ? [] : "
        "(has(object.spec.imagePullSecrets)"
        ' ? [] : [JSONPatch{op: "add", path: "/spec/imagePullSecrets", value: []}])'
        ' + [JSONPatch{op: "add", path: "/spec/imagePullSecrets/-", '
        f"value: {json.dumps({'name': secret})}}}]"
    )
    conditions = {"runs-our-images": f"has(object.metadata.labels) && ({found})"}
    return pod_policy(secret, [expression], conditions=conditions)


def _has_label(label: str, value: str = "") -> str:
    there = f"{json.dumps(label)} in object.metadata.labels"
    return (
        f"({there} && object.metadata.labels[{json.dumps(label)}] == {json.dumps(value)})" if value else there
    )


def _named(expressions: Mapping[str, str]) -> list[Manifest]:
    return [{"name": name, "expression": expression} for name, expression in expressions.items()]
