"""The relay between the node's network and this machine's."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from node_network import ROOT, away, entered, listening

from rehearsal.cluster.controlplane import free_ports
from rehearsal.guardian import Guardian, Process
from rehearsal.node import relay
from rehearsal.node.namespace import Network
from rehearsal.patience import PATIENCE, until

pytestmark = ROOT
AT_REST = 3
"""The sockets of a relay without connections: the one that listens, and asyncio's own pair."""


@pytest.fixture
def network() -> Iterator[tuple[int, Network]]:
    with away() as pid, entered(pid) as network:
        yield pid, network


@pytest.fixture
def relaying(
    network: tuple[int, Network], guardian: Guardian, tmp_path: Path
) -> Iterator[Callable[[str, int, int], Process]]:
    """Start a relay; return when it listens."""
    started: list[Process] = []

    def start(direction: str, here: int, there: int) -> Process:
        pid, other = network
        way = f"{direction}:127.0.0.1:{here}=127.0.0.1:{there}"
        log = tmp_path / "log"
        started.append(
            guardian.spawn([sys.executable, "-m", relay.__name__, str(pid), way], log=log, name="relay")
        )
        connect = other.connect if direction == "in" else _connect
        until(lambda: _reaches(connect, here) or started[-1].ended.is_set(), log.read_text)
        assert not started[-1].ended.is_set(), log.read_text()
        return started[-1]

    yield start
    for each in started:
        each.stop(1.0)


def _connect(host: str, port: int, timeout: float) -> socket.socket:
    return socket.create_connection((host, port), timeout)


def _reaches(connect: Callable[[str, int, float], socket.socket], port: int) -> bool:
    try:
        connect("127.0.0.1", port, 5).close()
    except OSError:
        return False
    return True


def _received(connection: socket.socket) -> bytes:
    """Return all that comes until nothing more does."""
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


@pytest.mark.parametrize("direction", ["in", "out"])
def test_what_is_said_is_passed_on_both_ways_and_so_is_its_end(
    network: tuple[int, Network], relaying: Callable[[str, int, int], Process], direction: str
) -> None:
    other = network[1]
    connect, server = (other.connect, socket.socket) if direction == "in" else (_connect, other.socket)
    (port,) = free_ports(1)
    with listening(server()) as (listener, there):
        process = relaying(direction, port, there)
        listener.accept()[0].close()  # the one that saw whether it listens
        large = bytes(range(256)) * (1 << 12)
        for _ in range(3):
            with connect("127.0.0.1", port, PATIENCE) as caller:
                answering, _ = listener.accept()
                with answering:
                    caller.sendall(b"question")
                    caller.shutdown(socket.SHUT_WR)
                    assert _received(answering) == b"question"
                    # The caller says nothing more, and can still be answered.
                    answering.sendall(large)
                    answering.shutdown(socket.SHUT_WR)
                    assert _received(caller) == large
        # Nothing stays open of connections that have ended.
        until(lambda: _sockets(process) == AT_REST, lambda: _sockets(process))


def _sockets(process: Process) -> int:
    links = (Path(f"/proc/{process.pid}/fd")).iterdir()
    return sum("socket:" in str(each.readlink()) for each in links)


def test_a_caller_is_sent_away_at_once_if_nobody_listens_there(
    network: tuple[int, Network], relaying: Callable[[str, int, int], Process]
) -> None:
    port, nobody = free_ports(2)
    process = relaying("in", port, nobody)
    for _ in range(2):
        with network[1].connect("127.0.0.1", port, 5) as caller:
            assert caller.recv(1) == b""
    assert not process.ended.is_set()


def test_a_side_that_goes_away_takes_the_other_with_it(
    network: tuple[int, Network], relaying: Callable[[str, int, int], Process]
) -> None:
    (port,) = free_ports(1)
    with listening(socket.socket()) as (listener, there):
        relaying("in", port, there)
        listener.accept()[0].close()
        with network[1].connect("127.0.0.1", port, PATIENCE) as caller:
            answering, _ = listener.accept()
            # The kernel sends a reset in the place of an end.
            answering.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            answering.close()
            assert caller.recv(1) == b""
