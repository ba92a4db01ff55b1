"""Requests to stores where a real server answers them: everything passes as it is."""

from __future__ import annotations

import http.client
import http.server
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from rehearsal.stores.server import Stores


class Real(http.server.BaseHTTPRequestHandler):
    """A store that repeats what it is asked."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        said = (
            f"{self.command} {self.path} {self.headers['Host']} {self.headers['X-Amz-Date']} ".encode() + body
        )
        self.send_response(404 if self.path == "/none" else 200)
        self.send_header("X-Amz-Request-Id", "17")
        if self.path == "/chunks":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(said), said))
            return
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(said)

    do_GET = do_PUT = do_DELETE = do_HEAD = do_POST = answer  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Babbling(http.server.BaseHTTPRequestHandler):
    """A server that speaks no HTTP."""

    def handle(self) -> None:
        self.rfile.readline()
        self.wfile.write(b"220 ready\r\n")


@pytest.fixture
def served() -> Iterator[Callable[[type], int]]:
    """Start servers; return the port of each."""
    started: list[http.server.ThreadingHTTPServer] = []

    def serve(handler: type) -> int:
        started.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=started[-1].serve_forever, args=(0.05,), daemon=True).start()
        return started[-1].server_port

    yield serve
    for each in started:
        each.shutdown()
        each.server_close()


class Stage:
    """Stores whose real servers are at some addresses, and a client of them."""

    def __init__(self, **ports: int):
        self.asked: list[str] = []
        self._ports = ports
        self.stores = Stores(lambda address: None, self._dial)

    def _dial(self, address: str) -> socket.socket:
        self.asked.append(address)
        name = address.partition(".")[0]
        if name not in self._ports:
            raise ConnectionRefusedError(f"there is no {name}")
        return socket.create_connection(("127.0.0.1", self._ports[name]), timeout=10)

    def request(
        self, method: str, path: str, body: bytes | None = None, host: str = "minio.store:9000"
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.stores.port, timeout=10)
        try:
            connection.request(method, path, body, {"Host": host, "X-Amz-Date": "today"})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()


@pytest.fixture
def stage(served: Callable[[type], int]) -> Iterator[Stage]:
    stage = Stage(minio=served(Real), babbling=served(Babbling))
    yield stage
    stage.stores.close()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/mlpipeline?list-type=2&prefix=a%2Fb", None),
        ("PUT", "/mlpipeline/key", b"\0content\xff"),
        ("DELETE", "/mlpipeline/key", None),
        ("GET", "/chunks", None),
        ("GET", "/none", None),
    ],
)
def test_a_request_and_its_answer_pass_unchanged(
    stage: Stage, method: str, path: str, body: bytes | None
) -> None:
    status, headers, said = stage.request(method, path, body)
    assert said == f"{method} {path} minio.store:9000 today ".encode() + (body or b"")
    assert status == (404 if path == "/none" else 200)
    assert headers["x-amz-request-id"] == "17"
    assert headers["content-length"] == str(len(said))
    assert "transfer-encoding" not in headers


def test_the_answer_to_head_has_no_body(stage: Stage) -> None:
    status, _, said = stage.request("HEAD", "/mlpipeline")
    assert (status, said) == (200, b"")


def test_a_connection_serves_several_requests(stage: Stage) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", stage.stores.port, timeout=10)
    for number in range(3):
        connection.request("GET", f"/{number}", headers={"Host": "minio.store:9000"})
        with connection.getresponse() as answer:
            assert answer.read().startswith(f"GET /{number} ".encode())
    connection.close()
    assert stage.asked == 3 * ["minio.store:9000"]


@pytest.mark.parametrize("host", ["away.store:9000", "babbling.store:9000"])
def test_a_store_that_does_not_answer_is_a_bad_gateway(stage: Stage, host: str) -> None:
    status, _, said = stage.request("GET", "/mlpipeline", host=host)
    assert (status, said) == (502, b"nobody is there\n")
