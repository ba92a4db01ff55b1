"""What becomes of a Profile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from lightkube.types import PatchType
from player_bench import GARBAGE_COLLECTED, Bench, owners, until

from rehearsal.players import kinds
from rehearsal.players.players import Players

PROGRAM = "profile-controller"
OWNER = {"kind": "User", "name": "alice@example.com"}
PATH = "/etc/profile-controller"
LABELS = {"app.kubernetes.io/part-of": "kubeflow-profile", "istio-injection": ""}
WORDS = ["/manager", "-leader-elect", "-userid-header", "$(HEADER)", "-userid-prefix", ""]


class Profiles:
    """Profiles whose names begin with the test's namespace."""

    def __init__(self, bench: Bench):
        self.bench = bench
        self.client = bench.client
        self.name = f"{bench.namespace}-alice"

    def make(self, **spec: Any) -> None:
        self.client.create(
            any_kind(kinds.PROFILE)({"metadata": {"name": self.name}, "spec": {"owner": OWNER, **spec}})
        )

    def get(self, kind: Any, name: str) -> Any:
        return self.bench.get(kind, name, self.name)

    def find(self, kind: Any, name: str) -> Any:
        return self.bench.find(kind, name, self.name)

    def made(self) -> Any:
        """Return the profile when all has been made."""

        def look():
            found = self.bench.find(kinds.PROFILE, self.name)
            return found if found and "profile-finalizer" in found["metadata"].get("finalizers", []) else None

        return until(look, "the finalizer")

    def change(self, **spec: Any) -> None:
        patch = {"spec": spec}
        self.client.patch(kinds.PROFILE, self.name, patch, patch_type=PatchType.MERGE)


def any_kind(kind: Any) -> Any:
    return kind


def labels_file(bench: Bench, labels: dict[str, str]) -> dict[str, Any]:
    text = "".join(f"{name}: {value!r}\n" for name, value in labels.items())
    return {
        "metadata": {"name": "labels", "namespace": bench.namespace},
        "data": {"namespace-labels.yaml": text},
    }


@pytest.fixture
def profiles(bench: Bench) -> Iterator[Profiles]:
    """The controller as the profiles charm deploys it."""
    bench.create(kinds.CONFIG_MAP, labels_file(bench, LABELS))
    bench.deploy(
        {"HEADER": "kubeflow-userid", "KFP_UI_PRINCIPAL": "cluster.local/ns/model/sa/ui"},
        command=WORDS,
        volumeMounts=[{"name": "labels", "mountPath": PATH}],
        volumes=[{"name": "labels", "configMap": {"name": "labels"}}],
    )
    profiles = Profiles(bench)
    yield profiles
    if bench.find(kinds.PROFILE, profiles.name):
        bench.client.delete(kinds.PROFILE, profiles.name)
        until(lambda: bench.find(kinds.PROFILE, profiles.name) is None, "the profile to go")


def test_it_becomes_a_namespace_of_its_owner(profiles: Profiles):
    profiles.make()
    profiles.made()
    namespace = profiles.get(kinds.NAMESPACE, profiles.name)
    assert namespace["metadata"]["annotations"] == {"owner": "alice@example.com"}
    assert namespace["metadata"]["labels"] == {
        "kubernetes.io/metadata.name": profiles.name,
        "app.kubernetes.io/part-of": "kubeflow-profile",
    }
    assert owners(namespace) == [("Profile", profiles.name, True)]


def test_a_profile_without_a_quota_says_so_from_then_on(profiles: Profiles):
    profiles.make()
    assert profiles.made()["spec"] == {"owner": OWNER, "resourceQuotaSpec": {}}


def test_its_accounts_and_its_owner_have_rights(profiles: Profiles):
    profiles.make()
    profiles.made()
    for account, role in (("default-editor", "kubeflow-edit"), ("default-viewer", "kubeflow-view")):
        assert owners(profiles.get(kinds.SERVICE_ACCOUNT, account)) == [("Profile", profiles.name, True)]
        binding = profiles.get(kinds.ROLE_BINDING, account)
        assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) == ("ClusterRole", role)
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": account, "namespace": profiles.name}
        ]
    binding = profiles.get(kinds.ROLE_BINDING, "namespaceAdmin")
    assert binding["metadata"]["annotations"] == {"user": "alice@example.com", "role": "admin"}
    assert binding["roleRef"]["name"] == "kubeflow-admin"
    assert [(each["kind"], each["name"]) for each in binding["subjects"]] == [("User", "alice@example.com")]
    assert owners(binding) == [("Profile", profiles.name, True)]


def test_the_mesh_lets_in_whom_it_should(profiles: Profiles):
    profiles.make()
    profiles.made()
    policy = profiles.get(kinds.AUTHORIZATION_POLICY, "ns-owner-access-istio")
    gateway = "cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account"
    notebooks = "cluster.local/ns/kubeflow/sa/notebook-controller-service-account"
    assert policy["spec"] == {
        "rules": [
            {
                "when": [{"key": "request.headers[kubeflow-userid]", "values": ["alice@example.com"]}],
                "from": [{"source": {"principals": [gateway, "cluster.local/ns/model/sa/ui"]}}],
            },
            {"when": [{"key": "source.namespace", "values": [profiles.name]}]},
            {"to": [{"operation": {"paths": ["/healthz", "/metrics", "/wait-for-drain"]}}]},
            {
                "from": [{"source": {"principals": [notebooks]}}],
                "to": [{"operation": {"methods": ["GET"], "paths": ["*/api/kernels"]}}],
            },
        ]
    }
    assert policy["metadata"]["annotations"] == {"user": "alice@example.com", "role": "admin"}
    assert owners(policy) == [("Profile", profiles.name, True)]


def test_a_settled_one_is_not_written_again(profiles: Profiles):
    profiles.make(resourceQuotaSpec={"hard": {"cpu": "4"}})
    profiles.made()
    profiles.bench.assert_settled(profiles.name)


def test_its_quota_comes_changes_and_goes(profiles: Profiles):
    profiles.make(resourceQuotaSpec={"hard": {"cpu": "4"}})

    def hard() -> Any:
        return (profiles.find(kinds.QUOTA, "kf-resource-quota") or {"spec": {}})["spec"].get("hard")

    until(lambda: hard() == {"cpu": "4"}, "the quota")
    profiles.change(resourceQuotaSpec={"hard": {"cpu": "8"}})
    until(lambda: hard() == {"cpu": "8"}, "another quota")
    profiles.change(resourceQuotaSpec=None)
    until(lambda: profiles.find(kinds.QUOTA, "kf-resource-quota") is None, "no quota")


def test_what_others_change_is_put_right(profiles: Profiles):
    profiles.make()
    profiles.made()
    profiles.client.delete(kinds.SERVICE_ACCOUNT, "default-editor", namespace=profiles.name)
    patch = {"subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "mallory"}]}
    profiles.client.patch(
        kinds.ROLE_BINDING, "namespaceAdmin", patch, namespace=profiles.name, patch_type=PatchType.MERGE
    )
    assert profiles.get(kinds.SERVICE_ACCOUNT, "default-editor")

    def owner_again() -> bool:
        subjects = profiles.get(kinds.ROLE_BINDING, "namespaceAdmin")["subjects"]
        return [each["name"] for each in subjects] == ["alice@example.com"]

    until(owner_again, "the owner's rights")


def test_labels_follow_the_mounted_file(profiles: Profiles):
    profiles.make()
    profiles.made()
    changed = {"app.kubernetes.io/part-of": "", "team": "ml", "kubernetes.io/metadata.name": "kept"}
    profiles.client.replace(any_kind(kinds.CONFIG_MAP)(labels_file(profiles.bench, changed)))
    expected = {"kubernetes.io/metadata.name": profiles.name, "team": "ml"}
    until(
        lambda: profiles.get(kinds.NAMESPACE, profiles.name)["metadata"]["labels"] == expected, "other labels"
    )


def test_a_namespace_of_somebody_else_is_left_alone(profiles: Profiles, caplog):
    caplog.set_level("INFO", "rehearsal.players")
    metadata = {"name": profiles.name, "annotations": {"owner": "bob@example.com"}}
    profiles.client.create(any_kind(kinds.NAMESPACE)({"metadata": metadata}))
    try:
        profiles.make()
        said = "namespace already exist, but not owned by profile creator alice@example.com"
        until(lambda: any(said in each.getMessage() for each in caplog.records), "a refusal")
        tried = [("update", "profiles", 200)]
        done = lambda: [(each.verb, each.resource, each.status) for each in profiles.bench.writes()]  # noqa: E731
        until(lambda: done() == tried, "the condition")
        assert profiles.find(kinds.ROLE_BINDING, "namespaceAdmin") is None
        assert owners(profiles.get(kinds.NAMESPACE, profiles.name)) == []
        # As upstream: it updates the profile, of which `status` is a subresource, so the server drops it.
        assert "status" not in profiles.bench.find(kinds.PROFILE, profiles.name)
        time.sleep(0.5)
        assert done() == tried
    finally:
        profiles.client.delete(kinds.NAMESPACE, profiles.name)


def test_a_deleted_one_takes_its_namespace_with_it(profiles: Profiles):
    profiles.make()
    profiles.made()
    profiles.client.delete(kinds.PROFILE, profiles.name)
    until(lambda: profiles.bench.find(kinds.PROFILE, profiles.name) is None, "the profile to go")
    gone = lambda: profiles.bench.find(kinds.NAMESPACE, profiles.name) is None  # noqa: E731
    until(gone, "the namespace to go", GARBAGE_COLLECTED)


def test_nobody_lets_a_deleted_one_go_while_no_pod_is_there(profiles: Profiles, players: Players):
    profiles.make()
    profiles.made()
    profiles.bench.scale(0)
    until(lambda: players.playing() == [], "no player")
    profiles.client.delete(kinds.PROFILE, profiles.name)
    time.sleep(0.5)
    assert "deletionTimestamp" in profiles.bench.find(kinds.PROFILE, profiles.name)["metadata"]
    profiles.bench.scale(1)
    until(lambda: profiles.bench.find(kinds.PROFILE, profiles.name) is None, "the profile to go")


def test_a_plugin_gives_the_editor_an_identity(profiles: Profiles):
    role = "arn:aws:iam::1:role/ml"
    plugin = {"kind": "AwsIamForServiceAccount", "spec": {"awsIamRole": role, "annotateOnly": True}}
    profiles.make(plugins=[plugin])
    profiles.made()
    account = profiles.get(kinds.SERVICE_ACCOUNT, "default-editor")
    assert account["metadata"]["annotations"] == {"eks.amazonaws.com/role-arn": role}


@pytest.mark.parametrize(
    ("mounted", "reason"),
    [
        (None, f"{PATH}/namespace-labels.yaml: no such file or directory"),
        ("kube-root-ca.crt", f"{PATH}/namespace-labels.yaml: no such file or directory"),
        ("labels", 'ConfigMap "labels" not found'),
    ],
    ids=["no mount", "no such key", "no ConfigMap"],
)
def test_without_the_file_of_labels_nobody_plays(
    bench: Bench, players: Players, mounted: str | None, reason: str
):
    volume = {"name": "labels", "configMap": {"name": mounted}}
    mount = {"name": "labels", "mountPath": PATH}
    there = {"volumes": [volume], "volumeMounts": [mount]} if mounted else {}
    bench.deploy(command=["/manager"], **there)
    said = f"{bench.namespace}/any-name: {reason}"
    until(lambda: any(said in each for each in players.refusals()), "a refusal")
    assert players.playing() == []
