"""Who plays: found by the images of Deployments, in whatever namespace and under whatever name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from rehearsal.players import (
    deployments,
    identity,
    kinds,
    notebook,
    profile,
    pvcviewer,
    tensorboard,
)
from rehearsal.players import program as programs
from rehearsal.players.api import Api
from rehearsal.players.controller import Controller
from rehearsal.players.kinds import Key, Object
from rehearsal.players.program import Clock, Kernels, Program, World
from rehearsal.players.refusals import Refusals

if TYPE_CHECKING:
    from rehearsal.cluster.controlplane import ControlPlane

PROGRAMS: Mapping[str, Callable[[Program], list[Controller]]] = {
    "notebook-controller": notebook.controllers,
    "profile-controller": profile.controllers,
    "pvcviewer-controller": pvcviewer.controllers,
    "tensorboard-controller": tensorboard.controllers,
}
"""Name of an image to what plays its program."""


class Players:
    """Follows the Deployments of all namespaces, and plays those programs whose pods are available.

    Args:
        cluster: where they play.
        kernels: what notebook servers answer, by namespace and name, when they are asked for their kernels.
        clock: returns the time, with its zone.
    """

    def __init__(
        self,
        cluster: ControlPlane,
        *,
        kernels: Kernels = programs.unreachable,
        clock: Clock = programs.now,
    ):
        self._cluster = cluster
        self._world = World(kernels, clock)
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
        self._api.start()
        self._controller.start()

    def stop(self) -> None:
        """End everything, and return when it has ended, whether or not the API server is still there."""
        self._controller.stop()
        self._api.stop()
        self._controller.join()
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
        if deployment is None or not deployments.available(deployment) or not _parts(deployment):
            self._end(key)
            return
        player = self._playing.get(key)
        if player is not None:
            changed = player.template != deployment["spec"]["template"] and deployments.rolled_out(deployment)
            if not changed and not player.expired:
                return
            self._end(key)
        player = Player(self._cluster, self._api, deployment, self._world, self._refusals)
        player.on_expiry = lambda: self._controller.add(key)
        self._playing[key] = player
        player.start()

    def _end(self, key: Key) -> None:
        if player := self._playing.pop(key, None):
            player.stop()


class Player:
    """The programs of one Deployment, as set up when this is made.

    Args:
        cluster: gives the service account's token.
        look: reads what the kubelet would.
        deployment: which.
        world: what programs find outside the API server.
        refusals: told what is in the way.

    Raises:
        Unstartable: if one of the programs cannot begin.
        OSError: if there is no such service account, or no API server.
    """

    def __init__(
        self,
        cluster: ControlPlane,
        look: Api,
        deployment: Object,
        world: World,
        refusals: Refusals,
    ):
        self.template = deployment["spec"]["template"]
        """The pods' template that was played when this began."""
        self.expired = False
        """Whether the API server no longer knows the token."""
        self.on_expiry: Callable[[], None] = lambda: None
        namespace = deployment["metadata"]["namespace"]
        account = self.template["spec"].get("serviceAccountName", "default")
        settings = {
            part["name"]: deployments.read(
                deployment, part, lambda kind, name: look.read(kind, (namespace, name))
            )
            for part in _parts(deployment)
        }
        own = refusals.for_holder(self._expire)
        self._api = Api(
            lambda transport: identity.client(cluster, namespace, account, transport=transport),
            cluster.tls(),
            own,
        )
        self._kubelet = Api(
            lambda transport: identity.administrator(cluster, transport=transport), cluster.tls(), refusals
        )
        self._controllers: list[Controller] = []
        try:
            for part in _parts(deployment):
                name = deployments.program(part)
                program = Program(name, settings[part["name"]], self._api, self._kubelet, world, own)
                self._controllers += PROGRAMS[name](program)
        except BaseException:
            self.stop()
            raise

    def start(self) -> None:
        """Begin."""
        for api in (self._api, self._kubelet):
            api.start()
        for controller in self._controllers:
            controller.start()

    def stop(self) -> None:
        """End it, and return when it has ended."""
        for controller in self._controllers:
            controller.stop()
        for api in (self._api, self._kubelet):
            api.stop()
        for controller in self._controllers:
            controller.join()
        for api in (self._api, self._kubelet):
            api.close()

    def hurry(self) -> None:
        """Have what waits for its time be looked at now."""
        for controller in self._controllers:
            controller.hurry()

    def _expire(self) -> None:
        self.expired = True
        self.on_expiry()


def _parts(deployment: Object) -> list[Object]:
    """Return the containers whose programs are played."""
    containers = deployment["spec"]["template"]["spec"]["containers"]
    return [each for each in containers if deployments.program(each) in PROGRAMS]
