"""Really runs what the container of a trial's pod would run, in the environment of an SDK.

No container: the program runs on this machine, with the command and the variables of the container, and finds
two things in the places where a pod has them. One is the name of its namespace, a file of the service account.
The other is the cluster's Services, for programs that ask a proxy, as gRPC does.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sdk_notebook import environment, having

from kubeflow_charm.cluster.resources import Manifest
from rehearsal.network.addresses import Addresses, Cluster
from rehearsal.network.playing import image_name

SITE = """
import builtins, io, os
_open = builtins.open
def _in_a_pod(file, *how, **more):
    if file == "/var/run/secrets/kubernetes.io/serviceaccount/namespace":
        return io.StringIO(os.environ["POD_NAMESPACE"])
    return _open(file, *how, **more)
builtins.open = _in_a_pod
"""
"""What Python runs first."""


def run(pod: Manifest, name: str, packages: Sequence[str], folder: Path, proxy: str = "") -> str:
    """Run the container of a pod to its end, and return what it prints; raises CalledProcessError.

    Args:
        pod: the pod; its volumes are not there.
        name: of the container.
        packages: what is installed in the container.
        folder: where it works.
        proxy: the address of a `Services`.
    """
    (container,) = [each for each in pod["spec"]["containers"] if each["name"] == name]
    (folder / "sitecustomize.py").write_text(SITE)
    variables = {each["name"]: _value(pod, each) for each in container.get("env", [])}
    variables |= {
        "POD_NAMESPACE": pod["metadata"]["namespace"],
        "PYTHONPATH": str(folder),
        "TMPDIR": str(folder),
    }
    if proxy:
        variables["grpc_proxy"] = f"http://{proxy}"
    command = [*having(packages), *container["command"], *container.get("args", [])]
    done = subprocess.run(
        command, cwd=folder, env=environment() | variables, check=True, text=True, stdout=subprocess.PIPE
    )
    return done.stdout


def _value(pod: Manifest, variable: Mapping[str, Any]) -> str:
    """Return what the kubelet puts into a variable: a text, or a label of the pod."""
    if "valueFrom" not in variable:
        return variable.get("value", "")
    path = variable["valueFrom"]["fieldRef"]["fieldPath"]
    return pod["metadata"]["labels"][path.removeprefix("metadata.labels['").removesuffix("']")]


class Services:
    """An HTTP proxy that leads to the Services of a cluster by their names, as a pod knows them.

    Args:
        cluster: the cluster.
        standing: the port of this machine that stands for the pods of an image, by the image's name.
    """

    def __init__(self, cluster: Cluster, standing: Mapping[str, int]):
        self.reached: list[str] = []
        """Each name and port that was asked for, and that led somewhere."""
        self._addresses = Addresses(cluster)
        self._standing = standing
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Where it listens."""
        return "{}:{}".format(*self._listener.getsockname())

    def close(self) -> None:
        """Stop listening."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines, contextlib.suppress(OSError):
            _, target, _ = lines.readline().decode().split(" ")
            while lines.readline().strip():
                pass
            with self._reach(target) as there:
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=_pass_on, args=(there, connection), daemon=True)
                back.start()
                _pass_on(connection, there)
                back.join()

    @contextlib.contextmanager
    def _reach(self, target: str) -> Iterator[socket.socket]:
        """Connect to a Service's name and port, which DNS completes in a pod."""
        host, _, port = target.rpartition(":")
        found = self._addresses.find(f"{host}.svc", int(port))
        assert found.pod is not None
        (port,) = [
            self._standing[image_name(each["image"])]
            for each in found.pod["spec"]["containers"]
            if found.port in (listens["containerPort"] for listens in each.get("ports", []))
        ]
        self.reached.append(target)
        with socket.create_connection(("127.0.0.1", port)) as there:
            yield there


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while received := source.recv(1 << 16):
            target.sendall(received)
        target.shutdown(socket.SHUT_WR)
