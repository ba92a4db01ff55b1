"""Describe a request to the API server as Kubernetes' own authorizer does."""

from __future__ import annotations

import base64
import contextlib
import json
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message

_READS = {"get", "list", "watch"}
_VERBS = {
    "GET": ("get", "list"),
    "DELETE": ("delete", "deletecollection"),
    "POST": ("create", "create"),
    "PUT": ("update", "update"),
    "PATCH": ("patch", "patch"),
}
"""The verb of an HTTP method for one object, and for many."""


@dataclass(frozen=True)
class Request:
    """One request."""

    caller: str
    """`system:serviceaccount:<namespace>:<name>`, or empty for a token that is not a service account's."""
    verb: str
    """`get`, `list`, `watch`, `create`, `update`, `patch`, `apply`, `delete`, `deletecollection`."""
    group: str
    resource: str
    """In RBAC's notation: `deployments`, `deployments/status`; empty if the path is not a resource's."""
    namespace: str
    name: str
    status: int = 0
    """The HTTP status of the answer; 0 if there was none."""
    seconds: float = 0.0
    at: float = 0.0
    """Monotonic time of its beginning."""
    method: str = ""
    path: str = ""
    user_agent: str = ""
    connection: int = 0
    """The caller's port, the same for all requests over one connection."""

    @property
    def writes(self) -> bool:
        """Whether it may change something."""
        return self.verb not in _READS


def described(method: str, target: str, headers: Mapping[str, str] | Message, at: float = 0.0) -> Request:
    """Return a description of a request (rules: k8s.io/apiserver, pkg/endpoints/request/requestinfo.go).

    Args:
        method: the HTTP method.
        target: path and query.
        headers: the HTTP headers.
        at: monotonic time of its beginning.
    """
    path, _, query = target.partition("?")
    group, namespace, resource, name = _place(path)
    verb = method.lower()
    if resource:
        one, many = _VERBS.get(method, (verb, verb))
        verb = one if name else many
        if verb in ("get", "list") and urllib.parse.parse_qs(query).get("watch", [""])[-1] in ("true", "1"):
            verb = "watch"
        elif verb == "patch" and "apply-patch" in (headers.get("Content-Type") or ""):
            verb = "apply"
    return Request(
        caller=_subject(headers.get("Authorization") or ""),
        verb=verb,
        group=group,
        resource=resource,
        namespace=namespace,
        name=name,
        at=at,
        method=method,
        path=target,
        user_agent=headers.get("User-Agent") or "",
    )


def _place(path: str) -> tuple[str, str, str, str]:
    """Return a path's group, namespace, resource and name; a namespace itself is in no namespace."""
    steps = [step for step in path.split("/") if step]
    if steps[:1] == ["apis"] and len(steps) > 3:
        group, steps = steps[1], steps[3:]
    elif steps[:1] == ["api"] and len(steps) > 2:
        group, steps = "", steps[2:]
    else:
        return "", "", "", ""
    namespace = ""
    if steps[0] == "namespaces" and len(steps) > 2 and steps[2] not in ("status", "finalize"):
        namespace, steps = steps[1], steps[2:]
    resource, name, subresource = [*steps, "", ""][:3]
    return group, namespace, "/".join(filter(None, (resource, subresource))), name


def _subject(authorization: str) -> str:
    """Return the subject of a service account's token (a JWT), without verifying it."""
    payload = (authorization.split(".") + [""] * 2)[1]
    with contextlib.suppress(ValueError):
        decoded = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        if payload:
            return str(json.loads(decoded).get("sub", ""))
    return ""
