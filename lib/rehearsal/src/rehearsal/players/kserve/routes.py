"""The way to an inference service in the mode `Standard`: an Ingress, or HTTPRoutes of the Gateway API.

kserve/kserve v0.16.0, reconcilers/ingress/{kube_ingress,httproute}_reconciler.go. What may surprise there,
and so here: with a transformer, the transformer's own host leads to the predictor.
"""

from __future__ import annotations

import copy

from rehearsal.players import conditions, kinds
from rehearsal.players.api import Api
from rehearsal.players.kinds import Kind, Object
from rehearsal.players.kserve import naming, standard, state
from rehearsal.players.kserve.settings import Settings

_ANY = "^/.*$"
_EXPLAIN = r"^/v1/models/[\w-]+:explain$"
_PATH_EXPLAIN = r"(/v1/models/[\w-]+:explain)$"


def keep(api: Api, settings: Settings, isvc: Object, status: Object, now: str) -> bool:
    """Make the way there, and set its URL; return whether to look again soon."""
    ingress = settings.ingress
    labels = isvc["metadata"].get("labels") or {}
    internal = labels.get("networking.kserve.io/visibility") == "cluster-local"
    internal = internal or ingress["ingressDomain"] == f"svc.{naming.DOMAIN}"
    made = not internal and not ingress.get("disableIngressCreation")
    by_gateway = bool(ingress.get("enableGatewayApi"))
    if naming.stopped(isvc):
        _remove(api, isvc, kinds.HTTP_ROUTE if by_gateway else kinds.INGRESS)
        state.CONDITIONS.put(status, "IngressReady", "False", now, "Stopped")
        return False
    if made and by_gateway:
        if not _keep_routes(api, settings, isvc, status, now):
            return True
    elif made:
        missing = _missing(isvc, status, [each for each in naming.COMPONENTS if each in isvc["spec"]])
        if missing:
            state.CONDITIONS.put(status, "IngressReady", "False", now, f"{missing} ingress not created")
            return False
        _apply(api, kinds.INGRESS, isvc, _ingress(settings, isvc))
        state.CONDITIONS.put(status, "IngressReady", "True", now)
    else:
        state.CONDITIONS.put(status, "IngressReady", "True", now)
    scheme = ingress["urlScheme"]
    status["url"] = f"{scheme}://{_host(settings, isvc, isvc['metadata']['name'])}"
    backend = f"{isvc['metadata']['name']}-{'transformer' if 'transformer' in isvc['spec'] else 'predictor'}"
    host = naming.hostname(backend, isvc["metadata"]["namespace"])
    status["address"] = {"url": f"{scheme}://{host}"}
    return False


def _missing(isvc: Object, status: Object, wanted: list[str]) -> str:
    """Return the component that is not ready, as its condition calls it."""
    order = ["predictor", *(each for each in ("transformer", "explainer") if each in wanted)]
    for each in order:
        if not conditions.is_true(status, state.READY[each]):
            return each.capitalize()
    return ""


def _host(settings: Settings, isvc: Object, name: str) -> str:
    ingress = settings.ingress
    return naming.domain(ingress["domainTemplate"], name, isvc["metadata"], ingress["ingressDomain"])


def _ingress(settings: Settings, isvc: Object) -> Object:
    spec, name = isvc["spec"], isvc["metadata"]["name"]
    predictor, transformer, explainer = (f"{name}-{each}" for each in naming.COMPONENTS)
    rules: list[tuple[str, str]] = []
    if "transformer" in spec:
        if "explainer" in spec:
            rules.append((_host(settings, isvc, transformer), explainer))
        rules += [(_host(settings, isvc, name), transformer), (_host(settings, isvc, transformer), predictor)]
    elif "explainer" in spec:
        rules += [(_host(settings, isvc, name), predictor), (_host(settings, isvc, explainer), explainer)]
    else:
        rules.append((_host(settings, isvc, name), predictor))
    rules.append((_host(settings, isvc, predictor), predictor))
    said: Object = {"rules": [_rule(host, service) for host, service in rules]}
    if settings.ingress.get("ingressClassName"):
        said["ingressClassName"] = settings.ingress["ingressClassName"]
    return {
        "metadata": {
            "name": name,
            "namespace": isvc["metadata"]["namespace"],
            "annotations": dict(isvc["metadata"].get("annotations") or {}),
            "ownerReferences": [kinds.reference(kinds.INFERENCE_SERVICE, isvc)],
        },
        "spec": said,
    }


def _rule(host: str, service: str) -> Object:
    backend = {"service": {"name": service, "port": {"number": 80}}}
    return {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}


def _keep_routes(api: Api, settings: Settings, isvc: Object, status: Object, now: str) -> bool:
    """Keep an HTTPRoute for each component and one for all; return whether they are accepted."""
    name = isvc["metadata"]["name"]
    present = [each for each in naming.COMPONENTS if each in isvc["spec"]]
    for component in present:
        if conditions.is_true(status, state.READY[component]):
            backend = f"{name}-{component}"
            rules = [_route_rule(isvc, _ANY, component)]
            hosts = [_host(settings, isvc, backend)]
            _apply(api, kinds.HTTP_ROUTE, isvc, _route(settings, isvc, backend, hosts, rules))
    if not _missing(isvc, status, present):
        _apply(api, kinds.HTTP_ROUTE, isvc, _top(settings, isvc))
    for title, route in [
        *((each.capitalize(), f"{name}-{each}") for each in present),
        ("InferenceService", name),
    ]:
        live = api.get(kinds.HTTP_ROUTE, (isvc["metadata"]["namespace"], route))
        if live is None:
            message = f"{title} HTTPRoute not created"
            state.CONDITIONS.put(
                status, "IngressReady", "False", now, f"{title} Deployment NotReady", message
            )
            return False
        reason, message = _trouble(live)
        if reason:
            message = f"{title} {message}"
            state.CONDITIONS.put(status, "IngressReady", "False", now, reason, message)
            return False
    state.CONDITIONS.put(status, "IngressReady", "True", now)
    return True


def _trouble(route: Object) -> tuple[str, str]:
    parents = (route.get("status") or {}).get("parents") or []
    if not parents:
        return "ParentStatusNotAvailable", "HttpRouteNotReady"
    for parent in parents:
        for each in parent.get("conditions") or ():
            if each["status"] == "False":
                return each.get("reason", ""), each.get("message", "")
    return "", ""


def _top(settings: Settings, isvc: Object) -> Object:
    ingress, spec, metadata = settings.ingress, isvc["spec"], isvc["metadata"]
    hosts = [_host(settings, isvc, metadata["name"])]
    hosts += [
        each for each in additional(settings, hosts[0], [ingress["ingressDomain"]]) if each not in hosts
    ]
    main = "transformer" if "transformer" in spec else "predictor"
    rules = [_route_rule(isvc, _EXPLAIN, "explainer")] if "explainer" in spec else []
    rules.append(_route_rule(isvc, _ANY, main))
    if ingress.get("pathTemplate"):
        values = {"Name": metadata["name"], "Namespace": metadata["namespace"]}
        path = naming.fill(ingress["pathTemplate"], values).removesuffix("/")
        hosts.append(ingress["ingressDomain"])
        if "explainer" in spec:
            rules.append(_route_rule(isvc, path + _PATH_EXPLAIN, "explainer"))
        rules.append(_route_rule(isvc, f"{path}/", main))
    return _route(settings, isvc, metadata["name"], hosts, rules)


def additional(settings: Settings, host: str, domains: list[str]) -> list[str]:
    """Return a host in the additional domains, each once."""
    prefix = next((host.removesuffix(each) for each in domains if host.endswith(each)), "")
    more = settings.ingress.get("additionalIngressDomains") or ()
    return list(dict.fromkeys(f"{prefix}{each}" for each in more)) if prefix else []


def _route_rule(isvc: Object, path: str, component: str) -> Object:
    name, namespace = isvc["metadata"]["name"], isvc["metadata"]["namespace"]
    headers = [
        {"name": "KServe-Isvc-Name", "value": name},
        {"name": "KServe-Isvc-Namespace", "value": namespace},
    ]
    backend = {
        "group": "",
        "kind": "Service",
        "name": f"{name}-{component}",
        "namespace": namespace,
        "port": 80,
    }
    timeout = isvc["spec"][component].get("timeout", 60)
    return {
        "matches": [{"path": {"type": "RegularExpression", "value": path}}],
        "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": headers}}],
        "backendRefs": [backend],
        "timeouts": {"request": f"{timeout}s"},
    }


def _route(settings: Settings, isvc: Object, name: str, hosts: list[str], rules: list[Object]) -> Object:
    namespace, _, gateway = settings.ingress["kserveIngressGateway"].partition("/")
    parent = {
        "group": "gateway.networking.k8s.io",
        "kind": "Gateway",
        "namespace": namespace,
        "name": gateway,
    }
    return {
        "metadata": {
            "name": name,
            "namespace": isvc["metadata"]["namespace"],
            "labels": settings.labels(isvc["metadata"].get("labels")),
            "annotations": settings.annotations(isvc["metadata"].get("annotations")),
            "ownerReferences": [kinds.reference(kinds.INFERENCE_SERVICE, isvc)],
        },
        "spec": {"hostnames": hosts, "rules": rules, "parentRefs": [parent]},
    }


def _apply(api: Api, kind: Kind, isvc: Object, wanted: Object) -> None:
    def change(wanted: Object, item: Object) -> None:
        for name in ("labels", "annotations"):
            item["metadata"][name] = {
                **(item["metadata"].get(name) or {}),
                **wanted["metadata"].get(name, {}),
            }
        item["spec"] = copy.deepcopy(wanted["spec"])

    api.keep(kind, wanted, api.get(kind, kinds.key(wanted)), change)


def _remove(api: Api, isvc: Object, kind: Kind) -> None:
    namespace, name = kinds.key(isvc)
    for each in (name, *(f"{name}-{component}" for component in naming.COMPONENTS)):
        live = api.get(kind, (namespace, each))
        if live is not None and standard.owned(isvc, live):
            api.delete(kind, (namespace, each))
