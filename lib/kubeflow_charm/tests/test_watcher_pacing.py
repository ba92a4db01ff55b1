"""When the watching process asks for a hook, on a clock of the test's own; and what counts as a change."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from kubeflow_charm.watch.digests import PRESENCE, digest, is_news, node_digest, status_digest
from kubeflow_charm.watch.pacing import BURST, QUIET, SLOWEST, SPACING, WIDEST, Pacing
from kubeflow_charm.watch.watcher import Followed


def run(pacing: Pacing, until: float, *, done: Callable[[int], bool] = lambda _: True) -> list[float]:
    """Let the clock run; return when hooks were asked for, each of which takes no time."""
    asked: list[float] = []
    while (due := pacing.due()) is not None and due <= until:
        pacing.asking()
        asked.append(round(due, 2))
        pacing.asked(due, done=done(len(asked)))
    return asked


def test_nothing_is_due_without_a_change():
    assert Pacing().due() is None


def test_a_change_is_told_when_it_has_been_quiet():
    pacing = Pacing()
    pacing.changed(10)
    assert run(pacing, 100) == [10 + QUIET]


def test_changes_close_together_are_told_once():
    pacing = Pacing()
    for n in range(5):
        pacing.changed(10 + n * 0.2)
    assert run(pacing, 100) == [11.1]


@pytest.mark.parametrize("every", [0.01, 0.1, 0.29])
def test_a_storm_is_told_every_two_seconds_and_once_after_it(every):
    pacing, asked, now = Pacing(), [], 0.0
    while now < 10:
        pacing.changed(now)
        asked += run(pacing, now)
        now += every
    asked += run(pacing, 100)
    assert 5 <= len(asked) <= 6
    assert all(later - earlier >= SPACING for earlier, later in itertools.pairwise(asked))


def test_a_change_during_a_hook_is_told_after_it():
    pacing = Pacing()
    pacing.changed(10)
    pacing.asking()
    pacing.changed(11)
    pacing.asked(12, done=True)
    assert run(pacing, 100) == [12 + SPACING]


def test_a_hook_that_fails_is_asked_for_again_less_and_less_often():
    pacing = Pacing()
    pacing.changed(0)
    asked = run(pacing, 300, done=lambda count: count > 8)
    pauses = [round(later - earlier, 2) for earlier, later in itertools.pairwise(asked)]
    assert pauses == [2, 4, 8, 16, 32, SLOWEST, SLOWEST, SLOWEST]


def test_thousands_of_failures_are_as_slow_as_ten():
    pacing = Pacing()
    pacing.changed(0)
    asked = run(pacing, SLOWEST * 2000, done=lambda _: False)
    assert len(asked) > 1900
    assert round(asked[-1] - asked[-2], 2) == SLOWEST


def test_a_fight_over_a_field_gets_slow_and_begins_anew_after_a_calm():
    """Each hook takes the field back, and the other writer answers at once."""
    pacing, asked = Pacing(), []
    pacing.changed(0)
    for _ in range(BURST + 20):
        asked += run(pacing, 10_000)
        pacing.changed(asked[-1] + 0.1)
    pauses = [round(later - earlier, 2) for earlier, later in itertools.pairwise(asked)]
    assert pauses[: BURST - 1] == [SPACING] * (BURST - 1)
    assert pauses == sorted(pauses)
    assert pauses[-1] == WIDEST
    pacing.asking()
    pacing.changed(2000)
    run(pacing, 10_000)
    pacing.changed(2001)
    assert run(pacing, 10_000) == [2000.3 + SPACING]


def test_after_a_success_a_failure_is_young_again():
    pacing = Pacing()
    pacing.changed(0)
    run(pacing, 20, done=lambda count: count > 3)
    pacing.changed(100)
    assert run(pacing, 103, done=lambda _: False) == [100.3, 102.3]


def test_waiting_for_what_cannot_be_watched_asks_less_and_less_often():
    pacing = Pacing()
    pacing.retry(10, 0)
    assert run(pacing, 150) == [10, 25, 47.5, 81.25, 131.88]


def test_the_same_wait_said_again_does_not_begin_anew():
    pacing = Pacing()
    pacing.retry(10, 0)
    pacing.retry(10, 9)
    assert pacing.due() == 10


def test_a_wait_that_is_over_asks_no_more_and_the_next_begins_anew():
    pacing = Pacing()
    pacing.retry(10, 0)
    assert run(pacing, 50) == [10, 25, 47.5]
    pacing.retry(None, 60)
    assert pacing.due() is None
    pacing.retry(10, 70)
    assert run(pacing, 100) == [80, 95]


def test_a_hook_for_a_change_counts_for_the_wait():
    pacing = Pacing()
    pacing.retry(10, 0)
    pacing.changed(8)
    assert run(pacing, 20) == [8.3, 18.3]


def test_a_wait_longer_than_the_slowest_is_not_cut():
    pacing = Pacing()
    pacing.retry(300, 0)
    assert run(pacing, 700) == [300, 600]


POD: dict[str, Any] = {
    "metadata": {"name": "a", "uid": "1", "resourceVersion": "7", "labels": {"x": "1"}},
    "spec": {"nodeName": "n"},
    "status": {
        "phase": "Running",
        "podIP": "10.0.0.1",
        "conditions": [{"type": "Ready", "status": "True", "lastProbeTime": "1"}],
        "containerStatuses": [{"restartCount": 1, "state": {"running": {"startedAt": "1"}}, "lastState": {}}],
    },
}


def put(item: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a copy with one field changed; a number in the path is a place in a list."""
    item = copy.deepcopy(item)
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    target: Any = item
    for step in steps:
        target = target[step]
    target[last] = value
    return item


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.uid", "2"),
        ("metadata.deletionTimestamp", "2026-11-23T20:00:00Z"),
        ("status.phase", "Failed"),
        ("status.reason", "Evicted"),
        ("status.observedGeneration", 2),
        ("status.availableReplicas", 1),
        ("status.conditions.0.status", "False"),
        ("status.conditions.0.reason", "ContainersNotReady"),
        ("status.containerStatuses.0.state", {"waiting": {"reason": "CrashLoopBackOff"}}),
        ("status.containerStatuses.0.lastState", {"terminated": {"reason": "OOMKilled"}}),
        ("status.initContainerStatuses", [{"state": {"waiting": {"reason": "ErrImagePull"}}}]),
    ],
)
def test_what_a_status_speaks_of_is_a_change(path, value):
    assert status_digest(put(POD, path, value)) != status_digest(POD)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.resourceVersion", "8"),
        ("metadata.generation", 2),
        ("metadata.labels", {"x": "2"}),
        ("metadata.managedFields", [{"manager": "kubelet"}]),
        ("spec.nodeName", "m"),
        ("status.podIP", "10.0.0.2"),
        ("status.conditions.0.lastProbeTime", "2"),
        ("status.containerStatuses.0.restartCount", 2),
        ("status.containerStatuses.0.state.running.startedAt", "2"),
    ],
)
def test_what_no_status_speaks_of_is_no_change(path, value):
    assert status_digest(put(POD, path, value)) == status_digest(POD)


@pytest.mark.parametrize(
    ("path", "value", "counts"),
    [
        ("metadata.labels", {"x": "2"}, True),
        ("metadata.finalizers", ["profile-finalizer"], True),
        ("spec.taints", [{"key": "nvidia.com/gpu"}], True),
        ("status.allocatable", {"nvidia.com/gpu": "8"}, False),
        ("metadata.annotations", {"x": "2"}, False),
        ("status.images", [{"names": ["a"]}], False),
        ("status.conditions.0.lastHeartbeatTime", "2", False),
    ],
)
def test_of_cluster_wide_objects_labels_and_spec_count_too(path, value, counts):
    assert (status_digest(put(POD, path, value), whole=True) != status_digest(POD, whole=True)) is counts


NODE = {
    "metadata": {"name": "n", "labels": {"nvidia.com/gpu.product": "Tesla-T4"}},
    "spec": {"taints": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}], "podCIDR": "10.1.0.0/24"},
    "status": {
        "capacity": {"cpu": "8", "nvidia.com/gpu": "1"},
        "allocatable": {"cpu": "8", "nvidia.com/gpu": "1"},
        "conditions": [{"type": "Ready", "status": "True"}],
    },
}
AWAY = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("path", "value", "counts"),
    [
        ("metadata labels", {"nvidia.com/gpu.product": "NVIDIA-L4"}, True),
        ("spec taints", [], True),
        ("spec taints 0 value", "present", True),
        ("status allocatable nvidia.com/gpu", "0", True),
        ("status capacity nvidia.com/gpu", "2", True),
        ("spec taints", [*NODE["spec"]["taints"], AWAY], False),
        ("spec unschedulable", True, False),
        ("status conditions 0 status", "Unknown", False),
        ("status allocatable cpu", "7", False),
        ("status images", [{"names": ["a"]}], False),
        ("metadata annotations", {"x": "2"}, False),
    ],
)
def test_of_a_node_counts_what_decides_where_pods_can_run(path, value, counts):
    changed = copy.deepcopy(NODE)
    at: Any = changed
    *steps, last = path.split()
    for step in steps:
        at = at[int(step) if step.isdecimal() else step]
    at[last] = value
    assert (node_digest(changed) != node_digest(NODE)) is counts


def applied(time: str = "1", /, **fields: Any) -> dict[str, Any]:
    """Return the metadata of a ConfigMap with fields that we applied."""
    entry = {"manager": "ours", "operation": "Apply", "time": time, "fieldsV1": {"f:data": fields}}
    status = {"manager": "ours", "operation": "Apply", "time": "9", "subresource": "status", "fieldsV1": {}}
    return {"metadata": {"name": "a", "managedFields": [status, entry]}}


def news(before: dict[str, Any] | None, after: dict[str, Any] | None, matters: str = "applied") -> bool:
    """Whether a hook should see the difference of two objects."""
    return is_news(*(None if item is None else digest(item, matters, "ours") for item in (before, after)))


OTHERS = {"metadata": {"name": "a", "managedFields": [{"manager": "kubectl", "operation": "Update"}]}}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, applied(a={}), False),  # we made it
        (applied(a={}), applied("2", b={}), False),  # we wrote something else
        (applied(a={}, b={}), applied(a={}), True),  # another took a field over
        (applied(a={}), OTHERS, True),  # another cleared managedFields, or made the object anew
        (applied(a={}), None, True),  # another deleted it, or took our label off
        (applied(a={}), applied(a={}), False),  # another added a field
        (None, OTHERS, False),
        (OTHERS, None, False),
    ],
)
def test_of_our_objects_counts_what_others_do_to_our_fields(before, after, expected):
    assert news(before, after) is expected


def test_of_our_workloads_counts_the_status_too():
    before = applied(a={}) | {"status": {"readyReplicas": 0}}
    assert news(before, before | {"status": {"readyReplicas": 1}}, "status")
    assert not news(before, applied("2", b={}) | {"status": {"readyReplicas": 0}}, "status")
    assert news(None, before, "status")


def test_of_what_is_only_there_it_is_news_that_it_comes_and_goes():
    item = {"metadata": {"name": "notebooks.kubeflow.org", "labels": {"a": "b"}}}
    changed = {"metadata": {"name": "notebooks.kubeflow.org"}}
    assert news(None, item, PRESENCE)
    assert news(item, None, PRESENCE)
    assert not news(item, changed, PRESENCE)


@pytest.mark.parametrize("status", [None, {}, {"conditions": None, "containerStatuses": None}])
def test_an_object_without_a_status_has_a_digest(status):
    assert len(status_digest({"metadata": {"name": "a"}, "status": status})) == 16


def test_a_followed_kind_says_what_matters_by_a_known_name():
    with pytest.raises(ValueError, match="anything is not in"):
        Followed("v1", "Secret", "secrets", matters="anything")
