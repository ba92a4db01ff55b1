"""Plays opentelemetry-collector-k8s: sends what a model says of its metrics, logs and dashboards on.

Facts: canonical/opentelemetry-collector-k8s-operator, branch track/2, src/charm.py and src/integrations.py.
Differences from the real charm:

- What the real one loses without a word, or fails on in its hook, blocks it.
- Its own alert rules and its own dashboard are left out, except the group AggregatorHostHealth.
- It does not ask Kubernetes for its pod's resources; the real one does, and needs trust for it.
- Traces, profiles, certificates and Grafana Cloud are not played.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import ops

from rehearsal.stand_ins import metrics
from rehearsal.stand_ins.observability import alerting, dashboards, scraping, topology
from rehearsal.stand_ins.observability.alerting import Alerts, Group
from rehearsal.stand_ins.observability.dashboards import Template
from rehearsal.stand_ins.observability.observing import ObservabilityStandIn, refused
from rehearsal.stand_ins.observability.scraping import Scraped
from rehearsal.stand_ins.observability.topology import HookFails
from rehearsal.stand_ins.stopping import Stop, blocked

LOGS_PORT = 3500
PORTS = (LOGS_PORT, 4317, 4318, 8888, 9411, 13133, 14250, 14268)
METRICS, LOGS, DASHBOARDS = "metrics-endpoint", "receive-loki-logs", "grafana-dashboards-consumer"
SENT_ON = {
    DASHBOARDS: "grafana-dashboards-provider",
    LOGS: "send-loki-logs",
    METRICS: "send-remote-write",
}
"""Where what comes in goes out, in the order of the real charm's status."""
CLOUD = "cloud-config"
PUSH_PATH = "/loki/api/v1/push"


class OpentelemetryCollectorK8s(ObservabilityStandIn):
    """The parts of opentelemetry-collector-k8s that other charms rely on."""

    container = "otelcol"
    waits = "Waiting for otelcol to start"

    def observe(self) -> None:
        """Say where logs go; then send on all that is sound."""
        self.check_options()
        self.unit.set_ports(*PORTS)
        for relation in self.related(LOGS):
            endpoint = {"url": self.url(LOGS_PORT, PUSH_PATH)}
            relation.data[self.unit].update(
                {"endpoint": json.dumps(endpoint), "public_address": metrics.fqdn(self)}
            )
        self.each(self.check_exits, self.collect_metrics, self.collect_logs, self.collect_dashboards)

    def check_options(self) -> None:
        """Check the options as the real charm does."""
        for name in ("global_scrape_interval", "global_scrape_timeout"):
            if not re.fullmatch(r"\d+[ywdhms]", str(self.config[name])):
                raise blocked(f"The {name} config requires format: '\\d+[ywdhms]'.")

    def check_exits(self) -> None:
        """Check that whatever comes in may go out; the text is the real charm's."""
        missing = [
            f"['{CLOUD}']|['{out}'] for {incoming}"
            for incoming, out in SENT_ON.items()
            if self.related(incoming) and not (self.related(out) or self.related(CLOUD))
        ]
        if missing:
            raise blocked("; ".join(missing))

    def collect_metrics(self) -> None:
        """Read jobs and rules of metrics, answer, and send the rules on."""
        found, stops = self.scraped()
        groups, lost = self.rules_to_send("promql", {rel: each[1] for rel, each in found.items()})
        for relation in self.related(SENT_ON[METRICS]):
            self.tell(relation, {"alert_rules": json.dumps({"groups": groups})})
        self.answer(found, [*stops, *lost])

    def collect_logs(self) -> None:
        """Read rules of logs, answer, and send them on."""
        found, stops = self.read(LOGS, lambda rel: alerting.received(self.said(rel), language="logql"))
        groups, lost = self.rules_to_send("logql", found)
        for relation in self.related(SENT_ON[LOGS]):
            rules = {"groups": groups} if groups else {}
            said = {"metadata": topology.metadata(self), "alert_rules": rules}
            self.tell(relation, {key: json.dumps(each, sort_keys=True) for key, each in said.items()})
        self.answer({rel: (None, each) for rel, each in found.items()}, [*stops, *lost])

    def collect_dashboards(self) -> None:
        """Read dashboards, and send them on."""
        templates, stops = self.dashboards_to_send()
        for relation in self.related(SENT_ON[DASHBOARDS]):
            self.tell(relation, {"dashboards": dashboards.wire(templates, topology.metadata(self))})
        self.all_of(stops)

    def scraped(self) -> tuple[dict[ops.Relation, tuple[Scraped | None, Alerts | None]], list[Stop]]:
        """Return jobs and rules of every application with metrics."""

        def reader(relation: ops.Relation) -> tuple[Scraped | None, Alerts | None]:
            said, units = self.said(relation), self.units(relation)
            rules = alerting.received(said, f"_{relation.name}_{relation.id}") if units else None
            return scraping.received(said, units), rules

        return self.read(METRICS, reader)

    def rules_to_send(
        self, language: alerting.Language, found: dict[ops.Relation, Alerts | None]
    ) -> tuple[list[Group], list[Stop]]:
        """Return the groups that are sent on, and stops for those whose names collide."""
        own = topology.of(self)
        groups: list[Group] = []
        if self.config["forward_alert_rules"]:
            sound = [each for each in found.values() if each and each.groups]
            files = {each.file: each.groups for each in sound}
            groups = alerting.forwarded(files, own, language)
        if language == "promql":
            units = sorted(
                {self.unit.name, *(u.name for r in self.model.relations["peers"] for u in r.units)}
            )
            groups.append(alerting.of_collector(own, units))
        return groups, list(self.collisions(alerting.repeated(groups), found))

    def collisions(self, names: list[str], found: dict[ops.Relation, Alerts | None]) -> Iterator[Stop]:
        """Yield a stop for each application with a group whose name another one has, too."""
        for relation, alerts in found.items():
            for group in alerts.groups if alerts else ():
                if alerting.group_name(group["name"], topology.of(self)) in names:
                    why = f"the group {group['name']} is not its alone, so Prometheus drops all rules"
                    yield refused(relation, why)

    def dashboards_to_send(self) -> tuple[dict[str, Template], list[Stop]]:
        """Return the dashboards that are sent on by their new ids; the last of equal ids stays."""
        found, stops = self.read(DASHBOARDS, lambda relation: dashboards.received(self.said(relation)))
        last: dict[str, tuple[ops.Relation, Template]] = {}
        sent: dict[str, Template] = {}
        for relation, templates in found.items():
            for template in templates:
                if template.id in last:
                    other = last[template.id][0].app.name
                    stops.append(refused(relation, f"{template.id} is also an id of {other}: one is lost"))
                last[template.id] = relation, template
        for relation, template in last.values():
            try:
                new, made = dashboards.sent_on(template, relation.id, self.meta.name)
                sent[new] = made
                complaints = dashboards.faults(template, template.dashboard)
                stops += [refused(relation, each) for each in complaints]
            except (HookFails, ValueError) as failure:
                stops.append(refused(relation, f"the real charm's hook fails: {template.id}: {failure}"))
        return sent, stops

    def said(self, relation: ops.Relation) -> dict[str, str]:
        """Return what the related application wrote."""
        return dict(relation.data[relation.app])

    def configuration(self) -> dict[str, Any]:
        """Return what is scraped, where it goes, and what is sent on."""
        scraped = self.scraped()[0]
        jobs = [job for each in scraped.values() if each[0] for job in each[0].jobs]
        logs = self.read(LOGS, lambda rel: alerting.received(self.said(rel), language="logql"))[0]
        return {
            "global": {
                "scrape_interval": self.config["global_scrape_interval"],
                "scrape_timeout": self.config["global_scrape_timeout"],
            },
            "scrape-configs": list(map(self.loaded, scraping.deduplicated(jobs))),
            "alert-rules": {"groups": self.rules_to_send("promql", {r: e[1] for r, e in scraped.items()})[0]},
            "loki-alert-rules": {"groups": self.rules_to_send("logql", logs)[0]},
            "dashboards": {name: each.dashboard for name, each in self.dashboards_to_send()[0].items()},
            "remote-write": self.addresses(SENT_ON[METRICS], "remote_write"),
            "loki": self.addresses(SENT_ON[LOGS], "endpoint"),
        }

    def loaded(self, job: scraping.Job) -> scraping.Job:
        """Return a job as the collector loads it."""
        tls = {**job.get("tls_config", {}), "insecure_skip_verify": self.config["tls_insecure_skip_verify"]}
        if authority := tls.pop("ca", None):
            name = re.sub(r"[/ -]", "_", job["job_name"])
            tls["ca_file"] = f"/etc/otelcol/certs/otel_{name}_ca.pem" if authority else ""
        return {**job, "tls_config": tls}

    def addresses(self, endpoint: str, key: str) -> list[str]:
        """Return the addresses that the units of whoever is sent to have written."""
        said = [each.get(key) for rel in self.related(endpoint) for each in self.units(rel).values()]
        return sorted({json.loads(each)["url"] for each in said if each})


if __name__ == "__main__":
    ops.main(OpentelemetryCollectorK8s)
