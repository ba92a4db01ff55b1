"""What becomes of a component in the mode `Standard`: Deployment, Service and autoscaler.

kserve/kserve v0.16.0, reconcilers/{raw,deployment,service,hpa,autoscaler}. What may surprise there, and so
here: a Deployment is left alone by an autoscaler of the class `external`, and its Service has port 80 in
front of the container's first port; of the Services by which workers find their first node, the three newest
of the whole cluster stay, so that more than three models on several nodes take them from each other. KEDA's
scalers and collectors of metrics are not made.
"""

from __future__ import annotations

import copy
from typing import Any

from rehearsal.players import kinds
from rehearsal.players.api import Api
from rehearsal.players.kinds import Object
from rehearsal.players.kserve import naming
from rehearsal.players.kserve.components import Part
from rehearsal.players.kserve.settings import Settings

_MADE = (kinds.DEPLOYMENT, kinds.SERVICE, kinds.AUTOSCALER)
_HEAD, _HEADS = "multinode/role", 3


def keep(api: Api, settings: Settings, isvc: Object, part: Part) -> list[Object]:
    """Make what a component needs, or have it changed; return its Deployments as they are.

    Raises:
        ValueError: if the inference service asks for an autoscaler that there is not, or for KEDA's, which is
            not played.
    """
    parts = [part, *([part.worker] if part.worker else [])]
    wanted = [_deployment(settings, isvc, each) for each in parts]
    wanted[0]["spec"]["template"]["metadata"]["labels"] = dict(wanted[0]["metadata"]["labels"])
    services = [_service(settings, isvc, part), *([_head(isvc, part)] if part.worker else [])]
    scaler = _autoscaler(isvc, part)
    live = [
        api.keep(kinds.DEPLOYMENT, each, api.get(kinds.DEPLOYMENT, kinds.key(each)), _copy_deployment)
        for each in wanted
    ]
    for each in services:
        api.keep(kinds.SERVICE, each, api.get(kinds.SERVICE, kinds.key(each)), _copy_service)
    if part.worker:
        _prune(api)
    _scale(api, isvc, part, scaler)
    return live


def remove(api: Api, isvc: Object, part: Part) -> None:
    """Take away what a component has; what others have made under its names stays."""
    names = [part.name]
    if part.worker:
        names += [part.worker.name, _head(isvc, part)["metadata"]["name"]]
    for name in names:
        for kind in _MADE:
            found = api.get(kind, (isvc["metadata"]["namespace"], name))
            if found is not None and owned(isvc, found) and "deletionTimestamp" not in found["metadata"]:
                api.delete(kind, kinds.key(found))


def owned(isvc: Object, item: Object) -> bool:
    """Tell whether an inference service controls an object."""
    return any(
        each.get("controller") and each["uid"] == isvc["metadata"]["uid"]
        for each in item["metadata"].get("ownerReferences") or ()
    )


def metadata(isvc: Object, part: Part) -> Object:
    """Return the metadata of what a component has."""
    return {
        "name": part.name,
        "namespace": isvc["metadata"]["namespace"],
        "labels": dict(part.labels),
        "annotations": dict(part.annotations),
        "ownerReferences": [kinds.reference(part.kind, isvc)],
    }


def _labelled(isvc: Object, part: Part) -> Object:
    """Return the metadata of an object that carries the label by which a component's pods are chosen."""
    about = metadata(isvc, part)
    about["labels"]["app"] = _label(part)
    return about


def url(settings: Settings, isvc: Object, part: Part) -> str:
    """Return the URL of a component."""
    ingress = settings.ingress
    about = {**metadata(isvc, part)}
    host = naming.domain(ingress["domainTemplate"], part.name, about, ingress["ingressDomain"])
    return f"http://{host}"


def _label(part: Part) -> str:
    return f"isvc.{part.name}"


def _deployment(settings: Settings, isvc: Object, part: Part) -> Object:
    about = _labelled(isvc, part)
    pod = copy.deepcopy(part.pod)
    for each in pod["containers"]:
        each.setdefault("imagePullPolicy", "IfNotPresent")
        if each["name"] in (naming.CONTAINER, naming.TRANSFORMER) and "readinessProbe" not in each:
            ports = each.get("ports") or [{"containerPort": naming.HTTP_PORT}]
            each["readinessProbe"] = {
                "tcpSocket": {"port": ports[0]["containerPort"]},
                "timeoutSeconds": 1,
                "periodSeconds": 10,
                "successThreshold": 1,
                "failureThreshold": 3,
            }
    strategy = part.extension.get("deploymentStrategy") or _strategy(settings)
    spec: Object = {
        "selector": {"matchLabels": {"app": _label(part)}},
        "strategy": strategy,
        "template": {
            "metadata": {"labels": dict(about["labels"]), "annotations": dict(part.annotations)},
            "spec": pod,
        },
    }
    if part.annotations.get(naming.AUTOSCALER) == "none" and "minReplicas" in part.extension:
        spec["replicas"] = part.extension["minReplicas"]
    if "replicas" in part.extension.get("worker", {}):
        spec["replicas"] = part.extension["worker"]["replicas"]
        if strategy.get("type") == "RollingUpdate":
            spec["strategy"]["rollingUpdate"] = {"maxUnavailable": "0%", "maxSurge": "100%"}
    return {"metadata": about, "spec": spec}


def _strategy(settings: Settings) -> Object:
    said = settings.rollout
    rolling = {"maxUnavailable": "25%", "maxSurge": "25%"}
    rolling |= {name: value for name, value in said.items() if name in rolling and value}
    return {"type": "RollingUpdate", "rollingUpdate": rolling}


def _copy_deployment(wanted: Object, item: Object) -> None:
    for name in ("labels", "annotations"):
        kept = {key: value for key, value in (item["metadata"].get(name) or {}).items() if _foreign(key)}
        item["metadata"][name] = {**kept, **wanted["metadata"][name]}
    for name, value in wanted["spec"].items():
        item["spec"][name] = copy.deepcopy(value)


def _foreign(key: str) -> bool:
    return key == "deployment.kubernetes.io/revision"


def _service(settings: Settings, isvc: Object, part: Part) -> Object:
    containers = part.pod["containers"]
    main = next((each for each in containers if each["name"] == naming.TRANSFORMER), containers[0])
    ports = []
    for at, port in enumerate(main.get("ports") or ()):
        said: dict[str, Any] = {
            "port": 80 if at == 0 else port["containerPort"],
            "targetPort": port["containerPort"],
            "protocol": port.get("protocol") or "TCP",
        }
        if port.get("name"):
            said["name"] = port["name"]
        if "grpc" in port.get("name", "") or "h2c" in port.get("name", ""):
            said["appProtocol"] = "kubernetes.io/h2c"
        ports.append(said)
    if not ports:
        ports = [{"name": part.name, "port": 80, "targetPort": naming.HTTP_PORT, "protocol": "TCP"}]
    if "batcher" in part.extension or "logger" in part.extension:
        ports[0]["targetPort"] = naming.AGENT_PORT
    spec: Object = {"selector": {"app": _label(part)}, "ports": ports}
    if settings.section("service").get("serviceClusterIPNone"):
        spec["clusterIP"] = "None"
    return {"metadata": _labelled(isvc, part), "spec": spec}


def _head(isvc: Object, part: Part) -> Object:
    """Return the Service by which the workers find the first node."""
    about = _labelled(isvc, part)
    generation = str(isvc["metadata"].get("generation", 1))
    about["name"] = f"{part.name.removesuffix('-predictor')}-head-{generation}"
    about["labels"][_HEAD] = "head"
    spec = {
        "selector": {"app": _label(part), "isvc.generation": generation},
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
    }
    return {"metadata": about, "spec": spec}


def _prune(api: Api) -> None:
    """Delete all but the newest Services of first nodes, whosever they are."""
    heads = [
        each
        for each in api.follower(kinds.SERVICE).items()
        if (each["metadata"].get("labels") or {}).get(_HEAD) == "head"
    ]
    heads.sort(key=lambda each: each["metadata"]["creationTimestamp"], reverse=True)
    for each in heads[_HEADS:]:
        api.delete(kinds.SERVICE, kinds.key(each))


def _copy_service(wanted: Object, item: Object) -> None:
    for name in ("labels", "annotations"):
        item["metadata"][name] = dict(wanted["metadata"][name])
    for name in ("ports", "selector"):
        if name in wanted["spec"]:
            item["spec"][name] = copy.deepcopy(wanted["spec"][name])


def _autoscaler(isvc: Object, part: Part) -> Object | None:
    """Return the autoscaler; None if there is to be none."""
    which = part.annotations.get(naming.AUTOSCALER, "hpa")
    if which not in ("hpa", "external", "none", "keda"):
        raise ValueError(f"unknown autoscaler class type: {which}")
    if which != "hpa":
        return None
    least = max(part.extension.get("minReplicas") or 1, 1)
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": part.name},
        "minReplicas": least,
        "maxReplicas": max(part.extension.get("maxReplicas") or 0, least),
        "metrics": _metrics(part.extension),
        "behavior": {},
    }
    return {"metadata": _labelled(isvc, part), "spec": spec}


def _metrics(extension: Object) -> list[Object]:
    def resource(name: str, target: Object) -> Object:
        return {"type": "Resource", "resource": {"name": name, "target": target}}

    def usage(percent: int) -> Object:
        return {"type": "Utilization", "averageUtilization": percent}

    if "autoScaling" not in extension:
        name, target = extension.get("scaleMetric", "cpu"), extension.get("scaleTarget")
        if name == "cpu":
            return [resource("cpu", usage(80 if target is None else target))]
        return [resource("memory", usage(target))] if name == "memory" and target is not None else []
    found = []
    for metric in extension["autoScaling"].get("metrics") or ():
        said = metric.get("resource") or {}
        target = said.get("target") or {}
        if said.get("name") == "cpu":
            found.append(resource("cpu", usage(target.get("averageUtilization", 80))))
        elif said.get("name") == "memory":
            found.append(resource("memory", {key: value for key, value in target.items() if key != "value"}))
    return found


def _scale(api: Api, isvc: Object, part: Part, scaler: Object | None) -> None:
    if part.annotations.get(naming.AUTOSCALER) == "keda":
        raise ValueError(
            f"fails to reconcile {part.component}: failed to get existing KEDA autoscaler: no kind is "
            'registered for the type v1alpha1.ScaledObject in scheme "pkg/runtime/scheme.go:111"'
        )
    live = api.get(kinds.AUTOSCALER, (isvc["metadata"]["namespace"], part.name))
    if scaler is not None and part.worker is None:
        api.keep(kinds.AUTOSCALER, scaler, live, _copy_autoscaler)
    elif live is not None and owned(isvc, live):
        api.delete(kinds.AUTOSCALER, kinds.key(live))


def _copy_autoscaler(wanted: Object, item: Object) -> None:
    _copy_service({**wanted, "spec": {}}, item)
    item["spec"] = copy.deepcopy(wanted["spec"])
