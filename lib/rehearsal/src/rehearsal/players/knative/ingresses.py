"""Knative's Ingresses become VirtualServices on the gateways that config-istio names.

knative-extensions/net-istio 1.15, pkg/reconciler/ingress. What may surprise there, and so here: hosts inside
the cluster are matched by their beginning, in all short forms; one VirtualService is for the mesh, and one
for the gateways. Gateways are not asked whether they have got it: an Ingress is ready as soon as both are
there.
"""

from __future__ import annotations

import copy

import yaml

from rehearsal.players import kinds
from rehearsal.players.controller import Controller
from rehearsal.players.kinds import Key, Object
from rehearsal.players.knative import conventions
from rehearsal.players.knative.routes import CLASS
from rehearsal.players.program import Program

_OURS = "istio.ingress.networking.knative.dev"
_USUAL = {
    "ExternalIP": (
        "knative-serving/knative-ingress-gateway",
        "istio-ingressgateway.istio-system.svc.cluster.local",
    ),
    "ClusterLocal": (
        "knative-serving/knative-local-gateway",
        "knative-local-gateway.istio-system.svc.cluster.local",
    ),
}
_KEYS = {
    "ExternalIP": ("external-gateways", "gateway."),
    "ClusterLocal": ("local-gateways", "local-gateway."),
}
_NOT_ON_ROUTES = (f"{conventions.SERVING}/route", f"{conventions.SERVING}/routeNamespace")


class Ingresses:
    """The controller of Ingresses of Istio's class."""

    def __init__(self, program: Program):
        self._api = program.api
        self._world = program.world
        self._settings = conventions.Settings.of(program)
        self.controller: Controller = program.controller(kinds.KNATIVE_INGRESS, self._reconcile, "ingress")
        self.controller.owns(kinds.VIRTUAL_SERVICE)

    def _reconcile(self, key: Key) -> None:
        ingress = self._api.get(kinds.KNATIVE_INGRESS, key)
        if ingress is None or "deletionTimestamp" in ingress["metadata"]:
            return
        if (ingress["metadata"].get("annotations") or {}).get(CLASS) != _OURS:
            return
        gateways = {each: self.gateway(each) for each in _USUAL}
        wanted = [_mesh(ingress), _edge(ingress, {each: name for each, (name, _) in gateways.items()})]
        for each in wanted:
            if each is not None:
                live = self._api.get(kinds.VIRTUAL_SERVICE, kinds.key(each))
                self._api.keep(kinds.VIRTUAL_SERVICE, each, live, _copy)
        status = copy.deepcopy(ingress.get("status") or {})
        now = self._world.timestamp()
        conventions.INGRESS.begin(status, now)
        conventions.observed(ingress, status)
        for part in ("NetworkConfigured", "LoadBalancerReady"):
            conventions.INGRESS.put(status, part, "True", now)
        for name, which in (("publicLoadBalancer", "ExternalIP"), ("privateLoadBalancer", "ClusterLocal")):
            status[name] = {"ingress": [{"domainInternal": gateways[which][1]}]}
        self._api.replace_status(kinds.KNATIVE_INGRESS, ingress, status)

    def gateway(self, which: str) -> tuple[str, str]:
        """Return a gateway and the host of its Service; in the newer form the first one counts."""
        data = self._settings.data("istio")
        newer, prefix = _KEYS[which]
        for each in yaml.safe_load(data.get(newer, "")) or ():
            return f"{each['namespace']}/{each['name']}", each["service"]
        for name, service in sorted(data.items()):
            if name.startswith(prefix):
                namespace, _, gateway = name.removeprefix(prefix).partition(".")
                return f"{namespace}/{gateway}", service
        return _USUAL[which]


def _hosts(ingress: Object) -> set[str]:
    return {host for rule in ingress["spec"]["rules"] for host in rule["hosts"]}


def _expanded(hosts: set[str]) -> set[str]:
    """Return hosts and the short forms of those inside the cluster."""
    found = set(hosts)
    for host in hosts:
        if host.endswith(f".{conventions.LOCAL_DOMAIN}"):
            short = host.removesuffix(f".{conventions.LOCAL_DOMAIN}")
            found |= {short, f"{short}.svc"}
    return found


def _mesh(ingress: Object) -> Object | None:
    local = {each for each in _hosts(ingress) if each.endswith(f".{conventions.LOCAL_DOMAIN}")}
    if not local:
        return None
    gateways = {"ExternalIP": "mesh", "ClusterLocal": "mesh"}
    return _virtual_service(ingress, "-mesh", gateways, _expanded(local))


def _edge(ingress: Object, gateways: dict[str, str]) -> Object:
    return _virtual_service(ingress, "-ingress", gateways, _expanded(_hosts(ingress)))


def _virtual_service(ingress: Object, suffix: str, gateways: dict[str, str], hosts: set[str]) -> Object:
    http, used = [], set()
    for rule in ingress["spec"]["rules"]:
        matched = hosts & _expanded(set(rule["hosts"]))
        if not matched:
            continue
        gateway = gateways[rule.get("visibility") or "ExternalIP"]
        used.add(gateway)
        http += [_route(sorted(_distinct(matched)), path, gateway) for path in rule["http"]["paths"]]
    metadata = ingress["metadata"]
    labels = {
        name: value for name, value in (metadata.get("labels") or {}).items() if name not in _NOT_ON_ROUTES
    }
    about = conventions.owned(
        kinds.KNATIVE_INGRESS,
        ingress,
        conventions.child_name(metadata["name"], suffix),
        labels={**labels, f"{conventions.INTERNAL}/ingress": metadata["name"]},
        annotations=dict(metadata.get("annotations") or {}),
    )
    return {"metadata": about, "spec": {"hosts": sorted(hosts), "gateways": sorted(used), "http": http}}


def _distinct(hosts: set[str]) -> set[str]:
    """Return beginnings of hosts, none of which begins with another."""
    found: set[str] = set()
    for host in sorted(hosts):
        begin = host.removesuffix(f".{conventions.LOCAL_DOMAIN}")
        if not any(begin.startswith(each) for each in found):
            found.add(begin)
    return found


def _route(hosts: list[str], path: Object, gateway: str) -> Object:
    match = [{"authority": {"prefix": host}, "gateways": [gateway]} for host in hosts]
    if path.get("path"):
        for each in match:
            each["uri"] = {"prefix": path["path"]}
    ways = []
    for split in path["splits"]:
        service = f"{split['serviceName']}.{split['serviceNamespace']}.{conventions.LOCAL_DOMAIN}"
        way = {
            "destination": {"host": service, "port": {"number": split["servicePort"]}},
            "weight": split["percent"],
        }
        if split.get("appendHeaders"):
            way["headers"] = {"request": {"set": dict(split["appendHeaders"])}}
        ways.append(way)
    return {"match": match, "retries": {}, "route": ways}


def _copy(wanted: Object, item: Object) -> None:
    for name in ("labels", "annotations"):
        item["metadata"][name] = dict(wanted["metadata"][name])
    item["spec"] = copy.deepcopy(wanted["spec"])
