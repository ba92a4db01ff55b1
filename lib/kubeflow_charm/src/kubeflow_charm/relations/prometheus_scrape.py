"""`prometheus_scrape`: where an application's metrics are, and what is alarming about them.

The provider (the application with metrics) writes `scrape_metadata`, `scrape_jobs` and `alert_rules`, each as
JSON, and in the data of a unit its address, which replaces the `*` of a job's targets. The requirer makes a
job for each unit that has an address, so an application without units is not scraped; it writes `event`, in
which it complains about rules (canonical/prometheus-k8s-operator,
lib/charms/prometheus_k8s/v0/prometheus_scrape.py, LIBPATCH 60).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Annotated, Any

import ops
import pydantic

from kubeflow_charm.relations.endpoint import Endpoint
from kubeflow_charm.relations.topology import Topology

_ADDRESS = "prometheus_scrape_unit_address"
_MADE_OF = "made_of"
"""Our own key: what the data was made of, so that a settled hook makes none. Readers ignore it."""
_ERROR_LIMIT = 60
"""Characters of a complaint that a status repeats."""


class StaticConfig(pydantic.BaseModel):
    """Targets, `host:port` or `*:port`, and the labels of their series."""

    model_config = pydantic.ConfigDict(defer_build=True)

    targets: Annotated[list[str], pydantic.Field(min_length=1)]
    labels: dict[str, str] = {}


class Job(pydantic.BaseModel):
    """One program to scrape."""

    model_config = pydantic.ConfigDict(defer_build=True)

    job_name: str
    metrics_path: str = "/metrics"
    static_configs: list[StaticConfig]
    metric_relabel_configs: list[dict[str, Any]] = []
    """In Prometheus' own format."""


class Scraped(pydantic.BaseModel):
    """Everything that an application offers to a Prometheus."""

    model_config = pydantic.ConfigDict(defer_build=True)

    scrape_metadata: pydantic.Json[Topology]
    scrape_jobs: pydantic.Json[list[Job]]
    alert_rules: pydantic.Json[dict[str, Any]] = {}
    addresses: dict[str, str] = {}
    """Unit to the host that replaces a `*`."""


class Provides(Endpoint):
    """The side that has metrics."""

    def jobs(self, relation: ops.Relation) -> set[str]:
        """Return the names of the jobs that this unit has sent, and that are scraped."""
        if not relation.data[self.charm.unit].get(_ADDRESS):
            return set()
        sent = json.loads(relation.data[self.charm.app].get("scrape_jobs", "[]"))
        return {job["job_name"] for job in sent}

    def send(
        self,
        relation: ops.Relation,
        topology: Topology,
        jobs: list[Job],
        address: str,
        made_of: str,
        rules: Callable[[], dict[str, Any]],
    ) -> None:
        """Send jobs and alert rules.

        Args:
            relation: where to.
            topology: who we are.
            jobs: what to scrape.
            address: the host that replaces the `*` of targets.
            made_of: a fingerprint of what the rules are made of.
            rules: makes the rules, as in a file of Prometheus; called only if `made_of` is new.
        """
        data = {
            "scrape_metadata": topology.model_dump_json(),
            "scrape_jobs": json.dumps([job.model_dump() for job in jobs]),
        }
        if relation.data[self.charm.app].get(_MADE_OF) != made_of:
            data |= {"alert_rules": json.dumps(rules()), _MADE_OF: made_of}
        self.write(relation, data)
        # The other units are not scraped: all would lead to the same programs.
        relation.data[self.charm.unit].update(
            {
                _ADDRESS: address if jobs else "",
                "prometheus_scrape_unit_path": "",
                "prometheus_scrape_unit_name": self.charm.unit.name,
            }
        )

    def withdraw(self) -> None:
        """Remove the address of this unit, which leads no more."""
        for relation in self.relations:
            if relation.data[self.charm.unit].get(_ADDRESS):
                relation.data[self.charm.unit][_ADDRESS] = ""

    def complaints(self) -> list[str]:
        """Return `<application> refuses alert rules: <error>` for each application that complains."""
        found = []
        for relation in self.relations:
            event: Any = None
            with contextlib.suppress(ValueError, RecursionError):
                event = json.loads(self.received(relation).get("event", "null"))
            if isinstance(event, dict) and event.get("errors"):
                said = "".join(c if c.isprintable() else " " for c in str(event["errors"])[:_ERROR_LIMIT])
                found.append(f"{relation.app.name} refuses alert rules: {said}")
        return found


class Requires(Endpoint):
    """The side that scrapes."""

    def get(self) -> list[Scraped]:
        """Return what each related application offers; one that has not written yet is left out.

        Raises:
            ExceptionGroup: with a `Problem` for each application that wrote something else.
        """
        return [each for each in self.of_each(self._read) if each is not None]

    def _read(self, relation: ops.Relation) -> Scraped | None:
        data = self.received(relation)
        if "scrape_metadata" not in data:
            return None
        hosts = {unit.name: relation.data[unit].get(_ADDRESS, "") for unit in relation.units}
        addresses = {name: host for name, host in hosts.items() if host}
        return self.parsed(relation, Scraped, {**data, "addresses": addresses})
