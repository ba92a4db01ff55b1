"""A network of its own for tests of the node's ways, by `unshare`; it takes root."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator

import pytest

from rehearsal.node.namespace import Network
from rehearsal.patience import PATIENCE

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes namespaces")


@contextlib.contextmanager
def away() -> Iterator[int]:
    """Have a process in a network of its own, and return its number; it ends with its standard input."""
    command = ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec cat"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        try:
            yield process.pid
        finally:
            process.stdin.close()
            process.wait(PATIENCE)


@contextlib.contextmanager
def listening(made: socket.socket) -> Iterator[tuple[socket.socket, int]]:
    """Have a socket listen on a free port of its network's 127.0.0.1; return it, and the port."""
    with made:
        made.settimeout(PATIENCE)
        made.bind(("127.0.0.1", 0))
        made.listen()
        yield made, made.getsockname()[1]


@contextlib.contextmanager
def entered(pid: int) -> Iterator[Network]:
    """Return the network of a process."""
    network = Network(pid)
    try:
        yield network
    finally:
        network.close()
