"""Pods that run: what a container sees of the cluster, and what the machine sees of the node."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.errors import RehearsalError
from rehearsal.guardian import Guardian
from rehearsal.network.proxy import Network
from rehearsal.node import machine
from rehearsal.node.name import NAME
from rehearsal.node.node import RealNode
from rehearsal.patience import until

from .conftest import machine_state, short_folder

SHELL = "registry.example/tools/busybox:1"


class Platform:
    """A control plane with a real node, and kubectl."""

    def __init__(self, folder: Path, guardian: Guardian):
        self.node = RealNode(folder / "node", guardian, ["busybox"])
        path = folder / "network.sock"
        self.cluster = ControlPlane(folder / "cluster", guardian, network=path, joining=self.node.joining)
        self._network = Network(path, self.cluster, {}, (), self.node)

    def __enter__(self) -> Platform:
        self.cluster.start()
        self.node.start(self.cluster)
        return self

    def __exit__(self, *_: object) -> None:
        self.node.stop()
        self.cluster.stop()
        self._network.close()

    @property
    def command(self) -> list[str]:
        return [*self.cluster.kubectl, "--kubeconfig", str(self.cluster.admin_kubeconfig)]

    def kubectl(self, *words: str, given: str | None = None) -> str:
        done = subprocess.run(
            [*self.command, *words], input=given, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return json.loads(self.kubectl("get", kind, name, "-o", "json"))

    def run(self, name: str, script: str, **spec: Any) -> None:
        """Make a pod that is as restricted as a profile's pods have to be."""
        container = {
            "name": "main",
            "image": spec.pop("image", SHELL),
            "command": ["sh", "-c", script],
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        } | spec.pop("container", {})
        security = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": name}},
            "spec": {"containers": [container], "securityContext": security, "restartPolicy": "Never"} | spec,
        }
        self.kubectl("apply", "-f", "-", given=json.dumps(pod))

    def phase(self, name: str) -> str:
        return self.get("pod", name)["status"]["phase"]

    def output(self, name: str, script: str, **spec: Any) -> str:
        """Run a pod to its end, and return what it said."""
        self.run(name, script, **spec)
        until(lambda: self.phase(name) in ("Succeeded", "Failed"), lambda: self.get("pod", name)["status"])
        said = self.kubectl("logs", name)
        assert self.phase(name) == "Succeeded", said
        return said


@pytest.fixture(scope="module")
def before() -> dict[str, object]:
    return machine_state()


@pytest.fixture(scope="module")
def platform(before: dict[str, object], guardian: Guardian) -> Iterator[Platform]:
    with short_folder() as folder, Platform(folder, guardian) as platform:
        yield platform


def test_the_node_stands_beside_the_played_ones(platform: Platform) -> None:
    nodes = json.loads(platform.kubectl("get", "nodes", "-o", "json"))["items"]
    runtimes = {
        each["metadata"]["name"]: each["status"]["nodeInfo"]["containerRuntimeVersion"] for each in nodes
    }
    assert runtimes.pop(NAME).startswith("containerd://")
    assert {name: runtime.partition("-")[0] for name, runtime in runtimes.items()} == {
        "cpu-0": "kwok",
        "cpu-1": "kwok",
        "gpu-0": "kwok",
    }


def test_a_pod_finds_services_by_name_and_the_api_server_by_its_account(platform: Platform) -> None:
    script = """
    nslookup kubernetes.default.svc.cluster.local
    echo | nc -w 5 kubernetes.default.svc.cluster.local 443 && echo open
    test -s /var/run/secrets/kubernetes.io/serviceaccount/token && echo account
    id -u
    """
    said = platform.output("names", script)
    assert "10.96.0.1" in said
    assert said.split()[-3:] == ["open", "account", "1000"]


def test_a_service_leads_to_the_pods_that_are_ready(platform: Platform) -> None:
    serve = "mkdir /tmp/www; hostname > /tmp/www/index.html; httpd -f -p 8080 -h /tmp/www"
    probe = {"httpGet": {"path": "/index.html", "port": 8080}, "periodSeconds": 1}
    for number in (1, 2):
        platform.run(f"web-{number}", serve, container={"readinessProbe": probe})
        platform.kubectl("label", "pod", f"web-{number}", "app=web", "--overwrite")
    platform.kubectl("create", "service", "clusterip", "web", "--tcp=80:8080")
    for number in (1, 2):
        platform.kubectl("wait", "--for=condition=Ready", f"pod/web-{number}", "--timeout=60s")
    asked = platform.output(
        "asks", "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do wget -qO- http://web.default; done"
    )
    assert set(asked.split()) == {"web-1", "web-2"}
    # The API server's own way, by which it calls webhooks.
    through = platform.kubectl("get", "--raw", "/api/v1/namespaces/default/services/web:80/proxy/index.html")
    assert through.strip() in {"web-1", "web-2"}


def test_kubectl_logs_exec_and_port_forward_work(platform: Platform) -> None:
    serve = "echo started; mkdir /tmp/www; echo hello > /tmp/www/index.html; httpd -f -p 8080 -h /tmp/www"
    platform.run("looked-into", serve)
    platform.kubectl("wait", "--for=condition=Ready", "pod/looked-into", "--timeout=60s")
    assert platform.kubectl("logs", "looked-into") == "started\n"
    assert platform.kubectl("exec", "looked-into", "--", "cat", "/tmp/www/index.html") == "hello\n"
    with _forwarded(platform, "pod/looked-into", 8080) as port:
        answer = urllib.request.urlopen(f"http://127.0.0.1:{port}/index.html", timeout=10)
        with answer:
            assert answer.read() == b"hello\n"


@contextlib.contextmanager
def _forwarded(platform: Platform, what: str, port: int) -> Iterator[int]:
    command = [*platform.command, "port-forward", what, f":{port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forwarding:
        try:
            assert forwarding.stdout is not None
            yield int(forwarding.stdout.readline().split(":")[1].split()[0])
        finally:
            forwarding.terminate()


def test_what_is_written_to_a_volume_outlives_its_pod(platform: Platform) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "kept"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    platform.kubectl("apply", "-f", "-", given=json.dumps(claim))
    mounted = {
        "container": {"volumeMounts": [{"name": "kept", "mountPath": "/kept"}]},
        "volumes": [{"name": "kept", "persistentVolumeClaim": {"claimName": "kept"}}],
        "securityContext": {"runAsUser": 0},
    }
    platform.output("writes", "echo from before > /kept/words", **mounted)
    platform.kubectl("delete", "pod", "writes")
    assert platform.output("reads", "cat /kept/words", **mounted) == "from before\n"


def test_a_pod_that_fails_or_eats_too_much_says_so(platform: Platform) -> None:
    platform.run("fails", "echo broken >&2; exit 3")
    limits = {"resources": {"limits": {"memory": "24Mi"}}}
    platform.run("eats", "x=1234567890; while :; do x=$x$x; done", container=limits)
    for name in ("fails", "eats"):
        until(
            lambda name=name: platform.phase(name) == "Failed",
            lambda name=name: platform.get("pod", name)["status"],
        )
    ended = [
        platform.get("pod", name)["status"]["containerStatuses"][0]["state"]["terminated"]
        for name in ("fails", "eats")
    ]
    assert (ended[0]["exitCode"], ended[1]["reason"]) == (3, "OOMKilled")
    assert platform.kubectl("logs", "fails") == "broken\n"


@pytest.mark.parametrize(
    ("spec", "node"),
    [
        ({"image": "registry.example/never/heard-of:1"}, "cpu-"),
        (
            {
                "container": {"resources": {"limits": {"nvidia.com/gpu": "1"}}},
                "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
            },
            "gpu-0",
        ),
    ],
    ids=["no image", "a GPU"],
)
def test_other_pods_stay_with_the_played_nodes(platform: Platform, spec: dict[str, Any], node: str) -> None:
    name = f"played-{node.strip('-0')}"
    platform.run(name, "sleep infinity", **spec)
    until(lambda: platform.phase(name) in ("Running", "Succeeded"))
    assert platform.get("pod", name)["spec"]["nodeName"].startswith(node)


def test_the_machines_own_network_knows_nothing_of_the_node(
    platform: Platform, before: dict[str, object]
) -> None:
    now = machine_state()
    assert now["cgroups"] != before["cgroups"]
    assert {**now, "cgroups": before["cgroups"]} == before
    address = json.loads(platform.kubectl("get", "pods", "-A", "-l", "k8s-app=kube-dns", "-o", "json"))[
        "items"
    ][0]["status"]["podIP"]
    platform.node.connect(address, 8181, 5).close()
    assert not _local_route(address)


def _local_route(address: str) -> bool:
    """Return whether the machine itself would send a packet to an address without asking its default router."""
    said = subprocess.run(["ip", "route", "get", address], capture_output=True, text=True, check=False)
    return said.returncode == 0 and " via " not in said.stdout


def test_two_stand_side_by_side(platform: Platform, short_path: Path, guardian: Guardian) -> None:
    with Platform(short_path, guardian) as other:
        other.run("alone", "sleep infinity")
        other.kubectl("wait", "--for=condition=Ready", "pod/alone", "--timeout=60s")
        said = subprocess.run(
            [*platform.command, "get", "pod", "alone"], capture_output=True, text=True, check=False
        )
        assert "not found" in said.stderr


def test_a_node_that_copies_its_images_runs_pods_and_one_that_ends_says_so(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "snapshotter", lambda folder, programs: "native")
    with Guardian() as guardian, Platform(short_path, guardian) as other:
        assert other.output("copied", "echo hello; mount | head -n 1 | grep -v overlay").startswith("hello\n")
        other.node.check()
        os.kill(_process_of(short_path / "node" / "containerd.log"), signal.SIGKILL)

        def told() -> str:
            try:
                other.node.check()
            except RehearsalError as error:
                return str(error)
            return ""

        assert until(told).startswith("the real node has ended: containerd has ended: ")


def _process_of(log: Path) -> int:
    """Return the first process that writes to a log: the program itself, before those that it starts."""
    writing: list[int] = []
    for each in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (each / "fd" / "1").readlink() == log:
                writing.append(int(each.name))
    return min(writing)


KEEPS = """
import sys, time
from pathlib import Path
from rehearsal.guardian import Guardian
from tests.node.test_node_pods import Platform
folder = Path(sys.argv[1])
with Guardian(folder) as guardian, Platform(folder, guardian) as platform:
    platform.run("stays", "sleep infinity")
    platform.kubectl("wait", "--for=condition=Ready", "pod/stays", "--timeout=60s")
    (folder.parent / "up").touch()
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=lambda each: each.name)
def test_nothing_is_left_when_it_is_killed(
    short_path: Path, before: dict[str, object], number: signal.Signals
) -> None:
    now, folder = machine_state(), short_path / "run"
    folder.mkdir()
    root = Path(__file__).parents[2]
    paths = os.pathsep.join(map(str, (root, root / "tests")))
    log = short_path / "log"
    with log.open("w") as output:
        run = subprocess.Popen(
            [sys.executable, "-c", KEEPS, folder], env=os.environ | {"PYTHONPATH": paths}, stderr=output
        )
        until(lambda: (short_path / "up").exists() or run.poll() is not None, within=120)
        assert run.poll() is None, log.read_text()
        run.send_signal(number)
        run.wait(60)
    until(lambda: not folder.exists() and machine_state() == now, machine_state, within=30)
    assert not [line for line in _commands() if str(folder) in line]


def _commands() -> list[str]:
    return subprocess.run(
        ["ps", "-eo", "args"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
