"""loki_push_api: the units' data as Lokis, garbage beside it, and what each side writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import ops
import pytest
from ops import testing

from kubeflow_charm.problems import Problem, flattened
from kubeflow_charm.relations.loki_push_api import LIMIT, Provides, PushEndpoint, Requires, TlsConfig
from kubeflow_charm.watch.logs.loki import Target

URL = "http://loki-0.loki-endpoints.cos.svc.cluster.local:3100/loki/api/v1/push"
PEM = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"
Bags = dict[str, dict[int, dict[str, str]]]
"""Remote application to unit number to what that unit wrote."""


class Lone(ops.CharmBase):
    """A charm with an endpoint and no handler."""


def endpoint(url: str = URL, **more: Any) -> dict[str, str]:
    """Return what a unit of Loki writes."""
    return {"endpoint": json.dumps({"url": url, **more}), "public_address": "loki-0"}


def ask(side: Callable[..., Any], call: Callable[[Any], Any], bags: Bags, *, leader: bool = True) -> Any:
    """Have a side do something; return its value, or its problems' statuses, and the relations after it."""
    relations = [
        testing.Relation("logging", remote_app_name=name, remote_units_data=units, id=number)  # type: ignore
        for number, (name, units) in enumerate(bags.items(), 7)
    ]
    context = testing.Context(Lone, meta={"name": "ours", "requires": {"logging": {"interface": "any"}}})
    state = testing.State(leader=leader, relations=relations)
    value: Any = None
    with context(context.on.update_status(), state) as manager:
        try:
            value = call(side(manager.charm, "logging"))
        except* Problem as group:
            value = [(each.status.name, each.status.message) for each in flattened(group)]
        after = manager.run()
    return value, [after.get_relation(each.id) for each in relations]


def targets(bags: Bags) -> Any:
    """Return the Lokis, or the statuses of the problems."""
    return ask(Requires, lambda end: end.get(), bags)[0]


def test_each_unit_is_a_loki():
    bags = {"loki": {1: endpoint("http://b/push"), 0: endpoint(URL)}, "other": {0: endpoint("https://c:1/")}}
    assert targets(bags) == [
        Target("loki/0", URL),
        Target("loki/1", "http://b/push"),
        Target("other/0", "https://c:1/"),
    ]


def test_units_behind_one_address_are_one_loki():
    assert targets({"loki": {0: endpoint(), 1: endpoint()}}) == [Target("loki/0", URL)]


@pytest.mark.parametrize(
    "bags",
    [{}, {"loki": {}}, {"loki": {0: {}}}, {"loki": {0: {"endpoint": ""}}}, {"loki": {0: {"endpoint": "{}"}}}],
)
def test_what_is_not_there_yet_is_no_loki_and_no_problem(bags):
    assert targets(bags) == []


def test_how_the_certificate_is_checked_is_read_as_promtail_reads_it():
    said = {"ca": f"{PEM}\n\n", "insecure_skip_verify": True, "server_name": "other"}
    assert targets({"loki": {0: endpoint("https://a", tls_config=said)}}) == [
        Target("loki/0", "https://a", PEM, True)
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "endpoint: not JSON"),
        ("[" * 60_000, "endpoint: not JSON"),
        ('"' + "x" * LIMIT + '"', f"endpoint: longer than {LIMIT} characters"),
        ("[]", "data: Input should be a valid dictionary"),
        ('{"uri": "http://a"}', "url: Field required"),
        ('{"url": null}', "url: Input should be a valid string"),
        ('{"url": "loki:3100"}', "url: 'loki:3100' is not an http or https URL"),
        ('{"url": "http://a:b/"}', "url: 'http://a:b/' is not an http or https URL"),
        ('{"url": "http:///push"}', "url: 'http:///push' is not an http or https URL"),
        ('{"url": "http://a/\\r\\nX: y"}', "url: "),
        ('{"url": "http://a/ b"}', "url: 'http://a/ b' is not an http or https URL"),
        ('{"url": "http://a", "tls_config": {"ca": "/etc/ca.crt"}}', "tls_config.ca: no certificate"),
        ('{"url": "http://a", "tls_config": []}', "tls_config: Input should be a valid dictionary"),
    ],
    ids=range(13),
)
def test_garbage_blocks_and_names_the_application_and_the_field(text, said):
    ((status, message),) = targets({"loki": {0: {"endpoint": text}}})
    assert status == "blocked"
    assert message.startswith(f"loki sent wrong data on logging: {said}")


def test_beside_garbage_the_other_lokis_are_read():
    bags = {"bad": {0: {"endpoint": "{"}}, "loki": {0: endpoint()}}
    (found, problems), _ = ask(Requires, lambda end: end.sorted_out(), bags)
    assert found == [Target("loki/0", URL)]
    assert len(problems) == 1


TOPOLOGY = {"model": "m", "model_uuid": "u", "application": "ours", "unit": "ours/0", "charm_name": "ours"}


def test_every_loki_is_told_who_we_are():
    _, relations = ask(Requires, lambda end: end.send(TOPOLOGY), {"a": {}, "b": {0: endpoint()}})
    for relation in relations:
        assert json.loads(relation.local_app_data["metadata"]) == TOPOLOGY
        assert relation.local_app_data["alert_rules"] == "{}"


def test_another_unit_than_the_leader_tells_nothing():
    _, (relation,) = ask(Requires, lambda end: end.send(TOPOLOGY), {"a": {}}, leader=False)
    assert relation.local_app_data == {}


@pytest.mark.parametrize("leader", [True, False])
@pytest.mark.parametrize(
    "said", [PushEndpoint(url=URL), PushEndpoint(url=URL, tls_config=TlsConfig(insecure_skip_verify=True))]
)
def test_what_each_unit_of_a_loki_writes_is_read(leader, said):
    _, relations = ask(Provides, lambda end: end.send(said), {"a": {}, "b": {}}, leader=leader)
    for relation in relations:
        (target,) = targets({"loki": {0: dict(relation.local_unit_data)}})
        assert target == Target("loki/0", URL, "", said.tls_config.insecure_skip_verify)
    if not said.tls_config.insecure_skip_verify:
        assert json.loads(relations[0].local_unit_data["endpoint"]) == {"url": URL}
