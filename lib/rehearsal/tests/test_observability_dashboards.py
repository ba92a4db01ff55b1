"""What is wrong with a dashboard, what a collector sends on of it, and what Grafana shows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rehearsal.stand_ins.observability import dashboards
from rehearsal.stand_ins.observability.dashboards import Template
from rehearsal.stand_ins.observability.topology import HookFails

SOURCE = {"type": "prometheus", "uid": "${prometheusds}"}
PANEL = {"title": "Runs", "datasource": SOURCE, "targets": [{"expr": "up", "datasource": SOURCE}]}
GOOD: dict[str, Any] = {"title": "API", "uid": "0a" * 20, "version": 3, "panels": [PANEL]}


def template(
    dashboard: Any = GOOD, name: str = "file:api", charm: str = "kfp", dropdowns: bool = True
) -> Template:
    return Template(name, charm, dashboards.packed(dashboard), dropdowns)


def test_a_dashboard_travels() -> None:
    wire = dashboards.wire({"file:api": template()}, {"model": "kubeflow"})
    assert dashboards.received({"dashboards": wire}) == [template()]
    assert template().dashboard == GOOD
    assert json.loads(wire)["templates"]["file:api"]["juju_topology"] == {"model": "kubeflow"}
    assert dashboards.received({}) == []


def test_a_sound_one_has_no_faults() -> None:
    own = {"name": "mine", "type": "datasource", "query": "prometheus"}
    panel = {"title": "x", "datasource": {"uid": "${mine}"}, "targets": [{"expr": "up"}]}
    row = {"type": "row", "title": "More", "panels": [PANEL]}
    text = {"type": "text", "title": "Read me"}
    mine = GOOD | {"templating": {"list": [own]}, "panels": [panel, row, text]}
    for each in (GOOD, mine):
        assert list(dashboards.faults(template(), each)) == []


def panels(*sources: Any, query: Any = None) -> list[dict[str, Any]]:
    return [{"title": "Runs", "datasource": each, "targets": [{"datasource": query}]} for each in sources]


OWN = {"templating": {"list": [{"name": "pod", "type": "query"}]}}


def test_without_own_variables_sources_get_those_of_grafanas_charm() -> None:
    some = panels(
        "Thanos", "loki", {"type": "prometheus"}, {"type": "loki", "uid": "P1"}, query={"uid": "P2"}
    )
    assert list(dashboards.faults(template(), GOOD | {"panels": some})) == []


FAULTS = {
    "a short uid": (
        {"uid": "api"},
        "its uid is not of 40 hex digits, so it gets another one with each relation",
    ),
    "no uid": ({"uid": None}, "its uid is not of 40 hex digits, so it gets another one with each relation"),
    "a version in text": ({"version": "3"}, "its version is no integer, so an older one may stay"),
    "a version that is none": ({"version": True}, "its version is no integer, so an older one may stay"),
    "no title": ({"title": ""}, "no title"),
    "another source": (
        {**OWN, "panels": panels("Thanos")},
        'the panel "Runs" reads Thanos, which no Grafana has',
    ),
    "another uid": ({"panels": panels({"uid": "P1"})}, 'the panel "Runs" reads P1, which no Grafana has'),
    "no source": ({"panels": panels(None)}, 'the panel "Runs" names no data source'),
    "a query elsewhere": (
        {"panels": panels({"uid": "-- Mixed --"}, query={"type": "prometheus", "uid": "P1"})},
        'the panel "Runs" reads P1, which no Grafana has',
    ),
    "within a row": (
        {**OWN, "panels": [{"type": "row", "panels": panels("Thanos")}]},
        'the panel "Runs" reads Thanos, which no Grafana has',
    ),
}


@pytest.mark.parametrize(("change", "why"), FAULTS.values(), ids=FAULTS)
def test_faults(change: dict[str, Any], why: str) -> None:
    assert list(dashboards.faults(template(), GOOD | change)) == [f"file:api: {why}"]


@pytest.mark.parametrize("change", [{"templating": {}}, {"panels": panels({"type": "tempo"})}])
def test_what_the_hook_of_a_real_grafana_fails_on(change: dict[str, Any]) -> None:
    with pytest.raises(HookFails):
        list(dashboards.faults(template(), GOOD | change))


@pytest.mark.parametrize("content", ["bm90IHBhY2tlZA==", dashboards.packed([])])  # type: ignore[arg-type]
def test_what_is_no_dashboard(content: str) -> None:
    with pytest.raises(ValueError):
        _ = Template("file:api", "kfp", content, dropdowns=True).dashboard


@pytest.mark.parametrize(
    "said", ["{", '{"uuid": "x"}', '{"templates": {"a": {}}}', '{"templates": {"a": 3}}']
)
def test_what_every_real_hook_fails_on(said: str) -> None:
    with pytest.raises(HookFails):
        dashboards.received({"dashboards": said})


def test_a_collector_sends_on_under_a_name_of_its_own() -> None:
    new, sent = dashboards.sent_on(template(name="file:API of/Runs"), 5, "otelcol")
    assert new == "file:juju_file:api_of_runs-kfp-5"
    assert (sent.charm, sent.dropdowns) == ("otelcol", True)
    assert sent.dashboard == GOOD | {"tags": ["charm: otelcol"]}


def test_a_collector_keeps_the_authors_tag_and_makes_up_a_uid() -> None:
    said = GOOD | {"uid": "api", "tags": ["charm: kfp"]}
    uids = set()
    for relation in (5, 6):
        _, sent = dashboards.sent_on(
            template(said, "file:Katib", "katib"), relation, "opentelemetry-collector-k8s"
        )
        assert sent.dashboard["tags"] == ["charm: kfp"]
        uids.add(sent.dashboard["uid"])
    assert len(uids) == 2
    assert "da1ec26110774202683b56888ba1b7f41b49bc32" in uids  # cosl's DashboardPath40UID of that path


def names(dashboard: dict[str, Any]) -> list[str]:
    return [each["name"] for each in dashboard["templating"]["list"]]


def test_grafana_adds_the_variables_that_are_missing() -> None:
    every = ["juju_model", "juju_model_uuid", "juju_application", "juju_unit", "prometheusds", "lokids"]
    assert names(dashboards.shown(template(), GOOD)) == every
    assert names(dashboards.shown(template(dropdowns=False), GOOD)) == every[-2:]
    own = {"templating": {"list": [{"name": "pod"}, {"name": "juju_model"}]}}
    added = names(dashboards.shown(template(), GOOD | own))
    assert added == [*reversed(every[1:]), "pod", "juju_model"]
    unit = dashboards.shown(template(), GOOD)["templating"]["list"][1]
    assert unit["query"] == 'label_values(up{juju_model=~"$juju_model"},juju_model_uuid)'
