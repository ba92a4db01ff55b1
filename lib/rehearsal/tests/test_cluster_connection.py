"""How an API server is spoken to as its administrator, with a server that is none."""

from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

import pytest

from rehearsal.cluster.existing import Connection, Refused
from rehearsal.patience import PATIENCE


class Server(http.server.ThreadingHTTPServer):
    """Counts connections; answers each request when as many have come as are to come at once."""

    opened = 0
    together = threading.Barrier(1)

    def get_request(self):
        self.opened += 1
        return super().get_request()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        assert isinstance(self.server, Server)
        self.server.together.wait(PATIENCE)
        self.send_response_only(HTTPStatus.NOT_FOUND if self.path == "/none" else HTTPStatus.OK)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def connection(server: Server) -> Iterator[Connection]:
    made = Connection(f"http://127.0.0.1:{server.server_port}", ssl.create_default_context(), {})
    yield made
    made.close()


def get(connection: Connection, path: str = "/") -> bytes:
    return connection.send("GET", path, None, "")


def test_threads_that_come_and_go_share_a_connection(server, connection):
    for _ in range(5):
        with ThreadPoolExecutor(1) as thread:
            assert thread.submit(get, connection).result() == b"ok"
    assert server.opened == 1


def test_requests_at_once_have_a_connection_each_and_later_ones_use_them(server, connection):
    server.together = threading.Barrier(4)
    for _ in range(2):
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(lambda _: get(connection), range(4))) == [b"ok"] * 4
    assert server.opened == 4


def test_a_refusal_does_not_cost_the_connection(server, connection):
    with pytest.raises(Refused, match="HTTP 404: ok"):
        get(connection, "/none")
    assert get(connection) == b"ok"
    assert server.opened == 1


def test_after_closing_nothing_is_kept(server, connection):
    get(connection)
    connection.close()
    assert [get(connection), get(connection)] == [b"ok", b"ok"]
    assert server.opened == 3
