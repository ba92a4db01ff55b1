"""Connections that another thread can cut: who waits for a watch's next line waits no longer."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading

import httpx2


class Severable(httpx2.HTTPTransport):
    """A client's transport; once severed, every request that runs or is made fails with an `HTTPError`.

    Args:
        context: how to speak to the server.
    """

    def __init__(self, context: ssl.SSLContext):
        super().__init__(verify=context, trust_env=False)
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._severed = False

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; remember the connection that its answer comes from."""
        self._refuse_if_severed()
        response = super().handle_request(request)
        stream = response.extensions.get("network_stream")
        with self._lock:
            self._sockets = {each for each in self._sockets if each.fileno() != -1}
            if stream is not None:
                self._sockets.add(stream.get_extra_info("socket"))
        self._refuse_if_severed()
        return response

    def sever(self) -> None:
        """Cut all connections; the client is closed when the threads that use it have ended."""
        with self._lock:
            self._severed = True
            for each in self._sockets:
                with contextlib.suppress(OSError):  # closed by its peer
                    socket.socket.shutdown(each, socket.SHUT_RDWR)
            self._sockets.clear()

    def _refuse_if_severed(self) -> None:
        if self._severed:
            raise httpx2.ConnectError("the connection was severed")
