"""The gate between charms and the API server: every request of every charm passes here.

So requests are counted without a charm knowing, and this is the one place where faults are put in.
A reverse proxy on 127.0.0.1, plain HTTP before it and TLS behind it; the bearer's token passes through.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import http.server
import json
import ssl
import threading
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_READS = {"get", "list", "watch"}
_HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length"}


@dataclass(frozen=True)
class Request:
    """One request, as Kubernetes' authorizer would describe it."""

    caller: str
    """`system:serviceaccount:<namespace>:<name>`, or empty for a token that is not a service account's."""
    verb: str
    """`get`, `list`, `watch`, `create`, `update`, `patch`, `apply`, `delete`, `deletecollection`."""
    group: str
    resource: str
    namespace: str
    name: str
    status: int
    seconds: float
    at: float
    """Monotonic time of its beginning."""

    @property
    def writes(self) -> bool:
        """Whether it may change something."""
        return self.verb not in _READS


@dataclass
class Fault:
    """An answer that the API server did not give.

    Args:
        matches: which requests it is for; `status` and `seconds` of these are not known yet.
        status: the HTTP status to answer with; 0 drops the connection.
        message: of the Kubernetes Status object.
        times: how often; None for always.
        delay: seconds before answering.
    """

    matches: Callable[[Request], bool]
    status: int = 500
    message: str = "put in by the rehearsal"
    times: int | None = None
    delay: float = 0.0


class Gate:
    """The proxy. `faults` may be changed at any time.

    Args:
        url: the API server.
        context: how to speak to it.
    """

    def __init__(self, url: str, context: ssl.SSLContext):
        self.faults: list[Fault] = []
        self._requests: list[Request] = []
        self._lock = threading.Lock()
        target = urllib.parse.urlsplit(url)
        handler = type("Handler", (_Handler,), {"gate": self, "target": target, "context": context})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="gate", daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def requests(self, *, caller: str = "", since: float = 0.0) -> list[Request]:
        """Return what has passed, watches included once they ended, oldest first."""
        with self._lock:
            return [r for r in self._requests if caller in r.caller and r.at >= since]

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Gate:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def record(self, request: Request) -> None:
        """Keep a request that is done."""
        with self._lock:
            self._requests.append(request)

    def fault_for(self, request: Request) -> Fault | None:
        """Return the fault for a request, and use it up."""
        with self._lock:
            for fault in self.faults:
                if fault.times != 0 and fault.matches(request):
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return None


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error of ours."""


class _Handler(http.server.BaseHTTPRequestHandler):
    gate: Gate
    target: urllib.parse.SplitResult
    context: ssl.SSLContext
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self._upstream: http.client.HTTPSConnection | None = None

    def finish(self) -> None:
        if self._upstream is not None:
            self._upstream.close()
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are recorded, not printed."""

    def _pass(self) -> None:
        began = time.monotonic()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
        seen = described(self.command, self.path, self.headers, began)
        fault = self.gate.fault_for(seen)
        if fault is not None:
            time.sleep(fault.delay)
            status = self._answer_fault(fault)
        else:
            status = self._forward(body)
        self.gate.record(Request(**{**seen.__dict__, "status": status, "seconds": time.monotonic() - began}))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass  # noqa: N815 (http.server names them)

    def _answer_fault(self, fault: Fault) -> int:
        if not fault.status:
            self.close_connection = True
            return 0
        text = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "code": fault.status,
            "message": fault.message,
        }
        self._send(fault.status, {"Content-Type": "application/json"}, json.dumps(text).encode())
        return fault.status

    def _forward(self, body: bytes | None) -> int:
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP_BY_HOP}
        try:
            answer = self._ask(body, headers)
        except OSError as error:
            self._send(502, {"Content-Type": "text/plain"}, str(error).encode())
            return 502
        kept = {k: v for k, v in answer.getheaders() if k.lower() not in _HOP_BY_HOP}
        if "watch=true" in self.path or answer.length is None:
            self._stream(answer, kept)
        else:
            self._send(answer.status, kept, answer.read())
        return answer.status

    def _ask(self, body: bytes | None, headers: dict[str, str]) -> http.client.HTTPResponse:
        """Send the request on; a kept connection that the server has closed is opened anew."""
        for fresh in (self._upstream is None, True):
            if self._upstream is None or fresh:
                self._upstream = http.client.HTTPSConnection(
                    self.target.hostname or "", self.target.port, context=self.context, timeout=3600
                )
            try:
                self._upstream.request(self.command, self.path, body, headers)
                return self._upstream.getresponse()
            except (http.client.HTTPException, OSError):
                if fresh:
                    raise
        raise AssertionError("unreachable")

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def _stream(self, answer: http.client.HTTPResponse, headers: dict[str, str]) -> None:
        self.send_response_only(answer.status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        while chunk := answer.read1(1 << 16):
            self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()


def described(method: str, path: str, headers: Any, at: float) -> Request:
    """Return what a request is about (Kubernetes' request-info rules, k8s.io/apiserver)."""
    parts = urllib.parse.urlsplit(path)
    steps = [step for step in parts.path.split("/") if step]
    group = steps[1] if steps[:1] == ["apis"] and len(steps) > 1 else ""
    steps = steps[3:] if group else steps[2:]
    namespace = ""
    if steps[:1] == ["namespaces"] and len(steps) > 2:
        namespace, steps = steps[1], steps[2:]
    resource, name = [*steps, "", ""][:2]
    query = urllib.parse.parse_qs(parts.query)
    if query.get("watch") == ["true"]:
        verb = "watch"
    elif method == "PATCH" and "apply-patch" in (headers.get("Content-Type") or ""):
        verb = "apply"
    else:
        one, many = {
            "GET": ("get", "list"),
            "DELETE": ("delete", "deletecollection"),
            "POST": ("create", "create"),
            "PUT": ("update", "update"),
            "PATCH": ("patch", "patch"),
        }.get(method, (method.lower(), method.lower()))
        verb = one if name else many
    caller = _caller(headers.get("Authorization") or "")
    return Request(caller, verb, group, resource, namespace, name, 0, 0.0, at)


def _caller(authorization: str) -> str:
    """Return the subject of a service account's token (a JWT), without verifying it."""
    payload = (authorization.split(".") + [""] * 2)[1]
    with contextlib.suppress(ValueError):
        decoded = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        if payload:
            return str(json.loads(decoded).get("sub", ""))
    return ""
