"""The state of a MinIO: users, policies, buckets and the buckets' lifecycle rules. It has no objects.

Facts: github.com/minio/minio, cmd/admin-router.go and cmd/api-errors.go; github.com/minio/madmin-go. MinIO's
own Python library encrypts and decrypts. `tests/conformance/test_conformance_stores.py` sends the same
requests to this MinIO and to a real one.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import json
from collections.abc import Callable, Mapping
from types import ModuleType

ADMIN = "/minio/admin/v3/"
ACCESS_KEY, SECRET_KEY = 3, 8
"""Minimum lengths of a user's name and secret."""

Query = Mapping[str, str]


class Refusal(Exception):
    """MinIO's refusal of a request.

    Args:
        status: the HTTP status.
        code: MinIO's error code.
    """

    def __init__(self, status: int, code: str):
        super().__init__(code)
        self.status, self.code = status, code


@dataclasses.dataclass
class _User:
    secret: str
    policy: str = ""


class Minio:
    """One MinIO, empty at first.

    Args:
        secret: returns the administrator's secret, which encrypts secret data.
    """

    def __init__(self, secret: Callable[[], str]):
        self._secret = secret
        self.users: dict[str, _User] = {}
        self.policies: dict[str, object] = {}
        self.buckets: dict[str, bytes | None] = {}
        """Lifecycle rules (XML) by bucket name."""
        self._commands: dict[tuple[str, str], Callable[[Query, bytes], bytes]] = {
            ("GET", "list-users"): self._list_users,
            ("PUT", "add-user"): self._add_user,
            ("DELETE", "remove-user"): self._remove_user,
            ("GET", "list-canned-policies"): self._list_policies,
            ("PUT", "add-canned-policy"): self._add_policy,
            ("DELETE", "remove-canned-policy"): self._remove_policy,
            ("PUT", "set-user-or-group-policy"): self._set_policy,
        }

    def do(self, method: str, path: str, query: Query, body: bytes) -> bytes:
        """Carry out an administrator's request; return the answer's body, or raise `Refusal`."""
        if path.startswith(ADMIN):
            command = self._commands.get((method, path.removeprefix(ADMIN)))
            if command is None:
                raise Refusal(501, "NotImplemented")
            return command(query, body)
        bucket, _, key = path.removeprefix("/").partition("/")
        if key or not bucket or set(query) - {"lifecycle"}:
            raise Refusal(501, "NotImplemented")
        return self._lifecycle(method, bucket, body) if query else self._bucket(method, bucket)

    def _list_users(self, _: Query, __: bytes) -> bytes:
        said = {name: {"policyName": user.policy, "status": "enabled"} for name, user in self.users.items()}
        return _crypto().encrypt(json.dumps(said).encode(), self._secret())

    def _add_user(self, query: Query, body: bytes) -> bytes:
        import urllib3

        name = query["accessKey"]
        try:
            answer = urllib3.HTTPResponse(io.BytesIO(body), preload_content=False)
            secret = json.loads(_crypto().decrypt(answer, self._secret()))["secretKey"]
        except (ValueError, OSError, KeyError):
            raise Refusal(400, "XMinioAdminConfigBadJSON") from None
        if len(name) < ACCESS_KEY:
            raise Refusal(400, "XMinioAdminInvalidAccessKey")
        if len(secret) < SECRET_KEY:
            raise Refusal(400, "XMinioAdminInvalidSecretKey")
        self.users[name] = _User(secret, self.users[name].policy if name in self.users else "")
        return b""

    def _remove_user(self, query: Query, _: bytes) -> bytes:
        if self.users.pop(query["accessKey"], None) is None:
            raise Refusal(404, "XMinioAdminNoSuchUser")
        return b""

    def _list_policies(self, _: Query, __: bytes) -> bytes:
        return json.dumps(self.policies).encode()

    def _add_policy(self, query: Query, body: bytes) -> bytes:
        try:
            document = json.loads(body)
        except ValueError:
            raise Refusal(400, "MalformedPolicy") from None
        if not isinstance(document, dict) or not document.get("Statement"):
            raise Refusal(400, "XMinioAdminInvalidArgument")
        self.policies[query["name"]] = document
        return b""

    def _remove_policy(self, query: Query, _: bytes) -> bytes:
        if query["name"] in {user.policy for user in self.users.values()}:
            raise Refusal(400, "XMinioIAMPolicyInUse")
        self.policies.pop(query["name"], None)
        return b""

    def _set_policy(self, query: Query, _: bytes) -> bytes:
        if query["policyName"] not in self.policies:
            raise Refusal(404, "XMinioAdminNoSuchPolicy")
        if query["isGroup"] != "false" or query["userOrGroup"] not in self.users:
            raise Refusal(404, "XMinioAdminNoSuchUser")
        self.users[query["userOrGroup"]].policy = query["policyName"]
        return b""

    def _bucket(self, method: str, bucket: str) -> bytes:
        if method == "PUT":
            if bucket in self.buckets:
                raise Refusal(409, "BucketAlreadyOwnedByYou")
            self.buckets[bucket] = None
        elif method != "HEAD":
            raise Refusal(501, "NotImplemented")
        elif bucket not in self.buckets:
            raise Refusal(404, "NoSuchBucket")
        return b""

    def _lifecycle(self, method: str, bucket: str, body: bytes) -> bytes:
        if bucket not in self.buckets:
            raise Refusal(404, "NoSuchBucket")
        if method == "GET":
            if (rules := self.buckets[bucket]) is None:
                raise Refusal(404, "NoSuchLifecycleConfiguration")
            return rules
        if method == "PUT" and b"<Rule>" not in body:
            raise Refusal(400, "MalformedXML")
        self.buckets[bucket] = body if method == "PUT" else None
        return b""


@functools.cache
def _crypto() -> ModuleType:
    """Return the library's encryption module, imported at first use.

    Cache its derived keys: otherwise, making a thousand users keeps two cores busy for minutes. A real MinIO
    would not take that time from the charm's cores.
    """
    from minio import crypto

    crypto._generate_key = functools.lru_cache(maxsize=16)(crypto._generate_key)
    return crypto
