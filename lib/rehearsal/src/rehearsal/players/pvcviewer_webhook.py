"""The PVCViewer webhooks: one gives a viewer its pod, the other checks what the viewer says.

Plays kubeflow/kubeflow v1.10.0, components/pvcviewer-controller (api/v1alpha1/pvcviewer_webhook.go, main.go;
controller-runtime v0.17), the image `pvcviewer-controller`. What may surprise there, and so here: if the
file of defaults cannot be read, the viewer gets no pod, and it is the other webhook that refuses it; the
defaults are for a viewer that says nothing at all of its pod, but the claim's volume is added to them only.
"""

from __future__ import annotations

import copy
import functools
from typing import Any

import yaml

from rehearsal.network.mounts import Mounts
from rehearsal.network.playing import Answer, Visit
from rehearsal.players import jsonpatch, webhook

IMAGE = "pvcviewer-controller"

_PORT = 9443
_CERTIFICATES = "/tmp/k8s-webhook-server/serving-certs"  # noqa: S108 (controller-runtime's default)
_DEFAULTS = "DEFAULT_POD_SPEC_PATH"

Object = dict[str, Any]


def program(visit: Visit) -> Answer | None:
    """Answer on the webhooks' port."""
    if visit.port != _PORT:
        return None
    mounts = Mounts(visit.cluster, visit.pod, visit.container)
    variables = {each["name"]: each.get("value", "") for each in visit.container.get("env", [])}
    mutate = functools.partial(_mutate, mounts, variables.get(_DEFAULTS, ""))
    return webhook.served(
        mounts,
        f"{_CERTIFICATES}/tls.crt",
        f"{_CERTIFICATES}/tls.key",
        {
            "/mutate-kubeflow-org-v1alpha1-pvcviewer": mutate,
            "/validate-kubeflow-org-v1alpha1-pvcviewer": _validate,
        },
    )


def _mutate(mounts: Mounts, path: str, said: webhook.Review) -> webhook.Review:
    before = said["request"]["object"]
    after = _whole(copy.deepcopy(before))
    if said["request"]["operation"] != "DELETE" and not _says_pod(after["spec"]):
        _default(after, mounts, path)
    pod = after["spec"]["podSpec"]
    for container in [*(pod.get("containers") or []), *(pod.get("initContainers") or [])]:
        container.setdefault("resources", {})
    return _answer(said, **webhook.encoded(jsonpatch.patch(before, after)))


def _validate(said: webhook.Review) -> webhook.Review:
    problem = "" if said["request"]["operation"] == "DELETE" else _problem(said["request"]["object"]["spec"])
    if not problem:
        return _answer(said)
    status = {"metadata": {}, "code": 403, "reason": "Forbidden", "message": problem}
    return _answer(said, allowed=False, status=status)


def _answer(said: webhook.Review, **more: Any) -> webhook.Review:
    kind = {name: said[name] for name in ("apiVersion", "kind")}
    status = {"metadata": {}, "code": 200}
    return {**kind, "response": {"uid": said["request"]["uid"], "allowed": True, "status": status, **more}}


def _problem(spec: Object) -> str:
    claim = spec.get("pvc") or ""
    if not claim:
        return "PVC name must be specified"
    if not _says_pod(spec):
        return "PodSpec must be specified"
    for volume in spec["podSpec"].get("volumes") or []:
        if (volume.get("persistentVolumeClaim") or {}).get("claimName") == claim:
            return ""
    return f"PVC {claim} must be used in the podSpec"


def _says_pod(spec: Object) -> bool:
    return any(value not in (None, "", False) for value in (spec.get("podSpec") or {}).values())


def _whole(viewer: Object) -> Object:
    """Return a viewer with the fields that a Go program always writes."""
    spec = viewer.setdefault("spec", {})
    spec.setdefault("pvc", "")
    spec.setdefault("rwoScheduling", False)
    spec["podSpec"] = {"containers": None} | (spec.get("podSpec") or {})
    spec["networking"] = {"targetPort": 0, "basePrefix": ""} | (spec.get("networking") or {})
    viewer["status"] = {"ready": False} | (viewer.get("status") or {})
    return viewer


def _default(viewer: Object, mounts: Mounts, path: str) -> None:
    """Give a viewer the pod of the file, or one of our own if there is none, or nothing in it."""
    spec = viewer["spec"]
    spec["podSpec"] = {"containers": None}
    try:
        said = _loaded(mounts.read(path)) if path else {}
    except (OSError, ValueError):
        return  # the other webhook will refuse the viewer
    spec["podSpec"] = said if _says_pod({"podSpec": said}) else {"containers": [_browser(viewer)]}
    claim = {"name": "viewer-volume", "persistentVolumeClaim": {"claimName": spec["pvc"]}}
    spec["podSpec"]["volumes"] = [*(spec["podSpec"].get("volumes") or []), claim]


def _loaded(content: bytes) -> Object:
    """Return what a file of defaults says; raises ValueError if it says no pod."""
    try:
        said = yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
    if said is None and content.strip():
        return {}
    if not isinstance(said, dict) or not isinstance(said.get("containers", []), list):
        raise ValueError("no pod")
    return {"containers": None} | said


def _browser(viewer: Object) -> Object:
    """Return the container of a viewer for which no defaults are configured."""
    metadata, prefix = viewer["metadata"], viewer["spec"]["networking"]["basePrefix"]
    settings = {
        "FB_ADDRESS": "0.0.0.0",  # noqa: S104
        "FB_PORT": "8080",
        "FB_DATABASE": "/tmp/filebrowser.db",  # noqa: S108
        "FB_NOAUTH": "true",
        "FB_BASEURL": f"{prefix}/{metadata['namespace']}/{metadata['name']}/",
    }
    return {
        "name": "pvcviewer",
        "image": "filebrowser/filebrowser:latest",
        "ports": [{"containerPort": 8080, "protocol": "TCP"}],
        "env": [{"name": name, "value": value} for name, value in settings.items()],
        "volumeMounts": [{"name": "viewer-volume", "mountPath": "/data"}],
        "workingDir": "/data",
    }
