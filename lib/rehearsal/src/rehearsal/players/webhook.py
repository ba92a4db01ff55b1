"""What every played admission webhook does: HTTPS with its pod's certificate, AdmissionReviews in and out.

Each connection takes one request. A program that really runs keeps them open, but they also end when its
pod does; here nobody would notice, and a webhook would go on answering for a pod that is gone.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import http.server
import json
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast

from rehearsal.network.addresses import Unreachable
from rehearsal.network.mounts import Mounts
from rehearsal.network.playing import Answer

Review = dict[str, Any]
Reviewer = Callable[[Review], Review]
"""Takes an AdmissionReview with its `request`, and returns the one with the `response`."""


def served(mounts: Mounts, certificate: str, key: str, reviewers: Mapping[str, Reviewer]) -> Answer:
    """Return what answers a connection to a webhook.

    Args:
        mounts: the files of the program's container.
        certificate: the path of the certificate's file, and perhaps its chain.
        key: the path of its private key.
        reviewers: by the path of the URL.

    Raises:
        Unreachable: if there is no such certificate: the program would have ended.
    """
    try:
        context = _context(mounts.read(certificate), mounts.read(key))
    except (OSError, ValueError) as error:  # ssl's errors are OSErrors, too
        raise Unreachable(f"the webhook has no certificate: {error}") from None

    def answer(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            _Handler(secured, reviewers)

    return answer


def answer(connection: socket.socket, chain: bytes, key: bytes, reviewers: Mapping[str, Reviewer]) -> None:
    """Answer a connection to a webhook whose certificate is no file of its pod."""
    with _context(chain, key).wrap_socket(connection, server_side=True) as secured:
        _Handler(secured, reviewers)


def encoded(operations: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Return the fields of a response that carry a JSON patch."""
    document = json.dumps(list(operations)).encode()
    return {"patchType": "JSONPatch", "patch": base64.b64encode(document).decode()}


@functools.lru_cache(maxsize=16)
def _context(certificate: bytes, key: bytes) -> ssl.SSLContext:
    """Return TLS with a certificate; ssl can only read one from files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0  # nobody comes back with one
    with tempfile.TemporaryDirectory() as folder:
        chain, secret = Path(folder) / "certificate", Path(folder) / "key"
        chain.write_bytes(certificate)
        secret.write_bytes(key)
        # An encrypted key is no use to a program that cannot be asked for its password.
        context.load_cert_chain(chain, secret, password="")
    return context


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers the one request of a connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def __init__(self, connection: socket.socket, reviewers: Mapping[str, Reviewer]):
        self._reviewers = reviewers
        super().__init__(connection, ("", 0), cast(Any, None))

    def do_POST(self) -> None:
        """Review one object."""
        reviewer = self._reviewers.get(self.path.partition("?")[0])
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if reviewer is None:
            self._send(HTTPStatus.NOT_FOUND, "text/plain", b"404 page not found\n")
            return
        answer = reviewer(json.loads(body))
        self._send(HTTPStatus.OK, "application/json", json.dumps(answer).encode())

    def finish(self) -> None:
        """Send what is left; whoever asked may have gone."""
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response_only(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
