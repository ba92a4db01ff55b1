"""Who plays: found by the images of Deployments, in whatever namespace and under whatever name."""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING

from rehearsal.players import deployments, identity, kinds, pipelines_bucket
from rehearsal.players import program as programs
from rehearsal.players.api import Api
from rehearsal.players.controller import Controller
from rehearsal.players.kinds import Key
from rehearsal.players.load_balancer import LoadBalancer
from rehearsal.players.player import Player, parts
from rehearsal.players.program import Clock, Kernels, World
from rehearsal.players.refusals import Refusals
from rehearsal.stores.server import Dial

if TYPE_CHECKING:
    from rehearsal.cluster.controlplane import ControlPlane

_RENEWAL = 0.5
"""Seconds after which a player whose token has expired is given another one."""


class Players:
    """Follows the Deployments of all namespaces, and plays those programs whose pods are available.

    Args:
        cluster: where they play.
        kernels: what notebook servers answer, by namespace and name, when they are asked for their kernels.
        clock: returns the time, with its zone.
        outside: images whose programs are not played: others run them.
        load_balancer: whether Services of that type get an address.
        dial: connects to a Service's `host:port` where pods really run.
    """

    def __init__(
        self,
        cluster: ControlPlane,
        *,
        kernels: Kernels = programs.unreachable,
        clock: Clock = programs.now,
        outside: Set[str] = frozenset(),
        load_balancer: bool = True,
        dial: Dial | None = None,
    ):
        self._cluster = cluster
        self._world = World(kernels, clock, dial)
        # It does nothing for played pods.
        self._outside = outside if dial else outside | {pipelines_bucket.IMAGE}
        self._balances = load_balancer
        self._refusals = Refusals()
        self._playing: dict[Key, Player] = {}

    def start(self) -> None:
        """Begin to follow Deployments; returns at once."""
        cluster = self._cluster
        self._api = Api(
            lambda transport: identity.administrator(cluster, transport=transport),
            cluster.tls(),
            self._refusals,
        )
        self._controller = Controller(self._api, kinds.DEPLOYMENT, self._reconcile, self._refusals, "players")
        self._balancer = LoadBalancer(self._api, self._refusals) if self._balances else None
        self._api.start()
        self._controller.start()
        if self._balancer is not None:
            self._balancer.start()

    def stop(self) -> None:
        """End everything, and return when it has ended, whether or not the API server is still there."""
        balancer = self._balancer
        self._controller.stop()
        if balancer is not None:
            balancer.stop()
        self._api.stop()
        self._controller.join()
        if balancer is not None:
            balancer.join()
        for key in list(self._playing):
            self._end(key)
        self._api.close()

    def __enter__(self) -> Players:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def refusals(self) -> list[str]:
        """Return what the cluster did not let the players do, each once: the missing rights of an account."""
        return self._refusals.messages()

    def hurry(self) -> None:
        """Have what waits for its time be looked at now: after the clock has been put forward, say."""
        for player in list(self._playing.values()):
            player.hurry()

    def playing(self) -> list[str]:
        """Return the Deployments whose programs are being played, as `namespace/name`."""
        return sorted("/".join(key) for key in list(self._playing))

    def _reconcile(self, key: Key) -> None:
        """Start, stop or renew the player of a Deployment."""
        deployment = self._api.get(kinds.DEPLOYMENT, key)
        available = deployment is not None and deployments.available(deployment)
        if deployment is None or not available or not parts(deployment, self._outside):
            self._end(key)
            return
        player = self._playing.get(key)
        if player is not None:
            changed = player.template != deployment["spec"]["template"] and deployments.rolled_out(deployment)
            if not changed and not player.expired:
                return
            self._end(key)
        player = Player(self._cluster, self._api, deployment, self._world, self._refusals, self._outside)
        player.on_expiry = lambda: self._controller.add(key, _RENEWAL)
        self._playing[key] = player
        player.start()

    def _end(self, key: Key) -> None:
        if player := self._playing.pop(key, None):
            player.stop()
