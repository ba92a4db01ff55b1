"""What webhooks of controller-runtime answer, and how Kubernetes words what is wrong with a field.

sigs.k8s.io/controller-runtime v0.19, pkg/webhook/admission; k8s.io/apimachinery v0.32,
pkg/util/validation/field/errors.go and pkg/util/errors/errors.go.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rehearsal.network.mounts import Mounts
from rehearsal.network.playing import Answer, Visit
from rehearsal.players import decoding, jsonpatch, webhook
from rehearsal.players.kinds import Kind, Object

_DNS_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_DNS_1035_WORDS = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
    "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for "
    "validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
CERTIFICATES = "/tmp/k8s-webhook-server/serving-certs"  # noqa: S108 (controller-runtime's default)

Validator = Callable[[Object, Object | None], Sequence[str]]
"""Returns what is wrong with an object, given what it was before."""


class Denied(Exception):
    """An object is refused; the code is that of an HTTP status."""

    def __init__(self, message: str, code: int = 400):
        super().__init__(message)
        self.code = code


def serve(visit: Visit, port: int, folder: str, reviewers: Mapping[str, webhook.Reviewer]) -> Answer | None:
    """Answer on the port of a program's webhooks, with the certificate in a folder."""
    if visit.port != port:
        return None
    mounts = Mounts(visit.cluster, visit.pod, visit.container)
    return webhook.served(mounts, f"{folder}/tls.crt", f"{folder}/tls.key", reviewers)


def validating(validate: Validator, kind: Kind | None = None) -> webhook.Reviewer:
    """Return what reviews objects by a validator; of a kind, only those that Go can read."""

    def review(said: webhook.Review) -> webhook.Review:
        request = said["request"]
        if request["operation"] == "DELETE":
            return _answer(said)
        try:
            _decode(kind, request)
        except Denied as reason:
            return _denied(said, reason)
        try:
            found = validate(request["object"], request.get("oldObject"))
        except Denied as reason:
            return _denied(said, reason)
        return _answer(said) if not found else _denied(said, Denied(aggregate(found), 403))

    return review


def mutating(mutate: Callable[[Object, Object], Object], kind: Kind | None = None) -> webhook.Reviewer:
    """Return what reviews objects by a function of a copy and the request; it may raise `Denied`."""

    def review(said: webhook.Review) -> webhook.Review:
        before = said["request"]["object"]
        try:
            _decode(kind, said["request"])
            after = mutate(copy.deepcopy(before), said["request"])
        except Denied as reason:
            return _denied(said, reason)
        operations = [*jsonpatch.patch(before, after)]
        return _answer(said, **(webhook.encoded(operations) if operations else {}))

    return review


def checking(check: Callable[[Object], None], kind: Kind | None = None) -> webhook.Reviewer:
    """Return what reviews requests by a function that raises `Denied`."""

    def review(said: webhook.Review) -> webhook.Review:
        try:
            _decode(kind, said["request"])
            check(said["request"])
        except Denied as reason:
            return _denied(said, reason)
        return _answer(said)

    return review


def aggregate(found: Sequence[str]) -> str:
    """Return several errors as one."""
    distinct = list(dict.fromkeys(found))
    return distinct[0] if len(distinct) == 1 else f"[{', '.join(distinct)}]"


def required(path: str, detail: str) -> str:
    """Say that a field lacks."""
    return f"{path}: Required value: {detail}"


def invalid(path: str, value: Any, detail: str) -> str:
    """Say that a field has a value that it must not have."""
    said = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return f"{path}: Invalid value: {said}: {detail}"


def forbidden(path: str, detail: str) -> str:
    """Say that a field must not be there, or not so."""
    return f"{path}: Forbidden: {detail}"


def unsupported(path: str, value: Any, supported: Sequence[str]) -> str:
    """Say that a field has a value of which nobody knows."""
    values = ", ".join(json.dumps(each) for each in supported)
    return f"{path}: Unsupported value: {json.dumps(value)}: supported values: {values}"


def name_problem(name: str) -> str:
    """Return why a name cannot be that of a Service; empty if it can."""
    if len(name) > 63:
        return "must be no more than 63 characters"
    return "" if _DNS_1035.fullmatch(name) else _DNS_1035_WORDS


def _decode(kind: Kind | None, request: Object) -> None:
    """Raise `Denied` if Go cannot read an object of a kind."""
    if kind is None:
        return
    try:
        decoding.check(kind, request["object"])
    except decoding.Undecodable as error:
        raise Denied(str(error)) from None


def _answer(said: webhook.Review, **more: Any) -> webhook.Review:
    kind = {name: said[name] for name in ("apiVersion", "kind")}
    status = {"metadata": {}, "code": 200}
    return {**kind, "response": {"uid": said["request"]["uid"], "allowed": True, "status": status, **more}}


def _denied(said: webhook.Review, reason: Denied) -> webhook.Review:
    status: Object = {"metadata": {}, "code": reason.code, "message": str(reason)}
    if reason.code == 403:
        status["reason"] = "Forbidden"
    return _answer(said, allowed=False, status=status)
