"""Gives Services of the type LoadBalancer an address, as a cloud or MetalLB does."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from rehearsal.players import kinds
from rehearsal.players.api import Api
from rehearsal.players.controller import Controller
from rehearsal.players.kinds import Key, Object
from rehearsal.players.refusals import Refusals

POOL = ipaddress.ip_network("10.64.140.0/24")
"""Where addresses come from, as in Charmed Kubeflow's guides to MetalLB. Nothing answers there."""


class LoadBalancer:
    """Follows the Services of all namespaces; a Service has its address as long as it is of this type.

    A Service that names a class (`spec.loadBalancerClass`) is left to the controller of that class, as
    Kubernetes asks (Service API, v1). While all addresses are taken, Services wait.

    Args:
        api: where it reads and writes.
        refusals: told what is in the way.
    """

    def __init__(self, api: Api, refusals: Refusals):
        self._api = api
        self._given: dict[Key, str] = {}
        self._controller = Controller(api, kinds.SERVICE, self._reconcile, refusals, "load balancer")

    def start(self) -> None:
        """Begin; returns at once."""
        self._controller.start()

    def stop(self) -> None:
        """Begin with no other Service."""
        self._controller.stop()

    def join(self) -> None:
        """Wait until it has ended."""
        self._controller.join()

    def _reconcile(self, key: Key) -> None:
        """Give a Service its address, or take back what it no longer needs."""
        service = self._api.get(kinds.SERVICE, key)
        if service is None or not _asks(service):
            if self._given.pop(key, None) is not None:
                self._hurry_those_who_wait()
            return
        status = service.get("status", {})
        if (there := [*_addresses(service)]) and there[0] == self._given.setdefault(key, there[0]):
            return
        address = self._given.get(key) or self._free(service["spec"].get("loadBalancerIP", ""))
        if not address:
            return
        self._given[key] = address
        given = {"loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"}]}}
        self._api.replace_status(kinds.SERVICE, service, {**status, **given})

    def _free(self, wish: str) -> str:
        """Return the address that is asked for, or the first one that is free; empty if there is none."""
        taken = set(self._given.values())
        return next((each for each in _pool() if each not in taken and wish in ("", each)), "")

    def _hurry_those_who_wait(self) -> None:
        follower = self._api.follower(kinds.SERVICE)
        for item in follower.items():
            if _asks(item) and not [*_addresses(item)]:
                self._controller.add(kinds.key(item))


def _asks(service: Object) -> bool:
    spec = service["spec"]
    return spec.get("type") == "LoadBalancer" and not spec.get("loadBalancerClass")


def _addresses(service: Object) -> Iterator[str]:
    for each in service.get("status", {}).get("loadBalancer", {}).get("ingress") or ():
        yield each.get("ip") or each.get("hostname", "")


def _pool() -> Iterator[str]:
    return map(str, POOL.hosts())
