"""The notebook controller: a Notebook becomes a server with an address and a route, and tells how it is.

kubeflow/kubeflow v1.10.0, components/notebook-controller: main.go and controllers/notebook_controller.go;
what it copies into objects that are there, components/common/reconcilehelper/util.go.
"""

from __future__ import annotations

import copy
import json

from rehearsal.players import culling, flags, kinds, reissuing, routing
from rehearsal.players.controller import Controller
from rehearsal.players.kinds import Key, Object
from rehearsal.players.program import Program

STOPPED = "kubeflow-resource-stopped"
"""Annotation of a notebook that shall not run."""
LABEL = "notebook-name"
"""Label of a notebook's pod."""

_FLAGS = {
    "metrics-addr": ":8080",
    "probe-addr": ":8081",
    "leader-election-namespace": "",
    "burst": "0",
    "qps": "0",
}
_SWITCHES = ("enable-leader-election",)
_PORT = 8888
_REWRITE = "notebooks.kubeflow.org/http-rewrite-uri"
_HEADERS = "notebooks.kubeflow.org/http-headers-request-set"


def controllers(program: Program) -> list[Controller]:
    """Return what the program runs."""
    flags.parse(program.settings.words, _FLAGS, _SWITCHES)
    return [_Notebooks(program).controller, *reissuing.controllers(program), *culling.controllers(program)]


class _Notebooks:
    def __init__(self, program: Program):
        self._settings = program.settings
        self._api = program.api
        self._world = program.world
        self._istio = program.settings.environment.get("USE_ISTIO") == "true"
        self.controller = program.controller(kinds.NOTEBOOK, self._reconcile)
        self.controller.owns(kinds.STATEFUL_SET)
        self.controller.owns(kinds.SERVICE)
        self.controller.watches(kinds.POD, _notebook_of_pod)
        if self._istio:
            self.controller.owns(kinds.VIRTUAL_SERVICE)

    def _reconcile(self, key: Key) -> None:
        notebook = self._api.get(kinds.NOTEBOOK, key)
        if notebook is None or "deletionTimestamp" in notebook["metadata"]:
            return
        namespace, name = key
        live = self._api.get(kinds.STATEFUL_SET, key)
        server = self._api.keep(kinds.STATEFUL_SET, self._server(notebook), live, _copy_server)
        service = self._api.get(kinds.SERVICE, key)
        self._api.keep(kinds.SERVICE, _service(notebook), service, routing.copy_service)
        if self._istio:
            route = self._route(notebook)
            found = self._api.read(kinds.VIRTUAL_SERVICE, kinds.key(route))
            self._api.keep(kinds.VIRTUAL_SERVICE, route, found, routing.copy_spec)
        pod = self._api.get(kinds.POD, (namespace, f"{name}-0"))
        self._api.replace_status(kinds.NOTEBOOK, notebook, self._status(notebook, server, pod))

    def _server(self, notebook: Object) -> Object:
        """Return the StatefulSet."""
        name, annotations = notebook["metadata"]["name"], notebook["metadata"].get("annotations", {})
        labels = {"statefulset": name, LABEL: name, **notebook["metadata"].get("labels", {})}
        shown = {k: v for k, v in annotations.items() if "kubectl" not in k and "notebook" not in k}
        return {
            "metadata": _metadata(notebook),
            "spec": {
                "replicas": 0 if STOPPED in annotations else 1,
                "selector": {"matchLabels": {"statefulset": name}},
                "template": {
                    "metadata": {"labels": labels, "annotations": shown},
                    "spec": self._pod(notebook),
                },
            },
        }

    def _pod(self, notebook: Object) -> Object:
        """Return the pod's spec: the notebook's, with what the first container and all volumes need."""
        namespace, name = kinds.key(notebook)
        pod = copy.deepcopy(notebook["spec"]["template"]["spec"])
        container = pod["containers"][0]
        container["workingDir"] = container.get("workingDir") or "/home/jovyan"
        if container.get("ports") is None:
            container["ports"] = [{"containerPort": _PORT, "name": "notebook-port", "protocol": "TCP"}]
        variables = container.setdefault("env", [])
        prefix = {"name": "NB_PREFIX", "value": f"/notebook/{namespace}/{name}"}
        given = [each for each in variables if each["name"] == prefix["name"]]
        if given:
            given[0].update(prefix)
        else:
            variables.append(prefix)
        if (
            self._settings.environment.get("ADD_FSGROUP", "true") == "true"
            and pod.get("securityContext") is None
        ):
            pod["securityContext"] = {"fsGroup": 100}
        return pod

    def _route(self, notebook: Object) -> Object:
        """Return the VirtualService."""
        namespace, name = kinds.key(notebook)
        annotations = notebook["metadata"].get("annotations", {})
        prefix = f"/notebook/{namespace}/{name}/"
        domain = self._settings.environment.get("CLUSTER_DOMAIN", "cluster.local")
        return {
            "metadata": _metadata(notebook) | {"name": f"notebook-{namespace}-{name}"},
            "spec": routing.spec(
                self._settings.variable("ISTIO_HOST", "*"),
                self._settings.variable("ISTIO_GATEWAY", "kubeflow/kubeflow-gateway"),
                prefix,
                annotations.get(_REWRITE) or prefix,
                f"{name}.{namespace}.svc.{domain}",
                headers={"request": {"set": _headers(annotations.get(_HEADERS, ""))}},
            ),
        }

    def _status(self, notebook: Object, server: Object, pod: Object | None) -> Object:
        """Return the status: how the pod is, and the container that is called like the notebook."""
        status: Object = {
            "conditions": [],
            "readyReplicas": server.get("status", {}).get("readyReplicas", 0),
            "containerState": {},
        }
        said = (pod or {}).get("status", {})
        for each in said.get("containerStatuses", ()):
            if each["name"] == notebook["metadata"]["name"]:
                status["containerState"] = each.get("state", {})
        before = notebook.get("status", {}).get("conditions", [])
        status["conditions"] = [self._condition(each, before) for each in said.get("conditions", ())]
        return status

    def _condition(self, said: Object, before: list[Object]) -> Object:
        """Return a notebook's condition that says what a pod's does.

        A time that the pod does not tell is that of the first sight; upstream's is that of the last.
        """
        fields = ("type", "status", "reason", "message", "lastProbeTime", "lastTransitionTime")
        condition = {field: said[field] for field in fields if said.get(field)}
        for earlier in before:
            if condition.items() <= earlier.items():
                return earlier
        now = self._world.timestamp()
        return {"lastProbeTime": now, "lastTransitionTime": now, **condition}


def _notebook_of_pod(pod: Object) -> list[Key]:
    name = pod["metadata"].get("labels", {}).get(LABEL)
    return [] if name is None else [(kinds.key(pod)[0], name)]


def _metadata(notebook: Object) -> Object:
    namespace, name = kinds.key(notebook)
    return {
        "name": name,
        "namespace": namespace,
        "ownerReferences": [kinds.reference(kinds.NOTEBOOK, notebook)],
    }


def _copy_server(wanted: Object, item: Object) -> None:
    """Copy into a StatefulSet: not the labels and annotations of its pods, so they stay as they began."""
    for part in ("labels", "annotations"):
        routing.replace_part(wanted["metadata"], item["metadata"], part)
    item["spec"]["replicas"] = wanted["spec"]["replicas"]
    item["spec"]["template"]["spec"] = copy.deepcopy(wanted["spec"]["template"]["spec"])


def _service(notebook: Object) -> Object:
    name = notebook["metadata"]["name"]
    ports = notebook["spec"]["template"]["spec"]["containers"][0].get("ports")
    return {
        "metadata": _metadata(notebook),
        "spec": {
            "type": "ClusterIP",
            "selector": {"statefulset": name},
            "ports": [
                {
                    # Istio takes the protocol from the name.
                    "name": f"http-{name}",
                    "port": routing.PORT,
                    "targetPort": _PORT if ports is None else ports[0]["containerPort"],
                    "protocol": "TCP",
                }
            ],
        },
    }


def _headers(text: str) -> dict[str, str]:
    """Return the headers that an annotation asks for; none if it is no JSON object of texts."""
    try:
        said = json.loads(text or "{}")
    except ValueError:
        return {}
    fits = isinstance(said, dict) and all(isinstance(value, str) for value in said.values())
    return said if fits else {}
