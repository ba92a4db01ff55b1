"""Programs outside: who connects to a pod of such an image is led to the program."""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from webhook_bench import Kube, Webhook, denial, eventually

from rehearsal.cluster.controlplane import free_ports
from rehearsal.errors import RehearsalError
from rehearsal.network.addresses import Unreachable
from rehearsal.network.outside import Outside, find


class Echo(socketserver.StreamRequestHandler):
    """Says on which port it listens, and then all that it is told."""

    def handle(self) -> None:
        name = self.request.getsockname()
        port = b"%d " % name[1] if isinstance(name, tuple) else b""
        self.wfile.write(port + self.rfile.read())


@contextlib.contextmanager
def listening(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def told(outside: Outside, port: int) -> bytes:
    with outside.connect(port, 5) as connection, connection.makefile("rwb") as stream:
        stream.write(b"hello\n")
        stream.flush()
        connection.shutdown(socket.SHUT_WR)
        return stream.read()


def test_a_program_may_have_the_pods_port_or_one_of_its_own():
    with socketserver.TCPServer(("127.0.0.1", 0), Echo) as server, listening(server):
        port = server.server_address[1]
        heard = b"%d hello\n" % port
        assert told(Outside("katib-controller", "127.0.0.1"), port) == heard
        assert told(Outside("katib-controller", f"127.0.0.1:{port}"), 8443) == heard
        assert told(Outside("katib-controller", f"localhost:{port}"), 8443) == heard


def test_a_unix_socket_is_told_the_port(tmp_path: Path):
    path = str(tmp_path / "pod.sock")
    with socketserver.UnixStreamServer(path, Echo) as server, listening(server):
        assert told(Outside("katib-controller", path), 8443) == b"8443\nhello\n"


def test_nobody_there(tmp_path: Path):
    (port,) = free_ports(1)
    for address in (f"127.0.0.1:{port}", str(tmp_path / "none.sock")):
        with pytest.raises(Unreachable, match=f"katib-controller at {address}"):
            Outside("katib-controller", address).connect(8443, 5)


def test_an_image_is_known_by_the_last_part_of_its_path():
    outside = [Outside("katib-controller", "127.0.0.1"), Outside("trial", "127.0.0.1")]

    def pod(*images: str) -> Any:
        return {"spec": {"containers": [{"image": image} for image in images]}}

    assert find(outside, pod("host:5000/kubeflow/katib-controller:v1@sha256:0")) == outside[0]
    assert find(outside, pod("istio/proxyv2:1", "trial")) == outside[1]
    assert find(outside, pod("katib-controller/other:1")) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a=",
        "=127.0.0.1",
        "a=127.0.0.1:",
        "a=host:many",
        "a=host:0",
        "a=host:65536",
        "b/a=host",
        "a:1=host",
    ],
)
def test_what_says_nothing_is_refused(text: str):
    with pytest.raises(RehearsalError, match=f"--outside takes IMAGE=HOST.* not {text}"):
        Outside.parse(text)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:9443", "host.example", "/run/pods/a.sock"])
def test_what_is_said(address: str):
    assert Outside.parse(f"katib-controller={address}") == Outside("katib-controller", address)


class Review(http.server.BaseHTTPRequestHandler):
    """A webhook that refuses everything with a word of its own."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = {"uid": asked["request"]["uid"], "allowed": False, "status": {"message": "from outside"}}
        body = json.dumps({**asked, "response": answer}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""


@pytest.mark.parametrize("image", ["poddefaults-webhook", "of-nobody"])
def test_the_api_server_calls_a_webhook_outside(
    kube: Kube, users: str, wiring: Any, deploy: Callable[..., Webhook], tmp_path: Path, image: str
):
    hook = deploy(f"example.com/{image}:1", 4443, "/certs")
    pair = hook.certificate.pair
    for name, text in (("tls.crt", pair.certificate), ("tls.key", pair.key)):
        (tmp_path / name).write_text(text)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Review) as server, listening(server):
        server.socket = context.wrap_socket(server.socket, server_side=True)
        wiring.close()
        wiring.open([Outside(image, f"127.0.0.1:{server.server_port}")])
        try:
            hook.configure(users, path="/any", resource=("", "configmaps"), versions=("v1",))
            said = eventually(lambda: denial(lambda: kube.create("ConfigMap", "x", users, dry=True)))
        finally:
            wiring.close()
            wiring.open()
    assert said == 'admission webhook "hook.example.com" denied the request: from outside'
