"""Which pods the real node runs: those whose images it has; the scheduler asks for each pod.

This is the scheduler's own *extender*: pods are not changed, so they look as on any cluster. Facts:
Kubernetes v1.36, k8s.io/kube-scheduler/extender/v1 (the documents) and config/v1 (how the scheduler is told).
"""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

from rehearsal.errors import RehearsalError

Runs = Callable[[str], bool]
"""Returns whether the node has an image, by its reference; it may take some seconds to get it there.

Raises RehearsalError if it cannot be got there."""


class Placement:
    """The extender's server; it listens on 127.0.0.1 as soon as it is made.

    Args:
        node: the real node's name.
        runs: what it has.
    """

    def __init__(self, node: str, runs: Runs):
        self._node, self._runs = node, runs
        placement = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                body = json.dumps(placement.answer(asked)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: the scheduler logs what it does."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="placement", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Answer no more; once more does nothing."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def configuration(self) -> dict[str, Any]:
        """The scheduler's entry for this extender."""
        return {
            "urlPrefix": f"http://127.0.0.1:{self._server.server_port}",
            "filterVerb": "filter",
            "nodeCacheCapable": True,
            # An image may have to be loaded first.
            "httpTimeout": "120s",
        }

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Return the nodes for a pod, of those that could take it: the real one alone, or all others."""
        names: list[str] = asked.get("NodeNames") or []
        if self._node not in names:
            return {"NodeNames": names}
        try:
            runs = all(self._runs(image) for image in _images(asked["Pod"]))
        except RehearsalError as error:
            # It becomes an event of the pod, and the scheduler asks again.
            return {"Error": str(error)}
        if runs:
            return {"NodeNames": [self._node]}
        return {
            "NodeNames": [name for name in names if name != self._node],
            "FailedNodes": {self._node: "it has no image of the pod"},
        }


def _images(pod: dict[str, Any]) -> Iterator[str]:
    spec = pod["spec"]
    for container in [*(spec.get("initContainers") or []), *spec["containers"]]:
        yield container["image"]
