"""What is offered is in every profile, and nothing else is touched: on a real API server."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

import pytest
from cluster_policies import refusing
from ops import testing

from rehearsal.patience import until

ODD = ["%", "$HOME", "'\"", "a\nb\n", "{{ x }}", "{% raw %}", "\\", "ü", " ", "", "yes", "0x10", "# no"]


def secret(name: str = "s", value: str = "v", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, **metadata},
        "data": {"k": encoded(value)},
    }


def encoded(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


def offer(*documents: Any, endpoint: str = "secrets", by: str = "mlflow") -> dict[tuple[str, str], Any]:
    return {(endpoint, by): list(documents)}


def test_what_is_offered_is_in_every_profile_and_goes_with_the_relation(profiles):
    state = profiles.dispatch(offer(secret(), secret("t")))
    assert state.unit_status == testing.ActiveStatus("2 manifests in 2 profiles")
    assert [profiles.data(name, "t") for name in ("ada", "bob")] == [encoded("v")] * 2
    assert profiles.dispatch(offer(secret())).unit_status == testing.ActiveStatus("1 manifest in 2 profiles")
    assert [profiles.data(name, "t") for name in ("ada", "bob")] == [None, None]
    assert profiles.dispatch().unit_status == testing.ActiveStatus("")
    assert [profiles.data(name, "s") for name in ("ada", "bob")] == [None, None]


def test_each_application_takes_away_its_own(profiles):
    both = offer(secret("a")) | offer(secret("b"), by="feast")
    profiles.dispatch(both)
    profiles.dispatch(offer(secret("a")))
    assert profiles.data("ada", "a")
    assert profiles.data("ada", "b") is None


@pytest.mark.parametrize("endpoint", ["config-maps", "service-accounts", "roles"])
def test_every_endpoint_takes_its_kind_and_no_other(profiles, endpoint):
    kinds = {"config-maps": "ConfigMap", "service-accounts": "ServiceAccount", "roles": "Role"}
    version = "rbac.authorization.k8s.io/v1" if endpoint == "roles" else "v1"
    document = {"apiVersion": version, "kind": kinds[endpoint], "metadata": {"name": "given"}}
    rules = {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}
    document |= rules if endpoint == "roles" else {}
    assert isinstance(profiles.dispatch(offer(document, endpoint=endpoint)).unit_status, testing.ActiveStatus)
    prefix = f"/apis/{version}" if "/" in version else "/api/v1"
    path = f"{prefix}/namespaces/{profiles.names[0]}/{kinds[endpoint].lower()}s/given"
    assert profiles.admin.find(path)
    state = profiles.dispatch(offer(document, secret(), endpoint=endpoint))
    assert state.unit_status.message.startswith(
        f"mlflow sent wrong data on {endpoint}: kubernetes_manifests.1"
    )
    assert profiles.admin.find(path)


def test_a_profile_that_comes_is_served_and_one_that_is_none_any_more_is_left_clean(profiles):
    profiles.dispatch(offer(secret()))
    new = profiles.make("eve")
    assert profiles.data("eve", "s") is None
    profiles.dispatch(offer(secret()))
    assert profiles.data("eve", "s") == encoded("v")
    label = {"metadata": {"labels": {f"{profiles.model}/profile": None}}}
    profiles.admin.patch(f"/api/v1/namespaces/{new}", label)
    profiles.dispatch(offer(secret()))
    assert profiles.data("eve", "s") is None
    assert profiles.data("ada", "s") == encoded("v")


def test_an_object_for_one_namespace_goes_there_if_it_is_a_profile_and_nowhere_else(profiles):
    there = secret("one", namespace=profiles.names[0])
    outside = secret("two", namespace="kube-system")
    state = profiles.dispatch(offer(there, outside))
    assert isinstance(state.unit_status, testing.ActiveStatus)
    assert profiles.data("ada", "one")
    assert profiles.data("bob", "one") is None
    assert profiles.admin.find("/api/v1/namespaces/kube-system/secrets/two") is None


def test_rotation_reaches_every_profile_and_the_old_value_is_nowhere(profiles):
    profiles.dispatch(offer(secret(value="old-key")))
    profiles.dispatch(offer(secret(value="new-key")))
    for name in profiles.names:
        found = json.dumps(profiles.admin.get(f"/api/v1/namespaces/{name}/secrets/s"))
        assert encoded("new-key") in found
        assert encoded("old-key") not in found
        assert "old-key" not in found


def test_a_settled_hook_writes_nothing_and_lists_as_much_for_three_profiles_as_for_two(
    profiles, cluster, gate, monkeypatch, dispatcher
):
    configuration = dispatcher.folder / "gate.yaml"
    document = cluster.kubeconfig(cluster.token, profiles.model, server=gate.url)
    configuration.write_text(json.dumps(document))
    profiles.dispatch(offer(secret(), secret("t")))
    counts = []
    for name in ("eve", "joe"):
        monkeypatch.setenv("KUBECONFIG", str(configuration))
        seen = len(gate.requests())
        profiles.dispatch(offer(secret(), secret("t")))
        requests = gate.requests()[seen:]
        assert {request.verb for request in requests} == {"list"}
        counts.append(len(requests))
        monkeypatch.setenv("KUBECONFIG", str(cluster.admin_kubeconfig))
        profiles.make(name)
        profiles.dispatch(offer(secret(), secret("t")))
    assert counts[0] == counts[1]


def test_drift_is_healed(profiles):
    profiles.dispatch(offer(secret()))
    path = f"/api/v1/namespaces/{profiles.names[0]}/secrets/s"
    profiles.admin.patch(path, {"data": {"k": encoded("changed"), "mine": encoded("kept")}})
    profiles.dispatch(offer(secret()))
    assert profiles.data("ada", "s") == encoded("v")
    assert profiles.data("ada", "s", "mine") == encoded("kept")


def test_a_users_own_object_is_reported_and_not_touched_and_the_others_go_on(profiles):
    own = secret(value="mine")
    profiles.admin.create(f"/api/v1/namespaces/{profiles.names[0]}/secrets?fieldManager=ada", own)
    state = profiles.dispatch(offer(secret(), secret("t")))
    assert state.unit_status == testing.ActiveStatus(
        "2 manifests in 2 profiles; users keep some out of 1 profile"
    )
    assert profiles.data("ada", "s") == encoded("mine")
    assert profiles.data("bob", "s") == encoded("v")
    assert profiles.data("ada", "t") == encoded("v")
    profiles.dispatch()
    assert profiles.data("ada", "s") == encoded("mine")
    assert profiles.data("bob", "s") is None


def test_two_applications_with_one_object_are_both_named_and_what_is_there_stays(profiles):
    profiles.dispatch(offer(secret(value="first")))
    state = profiles.dispatch(offer(secret(value="first")) | offer(secret(value="second"), by="feast"))
    assert state.unit_status == testing.BlockedStatus(
        "Secret s is offered by feast and mlflow: remove one of the relations"
    )
    assert profiles.data("ada", "s") == encoded("first")
    assert isinstance(profiles.dispatch(offer(secret(value="first"))).unit_status, testing.ActiveStatus)


def test_an_object_for_one_profile_is_in_the_way_there_only(profiles):
    ada, bob = profiles.names
    one = offer(secret(value="1", namespace=ada)) | offer(secret(value="2", namespace=bob), by="feast")
    assert profiles.dispatch(one).unit_status == testing.ActiveStatus("1 manifest in 2 profiles")
    assert [profiles.data("ada", "s"), profiles.data("bob", "s")] == [encoded("1"), encoded("2")]
    everywhere = one | offer(secret(value="3"), by="feast")
    state = profiles.dispatch(everywhere)
    assert state.unit_status == testing.BlockedStatus(
        "Secret s is offered by feast and mlflow: remove one of the relations"
    )
    assert [profiles.data("ada", "s"), profiles.data("bob", "s")] == [encoded("1"), encoded("3")]
    elsewhere = offer(secret()) | offer(secret(namespace="kube-system"), by="feast")
    assert isinstance(profiles.dispatch(elsewhere).unit_status, testing.ActiveStatus)


@pytest.mark.parametrize(
    ("endpoint", "content"),
    [
        ("secrets", {"spec": None}),
        ("secrets", {"spec": "x"}),
        ("secrets", {"spec": {"template": {"spec": {}, "metadata": None}}}),
        ("secrets", {"data": None}),
        ("secrets", {"data": "x"}),
        ("secrets", {"data": {"k": 7}}),
        ("secrets", {"data": {"k": "no Base64!"}}),
        ("secrets", {"data": {"a/b": ""}}),
        ("secrets", {"type": 7}),
        ("secrets", {"immutable": "x"}),
        ("secrets", {"type": "kubernetes.io/tls"}),
        ("config-maps", {"data": []}),
        ("config-maps", {"data": {"k": "\ud800"}}),
        ("config-maps", {"data": {"k": {"deep": {}}}}),
        ("config-maps", {"status": None}),
        ("service-accounts", {"secrets": "x"}),
        ("service-accounts", {"imagePullSecrets": [7]}),
        ("roles", {"rules": 7}),
        ("roles", {"rules": [{"verbs": ["get"]}]}),
        ("roles", {"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": "get"}]}),
    ],
    ids=repr,
)
def test_garbage_beside_the_metadata_is_its_authors_and_stops_no_other(profiles, endpoint, content):
    version = "rbac.authorization.k8s.io/v1" if endpoint == "roles" else "v1"
    kinds = {"secrets": "Secret", "config-maps": "ConfigMap", "service-accounts": "ServiceAccount"}
    bad = {"apiVersion": version, "kind": kinds.get(endpoint, "Role"), "metadata": {"name": "bad"}, **content}
    state = profiles.dispatch(offer(bad, endpoint=endpoint) | offer(secret("good"), by="feast"))
    if isinstance(state.unit_status, testing.BlockedStatus):
        assert state.unit_status.message.startswith("mlflow")
    else:  # what Kubernetes takes for nothing
        assert state.unit_status == testing.ActiveStatus("2 manifests in 2 profiles")
    assert profiles.data("ada", "good") == encoded("v")
    assert profiles.data("bob", "good") == encoded("v")


@pytest.mark.parametrize("garbage", ["[{", [secret("s"), 7], [secret("s"), secret("b", uid="1")]])
def test_garbage_of_one_application_loses_nothing_and_stops_no_other(profiles, garbage):
    profiles.dispatch(offer(secret("s"), secret("t")))
    state = profiles.dispatch({("secrets", "mlflow"): garbage} | offer(secret("other"), by="feast"))
    assert isinstance(state.unit_status, testing.BlockedStatus)
    assert state.unit_status.message.startswith("mlflow sent wrong data on secrets: ")
    assert profiles.data("bob", "s")
    assert profiles.data("bob", "t")
    assert profiles.data("bob", "other")


def test_what_the_api_server_does_not_take_is_the_fault_of_who_offers_it(profiles):
    state = profiles.dispatch(offer(secret("bad") | {"dta": {}}, secret("good")))
    assert isinstance(state.unit_status, testing.BlockedStatus)
    assert state.unit_status.message.startswith(f"mlflow: Secret {profiles.names[0]}/bad: ")
    assert profiles.data("ada", "good")


def test_a_full_quota_in_one_profile_is_counted_and_the_others_go_on(profiles):
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"count/secrets": "0"}}}
    path = f"/api/v1/namespaces/{profiles.names[0]}/resourcequotas"
    profiles.admin.create(path, quota)
    until(lambda: profiles.admin.get(f"{path}/none").get("status", {}).get("hard"))
    state = profiles.dispatch(offer(secret()))
    assert state.unit_status == testing.ActiveStatus(
        "1 manifest in 2 profiles; users keep some out of 1 profile"
    )
    assert profiles.data("bob", "s")


def test_what_a_policy_in_one_profile_refuses_is_said_and_the_others_go_on(profiles, cluster):
    first = profiles.names[0]
    with refusing(cluster, first, "no secrets of strangers") as policy:
        state = profiles.dispatch(offer(secret()))
        said = f"mlflow: {policy} refuses Secret {first}/s: no secrets of strangers"
        assert state.unit_status == testing.BlockedStatus(said)
        assert profiles.data("bob", "s")
    assert isinstance(profiles.dispatch(offer(secret())).unit_status, testing.ActiveStatus)
    assert profiles.data("ada", "s")


def test_a_namespace_that_is_going_away_is_left_alone(profiles):
    going = profiles.make("going")
    held = {"metadata": {"name": "held", "finalizers": ["example.com/held"]}}
    path = f"/api/v1/namespaces/{going}/configmaps"
    profiles.admin.create(path, held)
    profiles.admin.delete(f"/api/v1/namespaces/{going}")
    state = profiles.dispatch(offer(secret()))
    assert state.unit_status == testing.ActiveStatus("1 manifest in 2 profiles")
    profiles.admin.patch(f"{path}/held", {"metadata": {"finalizers": None}})


@pytest.mark.parametrize("value", ODD, ids=repr)
def test_every_value_arrives_unchanged(profiles, value):
    document = secret() | {"data": None, "stringData": {"k": value}}
    profiles.dispatch(offer({key: said for key, said in document.items() if said is not None}))
    assert profiles.data("ada", "s") == encoded(value)


def test_any_order_of_offers_gives_the_same_objects(profiles):
    offers = {("secrets", f"app-{number}"): [secret(f"s{number}")] for number in range(5)}
    seen = []
    for seed in (1, 2):
        order = list(offers.items())
        random.Random(seed).shuffle(order)
        profiles.dispatch(dict(order))
        items = profiles.admin.items(f"/api/v1/namespaces/{profiles.names[0]}/secrets")
        seen.append({item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in items})
    assert seen[0] == seen[1]
