"""What we ask of MinIO as its administrator: users, policies, and the rules of a bucket.

Facts: github.com/minio/minio, cmd/admin-router.go (`/minio/admin/v3`), and github.com/minio/madmin-go,
encrypt.go; for buckets, https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations.html. Requests are
signed as S3's are (AWS Signature Version 4). Whatever has secrets in it is encrypted with a key made of the
administrator's secret: 32 bytes of salt, 1 that names the cipher, 8 of nonce, and the text in pieces of
16 KiB, each with a tag of 16 bytes (the format of github.com/secure-io/sio-go).

The PyPI package `minio` can do the same. It would add 13 MB to the charm and a third of a second to every
hook, for its import alone; and where MinIO that starts asks for a minute's patience, it waits that minute.
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
import threading
import urllib.parse
from collections.abc import Iterator
from typing import Any

import httpx2
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from kubeflow_charm import Problem, blocked, waiting
from kubeflow_charm.relations.object_store import ObjectStore

_API = "/minio/admin/v3/"
CONNECT, READ = 3.0, 20.0
"""Seconds to wait for a connection, and for an answer."""
_ONE_AT_A_TIME = threading.Lock()
"""For key derivations: each takes 64 MiB, and several at once may wait for ever, for lanes of OpenSSL's."""
_SALT, _NONCE, _TAG, _PIECE = 32, 8, 16, 2**14


class Refused(Exception):
    """MinIO, or what is in its place, answered and did not do it.

    MinIO's administration answers in JSON, S3 in XML, and a proxy in neither.

    Args:
        status: of HTTP.
        body: what it said.
    """

    def __init__(self, status: int, body: str):
        super().__init__(f"HTTP {status}: {body[:300]}")
        self.status = status
        self.is_s3 = "<Error>" in body and "<Code>" in body
        self.code = _code(body)
        """What it is called, such as `AccessDenied`; empty if that is not said."""


def _code(body: str) -> str:
    if found := re.search(r"<Code>(\w+)</Code>", body):
        return found[1]
    try:
        return str(json.loads(body)["Code"])
    except (ValueError, KeyError, TypeError):
        return ""


class Unreadable(Exception):
    """An answer is not encrypted as MinIO does it, or with another key."""


class Administration:
    """MinIO, as its administrator; can be used by several threads, and must be closed.

    Every method raises `Refused`, or `httpx2.TransportError` if there is no answer; see `explained`.

    Args:
        store: the store, with the administrator's key.
    """

    def __init__(self, store: ObjectStore):
        self._store = store
        self._salt = os.urandom(_SALT)
        # Loading the authorities that everybody trusts takes time that only TLS is worth.
        trusted: ssl.SSLContext | bool = store.secure
        if store.tls_ca:
            trusted = ssl.create_default_context(cadata=store.tls_ca)
        self._client = httpx2.Client(
            base_url=f"{'https' if store.secure else 'http'}://{store.endpoint}",
            timeout=httpx2.Timeout(READ, connect=CONNECT),
            verify=trusted,
            trust_env=False,  # what is in the cluster is behind no proxy
        )

    def __enter__(self) -> Administration:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def users(self) -> dict[str, str]:
        """Return the names of all policies of each user; raises `Unreadable` too."""
        said = json.loads(decrypted(self._admin("GET", "list-users"), self._store.secret_key))
        return {name: each.get("policyName", "") for name, each in said.items()}

    def policies(self) -> list[str]:
        """Return the names of all policies."""
        return list(json.loads(self._admin("GET", "list-canned-policies")))

    def add_policy(self, name: str, document: dict[str, Any]) -> None:
        """Make a policy, or another of it."""
        self._admin("PUT", "add-canned-policy", json.dumps(document).encode(), name=name)

    def add_user(self, name: str, secret: str) -> None:
        """Make a user, or give one another secret."""
        said = json.dumps({"status": "enabled", "secretKey": secret}).encode()
        self._admin("PUT", "add-user", encrypted(said, self._salt, self._key), accessKey=name)

    def set_policy(self, user: str, policy: str) -> None:
        """Have a user have one policy and no other."""
        command = "set-user-or-group-policy"
        self._admin("PUT", command, userOrGroup=user, isGroup="false", policyName=policy)

    def remove_user(self, name: str) -> None:
        """Remove a user, and the keys that the user made."""
        self._admin("DELETE", "remove-user", accessKey=name)

    def remove_policy(self, name: str) -> None:
        """Remove a policy that nobody has."""
        self._admin("DELETE", "remove-canned-policy", name=name)

    def make_bucket(self) -> None:
        """Make the store's bucket."""
        self._request("PUT", f"/{self._store.bucket}")

    def lifecycle(self) -> bytes:
        """Return the rules of the store's bucket by which objects go, as S3's XML."""
        return self._request("GET", f"/{self._store.bucket}", lifecycle="")

    def set_lifecycle(self, rules: bytes) -> None:
        """Have the bucket have these rules and no others."""
        self._request("PUT", f"/{self._store.bucket}", rules, lifecycle="")

    def remove_lifecycle(self) -> None:
        """Remove all rules of the bucket."""
        self._request("DELETE", f"/{self._store.bucket}", lifecycle="")

    @functools.cached_property
    def _key(self) -> bytes:
        """What is encrypted with: one for all requests, since to derive it takes longer than a request."""
        return key_of(self._salt, self._store.secret_key)

    def _admin(self, method: str, command: str, body: bytes = b"", **query: str) -> bytes:
        return self._request(method, _API + command, body, **query)

    def _request(self, method: str, path: str, body: bytes = b"", **query: str) -> bytes:
        asked = urllib.parse.urlencode(sorted(query.items()), quote_via=urllib.parse.quote)
        url = self._client.base_url.copy_with(path=path, query=asked.encode() or None)
        headers = self._signed(method, path, asked, url.netloc.decode(), body)
        if body:  # S3 wants it with rules
            headers["content-md5"] = base64.b64encode(_md5(body)).decode()
        answer = self._client.request(method, url, content=body, headers=headers)
        if not answer.is_success:
            raise Refused(answer.status_code, answer.text)
        return answer.content

    def _signed(self, method: str, path: str, query: str, host: str, body: bytes) -> dict[str, str]:
        """Return the headers of a request, with its signature.

        As https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html has it.
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
        said = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
        return headers | {"authorization": said}


class Denied(Problem):
    """The key is not the administrator's, of MinIO or of what is in its place."""


@contextlib.contextmanager
def explained(application: str, wish: str) -> Iterator[None]:
    """Turn a failure within the block into a `Problem`.

    Args:
        application: whose store it is.
        wish: what is asked of it, such as `make keys`.
    """
    try:
        yield
    except Refused as error:
        raise _problem(application, wish, error) from error
    except httpx2.TransportError as error:
        raise waiting(application, f"its object store does not answer: {type(error).__name__}") from error
    except (Unreadable, ValueError) as error:  # no encryption of MinIO's, or no JSON
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


def encrypted(text: bytes, salt: bytes, key: bytes) -> bytes:
    """Return a text so that MinIO can read it, and whoever knows the administrator's secret.

    Args:
        text: what to encrypt.
        salt: 32 random bytes.
        key: what `key_of` makes of the salt and the secret.
    """
    nonce, cipher = os.urandom(_NONCE), AESGCM(key)
    pieces = [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)] or [b""]
    numbered = zip(_numbered(cipher, nonce, len(pieces)), pieces, strict=True)
    return b"".join(
        [salt, b"\0", nonce, *(cipher.encrypt(number, piece, tag) for (number, tag), piece in numbered)]
    )


def decrypted(answer: bytes, secret: str) -> bytes:
    """Return what MinIO encrypted with the administrator's secret.

    Raises:
        Unreadable: if it did not.
    """
    salt, kind, nonce = answer[:_SALT], answer[_SALT : _SALT + 1], answer[_SALT + 1 : _SALT + 1 + _NONCE]
    text, size = answer[_SALT + 1 + _NONCE :], _PIECE + _TAG
    if len(text) < _TAG:
        raise Unreadable("too short")
    if kind == b"\0":
        cipher = AESGCM(key_of(salt, secret))
    elif kind == b"\1":  # of machines without instructions for AES
        cipher = ChaCha20Poly1305(key_of(salt, secret))
    elif kind == b"\2":  # of builds for FIPS 140
        cipher = AESGCM(hashlib.pbkdf2_hmac("sha256", secret.encode(), salt, 8192, 32))
    else:
        raise Unreadable("a cipher that we do not know")
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    numbered = zip(_numbered(cipher, nonce, len(pieces)), pieces, strict=True)
    try:
        return b"".join([cipher.decrypt(number, piece, tag) for (number, tag), piece in numbered])
    except InvalidTag:
        raise Unreadable("encrypted with another key") from None


def _numbered(cipher: AESGCM | ChaCha20Poly1305, nonce: bytes, count: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield nonce and authenticated data of every piece; those of the last say that it is the last."""
    tag = cipher.encrypt(nonce + bytes(4), b"", None)
    for number in range(1, count + 1):
        yield nonce + number.to_bytes(4, "little"), (b"\x80" if number == count else b"\0") + tag


def key_of(salt: bytes, secret: str) -> bytes:
    """Return the key to what is encrypted with a secret, by Argon2id."""
    with _ONE_AT_A_TIME:
        derivation = Argon2id(salt=salt, length=32, iterations=1, lanes=4, memory_cost=2**16)
        return derivation.derive(secret.encode())


def _md5(body: bytes) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()
