"""Routes: which revisions get how much of the traffic, the hosts that lead there, and an Ingress.

knative.dev/serving v0.42.2, pkg/reconciler/{route,labeler} and pkg/apis/serving/v1/route_lifecycle.go. What
may surprise there, and so here: nothing leads anywhere before each revision of the traffic is ready; the
Service of a Route is another name for the gateway inside the cluster. Certificates and gradual rollouts are
not made.
"""

from __future__ import annotations

import copy

from rehearsal.players import conditions, kinds
from rehearsal.players.controller import Controller
from rehearsal.players.kinds import Key, Object
from rehearsal.players.knative import conventions
from rehearsal.players.program import Program

CLASS = f"{conventions.NETWORKING}/ingress.class"
_STATE = f"{conventions.SERVING}/routingState"
_ROUTES = f"{conventions.SERVING}/routes"


class _Waiting(Exception):
    """Some of the traffic has nowhere to go yet: state, reason and message of the condition."""

    def __init__(self, state: str, reason: str, message: str):
        super().__init__(message)
        self.state, self.reason = state, reason


class Routes:
    """The controller of Routes."""

    def __init__(self, program: Program):
        self._api = program.api
        self._world = program.world
        self._settings = conventions.Settings.of(program)
        self.controller: Controller = program.controller(kinds.KNATIVE_ROUTE, self._reconcile, "route")
        self.controller.owns(kinds.SERVICE)
        self.controller.owns(kinds.KNATIVE_INGRESS)
        self.controller.watches(kinds.KNATIVE_CONFIGURATION, lambda item: [kinds.key(item)])
        self.controller.watches(kinds.KNATIVE_REVISION, self._of_revision)

    def _of_revision(self, revision: Object) -> list[Key]:
        configuration = (revision["metadata"].get("labels") or {}).get(f"{conventions.SERVING}/configuration")
        return [(revision["metadata"]["namespace"], configuration)] if configuration else []

    def _reconcile(self, key: Key) -> None:
        route = self._api.get(kinds.KNATIVE_ROUTE, key)
        if route is None or "deletionTimestamp" in route["metadata"]:
            return
        status = copy.deepcopy(route.get("status") or {})
        now = self._world.timestamp()
        conventions.ROUTE.begin(status, now)
        conventions.observed(route, status)
        status["url"] = f"http://{self._settings.host(key[1], route['metadata'])}"
        status["address"] = {"url": f"http://{key[1]}.{key[0]}.{conventions.LOCAL_DOMAIN}"}
        try:
            traffic = [self._target(route, each) for each in route["spec"]["traffic"]]
        except _Waiting as waiting:
            conventions.ROUTE.put(
                status, "AllTrafficAssigned", waiting.state, now, waiting.reason, str(waiting)
            )
            self._api.replace_status(kinds.KNATIVE_ROUTE, route, status)
            return
        conventions.ROUTE.put(status, "AllTrafficAssigned", "True", now)
        conventions.ROUTE.put(status, "CertificateProvisioned", "True", now)
        status["traffic"] = traffic
        self._mark(route, traffic)
        ingress = self._keep_ingress(route, traffic)
        told = ingress.get("status") or {}
        if told.get("observedGeneration") == ingress["metadata"].get("generation", 1):
            conventions.ROUTE.copy(status, "IngressReady", conditions.find(told, "Ready"), now)
        else:
            message = "Ingress has not yet been reconciled."
            conventions.ROUTE.put(status, "IngressReady", "Unknown", now, "IngressNotConfigured", message)
        self._keep_services(route, traffic, told)
        self._api.replace_status(kinds.KNATIVE_ROUTE, route, status)

    def _target(self, route: Object, said: Object) -> Object:
        namespace = route["metadata"]["namespace"]
        name = said.get("revisionName", "")
        if not name:
            of = said["configurationName"]
            configuration = self._api.get(kinds.KNATIVE_CONFIGURATION, (namespace, of))
            told = (configuration or {}).get("status") or {}
            if configuration is None:
                raise _Waiting(
                    "False", "ConfigurationMissing", f'Configuration "{of}" referenced in traffic not found.'
                )
            name = told.get("latestReadyRevisionName", "")
            if not name:
                ready = conditions.find(told, "Ready") or {}
                if ready.get("status") == "False":
                    message = f'Configuration "{of}" does not have any ready Revision.'
                    raise _Waiting("False", "RevisionMissing", message)
                message = f'Configuration "{of}" is waiting for a Revision to become ready.'
                raise _Waiting("Unknown", "RevisionMissing", message)
        revision = self._api.get(kinds.KNATIVE_REVISION, (namespace, name))
        if revision is None:
            raise _Waiting("False", "RevisionMissing", f'Revision "{name}" referenced in traffic not found.')
        if not conditions.is_true(revision.get("status") or {}, "Ready"):
            message = f'Revision "{name}" is not yet ready.'
            raise _Waiting("Unknown", "RevisionMissing", message)
        found = {"latestRevision": bool(said.get("latestRevision")), "revisionName": name}
        if said.get("percent") is not None:
            found["percent"] = said["percent"]
        if said.get("tag"):
            found["tag"] = said["tag"]
            found["url"] = f"http://{self._tagged(route, said['tag'])}"
        return found

    def _tagged(self, route: Object, tag: str) -> str:
        return self._settings.host(f"{tag}-{route['metadata']['name']}", route["metadata"])

    def _mark(self, route: Object, traffic: list[Object]) -> None:
        """Label revisions by whether any traffic can reach them."""
        used = {each["revisionName"] for each in traffic}
        of = {each["configurationName"] for each in route["spec"]["traffic"] if each.get("configurationName")}
        of.add(route["metadata"]["name"])
        for revision in self._api.items(kinds.KNATIVE_REVISION, route["metadata"]["namespace"]):
            labels = revision["metadata"].get("labels") or {}
            if labels.get(f"{conventions.SERVING}/configuration") not in of:
                continue
            state = "active" if revision["metadata"]["name"] in used else "reserve"
            # One that has never had any traffic waits for it.
            if labels.get(_STATE) != state and "active" in (state, labels.get(_STATE)):
                name = route["metadata"]["name"] if state == "active" else None
                change = {"labels": {_STATE: state}, "annotations": {_ROUTES: name}}
                self._api.merge(kinds.KNATIVE_REVISION, kinds.key(revision), {"metadata": change})

    def _keep_ingress(self, route: Object, traffic: list[Object]) -> Object:
        metadata = route["metadata"]
        network = self._settings.data("network")
        usual = network.get("ingress-class") or "istio.ingress.networking.knative.dev"
        annotations = {**(metadata.get("annotations") or {})}
        annotations.setdefault(CLASS, usual)
        labels = {
            **(metadata.get("labels") or {}),
            f"{conventions.SERVING}/route": metadata["name"],
            f"{conventions.SERVING}/routeNamespace": metadata["namespace"],
        }
        about = conventions.owned(
            kinds.KNATIVE_ROUTE, route, metadata["name"], labels=labels, annotations=annotations
        )
        rules = self._rules(route, traffic)
        wanted = {"metadata": about, "spec": {"httpOption": "Enabled", "rules": rules}}
        live = self._api.get(kinds.KNATIVE_INGRESS, kinds.key(wanted))
        return self._api.keep(kinds.KNATIVE_INGRESS, wanted, live, _copy)

    def _rules(self, route: Object, traffic: list[Object]) -> list[Object]:
        namespace, name = kinds.key(route)
        rules = []
        names = {"": name, **{each["tag"]: f"{each['tag']}-{name}" for each in traffic if "tag" in each}}
        for tag, each in names.items():
            some = [said for said in traffic if not tag or said.get("tag") == tag]
            paths = [{"splits": _splits(namespace, some, whole=bool(tag))}]
            local = [f"{each}.{namespace}{suffix}" for suffix in ("", ".svc", f".{conventions.LOCAL_DOMAIN}")]
            rules.append({"hosts": local, "http": {"paths": paths}, "visibility": "ClusterLocal"})
            host = self._tagged(route, tag) if tag else self._settings.host(name, route["metadata"])
            if host not in local:
                rules.append(
                    {"hosts": [host], "http": {"paths": copy.deepcopy(paths)}, "visibility": "ExternalIP"}
                )
        return rules

    def _keep_services(self, route: Object, traffic: list[Object], told: Object) -> None:
        """Keep the Services that lead to the gateway inside the cluster."""
        balancer = (told.get("privateLoadBalancer") or {}).get("ingress") or []
        if not balancer:
            return
        host = balancer[0].get("domainInternal", "")
        namespace, name = kinds.key(route)
        tags = [f"{each['tag']}-{name}" for each in traffic if "tag" in each]
        for each in (name, *tags):
            labels = {f"{conventions.SERVING}/route": name, **(route["metadata"].get("labels") or {})}
            wanted = {
                "metadata": conventions.owned(kinds.KNATIVE_ROUTE, route, each, labels=labels),
                "spec": {
                    "type": "ExternalName",
                    "externalName": host,
                    "sessionAffinity": "None",
                    "ports": [{"name": "http2", "port": 80, "targetPort": 80}],
                },
            }
            live = self._api.get(kinds.SERVICE, (namespace, each))
            if live is not None and kinds.controller(kinds.KNATIVE_ROUTE, live) != name:
                raise LookupError(f'route "{name}" does not own Service "{each}"')
            self._api.keep(kinds.SERVICE, wanted, live, _copy)


def _splits(namespace: str, traffic: list[Object], *, whole: bool) -> list[Object]:
    """Return the shares of revisions; a tag leads to one revision with all that asks for it."""
    found: dict[str, int] = {}
    for each in traffic:
        found[each["revisionName"]] = found.get(each["revisionName"], 0) + (each.get("percent") or 0)
    return [
        {
            "serviceName": name,
            "serviceNamespace": namespace,
            "servicePort": 80,
            "percent": 100 if whole else percent,
            "appendHeaders": {"Knative-Serving-Namespace": namespace, "Knative-Serving-Revision": name},
        }
        for name, percent in found.items()
        if percent or whole
    ]


def _copy(wanted: Object, item: Object) -> None:
    for name in ("labels", "annotations"):
        if name in wanted["metadata"]:
            item["metadata"][name] = {**(item["metadata"].get(name) or {}), **wanted["metadata"][name]}
    item["spec"] = {**item["spec"], **copy.deepcopy(wanted["spec"])}
