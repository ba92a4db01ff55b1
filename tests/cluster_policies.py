"""Policies of a cluster, as its administrators have them beside our charms."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.cluster.existing import Refused
from rehearsal.patience import until

_GROUP = "/apis/admissionregistration.k8s.io/v1"


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
    there = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    name = f"{namespace}.example.com"
    said: dict[str, Any] = {
        "validatingadmissionpolicies": {
            "matchConstraints": {"resourceRules": [everything], "namespaceSelector": there},
            "validations": [{"expression": "false", "message": message, "reason": reason}],
        },
        "validatingadmissionpolicybindings": {"policyName": name, "validationActions": ["Deny"]},
    }
    for kinds, spec in said.items():
        document = json.dumps({"metadata": {"name": name}, "spec": spec}).encode()
        cluster.request("POST", f"{_GROUP}/{kinds}", document)
    try:
        until(lambda: _refused(cluster, namespace, message))
        yield name
    finally:
        for kinds in said:
            cluster.request("DELETE", f"{_GROUP}/{kinds}/{name}")
    until(lambda: not _refused(cluster, namespace, message))


def _refused(cluster: ControlPlane, namespace: str, message: str) -> bool:
    probe = json.dumps({"metadata": {"name": "probe"}}).encode()
    try:
        cluster.request("POST", f"/api/v1/namespaces/{namespace}/configmaps?dryRun=All", probe)
    except Refused as refusal:
        return message in str(refusal)
    return False
