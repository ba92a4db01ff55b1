"""The common base of all stand-ins: one reconcile on every hook, and statuses for its problems."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import ops
from serialized_data_interface import SerializedDataInterface

from rehearsal.stand_ins import metrics
from rehearsal.stand_ins.handshake import Interface
from rehearsal.stand_ins.stopping import Stop, waiting

logger = logging.getLogger(__name__)

_RANK = ("blocked", "maintenance", "waiting")
"""Worst first, in the order of ops (`ops.CollectStatusEvent`)."""


class StandIn(ops.CharmBase):
    """A charm that plays another: in every hook the leader does all its work, or its status says why not.

    The other units only say where their metrics are, and wait for leadership, like those of most real charms.
    """

    endpoints: Mapping[str, SerializedDataInterface] = MappingProxyType({})
    """The SDI endpoints (`handshake.speaking`)."""
    only_leader_works = True
    """Whether the other units only wait for leadership."""
    metrics_endpoint = "metrics-endpoint"
    """The endpoint of those who scrape."""

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        for event in self.on.events().values():
            kind = event.event_type
            if issubclass(kind, ops.HookEvent) and not issubclass(kind, (ops.StopEvent, ops.RemoveEvent)):
                framework.observe(event, self._reconcile)
        framework.observe(self.on.remove, self._remove)

    def play(self) -> None:
        """Do all the work; raise `Stop` if something prevents it."""
        raise NotImplementedError

    def play_unit(self) -> None:
        """Do what every unit does, before the leader's work; raise `Stop` if something prevents it."""
        if self.metrics_endpoint in self.meta.provides:
            relations = self.related(self.metrics_endpoint)
            metrics.tell(self, relations, self.scrape_jobs() if relations else ())

    def scrape_jobs(self) -> Sequence[dict[str, Any]]:
        """Return the jobs by which the application is scraped; without any, nothing is said of metrics."""
        return ()

    def clear(self) -> None:
        """Delete everything made outside Juju; raise `Stop` if that fails."""

    def each(self, *steps: Callable[[], None]) -> None:
        """Take every step, even if another one stops; raise the worst `Stop`."""
        stops: list[Stop] = []
        for step in steps:
            try:
                step()
            except Stop as stop:
                logger.info("%s: %s", stop.status.name, stop)
                stops.append(stop)
        if stops:
            raise min(stops, key=lambda stop: _RANK.index(stop.status.name))

    def related(self, endpoint: str) -> list[ops.Relation]:
        """Return an endpoint's relations in order of creation, without those that are breaking."""
        there = [each for each in self.model.relations[endpoint] if each.active and each.app]
        return sorted(there, key=lambda relation: relation.id)

    def interface(self, endpoint: str) -> Interface:
        """Return an SDI endpoint after greeting on it."""
        interface = Interface(self, self.endpoints[endpoint], self.related(endpoint))
        interface.greet()
        return interface

    def kept(self, relation: ops.Relation, label: str, content: dict[str, str]) -> str:
        """Keep `content` in the secret of that label, granted to the relation; return its URI."""
        try:
            secret = self.model.get_secret(label=label)
        except ops.SecretNotFoundError:
            secret = self.app.add_secret(content, label=label)
            secret.grant(relation)
        else:
            if secret.get_content(refresh=True) != content:
                secret.set_content(content)
        return secret.id or secret.get_info().id

    def _reconcile(self, event: ops.EventBase) -> None:
        try:
            self.play_unit()
            if self.unit.is_leader():
                self.play()
            elif self.only_leader_works:
                raise waiting("Waiting for leadership")
        except Stop as stop:
            self.unit.status = stop.status
        else:
            self.unit.status = ops.ActiveStatus("stand-in")

    def _remove(self, event: ops.RemoveEvent) -> None:
        if self.app.planned_units():
            return
        try:
            self.clear()
        except Stop as stop:
            # Juju removes the unit anyway; a failing hook would only delay it.
            logger.error("not everything is deleted: %s", stop)
