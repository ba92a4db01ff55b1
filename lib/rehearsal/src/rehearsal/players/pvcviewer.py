"""The PVC viewer controller: a PVCViewer becomes a file browser on a claim, with an address and a route.

kubeflow/kubeflow v1.10.0, components/pvcviewer-controller: main.go and controllers/pvcviewer_controller.go.
`pvcviewer_webhook.py` plays its webhooks.
"""

from __future__ import annotations

import copy

from rehearsal.players import flags, kinds, placing, routing
from rehearsal.players.controller import Controller
from rehearsal.players.kinds import Key, Object
from rehearsal.players.program import Program

_FLAGS = {"metrics-bind-address": ":8080", "health-probe-bind-address": ":8081"}
_SWITCHES = ("leader-elect",)
_PREFIX = "pvcviewer-"
_PART_OF = "app.kubernetes.io/part-of"
_PART = "pvc-viewer"


def controllers(program: Program) -> list[Controller]:
    """Return what the program runs."""
    flags.parse(program.settings.words, _FLAGS, _SWITCHES)
    return [_Viewers(program).controller]


class _Viewers:
    def __init__(self, program: Program):
        self._gateway = program.settings.variable("ISTIO_GATEWAY", "kubeflow/kubeflow-gateway")
        self._api = program.api
        self.controller = program.controller(kinds.PVC_VIEWER, self._reconcile)
        for kind in (kinds.DEPLOYMENT, kinds.SERVICE, kinds.VIRTUAL_SERVICE):
            self.controller.owns(kind)

    def _reconcile(self, key: Key) -> None:
        viewer = self._api.get(kinds.PVC_VIEWER, key)
        if viewer is None:
            return
        made = (key[0], _PREFIX + key[1])
        server = self._api.get(kinds.DEPLOYMENT, made)
        if "deletionTimestamp" not in viewer["metadata"]:
            server = self._keep_server(viewer, server)
            if _networking(viewer):
                service = self._api.get(kinds.SERVICE, made)
                self._api.keep(kinds.SERVICE, _service(viewer), service, _copy_service)
                route = self._api.read(kinds.VIRTUAL_SERVICE, made)
                self._api.keep(kinds.VIRTUAL_SERVICE, self._route(viewer), route, _copy_route)
        self._api.replace_status(kinds.PVC_VIEWER, viewer, _status(viewer, server))

    def _keep_server(self, viewer: Object, live: Object | None) -> Object:
        """Have the Deployment; where its pod had better run is decided when it is made, once and for all."""
        if live is None:
            affinity = self._affinity(viewer) if viewer["spec"].get("rwoScheduling") else None
        else:
            affinity = live["spec"]["template"]["spec"].get("affinity")
        return self._api.keep(kinds.DEPLOYMENT, _server(viewer, affinity), live, _copy_server)

    def _affinity(self, viewer: Object) -> Object | None:
        """Return where a pod runs that has the claim, if that one can be mounted on one node only."""
        namespace, name = viewer["metadata"]["namespace"], viewer["spec"]["pvc"]
        claim = self._api.get(kinds.CLAIM, (namespace, name))
        if claim is None or claim["spec"].get("accessModes") != ["ReadWriteOnce"]:
            return None
        users = [
            pod
            for pod in self._api.items(kinds.POD, namespace)
            if pod["metadata"].get("labels", {}).get(_PART_OF) != _PART
            for each in placing.claims(pod)
            if each == name
        ]
        # As upstream: of two users it follows none, even if both are on the same node.
        if len(users) != 1 or not users[0]["spec"].get("nodeName"):
            return None
        return placing.preferring(users[0]["spec"]["nodeName"])

    def _route(self, viewer: Object) -> Object:
        """Return the VirtualService."""
        namespace, name = kinds.key(viewer)
        networking = _networking(viewer)
        timeout = {"timeout": networking["timeout"]} if networking.get("timeout") else {}
        return {
            "metadata": _metadata(viewer),
            "spec": routing.spec(
                "*",
                self._gateway,
                _url(viewer),
                networking.get("rewrite") or _url(viewer),
                f"{_PREFIX}{name}.{namespace}.svc.cluster.local",
                **timeout,
            ),
        }


def _networking(viewer: Object) -> Object:
    """Return what is said of the viewer's address; nothing if all of it is empty."""
    return {name: value for name, value in viewer["spec"].get("networking", {}).items() if value}


def _url(viewer: Object) -> str:
    namespace, name = kinds.key(viewer)
    return f"{_networking(viewer).get('basePrefix', '')}/{namespace}/{name}/"


def _labels(viewer: Object) -> dict[str, str]:
    name = viewer["metadata"]["name"]
    return {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/instance": _PREFIX + name,
        _PART_OF: _PART,
    }


def _metadata(viewer: Object) -> Object:
    namespace, name = kinds.key(viewer)
    return {
        "name": _PREFIX + name,
        "namespace": namespace,
        "labels": _labels(viewer),
        "ownerReferences": [kinds.reference(kinds.PVC_VIEWER, viewer)],
    }


def _server(viewer: Object, affinity: Object | None) -> Object:
    pod = copy.deepcopy(viewer["spec"].get("podSpec", {}))
    pod.pop("affinity", None)
    if affinity:
        pod["affinity"] = affinity
    return {
        "metadata": _metadata(viewer),
        "spec": {
            "selector": {"matchLabels": _labels(viewer)},
            "strategy": {"type": "Recreate"},
            "template": {"metadata": {"labels": _labels(viewer)}, "spec": pod},
        },
    }


def _service(viewer: Object) -> Object:
    return {
        "metadata": _metadata(viewer),
        "spec": {
            "type": "ClusterIP",
            "selector": _labels(viewer),
            "ports": [
                {"name": "http", "port": routing.PORT, "targetPort": _networking(viewer).get("targetPort", 0)}
            ],
        },
    }


def _adopt(wanted: Object, item: Object) -> None:
    """Make the viewer the controller of an object that is there."""
    owner = wanted["metadata"]["ownerReferences"][0]
    others = [each for each in item["metadata"].get("ownerReferences", ()) if each["uid"] != owner["uid"]]
    if any(each.get("controller") for each in others):
        raise ValueError(f"{item['metadata']['name']} is already controlled by another object")
    if len(others) == len(item["metadata"].get("ownerReferences", ())):
        item["metadata"]["ownerReferences"] = [*others, owner]


def _copy_server(wanted: Object, item: Object) -> None:
    _adopt(wanted, item)
    for part in ("selector", "strategy", "template"):
        item["spec"][part] = copy.deepcopy(wanted["spec"][part])


def _copy_service(wanted: Object, item: Object) -> None:
    _adopt(wanted, item)
    item["spec"].update(copy.deepcopy(wanted["spec"]))


def _copy_route(wanted: Object, item: Object) -> None:
    _adopt(wanted, item)
    routing.copy_spec(wanted, item)


def _status(viewer: Object, server: Object | None) -> Object:
    """Return the status: the Deployment's first condition, after those that were the first before it."""
    status: Object = {"ready": False}
    conditions = list(viewer.get("status", {}).get("conditions", []))
    if _networking(viewer):
        status["url"] = _url(viewer)
    if server is not None:
        said = server.get("status", {})
        status["ready"] = server["spec"]["replicas"] == said.get("readyReplicas", 0)
        if said.get("conditions") and said["conditions"][0] not in conditions[-1:]:
            conditions.append(said["conditions"][0])
    return status | ({"conditions": conditions} if conditions else {})
