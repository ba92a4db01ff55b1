"""`prometheus_scrape`: where an application's metrics are, and what is alarming about them.

The provider (the application with metrics) writes `scrape_metadata`, `scrape_jobs` and `alert_rules`, each as
JSON, and in the data of a unit its address, which replaces the `*` of a job's targets. The requirer makes a
job for each unit that has an address, so an application without units is not scraped; it writes `event`, in
which it complains about rules (canonical/prometheus-k8s-operator,
lib/charms/prometheus_k8s/v0/prometheus_scrape.py, LIBPATCH 60).
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable
from typing import Annotated, Any

import ops
import pydantic

from kubeflow_charm.relations.endpoint import COMPLAINT_LIMIT, Endpoint
from kubeflow_charm.relations.topology import Topology

_ADDRESS = "prometheus_scrape_unit_address"
_MADE_OF = "made_of"
"""Our own key: what the data was made of, so that a settled hook makes none. Readers ignore it."""
_REFUSED = "refused"
"""Our own key: what the rules were made of that the other application refused."""

logger = logging.getLogger(__name__)


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


@dataclasses.dataclass(frozen=True)
class Rules:
    """Alert rules, which are made only where they are new.

    Args:
        made_of: a fingerprint of what they are made of.
        make: makes them, as in a file of Prometheus.
        operators: the names of the files among them that are an operator's.
    """

    made_of: str
    make: Callable[[], dict[str, Any]]
    operators: tuple[str, ...] = ()


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
        rules: Rules,
        own: Rules,
    ) -> None:
        """Send jobs and alert rules.

        One rule that is refused takes all others of the application with it, so those of operators are left
        out where they are refused, until they are changed.

        Args:
            relation: where to.
            topology: who we are.
            jobs: what to scrape.
            address: the host that replaces the `*` of targets.
            rules: all of them.
            own: those without the files of operators.
        """
        data = {
            "scrape_metadata": topology.model_dump_json(),
            "scrape_jobs": json.dumps([job.model_dump() for job in jobs]),
        }
        taken = self._taken(relation, rules, own)
        if relation.data[self.charm.app].get(_MADE_OF) != taken.made_of:
            data |= {"alert_rules": json.dumps(taken.make()), _MADE_OF: taken.made_of}
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

    def complaints(self, rules: Rules) -> list[str]:
        """Return a text for each application that refuses rules, now or since those of operators left."""
        found = []
        for relation in self.relations:
            if said := self.complaint(relation):
                found.append(f"{relation.app.name} refuses alert rules: {said[:COMPLAINT_LIMIT]}")
            elif self._refuses(relation, rules):
                found.append(f"{relation.app.name} refuses alert rules of {', '.join(rules.operators)}")
        return found

    def _taken(self, relation: ops.Relation, rules: Rules, own: Rules) -> Rules:
        """Return the rules to send: only the charm's own, if those of operators are refused.

        What is refused is remembered, or it would come back as soon as the complaint is gone. Other rules
        wait until it is gone, so that it is not taken for one about them.
        """
        complaint = self.complaint(relation)
        if complaint and relation.data[self.charm.app].get(_MADE_OF) == rules.made_of and rules.operators:
            names = ", ".join(rules.operators)
            logger.warning(
                "%s refuses alert rules, so it gets none of %s: %s", relation.app.name, names, complaint
            )
            self.write(relation, {_REFUSED: rules.made_of})
        return own if complaint or self._refuses(relation, rules) else rules

    def _refuses(self, relation: ops.Relation, rules: Rules) -> bool:
        return relation.data[self.charm.app].get(_REFUSED) == rules.made_of


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
