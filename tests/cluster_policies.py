"""Policies of a cluster, as its administrators have them beside our charms."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.cluster.existing import ExistingCluster, Refused
from rehearsal.patience import until

_GROUP = "/apis/admissionregistration.k8s.io/v1"


_STAY = """
(has(object.spec.nodeSelector) ? [] : [JSONPatch{op: "add", path: "/spec/nodeSelector", value: {}}])
+ [JSONPatch{op: "add", path: "/spec/nodeSelector/" + jsonpatch.escapeKey("%s"), value: "%s"}]
+ (has(object.spec.tolerations) ? [] : [JSONPatch{op: "add", path: "/spec/tolerations", value: []}])
+ [JSONPatch{op: "add", path: "/spec/tolerations/-", value: {"operator": "Exists"}}]"""


def keep_on_nodes(cluster: ControlPlane | ExistingCluster, namespace: str, label: tuple[str, str]) -> None:
    """Have all pods of a namespace run on the nodes with a label, whatever taints these have.

    It holds for pods that are made from now on.
    """
    name = f"{namespace}-nodes.example.com"
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}
    spec = {
        "matchConstraints": {"resourceRules": [pods], "namespaceSelector": _named(namespace)},
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": _STAY % label}}],
        "reinvocationPolicy": "Never",
        "failurePolicy": "Fail",
    }
    said = {
        "mutatingadmissionpolicies": spec,
        "mutatingadmissionpolicybindings": {"policyName": name},
    }
    _create(cluster, name, said)
    probe = {"metadata": {"name": "probe"}, "spec": {"containers": [{"name": "main", "image": "none"}]}}
    path = f"/api/v1/namespaces/{namespace}/pods?dryRun=All"

    def stays() -> bool:
        made = json.loads(cluster.request("POST", path, json.dumps(probe).encode()))
        return label[0] in made["spec"].get("nodeSelector", {})

    until(stays, "the policy on pods")


@contextlib.contextmanager
def refusing(cluster: ControlPlane, namespace: str, message: str, reason: str = "Invalid") -> Iterator[str]:
    """Have the API server refuse everything in a namespace, and yield the name of the policy that does it.

    Args:
        cluster: whose API server it is.
        namespace: the only one where it does.
        message: what it says.
        reason: what it gives as the reason, on which the code of HTTP depends.
    """
    everything = {"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"], "operations": ["*"]}
    name = f"{namespace}.example.com"
    said: dict[str, Any] = {
        "validatingadmissionpolicies": {
            "matchConstraints": {"resourceRules": [everything], "namespaceSelector": _named(namespace)},
            "validations": [{"expression": "false", "message": message, "reason": reason}],
        },
        "validatingadmissionpolicybindings": {"policyName": name, "validationActions": ["Deny"]},
    }
    _create(cluster, name, said)
    try:
        until(lambda: _refused(cluster, namespace, message))
        yield name
    finally:
        for kinds in said:
            cluster.request("DELETE", f"{_GROUP}/{kinds}/{name}")
    until(lambda: not _refused(cluster, namespace, message))


def _named(namespace: str) -> dict[str, Any]:
    return {"matchLabels": {"kubernetes.io/metadata.name": namespace}}


def _create(cluster: ControlPlane | ExistingCluster, name: str, said: Mapping[str, Any]) -> None:
    """Create a policy and its binding: kind, in the plural, to its spec."""
    for kinds, spec in said.items():
        document = json.dumps({"metadata": {"name": name}, "spec": spec}).encode()
        cluster.request("POST", f"{_GROUP}/{kinds}", document)


def _refused(cluster: ControlPlane, namespace: str, message: str) -> bool:
    probe = json.dumps({"metadata": {"name": "probe"}}).encode()
    try:
        cluster.request("POST", f"/api/v1/namespaces/{namespace}/configmaps?dryRun=All", probe)
    except Refused as refusal:
        return message in str(refusal)
    return False
