"""The kubelet of all nodes, as far as logs: `kubectl logs` answers, and whoever follows a log gets its lines.

KWOK plays pods, and has a server for logs, too. But that reads files that its configuration names when it
starts, so a test could not have a container say something. Nothing runs in a container: it says which image
it stands for, and then what it is told to say.

Facts: Kubernetes v1.36, pkg/kubelet/server/server.go (paths and answers), pkg/kubelet/kubelet_pods.go
(`validateContainerLogStatus`: which run of a container is meant, and the words of refusals) and
k8s.io/cri-client/pkg/logs/logs.go (a followed log ends with its container). Of a container's runs, only the
last two have a log.
"""

from __future__ import annotations

import collections
import contextlib
import http.server
import json
import re
import ssl
import threading
import time
import urllib.parse
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from rehearsal.cluster.existing import Refused

_LOOK = 1.0
"""Seconds without a line after which a follower looks whether the container still runs."""
_PATH = re.compile(r"/containerLogs/([^/]+)/([^/]+)/([^/]+)")
_SECOND = 10**9


class Cluster(Protocol):
    """A cluster that accepts requests as its administrator."""

    def request(self, method: str, path: str) -> bytes:
        """Return the answer's body; raise OSError if there is no answer, or if it is a refusal."""
        ...


class _Run(NamedTuple):
    """A run of a container: the pod's UID, the container's name, and how often it was restarted before."""

    uid: str
    container: str
    number: int


class _Line(NamedTuple):
    time: int
    text: str


class _Unavailable(Exception):
    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


class Kubelet:
    """The server; it listens on 127.0.0.1 as soon as it is created.

    Args:
        cluster: the cluster of the pods.
        certificate: PEM of its certificate, which the API server does not check.
        key: PEM of the certificate's key.
    """

    def __init__(self, cluster: Cluster, certificate: Path, key: Path):
        self._cluster = cluster
        self._said: dict[_Run, list[_Line]] = {}
        self._condition = threading.Condition()
        self._closed = False
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server = _Server(self, context)
        self.port = int(self._server.server_address[1])
        self.requests: collections.deque[str] = collections.deque(maxlen=1000)
        """The path and query of the last requests for logs."""
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="kubelet", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening; whoever follows a log sees its end."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def say(self, namespace: str, pod: str, container: str, *lines: str, at: int | None = None) -> None:
        """Have the present run of a container write lines.

        Args:
            namespace: the pod's namespace.
            pod: the pod's name.
            container: the container's name.
            lines: what it writes.
            at: when, in nanoseconds since 1970, for all lines; now, if not given.

        Raises:
            OSError: if there is no such pod.
        """
        said = self._pod(namespace, pod)
        status = _status(said, container)
        run = _Run(said["metadata"]["uid"], container, int(status.get("restartCount") or 0))
        with self._condition:
            written = self._written(run, said, status)
            written += [_Line(time.time_ns() if at is None else at, line) for line in lines]
            self._condition.notify_all()

    def lines(self, namespace: str, pod: str, container: str, query: dict[str, str]) -> Iterator[str]:
        """Yield the lines of a container's log, each with its line break.

        Raises:
            _Unavailable: if there is no such log.
        """
        said, status, run = self._meant(namespace, pod, container, query)
        since = _moment(query["sinceTime"]) if "sinceTime" in query else 0
        if "sinceSeconds" in query:
            since = time.time_ns() - int(query["sinceSeconds"]) * _SECOND
        with self._condition:
            begin = [line for line in self._written(run, said, status) if line.time >= since]
            done = len(self._said[run])
        begin = begin[len(begin) - int(query["tailLines"]) :] if "tailLines" in query else begin
        stamped = query.get("timestamps") == "true"
        yield from (_shown(line, stamped=stamped) for line in begin)
        goes_on = query.get("follow") == "true"
        while goes_on:
            new = self._further(run, done, _LOOK)
            if not new and not (goes_on := not self._closed and self._runs(namespace, pod, run)):
                new = self._further(run, done, 0)  # written before it ended
            done += len(new)
            yield from (_shown(line, stamped=stamped) for line in new)

    def _further(self, run: _Run, done: int, seconds: float) -> list[_Line]:
        """Return the lines of a run after the first ones; wait for one if there is none."""
        with self._condition:
            if not self._closed and len(self._said.get(run, ())) <= done:
                self._condition.wait(seconds)
            return self._said.get(run, [])[done:]

    def _meant(
        self, namespace: str, name: str, container: str, query: dict[str, str]
    ) -> tuple[dict[str, Any], dict[str, Any], _Run]:
        """Return the pod, the container's status and the run whose log is meant."""
        try:
            pod = self._pod(namespace, name)
        except Refused:
            raise _Unavailable(404, f'pod "{name}" does not exist') from None
        status = _status(pod, container)
        state, number = status.get("state") or {}, int(status.get("restartCount") or 0)
        waiting = not state.keys() & {"running", "terminated"}
        quoted = f'container "{container}" in pod "{name}"'
        if query.get("previous") == "true":
            if not number:
                raise _Unavailable(
                    400, f'previous terminated container "{container}" in pod "{name}" not found'
                )
            number -= 1
        elif waiting and not (status.get("lastState") or {}).get("terminated"):
            reason = (state.get("waiting") or {}).get("reason", "ContainerCreating")
            raise _Unavailable(400, f"{quoted} is waiting to start: {reason}")
        return pod, status, _Run(pod["metadata"]["uid"], container, number)

    def _written(self, run: _Run, pod: dict[str, Any], status: dict[str, Any]) -> list[_Line]:
        """Return what a run has written; its first lines say what it stands for."""
        if run not in self._said:
            for known in [known for known in self._said if known[:2] == run[:2]]:
                if known.number < run.number - 1:
                    del self._said[known]
            began = _moment(((status.get("state") or {}).get("running") or {}).get("startedAt", ""))
            last = ((status.get("lastState") or {}).get("terminated") or {}).get("message", "")
            lines = [f"level=info msg=starting image={status.get('image', '')}", *last.splitlines()]
            lines[1:1] = ['level=info msg="nothing runs here: the rehearsal plays this container"']
            self._said[run] = [_Line(began or time.time_ns(), line) for line in lines]
        return self._said[run]

    def _runs(self, namespace: str, name: str, run: _Run) -> bool:
        try:
            pod = self._pod(namespace, name)
        except OSError:
            return False
        status = _status(pod, run.container)
        same = (pod["metadata"]["uid"], status.get("restartCount") or 0) == (run.uid, run.number)
        return same and "running" in (status.get("state") or {})

    def _pod(self, namespace: str, name: str) -> dict[str, Any]:
        path = f"/api/v1/namespaces/{namespace}/pods/{urllib.parse.quote(name)}"
        return json.loads(self._cluster.request("GET", path))


def _status(pod: dict[str, Any], container: str) -> dict[str, Any]:
    status = pod.get("status") or {}
    for key in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        for each in status.get(key) or ():
            if each["name"] == container:
                return each
    return {}


def _moment(text: str) -> int:
    """Return a time in nanoseconds since 1970; 0 for none."""
    return int(datetime.fromisoformat(text).timestamp()) * _SECOND if text else 0


def _shown(line: _Line, *, stamped: bool) -> str:
    if not stamped:
        return f"{line.text}\n"
    second = datetime.fromtimestamp(line.time // _SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{second}.{line.time % _SECOND:09d}Z {line.text}\n"


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, kubelet: Kubelet, context: ssl.SSLContext):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.kubelet = kubelet
        # The thread of each connection shakes hands, so that none holds up the others.
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that left before their answer."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer one request."""
        server: Any = self.server
        url = urllib.parse.urlsplit(self.path)
        asked = _PATH.fullmatch(url.path)
        if asked is None:
            self._refuse(404, "404 page not found")
            return
        server.kubelet.requests.append(self.path)
        names = [urllib.parse.unquote(each) for each in asked.groups()]
        lines = server.kubelet.lines(*names, dict(urllib.parse.parse_qsl(url.query)))
        try:
            first = next(lines, "")
        except _Unavailable as reason:
            self._refuse(reason.status, str(reason))
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with contextlib.closing(lines):
            self._chunk(first)
            for line in lines:
                self._chunk(line)
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, line: str) -> None:
        data = line.encode()
        if data:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def _refuse(self, status: int, message: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(message.encode())))
        self.end_headers()
        self.wfile.write(message.encode())

    def finish(self) -> None:
        """Send the rest of the answer; the client may have left."""
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """Do nothing: nobody reads this log."""
