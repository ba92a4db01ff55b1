"""Serve every object store of a rehearsal on one port; the `Host` header of a request selects the store."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import http.client
import http.server
import json
import logging
import re
import socket
import threading
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import SplitResult, parse_qsl, urlsplit

from rehearsal.stores.minio import ADMIN, Minio, Refusal

logger = logging.getLogger(__name__)

_PATIENCE = 30.0
"""Seconds that a real store has to answer."""
Dial = Callable[[str], socket.socket]
"""Connects to a server at `host:port`, where host is a DNS name of the cluster; raises OSError."""
Keys = Callable[[str], tuple[str, str] | None]
"""Returns name and secret of the administrator's key of the store at `host:port`; None if there is none."""

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/([^/]*)/s3/aws4_request, SignedHeaders=([^,]+), "
    r"Signature=[0-9a-f]+"
)


class Passed(NamedTuple):
    """What a real store answered."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Stores:
    """The server; it listens on 127.0.0.1 as soon as it is created.

    Args:
        keys: returns the administrators' keys.
        dial: connects to a real store, where pods really run.
    """

    def __init__(self, keys: Keys, dial: Dial | None = None):
        self._keys = keys
        self._dial = dial
        self._stores: dict[str, Minio] = {}
        self._lock = threading.Lock()
        self._server = _Server(self)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="stores", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening; the stores' state is lost."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def at(self, address: str) -> Minio:
        """Return the store at `host:port`, even if it has had no request yet."""
        with self._lock:
            return self._stores.setdefault(address, Minio(lambda: (self._keys(address) or ("", ""))[1]))

    def pass_on(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Passed | None:
        """Return a real store's answer; None if the stores are played.

        Raises:
            Refusal: if the real store cannot be reached.
        """
        if self._dial is None:
            return None
        connection = http.client.HTTPConnection("store", timeout=_PATIENCE)
        try:
            connection.sock = self._dial(headers.get("host", ""))
            connection.request(method, target, body, headers)
            with connection.getresponse() as answer:
                return Passed(answer.status, answer.getheaders(), answer.read())
        except (OSError, http.client.HTTPException) as error:
            logger.info("%s: %s", headers.get("host"), error)
            raise Refusal(502, "") from None
        finally:
            connection.close()

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> bytes:
        """Return the body of a request's answer, or raise `Refusal`."""
        address = headers.get("host", "")
        key = self._keys(address)
        if key is None:
            raise Refusal(502, "")
        url = urlsplit(f"http://{address}{target}")
        store = self.at(address)
        _authenticate(key, store, method, url, headers, body)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        with self._lock:
            return store.do(method, url.path, query, body)


def _authenticate(
    key: tuple[str, str], store: Minio, method: str, url: SplitResult, headers: dict[str, str], body: bytes
) -> None:
    """Raise `Refusal` unless the administrator signed the request, according to MinIO's own library."""
    from minio.credentials.credentials import Credentials
    from minio.signer import sign_v4_s3

    found = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if found is None:
        raise Refusal(403, "AccessDenied")
    name, region, signed = found.groups()
    if name != key[0]:
        raise Refusal(403, "AccessDenied" if name in store.users else "InvalidAccessKeyId")
    digest = hashlib.sha256(body).hexdigest()
    if headers.get("x-amz-content-sha256") != digest:
        raise Refusal(400, "XAmzContentSHA256Mismatch")
    date = datetime.datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
    wanted = sign_v4_s3(
        method=method,
        url=url,
        region=region,
        headers={each: headers.get(each, "") for each in signed.split(";")},
        credentials=Credentials(*key),
        content_sha256=digest,
        date=date,
    )
    if wanted["Authorization"] != headers["authorization"]:
        raise Refusal(403, "SignatureDoesNotMatch")


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, stores: Stores):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.stores = stores

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that left before their answer."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def answer(self) -> None:
        """Answer one request."""
        server: Any = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            real = server.stores.pass_on(self.command, self.path, headers, body)
            if real is not None:
                self._repeat(real)
                return
            status, said = 200, server.stores.answer(self.command, self.path, headers, body)
        except Refusal as refusal:
            status, said = refusal.status, _document(refusal, self.path)
        self.send_response_only(status)
        self.send_header("Content-Type", "application/xml" if said.startswith(b"<") else "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(said)

    def _repeat(self, real: Passed) -> None:
        """Give the answer that another server gave."""
        self.send_response_only(real.status)
        for name, value in real.headers:
            # Without a body, as of HEAD, the length is that of what is not sent.
            if name.lower() not in ("transfer-encoding", "connection"):
                self.send_header(name, value)
        if not any(name.lower() == "content-length" for name, _ in real.headers):
            self.send_header("Content-Length", str(len(real.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(real.body)

    do_GET = do_PUT = do_DELETE = do_HEAD = answer  # noqa: N815 - the names that http.server looks for

    def finish(self) -> None:
        """Send the rest of the answer; the client may have left."""
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """Do nothing: nobody reads this log."""


def _document(refusal: Refusal, path: str) -> bytes:
    """Return a refusal in MinIO's format: JSON for the admin API, XML for S3."""
    if not refusal.code:
        return b"nobody is there\n"
    if path.startswith(ADMIN):
        return json.dumps({"Code": refusal.code, "Message": "refused", "Resource": path}).encode()
    return f"<?xml version='1.0'?><Error><Code>{refusal.code}</Code></Error>".encode()
