"""Use the user's own cluster in place of the local control plane."""

from __future__ import annotations

import base64
import functools
import http.client
import shutil
import ssl
import tempfile
import threading
import urllib.parse
from pathlib import Path
from typing import Any

import yaml

from rehearsal.cluster import programs
from rehearsal.errors import RehearsalError

_ANSWERED_WITHIN = 60.0
"""Seconds; a cluster that takes longer to answer counts as unreachable."""


class ExistingCluster:
    """The cluster of a kubeconfig's current context; nothing in it is started or stopped.

    Args:
        path: the kubeconfig file.

    Raises:
        RehearsalError: if the file cannot be read, or has neither a token nor a client certificate.
    """

    def __init__(self, path: Path):
        self.admin_kubeconfig = path.resolve()
        try:
            said = yaml.safe_load(path.read_text())
            context = _named(said, "contexts", said["current-context"])["context"]
            self._cluster = _named(said, "clusters", context["cluster"])["cluster"]
            self._user = _named(said, "users", context["user"])["user"]
        except (OSError, yaml.YAMLError, KeyError, TypeError, StopIteration) as error:
            raise RehearsalError(f"{path} is no kubeconfig with a current context: {error}") from None
        if not {"token", "client-certificate", "client-certificate-data"} & self._user.keys():
            raise RehearsalError(f"{path}: the user has neither a token nor a client certificate")
        self.url: str = self._cluster["server"].rstrip("/")
        self.token: str = self._user.get("token", "")
        """The user's bearer token; empty if the user has a certificate."""

    @property
    def kubectl(self) -> list[str]:
        """The command before kubectl's arguments: the machine's own kubectl, or ours."""
        found = shutil.which("kubectl")
        return [found] if found else programs.locate(("kubectl",))["kubectl"]

    def processes(self) -> dict[str, int]:
        """Return nothing: no process here is ours."""
        return {}

    def start(self) -> None:
        """Check that the API server answers; raise RehearsalError if not."""
        try:
            self.request("GET", "/readyz")
        except OSError as error:
            self.stop()
            raise RehearsalError(f"the cluster at {self.url} does not answer: {error}") from None

    def stop(self) -> None:
        """Close the connection; leave the cluster as it is."""
        self._connection.close()

    def tls(self, *, identified: bool = False) -> ssl.SSLContext:
        """Return the TLS context for the API server, with or without the user's certificate."""
        if self._cluster.get("insecure-skip-tls-verify"):
            context = ssl._create_unverified_context()  # noqa: S323 (the kubeconfig says so)
        else:
            authority = _content(self._cluster, "certificate-authority")
            context = ssl.create_default_context(cadata=authority.decode() or None)
        if identified and "token" not in self._user:
            with tempfile.TemporaryDirectory() as folder:
                certificate, key = Path(folder) / "certificate", Path(folder) / "key"
                certificate.write_bytes(_content(self._user, "client-certificate"))
                key.write_bytes(_content(self._user, "client-key"))
                context.load_cert_chain(certificate, key)
        return context

    def kubeconfig(self, token: str, namespace: str, *, server: str | None = None) -> dict[str, Any]:
        """Return a kubeconfig document for the bearer of `token`; `server` replaces the cluster's URL."""
        cluster = {"server": server} if server else dict(self._cluster)
        return kubeconfig(cluster, token, namespace)

    def apply(self, path: str, body: bytes) -> bytes:
        """Apply an object on the server side."""
        return self.request("PATCH", path, body, "application/apply-patch+yaml")

    def request(
        self, method: str, path: str, body: bytes | None = None, kind: str = "application/yaml"
    ) -> bytes:
        """Send one request as the kubeconfig's user; raise OSError if it is refused."""
        return self._connection.send(method, path, body, kind)

    @functools.cached_property
    def _connection(self) -> Connection:
        headers = {}
        if "token" in self._user:
            headers["Authorization"] = f"Bearer {self._user['token']}"
        return Connection(self.url, self.tls(identified=True), headers)


class Connection:
    """Connections to an API server as its administrator; idle ones are kept, as many as were used at once.

    Args:
        url: the API server.
        context: the TLS context.
        headers: sent with every request.
    """

    def __init__(self, url: str, context: ssl.SSLContext, headers: dict[str, str]):
        self._target = urllib.parse.urlsplit(url)
        self._context = context
        self._headers = headers
        self._idle: list[http.client.HTTPConnection] = []
        self._closed = False
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close idle connections now, and busy ones after their request."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def send(self, method: str, path: str, body: bytes | None, kind: str) -> bytes:
        """Send one request and return the answer's body.

        Raises:
            Refused: if the API server refuses it.
            OSError: if there is no answer.
        """
        headers = self._headers | ({"Content-Type": kind} if body is not None else {})
        for fresh in (False, True):
            connection = None if fresh else self._kept()
            if connection is None:
                connection, fresh = self._open(), True
            try:
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                said = answer.read()
            except (http.client.HTTPException, OSError) as error:
                connection.close()
                if fresh:
                    raise OSError(f"{type(error).__name__}: {error}") from error
                continue
            self._keep(connection)
            if answer.status >= 400:
                raise Refused(answer.status, said.decode(errors="replace"))
            return said
        raise AssertionError("unreachable")

    def _kept(self) -> http.client.HTTPConnection | None:
        """Take the most recently used idle connection, if there is one."""
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _keep(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    def _open(self) -> http.client.HTTPConnection:
        name, port = self._target.hostname or "", self._target.port
        if self._target.scheme == "http":
            return http.client.HTTPConnection(name, port, timeout=_ANSWERED_WITHIN)
        return http.client.HTTPSConnection(name, port, context=self._context, timeout=_ANSWERED_WITHIN)


class Refused(OSError):
    """An API server refused a request."""

    def __init__(self, status: int, message: str):
        super().__init__(f"HTTP {status}: {message}")
        self.status = status


def kubeconfig(cluster: dict[str, Any], token: str, namespace: str) -> dict[str, Any]:
    """Return a kubeconfig document with one cluster, one bearer and one context."""
    context = {"cluster": "rehearsal", "user": "rehearsal", "namespace": namespace}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "rehearsal", "cluster": cluster}],
        "users": [{"name": "rehearsal", "user": {"token": token}}],
        "contexts": [{"name": "rehearsal", "context": context}],
        "current-context": "rehearsal",
    }


def _named(said: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    return next(item for item in said[kind] if item["name"] == name)


def _content(holder: dict[str, Any], key: str) -> bytes:
    """Return a certificate or key, which the file contains or names."""
    if f"{key}-data" in holder:
        return base64.b64decode(holder[f"{key}-data"])
    return Path(holder[key]).read_bytes() if key in holder else b""
