"""The nodes of the rehearsed cluster, from a short file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pydantic
import yaml

from rehearsal.errors import RehearsalError

DEFAULT = Path(__file__).with_name("nodes") / "default.yaml"


class Taint(pydantic.BaseModel):
    """A taint, as Kubernetes writes it."""

    model_config = pydantic.ConfigDict(extra="forbid")

    key: str
    value: str = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = "NoSchedule"


class Group(pydantic.BaseModel):
    """Nodes that are alike.

    `name` is the node's name, or its beginning if `count` is more than one.
    """

    model_config = pydantic.ConfigDict(extra="forbid")

    name: str = pydantic.Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")
    count: int = pydantic.Field(default=1, ge=1, le=5000)
    labels: dict[str, str] = {}
    taints: list[Taint] = []
    allocatable: dict[str, str | int] = {}
    """Resource to quantity: `cpu`, `memory`, `nvidia.com/gpu` ..."""

    def nodes(self) -> list[dict[str, Any]]:
        """Return the Node objects."""
        names = [self.name] if self.count == 1 else [f"{self.name}-{i}" for i in range(self.count)]
        return [self._node(name) for name in names]

    def _node(self, name: str) -> dict[str, Any]:
        resources = {"cpu": "16", "memory": "64Gi", "pods": "250", "ephemeral-storage": "200Gi"}
        resources |= {key: str(value) for key, value in self.allocatable.items()}
        labels = {
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
        }
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": labels | self.labels},
            "spec": {
                "taints": [
                    taint.model_dump(exclude_defaults=True) | {"effect": taint.effect}
                    for taint in self.taints
                ]
            },
            "status": {"allocatable": resources, "capacity": resources},
        }


class NodeFile(pydantic.BaseModel):
    """A node file: `nodes:` and a list of groups."""

    model_config = pydantic.ConfigDict(extra="forbid")

    nodes: list[Group] = pydantic.Field(min_length=1)


def load(path: Path = DEFAULT) -> list[dict[str, Any]]:
    """Return the Node objects of a node file.

    Raises:
        RehearsalError: naming the file and the place, if it is not one.
    """
    try:
        said = NodeFile.model_validate(yaml.safe_load(path.read_text()))
    except OSError as error:
        raise RehearsalError(f"the node file {path} cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise RehearsalError(f"the node file {path} is not YAML: {error}") from None
    except pydantic.ValidationError as error:
        detail = error.errors()[0]
        place = ".".join(str(step) for step in detail["loc"]) or "nodes"
        raise RehearsalError(f"the node file {path} is wrong at {place}: {detail['msg']}") from None
    return [node for group in said.nodes for node in group.nodes()]
