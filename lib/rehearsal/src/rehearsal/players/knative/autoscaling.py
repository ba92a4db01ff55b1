"""PodAutoscalers: how many pods a revision has, and whether it has any.

knative.dev/serving v0.42.2, pkg/reconciler/autoscaling/{kpa,hpa} and pkg/autoscaler/scaling. There are no
requests to count here: how many there are at a time is told by the annotation `rehearsal/concurrency` of a
PodAutoscaler. Without it there are as many as the pods that there are can take, so nothing is scaled down;
with 0, a revision goes to none at once if it may, with more it comes back. A revision that no traffic can
reach goes to none at once; upstream waits for a while.
"""

from __future__ import annotations

import copy
import math

from rehearsal.players import conditions, kinds
from rehearsal.players.controller import Controller
from rehearsal.players.kinds import Key, Object
from rehearsal.players.knative import conventions
from rehearsal.players.program import Program

_CLASS = f"{conventions.AUTOSCALING}/class"
_KPA, _HPA = f"kpa.{conventions.AUTOSCALING}", f"hpa.{conventions.AUTOSCALING}"


class Autoscalers:
    """The controller of PodAutoscalers of one class.

    Args:
        program: the autoscaler, or the one for the class `hpa`.
        which: the class.
    """

    def __init__(self, program: Program, which: str = _KPA):
        self._api = program.api
        self._world = program.world
        self._settings = conventions.Settings.of(program)
        self._which = which
        self.controller: Controller = program.controller(
            kinds.POD_AUTOSCALER, self._reconcile, "podautoscaler"
        )
        self.controller.owns(kinds.SERVERLESS_SERVICE)
        if which == _HPA:
            self.controller.owns(kinds.AUTOSCALER)
        self.controller.watches(kinds.DEPLOYMENT, self._of_deployment)

    def _of_deployment(self, deployment: Object) -> list[Key]:
        revision = (deployment["metadata"].get("labels") or {}).get(f"{conventions.SERVING}/revision")
        return [(deployment["metadata"]["namespace"], revision)] if revision else []

    def _reconcile(self, key: Key) -> None:
        item = self._api.get(kinds.POD_AUTOSCALER, key)
        if item is None or "deletionTimestamp" in item["metadata"]:
            return
        annotations = item["metadata"].get("annotations") or {}
        usual = self._settings.data("autoscaler").get("pod-autoscaler-class", _KPA)
        if annotations.get(_CLASS, usual) != self._which:
            return
        target = (key[0], item["spec"]["scaleTargetRef"]["name"])
        deployment = self._api.get(kinds.DEPLOYMENT, target)
        if deployment is None:
            return
        status = copy.deepcopy(item.get("status") or {})
        now = self._world.timestamp()
        conventions.AUTOSCALER.begin(status, now)
        conventions.observed(item, status)
        wanted = self._scale(item, status, deployment)
        ready = (deployment.get("status") or {}).get("readyReplicas", 0)
        if wanted is not None and deployment["spec"].get("replicas") != wanted:
            self._api.patch(kinds.DEPLOYMENT, target, {"spec": {"replicas": wanted}})
        if self._which == _HPA:
            self._keep_hpa(item)
        self._expose(item, status, wanted, ready, now)
        status["actualScale"] = ready
        if wanted is not None:
            status["desiredScale"] = wanted
        self._activate(item, status, wanted, ready, now)
        self._api.replace_status(kinds.POD_AUTOSCALER, item, status)

    def _bounds(self, item: Object) -> tuple[int, int]:
        said, usual = item["metadata"].get("annotations") or {}, self._settings.data("autoscaler")
        least, most = conventions.scale(said, "min-scale"), conventions.scale(said, "max-scale")
        least = int(usual.get("min-scale", "0")) if least is None else least
        most = int(usual.get("max-scale", "0")) if most is None else most
        return (0 if item["spec"].get("reachability") == "Unreachable" else least), most

    def _initial(self, item: Object) -> int:
        said = conventions.scale(item["metadata"].get("annotations") or {}, "initial-scale")
        usual = self._settings.data("autoscaler")
        said = int(usual.get("initial-scale", "1")) if said is None else said
        return said if said or usual.get("allow-zero-initial-scale") == "true" else 1

    def _target(self, item: Object) -> float:
        """Return how many requests a pod is to have at a time."""
        usual = self._settings.data("autoscaler")
        whole = float(usual.get("container-concurrency-target-default", "100"))
        if hard := item["spec"].get("containerConcurrency"):
            whole = float(hard)
        if (said := conventions.scale(item["metadata"].get("annotations") or {}, "target")) is not None:
            whole = min(float(said), whole) if item["spec"].get("containerConcurrency") else float(said)
        part = float(usual.get("container-concurrency-target-percentage", "70"))
        return max(whole * (part / 100 if part > 1 else part), 0.01)

    def _scale(self, item: Object, status: Object, deployment: Object) -> int | None:
        """Return how many pods there are to be; None if somebody else sees to that."""
        if self._which == _HPA:
            return None
        least, most = self._bounds(item)
        now = deployment["spec"].get("replicas", 1)
        if not conditions.is_true(status, "ScaleTargetInitialized"):
            wanted = max(self._initial(item), least)
        elif item["spec"].get("reachability") == "Unreachable":
            wanted = 0
        elif (told := (item["metadata"].get("annotations") or {}).get(conventions.CONCURRENCY)) is None:
            wanted = max(now, least)
        else:
            wanted = max(math.ceil(float(told) / self._target(item)), least)
        if wanted == 0 and self._settings.data("autoscaler").get("enable-scale-to-zero") == "false":
            wanted = 1
        return min(wanted, most) if most else wanted

    def _expose(self, item: Object, status: Object, wanted: int | None, ready: int, now: str) -> None:
        """Keep the ServerlessService, and tell whether it has somewhere to lead to."""
        mode = "Proxy" if wanted == 0 or ready == 0 or self._burst(item, ready) else "Serve"
        if self._which == _HPA:
            mode = "Serve"
        about = {"labels": dict(item["metadata"].get("labels") or {})}
        name = item["metadata"]["name"]
        exposure = {
            "metadata": conventions.owned(kinds.POD_AUTOSCALER, item, name, **about),
            "spec": {
                "mode": mode,
                "objectRef": dict(item["spec"]["scaleTargetRef"]),
                "protocolType": item["spec"].get("protocolType", "http1"),
                "numActivators": 2,
            },
        }
        live = self._api.get(kinds.SERVERLESS_SERVICE, kinds.key(exposure))
        made = self._api.keep(kinds.SERVERLESS_SERVICE, exposure, live, _copy)
        told = made.get("status") or {}
        status["serviceName"] = told.get("serviceName", "")
        status["metricsServiceName"] = told.get("privateServiceName", "")
        if conditions.is_true(told, "Ready"):
            conventions.AUTOSCALER.put(status, "SKSReady", "True", now)
        else:
            message = "Requests to the target are being buffered as resources are provisioned."
            conventions.AUTOSCALER.put(status, "SKSReady", "Unknown", now, "NotReady", message)

    def _burst(self, item: Object, ready: int) -> bool:
        """Tell whether a burst of requests would be too much for the pods alone."""
        said = conventions.scale(item["metadata"].get("annotations") or {}, "target-burst-capacity")
        usual = float(self._settings.data("autoscaler").get("target-burst-capacity", "211"))
        room = usual if said is None else float(said)
        return room != 0 and (room < 0 or ready * self._target(item) - room < 0)

    def _activate(self, item: Object, status: Object, wanted: int | None, ready: int, now: str) -> None:
        least, _ = self._bounds(item)
        initialized = conditions.is_true(status, "ScaleTargetInitialized")
        threshold = max(least, 1) if initialized else max(least, self._initial(item))
        if ready >= threshold and status.get("serviceName"):
            conventions.AUTOSCALER.put(status, "ScaleTargetInitialized", "True", now)
        if wanted == 0 or threshold == 0:
            message = "The target is not receiving traffic."
            conventions.AUTOSCALER.put(status, "Active", "False", now, "NoTraffic", message)
        elif ready < threshold:
            message = "Requests to the target are being buffered as resources are provisioned."
            conventions.AUTOSCALER.put(status, "Active", "Unknown", now, "Queued", message)
        else:
            conventions.AUTOSCALER.put(status, "Active", "True", now)

    def _keep_hpa(self, item: Object) -> None:
        least, most = self._bounds(item)
        said = item["metadata"].get("annotations") or {}
        metric = said.get(f"{conventions.AUTOSCALING}/metric", "cpu")
        target = conventions.scale(said, "target") or 80
        goal: Object = {"type": "Utilization", "averageUtilization": target}
        if metric == "memory":
            goal = {"type": "AverageValue", "averageValue": f"{target}Mi"}
        least = max(least, 1)
        wanted = {
            "metadata": conventions.owned(kinds.POD_AUTOSCALER, item, item["metadata"]["name"]),
            "spec": {
                "scaleTargetRef": dict(item["spec"]["scaleTargetRef"]),
                "minReplicas": least,
                "maxReplicas": max(most or 2147483647, least),
                "metrics": [{"type": "Resource", "resource": {"name": metric, "target": goal}}],
            },
        }
        self._api.keep(kinds.AUTOSCALER, wanted, self._api.get(kinds.AUTOSCALER, kinds.key(wanted)), _copy)


def _copy(wanted: Object, item: Object) -> None:
    item["spec"] = {**item["spec"], **copy.deepcopy(wanted["spec"])}


def by_usage(program: Program) -> Autoscalers:
    """Return the controller of the class `hpa`."""
    return Autoscalers(program, _HPA)
