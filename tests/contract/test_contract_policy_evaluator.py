"""The evaluator says of a request what Istio and Kubernetes say of it."""

from __future__ import annotations

from typing import Any

import pytest
from policy_evaluator import EXCLUDED_PORTS, Cluster, Pod, Request

NAMESPACES = {
    "platform": {"kubernetes.io/metadata.name": "platform"},
    "alice": {"kubernetes.io/metadata.name": "alice", "part-of": "profile"},
}
WEB = Pod("platform", {"app": "web"}, "web", sidecar=True, ports={"http": 8080})
NOTEBOOK = Pod("alice", {"app": "nb"}, "default-editor", sidecar=True)
BARE = Pod("alice", {"app": "nb"}, "default-editor")
EDITOR = "cluster.local/ns/alice/sa/default-editor"


def policy(*rules: Any, action: str | None = None, where: str = "platform", **labels: str) -> dict[str, Any]:
    spec: dict[str, Any] = {"rules": list(rules)} | ({"action": action} if action else {})
    if labels:
        spec["selector"] = {"matchLabels": labels}
    return {"kind": "AuthorizationPolicy", "metadata": {"namespace": where}, "spec": spec}


def network(*rules: Any, where: str = "platform", **labels: str) -> dict[str, Any]:
    spec = {"podSelector": {"matchLabels": labels}, "policyTypes": ["Ingress"], "ingress": list(rules)}
    return {"kind": "NetworkPolicy", "metadata": {"namespace": where}, "spec": spec}


def mesh(
    *policies: dict[str, Any],
    source: Pod | None = NOTEBOOK,
    target: Pod = WEB,
    root: str = "istio-system",
    port: int = 8080,
    **request: Any,
) -> bool:
    cluster = Cluster(policies, NAMESPACES, root)
    return cluster.mesh_allows(Request(source, target, port, **request))


def of(*principals: str) -> dict[str, Any]:
    return {"from": [{"source": {"principals": list(principals)}}]}


def when(key: str, **values: list[str]) -> dict[str, Any]:
    return {"when": [{"key": key, **values}]}


def to(**operation: list[str]) -> dict[str, Any]:
    return {"to": [{"operation": operation}]}


def test_a_pod_that_no_policy_selects_is_open() -> None:
    assert mesh()
    assert mesh(policy(of("x"), app="other"), policy(of("x"), where="alice"), policy(of("x"), where="bob"))


def test_a_policy_without_rules_lets_nobody_in_and_an_empty_rule_everybody() -> None:
    assert not mesh(policy(app="web"))
    assert not mesh(policy())
    assert mesh(policy({}))
    assert mesh(policy(), policy({}))  # they add up


def test_a_policy_of_the_root_namespace_holds_everywhere() -> None:
    notebook = Pod("alice", {"app": "web"}, sidecar=True)
    assert not mesh(policy(app="web"), target=notebook, root="platform")
    assert mesh(policy(app="web"), target=notebook)
    assert mesh(policy(app="web", instance="ours"), target=notebook, root="platform")


def test_deny_comes_first() -> None:
    assert not mesh(policy({}), policy(of(EDITOR), action="DENY"))
    assert mesh(policy({}), policy(of("another"), action="DENY"))
    assert mesh(policy(of("another"), action="DENY"))
    assert not mesh(policy({}, action="DENY"))


def test_other_actions_are_not_taken_for_one_of_these() -> None:
    with pytest.raises(NotImplementedError, match="CUSTOM"):
        mesh(policy({}, action="CUSTOM"))


@pytest.mark.parametrize(
    ("pattern", "source", "expected"),
    [
        (EDITOR, NOTEBOOK, True),
        (EDITOR, BARE, False),
        ("cluster.local/ns/alice/*", NOTEBOOK, True),
        ("*/sa/default-editor", NOTEBOOK, True),
        ("*", NOTEBOOK, True),
        ("*", BARE, False),
        ("*", None, False),
        ("cluster.local/ns/bob/*", NOTEBOOK, False),
    ],
)
def test_an_identity_needs_a_sidecar_at_either_end(pattern: str, source: Pod | None, expected: bool) -> None:
    assert mesh(policy(of(pattern)), source=source) is expected


def test_namespaces_are_those_of_identities() -> None:
    rule = {"from": [{"source": {"namespaces": ["alice"]}}]}
    assert mesh(policy(rule))
    assert not mesh(policy(rule), source=BARE)
    assert mesh(policy(when("source.namespace", values=["alice"])))


def test_fields_that_say_not() -> None:
    assert not mesh(policy({"from": [{"source": {"notPrincipals": [EDITOR]}}]}))
    assert mesh(policy({"from": [{"source": {"notPrincipals": [EDITOR]}}]}), source=BARE)
    assert not mesh(policy(to(notPorts=["8080"])))
    assert mesh(policy(to(notPorts=["8081"], methods=["GET"])))


def test_a_pod_without_a_sidecar_and_ports_left_to_the_program_refuse_nobody() -> None:
    assert mesh(policy(), target=Pod("platform", {"app": "web"}))
    annotated = Pod("platform", sidecar=True, annotations={EXCLUDED_PORTS: "9443, 8080"})
    assert mesh(policy(), target=annotated)
    assert not mesh(policy(), target=annotated, port=8081)


@pytest.mark.parametrize(
    ("condition", "headers", "expected"),
    [
        ({"values": ["*"]}, {}, False),
        ({"values": ["*"]}, {"user": "bob"}, True),
        ({"notValues": ["*"]}, {}, True),
        ({"notValues": ["*"]}, {"user": "bob"}, False),
        ({"notValues": ["*"]}, {"user": ""}, False),
        ({"values": ["*"]}, {"user": ""}, True),
        ({"values": ["bob", "ada"]}, {"user": "ada"}, True),
        ({"values": ["b*"]}, {"user": "bob"}, True),
        ({"values": ["*"], "notValues": ["bob"]}, {"user": "bob"}, False),
    ],
)
def test_headers(condition: dict[str, list[str]], headers: dict[str, str], expected: bool) -> None:
    assert mesh(policy(when("request.headers[User]", **condition)), headers=headers) is expected


def test_all_clauses_of_a_rule_must_hold_and_one_of_each_list() -> None:
    rule = (
        of("another", EDITOR)
        | to(ports=["8080"], paths=["/api/*"])
        | when("destination.port", values=["8080"])
    )
    assert mesh(policy(rule), path="/api/x")
    assert not mesh(policy(rule), path="/x")
    assert not mesh(policy(rule), path="/api/x", port=8081)
    assert not mesh(policy(rule), path="/api/x", source=BARE)
    assert mesh(policy(of("another"), rule), path="/api/x")


def test_hosts_have_no_case() -> None:
    rule = policy(to(hosts=["Web.example.com"]))
    assert mesh(rule, headers={"host": "web.EXAMPLE.com"})
    assert not mesh(rule, headers={"host": "example.com"})
    assert not mesh(rule)


@pytest.mark.parametrize(
    "rule",
    [
        when("request.headers[user]", notValues=["*"]),
        to(paths=["/*"]),
        to(methods=["GET"], ports=["8080"]),
        to(notPaths=["/x"]),
    ],
)
def test_what_is_no_http_is_never_allowed_by_a_rule_about_http_and_denied_by_the_rest_of_it(
    rule: Any,
) -> None:
    assert not mesh(policy(rule), http=False)
    assert mesh(policy(rule))
    assert not mesh(policy(rule, action="DENY"), http=False)


def test_ports_and_identities_are_known_of_all_traffic() -> None:
    assert mesh(policy(to(ports=["8080"])), http=False)
    assert mesh(policy(of(EDITOR)), http=False)
    assert not mesh(policy(to(ports=["8081"])), http=False)


@pytest.mark.parametrize(
    "unknown",
    [
        policy({"from": [{"source": {"ipBlocks": ["10.0.0.0/8"]}}]}),
        policy(when("request.auth.claims[iss]", values=["x"])),
        policy({"unheard": []}),
        policy(to(paths=["/users/{*}"])),
        {"kind": "AuthorizationPolicy", "metadata": {"namespace": "platform"}, "spec": {"targetRefs": []}},
        {
            "kind": "AuthorizationPolicy",
            "metadata": {"namespace": "platform", "annotations": {"istio.io/dry-run": "true"}},
            "spec": {},
        },
    ],
)
def test_what_is_not_modelled_is_refused(unknown: dict[str, Any]) -> None:
    with pytest.raises(NotImplementedError):
        mesh(unknown)


def reached(
    *policies: dict[str, Any], source: Pod | None = NOTEBOOK, target: Pod = WEB, port: int = 8080
) -> bool:
    return Cluster(policies, NAMESPACES, "istio-system").network_allows(Request(source, target, port))


FROM_ALICE = {"from": [{"namespaceSelector": {"matchLabels": {"part-of": "profile"}}}]}


def test_a_pod_that_a_network_policy_selects_is_shut_but_for_its_rules() -> None:
    assert reached()
    assert reached(network(app="other"), network(app="web", where="alice"))
    assert not reached(network(app="web"))
    assert not reached(network())
    assert reached(network({}))
    assert reached(network(app="web"), network(FROM_ALICE, app="web"))


def test_peers() -> None:
    assert reached(network(FROM_ALICE))
    assert not reached(network(FROM_ALICE), source=WEB)
    assert not reached(network(FROM_ALICE), source=None)  # the API server is no pod
    both = {"from": [{**FROM_ALICE["from"][0], "podSelector": {"matchLabels": {"app": "other"}}}]}
    assert not reached(network(both))
    assert not reached(network({"from": [{"podSelector": {}}]}))
    assert reached(network({"from": [{"podSelector": {}}]}), source=WEB)
    expression = {"key": "part-of", "operator": "In", "values": ["profile"]}
    assert reached(network({"from": [{"namespaceSelector": {"matchExpressions": [expression]}}]}))
    assert reached(network({"from": [{"namespaceSelector": {}}]}))


def test_ports_by_number_and_by_name() -> None:
    assert reached(network({"ports": [{"port": 8080}]}), source=None)
    assert reached(network({"ports": [{"port": "http", "protocol": "TCP"}]}))
    assert not reached(network({"ports": [{"port": "grpc"}]}))
    assert not reached(network({"ports": [{"port": 8080, "protocol": "UDP"}]}))
    assert not reached(network({"ports": [{"port": 8081}], **FROM_ALICE}))
    with pytest.raises(NotImplementedError):
        reached(network({"ports": [{"port": 8000, "endPort": 9000}]}))


def test_both_have_to_let_it_in() -> None:
    request = Request(NOTEBOOK, WEB, 8080)
    for policies, expected in (
        ((policy({}), network({})), True),
        ((policy(), network({})), False),
        ((policy({}), network()), False),
    ):
        assert Cluster(policies, NAMESPACES, "istio-system").allows(request) is expected


# What a real istiod (1.31-dev, the root namespace being `platform`) and a real Envoy (1.40) answered, with identities of
# istiod's own authority: so the evaluator answers.

USER, TOKEN = {"user": "bob"}, {"authorization": "Bearer x"}
ASKED = ({}, USER, TOKEN, USER | TOKEN, {"user": ""})
NO_USER = when("request.headers[user]", notValues=["*"])
WITH_TOKEN = {"when": [*when("request.headers[authorization]", values=["*"])["when"], *NO_USER["when"]]}
GATEWAY = Pod("platform", {}, "gateway", sidecar=True)
OTHER = Pod("platform", {}, "dashboard", sidecar=True)
OWN = "cluster.local/ns/platform/sa/web"


@pytest.mark.parametrize(
    ("rules", "source", "expected"),
    [
        ((of(OWN), NO_USER), WEB, "yes yes yes yes yes"),
        ((of(OWN), NO_USER), OTHER, "yes no yes no no"),
        ((of(OWN), NO_USER), NOTEBOOK, "yes no yes no no"),
        ((of(OWN), NO_USER), BARE, "yes no yes no no"),
        ((of(GATEWAY.principal), WITH_TOKEN), GATEWAY, "yes yes yes yes yes"),
        ((of(GATEWAY.principal), WITH_TOKEN), NOTEBOOK, "no no yes no no"),
        ((of(GATEWAY.principal), WITH_TOKEN), BARE, "no no yes no no"),
        ((of(OTHER.principal),), OTHER, "yes yes yes yes yes"),
        ((of(OTHER.principal),), GATEWAY, "no no no no no"),
        ((of(OTHER.principal),), BARE, "no no no no no"),
    ],
)
def test_headers_and_identities_are_answered_as_by_a_real_istio(
    rules: tuple[Any, ...], source: Pod, expected: str
) -> None:
    answers = [mesh(policy(*rules, app="web"), source=source, headers=headers) for headers in ASKED]
    assert " ".join("yes" if let_in else "no" for let_in in answers) == expected


OWNERS = policy(
    of(GATEWAY.principal) | when("request.headers[user]", values=["alice"]),
    when("source.namespace", values=["alice"]),
    to(paths=["/healthz", "/metrics"]),
    of(OTHER.principal) | to(methods=["GET"], paths=["*/api/kernels"]),
    where="alice",
)
OURS = policy({}, app="cache-server")
OURS_BY_NAME = policy({}, app="cache-server", instance="ours")
MALLORY = Pod("bob", {}, "default-editor", sidecar=True)


@pytest.mark.parametrize(
    ("policies", "source", "request_", "expected"),
    [
        # The notebook of alice is called cache-server, as a program of the platform.
        ((OWNERS, OURS), GATEWAY, {"headers": {"user": "mallory"}}, True),
        ((OWNERS, OURS), MALLORY, {}, True),
        ((OWNERS, OURS), BARE, {}, True),
        ((OWNERS, OURS_BY_NAME), GATEWAY, {"headers": {"user": "mallory"}}, False),
        ((OWNERS, OURS_BY_NAME), BARE, {}, False),
        ((OWNERS, OURS_BY_NAME), GATEWAY, {"headers": {"user": "alice"}}, True),
        ((OWNERS,), MALLORY, {"headers": {"user": "alice"}}, False),
        ((OWNERS,), NOTEBOOK, {}, True),
        ((OWNERS,), OTHER, {"path": "/notebook/alice/nb/api/kernels"}, True),
        ((OWNERS,), OTHER, {"path": "/notebook/alice/nb/lab"}, False),
        ((OWNERS,), MALLORY, {"path": "/metrics"}, True),
    ],
)
def test_a_users_notebook_is_guarded_as_by_a_real_istio(
    policies: tuple[Any, ...], source: Pod, request_: dict[str, Any], expected: bool
) -> None:
    notebook = Pod("alice", {"app": "cache-server"}, "default-editor", sidecar=True)
    assert mesh(*policies, source=source, target=notebook, root="platform", **request_) is expected
