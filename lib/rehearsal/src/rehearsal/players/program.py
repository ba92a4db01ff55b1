"""What every played program is given."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rehearsal.players.api import Api
from rehearsal.players.controller import Controller, Reconcile
from rehearsal.players.deployments import Settings
from rehearsal.players.kinds import Kind
from rehearsal.players.refusals import Refusals
from rehearsal.stores.server import Dial

Kernels = Callable[[str, str], Sequence[dict[str, Any]] | None]
"""A notebook server's answer at /api/kernels, by namespace and name; None if it cannot be reached."""

Clock = Callable[[], datetime.datetime]
"""Returns the time, with its zone."""


def unreachable(namespace: str, name: str) -> None:
    """Answer as a notebook server that nobody hears."""


def now() -> datetime.datetime:
    """Return the time."""
    return datetime.datetime.now(datetime.UTC)


@dataclass(frozen=True)
class World:
    """What programs find outside the API server.

    Attributes:
        kernels: what notebook servers answer.
        clock: the time, with its zone.
        dial: connects to a Service's `host:port` where pods really run.
    """

    kernels: Kernels = unreachable
    clock: Clock = now
    dial: Dial | None = None

    def timestamp(self) -> str:
        """Return the time as Kubernetes writes it."""
        return timestamp(self.clock())


@dataclass(frozen=True)
class Program:
    """A program in a pod.

    Attributes:
        name: of its image.
        settings: how it is set up.
        api: the API server, as its service account.
        kubelet: the API server, as the kubelet that keeps its mounted files true.
        world: everything else.
        refusals: told what is in the way.
        discover: returns the class of a kind by its apiVersion and name, if it is served.
    """

    name: str
    settings: Settings
    api: Api
    kubelet: Api
    world: World
    refusals: Refusals
    discover: Callable[[str, str], Kind | None]

    def controller(self, kind: Kind, reconcile: Reconcile, name: str = "") -> Controller:
        """Return a controller of this program."""
        return Controller(self.api, kind, reconcile, self.refusals, name or self.name)


def timestamp(time: datetime.datetime) -> str:
    """Return a time as Go's RFC3339 writes it in UTC."""
    return time.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
