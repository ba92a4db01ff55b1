"""Knative's webhook: what it fills in, and what it refuses.

knative.dev/serving v0.42.2, cmd/webhook and pkg/apis/serving/v1. Its certificate comes from a Secret that it
reads by its name, so nothing is mounted. Only Services, Configurations and Revisions are looked at;
ConfigMaps are not checked.
"""

from __future__ import annotations

import base64
import functools
import socket

import httpx2

from rehearsal.network.addresses import Unreachable
from rehearsal.network.playing import Answer, Visit
from rehearsal.players import answers, kinds, webhook
from rehearsal.players.direct import Direct
from rehearsal.players.kinds import Object
from rehearsal.players.knative import certificates, conventions, defaulting

_CREATOR, _MODIFIER = f"{conventions.SERVING}/creator", f"{conventions.SERVING}/lastModifier"


def program(visit: Visit) -> Answer | None:
    """Answer on the webhook's port."""
    variables = {each["name"]: each.get("value", "") for each in visit.container.get("env") or ()}
    if visit.port != int(variables.get("WEBHOOK_PORT") or 8443):
        return None
    namespace = visit.pod["metadata"]["namespace"]
    api = Direct(visit.client())
    secret = api.read(kinds.SECRET, (namespace, certificates.SECRET))
    data = (secret or {}).get("data") or {}
    if certificates.KEY not in data:
        raise Unreachable("the webhook has no certificate yet")
    chain, key = (base64.b64decode(data[each]) for each in (certificates.CERTIFICATE, certificates.KEY))
    reviewers = {
        certificates.PATHS[certificates.MUTATING]: answers.mutating(_default),
        certificates.PATHS[certificates.VALIDATING]: answers.checking(
            functools.partial(_check, api, namespace)
        ),
    }

    def answer(connection: socket.socket) -> None:
        webhook.answer(connection, chain, key, reviewers)

    return answer


def _default(item: Object, request: Object) -> Object:
    kind = item["kind"]
    if kind in ("Service", "Configuration") and item["apiVersion"].startswith(conventions.SERVING):
        if "template" in item["spec"]:
            defaulting.fill_template(item["spec"]["template"])
        who = request["userInfo"]["username"]
        annotations = item["metadata"].get("annotations") or {}
        old = (request.get("oldObject") or {}).get("spec")
        if request["operation"] == "CREATE":
            annotations = {**annotations, _CREATOR: who, _MODIFIER: who}
        elif old != item["spec"]:
            annotations = {**annotations, _MODIFIER: who}
        item["metadata"]["annotations"] = annotations
    if kind == "Service" and item["apiVersion"].startswith(conventions.SERVING):
        item["spec"].setdefault("traffic", [{"latestRevision": True, "percent": 100}])
        for each in item["spec"]["traffic"]:
            each.setdefault("latestRevision", not each.get("revisionName"))
    return item


def _check(api: Direct, namespace: str, request: Object) -> None:
    item = request.get("object")
    if request["operation"] == "DELETE" or item is None or item["kind"] not in ("Service", "Configuration"):
        return
    if not item["apiVersion"].startswith(conventions.SERVING):
        return
    try:
        found = api.read(kinds.CONFIG_MAP, (namespace, "config-features"))
    except httpx2.HTTPStatusError as error:
        raise answers.Denied(str(error), 500) from None
    features = (found or {}).get("data") or {}
    template = item["spec"].get("template") or {}
    wrong = list(defaulting.problems(item["metadata"].get("name", ""), template, features))
    total = sum(each.get("percent") or 0 for each in item["spec"].get("traffic") or ())
    if item["spec"].get("traffic") and total != 100:
        wrong.append(f"Traffic targets sum to {total}, want 100: spec.traffic")
    if wrong:
        raise answers.Denied(f"validation failed: {'; '.join(wrong)}", 400)
