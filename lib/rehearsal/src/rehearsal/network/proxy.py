"""The API server's way into the cluster: an HTTP proxy on a Unix socket.

The API server sends it `CONNECT` for every connection into the cluster (its *egress selector*: webhooks,
aggregated APIs, kubelets), always by address: of a Service, of a pod or of this machine.

Facts: Kubernetes v1.36, k8s.io/apiserver/pkg/server/egressselector. The API server sends nothing more until
the answer. Any status but 200 ends the call; the status line is shown to the user who caused it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.network import outside as elsewhere
from rehearsal.network.addresses import Addresses, Destination, Unreachable
from rehearsal.network.outside import Outside
from rehearsal.network.playing import Answer, Cast, Program

logger = logging.getLogger(__name__)

_PATIENCE = 60.0
"""Seconds to wait for the other side while it is its turn to send; webhooks wait 10 by default."""
_LONGEST_REQUEST = 1 << 16


class Real(Protocol):
    """A network in which pods really run."""

    def has(self, host: str) -> bool:
        """Return whether an address is of that network."""
        ...

    def connect(self, host: str, port: int, timeout: float) -> socket.socket:
        """Return a connection to an address of it; raise OSError if nobody listens."""
        ...


class Network:
    """The proxy; it listens as soon as it is created.

    Args:
        path: of the socket.
        cluster: the cluster to connect to; it need not have been started.
        programs: the programs to play, by the last part of their image's path.
        outside: the programs that are not played, but run elsewhere.
        real: the way to pods that really run, if there are any.

    Raises:
        OSError: if the socket cannot be created.
    """

    def __init__(
        self,
        path: Path,
        cluster: ControlPlane,
        programs: Mapping[str, Program],
        outside: Sequence[Outside] = (),
        real: Real | None = None,
    ):
        self.path = path
        self._real = real
        self._addresses = Addresses(cluster, real.has if real else lambda _: False)
        self._cast = Cast(cluster, programs)
        self._outside = outside
        self._open: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._closed = False
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        os.chmod(path, 0o600)  # noqa: PTH101
        self._listener.listen(128)
        self._thread = threading.Thread(target=self._listen, name="network", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening and end every connection."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        with self._lock:
            self._closed = True
            for each in self._open:
                _end(each)
            threads = list(self._threads)
        for thread in threads:
            thread.join(5)
        self._cast.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._run, args=(connection,), name="network-call", daemon=True)
            with self._lock:
                self._threads.add(thread)
            thread.start()

    def _run(self, connection: socket.socket) -> None:
        """Serve one connection until it ends."""
        try:
            with self._held(connection), connection, contextlib.suppress(OSError):
                self._serve(connection)
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(_PATIENCE)
        host, port = _asked(connection)
        try:
            answer = self._reach(host, port)
        except Unreachable as reason:
            logger.info("%s:%s: %s", host, port, reason)
            _say(connection, reason.status, str(reason))
            return
        _say(connection, 200, "connected")
        answer(connection)

    @contextlib.contextmanager
    def _held(self, connection: socket.socket) -> Iterator[None]:
        """End the connection if the network closes meanwhile, even if TLS has been wrapped around it."""
        with connection.dup() as handle:
            with self._lock:
                self._open.add(handle)
                if self._closed:
                    _end(handle)
            try:
                yield
            finally:
                with self._lock:
                    self._open.discard(handle)

    def _reach(self, host: str, port: int) -> Answer:
        """Return the answer of an address; raise Unreachable if nothing answers."""
        found = self._addresses.find(host, port)
        if self._real is not None and self._real.has(found.host):
            return self._to_real(self._real, found)
        program = elsewhere.find(self._outside, found.pod) if found.pod else None
        if found.pod is not None and program is None:
            return self._cast.find(found.pod, found.port)
        there = program.connect(found.port, _PATIENCE) if program else _connected(found)
        return lambda connection: self._join(connection, there)

    def _to_real(self, real: Real, found: Destination) -> Answer:
        try:
            there = real.connect(found.host, found.port, _PATIENCE)
        except OSError as error:
            raise Unreachable(f"{found.host}:{found.port}: {error}") from None
        return lambda connection: self._join(connection, there)

    def _join(self, here: socket.socket, there: socket.socket) -> None:
        """Pass data both ways until one side closes."""
        for each in (here, there):
            each.settimeout(None)
        with self._held(there), there:
            back = threading.Thread(target=_pass_on, args=(there, here), name="network-back", daemon=True)
            back.start()
            _pass_on(here, there)
            back.join()


def _connected(place: Destination) -> socket.socket:
    """Connect to a port of this machine; raises Unreachable if nobody listens."""
    try:
        return socket.create_connection((place.host, place.port), timeout=_PATIENCE)
    except OSError as error:
        raise Unreachable(f"{place.host}:{place.port}: {error}") from None


def _asked(connection: socket.socket) -> tuple[str, int]:
    """Read a CONNECT request and return its address; raise OSError if it is another request."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        # The client sends nothing more before it has the answer.
        received = connection.recv(4096)
        head += received
        if not received or len(head) > _LONGEST_REQUEST:
            raise ConnectionError("no request came")
    method, target, *_ = [*head.decode("latin-1").split("\r\n")[0].split(" "), ""]
    host, _, port = target.rpartition(":")
    if method != "CONNECT" or not port.isdigit():
        _say(connection, 405, "only CONNECT to host:port is known here")
        raise ConnectionError(f"an unknown request: {method}")
    return host.strip("[]"), int(port)


def _say(connection: socket.socket, status: int, reason: str) -> None:
    """Answer with a status; the client shows the whole line to its user."""
    line = " ".join(reason.split()).encode("ascii", "replace")
    length = b"" if status == 200 else b"Content-Length: 0\r\n"
    connection.sendall(b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, line, length))


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while received := source.recv(1 << 16):
            target.sendall(received)
    _end(source)
    _end(target)


def _end(connection: socket.socket) -> None:
    """Shut the connection down for both sides; its reader, in another thread, closes it."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
