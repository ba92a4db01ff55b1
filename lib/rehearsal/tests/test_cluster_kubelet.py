"""Logs of played pods: what `kubectl logs` shows, through the API server."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable

import pytest

from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.patience import until

pytestmark = pytest.mark.skipif(
    "REHEARSAL_TEST_KUBECONFIG" in os.environ, reason="about a control plane of our own, not a shared cluster"
)
FIRST = [
    "level=info msg=starting image=example.com/web:1",
    'level=info msg="nothing runs here: the rehearsal plays this container"',
]


@pytest.fixture
def path(control_plane: ControlPlane, namespace: str) -> str:
    """The path of a pod that runs."""
    pods = f"/api/v1/namespaces/{namespace}/pods"
    pod = {
        "metadata": {"name": "web"},
        "spec": {"containers": [{"name": "main", "image": "example.com/web:1"}]},
    }
    control_plane.request("POST", pods, json.dumps(pod).encode(), "application/json")
    path = f"{pods}/web"
    until(lambda: json.loads(control_plane.request("GET", path))["status"].get("phase") == "Running")
    return path


@pytest.fixture
def logs(control_plane: ControlPlane, namespace: str) -> Callable[..., list[str]]:
    """Run `kubectl logs`; return its lines, or what it says on stderr."""

    def logs(*words: str) -> list[str]:
        where = [f"--kubeconfig={control_plane.admin_kubeconfig}", f"--namespace={namespace}"]
        run = subprocess.run(
            [*control_plane.kubectl, *where, "logs", *words], check=False, capture_output=True, text=True
        )
        return (run.stdout or run.stderr).splitlines()

    return logs


@pytest.fixture
def say(control_plane: ControlPlane, namespace: str) -> Callable[..., None]:
    """Have the container write lines."""
    assert control_plane.kubelet is not None
    kubelet = control_plane.kubelet
    return lambda *lines, **when: kubelet.say(namespace, "web", "main", *lines, **when)


def change(control_plane: ControlPlane, path: str, **fields: object) -> None:
    """Change the status of the pod's container."""
    status = json.loads(control_plane.request("GET", path))["status"]["containerStatuses"][0] | fields
    body = json.dumps({"status": {"containerStatuses": [status]}}).encode()
    control_plane.request("PATCH", f"{path}/status", body, "application/merge-patch+json")


def test_a_container_says_what_it_stands_for_and_what_it_is_told(path, logs, say):
    assert logs("web") == FIRST
    say("a", "b")
    assert logs("web") == [*FIRST, "a", "b"]
    assert logs("web", "--tail=1") == ["b"]
    assert logs("web", "--tail=9") == [*FIRST, "a", "b"]


def test_each_line_has_its_time_and_older_ones_are_left_out(path, logs, say):
    now = time.time_ns() // 10**9 * 10**9
    say("old", at=now - 600 * 10**9)
    say("new", at=now + 5)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now / 10**9))
    assert logs("web", "--timestamps")[-1] == f"{stamp}.000000005Z new"
    assert "old" not in logs("web", "--since=60s")
    assert logs("web", f"--since-time={stamp}Z")[-1] == "new"


def test_a_followed_log_ends_with_its_container(control_plane, namespace, path, say):
    where = [f"--kubeconfig={control_plane.admin_kubeconfig}", f"--namespace={namespace}"]
    command = [*control_plane.kubectl, *where, "logs", "--follow", "web"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        assert [following.stdout.readline().rstrip() for _ in FIRST] == FIRST
        say("now")
        assert following.stdout.readline() == "now\n"
        say("last")
        change(control_plane, path, state={"terminated": {"exitCode": 1}})
        assert following.stdout.read() == "last\n"
        assert following.wait(30) == 0


def test_a_restarted_container_has_a_log_of_its_own_and_its_previous_one(control_plane, path, logs, say):
    assert logs("web", "--previous") == [
        'Error from server (BadRequest): previous terminated container "main" in pod "web" not found'
    ]
    say("panic")
    change(control_plane, path, restartCount=1)
    say("again")
    assert logs("web") == [*FIRST, "again"]
    assert logs("web", "--previous") == [*FIRST, "panic"]


def test_a_container_that_has_not_started_has_no_log(control_plane, path, logs):
    change(control_plane, path, state={"waiting": {"reason": "ContainerCreating"}}, ready=False)
    assert logs("web") == [
        'Error from server (BadRequest): container "main" in pod "web" is waiting to start: ContainerCreating'
    ]
