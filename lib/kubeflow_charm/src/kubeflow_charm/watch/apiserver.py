"""Lists, watches and logs with only the standard library.

lightkube imports httpx2 and msgspec: a process with it takes 40 MiB, one with this module 20. Each of the
three is one GET request, so this module repeats little of lightkube. The charm uses lightkube for everything
else.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import os
import socket
import ssl
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

USER_AGENT = "kubeflow-charm-watcher"
"""It distinguishes this process from the charm's hooks in the API server's audit log."""

Access = Mapping[str, Any]
"""The access to the API server, as plain data: `server`; `ca_file`, `ca_data` or `insecure`; `token_file` or
`token`; `certificate` and `key`, each a path or the PEM text."""

PAGE = 100
"""Objects of a list that are in memory at once. Nodes and pods have about 10 KiB each."""
_TIMEOUT = 30.0
_PROBES = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
)
"""A watch waits for hours. Only keep-alive probes notice that the peer's machine is gone, or that a gateway
has forgotten the connection."""
_PARTIAL = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1,application/json"
"""Asks for metadata only (https://kubernetes.io/docs/reference/using-api/api-concepts/)."""


class Refused(Exception):
    """The API server answered a request with an error.

    Args:
        status: the HTTP status, or the code of an error within a watch.
        message: its message.
    """

    def __init__(self, status: int, message: str):
        super().__init__(f"{status} {message}")
        self.status = status


class Answer(NamedTuple):
    """An answer of which only the head has been read.

    Args:
        connection: its connection.
        response: the rest of it.
        sock: the connection's socket, which the connection forgets if the answer ends with it.
    """

    connection: http.client.HTTPConnection
    response: http.client.HTTPResponse
    sock: socket.socket

    def close(self) -> None:
        """Close the connection."""
        self.response.close()
        self.connection.close()

    def interrupt(self) -> None:
        """End the answer for the thread that reads it; called by another thread."""
        with contextlib.suppress(OSError):
            # Not by its own method: with TLS, that takes the state away from under the reader.
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


class ApiServer:
    """The API server.

    Args:
        access: returns the access; called for each connection, so that it uses new credentials.
    """

    def __init__(self, access: Callable[[], Access]):
        self._access = access

    def pages(self, path: str, query: Mapping[str, str], *, metadata_only: bool) -> Iterator[dict[str, Any]]:
        """Yield a list in pages.

        Raises:
            Refused: if the API server refuses the list.
            OSError: or `HTTPException` or `ValueError`, if it does not answer, or in another format.
        """
        accept = _PARTIAL.format("List") if metadata_only else "application/json"
        rest = ""
        while True:
            paged = {**query, "limit": str(PAGE)} | ({"continue": rest} if rest else {})
            answer = self._get(path, paged, accept)
            try:
                page = _mapping(answer.response.read())
            finally:
                answer.close()
            yield page
            rest = page["metadata"].get("continue") or ""
            if not rest:
                return

    def events(
        self, path: str, query: Mapping[str, str], version: str, *, metadata_only: bool
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield type and object of each event after `version`, until the API server ends the watch.

        A `BOOKMARK` brings a newer `resourceVersion` and no object.

        Raises:
            Refused: if the API server refuses the watch, or reports an error within it, such as 410 for a
                version that is too old.
            OSError: or `HTTPException` or `ValueError`, if it does not answer, or in another format.
        """
        accept = _PARTIAL.format("") if metadata_only else "application/json"
        watching = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": version}
        answer = self._get(path, {**query, **watching}, accept)
        try:
            while line := answer.response.readline():
                event = _mapping(line)
                if event["type"] == "ERROR":
                    status = event["object"]
                    raise Refused(int(status.get("code") or 500), str(status.get("message", "")))
                yield event["type"], event["object"]
        finally:
            answer.close()

    def log(self, path: str, query: Mapping[str, str]) -> Answer:
        """Return the answer to a request for a container's log.

        Raises:
            Refused: if the API server refuses it, as for a container that waits to start.
            OSError: or `HTTPException`, if it does not answer.
        """
        return self._get(path, query, "*/*")

    def _get(self, path: str, query: Mapping[str, str], accept: str) -> Answer:
        """Send one request; return the answer, with only its head read."""
        access = self._access()
        connection = _connection(access)
        try:
            connection.connect()
            for option in _PROBES:
                connection.sock.setsockopt(*option)
            headers = {"Accept": accept, "User-Agent": USER_AGENT, **_authorization(access)}
            base = urllib.parse.urlsplit(access["server"]).path.rstrip("/")
            connection.request("GET", f"{base}{path}?{urllib.parse.urlencode(query)}", headers=headers)
            sock = connection.sock  # the connection forgets it if the answer ends with it
            response = connection.getresponse()
            if response.status >= 400:
                raise Refused(response.status, _message(response))
            if "watch" in query or "follow" in query:
                sock.settimeout(None)
        except BaseException:
            connection.close()
            raise
        return Answer(connection, response, sock)


def _connection(access: Access) -> http.client.HTTPConnection:
    url = urllib.parse.urlsplit(access["server"])
    host = url.hostname or ""
    if url.scheme == "http":
        return http.client.HTTPConnection(host, url.port, timeout=_TIMEOUT)
    trusted = {key: value for key, value in access.items() if not key.startswith("token")}
    file = access.get("ca_file")
    changed = Path(file).stat().st_mtime_ns if file else 0
    context = _context(json.dumps(trusted, sort_keys=True), changed)
    return http.client.HTTPSConnection(host, url.port, timeout=_TIMEOUT, context=context)


@functools.lru_cache(maxsize=1)
def _context(access: str, changed: int) -> ssl.SSLContext:
    """Return the authorities and our certificate; all connections share it, because each takes 60 KiB."""
    wanted = json.loads(access)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if wanted.get("insecure"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif "ca_file" in wanted or "ca_data" in wanted:
        context.load_verify_locations(wanted.get("ca_file"), cadata=wanted.get("ca_data"))
    else:
        context.load_default_certs()
    if "certificate" in wanted:
        with _as_file(wanted["certificate"]) as certificate, _as_file(wanted["key"]) as key:
            context.load_cert_chain(certificate.name, key.name)
    return context


class _as_file:  # noqa: N801 (reads as a function)
    """A path, unchanged; or PEM text as a file in memory, because OpenSSL takes a key only from a file."""

    def __init__(self, text: str):
        self.name, self._fd = text, -1
        if text.startswith("-----BEGIN"):
            self._fd = os.memfd_create("pem")
            os.write(self._fd, text.encode())
            self.name = f"/proc/self/fd/{self._fd}"

    def __enter__(self) -> _as_file:
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)


def _authorization(access: Access) -> dict[str, str]:
    """Return the header with the token. The file is read each time: the kubelet renews it."""
    file = access.get("token_file")
    token = Path(file).read_text().strip() if file else access.get("token")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _message(response: http.client.HTTPResponse) -> str:
    """Return the message of a refusal by Kubernetes or a proxy."""
    text = response.read(4096).decode(errors="replace")
    try:
        return str(json.loads(text)["message"])
    except (ValueError, LookupError, TypeError):
        return response.reason


def _mapping(text: bytes) -> dict[str, Any]:
    document = json.loads(text)
    if not isinstance(document, dict):
        raise ValueError(f"no object: {text[:40]!r}")
    return document
