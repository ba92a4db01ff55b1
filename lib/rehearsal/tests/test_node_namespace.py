"""The way into another network, by one thread at a time."""

from __future__ import annotations

import socket
import threading

import pytest
from node_network import ROOT, away, entered, listening

from rehearsal.node.namespace import Network


@ROOT
def test_a_connection_leads_to_the_other_network_and_this_one_stays() -> None:
    with away() as pid, entered(pid) as network, listening(network.socket()) as (server, port):
        with network.connect("127.0.0.1", port, 5) as here:
            there, _ = server.accept()
            with there:
                here.sendall(b"hello")
                assert there.recv(5) == b"hello"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
        assert not [each for each in threading.enumerate() if each.name == "node-network"]


@ROOT
def test_a_refusal_over_there_is_one_here() -> None:
    with away() as pid, entered(pid) as network:
        with listening(socket.socket()) as (_, port), pytest.raises(ConnectionRefusedError):
            network.connect("127.0.0.1", port, 5)
        with pytest.raises(OSError, match="unreachable"):
            network.connect("192.0.2.1", 80, 5)


def test_a_process_that_is_gone_has_no_network() -> None:
    with pytest.raises(FileNotFoundError):
        Network(2**22 + 1)


@ROOT
def test_a_network_that_was_let_go_is_not_entered() -> None:
    with away() as pid:
        network = Network(pid)
        network.close()
        with pytest.raises(OSError, match="cannot be entered"):
            network.socket()
