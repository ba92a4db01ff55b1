"""grafana_dashboard: dashboards there and back, and what a Grafana says to garbage."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cosl import LZMABase64

from kubeflow_charm.relations.grafana_dashboard import Provides, Requires

BOARD = {"title": "Ours", "uid": "0" * 40, "panels": []}


def test_a_grafana_reads_what_a_charm_sends(ask: Any):
    sent = ask(Provides, lambda end: end.send("1", lambda: {"file:ours": BOARD}), {"grafana": {}}).written
    read = ask(Requires, lambda end: end.get(), {"theirs": sent["grafana"]}).value
    assert read == {"file:ours": BOARD}
    (template,) = json.loads(sent["grafana"]["dashboards"])["templates"].values()
    assert template["charm"] == "ours"
    assert template["juju_topology"].keys() == {"model", "model_uuid", "application", "unit"}
    assert (template["inject_dropdowns"], template["dashboard_alt_uid"]) == (True, "0" * 40)


def test_who_has_not_written_yet_has_no_dashboards(ask: Any):
    assert ask(Requires, lambda end: end.get(), {"late": {}}).value == {}


@pytest.mark.parametrize(
    ("event", "heard"),
    [
        ({}, []),
        ({"event": "{}"}, []),
        ({"event": "[" * 30_000}, []),
        ({"event": '{"errors": [{"dashboard_id": "file:a", "error": "no JSON"}]}'},
         ["grafana refuses dashboards: [{'dashboard_id': 'file:a', 'error': 'no JSON'}]"]),
    ],
)  # fmt: skip
def test_complaints_are_heard(ask: Any, event: dict[str, str], heard: list[str]):
    assert ask(Provides, lambda end: end.complaints(), {"grafana": event}).value == heard


def template(**said: Any) -> str:
    return json.dumps({"templates": {"file:a": {"charm": "a", **said}}})


@pytest.mark.parametrize(
    "text",
    ["[", "[" * 30_000, "{}", template(), template(content="garbage"), template(content="AAAA"),
     template(content=LZMABase64.compress("{")), template(content=["x"])],
)  # fmt: skip
def test_garbage_is_named_and_stops_nothing_else(ask: Any, text: str):
    ((state, said),) = ask(Requires, lambda end: end.get(), {"app": {"dashboards": text}}).statuses
    assert (state, said.startswith("app sent wrong data on there: ")) == ("blocked", True), said
