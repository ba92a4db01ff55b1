"""Addresses of pods that really run: the proxy connects to them, and plays nobody there."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.cluster.existing import Refused
from rehearsal.guardian import Guardian
from rehearsal.network.addresses import Addresses, Destination
from rehearsal.network.proxy import Network
from rehearsal.patience import PATIENCE

REAL, PLAYED = "10.64.0.9", "10.128.0.9"
POD = {"metadata": {"name": "played", "namespace": "app"}, "spec": {"containers": [{"image": "echo"}]}}


class Cluster:
    """A cluster with a Service of one endpoint, and a played pod."""

    def __init__(self, *addresses: str):
        self._addresses = addresses

    def request(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> bytes:
        return json.dumps(self._answer(path)).encode()

    def _answer(self, path: str) -> dict[str, Any]:
        if path.startswith("/api/v1/services?"):
            return {
                "items": [
                    {"metadata": {"name": "web", "namespace": "app"}, "spec": {"ports": [{"port": 443}]}}
                ]
                if "10.96." in path
                else []
            }
        if "/endpointslices?" in path:
            target = {"kind": "Pod", "namespace": "app", "name": "played"}
            ends = [{"addresses": [each], "targetRef": target} for each in self._addresses]
            return {"items": [{"ports": [{"port": 8443}], "endpoints": ends}]}
        if path.startswith("/api/v1/pods?"):
            return {"items": [POD] if PLAYED in path else []}
        if path == "/api/v1/namespaces/app/pods/played":
            return POD
        raise Refused(404, "not found")


class Real:
    """A network with one address, at which a server of this machine answers."""

    def __init__(self, port: int):
        self._port = port

    def has(self, host: str) -> bool:
        return host.startswith("10.64.")

    def connect(self, host: str, port: int, timeout: float) -> socket.socket:
        if (host, port) != (REAL, 8443):
            raise ConnectionRefusedError(111, "Connection refused")
        return socket.create_connection(("127.0.0.1", self._port), timeout)


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [
        (REAL, 8443, Destination(REAL, 8443)),
        ("10.96.0.7", 443, Destination(REAL, 8443)),
        (PLAYED, 8443, Destination(PLAYED, 8443, POD)),
    ],
    ids=["a real pod", "a Service of a real pod", "a played pod"],
)
def test_a_real_address_is_a_destination_without_a_pod(host: str, port: int, expected: Destination) -> None:
    assert Addresses(Cluster(REAL), Real(0).has).find(host, port) == expected


def test_a_service_of_both_kinds_leads_to_either() -> None:
    addresses = Addresses(Cluster(REAL, PLAYED), Real(0).has)
    found = [addresses.find("10.96.0.7", 443) for _ in range(64)]
    assert {each.host for each in found} == {REAL, PLAYED}
    assert all((each.pod is None) == (each.host == REAL) for each in found)


@pytest.fixture
def path(tmp_path: Path, guardian: Guardian, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A proxy whose cluster has a real pod, at which somebody repeats the first line in capitals."""
    cluster = ControlPlane(tmp_path, guardian)
    monkeypatch.setattr(cluster, "request", Cluster(REAL).request)
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_shout, args=(server,), daemon=True).start()
        path = tmp_path / "network.sock"
        with Network(path, cluster, {}, (), Real(server.getsockname()[1])):
            yield path
        server.shutdown(socket.SHUT_RDWR)


def _shout(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection, connection.makefile("rb") as lines:
            connection.sendall(lines.readline().upper())


def _asked(path: Path, target: str) -> tuple[str, bytes]:
    """Ask for a connection and say hello; return the status line, and the answer."""
    with socket.socket(socket.AF_UNIX) as caller, caller.makefile("rb") as lines:
        caller.settimeout(PATIENCE)
        caller.connect(str(path))
        caller.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        status = lines.readline().decode().strip().partition(" ")[2]
        while lines.readline().strip():
            pass
        if status.startswith("200"):
            caller.sendall(b"hello\n")
        return status, lines.read()


@pytest.mark.parametrize("target", [f"{REAL}:8443", "10.96.0.7:443"], ids=["the pod", "its Service"])
def test_the_proxy_connects_to_what_really_runs(path: Path, target: str) -> None:
    assert _asked(path, target) == ("200 connected", b"HELLO\n")


def test_a_port_on_which_no_real_program_listens_is_a_bad_gateway(path: Path) -> None:
    status, said = _asked(path, f"{REAL}:9")
    assert status == f"502 {REAL}:9: [Errno 111] Connection refused"
    assert not said


def test_played_pods_stay_played(path: Path) -> None:
    status, _ = _asked(path, f"{PLAYED}:9")
    assert status == "502 nobody listens on port 9 of the pod app/played"
