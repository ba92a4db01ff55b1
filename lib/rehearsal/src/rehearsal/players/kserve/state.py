"""The status of an inference service.

kserve/kserve v0.16.0, pkg/apis/serving/v1beta1/inference_service_status.go.
"""

from __future__ import annotations

from collections.abc import Sequence

from rehearsal.players import conditions, living
from rehearsal.players.kinds import Object
from rehearsal.players.kserve import naming

CONDITIONS = living.LivingSet(("PredictorReady", "IngressReady"))
READY = {each: f"{each.capitalize()}Ready" for each in naming.COMPONENTS}
ROUTE = {
    "predictor": "PredictorRouteReady",
    "transformer": "TransformerRouteReady",
    "explainer": "ExplainerRoutesReady",
}
CONFIGURATION = {each: f"{each.capitalize()}ConfigurationReady" for each in naming.COMPONENTS}


def deployed(status: Object, component: str, deployments: Sequence[Object], url: str, now: str) -> None:
    """Set what the Deployments of a component tell."""
    said = status.setdefault("components", {}).setdefault(component, {})
    available, progressing, failing = (
        _condition(deployments, kind) for kind in ("Available", "Progressing", "ReplicaFailure")
    )
    state, source = "False", {}
    if available.get("status") == "True":
        state, source = "True", available
    if progressing.get("status") == "False":
        if progressing.get("message"):
            state, source = "False", progressing
    elif progressing.get("status") == "True":
        done = progressing.get("reason") == "NewReplicaSetAvailable"
        state, source = "True" if done else "Unknown", progressing
    if available.get("status") == "False":
        state, source = "False", available
    if failing.get("status") == "True":
        state, source = "False", failing
    if state == "True":
        said["url"] = url
    reason, message = source.get("reason", ""), source.get("message", "")
    CONDITIONS.put(status, READY[component], state, now, reason, message)
    status["observedGeneration"] = (deployments[0].get("status") or {}).get("observedGeneration", 0)


def served(status: Object, component: str, service: Object, now: str) -> None:
    """Set what the Knative Service of a component tells."""
    told = service.get("status") or {}
    said = status.setdefault("components", {}).setdefault(component, {})
    _roll_out(said, told)
    said["latestCreatedRevision"] = told.get("latestCreatedRevisionName", "")
    said["latestReadyRevision"] = told.get("latestReadyRevisionName", "")
    ready = conditions.find(told, "Ready")
    if ready is not None and ready["status"] == "True":
        for name in ("address", "url"):
            if told.get(name):
                said[name] = told[name]
    CONDITIONS.copy(status, READY[component], ready, now)
    CONDITIONS.copy(status, ROUTE[component], conditions.find(told, "RoutesReady"), now)
    CONDITIONS.copy(status, CONFIGURATION[component], conditions.find(told, "ConfigurationsReady"), now)
    said["traffic"] = told.get("traffic")
    for name in [name for name, value in said.items() if not value]:
        del said[name]
    if "observedGeneration" in told:
        status["observedGeneration"] = told["observedGeneration"]


def cross(status: Object, components: Sequence[str], now: str) -> None:
    """Sum up routes and configurations of all components."""
    for kind, parts in (("RoutesReady", ROUTE), ("LatestDeploymentReady", CONFIGURATION)):
        state, reason = "True", ""
        for component in components:
            part = living.state(status, parts[component])
            if part != "True":
                state, reason = part, f"{parts[component]} not ready"
        CONDITIONS.put(status, kind, state, now, reason)


def loaded(status: Object, pods: Sequence[Object], service: Object | None) -> None:
    """Set how far the model is, given the predictor's pods, the newest first.

    Args:
        status: changed.
        pods: of the Deployment, or of the newest revision.
        service: the Knative Service, if that is how it is deployed.
    """
    model = status.setdefault("modelStatus", {})
    ready = sum(conditions.is_true(each.get("status") or {}, "Ready") for each in pods)
    model["copies"] = {"failedCopies": 0, **model.get("copies", {})}
    model["copies"].pop("totalCopies", None)
    if ready:
        model["copies"]["totalCopies"] = ready
    if not pods:
        told = ((service or {}).get("status") or {}).get("conditions") or ()
        turn(status, "FailedToLoad" if any(each["status"] == "False" for each in told) else "Pending")
        return
    newest = pods[0].get("status") or {}
    if _in_trouble(status, newest.get("initContainerStatuses"), "storage-initializer", loading=True):
        return
    said = status.get("components", {}).get("predictor", {})
    same = service is None or said.get("latestCreatedRevision") == said.get("latestReadyRevision")
    if conditions.is_true(status, "Ready") and same:
        turn(status, "Loaded")
    elif not _in_trouble(status, newest.get("containerStatuses"), naming.CONTAINER, loading=False):
        turn(status, "Pending")


def turn(status: Object, target: str, failure: Object | None = None) -> None:
    """Set the state that the model is to come to."""
    model = status.setdefault("modelStatus", {})
    model.setdefault("states", {"activeModelState": ""})["targetModelState"] = target
    if target in ("Pending", "Loading"):
        model["transitionStatus"] = "InProgress"
    elif target == "Loaded":
        model["transitionStatus"] = "UpToDate"
        model["states"]["activeModelState"] = "Loaded"
    else:
        model["transitionStatus"] = "BlockedByFailedLoad"
    if failure is not None:
        model["lastFailureInfo"] = failure


def invalid(status: Object, reason: str, message: str) -> None:
    """Say that the model cannot be served as it is."""
    model = status.setdefault("modelStatus", {})
    model["transitionStatus"] = "InvalidSpec"
    model.setdefault("states", {"activeModelState": ""})["targetModelState"] = "FailedToLoad"
    model["lastFailureInfo"] = {"reason": reason, "message": message}


def stop(status: Object, component: str, now: str) -> Object:
    """Return the status of an inference service a component of which has been stopped."""
    before = conditions.find(status, READY[component]) or {}
    if component == "predictor" and before.get("reason") != "Stopped":
        mode = status.get("deploymentMode")
        status = {"deploymentMode": mode} if mode else {}
    CONDITIONS.put(status, READY[component], "False", now, "Stopped")
    return status


def _condition(deployments: Sequence[Object], kind: str) -> Object:
    """Return a condition of a Deployment, or what two have in common."""
    found = [conditions.find(each.get("status") or {}, kind) for each in deployments]
    if len(found) == 1:
        return found[0] or {}
    there = [each for each in found if each is not None]
    if len(there) < len(deployments):
        return {}
    names = ("predictor-container", "worker-container")
    messages = [f"{name}: {each.get('message', '')}" for name, each in zip(names, there, strict=True)]
    state = "True" if all(each["status"] == "True" for each in there) else "False"
    return {
        "type": kind,
        "status": state,
        "message": ", ".join(messages),
    }


def _roll_out(said: Object, told: Object) -> None:
    """Remember which revisions have had all traffic."""
    latest = told.get("latestReadyRevisionName", "")
    shares: dict[str, int] = {}
    for each in told.get("traffic") or ():
        name = each.get("revisionName", "")
        shares[name] = shares.get(name, 0) + (each.get("percent") or 0)
    for each in told.get("traffic") or ():
        if each.get("revisionName") != latest or not each.get("latestRevision"):
            continue
        if said.get("latestRolledoutRevision", "") != latest:
            if each.get("percent") == 100:
                said["previousRolledoutRevision"] = said.get("latestRolledoutRevision", "")
                said["latestRolledoutRevision"] = latest
        elif (
            latest == told.get("latestCreatedRevisionName")
            and (each.get("percent") or 100) < 100
            and shares.get(latest) == 100
            and said.get("previousRolledoutRevision")
        ):
            said["latestRolledoutRevision"] = said["previousRolledoutRevision"]


def _in_trouble(status: Object, containers: Sequence[Object] | None, name: str, *, loading: bool) -> bool:
    """Set what a container tells of the model, if it tells anything."""
    for each in containers or ():
        if each["name"] != name:
            continue
        state, last = each.get("state") or {}, (each.get("lastState") or {}).get("terminated")
        ended = state.get("terminated") or {}
        if ended.get("reason") == "Error":
            failed = ended
        elif (state.get("waiting") or {}).get("reason") == "CrashLoopBackOff":
            failed = last or {}
        elif loading and "running" in state and last is None:
            turn(status, "Loading")
            return True
        else:
            continue
        said = {"reason": "ModelLoadFailed", "message": failed.get("message", "")}
        if failed.get("exitCode"):
            said["exitCode"] = failed["exitCode"]
        turn(status, "FailedToLoad", {name: value for name, value in said.items() if value})
        return True
    return False
