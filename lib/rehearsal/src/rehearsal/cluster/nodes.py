"""Read the nodes of the rehearsed cluster from a short file."""

from __future__ import annotations

import ipaddress
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml

from rehearsal.errors import RehearsalError

DEFAULT = Path(__file__).with_name("nodes") / "default.yaml"
PLAYED = ("kwok.x-k8s.io/node", "fake")
"""The annotation of a node whose kubelet is played; KWOK's own convention."""
_FIRST_ADDRESS = ipaddress.IPv4Address("10.0.0.1")

Quantity = Annotated[
    str,
    pydantic.BeforeValidator(lambda value: str(value) if isinstance(value, int) else value),
    pydantic.StringConstraints(pattern=r"^\d+(\.\d+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"),
]
"""An amount, as Kubernetes writes it: `8`, `500m`, `64Gi`."""


class Taint(pydantic.BaseModel):
    """A taint, as Kubernetes writes it."""

    model_config = pydantic.ConfigDict(extra="forbid")

    key: str
    value: str = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = "NoSchedule"


class Group(pydantic.BaseModel):
    """Identical nodes.

    `name` is the node's name, or its prefix if `count` is more than one.
    """

    model_config = pydantic.ConfigDict(extra="forbid")

    name: str = pydantic.Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")
    count: int = pydantic.Field(default=1, ge=1, le=5000)
    labels: dict[str, str] = {}
    taints: list[Taint] = []
    allocatable: dict[str, Quantity] = {}
    """Quantities by resource: `cpu`, `memory`, `nvidia.com/gpu` ..."""

    @property
    def names(self) -> list[str]:
        """The nodes' names."""
        return [self.name] if self.count == 1 else [f"{self.name}-{i}" for i in range(self.count)]

    def node(self, name: str, address: str) -> dict[str, Any]:
        """Return the Node object of one of these nodes."""
        resources = {"cpu": "16", "memory": "64Gi", "pods": "250", "ephemeral-storage": "200Gi"}
        resources |= self.allocatable
        labels = {
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": "amd64",
        }
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": labels | self.labels, "annotations": dict([PLAYED])},
            "spec": {
                "taints": [
                    taint.model_dump(exclude_defaults=True) | {"effect": taint.effect}
                    for taint in self.taints
                ]
            },
            "status": {
                "allocatable": resources,
                "capacity": resources,
                "addresses": [
                    {"type": "InternalIP", "address": address},
                    {"type": "Hostname", "address": name},
                    {"type": "InternalDNS", "address": "localhost"},  # where our kubelet is
                ],
            },
        }


class NodeFile(pydantic.BaseModel):
    """A node file: `nodes:` and a list of groups."""

    model_config = pydantic.ConfigDict(extra="forbid")

    nodes: list[Group] = pydantic.Field(min_length=1)

    @pydantic.model_validator(mode="after")
    def _names_differ(self) -> NodeFile:
        names = Counter(name for group in self.nodes for name in group.names)
        twice = sorted(name for name, times in names.items() if times > 1)
        if twice:
            raise ValueError(f"several nodes are called {', '.join(twice[:3])}")
        return self


def load(path: Path = DEFAULT) -> list[dict[str, Any]]:
    """Return the Node objects of a node file, each with its own address.

    Raises:
        RehearsalError: if the file is wrong; the text names the file and every wrong place in it.
    """
    try:
        said = NodeFile.model_validate(yaml.safe_load(path.read_text()))
    except OSError as error:
        raise RehearsalError(f"the node file {path} cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise RehearsalError(f"the node file {path} is not YAML: {' '.join(str(error).split())}") from None
    except pydantic.ValidationError as error:
        wrong = "; ".join(map(_finding, error.errors()))
        raise RehearsalError(f"the node file {path} is wrong at {wrong}") from None
    named = [(group, name) for group in said.nodes for name in group.names]
    return [group.node(name, str(_FIRST_ADDRESS + at)) for at, (group, name) in enumerate(named)]


def _finding(detail: Any) -> str:
    place = ".".join(str(step) for step in detail["loc"]) or "nodes"
    return f"{place}: {detail['msg'].removeprefix('Value error, ')}"
