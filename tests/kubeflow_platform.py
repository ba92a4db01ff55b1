"""The bundle, active in a rehearsal, and what tests do with the whole of it."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kubeflow_users import JupyterWebApp, Requests, VolumesWebApp

from kubeflow_charm.cluster.resources import Manifest
from kubeflow_charm.gpu.pools import discover
from rehearsal.cluster import nodes
from rehearsal.patience import until
from rehearsal.stage import Stage

NODE_FILES = Path(nodes.__file__).with_name("nodes")
MODEL = "mlops"
"""The model, whose name is not the usual one, on purpose."""
OVERLAY = Path(__file__).with_name("mlops_overlay.yaml")
"""What the bundle needs in that model."""
OWN_NODES = "platform-"
FOLLOWERS = ("kubeflow-notebooks/0", "kubeflow-pipelines/0", "katib/0", "kubeflow-training/0", "kserve/0")
"""The units that do something for GPUs."""
CONTROL_PLANE = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
NOTEBOOKS = "/apis/kubeflow.org/v1beta1"
POD_DEFAULTS = "/apis/kubeflow.org/v1alpha1"


@dataclasses.dataclass
class Outside:
    """What programs in pods find outside the API server."""

    kernels: dict[str, list[dict[str, Any]]] = dataclasses.field(default_factory=dict)
    """What the servers of notebooks answer, by the notebook's name; the others do not answer."""
    ahead: datetime.timedelta = datetime.timedelta()
    """How far their clock is ahead."""

    def now(self) -> datetime.datetime:
        """Return their time."""
        return datetime.datetime.now(datetime.UTC) + self.ahead


@dataclasses.dataclass
class Platform:
    """The bundle, active, on nodes of its own that have no room for a notebook."""

    stage: Stage
    root: Path
    """Of the repository."""
    admin: Requests
    outside: Outside

    def __post_init__(self) -> None:
        self.jupyter = JupyterWebApp(self._mounted)
        self.volumes = VolumesWebApp(self._mounted, "filebrowser/filebrowser:v2.25.0")

    def _mounted(self, name: str) -> dict[str, str] | None:
        found = self.admin.find(f"/api/v1/namespaces/{MODEL}/configmaps/{name}")
        return found and found["data"]

    def deploy(self) -> None:
        """Deploy the bundle; what is there already stays as it is."""
        self.stage.juju("deploy", self.root / "bundle.yaml", "--overlay", OVERLAY, "--trust")

    def unit(self, name: str) -> Any:
        """Return the workload's status of a unit."""
        return {unit.name: unit.workload for unit in self.stage.engine.models[MODEL].units()}[name]

    def settle(self) -> None:
        """Wait until every unit is active."""
        model = self.stage.engine.models[MODEL]
        until(
            lambda: all(unit.workload.current == "active" for unit in model.units()),
            self._statuses,
            within=300,
        )

    def hours_later(self, hours: int) -> None:
        """Have programs in pods believe that time has gone by."""
        assert self.stage.players
        self.outside.ahead += datetime.timedelta(hours=hours)
        self.stage.players.hurry()

    def have_nodes(self, name: str) -> None:
        """Have the nodes of a file in the place of those before, and wait until the form offers their GPUs.

        If all of them have taints, so have the platform's own, which what runs there already does not mind.
        """
        wanted = nodes.load(NODE_FILES / f"{name}.yaml")
        if {_name(node) for node in wanted} == {_name(node) for node in self.users_nodes()}:
            return  # no two files have nodes of the same names
        for node in self.users_nodes():
            self.admin.delete(f"/api/v1/nodes/{_name(node)}")
        for node in wanted:
            self.admin.create("/api/v1/nodes", node)
        taints = [CONTROL_PLANE] if all(node["spec"]["taints"] for node in wanted) else []
        for node in self.admin.items("/api/v1/nodes"):
            if _name(node).startswith(OWN_NODES):
                self.admin.patch(f"/api/v1/nodes/{_name(node)}", {"spec": {"taints": taints}})
        until(lambda: all(map(_is_ready, self.users_nodes())))
        self._ask(FOLLOWERS)
        gpus = discover(wanted)
        self.settle()
        until(lambda: {self.unit(name).message for name in FOLLOWERS} == {gpus.summary}, self._statuses)
        until(lambda: self._offered() == [pool.title for pool in gpus.pools], self._statuses)

    def _ask(self, names: Iterable[str]) -> None:
        """Have Juju ask units now for what it asks of them every few minutes.

        Their watchers ask more rarely after some ten hooks in a row, and tests change nodes more often.
        """
        asked = [unit for unit in self.stage.engine.models[MODEL].units() if unit.name in names]
        for unit in asked:
            unit.seen.update_status_due = 0.0
        until(lambda: all(unit.seen.update_status_due for unit in asked), self._statuses)

    def _statuses(self) -> list[str]:
        units = self.stage.engine.models[MODEL].units()
        return [f"{unit.name} {unit.workload.current}: {unit.workload.message}" for unit in units]

    def users_nodes(self) -> list[Manifest]:
        """Return the nodes that are not the platform's own."""
        every = self.admin.items("/api/v1/nodes")
        return [node for node in every if not _name(node).startswith(OWN_NODES)]

    def _offered(self) -> list[str]:
        options = self.jupyter.form["affinityConfig"]["options"]
        return [option["displayName"] for option in options if option["configKey"] != "prefer-cpu-nodes"]


def _name(node: Manifest) -> str:
    return node["metadata"]["name"]


def _is_ready(node: Manifest) -> bool:
    taints = [taint["key"] for taint in node["spec"].get("taints", [])]
    states = [c["status"] for c in node["status"].get("conditions", []) if c["type"] == "Ready"]
    return states == ["True"] and not any(key.startswith("node.kubernetes.io/") for key in taints)
