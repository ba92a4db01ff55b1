"""The requests that we make as MinIO's administrator: users, policies, and the rules of a bucket.

Sources: github.com/minio/minio, cmd/admin-router.go (`/minio/admin/v3`); for buckets,
https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations.html. Requests have the signature of S3 (AWS
Signature Version 4). Bodies with secrets are encrypted (`encryption.py`).

The PyPI package `minio` can do the same. But its import would add 13 MB to the charm and a third of a second
to every hook. And while a starting MinIO asks clients to wait for a minute, the package waits that minute.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import functools
import hashlib
import hmac
import json
import os
import re
import ssl
import urllib.parse
from collections.abc import Iterator
from typing import Any

import httpx2

from kubeflow_charm.problems import Problem, blocked, waiting
from kubeflow_charm.relations.object_store import ObjectStore

_API = "/minio/admin/v3/"
CONNECT, READ = 3.0, 20.0
"""Seconds to wait for a connection, and for an answer."""


class Refused(Exception):
    """MinIO, or a server in its place, refused a request.

    MinIO's administration answers in JSON, S3 in XML, and a proxy in neither.

    Args:
        status: the HTTP status.
        body: the text of the answer.
    """

    def __init__(self, status: int, body: str):
        super().__init__(f"HTTP {status}: {body[:300]}")
        self.status = status
        self.is_s3 = "<Error>" in body and "<Code>" in body
        self.code = _code(body)
        """The error's name, such as `AccessDenied`; empty if the answer has none."""


def _code(body: str) -> str:
    if found := re.search(r"<Code>(\w+)</Code>", body):
        return found[1]
    try:
        return str(json.loads(body)["Code"])
    except (ValueError, KeyError, TypeError):
        return ""


class Administration:
    """A client of MinIO's administration; several threads can use it, and it must be closed.

    Every method raises `Refused`, or `httpx2.TransportError` if there is no answer; see `explained`.

    Args:
        store: the store, with the administrator's key.
    """

    def __init__(self, store: ObjectStore):
        self._store = store
        # Load the well-known authorities only for TLS, because that takes time.
        trusted: ssl.SSLContext | bool = store.secure
        if store.tls_ca:
            trusted = ssl.create_default_context(cadata=store.tls_ca)
        self._client = httpx2.Client(
            base_url=f"{'https' if store.secure else 'http'}://{store.endpoint}",
            timeout=httpx2.Timeout(READ, connect=CONNECT),
            verify=trusted,
            trust_env=False,  # the store is in the cluster, behind no proxy
        )

    def __enter__(self) -> Administration:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def users(self) -> dict[str, str]:
        """Return each user's policies; may also raise `encryption.Unreadable`."""
        from kubeflow_charm.minio.encryption import (
            decrypted,
        )  # loads the cryptography library, which not every hook needs

        said = json.loads(decrypted(self._admin("GET", "list-users"), self._store.secret_key))
        return {name: each.get("policyName", "") for name, each in said.items()}

    def policies(self) -> list[str]:
        """Return the names of all policies."""
        return list(json.loads(self._admin("GET", "list-canned-policies")))

    def add_policy(self, name: str, document: dict[str, Any]) -> None:
        """Create or replace a policy."""
        self._admin("PUT", "add-canned-policy", json.dumps(document).encode(), name=name)

    def add_user(self, name: str, secret: str) -> None:
        """Create a user, or change a user's secret."""
        from kubeflow_charm.minio.encryption import encrypted

        said = json.dumps({"status": "enabled", "secretKey": secret}).encode()
        self._admin("PUT", "add-user", encrypted(said, *self._salt_and_key), accessKey=name)

    def set_policy(self, user: str, policy: str) -> None:
        """Give a user one policy and no other."""
        command = "set-user-or-group-policy"
        self._admin("PUT", command, userOrGroup=user, isGroup="false", policyName=policy)

    def remove_user(self, name: str) -> None:
        """Remove a user, and the keys that the user created."""
        self._admin("DELETE", "remove-user", accessKey=name)

    def remove_policy(self, name: str) -> None:
        """Remove a policy that nobody has."""
        self._admin("DELETE", "remove-canned-policy", name=name)

    def make_bucket(self) -> None:
        """Create the store's bucket."""
        self._request("PUT", f"/{self._store.bucket}")

    def lifecycle(self) -> bytes:
        """Return the lifecycle rules of the store's bucket, as S3's XML."""
        return self._request("GET", f"/{self._store.bucket}", lifecycle="")

    def set_lifecycle(self, rules: bytes) -> None:
        """Replace the bucket's rules."""
        self._request("PUT", f"/{self._store.bucket}", rules, lifecycle="")

    def remove_lifecycle(self) -> None:
        """Remove all rules of the bucket."""
        self._request("DELETE", f"/{self._store.bucket}", lifecycle="")

    @functools.cached_property
    def _salt_and_key(self) -> tuple[bytes, bytes]:
        """The key for encryption: one for all requests, because derivation takes longer than a request."""
        from kubeflow_charm.minio.encryption import SALT, key_of

        salt = os.urandom(SALT)
        return salt, key_of(salt, self._store.secret_key)

    def _admin(self, method: str, command: str, body: bytes = b"", **query: str) -> bytes:
        return self._request(method, _API + command, body, **query)

    def _request(self, method: str, path: str, body: bytes = b"", **query: str) -> bytes:
        encoded = urllib.parse.urlencode(sorted(query.items()), quote_via=urllib.parse.quote)
        url = self._client.base_url.copy_with(path=path, query=encoded.encode() or None)
        headers = self._signed(method, path, encoded, url.netloc.decode(), body)
        if body:  # S3 requires it for rules
            headers["content-md5"] = base64.b64encode(_md5(body)).decode()
        answer = self._client.request(method, url, content=body, headers=headers)
        if not answer.is_success:
            raise Refused(answer.status_code, answer.text)
        return answer.content

    def _signed(self, method: str, path: str, query: str, host: str, body: bytes) -> dict[str, str]:
        """Return the headers of a request, with its signature.

        The format: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html.
        """
        now = f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%SZ}"
        digest = hashlib.sha256(body).hexdigest()
        headers = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": now}
        names = ";".join(headers)
        lines = [f"{name}:{value}" for name, value in headers.items()]
        canonical = "\n".join([method, path, query, *lines, "", names, digest])
        scope = f"{now[:8]}/{self._store.region}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key = f"AWS4{self._store.secret_key}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        credential = f"{self._store.access_key}/{scope}"
        authorization = (
            f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
        )
        return headers | {"authorization": authorization}


class Denied(Problem):
    """The key is not that of the store's administrator."""


@contextlib.contextmanager
def explained(application: str, wish: str) -> Iterator[None]:
    """Turn a failure within the block into a `Problem`.

    Args:
        application: the application that has the store.
        wish: what we want to do there, such as `make keys`.
    """
    try:
        yield
    except Refused as error:
        raise _problem(application, wish, error) from error
    except httpx2.TransportError as error:
        raise waiting(application, f"its object store does not answer: {type(error).__name__}") from error
    except ValueError as error:  # not MinIO's encryption, or no JSON
        raise waiting(application, "its object store does not answer as MinIO does") from error


def _problem(application: str, wish: str, refused: Refused) -> Problem:
    if refused.code == "AccessDenied":
        problem = blocked(f"{application} may not {wish}", "give it the key of MinIO's administrator")
        return Denied(problem.status)
    if refused.code in ("InvalidAccessKeyId", "SignatureDoesNotMatch"):
        return waiting(application, f"its object store does not know its own key yet: {refused.code}")
    if refused.code:
        return waiting(application, f"its object store refuses: {refused.code}")
    return waiting(application, f"its object store answers HTTP {refused.status}")


def _md5(body: bytes) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()
