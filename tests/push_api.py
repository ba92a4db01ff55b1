"""A Loki, as far as its push API: what it accepts, it keeps; what Loki refuses, it refuses; the rest on demand.

Facts: https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs; Loki 3, pkg/distributor
(`max_line_size`, `max_label_names_per_series`) and pkg/loghttp/push (the JSON is read strictly).
"""

from __future__ import annotations

import collections
import dataclasses
import gzip
import http.server
import json
import re
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LONGEST_LINE = 256 * 1024
MOST_LABELS = 15
Way = int | str
"""How a request is met: a status; `garbage`, `hang`, `close`: of each, none has anything of HTTP; `late`: the
answer is lost, but the lines are not."""


@dataclasses.dataclass(frozen=True)
class Pushed:
    """A line that was accepted."""

    labels: dict[str, str]
    time: int
    line: str


class PushApi:
    """The server; it listens on 127.0.0.1 as soon as it is created.

    Args:
        port: where; 0 for any free port.
        certificate: the certificate and key to speak https with, if it does.
    """

    def __init__(self, port: int = 0, certificate: tuple[Path, Path] | None = None):
        self.pushed: list[Pushed] = []
        self.requests: list[tuple[float, int]] = []
        """When each request came, and how long its body was."""
        self.ways: collections.deque[Way] = collections.deque()
        """How the next requests are met; others are met as Loki does."""
        self.always: Way = 0
        """How all requests are met, if not 0."""
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(self, port)
        self.port = int(self._server.server_address[1])
        scheme = "http"
        if certificate is not None:
            scheme, context = "https", ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.url = f"{scheme}://localhost:{self.port}/loki/api/v1/push"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def __enter__(self) -> PushApi:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening, and let those go that hang."""
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def lines(self, **labels: str) -> list[str]:
        """Return the lines with these labels, in the order of their arrival."""
        return [each.line for each in self.pushed if labels.items() <= each.labels.items()]

    def pushed_lines(self) -> set[tuple[str, int, str]]:
        """Return what Loki distinguishes of the lines: it keeps one of those that are alike in all this."""
        return {(str(each.labels), each.time, each.line) for each in self.pushed}

    def way(self, size: int) -> Way:
        """Return how a request is met."""
        with self._lock:
            self.requests.append((time.monotonic(), size))
            return self.ways.popleft() if self.ways else self.always

    def keep(self, body: bytes) -> None:
        """Keep what a request has; raises ValueError, as Loki refuses it."""
        found = []
        said = json.loads(gzip.decompress(body))
        _must(isinstance(said, dict) and said.keys() == {"streams"}, "an unknown key")
        for stream in said["streams"]:
            _must(stream.keys() == {"stream", "values"}, "an unknown key of a stream")
            labels = stream["stream"]
            _must(0 < len(labels) <= MOST_LABELS, "too many labels")
            for name, value in labels.items():
                fits = re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) and isinstance(value, str)
                _must(bool(fits) and not name.startswith("__"), f"the label {name}")
            for moment, line in stream["values"]:
                _must(isinstance(moment, str) and moment.isdecimal() and len(moment) == 19, "a time")
                _must(len(line.encode()) <= LONGEST_LINE, "max entry size exceeded")
                found.append(Pushed(labels, int(moment), line))
        with self._lock:
            self.pushed += found


def _must(fits: bool, what: str) -> None:
    if not fits:
        raise ValueError(what)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, api: PushApi, port: int):
        super().__init__(("127.0.0.1", port), _Handler)
        self.api = api

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that left before their answer."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer one push."""
        api: PushApi = self.server.api  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        way = api.way(len(body))
        odd: dict[Way, Callable[[], object]] = {
            "garbage": lambda: self.wfile.write(b"\0\0 this is not HTTP\r\n\r\n"),
            "hang": lambda: api.closing.wait(120),
            "close": lambda: None,
            "late": lambda: api.keep(body),
        }
        if way in odd:
            odd[way]()
            self.close_connection = True
        elif way:
            self._answer(int(way), f"told to answer {way}")
        else:
            self._take(api, body)

    def _take(self, api: PushApi, body: bytes) -> None:
        headers = (self.headers["Content-Type"], self.headers["Content-Encoding"])
        if self.path != "/loki/api/v1/push":
            self._answer(404, "404 page not found")
        elif headers != ("application/json", "gzip"):
            self._answer(415, f"not {headers}")
        else:
            try:
                api.keep(body)
            except (ValueError, TypeError, KeyError, OSError) as reason:
                self._answer(400, str(reason))
            else:
                self._answer(204, "")

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Do nothing: nobody reads this log."""
