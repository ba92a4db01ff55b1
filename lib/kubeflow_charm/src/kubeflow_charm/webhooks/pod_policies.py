"""Policies by which the API server itself changes the pods of profiles when it creates them.

A MutatingAdmissionPolicy (admissionregistration.k8s.io/v1, Kubernetes 1.36) needs no webhook, and so no
workload that can be away.
"""

from __future__ import annotations

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


def _named(expressions: Mapping[str, str]) -> list[Manifest]:
    return [{"name": name, "expression": expression} for name, expression in expressions.items()]
