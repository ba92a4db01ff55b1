"""Plays loki-k8s: takes logs, and the rules by which they alarm.

Facts: canonical/loki-k8s-operator, branch track/2, and lib/charms/loki_k8s/v1/loki_push_api.py
(LokiPushApiProvider). Differences from the real charm:

- What the real one fails on in its hook blocks it.
- Of expressions, only quotes and brackets are checked.
- It does not ask Kubernetes for its pod's resources; the real one does, and needs trust for it.
- Ingress and certificates are not played.
"""

from __future__ import annotations

import json
from typing import Any

import ops

from rehearsal.stand_ins import metrics
from rehearsal.stand_ins.observability import alerting
from rehearsal.stand_ins.observability.alerting import Alerts
from rehearsal.stand_ins.observability.observing import ObservabilityStandIn
from rehearsal.stand_ins.stopping import Stop

PORT = 3100
LOGS = "logging"
PROMTAIL = {
    "filename": "promtail-static-amd64",
    "zipsha": "",
    "binsha": "",
    "url": "https://github.com/canonical/loki-k8s-operator/releases/download/promtail-v2.9.7/promtail-static-amd64.gz",
}
"""Where Promtail comes from; the stand-in does not know its checksums."""


class LokiK8s(ObservabilityStandIn):
    """The parts of loki-k8s that other charms rely on."""

    container = "loki"

    def scrape_jobs(self) -> list[dict[str, Any]]:
        """Return the job of its own metrics."""
        return [metrics.job(PORT)]

    def observe(self) -> None:
        """Say where logs go, and answer the rules."""
        self.unit.set_ports(PORT)
        for relation in self.related(LOGS):
            endpoint = {"url": self.url(PORT, "/loki/api/v1/push")}
            relation.data[self.unit].update(
                {"endpoint": json.dumps(endpoint), "public_address": metrics.fqdn(self)}
            )
            self.tell(relation, {"promtail_binary_zip_url": json.dumps({"amd64": PROMTAIL})})
        self.offer_data_source("loki", PORT)
        found, stops = self.rules()
        self.answer({relation: (None, each) for relation, each in found.items()}, stops)

    def rules(self) -> tuple[dict[ops.Relation, Alerts | None], list[Stop]]:
        """Return the rules of those who send logs."""

        def reader(relation: ops.Relation) -> Alerts | None:
            return alerting.received(dict(relation.data[relation.app]), language="logql")

        return self.read(LOGS, reader)

    def configuration(self) -> dict[str, Any]:
        """Return the files of rules."""
        found = self.rules()[0].values()
        files = {f"juju_{each.file}.rules": {"groups": each.groups} for each in found if each and each.groups}
        return {"alert-rules": files}


if __name__ == "__main__":
    ops.main(LokiK8s)
