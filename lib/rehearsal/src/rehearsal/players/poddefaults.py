"""The PodDefaults webhook: puts what PodDefaults say into the pods that they select.

Plays kubeflow/kubeflow v1.10.0, components/admission-webhook (main.go, config.go), the image
`poddefaults-webhook`. What may surprise there, and so here: a conflict refuses the pod; so does a selector
that is none, in whichever PodDefault of the namespace; sidecars for a pod of which several containers change
make a patch that the API server cannot apply (see `jsonpatch`); the answer does not say which version it is
in, so that the configuration must have v1beta1 first.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from typing import Any

import httpx2
import lightkube

from rehearsal import documents
from rehearsal.network.mounts import Mounts
from rehearsal.network.playing import Answer, Visit
from rehearsal.players import decoding, jsonpatch, podmerging, selectors, webhook
from rehearsal.players.direct import patiently

IMAGE = "poddefaults-webhook"

_PREFIX = "poddefault.admission.kubeflow.org"
_MIRROR_POD = "kubernetes.io/config.mirror"
_PODS = {"group": "", "version": "v1", "resource": "pods"}
_PodDefault = documents.namespaced("kubeflow.org", "v1alpha1", "PodDefault", "poddefaults")

Object = dict[str, Any]


class Denied(Exception):
    """Why a pod is refused."""


def program(visit: Visit) -> Answer | None:
    """Answer on the webhook's port."""
    said = _flags([*visit.container.get("command", []), *visit.container.get("args", [])])
    if visit.port != int(said.get("webhookPort", "4443")):
        return None
    return webhook.served(
        Mounts(visit.cluster, visit.pod, visit.container),
        said.get("tlsCertFile", "/etc/webhook/certs/cert.pem"),
        said.get("tlsKeyFile", "/etc/webhook/certs/key.pem"),
        {"/apply-poddefault": functools.partial(review, visit)},
    )


def review(visit: Visit, said: webhook.Review) -> webhook.Review:
    """Answer an AdmissionReview of a pod."""
    request = said["request"]
    if request["resource"] != _PODS:
        return {}
    answer: Object = {"uid": request["uid"], "allowed": True}
    try:
        before = request["object"]
        after = _mutated(visit, before, request.get("namespace", ""))
        if after is not None:
            answer |= webhook.encoded(jsonpatch.patch(before, after, piecewise=True))
    except Denied as reason:
        answer |= {"allowed": False, "status": {"metadata": {}, "message": str(reason)}}
    return {"response": answer}


def _mutated(visit: Visit, pod: Object, namespace: str) -> Object | None:
    """Return the pod with its PodDefaults, or None if there are none for it."""
    annotations = pod["metadata"].get("annotations") or {}
    if annotations.get(f"{_PREFIX}/exclude") == "true" or _MIRROR_POD in annotations:
        return None
    labels = pod["metadata"].get("labels") or {}
    matching = [
        each
        for each in _listed(visit, pod["metadata"].get("namespace") or namespace)
        if _selects(each, labels)
    ]
    if not matching:
        return None
    names = ",".join(each["metadata"]["name"] for each in matching)
    if found := podmerging.conflicts(pod, matching):
        reason = found[0] if len(found) == 1 else f"[{', '.join(found)}]"
        name = pod["metadata"].get("name", "")
        raise Denied(f"conflict occurred while applying poddefaults: {names} on pod: {name} err: {reason}")
    changed = copy.deepcopy(pod)
    podmerging.put(changed, matching)
    marks = {
        f"{_PREFIX}/poddefault-{each['metadata']['name']}": each["metadata"]["resourceVersion"]
        for each in matching
    }
    changed["metadata"]["annotations"] = {**(changed["metadata"].get("annotations") or {}), **marks}
    return changed


def _listed(visit: Visit, namespace: str) -> list[Object]:
    """Return a namespace's PodDefaults, as far as the webhook's own account may see them."""
    try:
        found = patiently(lambda: list(visit.client().list(_PodDefault, namespace=namespace)))
        for each in found:
            decoding.check(_PodDefault, each)
    except lightkube.ApiError as error:
        raise Denied(error.status.message or str(error)) from None
    except httpx2.HTTPStatusError as error:
        raise Denied(_unknown(visit) if error.response.status_code == 404 else str(error)) from None
    except (httpx2.HTTPError, OSError, decoding.Undecodable) as error:
        raise Denied(str(error)) from None
    return [{**each, "spec": each.get("spec") or {}} for each in found]


def _unknown(visit: Visit) -> str:
    """Return what the webhook says where PodDefaults are not defined."""
    version = "kubeflow.org/v1alpha1"
    try:
        visit.cluster.request("GET", f"/apis/{version}")
    except OSError:
        served = "unable to retrieve the complete list of server APIs"
        missing = "the server could not find the requested resource"
        return f"failed to get API group resources: {served}: {version}: {missing}"
    return f'no matches for kind "PodDefault" in version "{version}"'


def _selects(default: Object, labels: dict[str, str]) -> bool:
    selector = default["spec"].get("selector") or {}
    try:
        return selectors.matches(selector, labels)
    except ValueError as error:
        raise Denied(f"label selector conversion failed: {_go(selector)} for selector: {error}") from None


def _go(selector: Object) -> str:
    """Return a selector as Go prints it."""
    equal = " ".join(f"{key}:{value}" for key, value in sorted((selector.get("matchLabels") or {}).items()))
    terms = (
        f"{{{each.get('key', '')} {each.get('operator', '')} [{' '.join(each.get('values') or [])}]}}"
        for each in selector.get("matchExpressions") or []
    )
    return f"{{map[{equal}] [{' '.join(terms)}]}}"


def _flags(words: Sequence[str]) -> dict[str, str]:
    """Return the values of a Go program's flags: `--name=value`, or `--name` and then the value."""
    found: dict[str, str] = {}
    for at, word in enumerate(words):
        name, equals, value = word.lstrip("-").partition("=")
        if word.startswith("-"):
            found[name] = value if equals else "".join(words[at + 1 : at + 2])
    return found
