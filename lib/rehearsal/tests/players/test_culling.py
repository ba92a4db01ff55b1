"""When a notebook that nobody uses is stopped."""

from __future__ import annotations

from typing import Any

import pytest
from player_bench import Bench, until, until_same

from rehearsal.players import kinds
from rehearsal.players.players import Players

PROGRAM = "notebook-controller"
CULLING = {"ENABLE_CULLING": "true", "CULL_IDLE_TIME": "60", "IDLENESS_CHECK_PERIOD": "5"}
ACTIVITY = "notebooks.kubeflow.org/last-activity"
CHECKED = "notebooks.kubeflow.org/last_activity_check_timestamp"
STOPPED = "kubeflow-resource-stopped"
BEGIN = "2026-01-01T00:00:00Z"


def told(bench: Bench) -> dict[str, str]:
    return bench.get(kinds.NOTEBOOK, "book")["metadata"].get("annotations", {})


def checked(bench: Bench, players: Players, clock: Any, **by: int) -> dict[str, str]:
    """Put the clock forward; return the annotations when the culler has looked again."""
    clock.forward(**by)
    players.hurry()
    now = clock().strftime("%Y-%m-%dT%H:%M:%SZ")
    until(lambda: told(bench).get(CHECKED) == now or STOPPED in told(bench), "a look")
    bench.assert_settled()
    return told(bench)


def book(bench: Bench, **env: str) -> Bench:
    bench.deploy(CULLING | env)
    containers = [{"name": "book", "image": "jupyter:1"}]
    bench.make(kinds.NOTEBOOK, "book", {"template": {"spec": {"containers": containers}}})
    return bench


@pytest.fixture
def notebook(bench: Bench) -> Bench:
    """A notebook that runs and has been seen by the culler.

    While it comes up, the culler's second write may come too late, and it waits for another period.
    """
    book(bench)
    until(lambda: told(bench) == {ACTIVITY: BEGIN, CHECKED: BEGIN}, "the first look")
    until(lambda: bench.get(kinds.NOTEBOOK, "book").get("status", {}).get("readyReplicas") == 1, "ready")
    until_same(bench.writes)
    return bench


def test_one_that_does_not_answer_is_stopped_after_the_idle_time(notebook: Bench, players: Players, clock):
    assert checked(notebook, players, clock, minutes=60) == {ACTIVITY: BEGIN, CHECKED: "2026-01-01T01:00:00Z"}
    clock.forward(minutes=6)
    players.hurry()
    until(lambda: told(notebook) == {STOPPED: "2026-01-01T01:06:00Z"}, "the end")
    until(lambda: notebook.find(kinds.POD, "book-0") is None, "the pod to go")
    assert notebook.get(kinds.STATEFUL_SET, "book")["spec"]["replicas"] == 0
    notebook.assert_settled()


@pytest.mark.parametrize(
    ("kernels_say", "activity"),
    [
        ([], BEGIN),
        ([("busy", BEGIN)], "2026-01-01T02:00:00Z"),
        ([("starting", BEGIN), ("idle", BEGIN)], "2026-01-01T02:00:00Z"),
        ([("idle", "2026-01-01T00:10:00Z"), ("idle", "2026-01-01T01:30:00.123456Z")], "2026-01-01T01:30:00Z"),
        ([("idle", "2026-01-01T01:30:00Z"), ("idle", "yesterday")], BEGIN),
    ],
    ids=["no kernels", "one is busy", "one starts", "the latest counts", "no time"],
)
def test_what_kernels_say_is_the_last_activity(notebook, players, clock, kernels, kernels_say, activity):
    kernels[notebook.namespace, "book"] = [
        {"execution_state": state, "last_activity": last} for state, last in kernels_say
    ]
    stops = activity == BEGIN
    found = checked(notebook, players, clock, minutes=120)
    if stops:
        until(lambda: told(notebook) == {STOPPED: "2026-01-01T02:00:00Z"}, "the end")
    else:
        assert found == {ACTIVITY: activity, CHECKED: "2026-01-01T02:00:00Z"}


def test_it_is_asked_once_in_a_period(notebook: Bench, players: Players, clock):
    clock.forward(minutes=4)
    players.hurry()
    notebook.assert_settled()
    assert told(notebook) == {ACTIVITY: BEGIN, CHECKED: BEGIN}
    assert checked(notebook, players, clock, minutes=2)[CHECKED] == "2026-01-01T00:06:00Z"


def test_one_that_is_started_again_begins_anew(notebook: Bench, players: Players, clock):
    clock.forward(minutes=120)
    players.hurry()
    until(lambda: told(notebook) == {STOPPED: "2026-01-01T02:00:00Z"}, "the end")
    until(lambda: notebook.find(kinds.POD, "book-0") is None, "the pod to go")
    notebook.annotate(kinds.NOTEBOOK, "book", **{STOPPED: None})
    now = "2026-01-01T02:00:00Z"
    until(lambda: told(notebook) == {ACTIVITY: now, CHECKED: now}, "a new beginning")


def test_nobody_looks_unless_told_to(bench: Bench, players: Players, clock):
    book(bench, ENABLE_CULLING="false")
    until(lambda: bench.get(kinds.NOTEBOOK, "book").get("status", {}).get("readyReplicas") == 1, "ready")
    clock.forward(days=30)
    players.hurry()
    bench.assert_settled()
    assert told(bench) == {}


def test_the_idle_time_is_a_day_if_it_is_no_number(bench: Bench, players: Players, clock):
    book(bench, CULL_IDLE_TIME="1h")
    until(lambda: told(bench).get(ACTIVITY) == BEGIN, "the first look")
    assert STOPPED not in checked(bench, players, clock, hours=24)
    clock.forward(minutes=6)
    players.hurry()
    until(lambda: STOPPED in told(bench), "the end")
