"""A way into the node's network: a socket belongs to the network that its thread was in when it was made."""

from __future__ import annotations

import ctypes
import os
import socket
import threading

_CLONE_NEWNET = 0x40000000


class Network:
    """The network namespace of a process.

    Args:
        pid: the process.

    Raises:
        OSError: if there is no such process, or it may not be looked into.
    """

    def __init__(self, pid: int):
        self._handle = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Let the namespace go."""
        os.close(self._handle)

    def socket(self) -> socket.socket:
        """Return a new TCP socket of that network; raises OSError if that is refused."""
        made: list[socket.socket | OSError] = []

        def enter() -> None:
            # Only this thread changes, and it ends.
            try:
                if ctypes.CDLL(None, use_errno=True).setns(self._handle, _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "the node's network cannot be entered")
                made.append(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            except OSError as error:
                made.append(error)

        thread = threading.Thread(target=enter, name="node-network")
        thread.start()
        thread.join()
        if isinstance(made[0], OSError):
            raise made[0]
        return made[0]

    def connect(self, host: str, port: int, timeout: float) -> socket.socket:
        """Return a connection to an address of that network; raises OSError if nobody listens."""
        connection = self.socket()
        try:
            connection.settimeout(timeout)
            connection.connect((host, port))
        except OSError:
            connection.close()
            raise
        return connection
