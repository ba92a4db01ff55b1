"""Addresses of Services, as a load balancer gives them."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from typing import Any

import lightkube
import pytest
from lightkube.models.core_v1 import ServicePort, ServiceSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Service
from player_bench import until

from rehearsal.players import load_balancer
from rehearsal.players.players import Players


@pytest.fixture
def make(client: lightkube.Client, namespace: str) -> Callable[..., None]:
    def make(name: str, **spec: Any) -> None:
        metadata = ObjectMeta(name=name, namespace=namespace)
        wanted = ServiceSpec(**{"type": "LoadBalancer", "ports": [ServicePort(port=80)]} | spec)
        client.apply(Service(metadata=metadata, spec=wanted), field_manager="us", force=True)

    return make


@pytest.fixture
def address(client: lightkube.Client, namespace: str) -> Callable[[str], str]:
    def address(name: str) -> str:
        """Return a Service's address; empty if it has none."""
        status = client.get(Service, name, namespace=namespace).status
        given = status.loadBalancer.ingress if status and status.loadBalancer else None
        return "" if not given else str(given[0].ip)

    return address


@pytest.mark.usefixtures("players")
def test_a_service_has_an_address_of_its_own_as_long_as_it_asks_for_one(make, address):
    for name in ("a", "b"):
        make(name)
        until(lambda name=name: address(name), "an address")
    assert address("a") != address("b")
    assert ipaddress.ip_address(address("a")) in load_balancer.POOL
    before = address("a")
    make("a", type="NodePort")
    until(lambda: not address("a"), "no address")
    make("c", loadBalancerIP=before)
    until(lambda: address("c") == before, "the address that is free again")


@pytest.mark.usefixtures("players")
def test_others_services_have_none(make, address):
    make("other", loadBalancerClass="example.com/mine")
    make("inside", type="ClusterIP")
    make("last")
    until(lambda: address("last"), "an address")
    assert (address("other"), address("inside")) == ("", "")


@pytest.mark.usefixtures("players")
def test_while_all_addresses_are_taken_a_service_waits(monkeypatch, make, address, client, namespace):
    make("first")
    until(lambda: address("first"), "an address")
    monkeypatch.setattr(load_balancer, "POOL", ipaddress.ip_network(f"{address('first')}/32"))
    make("second")
    time.sleep(0.5)
    assert address("second") == ""
    client.delete(Service, "first", namespace=namespace)
    until(lambda: address("second"), "the address that is free again")


def test_addresses_stay_when_the_players_change(make_players: Callable[[], Players], make, address):
    with make_players():
        make("kept")
        until(lambda: address("kept"), "an address")
    before = address("kept")
    with make_players():
        make("new")
        until(lambda: address("new"), "an address")
        assert address("kept") == before
        assert address("new") != before


def test_a_cluster_may_have_no_load_balancer(reached: Any, make, address):
    with Players(reached, load_balancer=False):
        make("bare")
        time.sleep(0.5)
        assert address("bare") == ""
