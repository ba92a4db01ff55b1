"""A stand-in that asks Knative's operator for a component, and does the operator's work in its own hooks.

The operator is a program in the pod of knative-operator; here no such program runs. So what it makes is there
as soon as the charm that asks for it is active, while the real charms are active before the operator begins;
and an object that somebody else asks it for, or changes, changes nothing. An operator asks a busy API server
again, and waits for a namespace that is being removed; so do these hooks, for a while.
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import httpx2
import ops
import tenacity

from rehearsal import documents
from rehearsal.cluster.existing import Refused
from rehearsal.patience import until
from rehearsal.stand_ins import knative
from rehearsal.stand_ins.installing import install
from rehearsal.stand_ins.manifests import Manifest
from rehearsal.stand_ins.objects import CRD, Kind, KubernetesStandIn, Objects
from rehearsal.stand_ins.stopping import Stop, waiting

FIRST_WAIT = 20.0
"""Seconds that the start hook waits for definitions of other charms: nothing tells of their arrival."""

AGAIN_WITHIN = 90.0
"""Seconds for which an operator's work is tried again in one hook."""


def asking(kind: str) -> Kind:
    """Return the kind by which the operator is asked for a component."""
    return documents.namespaced("operator.knative.dev", "v1beta1", kind, f"{kind.lower()}s")


class OperatedStandIn(KubernetesStandIn):
    """A stand-in for a charm that makes one object for Knative's operator, in a namespace of its own."""

    namespace: str
    """Of the component."""
    kind: Kind
    """By which the operator is asked."""
    needed: Mapping[str, str]
    """Definitions without which nothing begins, to the status that says so."""
    _first = False

    def asked(self) -> knative.Asked:
        """Return what the operator is asked for; raise `Stop` if an option makes no sense."""
        raise NotImplementedError

    def keep_installed(self, documents: Sequence[Manifest], asked: knative.Asked, last: str) -> None:
        """Keep the component installed, as the operator does.

        Args:
            documents: of its release.
            asked: what the operator is asked for.
            last: the definition that is installed last.

        Raises:
            Stop: if it cannot be done.
        """

        def work() -> None:
            made = knative.release(documents, asked)
            install(self.objects, "Knative's", lambda: knative.definitions(self.namespace), last)
            self.install_component(made, asked)

        self.operate(work)

    def operate(self, work: Callable[[], None]) -> None:
        """Do an operator's work, and again while the API server is busy or a namespace is being removed.

        Raises:
            Stop: if it cannot be done, or not within `AGAIN_WITHIN` seconds.
        """
        again = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_may_pass),
            stop=tenacity.stop_after_delay(AGAIN_WITHIN),
            wait=tenacity.wait_fixed(1),
            reraise=True,
        )
        try:
            again(work)
        except (httpx2.HTTPError, Refused) as error:
            raise waiting(f"Knative's operator: {error}") from error

    def install_component(self, made: Sequence[Manifest], asked: knative.Asked) -> None:
        """Keep the object for the operator, and all that the operator makes for it; that gets labels."""
        with self._places() as places:
            namespaces = [each for each in made if each["kind"] == "Namespace"]
            places[""].keep(knative.KINDS["Namespace"], namespaces)
            places[self.namespace].keep(self.kind, [self._wish(asked)])
            for kind, namespace, wanted in knative.by_kind(made):
                if kind is not knative.KINDS["Namespace"]:
                    place = places.setdefault(namespace, Objects(self.app.name, namespace))
                    place.keep(kind, wanted, marked=True)
            self._tell(places[self.namespace], asked)

    def clear(self) -> None:
        """Delete the component, its webhooks first: from then on nobody would answer for them.

        Definitions stay, and what users made of them, as the operator leaves them.
        """
        with self._places() as places:
            for name in reversed([*knative.KINDS]):
                kind = knative.KINDS[name]
                if name == "Namespace":
                    places[self.namespace].keep(self.kind)
                elsewhere = self._gateways() if name == "Service" else []
                for namespace in [self.namespace, *elsewhere]:
                    places.setdefault(namespace, Objects(self.app.name, namespace)).keep(kind)

    def wait_for_definitions(self) -> None:
        """Stop while a definition of another charm is missing."""
        for name, message in self.needed.items():
            if self._first:
                with contextlib.suppress(AssertionError):
                    until(lambda name=name: self.objects.exists(CRD, name), within=FIRST_WAIT, every=0.2)
            if not self.objects.exists(CRD, name):
                raise waiting(message)

    def telemetry(self) -> dict[str, str]:
        """Return what knative-operator says of its collector; nothing if none is related."""
        for relation in self.related("otel-collector"):
            return dict(relation.data[relation.app])
        return {}

    def _reconcile(self, event: ops.EventBase) -> None:
        self._first = isinstance(event, ops.StartEvent)
        super()._reconcile(event)

    def _gateways(self) -> list[str]:
        """Return the other namespaces in which the component has Services."""
        return []

    @contextlib.contextmanager
    def _places(self) -> Iterator[dict[str, Objects]]:
        """Yield our objects by namespace, and close their connections; the empty one has those in none."""
        places = {name: Objects(self.app.name, name or self.model.name) for name in ("", self.namespace)}
        try:
            yield places
        finally:
            for place in places.values():
                place.close()

    def _wish(self, asked: knative.Asked) -> Manifest:
        spec: dict[str, Any] = {
            "version": asked.version,
            "config": {name: dict(data) for name, data in asked.config.items()},
            "registry": {"override": dict(asked.images)},
        }
        if asked.variables:
            spec["workloads"] = [
                {
                    "name": name,
                    "env": [
                        {"container": name, "envVars": [{"name": k, "value": v} for k, v in some.items()]}
                    ],
                }
                for name, some in asked.variables.items()
            ]
        return {"metadata": {"name": self.app.name, "namespace": self.namespace}, "spec": spec}

    def _tell(self, place: Objects, asked: knative.Asked) -> None:
        """Have the object say, as the operator does, how far its component is."""
        live = place.get(self.kind, self.app.name) or {}
        behind = [
            each["metadata"]["name"]
            for each in place.all(knative.KINDS["Deployment"])
            if each.get("status", {}).get("availableReplicas", 0) < each["spec"].get("replicas", 1)
        ]
        parts: dict[str, str] = dict.fromkeys(
            ("DependenciesInstalled", "DeploymentsAvailable", "InstallSucceeded", "VersionMigrationEligible"),
            "",
        )
        if behind:
            parts["DeploymentsAvailable"] = f"Waiting on deployments: {', '.join(sorted(behind))}"
        parts["Ready"] = parts["DeploymentsAvailable"]
        before = {each["type"]: each for each in live.get("status", {}).get("conditions", ())}
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        conditions = [
            _condition(name, message, before.get(name), now) for name, message in sorted(parts.items())
        ]
        status = {"conditions": conditions, "version": asked.version}
        if live.get("status", {}).get("conditions") != conditions:
            with contextlib.suppress(httpx2.HTTPStatusError):  # it is only told, and told again
                place.tell(self.kind, self.app.name, status)


def _may_pass(error: BaseException) -> bool:
    """Return whether what stopped an operator passes by itself."""
    if isinstance(error, Stop):
        return "is being removed" in error.status.message
    return isinstance(error, (httpx2.HTTPError, Refused))


def _condition(name: str, message: str, before: Manifest | None, now: str) -> Manifest:
    said = {"type": name, "status": "False" if message else "True"}
    if message:
        said |= {"reason": "NotReady", "message": message}
    same = before is not None and before["status"] == said["status"]
    return {**said, "lastTransitionTime": before["lastTransitionTime"] if same and before else now}
