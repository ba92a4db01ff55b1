"""Endpoints that are a moment behind the pods."""

from __future__ import annotations

import json

import pytest

from rehearsal.cluster.existing import Refused
from rehearsal.network import addresses
from rehearsal.network.addresses import Addresses, Unreachable


class Lagging:
    """A cluster whose endpoints name a pod that is gone, until they have been asked for some times."""

    def __init__(self, stale: int):
        self.stale = stale

    def request(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> bytes:
        if path.startswith("/api/v1/services?"):
            ports = [{"port": 443}]
            metadata = {"name": "web", "namespace": "app"}
            return json.dumps({"items": [{"metadata": metadata, "spec": {"ports": ports}}]}).encode()
        if "/endpointslices?" in path:
            self.stale -= 1
            name = "gone" if self.stale >= 0 else "there"
            pod = {"kind": "Pod", "namespace": "app", "name": name}
            endpoints = [{"addresses": ["10.0.0.9"], "targetRef": pod}]
            return json.dumps({"items": [{"ports": [{"port": 8443}], "endpoints": endpoints}]}).encode()
        if path == "/api/v1/namespaces/app/pods/there":
            return json.dumps({"metadata": {"name": "there"}}).encode()
        raise Refused(404, "not found")


def test_an_endpoint_whose_pod_is_gone_is_looked_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_PAUSE", 0.0)
    found = Addresses(Lagging(3)).find("10.96.0.7", 443)
    assert found.pod == {"metadata": {"name": "there"}}
    assert found.port == 8443


def test_a_pod_that_stays_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_PAUSE", 0.0)
    with pytest.raises(Unreachable, match="404"):
        Addresses(Lagging(100)).find("10.96.0.7", 443)
