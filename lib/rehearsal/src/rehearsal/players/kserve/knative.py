"""What becomes of a component in the mode `Knative`: a Knative Service, and one VirtualService for all.

kserve/kserve v0.16.0, reconcilers/knative/ksvc_reconciler.go, reconcilers/ingress/ingress_reconciler.go and
pkg/utils of Knative's annotations. What may surprise there, and so here: a canary gets its share only when a
revision has had all traffic before; every Service of an inference service leads to the local gateway, which
tells components apart by the Host that the VirtualService sets.
"""

from __future__ import annotations

import copy

from rehearsal.players import conditions, kinds, living
from rehearsal.players.api import Api
from rehearsal.players.kinds import Object
from rehearsal.players.kserve import naming, routes, standard, state
from rehearsal.players.kserve.components import Part
from rehearsal.players.kserve.settings import Settings

AUTOSCALING = "autoscaling.knative.dev"
_OF_SERVICE = ("serving.knative.dev/rollout-duration", "serving.knative.openshift.io/enablePassthrough")
_EXPLAIN = r"^/v1/models/[\w-]+:explain$"
_PATH_EXPLAIN = r"(/v1/models/[\w-]+:explain)$"


def keep(api: Api, settings: Settings, isvc: Object, part: Part, status: Object) -> Object:
    """Make a component's Knative Service, or have it changed; return it as it is."""
    wanted = _service(settings, isvc, part, (status.get("components") or {}).get(part.component) or {})
    live = api.get(kinds.KNATIVE_SERVICE, kinds.key(wanted))
    return api.keep(kinds.KNATIVE_SERVICE, wanted, live, _copy)


def remove(api: Api, isvc: Object, name: str) -> None:
    """Take a component's Knative Service away."""
    key = (isvc["metadata"]["namespace"], name)
    if api.get(kinds.KNATIVE_SERVICE, key) is not None:
        api.delete(kinds.KNATIVE_SERVICE, key)


def scaling(extension: Object, annotations: dict[str, str]) -> None:
    """Annotate how a component is scaled."""
    if extension.get("scaleTarget") is not None:
        annotations[f"{AUTOSCALING}/target"] = str(extension["scaleTarget"])
    metric = extension.get("scaleMetric")
    if metric is not None:
        annotations[f"{AUTOSCALING}/metric"] = metric
    least = extension.get("minReplicas")
    annotations[f"{AUTOSCALING}/min-scale"] = str(1 if least is None else least)
    most = extension.get("maxReplicas") or 0
    if most:
        annotations[f"{AUTOSCALING}/max-scale"] = str(most)
    annotations.setdefault(f"{AUTOSCALING}/class", f"kpa.{AUTOSCALING}")


def _service(settings: Settings, isvc: Object, part: Part, before: Object) -> Object:
    annotations = dict(part.annotations)
    scaling(part.extension, annotations)
    own = {name: annotations.pop(name) for name in _OF_SERVICE if name in annotations}
    spec: Object = copy.deepcopy(part.pod)
    if "timeout" in part.extension:
        spec["timeoutSeconds"] = part.extension["timeout"]
        if part.kind is kinds.INFERENCE_SERVICE:
            spec["responseStartTimeoutSeconds"] = part.extension["timeout"]
    if "containerConcurrency" in part.extension:
        spec["containerConcurrency"] = part.extension["containerConcurrency"]
    template = {
        "metadata": {"labels": settings.labels(part.labels), "annotations": annotations},
        "spec": spec,
    }
    about = standard.metadata(isvc, part)
    about["annotations"] = own
    if part.kind is kinds.INFERENCE_GRAPH:
        about["labels"] = dict(isvc["metadata"].get("labels") or {})
    traffic = _traffic(part, annotations, before.get("latestRolledoutRevision", ""))
    return {"metadata": about, "spec": {"template": template, "traffic": traffic}}


def _traffic(part: Part, annotations: dict[str, str], rolled_out: str) -> list[Object]:
    share = part.extension.get("canaryTrafficPercent")
    canary = share is not None and bool(rolled_out)
    latest: Object = {"latestRevision": True, "percent": share if canary else 100}
    if annotations.get(f"{naming.GROUP}/enable-tag-routing") == "true":
        latest["tag"] = "latest"
    if not canary or share is None or share >= 100:
        return [latest]
    rest = {"revisionName": rolled_out, "latestRevision": False, "percent": 100 - share, "tag": "prev"}
    return [latest, rest]


def _copy(wanted: Object, item: Object) -> None:
    metadata = item["metadata"]
    metadata["labels"] = dict(wanted["metadata"]["labels"])
    kept = {
        name: value for name, value in (metadata.get("annotations") or {}).items() if name not in _OF_SERVICE
    }
    metadata["annotations"] = {**kept, **wanted["metadata"]["annotations"]}
    item["spec"] = copy.deepcopy(wanted["spec"])


def route(api: Api, settings: Settings, isvc: Object, status: Object, now: str) -> None:
    """Keep the VirtualService and the Service that leads to the local gateway, and set the URL."""
    ingress = settings.ingress
    virtual = not ingress.get("disableIstioVirtualHost")
    namespace, name = kinds.key(isvc)
    if naming.stopped(isvc):
        for kind in (kinds.VIRTUAL_SERVICE, kinds.SERVICE):
            live = api.get(kind, (namespace, name))
            if live is not None and standard.owned(isvc, live):
                api.delete(kind, (namespace, name))
        state.CONDITIONS.put(status, "IngressReady", "False", now, "Stopped")
        return
    ready = _ready(isvc, status, now)
    if virtual:
        if ready:
            wanted = _virtual_service(api, settings, isvc, status)
            live = api.get(kinds.VIRTUAL_SERVICE, (namespace, name))
            api.keep(kinds.VIRTUAL_SERVICE, wanted, live, _copy_route)
        external = _external(isvc, ingress.get("localGatewayService", ""))
        api.keep(kinds.SERVICE, external, api.get(kinds.SERVICE, (namespace, name)), _copy_external)
    url = _component(isvc, status).get("url", "")
    if not url:
        return
    host = url.partition("://")[2]
    main = _main(isvc)
    if ingress.get("pathTemplate"):
        values = {"Name": name, "Namespace": namespace}
        path = naming.fill(ingress["pathTemplate"], values)
        status["url"] = f"{ingress['urlScheme']}://{ingress['ingressDomain']}{path}"
    else:
        status["url"] = f"{ingress['urlScheme']}://{_stripped(host, main) if virtual else host}"
    prefix = name if virtual else f"{name}-{main}"
    status["address"] = {"url": f"http://{naming.hostname(prefix, namespace)}"}
    state.CONDITIONS.put(status, "IngressReady", "True", now)


def _main(isvc: Object) -> str:
    return "transformer" if "transformer" in isvc["spec"] else "predictor"


def _component(isvc: Object, status: Object) -> Object:
    return (status.get("components") or {}).get(_main(isvc)) or {}


def _stripped(host: str, component: str) -> str:
    suffix = f"-{component}-default" if "-default" in host else f"-{component}"
    return host.replace(suffix, "", 1)


def _ready(isvc: Object, status: Object, now: str) -> bool:
    """Tell whether all components are ready; if not, set the condition that says so."""
    for each in ("predictor", *(each for each in ("transformer", "explainer") if each in isvc["spec"])):
        if not conditions.is_true(status, state.READY[each]):
            found = living.state(status, state.READY[each])
            reason = f"{each.capitalize()} ingress not created"
            state.CONDITIONS.put(status, "IngressReady", found, now, reason)
            return False
    return True


def _virtual_service(api: Api, settings: Settings, isvc: Object, status: Object) -> Object:
    ingress, metadata = settings.ingress, isvc["metadata"]
    namespace, name = kinds.key(isvc)
    inside = naming.hostname(name, namespace)
    host = _stripped(_component(isvc, status).get("url", "").partition("://")[2], _main(isvc))
    internal = host == inside or (
        (metadata.get("labels") or {}).get("networking.knative.dev/visibility") == "cluster-local"
    )
    more = [] if internal else routes.additional(settings, host, _domains(api))
    gateway, local = ingress["ingressGateway"], ingress.get("localGateway", "")

    def matches(path: str = "") -> list[Object]:
        uri = {"uri": {"regex": path}} if path else {}
        found = [{**uri, "authority": {"regex": naming.host_pattern(inside)}, "gateways": [local, "mesh"]}]
        for each in [] if internal else [host, *more]:
            match = {**uri, "authority": {"regex": naming.host_pattern(each)}, "gateways": [gateway]}
            if match not in found:
                found.append(match)
        return found

    def to(component: str, **what: object) -> Object:
        headers = {
            "Host": naming.hostname(f"{name}-{component}", namespace),
            "KServe-Isvc-Name": name,
            "KServe-Isvc-Namespace": namespace,
        }
        service = ingress["knativeLocalGatewayService"]
        return {
            **what,
            "route": [{"destination": {"host": service, "port": {"number": 80}}, "weight": 100}],
            "headers": {"request": {"set": headers}},
        }

    http = [to("explainer", match=matches(_EXPLAIN))] if "explainer" in isvc["spec"] else []
    http.append(to(_main(isvc), match=matches()))
    hosts, gateways = [inside], [local, "mesh"]
    if not internal:
        hosts.append(host)
        gateways.append(gateway)
    if ingress.get("pathTemplate"):
        path = naming.fill(ingress["pathTemplate"], {"Name": name, "Namespace": namespace}).removesuffix("/")
        authority = {"regex": naming.host_pattern(ingress["ingressDomain"])}
        shared = {"authority": authority, "gateways": [gateway]}
        if "explainer" in isvc["spec"]:
            pattern = path + _PATH_EXPLAIN
            rewrite = {"uriRegexRewrite": {"match": pattern, "rewrite": r"\1"}}
            http.append(to("explainer", match=[{"uri": {"regex": pattern}, **shared}], rewrite=rewrite))
        ways = [{"uri": {"prefix": f"{path}/"}, **shared}, {"uri": {"exact": path}, **shared}]
        http.append(to(_main(isvc), match=ways, rewrite={"uri": "/"}))
        hosts.append(ingress["ingressDomain"])
    hosts += [each for each in more if each not in hosts]
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": dict(metadata.get("labels") or {}),
            "annotations": settings.annotations(metadata.get("annotations")),
            "ownerReferences": [kinds.reference(kinds.INFERENCE_SERVICE, isvc)],
        },
        "spec": {"hosts": hosts, "gateways": gateways, "http": http},
    }


def _domains(api: Api) -> list[str]:
    """Return the domains that Knative knows."""
    found = api.read(kinds.CONFIG_MAP, ("knative-serving", "config-domain"))
    return list((found or {}).get("data") or {})


def _copy_route(wanted: Object, item: Object) -> None:
    for name in ("labels", "annotations"):
        item["metadata"][name] = dict(wanted["metadata"][name])
    item["spec"] = copy.deepcopy(wanted["spec"])


def _external(isvc: Object, gateway: str) -> Object:
    namespace, name = kinds.key(isvc)
    references = [kinds.reference(kinds.INFERENCE_SERVICE, isvc)]
    return {
        "metadata": {"name": name, "namespace": namespace, "ownerReferences": references},
        "spec": {"externalName": gateway, "type": "ExternalName", "sessionAffinity": "None"},
    }


def _copy_external(wanted: Object, item: Object) -> None:
    item["spec"] = {**item["spec"], **wanted["spec"]}
