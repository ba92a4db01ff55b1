"""Loki's push API (https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs)."""

from __future__ import annotations

import functools
import http.client
import json
import ssl
import time
import urllib.parse
import zlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from kubeflow_charm.watch.apiserver import USER_AGENT
from kubeflow_charm.watch.logs.lines import Cursor, shown
from kubeflow_charm.watch.logs.pods import Container

_TIMEOUT = 15.0
_IDLE = 15.0
"""Seconds after which a connection is not used again, because the other side may be closing it."""
_GZIP = 31
"""How zlib makes the format of gzip."""
_MESSAGE_LIMIT = 300
_ABOUT_THE_WAY = (401, 403, 404, 407, 408, 425, 429)
"""Refusals that say nothing of the lines: an ingress without its route answers 404, one without its login 401
or 403. All heal when an operator or a proxy comes to it, so the lines are kept."""


class Target(NamedTuple):
    """A Loki.

    Args:
        name: its unit's name, by which its positions are known when its address changes.
        url: the URL of its push API.
        ca: PEM of the authority of its certificate; empty for the well-known ones.
        insecure: whether its certificate is not checked.
    """

    name: str
    url: str
    ca: str = ""
    insecure: bool = False


class Entry(NamedTuple):
    """A line on its way to a Loki.

    Args:
        container: the container that wrote it.
        text: the line.
        cursor: the place after it in the log of its container.
    """

    container: Container
    text: bytes
    cursor: Cursor


class Answer(NamedTuple):
    """What a Loki answered.

    Args:
        status: the HTTP status.
        message: the beginning of its text, on one line.
    """

    status: int
    message: str

    @property
    def accepted(self) -> bool:
        """Whether Loki has the lines."""
        return 200 <= self.status < 300

    @property
    def final(self) -> bool:
        """Whether Loki would give the same answer to the same lines again."""
        return self.accepted or (400 <= self.status < 500 and self.status not in _ABOUT_THE_WAY)


def packed(entries: Iterable[Entry], labels: Mapping[str, str]) -> bytes:
    """Return the body of a push: JSON with one stream for each container, compressed by gzip."""
    streams: dict[str, tuple[Container, list[list[str]]]] = {}
    for entry in entries:
        _, values = streams.setdefault(entry.container.key, (entry.container, []))
        values.append([str(entry.cursor.time), shown(entry.text)])
    document = {
        "streams": [
            {
                "stream": {
                    **labels,
                    "namespace": container.namespace,
                    "pod": container.pod,
                    "container": container.name,
                    "filename": container.folder,
                },
                "values": values,
            }
            for container, values in streams.values()
        ]
    }
    compressor = zlib.compressobj(wbits=_GZIP)
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return compressor.compress(text) + compressor.flush()


class Loki:
    """The push API of a Loki; used by one thread.

    Args:
        target: the Loki.
    """

    def __init__(self, target: Target):
        self._target = target
        self._url = urllib.parse.urlsplit(target.url)
        self._connection: http.client.HTTPConnection | None = None
        self._used = 0.0

    def push(self, body: bytes) -> Answer:
        """Send a packed body and return the answer.

        Raises:
            OSError: or `HTTPException` or `ValueError`, if there is no answer, or one that is not HTTP.
        """
        if self._connection is None or time.monotonic() - self._used > _IDLE:
            self.close()
            self._connection = self._connect()
        headers = {
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
            "User-Agent": USER_AGENT,
        }
        query = f"?{self._url.query}" if self._url.query else ""
        try:
            self._connection.request("POST", f"{self._url.path or '/'}{query}", body, headers)
            response = self._connection.getresponse()
            text = response.read(_MESSAGE_LIMIT).decode(errors="replace")
            if not response.isclosed():
                self.close()
        except BaseException:
            self.close()
            raise
        self._used = time.monotonic()
        return Answer(response.status, " ".join((text or response.reason).split()))

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=_TIMEOUT)
        context = _context(self._target.ca, self._target.insecure)
        return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT, context=context)


@functools.lru_cache(maxsize=4)
def _context(ca: str, insecure: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca:
        context.load_verify_locations(cadata=ca)
    else:
        context.load_default_certs()
    return context
