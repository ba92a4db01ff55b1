"""Knative Services: a Configuration and a Route for each, and what both tell.

knative.dev/serving v0.42.2, pkg/reconciler/service and pkg/apis/serving/v1/service_lifecycle.go.
"""

from __future__ import annotations

import copy

from rehearsal.players import conditions, kinds
from rehearsal.players.controller import Controller
from rehearsal.players.kinds import Key, Object
from rehearsal.players.knative import conventions
from rehearsal.players.knative.defaulting import fill_template
from rehearsal.players.program import Program

_LAST = "kubectl.kubernetes.io/last-applied-configuration"


class Services:
    """The controller of Services."""

    def __init__(self, program: Program):
        self._api = program.api
        self._world = program.world
        self.controller: Controller = program.controller(kinds.KNATIVE_SERVICE, self._reconcile, "service")
        self.controller.owns(kinds.KNATIVE_CONFIGURATION)
        self.controller.owns(kinds.KNATIVE_ROUTE)

    def _reconcile(self, key: Key) -> None:
        service = self._api.get(kinds.KNATIVE_SERVICE, key)
        if service is None or "deletionTimestamp" in service["metadata"]:
            return
        configuration = self._keep(kinds.KNATIVE_CONFIGURATION, service, _configuration(service))
        route = self._keep(kinds.KNATIVE_ROUTE, service, _route(service))
        status = copy.deepcopy(service.get("status") or {})
        now = self._world.timestamp()
        conventions.SERVICE.begin(status, now)
        conventions.observed(service, status)
        self._of_configuration(status, configuration, now)
        self._of_route(status, route, now)
        self._api.replace_status(kinds.KNATIVE_SERVICE, service, status)

    def _keep(self, kind: kinds.Kind, service: Object, wanted: Object) -> Object:
        live = self._api.get(kind, kinds.key(wanted))
        if live is not None and kinds.controller(kinds.KNATIVE_SERVICE, live) != service["metadata"]["name"]:
            raise LookupError(f"service: {service['metadata']['name']} does not own {kind.__name__}")
        return self._api.keep(kind, wanted, live, _copy)

    def _of_configuration(self, status: Object, configuration: Object, now: str) -> None:
        told = configuration.get("status") or {}
        for name in ("latestCreatedRevisionName", "latestReadyRevisionName"):
            if name in told:
                status[name] = told[name]
        if told.get("observedGeneration") != configuration["metadata"].get("generation", 1):
            conventions.SERVICE.put(status, "ConfigurationsReady", "Unknown", now)
        else:
            conventions.SERVICE.copy(status, "ConfigurationsReady", conditions.find(told, "Ready"), now)

    def _of_route(self, status: Object, route: Object, now: str) -> None:
        told = route.get("status") or {}
        for name in ("address", "url", "traffic"):
            if name in told:
                status[name] = copy.deepcopy(told[name])
        if told.get("observedGeneration") != route["metadata"].get("generation", 1):
            conventions.SERVICE.put(status, "RoutesReady", "Unknown", now)
            return
        found = conditions.find(told, "Ready")
        behind = any(
            each.get("latestRevision") and each.get("revisionName") != status.get("latestReadyRevisionName")
            for each in told.get("traffic") or ()
        )
        if found is not None and found["status"] == "True" and behind:
            message = "Traffic is not yet migrated to the latest revision."
            conventions.SERVICE.put(status, "RoutesReady", "Unknown", now, "TrafficNotMigrated", message)
        else:
            conventions.SERVICE.copy(status, "RoutesReady", found, now)


def _about(service: Object) -> Object:
    metadata = service["metadata"]
    annotations = {
        name: value for name, value in (metadata.get("annotations") or {}).items() if name != _LAST
    }
    labels = {
        **(metadata.get("labels") or {}),
        f"{conventions.SERVING}/service": metadata["name"],
        f"{conventions.SERVING}/serviceUID": metadata["uid"],
    }
    return conventions.owned(
        kinds.KNATIVE_SERVICE, service, metadata["name"], labels=labels, annotations=annotations
    )


def _configuration(service: Object) -> Object:
    template = copy.deepcopy(service["spec"]["template"])
    fill_template(template)
    return {"metadata": _about(service), "spec": {"template": template}}


def _route(service: Object) -> Object:
    traffic = copy.deepcopy(service["spec"].get("traffic")) or [{"latestRevision": True, "percent": 100}]
    for each in traffic:
        if not each.get("revisionName"):
            each["configurationName"] = service["metadata"]["name"]
            each["latestRevision"] = True
    return {"metadata": _about(service), "spec": {"traffic": traffic}}


def _copy(wanted: Object, item: Object) -> None:
    for name in ("labels", "annotations"):
        item["metadata"][name] = {**(item["metadata"].get(name) or {}), **wanted["metadata"][name]}
    item["spec"] = copy.deepcopy(wanted["spec"])
