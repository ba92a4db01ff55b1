"""What stands between a charm and a server: it keeps note of requests, and answers some itself."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import http.server
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any


class Between(http.server.ThreadingHTTPServer):
    """Between the charm and a server: keeps note of requests, and answers some itself."""

    daemon_threads = True

    def __init__(self, behind: int, answer: Callable[[str, str], tuple[int, bytes] | None]):
        super().__init__(("127.0.0.1", 0), Passing)
        self.behind, self.answer = behind, answer
        self.seen: list[str] = []


class Passing(http.server.BaseHTTPRequestHandler):
    """Passes a request on, or answers it."""

    protocol_version = "HTTP/1.1"

    def handle_one(self) -> None:
        server: Any = self.server
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        command = self.path.partition("?")[0].removeprefix("/minio/admin/v3/")
        server.seen.append(command)
        instead = server.answer(self.command, command)
        status, said, size = (*instead, "") if instead else self.passed_on(body, server.behind)
        self.send_response(status)
        self.send_header("Content-Length", size or str(len(said)))
        if status == 503:
            self.send_header("Retry-After", "60")
        with contextlib.suppress(BrokenPipeError):
            self.end_headers()
            self.wfile.write(said)

    def passed_on(self, body: bytes, behind: int) -> tuple[int, bytes, str]:
        """Return status and content of the answer, and the size it tells: of HEAD, that of what is not sent."""
        connection = http.client.HTTPConnection("127.0.0.1", behind)
        del self.headers["accept-encoding"]
        connection.request(self.command, self.path, body, dict(self.headers))
        answer = connection.getresponse()
        said = answer.read()
        connection.close()
        return answer.status, said, answer.getheader("content-length", "")

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_one  # noqa: N815 - names of http.server

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def between(
    store: Any,
    answer: Callable[[str, str], tuple[int, bytes] | None] = lambda *_: None,
    tls: ssl.SSLContext | None = None,
) -> Iterator[tuple[Any, list[str]]]:
    """Yield the store as reached through what keeps note of requests, and the notes."""
    server = Between(store.port, answer)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield dataclasses.replace(store, port=server.server_address[1]), server.seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
