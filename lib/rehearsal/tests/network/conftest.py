"""A control plane that calls webhooks, for all tests of this folder, and the network that it calls them by."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from webhook_bench import Kube, Webhook, define, eventually, poddefault_definition

from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.guardian import Guardian
from rehearsal.network.outside import Outside
from rehearsal.network.playing import Answer, Visit
from rehearsal.network.proxy import Network
from rehearsal.players.programs import PROGRAMS

Object = dict[str, Any]


def _silent(visit: Visit) -> Answer | None:
    """Play a program that takes connections, and says nothing ever."""

    def wait(connection: socket.socket) -> None:
        connection.settimeout(None)
        while connection.recv(1 << 16):
            pass

    return wait


def _echo(visit: Visit) -> Answer | None:
    """Play a program that says in which pod it is, and then what it is told."""

    def echo(connection: socket.socket) -> None:
        connection.sendall(visit.pod["metadata"]["name"].encode() + b"\n")
        while said := connection.recv(1 << 16):
            connection.sendall(said)

    return echo if visit.port == 7 else None


class Wiring:
    """The network, which can be closed and made anew under the same control plane."""

    def __init__(self, path: Path, cluster: ControlPlane):
        self.path, self.cluster = path, cluster
        self.open()

    def open(self, outside: Sequence[Outside] = ()) -> None:
        programs = {**PROGRAMS, "silent": _silent, "echo": _echo}
        self.network = Network(self.path, self.cluster, programs, outside)

    def close(self) -> None:
        self.network.close()


@pytest.fixture(scope="session")
def wiring(tmp_path_factory: pytest.TempPathFactory, guardian: Guardian) -> Iterator[Wiring]:
    folder = tmp_path_factory.mktemp("network")
    path = folder / "network.sock"
    cluster = ControlPlane(folder / "cluster", guardian, network=path)
    wiring = Wiring(path, cluster)
    with cluster:
        yield wiring
    wiring.close()


@pytest.fixture(scope="session")
def kube(wiring: Wiring) -> Kube:
    return Kube(wiring.cluster)


@pytest.fixture
def users(kube: Kube) -> Iterator[str]:
    """A namespace of users, for one test."""
    name = kube.namespace("users")
    yield name
    kube.delete("Namespace", name)


@pytest.fixture
def deploy(kube: Kube) -> Iterator[Callable[..., Webhook]]:
    """Deploy programs; what the API server is told of them ends with the test."""
    made: list[Webhook] = []

    def deploy(*args: Any, **said: Any) -> Webhook:
        made.append(Webhook(kube, *args, **said))
        return made[-1]

    yield deploy
    for each in made:
        each.close()


PODS = {"path": "/apply-poddefault", "resource": ("", "pods")}
ARGUMENTS = ["--tlsCertFile=/etc/webhook/certs/tls.crt", "--tlsKeyFile=/etc/webhook/certs/tls.key"]


@pytest.fixture(scope="session")
def poddefaults_defined(kube: Kube) -> None:
    define(kube, poddefault_definition())


class PodDefaults:
    """The webhook, deployed and configured, and pods in the users' namespace."""

    def __init__(self, kube: Kube, hook: Webhook, users: str):
        self.kube, self.hook, self.users = kube, hook, users

    def configure(self, **said: Any) -> None:
        self.hook.configure(self.users, **PODS, **said)

    def default(self, name: str, **spec: Any) -> Object:
        """Create a PodDefault for pods that have a label of its name."""
        spec = {"selector": {"matchLabels": {name: "true"}}} | spec
        return self.kube.create("PodDefault", name, self.users, spec=spec)

    def pod(self, *names: str, name: str = "work", dry: bool = False, **said: Any) -> Object:
        """Create a pod that PodDefaults select; return it as the cluster has it."""
        metadata = {"labels": dict.fromkeys(names, "true")} | said.pop("metadata", {})
        spec = {"containers": [{"name": "main", "image": "example.com/work:1"}]} | said
        return self.kube.create("Pod", name, self.users, dry=dry, metadata=metadata, spec=spec)

    def called(self) -> bool:
        """Tell whether the API server calls the webhook, and it answers."""
        try:
            made = self.pod("canary", dry=True)
        except OSError:
            return False
        return "canary" in made["metadata"].get("annotations", {})


@pytest.fixture
def poddefaults(
    kube: Kube, deploy: Callable[..., Webhook], users: str, poddefaults_defined: None
) -> PodDefaults:
    hook = deploy(
        "example.com/x/poddefaults-webhook:1", 4443, "/etc/webhook/certs", container={"args": ARGUMENTS}
    )
    hook.may(["list"])
    bench = PodDefaults(kube, hook, users)
    bench.default("canary", annotations={"canary": "sings"})
    bench.configure()
    eventually(bench.called)
    return bench
