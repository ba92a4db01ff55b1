"""The programs of a charm that have metrics, as `src/metrics.yaml` describes them.

The file is the one place that says where a program's metrics are and what they are called. From it come the
jobs for Prometheus, the reference in the docs, and the tests of alerts and dashboards. Under `without` it has
the workloads that have no metrics to scrape, each with the reason.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml

from kubeflow_charm.cluster.resources import Manifest, kind_of

SHARED = Path(__file__).with_name("libraries.yaml")
"""The metrics of the libraries that programs are made with."""

WITHOUT = "without"

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Metric(pydantic.BaseModel):
    """A metric: what it counts, with which labels, and where upstream makes it."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, defer_build=True)

    type: Literal["counter", "gauge", "histogram", "summary"]
    help: str
    labels: tuple[str, ...] = ()
    source: str = ""


class Library(pydantic.BaseModel):
    """What a library gives to each program that is made with it."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, defer_build=True)

    source: Annotated[str, pydantic.Field(min_length=1)]
    metrics: dict[str, Metric]


class Program(pydantic.BaseModel):
    """A program with metrics.

    `port` is the name of a container's port, which only this program's pods have. `controllers` are the names
    of its controllers, if it is made with controller-runtime. `libraries` are those in `libraries.yaml` that
    give it more metrics. `dropped` are metrics that Prometheus is told to forget.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, defer_build=True)

    port: str
    path: Annotated[str, pydantic.Field(pattern=r"^/")] = "/metrics"
    controllers: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    source: str
    metrics: dict[str, Metric] = {}


@dataclasses.dataclass(frozen=True)
class Target:
    """A program that runs, and where it is scraped.

    Args:
        program: its name, which is the label `program` of its series.
        workload: the Deployment whose pods run it.
        port_name: the name of the container's port.
        port: its number.
        service_port: the port of the Service that leads to it; no two programs have the same.
        path: the path of its metrics.
        dropped: metrics to forget.
    """

    program: str
    workload: str
    port_name: str
    port: int
    service_port: int
    path: str
    dropped: tuple[str, ...] = ()


def read(file: Path) -> dict[str, Program]:
    """Return the programs of `src/metrics.yaml` by name; none without such a file.

    Raises:
        pydantic.ValidationError: for a wrong description: a bug of the charm.
    """
    return {name: Program.model_validate(each) for name, each in _said(file).items() if name != WITHOUT}


def without(file: Path) -> dict[str, str]:
    """Return the workloads that have no metrics to scrape, and why."""
    return _said(file).get(WITHOUT, {})


@functools.cache
def libraries() -> dict[str, Library]:
    """Return each library."""
    return {name: Library.model_validate(each) for name, each in _said(SHARED).items()}


def _said(file: Path) -> dict[str, Any]:
    if not file.exists():
        return {}
    return yaml.load(file.read_text(), Loader=_Loader)  # noqa: S506 (a safe one, in C)


def targets(programs: dict[str, Program], documents: Iterable[Manifest]) -> list[Target]:
    """Return the programs that run, in the order of the description.

    Args:
        programs: the programs of the charm.
        documents: the objects that the charm wants; a program without a port there does not run.

    Raises:
        ValueError: if two workloads name a port alike: a bug of the charm.
    """
    ports: dict[str, tuple[str, int]] = {}
    wanted = {program.port for program in programs.values()}
    for document in documents:
        if kind_of(document).pods:
            workload, pod = document["metadata"]["name"], document["spec"]["template"]["spec"]
            for port in (port for each in pod["containers"] for port in each.get("ports", ())):
                if port.get("name") in wanted:
                    if port["name"] in ports:
                        raise ValueError(f"the port {port['name']} is in {ports[port['name']][0]}, too")
                    ports[port["name"]] = (workload, port["containerPort"])
    found: list[Target] = []
    for name, program in programs.items():
        if program.port in ports:
            workload, number = ports[program.port]
            taken = {each.service_port for each in found}
            free = next(port for port in range(number, number + len(programs)) if port not in taken)
            found.append(Target(name, workload, program.port, number, free, program.path, program.dropped))
    return found
