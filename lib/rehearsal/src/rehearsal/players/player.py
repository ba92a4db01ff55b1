"""One Deployment's programs, played with its settings and as its service account."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Set
from typing import TYPE_CHECKING

from rehearsal.players import (
    deployments,
    discovery,
    gang_scheduler,
    identity,
    istiod,
    notebook,
    pipelines_bucket,
    profile,
    pvcviewer,
    tensorboard,
)
from rehearsal.players.api import Api
from rehearsal.players.argo import workflow
from rehearsal.players.controller import Controller
from rehearsal.players.jobset import jobsets
from rehearsal.players.katib import controllers as katib
from rehearsal.players.kinds import Kind, Object
from rehearsal.players.knative import controllers as knative
from rehearsal.players.kserve import controllers as kserve
from rehearsal.players.kserve import llm
from rehearsal.players.program import Program, World
from rehearsal.players.refusals import Refusals
from rehearsal.players.trainer import trainjobs
from rehearsal.players.training import operator as training_operator

if TYPE_CHECKING:
    from rehearsal.cluster.controlplane import ControlPlane

PROGRAMS: Mapping[str, Callable[[Program], list[Controller]]] = {
    gang_scheduler.COSCHEDULING: gang_scheduler.controllers,
    gang_scheduler.VOLCANO: gang_scheduler.controllers,
    istiod.IMAGE: istiod.controllers,
    jobsets.IMAGE: jobsets.controllers,
    katib.IMAGE: katib.controllers,
    **knative.PROGRAMS,
    kserve.IMAGE: kserve.controllers,
    llm.IMAGE: llm.controllers,
    "notebook-controller": notebook.controllers,
    pipelines_bucket.IMAGE: pipelines_bucket.controllers,
    "profile-controller": profile.controllers,
    "pvcviewer-controller": pvcviewer.controllers,
    "tensorboard-controller": tensorboard.controllers,
    trainjobs.IMAGE: trainjobs.controllers,
    training_operator.IMAGE: training_operator.controllers,
    "workflow-controller": workflow.controllers,
}
"""Name of an image to what plays its program."""


class Player:
    """The programs of one Deployment, as set up when this is made.

    Args:
        cluster: gives the service account's token.
        look: reads what the kubelet would.
        deployment: which.
        world: what programs find outside the API server.
        refusals: told what is in the way.
        outside: images whose programs are not played.

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
        outside: Set[str] = frozenset(),
    ):
        self.template = deployment["spec"]["template"]
        """The pods' template that was played when this began."""
        self.expired = False
        """Whether the API server no longer knows the token."""
        self.on_expiry: Callable[[], None] = lambda: None
        namespace = deployment["metadata"]["namespace"]
        account = self.template["spec"].get("serviceAccountName", "default")

        def seen(kind: Kind, name: str) -> Object | None:
            return look.read(kind, (namespace, name))

        settings = [(part, deployments.read(deployment, part, seen)) for part in parts(deployment, outside)]
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
            for part, said in settings:
                name = deployments.program(part)
                discover = functools.partial(discovery.find, cluster)
                program = Program(name, said, self._api, self._kubelet, world, own, discover)
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


def parts(deployment: Object, outside: Set[str]) -> list[Object]:
    """Return the containers whose programs are played: of no image that is outside."""
    containers = deployment["spec"]["template"]["spec"]["containers"]
    played = PROGRAMS.keys() - outside
    return [each for each in containers if deployments.program(each) in played]
