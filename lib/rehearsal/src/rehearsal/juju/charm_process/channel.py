"""Messages between the engine and its workers, over a socket: each is a length and a pickle.

The sockets are in the rehearsal's own folder, which no other user may enter.
"""

from __future__ import annotations

import pickle
import socket
import struct
from typing import Any


def send(channel: socket.socket, message: Any) -> None:
    """Send one message."""
    data = pickle.dumps(message)
    channel.sendall(struct.pack(">Q", len(data)) + data)


def receive(channel: socket.socket) -> Any:
    """Return one message; raises EOFError if the other side is gone."""
    (length,) = struct.unpack(">Q", _read(channel, 8))
    return pickle.loads(_read(channel, length))  # noqa: S301 (our own process)


def _read(channel: socket.socket, length: int) -> bytes:
    parts = []
    while length:
        received = channel.recv(min(length, 1 << 20))
        if not received:
            raise EOFError
        parts.append(received)
        length -= len(received)
    return b"".join(parts)
