"""What holds for every interface: which relations count, who writes, and how a problem is told."""

from __future__ import annotations

import pytest

from kubeflow_charm.relations import dashboard_links, gateway_info, k8s_service, k8s_service_info
from kubeflow_charm.relations.endpoint import Endpoint

GATEWAY = {"gateway_name": "kubeflow-gateway", "gateway_namespace": "istio"}
SDI = {"_supported_versions": "- v1\n", "data": "service-name: kfam\nservice-port: '8081'\n"}
FLAT = {"name": "katib-db-manager", "port": "6789"}
READERS = [
    (gateway_info.Requires, GATEWAY),
    (k8s_service.Requires, SDI),
    (k8s_service_info.Requires, FLAT),
]
LINK = dashboard_links.Link(text="Notebooks", link="/jupyter/", location="menu")
WRITERS = [
    (gateway_info.Provides, gateway_info.Gateway.model_validate(GATEWAY)),
    (k8s_service.Provides, k8s_service.Service(service_name="kfam", service_port="8081")),
    (k8s_service_info.Provides, k8s_service_info.Service(service_name="kfam", service_port="8081")),
    (dashboard_links.Requires, [LINK]),
]


@pytest.mark.parametrize(
    ("side", "provider"),
    [
        (gateway_info.Requires, "istio-pilot"),
        (k8s_service.Requires, "kubeflow-profiles"),
        (k8s_service_info.Requires, "<application>"),
    ],
)
def test_a_missing_relation_blocks_with_the_command_that_makes_it(ask, side, provider):
    said = ask(side, lambda end: end.get(), {})
    text = f"relation there missing: juju integrate ours:there {provider}"
    assert said.statuses == [("blocked", text)]
    assert [problem.missing for problem in said.problems] == ["there"]


@pytest.mark.parametrize(("side", "_"), READERS)
def test_an_optional_endpoint_without_a_relation_is_none(ask, side, _):
    said = ask(side, lambda end: end.find(), {})
    assert (said.value, said.problems) == (None, [])


@pytest.mark.parametrize(("side", "bag"), READERS)
def test_an_optional_endpoint_with_a_relation_is_read_as_a_required_one(ask, side, bag):
    found, got = (ask(side, call, {"app": bag}) for call in (lambda end: end.find(), lambda end: end.get()))
    assert found.value == got.value is not None
    assert ask(side, lambda end: end.find(), {"app": {}}).statuses == [
        ("waiting", "app: no data on there yet")
    ]


@pytest.mark.parametrize(("side", "bag"), READERS)
def test_a_relation_that_is_breaking_is_no_relation(ask, side, bag):
    said = ask(side, lambda end: end.get(), {"app": bag}, breaking="app")
    assert [problem.missing for problem in said.problems] == ["there"]


@pytest.mark.parametrize(("side", "bag"), READERS[1:])  # of two gateways, nobody knows which is meant
def test_the_oldest_of_several_relations_is_read(ask, side, bag):
    assert ask(side, lambda end: end.get(), {"old": bag, "new": {}}).value is not None


@pytest.mark.parametrize(("side", "data"), WRITERS)
def test_the_leader_writes_the_same_to_every_related_application(ask, side, data):
    said = ask(side, lambda end: end.send(data), {"one": {}, "two": {}})
    assert said.problems == []
    assert said.written["one"] == said.written["two"] != {}


@pytest.mark.parametrize(("side", "data"), WRITERS)
def test_another_unit_than_the_leader_writes_nothing(ask, side, data):
    said = ask(side, lambda end: end.send(data), {"one": {}}, leader=False)
    assert (said.problems, said.written) == ([], {"one": {}})


@pytest.mark.parametrize(("side", "data"), WRITERS)
def test_nothing_is_written_where_the_relation_is_breaking(ask, side, data):
    said = ask(side, lambda end: end.send(data), {"one": {}, "two": {}}, breaking="one")
    assert said.written["one"] == {}
    assert said.written["two"] != {}


@pytest.mark.parametrize(("side", "bag"), READERS)
def test_another_unit_than_the_leader_reads_what_the_leader_reads(ask, side, bag):
    leader, standby = (ask(side, lambda end: end.get(), {"app": bag}, leader=each) for each in (True, False))
    assert leader.value == standby.value
    assert standby.written == {"app": {}}


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("port: Field required", "port: Field required"),
        ("a\0b", "a b"),
        ("\x1b[31mred\x1b[0m", "[31mred [0m"),
        ("one\ntwo", "one two"),
        ("\u202egnp.exe", "gnp.exe"),
        ("日本語", "日本語"),
        ("x" * 1000, "x" * 79 + "…"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_reason_is_shown_on_one_line_without_what_a_terminal_obeys(ask, reason, shown):
    def call(end: Endpoint) -> None:
        raise end.garbage(end.relations[0], reason)

    (status,) = ask(Endpoint, call, {"mlflow-server": {}}).statuses
    assert status == ("blocked", f"mlflow-server sent wrong data on there: {shown}")
    assert len(status[1]) <= 120
