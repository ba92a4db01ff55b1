"""Plays grafana-k8s: takes dashboards and data sources.

Facts: canonical/grafana-k8s-operator, branch track/2, and lib/charms/grafana_k8s/v0/grafana_dashboard.py,
LIBPATCH 48 (GrafanaDashboardConsumer), and grafana_source.py. Differences from the real charm:

- What the real one drops without a word, or fails on in its hook, blocks it.
- Dashboards get variables for the Juju labels, but their expressions are not restricted by these.
- It does not ask Kubernetes for its pod's resources; the real one does, and needs trust for it.
- Ingress, logins and certificates are not played.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import ops

from rehearsal.stand_ins import metrics
from rehearsal.stand_ins.observability import dashboards, scraping
from rehearsal.stand_ins.observability.dashboards import Dashboard, Template
from rehearsal.stand_ins.observability.observing import (
    DASHBOARDS,
    DATA_SOURCE,
    ObservabilityStandIn,
    refused,
)
from rehearsal.stand_ins.observability.topology import HookFails
from rehearsal.stand_ins.stopping import Stop

PORT = 3000

Found = list[tuple[int, int, Template, Dashboard]]
"""Dashboards with their version and relation."""


class GrafanaK8s(ObservabilityStandIn):
    """The parts of grafana-k8s that other charms rely on."""

    container = "grafana"

    def scrape_jobs(self) -> list[dict[str, Any]]:
        """Return the job of its own metrics."""
        return [metrics.job(PORT)]

    def observe(self) -> None:
        """Answer data sources and dashboards."""
        self.unit.set_ports(PORT)
        for relation in self.related(DATA_SOURCE):
            uids = {unit: each["name"] for unit, each in self.data_sources(relation).items()}
            said = {"grafana_uid": f"{self.model.uuid}-{self.app.name}", "datasource_uids": json.dumps(uids)}
            self.tell(relation, said)
        stops: list[Stop] = []
        for relation in self.related(DASHBOARDS):
            _, errors, some = self.read_dashboards(relation)
            if relation.data[relation.app].get("dashboards"):
                self.report(relation, {"errors": errors} if errors else {})
            stops += some
        self.all_of(stops)

    def read_dashboards(self, relation: ops.Relation) -> tuple[Found, list[dict[str, str]], list[Stop]]:
        """Return an application's dashboards, what is answered to it, and what stops; one bad drops all."""
        found: Found = []
        errors: list[dict[str, str]] = []
        stops: list[Stop] = []
        try:
            for template in dashboards.received(dict(relation.data[relation.app])):
                try:
                    dashboard = template.dashboard
                except ValueError as error:
                    errors.append({"dashboard_id": template.id, "error": str(error)})
                    continue
                stops += [refused(relation, each) for each in dashboards.faults(template, dashboard)]
                version = dashboard.get("version")
                rank = version if isinstance(version, int) else 0
                found.append((rank, relation.id, template, dashboard))
        except HookFails as failure:
            return [], errors, [refused(relation, f"the real charm's hook fails: {failure}")]
        stops += [refused(relation, f"{each['dashboard_id']}: {each['error']}") for each in errors]
        return [] if errors else found, errors, stops

    def data_sources(self, relation: ops.Relation) -> dict[str, dict[str, str]]:
        """Return a data source for each unit of an application that says what it is."""
        try:
            said = scraping.parsed(dict(relation.data[relation.app]), "grafana_source_data", dict)
            name = "juju_{model}_{model_uuid}_{application}".format(**said) if said else ""
            kind = said["type"] if said else ""
        except (HookFails, KeyError) as failure:
            raise refused(relation, f"the real charm's hook fails: {failure}") from None
        hosts = {unit: said.get("grafana_source_host") for unit, said in sorted(self.units(relation).items())}
        return {
            unit: {"name": f"{name}_{unit.rpartition('/')[2]}", "type": kind, "url": host}
            for unit, host in hosts.items()
            if host and name
        }

    def configuration(self) -> dict[str, Any]:
        """Return the files of dashboards, and the data sources; of equal uids, the newest is shown."""
        newest: dict[str, tuple[Template, Dashboard]] = {}
        found = [each for relation in self.related(DASHBOARDS) for each in self.read_dashboards(relation)[0]]
        for _, _, template, dashboard in sorted(found, key=lambda each: each[:2]):
            newest[str(dashboard.get("uid"))] = template, dashboard
        sources = [each for rel in self.related(DATA_SOURCE) for each in self.data_sources(rel).values()]
        return {
            "dashboards": {
                _file(template): dashboards.shown(template, each) for template, each in newest.values()
            },
            "data-sources": sources,
        }


def _file(template: Template) -> str:
    digest = hashlib.sha256(template.content.encode()).hexdigest()[:7]
    return f"juju_{template.charm}_{digest}.json"


if __name__ == "__main__":
    ops.main(GrafanaK8s)
