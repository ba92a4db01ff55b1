"""Events that a controller makes about its objects, each only once in its life.

client-go counts what is repeated (k8s.io/client-go v0.32, tools/record); here it is not said again. What the
server refuses is lost, as it is there, but told as a missing right.
"""

from __future__ import annotations

import time

import httpx2
from lightkube.core.resource import api_info

from rehearsal.players import kinds
from rehearsal.players.kinds import Kind, Object
from rehearsal.players.program import Program


class Recorder:
    """Makes events.

    Args:
        program: which makes them, by its account.
        component: how the controller is called in them.
    """

    def __init__(self, program: Program, component: str):
        self._program = program
        self._component = component
        self._said: set[tuple[str, str, str]] = set()

    def say(self, kind: Kind, about: Object, reason: str, message: str, *, warning: bool = False) -> None:
        """Say something of an object."""
        said = (about["metadata"]["uid"], reason, message)
        if said in self._said:
            return
        self._said.add(said)
        resource = api_info(kind).resource
        namespace, name = kinds.key(about)
        now = self._program.world.timestamp()
        event = {
            "metadata": {"name": f"{name}.{time.time_ns():x}", "namespace": namespace},
            "involvedObject": {
                "apiVersion": resource.api_version,
                "kind": resource.kind,
                "name": name,
                "namespace": namespace,
                "uid": about["metadata"]["uid"],
            },
            "type": "Warning" if warning else "Normal",
            "reason": reason,
            "message": message[:1024],
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "source": {"component": self._component},
        }
        try:
            self._program.api.create(kinds.EVENT, event)
        except httpx2.HTTPStatusError as error:
            self._program.refusals.hear(f"{self._component} events", error)
