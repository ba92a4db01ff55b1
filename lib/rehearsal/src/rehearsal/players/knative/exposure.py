"""ServerlessServices: the Service of a revision, whose endpoints are its pods, or those of the activator.

knative.dev/serving v0.42.2, pkg/reconciler/serverlessservice. What may surprise there, and so here: while a
revision has no pods, or not enough for a burst of requests, its Service leads to the activator.
"""

from __future__ import annotations

import copy
from typing import Any

from rehearsal.players import kinds
from rehearsal.players.controller import Controller
from rehearsal.players.kinds import Key, Object
from rehearsal.players.knative import conventions, pods
from rehearsal.players.program import Program

_ACTIVATOR = "activator-service"


class Exposures:
    """The controller of ServerlessServices."""

    def __init__(self, program: Program):
        self._api = program.api
        self._world = program.world
        self._settings = conventions.Settings.of(program)
        self.controller: Controller = program.controller(
            kinds.SERVERLESS_SERVICE, self._reconcile, "serverlessservice"
        )
        self.controller.owns(kinds.SERVICE)
        self.controller.watches(kinds.ENDPOINTS, self._concerned)

    def _concerned(self, endpoints: Object) -> list[Key]:
        name = (endpoints["metadata"].get("labels") or {}).get(f"{conventions.INTERNAL}/serverlessservice")
        if name:
            return [(endpoints["metadata"]["namespace"], name)]
        if kinds.key(endpoints) == (self._settings.namespace, _ACTIVATOR):
            return [kinds.key(each) for each in self._api.follower(kinds.SERVERLESS_SERVICE).items()]
        return []

    def _reconcile(self, key: Key) -> None:
        item = self._api.get(kinds.SERVERLESS_SERVICE, key)
        if item is None or "deletionTimestamp" in item["metadata"]:
            return
        status = copy.deepcopy(item.get("status") or {})
        now = self._world.timestamp()
        conventions.EXPOSURE.begin(status, now)
        conventions.observed(item, status)
        private = self._keep(kinds.SERVICE, item, _service(self._selector(item), item, private=True))
        self._keep(kinds.SERVICE, item, _service(None, item, private=False))
        ready = self._api.get(kinds.ENDPOINTS, kinds.key(private))
        pods_ready = _addresses(ready)
        activators = self._api.get(kinds.ENDPOINTS, (self._settings.namespace, _ACTIVATOR))
        to_pods = item["spec"]["mode"] == "Serve" and pods_ready
        source = ready if to_pods else activators
        port = _port(item)
        subsets = [
            {
                **each,
                "ports": [said for said in each.get("ports") or () if said["port"] in (port, pods.HTTPS)],
            }
            for each in (source or {}).get("subsets") or ()
        ]
        endpoints = {"metadata": _about(item, key[1], "Public"), "subsets": copy.deepcopy(subsets)}
        self._keep(kinds.ENDPOINTS, item, endpoints)
        status["serviceName"], status["privateServiceName"] = key[1], kinds.key(private)[1]
        if pods_ready or (item["spec"]["mode"] == "Proxy" and _addresses(activators)):
            conventions.EXPOSURE.put(status, "EndpointsPopulated", "True", now)
        else:
            message = "K8s Service is not ready"
            conventions.EXPOSURE.put(
                status, "EndpointsPopulated", "Unknown", now, "NoHealthyBackends", message
            )
        state = "False" if to_pods else "True"
        conventions.EXPOSURE.put(status, "ActivatorEndpointsPopulated", state, now)
        self._api.replace_status(kinds.SERVERLESS_SERVICE, item, status)

    def _selector(self, item: Object) -> dict[str, str]:
        reference = item["spec"]["objectRef"]
        found = self._api.get(kinds.DEPLOYMENT, (item["metadata"]["namespace"], reference["name"]))
        if found is None:
            raise LookupError(f'deployments "{reference["name"]}" not found')
        return found["spec"]["selector"]["matchLabels"]

    def _keep(self, kind: Any, item: Object, wanted: Object) -> Object:
        return self._api.keep(kind, wanted, self._api.get(kind, kinds.key(wanted)), _copy)


def _port(item: Object) -> int:
    return pods.HTTP2 if item["spec"]["protocolType"] == "h2c" else pods.HTTP


def _addresses(endpoints: Object | None) -> bool:
    return any(each.get("addresses") for each in (endpoints or {}).get("subsets") or ())


def _about(item: Object, name: str, kind: str) -> Object:
    labels = {
        **(item["metadata"].get("labels") or {}),
        f"{conventions.INTERNAL}/serverlessservice": item["metadata"]["name"],
        f"{conventions.INTERNAL}/serviceType": kind,
    }
    return conventions.owned(kinds.SERVERLESS_SERVICE, item, name, labels=labels)


def _service(selector: dict[str, str] | None, item: Object, *, private: bool) -> Object:
    port = _port(item)
    name = "http2" if item["spec"]["protocolType"] == "h2c" else "http"
    ports: list[Object] = [
        {"name": name, "port": 80, "targetPort": port},
        {"name": "https", "port": 443, "targetPort": pods.HTTPS},
    ]
    about = _about(item, item["metadata"]["name"], "Public")
    spec: Object = {"ports": ports}
    if private:
        about = _about(item, conventions.child_name(item["metadata"]["name"], "-private"), "Private")
        ports += [
            {"name": "http-autometric", "port": 9090, "targetPort": "http-autometric"},
            {"name": "http-usermetric", "port": 9091, "targetPort": "http-usermetric"},
            {"name": "http-queueadm", "port": 8022, "targetPort": 8022},
            {"name": f"{name}-istio", "port": port, "targetPort": port},
        ]
        spec["selector"] = selector
    for each in ports:
        each["protocol"] = "TCP"
    return {"metadata": about, "spec": spec}


def _copy(wanted: Object, item: Object) -> None:
    item["metadata"]["labels"] = {**(item["metadata"].get("labels") or {}), **wanted["metadata"]["labels"]}
    if "subsets" in wanted:
        item["subsets"] = copy.deepcopy(wanted["subsets"])
    else:
        item["spec"] = {**item["spec"], **copy.deepcopy(wanted["spec"])}
