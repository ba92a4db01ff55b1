"""The watching process against a real API server: a change of a workload becomes a call of `juju-exec`."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ops
import pytest
import yaml
from ops import testing

from kubeflow_charm.cluster import resources
from kubeflow_charm.watch import process
from kubeflow_charm.watch.watcher import Followed, Watcher, WatchSpec
from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.cluster.gate import Fault

KINDS = {kind.kind: kind.resource for kind in resources.KINDS}
LABELS = {"app.kubernetes.io/instance": "ours"}
EVENT = "JUJU_DISPATCH_PATH=hooks/kubernetes_changed"
RECORDING = """#!/bin/sh
[ -e {folder}/slow ] && {{ echo $$ > {folder}/waiting; exec sleep 60; }}
echo "$@" >> {folder}/calls
if [ -e {folder}/broken ]; then echo "no agent" >&2; exit 1; fi
"""


class Lone(ops.CharmBase):
    """A charm with nothing of its own."""


@dataclasses.dataclass
class Unit:
    """A unit of the charm, and the `juju-exec` that its processes find: it records its arguments."""

    folder: Path
    namespace: str

    def __post_init__(self) -> None:
        for name in ("charm", "bin", "tmp"):
            (self.folder / name).mkdir()
        program = self.folder / "bin" / "juju-exec"
        program.write_text(RECORDING.format(folder=self.folder))
        program.chmod(0o755)

    def hook(self, act: Callable[[Watcher], None]) -> None:
        """Do something with the watcher in a hook."""
        context = testing.Context(Lone, meta={"name": "ours"}, charm_root=self.folder / "charm")
        model = testing.Model("mlops", uuid="0f0e0d0c-0000-4000-8000-000000000000")
        with context(context.on.update_status(), testing.State(leader=True, model=model)) as manager:
            act(Watcher(manager.charm))

    def ensure(self, **others: Any) -> process.State:
        """Ensure the process, and return the state that it is known by."""
        spec = WatchSpec(**{"namespace": self.namespace, "labels": LABELS, **others})
        self.hook(lambda watcher: watcher.ensure(spec))
        return self.state

    def begin(self, **others: Any) -> int:
        """Ensure the process and wait for the call that each one begins with; return the number of calls."""
        before = len(self.calls)
        self.ensure(**others)
        self.becomes(lambda: len(self.calls) > before)
        return self.settles()

    def stop(self) -> None:
        """Stop the process."""
        self.hook(lambda watcher: watcher.stop())

    @property
    def path(self) -> Path:
        """The file with the state."""
        return self.folder / "tmp" / "ours-0-0f0e0d0c-watcher.json"

    @property
    def state(self) -> process.State:
        """What is known of the process."""
        return process.read(self.path)

    @property
    def calls(self) -> list[str]:
        """The arguments of every call of `juju-exec`."""
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def log(self) -> str:
        """What the processes of this unit logged."""
        return self.path.with_suffix(".log").read_text()

    def becomes(self, condition: Callable[[], Any], *, within: float = 120) -> None:
        """Wait until a condition holds; fail if it does not in time."""
        end = time.monotonic() + within
        while not condition():
            assert time.monotonic() < end, f"calls: {self.calls}, log: {self.log}"
            time.sleep(0.05)

    def tells(self, before: int) -> None:
        """Wait until there is one call more than before; fail if there are two."""
        self.becomes(lambda: len(self.calls) > before)
        assert self.settles() == before + 1

    def settles(self, quiet: float = 0.9) -> int:
        """Wait until no call has come for longer than there is between two calls; return their number."""
        count, since = len(self.calls), time.monotonic()
        while time.monotonic() - since < quiet:
            if len(self.calls) != count:
                count, since = len(self.calls), time.monotonic()
            time.sleep(0.05)
        return count


@pytest.fixture
def patient(
    tmp_path: Path, namespace: str, cluster: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Unit]:
    """A unit whose process reaches the API server as the administrator."""
    unit = Unit(tmp_path, namespace)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("KUBECONFIG", str(cluster.admin_kubeconfig))
    yield unit
    state = unit.state
    unit.stop()
    unit.becomes(lambda: not process.lives(state))


@pytest.fixture
def unit(patient: Unit, monkeypatch: pytest.MonkeyPatch) -> Unit:
    """The same, with a process that waits less between two calls, so that the tests do."""
    text = Path(process.__file__).read_text()
    program = patient.folder / "process.py"
    program.write_text(text.replace("SPACING = 2.0", "SPACING = 0.4"))
    assert program.read_text() != text
    monkeypatch.setattr(process, "__file__", str(program))
    return patient


Say = Callable[[str], None]


@pytest.fixture
def make_pod(cluster: ControlPlane, namespace: str) -> Callable[..., Say]:
    """Make a pod that no scheduler and no kubelet looks at; return how to change its status."""

    def make_pod(name: str = "alone", labels: dict[str, str] = LABELS) -> Say:
        path = f"/api/v1/namespaces/{namespace}/pods"
        spec = {"schedulerName": "nobody", "containers": [{"name": "a", "image": "none"}]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}
        cluster.request("POST", path, json.dumps(pod).encode(), "application/json")

        def say(reason: str) -> None:
            change = json.dumps({"status": {"reason": reason}}).encode()
            cluster.request("PATCH", f"{path}/{name}/status", change, "application/merge-patch+json")

        return say

    return make_pod


class Road:
    """A TCP road to the API server, which can be cut."""

    def __init__(self, url: str):
        target = urllib.parse.urlsplit(url)
        self._target = (str(target.hostname), int(target.port or 443))
        self._port = 0
        self._open: list[socket.socket] = []
        self.restore()
        self.url = f"{target.scheme}://127.0.0.1:{self._port}"

    def restore(self) -> None:
        """Let connections through."""
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """Break every connection and refuse new ones."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(self._target)
                self._open += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 16):
                other.sendall(data)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def road(cluster: ControlPlane) -> Iterator[Road]:
    road = Road(cluster.url)
    yield road
    road.cut()


def reach(unit: Unit, cluster: ControlPlane, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the unit's processes reach the API server in another way."""
    path = unit.folder / "kubeconfig"
    path.write_text(yaml.safe_dump(cluster.kubeconfig(cluster.token, unit.namespace, server=server)))
    monkeypatch.setenv("KUBECONFIG", str(path))


# What it tells


def test_one_change_of_a_pod_is_one_call(unit, make_pod):
    say = make_pod()
    assert unit.begin() == 1  # the charm looked before the process did
    say("Evicted")
    unit.tells(1)
    assert unit.calls[1] == f"ours/0 {EVENT} {unit.folder}/charm/dispatch"


def test_what_no_status_speaks_of_is_no_call(unit, make_pod, cluster):
    make_pod()
    before = unit.begin()
    path = f"/api/v1/namespaces/{unit.namespace}/pods/alone"
    change = json.dumps({"metadata": {"annotations": {"a": "b"}}}).encode()
    cluster.request("PATCH", path, change, "application/merge-patch+json")
    assert unit.settles() == before


def test_a_deployment_that_becomes_ready_is_told_after_it_is(unit, client):
    before = unit.begin()
    template = {
        "metadata": {"labels": LABELS | {"app": "web"}},
        "spec": {"containers": [{"name": "a", "image": "none"}]},
    }
    manifest = {
        "metadata": {"name": "web", "namespace": unit.namespace, "labels": LABELS},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template},
    }
    deployment = KINDS["Deployment"]
    client.apply(deployment(manifest), "web", namespace=unit.namespace)

    def ready() -> bool:
        return client.get(deployment, "web", namespace=unit.namespace)["status"].get("readyReplicas") == 1

    unit.becomes(ready)
    seen = len(unit.calls)
    unit.becomes(lambda: len(unit.calls) > seen)
    assert unit.settles() - before <= 4


def test_a_pod_that_goes_is_told(unit, make_pod, cluster):
    make_pod()
    before = unit.begin()
    path = f"/api/v1/namespaces/{unit.namespace}/pods/alone?gracePeriodSeconds=0"
    cluster.request("DELETE", path)
    unit.tells(before)


def test_a_storm_of_changes_is_few_calls_and_the_first_comes_within_it(patient, make_pod):
    say = make_pod()
    patient.ensure()
    patient.becomes(lambda: patient.calls)
    before, start = len(patient.calls), time.monotonic()
    for number in range(200):
        say(f"Reason{number}")
        time.sleep(0.01)
    during, lasted = len(patient.calls) - before, time.monotonic() - start
    assert 1 <= during <= lasted / process.SPACING + 1
    assert patient.settles(2.5) - before <= during + 1


def test_what_belongs_to_another_application_is_no_call(unit, make_pod):
    before = unit.begin()
    say = make_pod("other", {"app.kubernetes.io/instance": "theirs"})
    say("Evicted")
    assert unit.settles() == before


def test_further_kinds_are_followed_by_their_labels(unit, client):
    namespaces = Followed("v1", "Namespace", "namespaces", labels={"team": unit.namespace})
    before = unit.begin(further=(namespaces,))
    namespace = KINDS["Namespace"]
    for name, team, calls in (("a", "other", 0), ("b", unit.namespace, 1)):
        labelled = {"metadata": {"name": f"{unit.namespace}-{name}", "labels": {"team": team}}}
        client.apply(namespace(labelled), f"{unit.namespace}-{name}")
        assert min(unit.settles() - before, 1) == calls
    for name in ("a", "b"):
        client.delete(namespace, f"{unit.namespace}-{name}")


def test_a_wait_for_what_cannot_be_watched_calls_without_a_change(unit):
    unit.ensure(retry_after=0.5)
    pid = unit.state["pid"]
    unit.becomes(lambda: len(unit.calls) >= 3)
    unit.ensure(retry_after=None)
    assert unit.state["pid"] == pid
    before = unit.settles(2)  # one was on its way
    assert unit.settles(2) == before


# What it survives


def test_an_api_server_that_was_away_is_followed_again(unit, make_pod, cluster, road, monkeypatch):
    reach(unit, cluster, road.url, monkeypatch)
    say = make_pod()
    before = unit.begin()
    road.cut()
    say("WhileAway")
    assert unit.settles() == before
    road.restore()
    unit.becomes(lambda: len(unit.calls) == before + 1)
    say("Back")
    unit.becomes(lambda: len(unit.calls) == before + 2)


def test_an_api_server_that_comes_back_unchanged_is_no_call(unit, make_pod, cluster, road, monkeypatch):
    reach(unit, cluster, road.url, monkeypatch)
    make_pod()
    before = unit.begin()
    road.cut()
    time.sleep(0.5)
    road.restore()
    assert unit.settles() == before


@pytest.mark.parametrize("status", [401, 410, 500, 0])
def test_a_watch_that_is_refused_begins_anew(unit, make_pod, cluster, gate, monkeypatch, status):
    reach(unit, cluster, gate.url, monkeypatch)
    gate.faults.append(Fault(lambda request: request.verb == "watch", status=status, times=3))
    say = make_pod()
    unit.ensure()
    unit.becomes(lambda: gate.faults[0].times == 0)
    assert {request.user_agent for request in gate.requests()} == {process.USER_AGENT}
    unit.settles(1.5)
    before = len(unit.calls)
    say("Evicted")
    unit.becomes(lambda: len(unit.calls) == before + 1)


def test_credentials_that_changed_are_read_anew(unit, make_pod, cluster, gate, monkeypatch):
    reach(unit, cluster, gate.url, monkeypatch)
    say = make_pod()
    good = (unit.folder / "kubeconfig").read_text()
    (unit.folder / "kubeconfig").write_text(good.replace(cluster.token, "expired"))
    unit.ensure()
    unit.becomes(lambda: "Unauthorized" in unit.log or "401" in unit.log)
    assert unit.calls == []
    (unit.folder / "kubeconfig").write_text(good)
    unit.becomes(lambda: unit.calls)
    before = unit.settles()
    say("Evicted")
    unit.becomes(lambda: len(unit.calls) == before + 1)


def test_a_type_that_is_not_there_yet_does_not_keep_the_others_from_being_followed(unit, make_pod):
    say = make_pod()
    unit.ensure(further=(Followed("none.example.org/v1", "None", "nones"),))
    before = unit.settles()
    say("Evicted")
    unit.tells(before)
    assert unit.log.count("None: ") == 1


def test_of_a_crash_the_log_tells_and_the_next_hook_starts_another(unit):
    unit.begin()
    state = unit.state
    os.kill(state["pid"], signal.SIGSEGV)
    unit.becomes(lambda: not process.lives(state))
    assert "Segmentation fault" in unit.log
    unit.begin()
    assert process.lives(unit.state)


def test_a_call_that_fails_is_made_again(unit):
    (unit.folder / "broken").touch()
    unit.ensure()
    unit.becomes(lambda: len(unit.calls) >= 2)
    (unit.folder / "broken").unlink()
    before = len(unit.calls)
    unit.becomes(lambda: len(unit.calls) > before)
    assert "juju-exec: exit status 1: no agent" in unit.log
    assert process.lives(unit.state)


def test_without_juju_exec_it_goes_on_trying(unit):
    (unit.folder / "bin" / "juju-exec").rename(unit.folder / "away")
    unit.ensure()
    unit.becomes(lambda: "juju-exec: [Errno 2]" in unit.log)
    (unit.folder / "away").rename(unit.folder / "bin" / "juju-exec")
    unit.becomes(lambda: unit.calls)


def test_its_connections_are_probed_while_nothing_comes(unit, cluster):
    unit.ensure()
    unit.becomes(lambda: unit.calls)
    port = urllib.parse.urlsplit(cluster.url).port
    pid = unit.state["pid"]
    inodes = {str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()}
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    own = [row for row in rows if row[2].endswith(f":{port:04X}") and f"socket:[{row[9]}]" in inodes]
    assert len(own) == 3
    assert {row[5].partition(":")[0] for row in own} == {"02"}  # the keep-alive timer (proc_net_tcp)


# Whom it obeys


def test_the_same_specification_is_the_same_process(unit):
    first, second = unit.ensure(), unit.ensure()
    assert first == second
    assert process.lives(first)


def test_a_process_that_died_is_replaced(unit):
    first = unit.ensure()
    os.kill(first["pid"], signal.SIGKILL)
    unit.becomes(lambda: not process.lives(first))
    second = unit.ensure()
    assert second["pid"] != first["pid"]
    assert process.lives(second)


def test_another_specification_is_another_process(unit, make_pod):
    unit.begin()
    first = unit.state
    before = unit.begin(labels={"app.kubernetes.io/instance": "renamed"})
    assert not process.lives(first)
    make_pod("old")
    assert unit.settles() == before
    make_pod("new", {"app.kubernetes.io/instance": "renamed"})
    unit.tells(before)


def test_another_program_is_another_process(unit):
    first = unit.ensure()
    program = Path(process.__file__)
    program.write_text(program.read_text() + "# upgraded\n")
    second = unit.ensure()
    assert process.lives(second)
    unit.becomes(lambda: not process.lives(first))


def test_stopping_leaves_no_process(unit):
    state = unit.ensure()
    unit.stop()
    unit.becomes(lambda: not process.lives(state))
    assert not unit.path.exists()
    unit.stop()


def test_stopping_takes_a_call_along_that_still_waits(unit):
    (unit.folder / "slow").touch()
    state = unit.ensure()
    unit.becomes((unit.folder / "waiting").exists)
    waiting = int((unit.folder / "waiting").read_text())
    unit.stop()
    unit.becomes(lambda: not process.started(state["pid"]) and not process.started(waiting))


@pytest.mark.parametrize(
    "end",
    [
        lambda unit: unit.path.unlink(),
        lambda unit: unit.path.write_text("garbage"),
        lambda unit: process.write(unit.path, unit.state | {"pid": os.getpid()}),
        lambda unit: shutil.rmtree(unit.folder / "charm"),
    ],
    ids=["no state", "garbage", "another process", "no charm"],
)
def test_it_ends_when_it_is_not_the_one_any_more(unit, end):
    state = unit.ensure()
    end(unit)
    unit.becomes(lambda: not process.lives(state))
    (unit.folder / "charm").mkdir(exist_ok=True)


def test_a_stranger_with_the_same_number_is_not_taken_for_it(unit):
    with subprocess.Popen(["sleep", "60"]) as stranger:
        first = unit.ensure()
        os.kill(first["pid"], signal.SIGKILL)
        unit.becomes(lambda: not process.lives(first))
        process.write(unit.path, first | {"pid": stranger.pid})
        second = unit.ensure()
        assert second["pid"] not in (first["pid"], stranger.pid)
        unit.stop()
        unit.becomes(lambda: not process.lives(second))
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"pid": "x"}', '{"pid": 1}', "\0"])
def test_a_state_that_is_garbage_is_none(unit, text):
    unit.path.write_text(text)
    assert process.lives(unit.ensure())


def test_a_folder_that_cannot_be_written_is_told_in_the_log_only(unit, monkeypatch, caplog):
    def away(watcher: Watcher) -> None:
        monkeypatch.setattr(watcher, "_path", unit.folder / "none" / "watcher.json")
        watcher.ensure(WatchSpec(unit.namespace, LABELS))

    unit.hook(away)
    assert "no process follows the workloads: [Errno 2]" in caplog.text


# What it is


def test_it_is_small_and_has_nothing_of_the_hooks(patient):
    state = patient.ensure()
    patient.becomes(lambda: patient.calls)
    process = Path(f"/proc/{state['pid']}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    assert int(status["VmRSS"].split()[0]) < 44 * 1024
    assert "pydantic" not in (process / "maps").read_text()
    assert os.getsid(state["pid"]) != os.getsid(0)
    log = str(patient.path.with_suffix(".log"))
    assert [os.fspath((process / "fd" / fd).readlink()) for fd in "012"] == ["/dev/null", log, log]


def test_juju_exec_does_not_take_itself_for_a_part_of_the_hook(unit, monkeypatch):
    monkeypatch.setenv("JUJU_CONTEXT_ID", "ours/0-update-status-1")
    state = unit.ensure()
    environment = Path(f"/proc/{state['pid']}/environ").read_text()
    assert "JUJU_CONTEXT_ID" not in environment
    assert "KUBECONFIG" in environment


def test_a_log_that_has_become_long_begins_anew(unit):
    unit.path.with_suffix(".log").write_text("x" * (1 << 21))
    unit.ensure()
    assert unit.log == ""
