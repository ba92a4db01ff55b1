"""The endpoint `logging` of a charm: which hooks see a Loki's unit, and what the charm then does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from ops import testing

from kubeflow_charm.charm import ComponentCharm, Outcome
from kubeflow_charm.watch import watcher
from kubeflow_charm.watch.logs.loki import Target

META: dict[str, Any] = {
    "name": "web",
    "requires": {"logging": {"interface": "loki_push_api"}, "other": {"interface": "other"}},
}


class Web(ComponentCharm[None]):
    """A charm that has nothing in the cluster."""

    converged = 0

    def gather(self) -> None:
        """Return nothing."""

    def converge(self, facts: None) -> Outcome:
        """Count."""
        Web.converged += 1
        return Outcome([], "at work")


@pytest.fixture
def specs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[watcher.WatchSpec]]:
    """What the process beside the charm was told in each hook."""
    told: list[watcher.WatchSpec] = []
    monkeypatch.setattr(watcher.Watcher, "ensure", lambda _, spec: told.append(spec))
    Web.converged = 0
    yield told


def loki(*texts: str, endpoint: str = "logging") -> testing.Relation:
    """Return a relation with an application of which each unit has written something."""
    units = {number: {"endpoint": text} for number, text in enumerate(texts)}
    return testing.Relation(endpoint, remote_app_name="loki", remote_units_data=units)  # type: ignore[arg-type]


def url(host: str) -> str:
    """Return what a Loki writes."""
    return json.dumps({"url": f"http://{host}/push"})


def run(event: str, relation: testing.Relation, meta: dict[str, Any] = META, **how: Any) -> testing.State:
    """Run a hook of a relation."""
    context = testing.Context(Web, meta=meta, app_name="web")
    model = testing.Model("mlops", uuid="0f0e0d0c-0000-4000-8000-000000000000")
    state = testing.State(leader=True, model=model, relations=[relation])
    return context.run(getattr(context.on, event)(relation, **how), state)


def test_what_a_unit_of_a_loki_writes_is_seen_at_once(specs):
    run("relation_changed", loki(url("a"), url("b")), remote_unit=1)
    (spec,) = specs
    assert spec.logs is not None
    assert spec.logs.targets == (Target("loki/0", "http://a/push"), Target("loki/1", "http://b/push"))
    assert spec.logs.labels == {
        "product": "Juju",
        "charm": "web",
        "job": "juju_mlops_0f0e0d0c_web",
        "juju_model": "mlops",
        "juju_model_uuid": "0f0e0d0c-0000-4000-8000-000000000000",
        "juju_application": "web",
        "juju_unit": "web/0",
        "juju_charm": "web",
    }


def test_what_a_unit_of_others_writes_costs_no_hook_its_work(specs):
    run("relation_changed", loki(url("a"), endpoint="other"), remote_unit=0)
    assert (specs, Web.converged) == ([], 0)


def test_a_unit_that_leaves_gets_no_logs_from_then_on(specs):
    run("relation_departed", loki(url("a")), remote_unit=1, departing_unit=1)  # Juju lists it no more
    assert [each.name for each in specs[0].logs.targets] == ["loki/0"]


def test_a_relation_that_breaks_ends_it(specs):
    run("relation_broken", loki(url("a")))
    assert [spec.logs for spec in specs] == [None]


def test_a_loki_is_told_who_we_are_before_it_has_an_address(specs):
    relation = loki()
    state = run("relation_created", relation)
    assert json.loads(state.get_relation(relation.id).local_app_data["metadata"]) == {
        "model": "mlops",
        "model_uuid": "0f0e0d0c-0000-4000-8000-000000000000",
        "application": "web",
        "unit": "web/0",
        "charm_name": "web",
    }
    assert state.unit_status == testing.ActiveStatus("at work")
    assert [spec.logs for spec in specs] == [None]


def test_garbage_is_shown_and_stops_neither_the_work_nor_other_lokis(specs):
    state = run("relation_changed", loki("{", url("b")), remote_unit=0)
    assert state.unit_status == testing.BlockedStatus("loki sent wrong data on logging: endpoint: not JSON")
    assert Web.converged == 1
    assert [each.name for each in specs[0].logs.targets] == ["loki/1"]


def test_a_charm_without_the_endpoint_sends_nothing(specs):
    meta = {"name": "web", "requires": {"other": META["requires"]["other"]}}
    run("relation_created", loki(endpoint="other"), meta=meta)
    assert [spec.logs for spec in specs] == [None]
