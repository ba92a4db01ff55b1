"""The proxy itself: what it connects, and what it refuses."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from webhook_bench import eventually

from rehearsal.patience import PATIENCE


def connect(wiring, target: str) -> tuple[str, socket.socket]:
    """Ask for a connection; return the status line, and the connection."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE)
    connection.connect(str(wiring.path))
    connection.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        received = connection.recv(1)
        assert received, head
        head += received
    return head.decode().splitlines()[0].partition(" ")[2], connection


def refused(wiring, target: str) -> str:
    status, connection = connect(wiring, target)
    with connection:
        assert connection.recv(1) == b""
    return status


def by_hand(kube, namespace: str, name: str, address: str, *, ready: bool) -> str:
    """Make a Service whose one endpoint is given by its address; return the Service's."""
    made = kube.create("Service", name, namespace, spec={"ports": [{"port": 70}]})
    kube.create(
        "EndpointSlice",
        name,
        namespace,
        metadata={"labels": {"kubernetes.io/service-name": name}},
        addressType="IPv4",
        ports=[{"name": "", "port": 7}],
        endpoints=[{"addresses": [address], "conditions": {"ready": ready}}],
    )
    return made["spec"]["clusterIP"]


@pytest.fixture(scope="module")
def echo(kube) -> Iterator[dict[str, str]]:
    """A Service of two ports, on one of which its pod listens; and one with no pod."""
    namespace = kube.namespace("echo")
    ports = [{"name": "echo", "containerPort": 7}, {"name": "other", "containerPort": 9}]
    kube.create(
        "Pod",
        "echo",
        namespace,
        metadata={"labels": {"app": "echo"}},
        spec={"containers": [{"name": "main", "image": "example.com/echo:1", "ports": ports}]},
    )
    served = [
        {"name": "a", "port": 70, "targetPort": "echo"},
        {"name": "b", "port": 90, "targetPort": "other"},
    ]
    made = kube.create("Service", "echo", namespace, spec={"selector": {"app": "echo"}, "ports": served})
    lost = kube.create("Service", "lost", namespace, spec={"selector": {"app": "lost"}, "ports": served})

    def ready() -> bool:
        slices = kube.get("EndpointSlice", namespace=namespace)["items"]
        ends = [end for each in slices for end in each["endpoints"] or []]
        return any(end["conditions"]["ready"] for end in ends)

    eventually(ready)
    pod = kube.get("Pod", "echo", namespace)["status"]["podIP"]
    own = by_hand(kube, namespace, "own", pod, ready=True)
    tired = by_hand(kube, namespace, "tired", pod, ready=False)
    services = {name: each["spec"]["clusterIP"] for name, each in (("service", made), ("lost", lost))}
    yield {**services, "own": own, "tired": tired, "pod": pod, "namespace": namespace}
    kube.delete("Namespace", namespace)


@pytest.mark.parametrize(
    "target",
    [
        "{service}:70",
        "{own}:70",
        "{pod}:7",
        "echo.{namespace}.svc:70",
        "echo.{namespace}.svc.cluster.local:70",
    ],
)
def test_an_address_that_leads_to_a_pod(wiring, echo, target):
    status, connection = connect(wiring, target.format(**echo))
    with connection, connection.makefile("rwb") as stream:
        assert (status, stream.readline()) == ("200 connected", b"echo\n")
        stream.write(b"hello\n")
        stream.flush()
        assert stream.readline() == b"hello\n"


REFUSALS = [
    ("{service}:90", "502 nobody listens on port 9 of the pod {namespace}/echo"),
    ("{service}:7", "502 the Service {namespace}/echo has no port 7"),
    ("{lost}:70", "503 no endpoint of the Service {namespace}/lost is ready"),
    ("{tired}:70", "503 no endpoint of the Service {namespace}/tired is ready"),
    ("{pod}:8", "502 nobody listens on port 8 of the pod {namespace}/echo"),
    ("10.96.255.254:443", "502 nothing has the address 10.96.255.254"),
    ("10.255.255.254:443", "502 nothing has the address 10.255.255.254"),
    ("example.com:443", "502 nothing has the address example.com"),
    ("[fd00::1]:443", "502 nothing has the address fd00::1"),
    ("127.0.0.1:1", "502 127.0.0.1:1: [Errno 111] Connection refused"),
]


@pytest.mark.parametrize(("target", "said"), REFUSALS, ids=[target for target, _ in REFUSALS])
def test_an_address_that_leads_nowhere(wiring, echo, target, said):
    assert refused(wiring, target.format(**echo)) == said.format(**echo)


def test_an_address_of_this_machine_is_what_it_is(wiring):
    with socket.create_server(("127.0.0.1", 0)) as server:
        status, connection = connect(wiring, f"127.0.0.1:{server.getsockname()[1]}")
        there, _ = server.accept()
    with connection, there:
        assert status == "200 connected"
        connection.sendall(b"ping")
        assert there.recv(9) == b"ping"
        there.sendall(b"pong")
        assert connection.recv(9) == b"pong"
        there.close()
        assert connection.recv(9) == b""


@pytest.mark.parametrize("line", ["GET / HTTP/1.1", "CONNECT nowhere HTTP/1.1", "hello"])
def test_other_requests_are_refused(wiring, line):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(str(wiring.path))
        connection.sendall(f"{line}\r\n\r\n".encode())
        assert (
            connection.makefile("rb").readline()
            == b"HTTP/1.1 405 only CONNECT to host:port is known here\r\n"
        )


def test_a_caller_that_says_nothing_is_let_go_with_the_network(wiring):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(wiring.path))
        connection.settimeout(PATIENCE)
        wiring.close()
        try:
            assert connection.recv(1) == b""
            assert not [each for each in threading.enumerate() if each.name.startswith("network")]
        finally:
            wiring.open()
