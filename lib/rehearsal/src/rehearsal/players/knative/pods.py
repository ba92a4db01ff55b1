"""The pods of a revision: the user's containers, and the queue in front of them.

knative.dev/serving v0.42.2, pkg/reconciler/revision/resources/{deploy,queue,meta}.go. Tags of images are not
resolved to digests here, and logs of requests, traces and certificates inside the mesh not set up.
"""

from __future__ import annotations

import copy
import json

from rehearsal.players import kinds
from rehearsal.players.kinds import Object
from rehearsal.players.knative import conventions
from rehearsal.players.knative.conventions import Settings

QUEUE = "queue-proxy"
HTTP, HTTP2, HTTPS = 8012, 8013, 8112

_NOT_ON_PODS = (f"{conventions.SERVING}/routingState", f"{conventions.SERVING}/route")
_NO_ANNOTATIONS = (
    f"{conventions.SERVING}/lastPinned",
    f"{conventions.SERVING}/routingStateModified",
    f"{conventions.SERVING}/routes",
)
_OF_REVISION = ("containerConcurrency", "timeoutSeconds", "responseStartTimeoutSeconds", "idleTimeoutSeconds")
_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def main(revision: Object) -> Object:
    """Return the container that gets the requests."""
    containers = revision["spec"]["containers"]
    return next((each for each in containers if each.get("ports")), containers[0])


def speaks_http2(revision: Object) -> bool:
    """Tell whether the container speaks HTTP/2 without TLS."""
    ports = main(revision).get("ports") or [{}]
    return ports[0].get("name") == "h2c"


def labels(revision: Object) -> dict[str, str]:
    """Return the labels of all that a revision has."""
    metadata = revision["metadata"]
    kept = {name: value for name, value in (metadata.get("labels") or {}).items() if name not in _NOT_ON_PODS}
    own = {
        f"{conventions.SERVING}/revision": metadata["name"],
        f"{conventions.SERVING}/revisionUID": metadata["uid"],
    }
    return {"app": metadata["name"], **kept, **own}


def notes(revision: Object) -> dict[str, str]:
    """Return the annotations of all that a revision has."""
    said = revision["metadata"].get("annotations") or {}
    return {name: value for name, value in said.items() if name not in _NO_ANNOTATIONS}


def deployment(settings: Settings, revision: Object, replicas: int) -> Object:
    """Return the Deployment of a revision."""
    deadline = settings.data("deployment").get("progress-deadline", "600s")
    said = notes(revision)
    deadline = said.get(f"{conventions.SERVING}/progress-deadline", deadline)
    about = {"labels": labels(revision), "annotations": said}
    uid = revision["metadata"]["uid"]
    name = conventions.child_name(revision["metadata"]["name"], "-deployment")
    return {
        "metadata": conventions.owned(kinds.KNATIVE_REVISION, revision, name, **copy.deepcopy(about)),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {f"{conventions.SERVING}/revisionUID": uid}},
            "progressDeadlineSeconds": _seconds(deadline),
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}},
            "template": {"metadata": about, "spec": _spec(settings, revision)},
        },
    }


def _spec(settings: Settings, revision: Object) -> Object:
    said = {
        name: copy.deepcopy(value) for name, value in revision["spec"].items() if name not in _OF_REVISION
    }
    said["containers"] = [
        *(_container(revision, each) for each in said["containers"]),
        _queue(settings, revision),
    ]
    said["terminationGracePeriodSeconds"] = revision["spec"].get("timeoutSeconds", 300)
    return said


def _port(revision: Object) -> int:
    return (main(revision).get("ports") or [{}])[0].get("containerPort") or 8080


def _container(revision: Object, container: Object) -> Object:
    metadata = revision["metadata"]
    of_revision = metadata.get("labels") or {}
    own = {
        "K_REVISION": metadata["name"],
        "K_CONFIGURATION": of_revision.get(f"{conventions.SERVING}/configuration", ""),
        "K_SERVICE": of_revision.get(f"{conventions.SERVING}/service", ""),
    }
    variables = [{"name": name, "value": value} for name, value in own.items()]
    if container["name"] == main(revision)["name"]:
        port = _port(revision)
        container["ports"] = [{"name": "user-port", "containerPort": port}]
        variables.insert(0, {"name": "PORT", "value": str(port)})
        for handler in ("httpGet", "tcpSocket"):
            if handler in (container.get("livenessProbe") or {}):
                container["livenessProbe"][handler]["port"] = port
    container["env"] = [*(container.get("env") or []), *variables]
    container["lifecycle"] = {"preStop": {"httpGet": {"port": 8022, "path": "/wait-for-drain"}}}
    container.setdefault("terminationMessagePolicy", "FallbackToLogsOnError")
    if {"httpGet", "tcpSocket", "grpc"} & (container.get("readinessProbe") or {}).keys():
        del container["readinessProbe"]
    return container


def _queue(settings: Settings, revision: Object) -> Object:
    said, metadata, spec = settings.data("deployment"), revision["metadata"], revision["spec"]
    port = HTTP2 if speaks_http2(revision) else HTTP
    of_revision = metadata.get("labels") or {}
    probe = copy.deepcopy(main(revision).get("readinessProbe"))
    variables = {
        "SERVING_NAMESPACE": metadata["namespace"],
        "SERVING_SERVICE": of_revision.get(f"{conventions.SERVING}/service", ""),
        "SERVING_CONFIGURATION": of_revision.get(f"{conventions.SERVING}/configuration", ""),
        "SERVING_REVISION": metadata["name"],
        "QUEUE_SERVING_PORT": str(port),
        "QUEUE_SERVING_TLS_PORT": str(HTTPS),
        "CONTAINER_CONCURRENCY": str(spec.get("containerConcurrency", 0)),
        "REVISION_TIMEOUT_SECONDS": str(spec.get("timeoutSeconds", 300)),
        "REVISION_RESPONSE_START_TIMEOUT_SECONDS": str(spec.get("responseStartTimeoutSeconds", 0)),
        "REVISION_IDLE_TIMEOUT_SECONDS": str(spec.get("idleTimeoutSeconds", 0)),
        "USER_PORT": str(_port(revision)),
        "SYSTEM_NAMESPACE": settings.namespace,
        "METRICS_DOMAIN": "knative.dev/internal/serving",
        "METRICS_COLLECTOR_ADDRESS": settings.data("observability").get("metrics.opencensus-address", ""),
    }
    env: list[Object] = [{"name": name, "value": value} for name, value in variables.items()]
    for name, path in (("SERVING_POD", "metadata.name"), ("SERVING_POD_IP", "status.podIP")):
        env.append({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}})
    queue: Object = {
        "name": QUEUE,
        "image": said.get("queue-sidecar-image", ""),
        "resources": {"requests": {"cpu": said.get("queue-sidecar-cpu-request", "25m")}},
        "ports": [
            {"name": "http-queueadm", "containerPort": 8022},
            {"name": "http-autometric", "containerPort": 9090},
            {"name": "http-usermetric", "containerPort": 9091},
            {"name": "h2c-port" if port == HTTP2 else "queue-port", "containerPort": port},
            {"name": "https-port", "containerPort": HTTPS},
        ],
        "securityContext": copy.deepcopy(_RESTRICTED),
        "env": env,
    }
    if probe is not None:
        for handler in ("tcpSocket", "httpGet", "grpc"):
            if handler in probe and not probe[handler].get("port"):
                probe[handler]["port"] = _port(revision)
        env.append({"name": "SERVING_READINESS_PROBE", "value": json.dumps(probe, separators=(",", ":"))})
        header = {"name": "K-Network-Probe", "value": "queue"}
        queue["readinessProbe"] = {"httpGet": {"port": port, "httpHeaders": [header]}}
    return queue


def _seconds(text: str) -> int:
    amounts = {"s": 1, "m": 60, "h": 3600}
    return int(float(text[:-1]) * amounts[text[-1]]) if text[-1:] in amounts else 600
