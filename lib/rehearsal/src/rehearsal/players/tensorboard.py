"""The TensorBoard controller: a Tensorboard becomes a server that reads logs, with an address and a route.

kubeflow/kubeflow v1.10.0, components/tensorboard-controller: main.go and
controllers/tensorboard_controller.go; Service and VirtualService, components/common/reconcilehelper/util.go.
"""

from __future__ import annotations

import copy

from rehearsal.players import flags, kinds, placing, routing
from rehearsal.players.controller import Controller
from rehearsal.players.kinds import Key, Object
from rehearsal.players.program import Program

_FLAGS = {"metrics-bind-address": ":8080", "health-probe-bind-address": ":8081"}
_SWITCHES = ("leader-elect",)
_PORT = 6006
_CLOUDS = ("gs://", "s3://", "/cns/")
_TRUE, _FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")


def controllers(program: Program) -> list[Controller]:
    """Return what the program runs."""
    flags.parse(program.settings.words, _FLAGS, _SWITCHES)
    return [_Tensorboards(program).controller]


class _Tensorboards:
    def __init__(self, program: Program):
        self._environment = program.settings.environment
        self._api = program.api
        self._api.follower(kinds.POD)
        self.controller = program.controller(kinds.TENSORBOARD, self._reconcile)
        self.controller.owns(kinds.DEPLOYMENT)

    def _reconcile(self, key: Key) -> None:
        board = self._api.get(kinds.TENSORBOARD, key)
        if board is None or "deletionTimestamp" in board["metadata"]:
            return
        live = self._api.get(kinds.DEPLOYMENT, key)
        server = self._api.keep(kinds.DEPLOYMENT, self._server(board), live, _copy_server)
        service = self._api.get(kinds.SERVICE, key)
        self._api.keep(kinds.SERVICE, _service(board), service, routing.copy_service)
        route = self._api.read(kinds.VIRTUAL_SERVICE, key)
        self._api.keep(kinds.VIRTUAL_SERVICE, self._route(board), route, routing.copy_spec)
        self._api.replace_status(kinds.TENSORBOARD, board, _status(board, server))

    def _server(self, board: Object) -> Object:
        """Return the Deployment."""
        name, path = board["metadata"]["name"], board["spec"]["logspath"]
        folder, volume, mount = _logs(path)
        pod: Object = {
            "affinity": self._affinity(board, volume),
            "restartPolicy": "Always",
            "containers": [
                {
                    "name": "tensorboard",
                    "image": self._required("TENSORBOARD_IMAGE"),
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["/usr/local/bin/tensorboard"],
                    "workingDir": "/",
                    "args": [f"--logdir={folder}", "--bind_all"],
                    "ports": [{"containerPort": _PORT}],
                }
            ],
        }
        if volume:
            pod["containers"][0]["volumeMounts"] = [mount]
            pod["volumes"] = [volume]
        labels = {**board["metadata"].get("labels", {}), "app": name}
        return {
            "metadata": _metadata(board),
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": {"app": name}},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        }

    def _affinity(self, board: Object, volume: Object | None) -> Object:
        """Return where the server had better run: where a pod runs that has its ReadWriteOnce volume."""
        if volume is None or "persistentVolumeClaim" not in volume or not self._near_volumes():
            return {}
        namespace = board["metadata"]["namespace"]
        name = volume["persistentVolumeClaim"]["claimName"]
        claim = self._api.get(kinds.CLAIM, (namespace, name))
        if claim is None:
            raise LookupError(f'persistentvolumeclaims "{name}" not found')
        if claim.get("status", {}).get("accessModes", [])[:1] != ["ReadWriteOnce"]:
            return {}
        for pod in self._api.items(kinds.POD, namespace):
            running = pod.get("status", {}).get("phase") == "Running"
            if running and name in placing.claims(pod):
                return placing.preferring(pod["spec"]["nodeName"])
        return {}

    def _near_volumes(self) -> bool:
        said = self._environment.get("RWO_PVC_SCHEDULING", "false")
        if said not in _TRUE + _FALSE:
            raise ValueError(f'RWO_PVC_SCHEDULING is "{said}"')
        return said in _TRUE

    def _route(self, board: Object) -> Object:
        """Return the VirtualService."""
        namespace, name = kinds.key(board)
        return {
            "metadata": _metadata(board),
            "spec": routing.spec(
                self._required("ISTIO_HOST"),
                self._required("ISTIO_GATEWAY"),
                f"/tensorboard/{namespace}/{name}/",
                "/",
                f"{name}.{namespace}.svc.cluster.local",
                timeout="300s",
            ),
        }

    def _required(self, name: str) -> str:
        if name not in self._environment:
            raise LookupError(f"environment variable {name} is not set")
        return self._environment[name]


def _logs(path: str) -> tuple[str, Object | None, Object | None]:
    """Return the folder that the server reads, the volume it is on, if any, and how that is mounted."""
    if path.startswith("gs://"):
        volume = {"name": "gcp-creds", "secret": {"secretName": "user-gcp-sa"}}
        return path, volume, {"name": "gcp-creds", "readOnly": True, "mountPath": "/secret/gcp"}
    if path.startswith(_CLOUDS):
        return path, None, None
    folder, claim, inside = path, "tb-volume", ""
    if path.startswith("pvc://"):
        claim, _, inside = path.removeprefix("pvc://").partition("/")
        folder = "/tensorboard_logs/"
    mount = {"name": "tbpd", "readOnly": True, "mountPath": folder}
    if inside:
        mount["subPath"] = inside
    return folder, {"name": "tbpd", "persistentVolumeClaim": {"claimName": claim}}, mount


def _metadata(board: Object) -> Object:
    namespace, name = kinds.key(board)
    return {
        "name": name,
        "namespace": namespace,
        "ownerReferences": [kinds.reference(kinds.TENSORBOARD, board)],
    }


def _copy_server(wanted: Object, item: Object) -> None:
    """Copy into a Deployment: of its pods, where they had better run, and nothing else."""
    routing.replace_part(wanted["metadata"], item["metadata"], "labels")
    item["spec"]["replicas"] = wanted["spec"]["replicas"]
    item["spec"]["template"]["spec"]["affinity"] = copy.deepcopy(
        wanted["spec"]["template"]["spec"]["affinity"]
    )


def _service(board: Object) -> Object:
    name = board["metadata"]["name"]
    return {
        "metadata": _metadata(board),
        "spec": {
            "type": "ClusterIP",
            "selector": {"app": name},
            "ports": [{"name": f"http-{name}", "port": routing.PORT, "targetPort": _PORT}],
        },
    }


def _status(board: Object, server: Object) -> Object:
    """Return the status: the Deployment's first condition, after those that were the first before it."""
    said, status = server.get("status", {}), board.get("status", {})
    conditions = list(status.get("conditions", []))
    if said.get("conditions"):
        first = said["conditions"][0]
        condition = {"deploymentState": first["type"], "lastProbeTime": first["lastUpdateTime"]}
        if not conditions or conditions[-1]["deploymentState"] != condition["deploymentState"]:
            conditions.append(condition)
    return {**status, "conditions": conditions, "readyReplicas": said.get("readyReplicas", 0)}
