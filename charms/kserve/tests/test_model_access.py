"""Who reaches a model on Knative while the activator stands between: policies of Istio, evaluated."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable
from typing import Any

import pytest
from policy_evaluator import Cluster, Pod, Request

LOCAL = {"gateway_name": "knative-local-gateway", "gateway_namespace": "knative-serving"}
HEADER = "kubeflow-userid"
ADA, BOB, CAROL = ({HEADER: f"{name}@example.com"} for name in ("ada", "bob", "carol"))
HOST = {"host": "iris-00001.ada.svc.cluster.local"}
_ASKED = "knative-serving-namespace"
OF_BOB, TWICE, NO_HEADER = {_ASKED: "bob"}, {_ASKED: "ada,bob"}, {_ASKED: None}
GATEWAY = Pod("istio", {"istio": "ingressgateway"}, "gateway", sidecar=True)
ACTIVATOR = Pod("knative-serving", {"app": "activator"}, "activator", sidecar=True)
PROGRAM = Pod("mlops", {"app": "program"}, "program", sidecar=True)
MODEL = Pod("ada", {"serving.kserve.io/inferenceservice": "iris"}, sidecar=True)

Reaches = Callable[..., bool]


def policy(name: str, namespace: str, user: str) -> dict[str, Any]:
    """Return a policy as the profile controller and kfam make them for a user."""
    when = [{"key": f"request.headers[{HEADER}]", "values": [user]}]
    source = [{"source": {"principals": [GATEWAY.principal]}}]
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": name, "namespace": namespace, "annotations": {"user": user, "role": "admin"}},
        "spec": {
            "rules": [
                {"when": when, "from": source},
                {"when": [{"key": "source.namespace", "values": [namespace]}]},
            ]
        },
    }


PROFILES = [
    policy("ns-owner-access-istio", "ada", "ada@example.com"),
    policy("user-carol-example-com-clusterrole-edit", "ada", "carol@example.com"),
    policy("ns-owner-access-istio", "bob", "bob@example.com"),
]


@pytest.fixture
def reaches(kserve: Any, offline: dict[str, Any]) -> Reaches:
    """Tell whether a request reaches ada's model by way of the activator."""
    offline["policies"] = PROFILES
    ours = [kserve.render(local=(LOCAL,))["AuthorizationPolicy/kserve-activator"]]
    for document, where in importlib.import_module("model_access").spread(
        ["ada", "bob"], ("mlops", "istio"), "knative-serving"
    ):
        for namespace in where:
            ours.append(copy.deepcopy(document))
            ours[-1]["metadata"]["namespace"] = namespace
    names = ("ada", "bob", "other", "mlops", "istio", "knative-serving")
    namespaces = {name: {"kubernetes.io/metadata.name": name} for name in names}
    cluster = Cluster((*ours, *PROFILES), namespaces, "istio")

    def reached(source: Pod, headers: dict[str, str | None]) -> bool:
        asked = {"knative-serving-namespace": "ada", "knative-serving-revision": "iris-00001", "host": "x"}
        said = {name: value for name, value in (asked | headers).items() if value is not None}
        steps = (Request(source, ACTIVATOR, 8012, said), Request(ACTIVATOR, MODEL, 8012, said))
        return all(cluster.allows(step) for step in steps)

    return reached


@pytest.mark.parametrize(
    ("source", "headers", "reached"),
    [
        pytest.param(GATEWAY, ADA, True, id="the owner by the gateway"),
        pytest.param(GATEWAY, CAROL, True, id="a contributor by the gateway"),
        pytest.param(GATEWAY, BOB, False, id="another user by the gateway"),
        pytest.param(GATEWAY, {}, False, id="nobody by the gateway"),
        pytest.param(PROGRAM, {}, False, id="a program of the platform for nobody"),
        pytest.param(PROGRAM, ADA, True, id="a program of the platform for the owner"),
        pytest.param(Pod("ada", sidecar=True), {}, True, id="a pod of the profile"),
        pytest.param(Pod("bob", sidecar=True), {}, False, id="a pod of another profile"),
        pytest.param(Pod("bob", sidecar=True), ADA, False, id="a pod of another profile with a forged name"),
        pytest.param(Pod("bob"), ADA, False, id="a pod of another profile without a sidecar"),
        pytest.param(Pod("bob", sidecar=True), NO_HEADER | HOST, False, id="another profile by the host"),
        pytest.param(Pod("bob", sidecar=True), OF_BOB | HOST, False, id="another profile with half a header"),
        pytest.param(Pod("bob", sidecar=True), TWICE, False, id="another profile with a header twice"),
        pytest.param(Pod("other", sidecar=True), TWICE, False, id="no profile with a header twice"),
        pytest.param(Pod("other", sidecar=True), NO_HEADER | HOST, False, id="no profile by the host"),
        pytest.param(Pod("ada", sidecar=True), NO_HEADER | HOST, True, id="a pod of the profile by the host"),
        pytest.param(GATEWAY, BOB | NO_HEADER | HOST, False, id="another user by the host"),
        pytest.param(GATEWAY, ADA | HOST, True, id="the owner by both"),
        pytest.param(Pod("knative-serving", {"app": "autoscaler"}, sidecar=True), {}, True, id="Knative"),
    ],
)
def test_a_model_behind_the_activator_answers_whom_its_profile_lets_in(
    reaches: Reaches, source: Pod, headers: dict[str, str | None], reached: bool
) -> None:
    assert reaches(source, headers) is reached


def test_hundreds_of_profiles_share_policies_of_a_size_that_istio_takes(
    kserve: Any, offline: dict[str, Any]
) -> None:
    names = [f"team-{number}" for number in range(250)]
    offline["profiles"] = names
    made = kserve.render(local=(LOCAL,))
    policies = [
        made[f"AuthorizationPolicy/kserve-activator{end}"]["spec"]["rules"] for end in ("", "-2", "-3")
    ]
    assert "AuthorizationPolicy/kserve-activator-4" not in made
    assert [len(rules) for rules in policies] == [402, 400, 200]
    outsiders = [rule for rules in policies for rule in rules if "notNamespaces" in str(rule["from"])]
    assert len(outsiders) == 2
    assert {*names} <= {*outsiders[0]["from"][0]["source"]["notNamespaces"]}
    own = [rule["from"][0]["source"].get("namespaces") for rules in policies for rule in rules]
    assert [own.count([name]) for name in names] == [2] * 250


def test_a_profile_that_names_nobody_is_shut_to_the_gateway(kserve: Any, offline: dict[str, Any]) -> None:
    strangers = copy.deepcopy(PROFILES)
    for each in strangers:
        del each["metadata"]["annotations"]  # somebody else's policies
    offline["policies"] = strangers
    made = kserve.render(local=(LOCAL,))["AuthorizationPolicy/kserve-activator"]
    rules = [
        each for each in made["spec"]["rules"] if "mlops" in each["from"][0]["source"].get("namespaces", [])
    ]
    assert len(rules) == 4
    assert not any("kubeflow-userid" in str(each) for each in rules)


def test_without_knative_or_profiles_the_activator_has_no_policy(
    kserve: Any, offline: dict[str, Any]
) -> None:
    assert "AuthorizationPolicy/kserve-activator" not in kserve.render()
    offline["profiles"] = []
    assert "AuthorizationPolicy/kserve-activator" not in kserve.render(local=(LOCAL,))
