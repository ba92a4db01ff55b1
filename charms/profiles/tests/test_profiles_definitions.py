"""Profile and PodDefault documents that the API server takes, and that it does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightkube
import pytest
from lightkube.core.exceptions import ApiError

from kubeflow_charm.cluster.resources import CUSTOM, Kind
from rehearsal import documents

PROFILES = {
    version: Kind(f"kubeflow.org/{version}", "Profile", "profiles", CUSTOM, namespaced=False)
    for version in ("v1", "v1beta1")
}
PODDEFAULT = Kind("kubeflow.org/v1alpha1", "PodDefault", "poddefaults", CUSTOM)
OWNER = {"kind": "User", "name": "ada@example.com"}


@pytest.fixture(scope="module")
def submit(
    client: lightkube.Client, deployed: object, served: Callable[[Kind], None], model: str
) -> Callable[[Kind, Any], Any]:
    """Apply a spec with strict validation, as a dry run, and return what would be stored."""
    served(PROFILES["v1"])
    served(PODDEFAULT)

    def submit(kind: Kind, spec: Any) -> Any:
        document = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": "x"}}
        where: dict[str, Any] = {"namespace": model} if kind.namespaced else {}
        return client.apply(kind.resource(document | {"spec": spec}), "x", dry_run=True, **where)["spec"]

    return submit


QUOTA = {
    "hard": {"cpu": "4", "memory": "2.5Gi", "requests.nvidia.com/gpu": 1, "pods": "1"},
    "scopes": ["NotTerminating"],
    "scopeSelector": {
        "matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["low"]}]
    },
}


@pytest.mark.parametrize("version", PROFILES)
@pytest.mark.parametrize(
    "spec",
    [
        {"owner": OWNER},
        {"owner": {"kind": "ServiceAccount", "name": "robot", "namespace": "mlops", "apiGroup": ""}},
        {"owner": OWNER, "resourceQuotaSpec": {}},
        {"owner": OWNER, "resourceQuotaSpec": QUOTA},
        {
            "owner": OWNER,
            "plugins": [
                {"kind": "WorkloadIdentity", "spec": {"gcpServiceAccount": "a@b"}},
                {
                    "apiVersion": "v1",
                    "kind": "AwsIamForServiceAccount",
                    "spec": {
                        "awsIamRole": "arn:aws:iam::1:role/x",
                        "annotateOnly": True,
                        "deep": {"er": [1]},
                    },
                },
            ],
        },
    ],
)
def test_profile_is_taken_and_kept_whole(submit, version, spec):
    assert submit(PROFILES[version], spec) == spec


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"owner": {"kind": "User"}}, "spec.owner.name: Required value"),
        ({"owner": {"name": "ada"}}, "spec.owner.kind: Required value"),
        ({"owner": "ada"}, "spec.owner"),
        ({"owners": [OWNER]}, "field not declared in schema"),
        ({}, "spec.owner must be there"),
        ({"plugins": [{"kind": "X", "spec": "text"}]}, "spec.plugins[0].spec"),
        ({"resourceQuotaSpec": {"hard": {"cpu": "four"}}}, "should match"),
        ({"resourceQuotaSpec": {"hard": {"cpu": True}}}, "spec.resourceQuotaSpec.hard.cpu"),
        (
            {"resourceQuotaSpec": {"scopeSelector": {"matchExpressions": [{"scopeName": "Terminating"}]}}},
            "operator: Required value",
        ),
    ],
)
def test_profile_is_refused(submit, spec, said):
    with pytest.raises(ApiError) as refused:
        submit(PROFILES["v1"], spec)
    assert said in str(refused.value)


SELECTOR = {"matchLabels": {"access-ml-pipeline": "true"}}


@pytest.mark.parametrize(
    "spec",
    [
        {"selector": {}},
        {"selector": SELECTOR, "desc": "Allow access to Kubeflow Pipelines"},
        {"selector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}},
        {
            "selector": SELECTOR,
            "annotations": {"a": "b"},
            "labels": {"c": "d"},
            "args": ["-v"],
            "command": ["sh"],
            "serviceAccountName": "default-editor",
            "automountServiceAccountToken": False,
            "imagePullSecrets": [{"name": "registry"}],
        },
        {
            "selector": SELECTOR,
            "env": [
                {"name": "A", "value": "1"},
                {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": True}}},
                {"name": "C", "valueFrom": {"fileKeyRef": {"path": "p", "volumeName": "v", "key": "k"}}},
            ],
            "envFrom": [{"prefix": "X_", "configMapRef": {"name": "c"}}, {"secretRef": {"name": "s"}}],
        },
        {
            "selector": SELECTOR,
            "volumes": [
                {
                    "name": "token",
                    "projected": {"sources": [{"serviceAccountToken": {"path": "t", "audience": "x"}}]},
                },
                {"name": "model", "image": {"reference": "registry/model:1"}},
            ],
            "volumeMounts": [{"name": "token", "mountPath": "/t", "readOnly": True, "subPath": "a"}],
        },
        {
            "selector": SELECTOR,
            "tolerations": [
                {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
                {"key": "k", "operator": "Equal", "value": "v", "tolerationSeconds": 30},
            ],
            "initContainers": [{"name": "init", "image": "busybox", "restartPolicy": "Always"}],
            "sidecars": [
                {"name": "proxy", "image": "proxy", "ports": [{"containerPort": 1, "protocol": "TCP"}]}
            ],
        },
    ],
)
def test_poddefault_is_taken_and_kept_whole(submit, spec):
    assert submit(PODDEFAULT, spec) == spec


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"desc": "all pods"}, "spec.selector: Required value"),
        ({"selector": {"matchLabel": {}}}, "field not declared in schema"),
        ({"selector": {"matchExpressions": [{"key": "a"}]}}, "operator: Required value"),
        ({"selector": SELECTOR, "env": [{"value": "1"}]}, "name: Required value"),
        ({"selector": SELECTOR, "env": [{"name": "A", "text": "1"}]}, "field not declared in schema"),
        ({"selector": SELECTOR, "volumes": [{"emptyDir": {}}]}, "name: Required value"),
        ({"selector": SELECTOR, "volumeMounts": [{"name": "v"}]}, "mountPath: Required value"),
        ({"selector": SELECTOR, "tolerations": [{"tolerationSeconds": "1"}]}, "tolerationSeconds"),
        ({"selector": SELECTOR, "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "2.0GB"}}]}, "sizeLimit"),
        (
            {"selector": SELECTOR, "volumes": [{"name": "v", "secret": {"defaultMode": "0644"}}]},
            "defaultMode",
        ),
        (
            {"selector": SELECTOR, "volumes": [{"name": "v", "configmap": {"name": "x"}}]},
            "field not declared",
        ),
        (
            {"selector": SELECTOR, "sidecars": [{"name": "a", "ports": [{"containerPort": "8888"}]}]},
            "containerPort",
        ),
        (
            {
                "selector": SELECTOR,
                "initContainers": [{"name": "a", "resources": {"limits": {"cpu": "1 core"}}}],
            },
            "limits.cpu",
        ),
    ],
)
def test_poddefault_is_refused(submit, spec, said):
    with pytest.raises(ApiError) as refused:
        submit(PODDEFAULT, spec)
    assert said in str(refused.value)


def test_a_profile_of_one_version_is_read_in_the_other(client, submit):
    old, new = PROFILES["v1beta1"], PROFILES["v1"]
    document = {
        "apiVersion": old.api_version,
        "kind": "Profile",
        "metadata": {"name": "grace"},
        "spec": {"owner": OWNER},
    }
    client.apply(old.resource(document), "grace")
    assert client.get(new.resource, "grace")["spec"] == {"owner": OWNER}
    client.delete(new.resource, "grace")


def test_what_the_controller_says_of_a_profile_is_kept_once(client, submit):
    """Upstream's controller adds the condition by an ordinary update, whenever it looks at the profile."""
    kind = documents.cluster_wide("kubeflow.org", "v1", "Profile", "profiles")
    condition = {"type": "Failed", "message": "namespace already exist, but not owned by profile creator"}
    base = {"apiVersion": "kubeflow.org/v1", "kind": "Profile", "metadata": {"name": "joan"}}
    client.apply(kind(base | {"spec": {"owner": OWNER}}), field_manager="test")

    def add() -> None:
        live = client.get(kind, "joan")
        conditions = live.get("status", {}).get("conditions", [])
        live["status"] = {"conditions": [*conditions, condition]}
        client.replace(live)

    add()
    with pytest.raises(ApiError, match="Duplicate value"):
        add()
    assert client.get(kind, "joan")["status"] == {"conditions": [condition]}
    client.delete(kind, "joan")
