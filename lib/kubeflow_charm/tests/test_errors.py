"""What Kubernetes refuses, and what the operator sees of it."""

from __future__ import annotations

from typing import Any

import httpx2
import lightkube
import msgspec
import pytest
from lightkube.core.exceptions import ApiError
from lightkube.resources.core_v1 import Secret

from kubeflow_charm.cluster import errors
from kubeflow_charm.cluster.connection import Transport
from kubeflow_charm.problems import Problem

REQUEST = httpx2.Request("GET", "https://api.example.org/")


def refused(code: int, message: str = "words", field: str = "") -> ApiError:
    """Return an answer with a Status."""
    status: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "code": code, "message": message}
    if field:
        status["details"] = {"causes": [{"field": field}]}
    return ApiError(request=REQUEST, response=httpx2.Response(code, json=status, request=REQUEST))


def answered(code: int) -> httpx2.HTTPStatusError:
    """Return an answer without a Status."""
    response = httpx2.Response(code, text="words", request=REQUEST)
    return httpx2.HTTPStatusError("words", request=REQUEST, response=response)


WEBHOOK = 'admission webhook "policy.example.org" denied the request: no such thing'
POLICY = "ValidatingAdmissionPolicy 'small' with binding 'all' denied request: too big"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (refused(400, WEBHOOK), ("blocked", "policy.example.org refuses Role m/a: no such thing")),
        (refused(422, POLICY), ("blocked", "small refuses Role m/a: too big")),
        (refused(401), ("blocked", "no rights on Role m/a: juju trust app --scope=cluster")),
        (refused(403), ("blocked", "no rights on Role m/a: juju trust app --scope=cluster")),
        (
            refused(403, "roles a is forbidden: exceeded quota: small, requested: pods=1"),
            ("blocked", "Role m/a: exceeded quota: small, requested: pods=1"),
        ),
        (
            refused(403, "because it is being terminated"),
            ("waiting", "Role m/a: its namespace is being removed"),
        ),
        (refused(404, "the server could not find"), ("waiting", "Role m/a: its type is not installed yet")),
        (refused(404, 'namespaces "m" not found'), ("waiting", 'Role m/a: namespaces "m" not found')),
        (refused(409, "words"), ("waiting", "Role m/a: changed by another at the same time: words")),
        (refused(429), ("waiting", "Kubernetes API: 429 on Role m/a: words")),
        (
            refused(429, "storage is (re)initializing"),
            ("waiting", "Role m/a: its type is not served yet"),
        ),
        (refused(500), ("waiting", "Kubernetes API: 500 on Role m/a: words")),
        (
            refused(
                500,
                'Internal error occurred: failed calling webhook "a.example.org": failed to call webhook: Post '
                '"https://a.m.svc:443/check?timeout=10s": dial tcp 10.96.0.7:443: connect: connection refused',
            ),
            (
                "waiting",
                "Role m/a: webhook a.example.org does not answer: dial tcp 10.96.0.7:443: connect: connection refused",
            ),
        ),
        (
            refused(
                500,
                'failed calling webhook "a.example.org": no endpoints available for service "a"',
            ),
            (
                "waiting",
                'Role m/a: webhook a.example.org does not answer: no endpoints available for service "a"',
            ),
        ),
        (answered(404), ("waiting", "Role m/a: its type is not installed yet")),
        (answered(502), ("waiting", "Kubernetes API: HTTP 502 on Role m/a")),
        (httpx2.ConnectError("words"), ("waiting", "Kubernetes API: ConnectError on Role m/a")),
        (httpx2.ReadTimeout("words"), ("waiting", "Kubernetes API: ReadTimeout on Role m/a")),
        (httpx2.RemoteProtocolError("words"), ("waiting", "Kubernetes API: RemoteProtocolError on Role m/a")),
        (httpx2.DecodingError("words"), ("waiting", "Kubernetes API: DecodingError on Role m/a")),
        (msgspec.DecodeError("words"), ("waiting", "Kubernetes API: no answer of its own on Role m/a")),
        (msgspec.ValidationError("words"), ("waiting", "Kubernetes API: no answer of its own on Role m/a")),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_a_remote_cause_becomes_a_status(error: Exception, status: tuple[str, str]) -> None:
    with pytest.raises(Problem) as caught, errors.explained("Role m/a", "app"):
        raise error
    assert (caught.value.status.name, caught.value.status.message) == status
    assert caught.value.heals  # Juju sends no event when it is gone


@pytest.mark.parametrize(
    "error",
    [
        refused(400, "strict decoding error"),
        refused(422, "spec.replicas: Invalid value"),
        refused(500, "failed to create typed patch object (m/a; v1, Kind=Role): .x: field not declared"),
        KeyError("a"),
    ],
    ids=str,
)
def test_a_bug_is_raised(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, errors.explained("Role m/a", "app"):
        raise error
    assert caught.value is error


@pytest.mark.parametrize(
    ("code", "message", "immutable"),
    [
        (422, "spec.selector: Invalid value: {}: field is immutable", True),
        (422, "roleRef: Invalid value: rbac.RoleRef{}: cannot change roleRef", True),
        (422, "value: Forbidden: may not be changed in an update.", True),
        (422, "spec: Forbidden: spec is immutable after creation except resources.requests", True),
        (
            422,
            "spec: Forbidden: updates to statefulset spec for fields other than 'replicas' are forbidden",
            True,
        ),
        (422, "spec.clusterIPs[0]: Invalid value: []string{}: may not change once set", True),
        (422, "data: Forbidden: field is immutable when `immutable` is set", True),
        (422, "spec.replicas: Invalid value: -1", False),
        (409, "spec.selector: field is immutable", False),
    ],
)
def test_words_for_a_field_that_can_never_change(code: int, message: str, immutable: bool) -> None:
    assert errors.is_immutable(refused(code, message)) is immutable


def test_the_field_that_can_never_change_has_a_name() -> None:
    assert errors.immutable_field(refused(422, "words", field="spec.selector")) == "spec.selector"
    assert errors.immutable_field(refused(422, "words")) == "a field"


@pytest.mark.parametrize(
    "headers", [{}, {"content-type": "text/html"}, {"content-type": "application/json"}], ids=str
)
@pytest.mark.parametrize("code", [200, 404, 500, 503])
def test_whatever_stands_in_front_of_the_api_server_answers(
    code: int, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(_: Transport, request: httpx2.Request) -> httpx2.Response:
        response = httpx2.Response(code, content=b"<html>words", request=request)
        response.headers.pop("content-type", None)
        response.headers.update(headers)
        return response

    monkeypatch.setattr(httpx2.HTTPTransport, "handle_request", answer)
    config = lightkube.KubeConfig.from_dict(
        {
            "current-context": "a",
            "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
            "clusters": [{"name": "a", "cluster": {"server": "http://api.example.org"}}],
            "users": [{"name": "a", "user": {"token": "b"}}],
        }
    )
    client = lightkube.Client(config=config, transport=Transport(), trust_env=False)
    with client, pytest.raises(Problem), errors.explained("secrets", "app"):
        list(client.list(Secret, namespace="a"))
