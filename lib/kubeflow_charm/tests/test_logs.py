"""Logs of pods reach Loki: from a real API server, by the watching process or by its parts, over a bad road."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from push_api import LONGEST_LINE, PushApi

from kubeflow_charm.watch import state as states
from kubeflow_charm.watch import watcher
from kubeflow_charm.watch.apiserver import ApiServer
from kubeflow_charm.watch.logs import buffer
from kubeflow_charm.watch.logs.forwarding import Forwarding
from kubeflow_charm.watch.logs.lines import Cursor
from kubeflow_charm.watch.logs.loki import Entry, Loki, Target, packed
from kubeflow_charm.watch.logs.pods import Container
from kubeflow_charm.watch.logs.reading import FIRST_LOOK
from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.cluster.gate import Fault, Gate

pytestmark = pytest.mark.skipif(
    "REHEARSAL_TEST_KUBECONFIG" in os.environ, reason="a shared cluster's pods say nothing that we tell them"
)
LABELS = {"app.kubernetes.io/instance": "ours"}


def becomes(condition: Callable[[], Any], within: float = 60) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


class Pods:
    """Pods of the application that run, and say what a test has them say."""

    def __init__(self, cluster: ControlPlane, namespace: str):
        self.cluster, self.namespace = cluster, namespace
        self.path = f"/api/v1/namespaces/{namespace}/pods"

    def run(self, name: str, *containers: str, labels: dict[str, str] = LABELS, **spec: Any) -> None:
        """Create a pod, and wait until it runs."""
        listed = [{"name": each, "image": "example.com/web:1"} for each in containers or ("main",)]
        metadata = {"name": name, "labels": labels}
        pod = {"metadata": metadata, "spec": {"containers": listed, **spec}}
        self.cluster.request("POST", self.path, json.dumps(pod).encode(), "application/json")
        becomes(lambda: self.read(name)["status"].get("phase") == "Running")

    def read(self, name: str) -> dict[str, Any]:
        """Return a pod."""
        return json.loads(self.cluster.request("GET", f"{self.path}/{name}"))

    def say(self, name: str, *lines: str, container: str = "main", **when: int) -> None:
        """Have a container write lines."""
        assert self.cluster.kubelet is not None
        self.cluster.kubelet.say(self.namespace, name, container, *lines, **when)

    def restart(self, name: str) -> None:
        """Restart the pod's containers: what they said before is now of their previous run."""
        statuses = self.read(name)["status"]["containerStatuses"]
        for each in statuses:
            each["restartCount"] += 1
        self._change(name, statuses)

    def end(self, name: str) -> None:
        """End the pod's containers."""
        statuses = self.read(name)["status"]["containerStatuses"]
        for each in statuses:
            each["state"] = {"terminated": {"exitCode": 0}}
        self._change(name, statuses)

    def delete(self, name: str) -> None:
        """Delete a pod at once."""
        self.cluster.request("DELETE", f"{self.path}/{name}?gracePeriodSeconds=0")

    def asked(self) -> list[str]:
        """Return the requests for logs of these pods that have reached the kubelet."""
        assert self.cluster.kubelet is not None
        return [each for each in self.cluster.kubelet.requests if f"/{self.namespace}/" in each]

    def _change(self, name: str, statuses: list[dict[str, Any]]) -> None:
        change = json.dumps({"status": {"containerStatuses": statuses}}).encode()
        self.cluster.request("PATCH", f"{self.path}/{name}/status", change, "application/merge-patch+json")


class Sent:
    """What is sent where, by the part of the process that does it."""

    def __init__(self, pods: Pods, folder: Path, server: str):
        cluster = pods.cluster
        self.access = {"server": server, "ca_file": str(cluster.ca), "token": cluster.token}
        self.pods, self.folder = pods, folder
        self.logs = self._new()

    def to(self, *targets: Target, labels: dict[str, str] | None = None) -> None:
        """Send to these Lokis, and to no others."""
        self.wanted = {
            "namespace": self.pods.namespace,
            "selector": LABELS,
            "labels": labels or {"juju_application": "ours"},
            "targets": [each._asdict() for each in targets],
        }
        becomes(self._is_followed)

    def again(self) -> None:
        """End, and begin anew as another process does."""
        self.logs.close()
        if self.logs._alone >= 0:
            os.close(self.logs._alone)  # as the end of a process does
        self.logs = self._new()
        becomes(self._is_followed)

    def _is_followed(self) -> bool:
        self.logs.follow(self.wanted)
        return self.logs._wanted == self.wanted

    def _new(self) -> Forwarding:
        return Forwarding(self.folder / "ours.positions", ApiServer(lambda: self.access))


@pytest.fixture
def pods(cluster: ControlPlane, namespace: str) -> Pods:
    return Pods(cluster, namespace)


@pytest.fixture
def loki() -> Iterator[PushApi]:
    with PushApi() as api:
        yield api


@pytest.fixture
def target(loki: PushApi) -> Target:
    return Target("loki/0", loki.url)


@pytest.fixture
def sent(pods: Pods, tmp_path: Path) -> Iterator[Sent]:
    made = Sent(pods, tmp_path, pods.cluster.url)
    yield made
    made.logs.close()


def own(loki: PushApi, **labels: str) -> list[str]:
    """Return the lines that tests had pods say."""
    return [line for line in loki.lines(**labels) if not line.startswith("level=info msg=")]


# What is sent


def test_every_line_comes_once_in_order_with_its_labels_and_its_time(pods, loki, target, sent):
    pods.run("web", "main", "side")
    pods.say("web", "too old", at=time.time_ns() - (FIRST_LOOK + 60) * 10**9)
    sent.to(target, labels={"juju_model": "m", "juju_application": "ours"})
    becomes(lambda: len(loki.lines(pod="web")) == 4)
    pods.say("web", "c", "d")
    pods.say("web", "é \0 {}", container="side")
    becomes(lambda: own(loki, container="main") == ["c", "d"] and own(loki, container="side") == ["é \0 {}"])
    uid = pods.read("web")["metadata"]["uid"]
    assert loki.pushed[-1].labels == {
        "juju_model": "m",
        "juju_application": "ours",
        "namespace": pods.namespace,
        "pod": "web",
        "container": "side",
        "filename": f"/var/log/pods/{pods.namespace}_web_{uid}/side",
    }
    assert abs(loki.pushed[-1].time / 10**9 - time.time()) < 60


def test_pods_come_and_go_and_those_of_others_do_not_count(pods, loki, target, sent):
    pods.run("other", labels={"app.kubernetes.io/instance": "theirs"})
    sent.to(target)
    for name in ("a", "b"):
        pods.run(name)
        pods.say(name, f"hello from {name}")
        becomes(lambda name=name: own(loki, pod=name) == [f"hello from {name}"])
        pods.say(name, "last words")
        pods.delete(name)
        becomes(lambda name=name: own(loki, pod=name) == [f"hello from {name}", "last words"])
    assert loki.lines(pod="other") == []
    becomes(lambda: not [each for each in threading.enumerate() if each.name == "log"])


def test_a_container_that_is_restarted_is_followed_into_its_next_run(pods, loki, target, sent):
    pods.run("web")
    sent.to(target)
    pods.say("web", "one")
    becomes(lambda: own(loki) == ["one"])
    pods.restart("web")
    pods.say("web", "two")
    becomes(lambda: own(loki) == ["one", "two"])


def test_what_a_crash_left_unread_is_read_from_the_previous_run(pods, loki, target, sent):
    pods.run("web")
    sent.to(target)
    pods.say("web", "one")
    becomes(lambda: own(loki) == ["one"])
    sent.logs.close()
    pods.say("web", "panic")
    pods.restart("web")
    pods.say("web", "two")
    sent.again()
    becomes(lambda: own(loki) == ["one", "panic", "two"])


def test_the_log_of_a_container_that_has_ended_is_read_to_its_end_and_no_more(pods, loki, target, sent):
    pods.run("job")
    pods.say("job", "done")
    pods.end("job")
    sent.to(target)
    becomes(lambda: own(loki) == ["done"])
    before = len(pods.asked())
    time.sleep(2)
    assert len(pods.asked()) == before
    pods.restart("job")
    pods.say("job", "again")
    becomes(lambda: own(loki) == ["done", "again"])


def test_a_line_longer_than_loki_takes_is_cut_and_the_next_is_whole(pods, loki, target, sent):
    pods.run("web")
    sent.to(target)
    pods.say("web", "x" * 3 * LONGEST_LINE, "next")
    becomes(lambda: len(own(loki)) == 2)
    assert [len(line) for line in own(loki)] == [LONGEST_LINE, 4]


def test_lines_are_sent_in_batches_compressed_and_few_lines_soon(pods, loki, target, sent):
    pods.run("web")
    sent.to(target)
    becomes(lambda: loki.pushed)
    loki.requests.clear()
    lines = [f"{number:05} {'x' * 200}" for number in range(4000)]
    pods.say("web", *lines)
    becomes(lambda: len(own(loki)) == 4000)
    assert own(loki) == lines
    assert len(loki.requests) < 20
    assert sum(size for _, size in loki.requests) < 4000 * 100
    began = time.monotonic()
    pods.say("web", "alone")
    becomes(lambda: own(loki)[-1] == "alone")
    assert time.monotonic() - began < 10


# Lokis that refuse


@pytest.mark.parametrize("way", [429, 500, 503, 404, 401, 302, "garbage", "close", "hang"])
def test_what_a_loki_could_not_take_comes_again_and_nothing_is_lost(
    pods, loki, target, sent, way, monkeypatch
):
    monkeypatch.setattr("kubeflow_charm.watch.logs.loki._TIMEOUT", 1.0)
    pods.run("web")
    loki.ways.extend([way, way])
    sent.to(target)
    pods.say("web", "a", "b")
    becomes(lambda: own(loki) == ["a", "b"])
    times = [moment for moment, _ in loki.requests[:3]]
    assert times[2] - times[1] > times[1] - times[0] > 0.4


@pytest.mark.parametrize("way", [400, 413, 422])
def test_what_a_loki_refuses_for_good_is_dropped_and_told_once(pods, loki, target, sent, way, caplog):
    caplog.set_level("INFO", logger="watcher")
    pods.run("web")
    loki.always = way
    sent.to(target)
    for _ in range(2):
        before = len(loki.requests)
        pods.say("web", "refused")
        becomes(lambda: len(loki.requests) > before)  # noqa: B023 (called at once)
    loki.always = 0
    pods.say("web", "taken")
    becomes(lambda: own(loki)[-1:] == ["taken"])
    told = [each.message for each in caplog.records if "refuses logs" in each.message]
    assert len(told) == 1
    assert told[0].startswith(f"loki/0 refuses logs: {way} told to answer {way}: ")
    assert told[0].endswith("lines are dropped")


def test_lines_whose_answer_is_lost_come_again_as_loki_knows_them(pods, loki, target, sent):
    pods.run("web")
    loki.ways.append("late")
    sent.to(target)
    pods.say("web", "a")
    becomes(lambda: own(loki)[-1:] == ["a"] and len(loki.requests) > 1)
    assert len(loki.pushed_lines()) == 3


def certified(cluster: ControlPlane) -> tuple[PushApi, str]:
    """Return a Loki that speaks https, and its URL."""
    loki = PushApi(certificate=(cluster.ca, cluster.ca.with_suffix(".key")))
    return loki, loki.url.replace("localhost", "127.0.0.1")


def test_a_loki_with_a_certificate_is_believed_by_its_authority_or_if_told_so(cluster):
    entries, authority = (
        [Entry(Container("n", "p", "u", "c", 0, True), b"a", Cursor(10**18))],
        cluster.ca.read_text(),
    )
    loki, url = certified(cluster)
    with loki:
        for target in (Target("l/0", url, authority), Target("l/0", url, "", True)):
            client = Loki(target)
            assert client.push(packed(entries, {})).status == 204
            assert client.push(packed(entries, {})).accepted  # by the same connection
            client.close()
        with pytest.raises(ssl.SSLCertVerificationError):
            Loki(Target("l/0", url)).push(packed(entries, {}))
    assert len(loki.pushed) == 4


def test_a_loki_that_is_not_there_yet_gets_the_lines_when_it_is(pods, sent):
    with PushApi() as before:
        port = before.port
    pods.run("web")
    sent.to(Target("loki/0", f"http://127.0.0.1:{port}/loki/api/v1/push"))
    pods.say("web", "early")
    time.sleep(2)
    with PushApi(port) as loki:
        becomes(lambda: own(loki) == ["early"])


def test_one_loki_that_hangs_holds_up_no_other(pods, loki, target, sent):
    with PushApi() as slow:
        slow.always = "hang"
        pods.run("web")
        sent.to(Target("slow/0", slow.url), target)
        for number in range(3):
            pods.say("web", f"line {number}")
            becomes(lambda number=number: len(own(loki)) == number + 1)
        assert slow.pushed == []


def test_a_loki_that_is_away_lets_readers_wait_and_then_gets_everything(
    pods, loki, target, sent, monkeypatch
):
    pods.run("web")
    loki.always = 503
    sent.to(target)
    becomes(lambda: loki.requests)
    lines = [f"{number:04} {'x' * 2000}" for number in range(3000)]  # six times what the buffer takes
    pods.say("web", *lines)
    sender = sent.logs._senders["loki/0"]
    becomes(lambda: sender._buffer._held > buffer.LIMIT * 0.9)
    time.sleep(1)
    assert sender._buffer._held <= buffer.LIMIT
    loki.always = 0
    becomes(lambda: len(own(loki)) == 3000, within=90)
    assert own(loki) == lines


# Roads to the API server


@pytest.mark.parametrize("status", [400, 404, 500, 503, 0])
def test_a_log_that_is_refused_is_asked_for_again(pods, loki, target, tmp_path, gate: Gate, status):
    pods.run("web")
    gate.faults.append(
        Fault(lambda request: request.path.partition("?")[0].endswith("/log"), status=status, times=2)
    )
    sent = Sent(pods, tmp_path, gate.url)
    sent.to(target)
    pods.say("web", "a")
    becomes(lambda: own(loki) == ["a"])
    assert gate.faults[0].times == 0
    sent.logs.close()


def test_a_watch_of_pods_that_is_refused_begins_anew(pods, loki, target, tmp_path, gate: Gate):
    gate.faults.append(Fault(lambda request: request.verb == "watch", status=410, times=2))
    sent = Sent(pods, tmp_path, gate.url)
    sent.to(target)
    pods.run("web")
    pods.say("web", "a")
    becomes(lambda: own(loki) == ["a"])
    sent.logs.close()


# From process to process


def test_the_next_process_goes_on_where_this_one_stopped(pods, loki, target, sent):
    pods.run("web")
    sent.to(target)
    said = []
    for number in range(5):
        said += [f"{number} a", f"{number} b", f"{number} c"]
        pods.say("web", *said[-3:], at=time.time_ns())  # of one time
        if number % 2:
            becomes(lambda: len(own(loki)) == len(said))  # noqa: B023 (called at once)
        sent.again()
    becomes(lambda: own(loki) == said)
    time.sleep(2)
    assert own(loki) == said
    places = states.read(tmp := sent.folder / "ours.positions")["loki/0"]
    assert tmp.stat().st_mode & 0o777 == 0o600
    assert list(places) == [f"{pods.read('web')['metadata']['uid']}/main"]


def test_positions_of_pods_that_are_gone_are_forgotten(pods, loki, target, sent):
    pods.run("web")
    pods.run("gone")
    sent.to(target)
    becomes(lambda: len(loki.pushed) == 4)
    pods.delete("gone")
    becomes(lambda: "gone" not in str(sent.logs._containers))
    pods.say("web", "a")
    becomes(lambda: own(loki) == ["a"])
    becomes(lambda: len(states.read(sent.folder / "ours.positions")["loki/0"]) == 1)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"loki/0": []}', '{"loki/0": {"a": ["b"]}}', '{"loki/0": {"a": 1}}']
)
def test_positions_that_are_garbage_are_none(pods, loki, target, sent, text):
    (sent.folder / "ours.positions").write_text(text)
    pods.run("web")
    pods.say("web", "a")
    sent.to(target)
    becomes(lambda: own(loki) == ["a"])


def test_two_processes_do_not_send_the_same_at_once(pods, loki, target, sent):
    pods.run("web")
    sent.to(target)
    other = Forwarding(sent.folder / "ours.positions", ApiServer(lambda: sent.access))
    other.follow(sent.wanted)
    pods.say("web", "a")
    becomes(lambda: own(loki) == ["a"])
    time.sleep(1.5)
    assert own(loki) == ["a"]
    other.close()


def test_a_bug_in_sending_is_logged_and_ends_no_thread_of_others(pods, target, sent, monkeypatch, caplog):
    def broken(*_: object) -> bytes:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("kubeflow_charm.watch.logs.sending.packed", broken)
    pods.run("web")
    sent.to(target)
    becomes(lambda: "send-loki/0: begins anew" in caplog.text)


# The process


class Process:
    """The watching process, told by its state where logs go."""

    def __init__(self, pods: Pods, folder: Path):
        self.pods, self.path = pods, folder / "ours-watcher.json"
        (folder / "charm").mkdir()
        cluster = pods.cluster
        self.access = {"server": cluster.url, "ca_file": str(cluster.ca), "token": cluster.token}
        self.charm = folder / "charm"

    def start(self, *targets: Target) -> int:
        """Start it, and return its number."""
        spec = self.spec(*targets)
        record = {"parent": "ours-applyset", "annotation": "kinds", "kinds": {}}
        watched = {"unit": "ours/0", "event": "x", "charm_dir": str(self.charm), "namespace": spec.namespace}
        watched |= {"manager": "ours", "followed": spec.followed(), "record": record}
        states.write(
            self.path, {"watched": watched, "api": self.access, "retry_after": None, "logs": spec.sent()}
        )
        program = [sys.executable, "-P", str(watcher.PROGRAM), str(self.path)]
        environment = os.environ | {"MALLOC_ARENA_MAX": "1"}
        with self.path.with_suffix(".log").open("a") as log:
            subprocess.run(
                program, check=True, stdout=log, stderr=log, start_new_session=True, env=environment
            )
        return states.read(self.path)["pid"]

    def spec(self, *targets: Target) -> watcher.WatchSpec:
        """Return what to watch, and where logs go."""
        logs = watcher.Logs(targets, {"juju_application": "ours"}) if targets else None
        return watcher.WatchSpec(self.pods.namespace, LABELS, logs=logs)

    def tell(self, *targets: Target) -> None:
        """Tell it where logs go from now on."""
        states.write(self.path, states.read(self.path) | {"logs": self.spec(*targets).sent()})

    def end(self, number: int) -> None:
        """End it by a signal, and wait until it is gone."""
        found = states.read(self.path)
        os.kill(found["pid"], number)
        becomes(lambda: not states.lives(found))


@pytest.fixture
def process(pods: Pods, tmp_path: Path) -> Iterator[Process]:
    made = Process(pods, tmp_path)
    yield made
    if states.lives(states.read(made.path)):
        made.end(signal.SIGKILL)


def test_a_relation_that_comes_and_goes_starts_and_ends_it_without_another_process(
    pods, loki, target, process
):
    pods.run("web")
    pid = process.start()
    time.sleep(1.5)
    assert pods.asked() == []
    process.tell(target)
    pods.say("web", "a")
    becomes(lambda: own(loki) == ["a"])
    process.tell()
    becomes(lambda: "logs go to nobody" in process.path.with_suffix(".log").read_text())
    pods.say("web", "b")
    time.sleep(2)
    assert own(loki) == ["a"]
    threads = [path.read_text().strip() for path in Path(f"/proc/{pid}/task").glob("*/comm")]
    assert len(threads) <= 5
    assert states.read(process.path)["pid"] == pid


def test_a_process_that_is_ended_and_started_anew_loses_and_doubles_nothing(pods, loki, target, process):
    pods.run("web")
    said: list[str] = []
    for number in range(4):
        process.start(target)
        for each in range(20):
            said.append(f"{number} {each}")
            pods.say("web", said[-1])
            time.sleep(0.05)
        process.end(signal.SIGTERM)
    process.start(target)
    becomes(lambda: len(own(loki)) >= len(said))
    time.sleep(1.5)
    assert own(loki) == said


def test_a_process_that_is_killed_loses_nothing(pods, loki, target, process):
    pods.run("web")
    said: list[str] = []
    for number in range(3):
        process.start(target)
        for each in range(20):
            said.append(f"{number} {each}")
            pods.say("web", said[-1])
            time.sleep(0.05)
        process.end(signal.SIGKILL)
    process.start(target)
    becomes(lambda: {*own(loki)} == {*said})


def test_thirty_logs_are_cheap(pods, loki, target, process):
    for number in range(10):
        pods.run(f"web-{number}", "a", "b", "c")
    pid = process.start(target)
    becomes(lambda: len({each.labels["filename"] for each in loki.pushed}) == 30)
    for number in range(10):
        for name in "abc":
            pods.say(f"web-{number}", *["x" * 200] * 100, container=name)
    becomes(lambda: len(own(loki)) == 3000)
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    print(status["VmRSS"], status["Threads"])
    assert int(status["VmRSS"].split()[0]) < 32 * 1024


def test_a_bug_in_following_logs_does_not_end_the_watching(pods, process):
    pid = process.start()
    states.write(process.path, states.read(process.path) | {"logs": {"targets": [{"nonsense": 1}]}})
    becomes(lambda: "logs are not sent" in process.path.with_suffix(".log").read_text())
    time.sleep(1.5)
    assert states.lives(states.read(process.path))
    assert states.read(process.path)["pid"] == pid
