"""Revisions: a Deployment and a PodAutoscaler for each.

knative.dev/serving v0.42.2, pkg/reconciler/revision and pkg/apis/serving/v1/revision_lifecycle.go. Caches of
images are not made.
"""

from __future__ import annotations

import copy

from rehearsal.players import conditions, kinds
from rehearsal.players.controller import Controller
from rehearsal.players.kinds import Key, Object
from rehearsal.players.knative import conventions, pods
from rehearsal.players.program import Program

_REACH = {"active": "Reachable", "reserve": "Unreachable"}


class Revisions:
    """The controller of Revisions."""

    def __init__(self, program: Program):
        self._api = program.api
        self._world = program.world
        self._settings = conventions.Settings.of(program)
        self.controller: Controller = program.controller(kinds.KNATIVE_REVISION, self._reconcile, "revision")
        self.controller.owns(kinds.DEPLOYMENT)
        self.controller.owns(kinds.POD_AUTOSCALER)

    def _reconcile(self, key: Key) -> None:
        revision = self._api.get(kinds.KNATIVE_REVISION, key)
        if revision is None or "deletionTimestamp" in revision["metadata"]:
            return
        status = copy.deepcopy(revision.get("status") or {})
        now = self._world.timestamp()
        conventions.REVISION.begin(status, now)
        conventions.observed(revision, status)
        said = pods.notes(revision)
        initial = conventions.scale(said, "initial-scale")
        if initial is None:
            initial = int(self._settings.data("autoscaler").get("initial-scale", "1"))
        wanted = pods.deployment(self._settings, revision, initial)
        live = self._api.get(kinds.DEPLOYMENT, kinds.key(wanted))
        deployment = self._api.keep(kinds.DEPLOYMENT, wanted, live, _copy_deployment)
        scaler = _autoscaler(revision)
        live = self._api.get(kinds.POD_AUTOSCALER, kinds.key(scaler))
        autoscaler = self._api.keep(kinds.POD_AUTOSCALER, scaler, live, _copy_autoscaler)
        status["containerStatuses"] = [{"name": each["name"]} for each in revision["spec"]["containers"]]
        self._of_deployment(status, deployment, now)
        self._of_autoscaler(status, autoscaler, now)
        self._api.replace_status(kinds.KNATIVE_REVISION, revision, status)

    def _of_deployment(self, status: Object, deployment: Object, now: str) -> None:
        told = deployment.get("status") or {}
        progressing = conditions.find(told, "Progressing") or {}
        failing = conditions.find(told, "ReplicaFailure") or {}
        trouble = progressing if progressing.get("status") == "False" else failing
        if trouble.get("status") in ("False", "True") and trouble.get("reason"):
            reason, message = trouble["reason"], trouble.get("message", "")
            conventions.REVISION.put(status, "ResourcesAvailable", "False", now, reason, message)
        elif (conditions.find(status, "ResourcesAvailable") or {}).get("status") == "False" and told.get(
            "readyReplicas"
        ):
            conventions.REVISION.put(status, "ResourcesAvailable", "Unknown", now, "Deploying")

    def _of_autoscaler(self, status: Object, autoscaler: Object, now: str) -> None:
        told = autoscaler.get("status") or {}
        for name, source in (("actualReplicas", "actualScale"), ("desiredReplicas", "desiredScale")):
            if source in told:
                status[name] = told[source]
        ready = conditions.find(told, "Ready")
        lacking = (conditions.find(status, "ResourcesAvailable") or {}).get("status") == "False"
        if ready is None:
            conventions.REVISION.put(status, "Active", "Unknown", now, "Deploying")
            if not lacking:
                conventions.REVISION.put(status, "ResourcesAvailable", "Unknown", now, "Deploying")
            return
        if conditions.is_true(told, "ScaleTargetInitialized") and not lacking:
            conventions.REVISION.put(status, "ResourcesAvailable", "True", now)
            conventions.REVISION.put(status, "ContainerHealthy", "True", now)
        active = conditions.find(told, "Active") or ready
        conventions.REVISION.copy(status, "Active", active, now)


def _autoscaler(revision: Object) -> Object:
    state = (revision["metadata"].get("labels") or {}).get(f"{conventions.SERVING}/routingState", "")
    about = {"labels": pods.labels(revision), "annotations": pods.notes(revision)}
    name = revision["metadata"]["name"]
    return {
        "metadata": conventions.owned(kinds.KNATIVE_REVISION, revision, name, **about),
        "spec": {
            "containerConcurrency": revision["spec"].get("containerConcurrency", 0),
            "protocolType": "h2c" if pods.speaks_http2(revision) else "http1",
            "reachability": _REACH.get(state, "Unknown"),
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": conventions.child_name(name, "-deployment"),
            },
        },
    }


def _copy_deployment(wanted: Object, item: Object) -> None:
    replicas = item["spec"].get("replicas")
    for name in ("labels", "annotations"):
        item["metadata"][name] = {**(item["metadata"].get(name) or {}), **wanted["metadata"][name]}
    item["spec"] = {**item["spec"], **copy.deepcopy(wanted["spec"]), "replicas": replicas}


def _copy_autoscaler(wanted: Object, item: Object) -> None:
    item["spec"] = {**item["spec"], **copy.deepcopy(wanted["spec"])}
