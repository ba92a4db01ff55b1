"""The gate between charms and the API server: every request of every charm passes through it.

It records requests without the charms' knowledge, and it is the only place that injects faults. It is a
reverse proxy on 127.0.0.1, with plain HTTP on the charms' side and TLS on the other; tokens pass through.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import http.server
import json
import socket
import ssl
import threading
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rehearsal.cluster.request import Request, described

_HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length"}


@dataclass
class Fault:
    """An injected fault: an answer that the API server did not give, or a delay.

    Args:
        matches: selects requests; their `status` and `seconds` are not known yet.
        status: the HTTP status to answer with; 0 drops the connection, None lets the request pass.
        message: of the Kubernetes Status object.
        times: how many requests to hit; None for all.
        delay: seconds before answering, or before letting pass.
        skip: how many matching requests to let pass first.
        reaches: whether the API server still gets the request, and only its answer is lost.
    """

    matches: Callable[[Request], bool]
    status: int | None = 500
    message: str = "put in by the rehearsal"
    times: int | None = None
    delay: float = 0.0
    skip: int = 0
    reaches: bool = False


class Gate:
    """The proxy. `faults` may be changed at any time.

    Args:
        url: the API server.
        context: the TLS context.
    """

    def __init__(self, url: str, context: ssl.SSLContext):
        self.faults: list[Fault] = []
        self._requests: list[Request] = []
        self._handlers: dict[_Handler, threading.Thread] = {}
        self._lock = threading.Lock()
        target = urllib.parse.urlsplit(url)
        handler = type("Handler", (_Handler,), {"gate": self, "target": target, "context": context})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="gate", daemon=True
        )
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def requests(self, *, caller: str = "", since: float = 0.0) -> list[Request]:
        """Return recorded requests, oldest first; each is recorded before its caller gets the answer.

        A watch is recorded when it begins, and counts as a read.
        """
        with self._lock:
            return [r for r in self._requests if caller in r.caller and r.at >= since]

    def close(self) -> None:
        """Stop listening and end every connection."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        with self._lock:
            left = dict(self._handlers)
        for handler in left:
            handler.abort()
        for thread in left.values():
            thread.join(5)

    def __enter__(self) -> Gate:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def came(self, handler: _Handler) -> None:
        """Remember an opened connection."""
        with self._lock:
            self._handlers[handler] = threading.current_thread()

    def went(self, handler: _Handler) -> None:
        """Forget a closed connection."""
        with self._lock:
            self._handlers.pop(handler, None)

    def record(self, seen: Request, status: int) -> None:
        """Record a request and its status."""
        answered = dataclasses.replace(seen, status=status, seconds=time.monotonic() - seen.at)
        with self._lock:
            self._requests.append(answered)

    def fault_for(self, request: Request) -> Fault | None:
        """Return the fault for a request, and count it as used."""
        with self._lock:
            for fault in self.faults:
                if fault.times != 0 and fault.matches(request):
                    if fault.skip:
                        fault.skip -= 1
                        continue
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return None


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore it: a client that left is not our error."""


class _Handler(http.server.BaseHTTPRequestHandler):
    gate: Gate
    target: urllib.parse.SplitResult
    context: ssl.SSLContext
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self._upstream: http.client.HTTPConnection | None = None
        self.gate.came(self)

    def finish(self) -> None:
        self.gate.went(self)
        if self._upstream is not None:
            self._upstream.close()
        with contextlib.suppress(OSError):
            super().finish()

    def abort(self) -> None:
        """End both connections, from another thread."""
        for each in (self.connection, self._upstream and self._upstream.sock):
            if each:
                with contextlib.suppress(OSError):
                    # Not TLS's own shutdown: it would take the socket away from the thread that reads it.
                    socket.socket.shutdown(each, socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:
        """Do nothing: requests are recorded, not printed."""

    def _pass(self) -> None:
        began = time.monotonic()
        body = self._body()
        seen = dataclasses.replace(
            described(self.command, self.path, self.headers, began), connection=self.client_address[1]
        )
        fault = self.gate.fault_for(seen)
        if fault is None:
            self._forward(seen, body)
            return
        time.sleep(fault.delay)
        if fault.status is None:
            self._forward(seen, body)
            return
        if fault.reaches:
            with contextlib.suppress(http.client.HTTPException, OSError):
                self._ask(body).read()
        self._answer_fault(seen, fault.status, fault.message)

    # http.server looks for these names.
    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _pass  # noqa: N815

    def _body(self) -> bytes | None:
        if "chunked" not in (self.headers.get("Transfer-Encoding") or ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
        parts = []
        while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers
        return b"".join(parts)

    def _answer_fault(self, seen: Request, status: int, message: str) -> None:
        if not status:
            self._drop(seen)
            return
        text = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "message": message}
        self._send(seen, status, {"Content-Type": "application/json"}, json.dumps(text).encode())

    def _forward(self, seen: Request, body: bytes | None) -> None:
        try:
            answer = self._ask(body)
            streams = seen.verb == "watch" or "follow=true" in self.path
            content = b"" if streams else answer.read()
        except (http.client.HTTPException, OSError):
            self._drop(seen)
            return
        kept = {k: v for k, v in answer.getheaders() if k.lower() not in _HOP_BY_HOP}
        if streams:
            self._stream(seen, answer, kept)
        else:
            self._send(seen, answer.status, kept, content)

    def _drop(self, seen: Request) -> None:
        """Give no answer, like an API server that is down."""
        self.gate.record(seen, 0)
        self.close_connection = True

    def _ask(self, body: bytes | None) -> http.client.HTTPResponse:
        """Forward the request; reopen a kept connection that the server has closed."""
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP_BY_HOP}
        for fresh in (self._upstream is None, True):
            if self._upstream is None or fresh:
                self._upstream = self._connect()
            try:
                self._upstream.request(self.command, self.path, body, headers)
                return self._upstream.getresponse()
            except (http.client.HTTPException, OSError):
                self._upstream.close()
                if fresh:
                    raise
        raise AssertionError("unreachable")

    def _connect(self) -> http.client.HTTPConnection:
        name, port = self.target.hostname or "", self.target.port
        if self.target.scheme == "http":
            return http.client.HTTPConnection(name, port, timeout=3600)
        return http.client.HTTPSConnection(name, port, context=self.context, timeout=3600)

    def _send(self, seen: Request, status: int, headers: dict[str, str], body: bytes) -> None:
        self.gate.record(seen, status)
        self.send_response_only(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)
        self.wfile.flush()

    def _stream(self, seen: Request, answer: http.client.HTTPResponse, headers: dict[str, str]) -> None:
        """Forward the answer piece by piece; the stream and the client's connection end together."""
        self.gate.record(seen, answer.status)
        self.close_connection = True
        threading.Thread(target=self._end_with_client, name="gate-stream", daemon=True).start()
        self.send_response_only(answer.status)
        for key, value in {**headers, "Transfer-Encoding": "chunked", "Connection": "close"}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.flush()
        with contextlib.suppress(OSError, http.client.HTTPException):
            while chunk := answer.read1(1 << 16):
                self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
            self.wfile.flush()

    def _end_with_client(self) -> None:
        """Wait until the client leaves, then end the stream; otherwise it lasts until its next event."""
        with contextlib.suppress(OSError):
            self.connection.recv(1, socket.MSG_PEEK)
        self.abort()
