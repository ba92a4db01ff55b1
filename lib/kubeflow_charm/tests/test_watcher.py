"""The watching process against a real API server: a change of a workload becomes a call of `juju-exec`."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightkube
import ops
import pytest
import yaml
from ops import testing

from kubeflow_charm.cluster import ownership, resources
from kubeflow_charm.watch import apiserver, pacing, watcher
from kubeflow_charm.watch import state as states
from kubeflow_charm.watch.logs.loki import Target
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

    def ensure(self, **others: Any) -> states.State:
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
    def state(self) -> states.State:
        """What is known of the process."""
        return states.read(self.path)

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
        assert self.settles() == before + 1, self.log

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
    unit.becomes(lambda: not states.lives(state))


@pytest.fixture
def unit(patient: Unit, monkeypatch: pytest.MonkeyPatch) -> Unit:
    """The same, with a process that waits less between two calls, so that the tests do."""
    folder = patient.folder / "kubeflow_charm" / "watch"
    shutil.copytree(watcher.PROGRAM.parent, folder, ignore=shutil.ignore_patterns("__pycache__"))
    text = (folder / "pacing.py").read_text()
    (folder / "pacing.py").write_text(text.replace("SPACING = 2.0", "SPACING = 0.4"))
    assert (folder / "pacing.py").read_text() != text
    monkeypatch.setattr(watcher, "PROGRAM", folder / "__main__.py")
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
    assert 1 <= during <= lasted / pacing.SPACING + 1
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


def test_where_logs_go_is_told_to_the_process_that_runs(unit):
    pid = unit.ensure()["pid"]
    target = Target("loki/0", "http://127.0.0.1:1/loki/api/v1/push")
    state = unit.ensure(logs=watcher.Logs((target,), {"juju_application": "ours"}))
    assert state["pid"] == pid
    assert state["logs"] == {
        "namespace": unit.namespace,
        "selector": LABELS,
        "labels": {"juju_application": "ours"},
        "targets": [target._asdict()],
    }
    unit.becomes(lambda: "logs go to loki/0" in unit.log)
    assert unit.ensure()["logs"] is None
    unit.becomes(lambda: "logs go to nobody" in unit.log)


def test_a_unit_that_leads_no_more_forgets_what_it_sent(unit):
    places = unit.folder / "tmp" / "ours-0-0f0e0d0c-watcher-logs.json"
    for forget in (False, True):
        unit.ensure()
        places.write_text("{}")
        unit.hook(lambda watcher: watcher.stop(forget=forget))  # noqa: B023 (called at once)
        assert places.exists() is not forget


def test_a_new_program_for_logs_replaces_the_process(unit):
    pid = unit.ensure()["pid"]
    os.utime(watcher.PROGRAM.parent / "logs" / "loki.py", (1, 1))
    assert unit.ensure()["pid"] != pid


# What the application owns


class Owned:
    """Objects that the charm has applied."""

    manager = "juju.mlops.ours"

    def __init__(self, client: Any, namespace: str):
        self.client, self.namespace = client, namespace
        # Unlike pods, these are followed in all namespaces, those of other tests included.
        self.labels = {"app.kubernetes.io/instance": namespace}

    def apply(self, kind: str, name: str, *, manager: str = "", **content: Any) -> None:
        """Apply an object, as the charm or as another."""
        metadata = {"name": name, "labels": {} if manager else self.labels, **content.pop("metadata", {})}
        item = KINDS[kind]({"metadata": metadata, **content})
        self.client.apply(item, name, field_manager=manager or self.manager, force=True, **self._where(kind))

    def record(self, *kinds: str) -> None:
        """Write the parent that records the kinds."""
        names = {each.kind: each.group_kind for each in resources.KINDS}
        annotations = {ownership.KINDS: ",".join(names[each] for each in ("ConfigMap", *kinds))}
        self.apply("ConfigMap", "ours-applyset", metadata={"annotations": annotations})

    def delete(self, kind: str, name: str) -> None:
        """Delete an object."""
        self.client.delete(KINDS[kind], name, **self._where(kind))

    def _where(self, kind: str) -> dict[str, str]:
        namespaced = next(each.namespaced for each in resources.KINDS if each.kind == kind)
        return {"namespace": self.namespace} if namespaced else {}


@pytest.fixture
def owned(client: lightkube.Client, namespace: str) -> Iterator[Owned]:
    """The record of all kinds that the tests have."""
    made = Owned(client, namespace)
    made.record("Role", "ClusterRole", "MutatingWebhookConfiguration", "Secret")
    yield made
    for kind in ("ClusterRole", "MutatingWebhookConfiguration"):
        with contextlib.suppress(lightkube.ApiError):
            made.delete(kind, f"{namespace}-a")


@pytest.mark.parametrize(
    "kind", ["ConfigMap", "Secret", "Role", "ClusterRole", "MutatingWebhookConfiguration"]
)
def test_whatever_of_ours_is_deleted_is_told(unit, owned, kind):
    owned.apply(kind, f"{unit.namespace}-a")
    before = unit.begin(labels=owned.labels)
    owned.delete(kind, f"{unit.namespace}-a")
    unit.tells(before)


def test_what_others_do_to_our_fields_is_told(unit, owned):
    owned.apply("ConfigMap", "a", data={"ours": "1", "both": "1"})
    before = unit.begin(labels=owned.labels)
    owned.apply("ConfigMap", "a", manager="ada", data={"hers": "1"})
    assert unit.settles() == before
    owned.apply("ConfigMap", "a", manager="ada", data={"hers": "1", "both": "2"})
    unit.tells(before)


def test_what_the_charm_writes_itself_is_not_told(unit, owned, cluster):
    owned.apply("ConfigMap", "a", data={"a": "1"})
    before = unit.begin(labels=owned.labels)
    time.sleep(1)  # times in `managedFields` are whole seconds
    owned.apply("ConfigMap", "a", data={"b": "1"})
    for number in range(20):
        owned.apply("Role", f"r{number}")
    assert unit.settles() == before


def test_a_label_that_is_taken_off_is_told(unit, owned, cluster):
    owned.apply("ConfigMap", "a")
    before = unit.begin(labels=owned.labels)
    change = json.dumps({"metadata": {"labels": {"app.kubernetes.io/instance": None}}}).encode()
    path = f"/api/v1/namespaces/{unit.namespace}/configmaps/a"
    cluster.request("PATCH", path, change, "application/merge-patch+json")
    unit.tells(before)


def test_a_kind_that_is_recorded_later_is_followed_then(unit, owned):
    before = unit.begin(labels=owned.labels)
    pid = unit.state["pid"]
    owned.record("ServiceAccount")
    owned.apply("ServiceAccount", "a")
    assert unit.settles() == before
    owned.delete("ServiceAccount", "a")
    unit.tells(before)
    assert unit.state["pid"] == pid


def test_what_was_deleted_while_the_api_server_was_away_is_told(unit, owned, cluster, road, monkeypatch):
    reach(unit, cluster, road.url, monkeypatch)
    owned.apply("ConfigMap", "a")
    before = unit.begin(labels=owned.labels)
    road.cut()
    owned.delete("ConfigMap", "a")
    road.restore()
    unit.tells(before)


def test_of_many_objects_only_a_page_is_in_memory_at_once(unit, owned, gate, cluster, monkeypatch):
    reach(unit, cluster, gate.url, monkeypatch)
    for number in range(apiserver.PAGE + 1):
        owned.apply("ConfigMap", f"c{number}")
    before = unit.begin(labels=owned.labels)
    lists = [each.path for each in gate.requests() if each.verb == "list" and each.resource == "configmaps"]
    assert [("continue=" in path, f"limit={apiserver.PAGE}" in path) for path in lists] == [
        (False, True),
        (True, True),
    ]
    owned.delete("ConfigMap", "c7")
    unit.tells(before)


# How it reaches the API server


@pytest.mark.parametrize(
    ("cluster_part", "user", "expected"),
    [
        (
            {"certificate-authority": "/ca.crt"},
            {"tokenFile": "/token", "token": "t"},
            {"ca_file": "/ca.crt", "token_file": "/token"},
        ),
        ({"certificate-authority-data": "QQ=="}, {"token": "t"}, {"ca_data": "A", "token": "t"}),
        ({"insecure-skip-tls-verify": True}, {}, {"insecure": True}),
        (
            {"certificate-authority": "ca.crt"},
            {"client-certificate": "c.crt", "client-key-data": "Sw=="},
            {"ca_file": "/etc/kube/ca.crt", "certificate": "/etc/kube/c.crt", "key": "K"},
        ),
    ],
)
def test_access_is_what_the_kubeconfig_says(cluster_part, user, expected):
    assert watcher.access(kubeconfig(cluster_part, user)) == {"server": "https://k8s:6443", **expected}


@pytest.mark.parametrize("user", [{"exec": {"apiVersion": "v1", "command": "aws"}}, {"username": "a"}])
def test_access_by_a_program_or_a_password_is_refused(user):
    with pytest.raises(lightkube.ConfigError, match="a token or a certificate is needed"):
        watcher.access(kubeconfig({}, user))


def kubeconfig(cluster: dict[str, Any], user: dict[str, Any]) -> lightkube.SingleConfig:
    """Return the only context of a kubeconfig in /etc/kube."""
    document = {
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "clusters": [{"name": "a", "cluster": {"server": "https://k8s:6443", **cluster}}],
        "users": [{"name": "a", "user": user}],
    }
    config = lightkube.KubeConfig.from_dict(document, fname="/etc/kube/config").get()
    assert config is not None
    return config


def test_a_token_is_read_from_its_file_for_each_connection(cluster, tmp_path):
    token = tmp_path / "token"
    access = {"server": cluster.url, "ca_file": str(cluster.ca), "token_file": str(token)}
    api = apiserver.ApiServer(lambda: access)
    for text, expected in (("old", 401), (f"{cluster.token}\n", 0)):
        token.write_text(text)
        try:
            list(api.pages("/api/v1/namespaces", {}, metadata_only=True))
            status = 0
        except apiserver.Refused as refused:
            status = refused.status
        assert status == expected


def test_an_authority_in_the_state_and_a_path_in_the_address_are_used(cluster, road):
    access = {"server": cluster.url, "ca_data": cluster.ca.read_text(), "token": cluster.token}
    (page,) = apiserver.ApiServer(lambda: access).pages("/api/v1/namespaces", {}, metadata_only=False)
    assert page["items"][0]["metadata"]["name"]
    below = apiserver.ApiServer(lambda: access | {"server": f"{cluster.url}/version/"})
    with pytest.raises(apiserver.Refused, match="404"):
        list(below.pages("/api/v1/namespaces", {}, metadata_only=False))


def test_a_server_that_the_authority_does_not_vouch_for_is_not_talked_to(cluster):
    access = {"server": cluster.url, "token": cluster.token}
    with pytest.raises(ssl.SSLCertVerificationError):
        list(apiserver.ApiServer(lambda: access).pages("/api/v1/namespaces", {}, metadata_only=True))


def test_only_its_owner_reads_the_state(unit):
    unit.ensure()
    assert unit.path.stat().st_mode & 0o777 == 0o600


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
    assert {request.user_agent for request in gate.requests()} == {apiserver.USER_AGENT}
    unit.settles(1.5)
    before = len(unit.calls)
    say("Evicted")
    unit.becomes(lambda: len(unit.calls) == before + 1)


def test_credentials_that_changed_are_read_anew(unit, make_pod, cluster, gate, monkeypatch):
    reach(unit, cluster, gate.url, monkeypatch)
    say = make_pod()
    good = (unit.folder / "kubeconfig").read_text()
    (unit.folder / "kubeconfig").write_text(good.replace(cluster.token, "expired"))
    pid = unit.ensure()["pid"]
    unit.becomes(lambda: "401 Unauthorized" in unit.log)
    unit.becomes(lambda: unit.calls)  # a hook may know better
    before = unit.settles()
    (unit.folder / "kubeconfig").write_text(good)
    assert unit.ensure()["pid"] == pid
    unit.becomes(lambda: len(unit.calls) > before)
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
    unit.becomes(lambda: not states.lives(state))
    assert "Segmentation fault" in unit.log
    unit.begin()
    assert states.lives(unit.state)


def test_a_call_that_fails_is_made_again(unit):
    (unit.folder / "broken").touch()
    unit.ensure()
    unit.becomes(lambda: len(unit.calls) >= 2)
    (unit.folder / "broken").unlink()
    before = len(unit.calls)
    unit.becomes(lambda: len(unit.calls) > before)
    assert "juju-exec: exit status 1: no agent" in unit.log
    assert states.lives(unit.state)


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
    assert len(own) == 2  # pods, and ConfigMaps with the record of all kinds
    assert {row[5].partition(":")[0] for row in own} == {"02"}  # the keep-alive timer (proc_net_tcp)


# Whom it obeys


def test_the_same_specification_is_the_same_process(unit):
    first, second = unit.ensure(), unit.ensure()
    assert first == second
    assert states.lives(first)


def test_a_process_that_died_is_replaced(unit):
    first = unit.ensure()
    os.kill(first["pid"], signal.SIGKILL)
    unit.becomes(lambda: not states.lives(first))
    second = unit.ensure()
    assert second["pid"] != first["pid"]
    assert states.lives(second)


def test_another_specification_is_another_process(unit, make_pod):
    unit.begin()
    first = unit.state
    before = unit.begin(labels={"app.kubernetes.io/instance": "renamed"})
    assert not states.lives(first)
    make_pod("old")
    assert unit.settles() == before
    make_pod("new", {"app.kubernetes.io/instance": "renamed"})
    unit.tells(before)


def test_another_program_is_another_process(unit):
    first = unit.ensure()
    program = watcher.PROGRAM.with_name("pacing.py")
    program.write_text(program.read_text() + "# upgraded\n")
    second = unit.ensure()
    assert states.lives(second)
    unit.becomes(lambda: not states.lives(first))


def test_stopping_leaves_no_process(unit):
    state = unit.ensure()
    unit.stop()
    unit.becomes(lambda: not states.lives(state))
    assert not unit.path.exists()
    unit.stop()


def test_stopping_takes_a_call_along_that_still_waits(unit):
    (unit.folder / "slow").touch()
    state = unit.ensure()
    unit.becomes((unit.folder / "waiting").exists)
    waiting = int((unit.folder / "waiting").read_text())
    unit.stop()
    unit.becomes(lambda: not states.started(state["pid"]) and not states.started(waiting))


@pytest.mark.parametrize(
    "end",
    [
        lambda unit: unit.path.unlink(),
        lambda unit: unit.path.write_text("garbage"),
        lambda unit: states.write(unit.path, unit.state | {"pid": os.getpid()}),
        lambda unit: shutil.rmtree(unit.folder / "charm"),
    ],
    ids=["no state", "garbage", "another process", "no charm"],
)
def test_it_ends_when_it_is_not_the_one_any_more(unit, end):
    state = unit.ensure()
    end(unit)
    unit.becomes(lambda: not states.lives(state))
    (unit.folder / "charm").mkdir(exist_ok=True)


def test_a_stranger_with_the_same_number_is_not_taken_for_it(unit):
    with subprocess.Popen(["sleep", "60"]) as stranger:
        first = unit.ensure()
        os.kill(first["pid"], signal.SIGKILL)
        unit.becomes(lambda: not states.lives(first))
        states.write(unit.path, first | {"pid": stranger.pid})
        second = unit.ensure()
        assert second["pid"] not in (first["pid"], stranger.pid)
        unit.stop()
        unit.becomes(lambda: not states.lives(second))
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"pid": "x"}', '{"pid": 1}', "\0"])
def test_a_state_that_is_garbage_is_none(unit, text):
    unit.path.write_text(text)
    assert states.lives(unit.ensure())


def test_a_folder_that_cannot_be_written_is_told_in_the_log_only(unit, monkeypatch, caplog):
    def away(watcher: Watcher) -> None:
        monkeypatch.setattr(watcher, "_path", unit.folder / "none" / "watcher.json")
        watcher.ensure(WatchSpec(unit.namespace, LABELS))

    unit.hook(away)
    assert "no process follows the workloads: [Errno 2]" in caplog.text


# What it is


def test_it_is_small_and_has_nothing_of_the_hooks(patient, owned):
    owned.record(*(kind.kind for kind in resources.KINDS if "." not in kind.group.removesuffix(".k8s.io")))
    for number in range(apiserver.PAGE):
        owned.apply("ConfigMap", f"c{number}", data={"key": "x" * 10_000})
    state = patient.ensure(labels=owned.labels)
    patient.becomes(lambda: patient.calls)
    patient.settles(3)
    process = Path(f"/proc/{state['pid']}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    print(status["VmRSS"], status["Threads"])
    assert int(status["VmRSS"].split()[0]) < 25 * 1024
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
