"""What all stand-ins share: one reconcile on every event, and the handshakes of both sides.

SDI endpoints go through the library that the real charms use, so that what our own charms send is checked
as strictly as it will be.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import lightkube
import ops
import serialized_data_interface as sdi
import yaml
from lightkube.generic_resource import (
    create_global_resource,
    create_namespaced_resource,
    get_generic_resource,
)
from serialized_data_interface.errors import RelationDataError

_MADE = {"app.kubernetes.io/managed-by": "stand-in"}


class Stop(Exception):
    """Ends a reconcile with a status."""

    def __init__(self, status: ops.StatusBase):
        super().__init__(status.message)
        self.status = status


class StandIn(ops.CharmBase):
    """A charm that plays another: on every event it does all it has to do, and says why it cannot."""

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        for event in self.on.events().values():
            kind = event.event_type
            ordinary = (ops.LifecycleEvent, ops.RelationEvent, ops.SecretEvent)
            silent = (ops.CollectStatusEvent, ops.StopEvent, ops.RemoveEvent)
            if issubclass(kind, ordinary) and not issubclass(kind, silent):
                framework.observe(event, self._reconcile)
        framework.observe(self.on.remove, self._remove)

    def steps(self) -> list[Callable[[], None]]:
        """Return what is to do, in order. A step raises `Stop` with what is in its way; the others go on.

        So no handshake waits for another one, which may wait for ours.
        """
        raise NotImplementedError

    def clear(self) -> None:
        """Delete what was made in Kubernetes."""

    def _reconcile(self, _: ops.EventBase) -> None:
        if not self.unit.is_leader():
            self.unit.status = ops.ActiveStatus("stand-in")
            return
        found: list[ops.StatusBase] = []
        for step in self.steps():
            try:
                step()
            except Stop as stop:
                found.append(stop.status)
            except httpx2.HTTPStatusError as error:
                found.append(self._explained(error))
        found.sort(key=lambda status: status.name != "blocked")
        self.unit.status = found[0] if found else ops.ActiveStatus("stand-in")

    def _explained(self, error: httpx2.HTTPStatusError) -> ops.StatusBase:
        if error.response.status_code in (401, 403):
            return ops.BlockedStatus(f"no rights: juju trust {self.app.name} --scope=cluster")
        return ops.WaitingStatus(f"Kubernetes API: {error.args[0]}"[:120])

    def _remove(self, _: ops.RemoveEvent) -> None:
        if self.app.planned_units() == 0:
            self.clear()

    # Relations

    def related(self, endpoint: str) -> list[ops.Relation]:
        """Return the relations of an endpoint that are not breaking."""
        return [r for r in self.model.relations[endpoint] if r.active and r.app]

    def required(self, endpoint: str) -> list[ops.Relation]:
        """Return the relations of an endpoint; stops if there is none, in the words of the real charms."""
        if not self.related(endpoint):
            raise Stop(ops.BlockedStatus(f"Please add the missing relation: {endpoint}"))
        return self.related(endpoint)

    def received(self, endpoint: str, *keys: str) -> Iterator[tuple[ops.Relation, dict[str, str]]]:
        """Yield what flat relations of an endpoint say; those that say nothing yet are left out."""
        for relation in self.related(endpoint):
            data = relation.data[relation.app]
            if all(key in data for key in keys):
                yield relation, {key: data[key] for key in keys}

    def interface(self, endpoint: str) -> Any:
        """Return the SDI interface of an endpoint, or None if nothing is related.

        Stops as the real charms do: waiting for versions, blocked by versions or data that do not fit.
        """
        if not self.related(endpoint):
            return None
        try:
            return sdi.get_interface(self, endpoint)
        except sdi.NoVersionsListed as error:
            raise Stop(ops.WaitingStatus(str(error))) from None
        except sdi.NoCompatibleVersions as error:
            raise Stop(ops.BlockedStatus(str(error))) from None
        except (RelationDataError, yaml.YAMLError) as error:
            said = " ".join(str(error).split())[:60]
            names = ", ".join(relation.app.name for relation in self.related(endpoint))
            raise Stop(ops.BlockedStatus(f"wrong data on {endpoint} from {names}: {said}")) from None

    def sent(self, endpoint: str) -> dict[str, dict[str, Any]]:
        """Return what the remote applications of an SDI endpoint sent, by application."""
        interface = self.interface(endpoint)
        data = interface.get_data() if interface else {}
        return {app.name: said for (_, app), said in data.items() if said and app is not self.app}

    def send(self, endpoint: str, data: dict[str, Any]) -> None:
        """Send data on an SDI endpoint."""
        if interface := self.interface(endpoint):
            interface.send_data(data)

    # Kubernetes

    @functools.cached_property
    def kubernetes(self) -> Any:
        """The cluster, with this application's own rights."""
        return lightkube.Client(namespace=self.model.name, field_manager=self.app.name)

    def apply(self, api_version: str, kind: str, name: str, body: dict[str, Any]) -> None:
        """Make an object in the model's namespace, labelled as ours."""
        labels = _MADE | {"app.kubernetes.io/created-by": self.app.name}
        metadata = {"name": name, "namespace": self.model.name, "labels": labels}
        resource = namespaced(api_version, kind)
        item = resource({"apiVersion": api_version, "kind": kind, "metadata": metadata, **body})
        self.kubernetes.apply(item, name, namespace=self.model.name, force=True)

    def prune(self, api_version: str, kind: str, keep: frozenset[str] | set[str] = frozenset()) -> None:
        """Delete our objects of a kind but those to keep; a kind that is not there has none."""
        resource = namespaced(api_version, kind)
        labels = _MADE | {"app.kubernetes.io/created-by": self.app.name}
        try:
            for item in self.kubernetes.list(resource, labels=labels):
                if item["metadata"]["name"] not in keep:
                    self.kubernetes.delete(resource, item["metadata"]["name"])
        except httpx2.HTTPStatusError as error:
            if error.response.status_code != 404:
                raise


def namespaced(api_version: str, kind: str) -> Any:
    """Return the generic resource of a namespaced kind with a regular plural."""
    group, _, version = api_version.rpartition("/")
    known = get_generic_resource(api_version, kind)
    return known or create_namespaced_resource(group, version, kind, f"{kind.lower()}s")


CRD = create_global_resource(
    "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions"
)
