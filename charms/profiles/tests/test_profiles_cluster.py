"""The charm against a real API server: what only shows there."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import lightkube
import ops
import pytest
import tenacity
import yaml
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import Namespace
from lightkube.types import PatchType

from rehearsal import documents as documents_of
from rehearsal.patience import PATIENCE

ENFORCE = "pod-security.kubernetes.io/enforce"
PROFILE = {"app.kubernetes.io/part-of": "kubeflow-profile"}


@pytest.fixture
def labelled(client: lightkube.Client) -> Any:
    """Make namespaces with labels; they go when the test ends."""
    made = []

    def labelled(name: str, labels: dict[str, str]) -> Callable[[], str | None]:
        client.create(Namespace(metadata=ObjectMeta(name=name, labels=labels)))
        made.append(name)
        return lambda: client.get(Namespace, name).metadata.labels.get(ENFORCE)  # type: ignore[union-attr]

    yield labelled
    for name in made:
        client.delete(Namespace, name)


def test_it_becomes_active(profiles, deployed, model):
    for attempt in tenacity.Retrying(stop=tenacity.stop_after_delay(PATIENCE), wait=tenacity.wait_fixed(0.5)):
        with attempt:
            assert profiles.run(model).unit_status == ops.ActiveStatus()


OWNED = {"spec": {"owner": {"kind": "User", "name": "ada@example.com"}}}
MADE = {"finalizers": ["profile-finalizer"]}
FAILED = {"status": {"conditions": [{"type": "Failed", "message": "namespace already exist"}]}}
ONE = "1 profile is not ready: kubectl get profiles; kubectl logs -n {model} deploy/profiles-deployment"


@pytest.mark.parametrize(
    ("documents", "owner", "message"),
    [
        ([{"metadata": {"name": "team-x", **MADE}, **OWNED}], None, ""),
        ([{"metadata": {"name": "team-x"}, **OWNED}], None, ONE),
        ([{"metadata": {"name": "of-grace", **MADE}, **OWNED, **FAILED}], "grace@example.com", ONE),
        ([{"metadata": {"name": "team-x", **MADE}, **OWNED, **FAILED}], None, ONE),
        ([{"metadata": {"name": "of-ada", **MADE}, **OWNED, **FAILED}], "ada@example.com", ""),
        (
            [
                {"metadata": {"name": "team-x"}, **OWNED},
                {"metadata": {"name": "team-y", **MADE}, **OWNED, **FAILED},
                {"metadata": {"name": "team-z", **MADE}, **OWNED},
            ],
            None,
            ONE.replace("1 profile is", "2 profiles are"),
        ),
    ],
)
def test_it_says_how_many_profiles_are_not_what_they_ask_for(
    profiles, deployed, model, client, documents, owner, message
):
    message = message.format(model=model)
    kind = documents_of.cluster_wide("kubeflow.org", "v1", "Profile", "profiles")
    namespace = documents[0]["metadata"]["name"]
    if owner:
        client.create(Namespace(metadata=ObjectMeta(name=namespace, annotations={"owner": owner})))
    try:
        for each in documents:
            client.create(kind(copy.deepcopy(each)))
        for attempt in tenacity.Retrying(stop=tenacity.stop_after_delay(60), wait=tenacity.wait_fixed(0.5)):
            with attempt:
                assert profiles.run(model).unit_status == ops.ActiveStatus(message)
        assert len(message) <= 120
    finally:
        for each in documents:
            name, patch = each["metadata"]["name"], {"metadata": {"finalizers": None}}
            client.patch(kind, name, patch, patch_type=PatchType.MERGE)
            client.delete(kind, name)
        if owner:
            client.delete(Namespace, namespace)


def test_the_dashboard_is_told_the_services_name_and_port(deployed):
    (relation,) = deployed.get_relations("kubeflow-profiles")
    assert yaml.safe_load(relation.local_app_data["data"]) == {
        "service-name": "profiles-kfam",
        "service-port": "8081",
    }
    assert yaml.safe_load(relation.local_app_data["_supported_versions"]) == ["v1"]


def test_security_policy_reaches_profiles_that_exist(profiles, deployed, model, labelled):
    with_another = labelled("team-a", PROFILE | {ENFORCE: "privileged"})
    with_none = labelled("team-b", PROFILE)
    not_a_profile = labelled("tools", {ENFORCE: "privileged"})
    profiles.run(model, {"security-policy": "baseline"})
    assert (with_another(), with_none(), not_a_profile()) == ("baseline", "baseline", "privileged")


def test_security_policy_leaves_the_platforms_own_namespace_alone(profiles, deployed, model, client):
    client.patch(Namespace, model, {"metadata": {"labels": PROFILE}}, patch_type=PatchType.MERGE)
    try:
        profiles.run(model, {"security-policy": "baseline"})
        assert ENFORCE not in client.get(Namespace, model).metadata.labels
    finally:
        clear = {"metadata": {"labels": dict.fromkeys(PROFILE)}}
        client.patch(Namespace, model, clear, patch_type=PatchType.MERGE)


def test_a_change_of_labels_restarts_nothing(profiles, deployed, model, client):
    before = client.get(Deployment, "profiles-deployment", namespace=model).metadata.generation
    profiles.run(model, {"default-namespace-labels": "team: ml"})
    assert client.get(Deployment, "profiles-deployment", namespace=model).metadata.generation == before


def test_a_wrong_option_leaves_the_cluster_as_it_was(profiles, deployed, model, client):
    before = client.get(Deployment, "profiles-deployment", namespace=model).metadata.resourceVersion
    status = profiles.run(model, {"security-policy": "none"}).unit_status
    after = client.get(Deployment, "profiles-deployment", namespace=model).metadata.resourceVersion
    assert isinstance(status, ops.BlockedStatus)
    assert after == before
