"""Plays prometheus-k8s: takes samples from collectors, and the rules by which they alarm.

Facts: canonical/prometheus-k8s-operator, branch track/2, src/charm.py. Differences from the real charm:

- What the real one drops without a word, or fails on in its hook, blocks it.
- It scrapes nothing of its own, and sends no dashboard.
- It does not ask Kubernetes for its pod's resources; the real one does, and needs trust for it.
- Ingress and certificates are not played.
"""

from __future__ import annotations

import json
from typing import Any

import ops

from rehearsal.stand_ins import metrics
from rehearsal.stand_ins.observability import alerting, scraping
from rehearsal.stand_ins.observability.alerting import Alerts
from rehearsal.stand_ins.observability.observing import ObservabilityStandIn
from rehearsal.stand_ins.observability.scraping import Scraped
from rehearsal.stand_ins.stopping import Stop

PORT = 9090
WRITES, SCRAPES, ALERTMANAGER = "receive-remote-write", "metrics-endpoint", "alertmanager"

Read = dict[ops.Relation, tuple[Scraped | None, Alerts | None]]


class PrometheusK8s(ObservabilityStandIn):
    """The parts of prometheus-k8s that other charms rely on."""

    container = "prometheus"
    metrics_endpoint = "self-metrics-endpoint"

    def scrape_jobs(self) -> list[dict[str, Any]]:
        """Return the job of its own metrics."""
        return [metrics.job(PORT)]

    def observe(self) -> None:
        """Say where to write, and answer what others sent."""
        self.unit.set_ports(PORT)
        for relation in self.related(WRITES):
            url = {"url": self.url(PORT, "/api/v1/write")}
            relation.data[self.unit]["remote_write"] = json.dumps(url)
        self.offer_data_source("prometheus", PORT)
        written, scraped = self.written(), self.scraped()
        self.each(lambda: self.answer(*written), lambda: self.answer(*scraped))

    def written(self) -> tuple[Read, list[Stop]]:
        """Return the rules of those who write."""

        def reader(relation: ops.Relation) -> tuple[None, Alerts | None]:
            said = dict(relation.data[relation.app])
            return None, alerting.received(said) if relation.units else None

        return self.read(WRITES, reader)

    def scraped(self) -> tuple[Read, list[Stop]]:
        """Return jobs and rules of those who are scraped."""

        def reader(relation: ops.Relation) -> tuple[Scraped | None, Alerts | None]:
            said, units = dict(relation.data[relation.app]), self.units(relation)
            rules = alerting.received(said, f"_{relation.name}_{relation.id}") if units else None
            return scraping.received(said, units), rules

        return self.read(SCRAPES, reader)

    def configuration(self) -> dict[str, Any]:
        """Return the configuration and the files of rules."""
        both = [*self.written()[0].values(), *self.scraped()[0].values()]
        jobs = [job for jobs, _ in both if jobs for job in jobs.jobs]
        return {
            "global": {"evaluation_interval": self.config["evaluation_interval"]},
            "scrape-configs": [{**job, "honor_labels": True} for job in scraping.deduplicated(jobs)],
            "alerting": {"alertmanagers": self.alertmanagers()},
            "alert-rules": {
                f"juju_{rules.file}.rules": {"groups": rules.groups}
                for _, rules in both
                if rules and rules.groups
            },
        }

    def alertmanagers(self) -> list[dict[str, Any]]:
        """Return where alerts go."""
        places: dict[tuple[str, str], list[str]] = {}
        for relation in self.related(ALERTMANAGER):
            for _, said in sorted(self.units(relation).items()):
                if address := said.get("public_address"):
                    host, _, path = address.partition("/")
                    places.setdefault((said.get("scheme", "http"), f"/{path}"), []).append(host)
        return [
            {"scheme": scheme, "path_prefix": path, "static_configs": [{"targets": hosts}]}
            for (scheme, path), hosts in places.items()
        ]


if __name__ == "__main__":
    ops.main(PrometheusK8s)
