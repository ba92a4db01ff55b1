"""Which objects the API server asks Katib's controller about: those that wait for it when it is away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from lightkube.core.exceptions import ApiError
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Namespace

from kubeflow_charm.cluster.executor import Cluster
from rehearsal import documents
from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.patience import until

POD = documents.namespaced("", "v1", "Pod", "pods")
GROUP = "admissionregistration.k8s.io"
POLICY = documents.cluster_wide(GROUP, "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies")
BINDING = documents.cluster_wide(
    GROUP, "v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"
)
NAME, CALLED = "katib-webhooks-called", "the webhook would be called"
TRIALS, ELSEWHERE = "katib-webhooks-trials", "katib-webhooks-elsewhere"
CONTROLLER = "system:serviceaccount:katib-webhooks:katib-controller"


@pytest.fixture(scope="module")
def matched(katib: Any, cluster: ControlPlane, client: Any) -> Iterator[None]:
    """A policy that refuses what the webhook would be called for: the cluster of tests calls no webhooks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Cluster, "definitions", lambda _: set())
        patch.setattr(Cluster, "nodes", lambda _: [])
        rendered = katib.render(model="katib-webhooks")
    *_, webhook = rendered["MutatingWebhookConfiguration/katib.kubeflow.org"]["webhooks"]
    constraints = {"resourceRules": webhook["rules"], "namespaceSelector": webhook["namespaceSelector"]}
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": constraints,
        "matchConditions": webhook["matchConditions"],
        "validations": [{"expression": "false", "message": CALLED}],
    }
    binding = {"policyName": NAME, "validationActions": ["Deny"]}
    for kind, body in ((POLICY, spec), (BINDING, binding)):
        client.apply(kind({"metadata": {"name": NAME}, "spec": body}), field_manager="test")
    labels = {"katib.kubeflow.org/metrics-collector-injection": "enabled"}
    client.create(Namespace(metadata=ObjectMeta(name=TRIALS, labels=labels)))
    client.create(Namespace(metadata=ObjectMeta(name=ELSEWHERE)))
    # The API server takes up a policy a moment after it is written.
    until(lambda: refusal(client, TRIALS, [owner("batch/v1", "Job")]))
    yield
    for kind in (BINDING, POLICY):
        client.delete(kind, NAME)
    for name in (TRIALS, ELSEWHERE):
        client.delete(Namespace, name)


def owner(api_version: str, kind: str) -> dict[str, Any]:
    """Return a reference to an owner."""
    return {"apiVersion": api_version, "kind": kind, "name": "a", "uid": "1", "controller": True}


def refusal(client: Any, namespace: str, owners: list[dict[str, Any]]) -> str:
    """Create a pod as a dry run; return what the API server says against it."""
    metadata = {"name": "p"} | ({"ownerReferences": owners} if owners else {})
    pod = POD({"metadata": metadata, "spec": {"containers": [{"name": "c", "image": "a"}]}})
    try:
        client.apply(pod, field_manager="test", namespace=namespace, dry_run=True)
    except ApiError as error:
        return error.status.message or "refused"
    return ""


@pytest.mark.parametrize(
    ("namespace", "owners", "asked"),
    [
        (TRIALS, [], False),
        (TRIALS, [owner("apps/v1", "ReplicaSet")], False),
        (TRIALS, [owner("apps/v1", "StatefulSet")], False),
        (TRIALS, [owner("batch/v1", "Job")], True),
        (TRIALS, [owner("kubeflow.org/v1", "PyTorchJob")], True),
        (ELSEWHERE, [owner("batch/v1", "Job")], False),
    ],
    ids=str,
)
def test_only_pods_that_a_trial_may_own_wait_for_the_controller(
    client: Any, matched: None, namespace: str, owners: list[Any], asked: bool
):
    said = refusal(client, namespace, owners)
    assert (CALLED in said) == bool(said) == asked


def test_experiments_wait_for_the_controller_and_its_own_pods_do_not(katib: Any, offline: Any):
    rendered = katib.render(model="katib-webhooks")
    validating = rendered["ValidatingWebhookConfiguration/katib.kubeflow.org"]["webhooks"]
    mutating = rendered["MutatingWebhookConfiguration/katib.kubeflow.org"]["webhooks"]
    paths = {each["name"]: each["clientConfig"]["service"]["path"] for each in (*validating, *mutating)}
    assert paths == {
        "validator.experiment.katib.kubeflow.org": "/validate-experiment",
        "defaulter.experiment.katib.kubeflow.org": "/mutate-experiment",
        "mutator.pod.katib.kubeflow.org": "/mutate-pod",
    }
    for webhook in (*validating, mutating[0]):
        (rule,) = webhook["rules"]
        assert (rule["apiVersions"], rule["operations"], rule["resources"]) == (
            ["v1beta1"],
            ["CREATE", "UPDATE"],
            ["experiments"],
        )
        assert "namespaceSelector" not in webhook
    conditions = {each["name"]: each["expression"] for each in mutating[1]["matchConditions"]}
    assert conditions["exclude-katib-controller"] == f'request.userInfo.username != "{CONTROLLER}"'
