"""A profile is taken exactly if the objects that its controller makes of it are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightkube
import older_objects
import pytest
from lightkube.core.exceptions import ApiError
from lightkube.core.resource import NamespacedResource

from kubeflow_charm.cluster.resources import CUSTOM, Kind
from rehearsal import documents

PROFILE = Kind("kubeflow.org/v1", "Profile", "profiles", CUSTOM, namespaced=False)
PODDEFAULT = Kind("kubeflow.org/v1alpha1", "PodDefault", "poddefaults", CUSTOM)
PROFILES = documents.cluster_wide("kubeflow.org", "v1", "Profile", "profiles")
PODDEFAULTS = documents.namespaced("kubeflow.org", "v1alpha1", "PodDefault", "poddefaults")
NAMESPACE = documents.cluster_wide("", "v1", "Namespace", "namespaces")
QUOTA = documents.namespaced("", "v1", "ResourceQuota", "resourcequotas")
POD = documents.namespaced("", "v1", "Pod", "pods")
BINDING = documents.namespaced("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings")
OWNER = {"kind": "User", "name": "ada@example.com"}

Taken = Callable[..., str]


@pytest.fixture(scope="module")
def taken(
    client: lightkube.Client, deployed: object, served: Callable[[Kind], None], model: str
) -> Callable[..., str]:
    """Create an object as a dry run; return what the API server says against it, if it does."""
    served(PROFILE)
    served(PODDEFAULT)

    def taken(kind: Any, name: str, **body: Any) -> str:
        item = kind({"metadata": {"name": name}, **body})
        where: dict[str, Any] = {"namespace": model} if issubclass(kind, NamespacedResource) else {}
        try:
            client.create(item, dry_run=True, **where)
        except ApiError as error:
            if error.status.code == 409:  # another test's
                return ""
            assert error.status.code == 422, error.status.message
            return error.status.message or "?"
        return ""

    return taken


@pytest.mark.parametrize(
    "name",
    [
        *("ada", "a", "1", "2024-team", "a--b", "a" * 63, "null", "yes", "1e3", "0x1f", "kubeflow-user"),
        *("a" * 64, "team.vision", "ada.example.com", "1.5", "a" * 200),
    ],
)
def test_a_name_is_a_namespaces(taken: Taken, name: str):
    refused = taken(PROFILES, name, spec={"owner": OWNER})
    assert bool(refused) == bool(taken(NAMESPACE, name)), refused
    if refused:
        assert "metadata.name" in refused


@pytest.mark.parametrize(
    "owner",
    [
        *({"kind": kind, "name": "ada"} for kind in ("User", "Group", "ServiceAccount")),
        *({"kind": kind, "name": "ada"} for kind in ("Admin", "user", "USER", "Role", "Serviceaccount", "")),
        {"kind": "User", "name": ""},
        {"kind": "User", "name": "Ada O'Hara <ada@example.com>", "apiGroup": "rbac.authorization.k8s.io"},
        {"kind": "User", "name": "system:serviceaccount:a:b", "apiGroup": ""},
        {"kind": "User", "name": "ada", "apiGroup": "v1"},
        {"kind": "Group", "name": "ada", "apiGroup": "rbac.authorization.k8s.io/v1"},
        {"kind": "ServiceAccount", "name": "robot", "namespace": "mlops", "apiGroup": ""},
        {"kind": "ServiceAccount", "name": "robot", "apiGroup": "rbac.authorization.k8s.io"},
        {"kind": "ServiceAccount", "name": "robot@example.com", "namespace": "mlops"},
        {"kind": "ServiceAccount", "name": "Robot", "namespace": "mlops"},
        {"kind": "ServiceAccount", "name": "r.obot-1", "namespace": "mlops"},
    ],
    ids=str,
)
def test_an_owner_is_a_subject_of_a_binding(taken: Taken, owner: dict[str, str]):
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "kubeflow-admin"}
    refused = taken(PROFILES, "x", spec={"owner": owner})
    assert bool(refused) == bool(taken(BINDING, "x", roleRef=role, subjects=[owner])), refused


@pytest.mark.parametrize("spec", [None, {}, {"plugins": []}], ids=str)
def test_a_profile_has_an_owner(taken: Taken, spec: Any):
    body = {} if spec is None else {"spec": spec}
    assert "spec.owner must be there" in taken(PROFILES, "x", **body)


def _selected(scope: str, operator: str, *values: str) -> Any:
    requirement: dict[str, Any] = {"scopeName": scope, "operator": operator}
    if values:
        requirement["values"] = list(values)
    return {"matchExpressions": [requirement]}


@pytest.mark.parametrize(
    "quota",
    [
        *(
            {"hard": {key: "1"}}
            for key in (
                *("cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "limits.cpu"),
                *("limits.memory", "requests.storage", "requests.ephemeral-storage"),
                *("limits.ephemeral-storage", "pods", "services", "services.loadbalancers"),
                *("services.nodeports", "secrets", "configmaps", "persistentvolumeclaims", "resourcequotas"),
                *("replicationcontrollers", "count/jobs.batch", "count/notebooks.kubeflow.org"),
                *("requests.nvidia.com/gpu", "nvidia.com/gpu", "limits.nvidia.com/gpu", "hugepages-2Mi"),
                *("requests.hugepages-1Gi", "requests.nvidia.com/mig-1g.5gb"),
                "fast.storageclass.storage.k8s.io/requests.storage",
                "fast.storageclass.storage.k8s.io/persistentvolumeclaims",
                *(
                    "requestsGpu",
                    "limitsMemory",
                    "gpu",
                    "CPU",
                    "Cpu",
                    "requests.gpu",
                    "limits.gpu",
                    "mem",
                    "storage",
                ),
                *("limits.storage", "request.cpu", "requests.pods", "pod", "deployments", "jobs.batch", ""),
                *("count/", "/gpu", "nvidia.com/", "nvidia.com/gpu/1", "a b", "-cpu", "Nvidia.com/gpu"),
                *(
                    "nvidia_com/gpu",
                    "nvidia.com/GPU",
                    "nvidia..com/gpu",
                    "x/" + "g" * 64,
                    "cpu ",
                    "requests.cpu:",
                ),
            )
        ),
        *(
            {"hard": {"memory": value}}
            for value in ("1Gi", "1.5Gi", 4, 0, "1e3", "100m", "+1", ".5", "5.", "1E", "12e6")
        ),
        *({"hard": {"memory": value}} for value in ("-1", -1, "-1Gi")),
        *({"hard": {"pods": value}} for value in ("10", 10, "1k", "2500m", "0.5", "1.0", "1e1", "2000m")),
        {"hard": {"pods": "5"}, "scopes": ["BestEffort"]},
        {"hard": {"cpu": "5"}, "scopes": ["BestEffort"]},
        {"hard": {"cpu": "5", "pods": "1"}, "scopes": ["NotBestEffort", "Terminating"]},
        {"hard": {"secrets": "5"}, "scopes": ["NotTerminating"]},
        {"hard": {"persistentvolumeclaims": "5"}, "scopes": ["NotTerminating"]},
        {"hard": {"requests.nvidia.com/gpu": "5"}, "scopes": ["NotTerminating"]},
        {"hard": {"pods": "5"}, "scopes": ["BestEffort", "NotBestEffort"]},
        {"hard": {"pods": "5"}, "scopes": ["Terminating", "NotTerminating"]},
        {"hard": {"pods": "5"}, "scopes": ["Nonsense"]},
        {"hard": {"pods": "5"}, "scopes": ["bestEffort"]},
        {"hard": {"pods": "5"}, "scopeSelector": _selected("PriorityClass", "In", "low")},
        {"hard": {"pods": "5"}, "scopeSelector": _selected("PriorityClass", "Exists")},
        {"hard": {"pods": "5"}, "scopeSelector": _selected("PriorityClass", "In")},
        {"hard": {"pods": "5"}, "scopeSelector": _selected("PriorityClass", "Exists", "low")},
        {"hard": {"pods": "5"}, "scopeSelector": _selected("BestEffort", "DoesNotExist")},
        {"hard": {"pods": "5"}, "scopeSelector": _selected("CrossNamespacePodAffinity", "Exists")},
        {"hard": {"services": "5"}, "scopeSelector": _selected("PriorityClass", "Exists")},
        {"hard": {"pods": "5"}, "scopeSelector": _selected("Priority", "Exists")},
        {"hard": {"pods": "5"}, "scopeSelector": _selected("PriorityClass", "Equals", "low")},
        {
            "hard": {"persistentvolumeclaims": "5"},
            "scopeSelector": _selected("VolumeAttributesClass", "Exists"),
        },
        {"hard": {"pods": "5"}, "scopeSelector": _selected("VolumeAttributesClass", "Exists")},
        {"hard": {"requestsGpu": "1", "limitsMemory": "20Gi", "cpu": "10", "pods": "20"}},
    ],
    ids=str,
)
def test_a_quota_is_a_resource_quota(taken: Taken, quota: Any):
    refused = taken(PROFILES, "x", spec={"owner": OWNER, "resourceQuotaSpec": quota})
    theirs = taken(QUOTA, "x", spec=quota)
    assert bool(refused) == bool(theirs), (refused, theirs)


@pytest.mark.parametrize("name", ["access-ml-pipeline", "a.b", "p" * 52, "p" * 53, "p" * 200])
def test_the_name_of_a_pod_default_fits_into_an_annotation(taken: Taken, name: str):
    refused = taken(PODDEFAULTS, name, spec={"selector": {}})
    annotations = {f"poddefault.admission.kubeflow.org/poddefault-{name}": "1"}
    pod = POD(
        {
            "metadata": {"name": "x", "annotations": annotations},
            "spec": {"containers": [{"name": "a", "image": "a"}]},
        }
    )
    theirs = taken(POD, "x", **{"metadata": {"name": "x", "annotations": annotations}, "spec": pod["spec"]})
    assert bool(refused) == bool(theirs), (refused, theirs)


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"owner": OWNER | {"name": "grace@example.com"}}, False),
        ({"owner": {"kind": "Group", "name": OWNER["name"]}}, True),
        ({"owner": OWNER, "resourceQuotaSpec": {"hard": {"cpu": "1"}}}, True),
        ({}, False),
        ({"plugins": []}, False),
    ],
    ids=str,
)
def test_the_owner_stays(client: lightkube.Client, taken: Taken, change: Any, kept: bool):
    name = "owned"
    client.apply(PROFILES({"metadata": {"name": name}, "spec": {"owner": OWNER}}), field_manager="x")
    live = client.get(PROFILES, name)
    live["spec"] = change
    try:
        if kept:
            client.replace(live, dry_run=True)
            return
        with pytest.raises(ApiError) as refused:
            client.replace(live, dry_run=True)
    finally:
        client.delete(PROFILES, name)
    assert "the owner cannot change" in str(refused.value) or "must be there" in str(refused.value)


def test_a_profile_that_failed_may_be_given_back(client: lightkube.Client, taken: Taken):
    wrong = OWNER | {"name": "grace@example.com"}
    base = {"metadata": {"name": "failed"}, "spec": {"owner": wrong}}
    client.apply(PROFILES(base), field_manager="x")
    live = client.get(PROFILES, "failed")
    live["status"] = {"conditions": [{"type": "Failed", "message": "not owned by profile creator"}]}
    live = client.replace(live)
    live["spec"]["owner"] = OWNER
    assert client.replace(live)["spec"]["owner"] == OWNER
    client.delete(PROFILES, "failed")


OLD = [
    {"metadata": {"name": "kind-admin"}, "spec": {"owner": OWNER | {"kind": "Admin"}}},
    {"metadata": {"name": "b" * 64}, "spec": {"owner": OWNER}},
    {"metadata": {"name": "team.vision"}, "spec": {"owner": OWNER}},
    {"metadata": {"name": "nobodys"}, "spec": {}},
    {
        "metadata": {"name": "quota-bad"},
        "spec": {"owner": OWNER, "resourceQuotaSpec": {"hard": {"requestsGpu": "1", "cpu": "10"}}},
    },
    {
        "metadata": {"name": "scope-bad"},
        "spec": {"owner": OWNER, "resourceQuotaSpec": {"hard": {"cpu": "1"}, "scopes": ["BestEffort", "No"]}},
    },
]


def test_profiles_from_before_the_rules_stay_usable(client: lightkube.Client, profiles: Any, namespace: str):
    definition = profiles.render()["CustomResourceDefinition/profiles.kubeflow.org"]
    with older_objects.kept(client, definition, OLD, namespace) as kind:
        for old in OLD:
            name = old["metadata"]["name"]
            live = client.get(kind, name)
            live["metadata"].update(labels={"a": "b"}, finalizers=["profile-finalizer"])
            live = client.replace(live)
            live["status"] = {"conditions": [{"type": "Failed", "message": "x"}]}
            live = client.replace(live)
            live["spec"]["plugins"] = [{"kind": "AwsIamForServiceAccount", "spec": {"awsIamRole": "r"}}]
            live = client.replace(live)
            live["spec"]["owner"] = OWNER
            live["spec"]["resourceQuotaSpec"] = {"hard": {"requests.nvidia.com/gpu": "1"}}
            live = client.replace(live)
            live["metadata"]["finalizers"] = []
            client.replace(live)
            client.delete(kind, name)
            assert name not in {each["metadata"]["name"] for each in client.list(kind)}
