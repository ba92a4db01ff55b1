"""What all stand-ins share: one reconcile on every hook, and what becomes of what is in its way."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType

import ops
from serialized_data_interface import SerializedDataInterface

from rehearsal.stand_ins.handshake import Interface
from rehearsal.stand_ins.stopping import Stop

logger = logging.getLogger(__name__)

_RANK = ("blocked", "maintenance", "waiting")
"""The worst first, as ops ranks them (`ops.CollectStatusEvent`)."""


class StandIn(ops.CharmBase):
    """A charm that plays another: in every hook the leader does all it has to do, or says why it cannot.

    The other units do nothing and wait for leadership, as those of the real charms do.
    """

    endpoints: Mapping[str, SerializedDataInterface] = MappingProxyType({})
    """Those that speak SDI (`handshake.speaking`)."""

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        for event in self.on.events().values():
            kind = event.event_type
            if issubclass(kind, ops.HookEvent) and not issubclass(kind, (ops.StopEvent, ops.RemoveEvent)):
                framework.observe(event, self._reconcile)
        framework.observe(self.on.remove, self._remove)

    def play(self) -> None:
        """Do all there is to do; raises `Stop` with what is in the way."""
        raise NotImplementedError

    def clear(self) -> None:
        """Delete what was made outside Juju; raises `Stop` if that cannot be."""

    def each(self, *steps: Callable[[], None]) -> None:
        """Take every step, even if another one stops; raises the worst `Stop`."""
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
        """Return the relations of an endpoint in the order they were made, none that is breaking."""
        there = [each for each in self.model.relations[endpoint] if each.active and each.app]
        return sorted(there, key=lambda relation: relation.id)

    def interface(self, endpoint: str) -> Interface:
        """Return an endpoint that speaks SDI, and has greeted."""
        interface = Interface(self, self.endpoints[endpoint], self.related(endpoint))
        interface.greet()
        return interface

    def _reconcile(self, event: ops.EventBase) -> None:
        if not self.unit.is_leader():
            self.unit.status = ops.WaitingStatus("Waiting for leadership")
            return
        try:
            self.play()
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
            # The unit goes either way; a failing hook would only keep it.
            logger.error("not everything is deleted: %s", stop)
