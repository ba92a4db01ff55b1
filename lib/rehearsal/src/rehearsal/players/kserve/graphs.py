"""Inference graphs: a router for each, which knows where its steps are.

kserve/kserve v0.16.0, pkg/controller/v1alpha1/inferencegraph. What may surprise there, and so here: a graph
waits for the inference services that it names, but is not looked at when they change later; in the mode
`Standard` it is ready once its Deployment has a condition `Available`, whatever that says.
"""

from __future__ import annotations

import copy
import json

from rehearsal.players import conditions, kinds
from rehearsal.players.controller import Controller
from rehearsal.players.kinds import Key, Object
from rehearsal.players.kserve import knative, naming, runtimes, settings, standard
from rehearsal.players.kserve.components import Part
from rehearsal.players.kserve.settings import Settings
from rehearsal.players.program import Program
from rehearsal.players.recording import Recorder

LABEL = f"{naming.GROUP}/inferencegraph"

_AGAIN = 1.0
_SAFE = {
    "privileged": False,
    "runAsNonRoot": True,
    "readOnlyRootFilesystem": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}
_OF_GRAPH = (
    *("nodes", "resources", "affinity", "timeout", "routerTimeouts", "minReplicas", "maxReplicas"),
    *("scaleTarget", "scaleMetric", "tolerations", "nodeSelector", "nodeName", "serviceAccountName"),
)
_OF_STEP = (
    *("name", "nodeName", "serviceName", "serviceUrl", "data", "mapPredictionsToInstances"),
    *("weight", "condition", "dependency"),
)
"""Fields in the order in which KServe writes them (pkg/apis/serving/v1alpha1/inference_graph.go)."""
_OF_POD = ("affinity", "tolerations", "nodeSelector", "nodeName", "serviceAccountName")


class Graphs:
    """The controller of inference graphs."""

    def __init__(self, program: Program):
        self._program = program
        self._api = program.api
        self._world = program.world
        self._namespace = program.settings.variable("POD_NAMESPACE", "kserve")
        self._recorder = Recorder(program, "InferenceGraphController")
        self.controller: Controller = program.controller(
            kinds.INFERENCE_GRAPH, self._reconcile, "inferencegraph"
        )
        self.controller.owns(kinds.DEPLOYMENT)
        if self._knative():
            self.controller.owns(kinds.KNATIVE_SERVICE)

    def _knative(self) -> bool:
        return self._program.discover("serving.knative.dev/v1", "Service") is not None

    def _reconcile(self, key: Key) -> float | None:
        live = self._api.get(kinds.INFERENCE_GRAPH, key)
        if live is None or "deletionTimestamp" in live["metadata"]:
            return None
        said = settings.read(self._api, self._namespace)
        graph = copy.deepcopy(live)
        status = graph.setdefault("status", {})
        stopped = naming.stopped(graph)
        if not stopped and not self._resolve(graph):
            return _AGAIN
        mode = naming.mode(status, graph["metadata"].get("annotations") or {}, said.mode)
        part = _part(said, graph, mode)
        if mode == naming.KNATIVE and not self._knative():
            message = (
                "It is not possible to use Knative deployment mode when Knative Services are not available"
            )
            self._recorder.say(kinds.INFERENCE_GRAPH, live, "ServerlessModeRejected", message, warning=True)
            return None
        if stopped:
            self._stop(graph, part, status)
        elif mode == naming.STANDARD:
            (deployment,) = standard.keep(self._api, said, graph, part)
            if conditions.find(deployment.get("status") or {}, "Available") is None:
                return None  # its Deployment is followed
            status["url"] = standard.url(said, graph, part)
            self._set(status, "Ready", "True")
            status["observedGeneration"] = (deployment.get("status") or {}).get("observedGeneration", 0)
        else:
            service = knative.keep(self._api, said, graph, part, {})
            told = service.get("status") or {}
            before = conditions.find(status, "Stopped")
            status["conditions"] = [
                *copy.deepcopy(told.get("conditions") or []),
                *([before] if before else []),
            ]
            status.pop("url", None)
            if conditions.is_true(told, "Ready"):
                status["url"] = told["url"]
        if not stopped:
            self._set(status, "Stopped", "False")
        if status != (live.get("status") or {}):
            self._api.replace_status(kinds.INFERENCE_GRAPH, live, status)
        return None

    def _resolve(self, graph: Object) -> bool:
        """Fill in the URLs of the inference services that are named; tell whether all are known."""
        for node in graph["spec"]["nodes"].values():
            for step in node.get("steps") or ():
                if not step.get("serviceName") or step.get("serviceUrl"):
                    continue
                key = (graph["metadata"]["namespace"], step["serviceName"])
                isvc = self._api.get(kinds.INFERENCE_SERVICE, key)
                url = ((isvc or {}).get("status") or {}).get("address", {}).get("url")
                if isvc is None or url is None:
                    return False
                step["serviceUrl"] = f"{url}{self._path(isvc)}"
        return True

    def _path(self, isvc: Object) -> str:
        """Return the path at which an inference service predicts."""
        spec, name = isvc["spec"], _model_name(isvc)
        protocol = "v1"
        if "transformer" in spec:
            protocol = _variable(spec["transformer"], "PROTOCOL") or "v1"
        elif model := spec["predictor"].get("model"):
            protocol = model.get("protocolVersion") or "v1"
            found = model.get("runtime") and runtimes.find(
                self._api, model["runtime"], isvc["metadata"]["namespace"]
            )
            if found:
                spoken = found.spec.get("protocolVersions") or [protocol]
                protocol = next((each for each in spoken if each in ("v1", "v2")), protocol)
        else:
            protocol = _variable(spec["predictor"], "PROTOCOL") or "v1"
        return f"/v1/models/{name}:predict" if protocol == "v1" else f"/v2/models/{name}/infer"

    def _stop(self, graph: Object, part: Part, status: Object) -> None:
        standard.remove(self._api, graph, part)
        if self._knative():
            knative.remove(self._api, graph, part.name)
        status.pop("url", None)
        status["conditions"] = []
        self._set(status, "Ready", "False", "Stopped")
        self._set(status, "Stopped", "True")

    def _set(self, status: Object, kind: str, state: str, reason: str = "") -> None:
        before = conditions.find(status, kind)
        if before is not None and before["status"] == state:
            return
        said = {"type": kind, "status": state, "lastTransitionTime": self._world.timestamp()}
        if reason:
            said["reason"] = reason
        rest = [each for each in status.get("conditions") or () if each["type"] != kind]
        status["conditions"] = [*rest, said]


def _part(said: Settings, graph: Object, mode: str) -> Part:
    metadata, spec, router = graph["metadata"], graph["spec"], said.section("router")
    name = metadata["name"]
    container: Object = {
        "image": router.get("image", ""),
        "args": ["--graph-json", _written(spec)],
        "resources": spec.get("resources") or _resources(router),
        "readinessProbe": {
            "httpGet": {"path": "/readyz", "port": naming.HTTP_PORT, "scheme": "HTTP"},
            "initialDelaySeconds": 5,
            "periodSeconds": 5,
            "timeoutSeconds": 2,
            "failureThreshold": 3,
        },
        "securityContext": copy.deepcopy(_SAFE),
    }
    if mode == naming.STANDARD:
        container["name"] = name
    if router.get("imagePullPolicy"):
        container["imagePullPolicy"] = router["imagePullPolicy"]
    if "propagate" in (router.get("headers") or {}):
        value = ",".join(router["headers"]["propagate"])
        container["env"] = [{"name": "PROPAGATE_HEADERS", "value": value}]
    pod: Object = {each: copy.deepcopy(spec[each]) for each in _OF_POD if each in spec}
    pod |= {"containers": [container], "automountServiceAccountToken": False}
    if router.get("imagePullSecrets"):
        pod["imagePullSecrets"] = [{"name": each} for each in router["imagePullSecrets"]]
    labels = {**(metadata.get("labels") or {}), LABEL: name}
    if mode == naming.KNATIVE:
        labels[f"{naming.GROUP}/kind"] = "InferenceGraph"
    extension = {
        each: spec[each]
        for each in ("minReplicas", "maxReplicas", "scaleMetric", "scaleTarget", "timeout")
        if each in spec
    }
    return Part(
        "graph",
        name,
        labels,
        dict(metadata.get("annotations") or {}),
        pod,
        extension,
        kind=kinds.INFERENCE_GRAPH,
    )


def _written(spec: Object) -> str:
    """Return a graph for its router, in the order of KServe's fields."""
    said = {"resources": {}, **spec}
    said["nodes"] = {
        name: {**node, "steps": [_ordered(step, _OF_STEP) for step in node.get("steps") or ()]}
        for name, node in spec["nodes"].items()
    }
    return json.dumps(_ordered(said, _OF_GRAPH), separators=(",", ":"))


def _ordered(item: Object, names: tuple[str, ...]) -> Object:
    return {name: item[name] for name in names if name in item}


def _resources(router: Object) -> Object:
    return {
        part: {name: router[f"{name}{word}"] for name in ("cpu", "memory") if f"{name}{word}" in router}
        for part, word in (("limits", "Limit"), ("requests", "Request"))
    }


def _variable(spec: Object, name: str) -> str:
    for container in (spec.get("containers") or [])[:1]:
        for each in container.get("env") or ():
            if each["name"] == name:
                return each.get("value", "")
    return ""


def _model_name(isvc: Object) -> str:
    """Return the name that a server has been told, or else that of the inference service."""
    spec = isvc["spec"]
    model = spec["predictor"].get("model") or {}
    for each in model.get("env") or ():
        if each["name"] == "MLSERVER_MODEL_NAME":
            return each.get("value", "")
    for holder in (*((spec.get("transformer") or {}).get("containers") or [])[:1], model):
        args = holder.get("args") or []
        for at, word in enumerate(args):
            if word.startswith("--model_name"):
                _, given, value = word.partition("=")
                return value if given else (args[at + 1] if at + 1 < len(args) else "")
    return isvc["metadata"]["name"]
