"""Whose logs are sent: of which containers, and as what."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kubeflow_charm.watch.logs.pods import INJECTED, containers

RUNNING = {"state": {"running": {}}}
ENDED = {"state": {"terminated": {}}}
STARTING = {"state": {"waiting": {"reason": "ContainerCreating"}}, "lastState": {}}
CRASHED = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {}}}


def pod(annotations: dict[str, str] | None = None, **statuses: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a pod with these statuses."""
    metadata = {"name": "p", "namespace": "n", "uid": "u"} | (
        {"annotations": annotations} if annotations else {}
    )
    return {"metadata": metadata, "status": statuses}


def status(name: str, state: dict[str, Any], restarts: int = 0) -> dict[str, Any]:
    """Return the status of a container."""
    return {"name": name, "restartCount": restarts, **state}


def names(said: dict[str, Any]) -> list[str]:
    """Return the names of the containers with logs."""
    return [each.name for each in containers(said)]


@pytest.mark.parametrize(
    ("state", "runs"), [(RUNNING, True), (ENDED, False), (CRASHED, False), (STARTING, None), ({}, None)]
)
def test_a_container_has_a_log_from_its_first_start(state, runs):
    found = containers(pod(containerStatuses=[status("a", state, 3)]))
    assert [(each.name, each.restarts, each.runs) for each in found] == (
        [] if runs is None else [("a", 3, runs)]
    )


def test_init_containers_count_and_a_persons_terminal_does_not():
    said = pod(
        initContainerStatuses=[status("init", ENDED)],
        containerStatuses=[status("main", RUNNING)],
        ephemeralContainerStatuses=[status("debugger-1", RUNNING)],
    )
    assert names(said) == ["init", "main"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"initContainers": ["istio-init"], "containers": ["istio-proxy"]}, ["main"]),
        ({"initContainers": ["istio-init", "istio-proxy"], "containers": None}, ["main"]),
        ({}, ["istio-init", "main", "istio-proxy"]),
        ([], ["istio-init", "main", "istio-proxy"]),
        ({"containers": 3}, ["istio-init", "main", "istio-proxy"]),
    ],
)
def test_what_istio_injected_belongs_to_the_mesh(said, expected):
    found = pod(
        {INJECTED: json.dumps(said)},
        initContainerStatuses=[status("istio-init", ENDED)],
        containerStatuses=[status("main", RUNNING), status("istio-proxy", RUNNING)],
    )
    assert names(found) == expected


def test_an_annotation_that_is_garbage_hides_no_log():
    assert names(pod({INJECTED: "{"}, containerStatuses=[status("main", RUNNING)])) == ["main"]


def test_a_pod_without_a_status_has_no_log():
    assert containers({"metadata": {"name": "p", "namespace": "n", "uid": "u"}, "status": None}) == []
