"""Rights of the programs of all charms: verbs by name, and none that reads everybody's secrets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from rendering import MODEL, everything

from kubeflow_charm.cluster.resources import Manifest

SECRETS = {
    "katib-controller": "asks registries about images with the pull secrets of trials' pods, by their names "
    "(katib, pkg/webhook/v1beta1/pod/utils.go); it cannot list any",
    "kserve-controller-manager": "gets the Secrets that service accounts and InferenceServices name, for the pods "
    "that fetch models (kserve v0.16.0, pkg/credentials); it cannot list any",
    "llmisvc-controller-manager": "makes a certificate for each LLMInferenceService, and watches those that it made "
    "(kserve v0.16.0, pkg/controller/v1alpha1/llmisvc/workload_tls_self_signed.go)",
    "kubeflow-trainer-controller-manager": "watches the SSH keys that it makes for MPI jobs, in all namespaces "
    "(trainer v2.1.0, pkg/runtime/framework/plugins/mpi/mpi.go)",
}
"""Account to why it may read Secrets whose names its rules do not say, everywhere."""
SECRETS_OF_THE_MODEL = {
    "training-operator": "watches the Secret of its certificate, and its watch does not name the Secret "
    "(cert-controller, pkg/rotator)"
}
"""Account to why it may read all Secrets of the model's namespace."""
STARS = {
    "katib-controller": (
        {"apiGroups": ["kubeflow.org"], "resources": ["trials", "trials/status"], "verbs": ["*"]},
        "gives just this right to early stopping services, and nobody gives what he does not have",
    )
}
"""Account to a right with a star, and why it has that."""
EXEC = {
    "argo": "stops a run by signals to the containers of its pods (argo-workflows, workflow/signal)",
    "training-operator": "gives just this right to launchers of MPIJobs, which start the workers' processes",
}
"""Account to why it may run a command in the pods of others, and nothing else there."""


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    return everything(tmp_path_factory.mktemp("charms"))


BINDINGS = ("RoleBinding", "ClusterRoleBinding")


def rules(
    objects: list[Manifest], bindings: tuple[str, ...] = BINDINGS
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield account and rule of all that is bound to service accounts of the platform."""
    roles = {
        (item["kind"], item["metadata"]["name"]): item
        for item in objects
        if item["kind"] in ("Role", "ClusterRole")
    }
    for binding in (item for item in objects if item["kind"] in bindings):
        for subject in binding["subjects"]:
            if subject["kind"] == "ServiceAccount" and subject["namespace"] == MODEL:
                role = roles[binding["roleRef"]["kind"], binding["roleRef"]["name"]]
                yield from ((subject["name"], rule) for rule in role["rules"])


def test_no_program_has_a_right_with_a_star(objects: list[Manifest]) -> None:
    stars = [
        (account, rule)
        for account, rule in rules(objects)
        if rule != STARS.get(account, ({}, ""))[0]
        and any(
            "*" in rule.get(field, ()) for field in ("apiGroups", "resources", "verbs", "nonResourceURLs")
        )
    ]
    assert not stars


@pytest.mark.parametrize(
    ("binding", "readers"),
    [("ClusterRoleBinding", SECRETS), ("RoleBinding", SECRETS_OF_THE_MODEL)],
)
def test_no_program_reads_secrets_but_those_it_names(
    objects: list[Manifest], binding: str, readers: dict[str, str]
) -> None:
    found = {
        account
        for account, rule in rules(objects, (binding,))
        if "secrets" in rule.get("resources", ()) and not rule.get("resourceNames")
    }
    assert found == readers.keys()


def test_no_program_lists_all_secrets_but_those_that_make_some_everywhere(objects: list[Manifest]) -> None:
    listing = {
        account
        for account, rule in rules(objects, ("ClusterRoleBinding",))
        if "secrets" in rule.get("resources", ()) and rule["verbs"] != ["get"]
    }
    assert listing == {"kubeflow-trainer-controller-manager", "llmisvc-controller-manager"}


def test_no_program_gets_into_others_or_gives_itself_rights(objects: list[Manifest]) -> None:
    for account, rule in rules(objects):
        resources = {*rule.get("resources", ())}
        assert not resources & {"pods/attach", "pods/portforward", "serviceaccounts/token"}, account
        if "pods/exec" in resources:
            assert account in EXEC, account
            assert rule["verbs"] == ["create"]
        assert not {"impersonate", "escalate"} & {*rule["verbs"]}, account
        if "bind" in rule["verbs"]:
            assert rule["resourceNames"], account


def test_every_account_with_rights_runs_a_pod(objects: list[Manifest]) -> None:
    running = {
        item["spec"]["template"]["spec"]["serviceAccountName"]
        for item in objects
        if item["kind"] == "Deployment"
    }
    assert {account for account, _ in rules(objects)} <= running
    accounts = {item["metadata"]["name"] for item in objects if item["kind"] == "ServiceAccount"}
    assert accounts == running


def test_leases_are_those_of_the_program_itself(objects: list[Manifest]) -> None:
    for account, rule in rules(objects):
        if "leases" in rule.get("resources", ()):
            assert rule["verbs"] == ["create"] or rule.get("resourceNames"), account
