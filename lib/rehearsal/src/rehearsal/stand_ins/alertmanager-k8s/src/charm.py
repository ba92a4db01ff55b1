"""Plays alertmanager-k8s: says where alerts go.

Facts: canonical/alertmanager-k8s-operator, branch track/2, and lib/charms/alertmanager_k8s/v1/
alertmanager_dispatch.py. Differences from the real charm:

- It sends no dashboard and no alert rules, and does not read the options of its configuration.
- It does not ask Kubernetes for its pod's resources; the real one does, and needs trust for it.
- Ingress, certificates and the mesh are not played.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ops

from rehearsal.stand_ins import metrics
from rehearsal.stand_ins.observability.observing import ObservabilityStandIn

PORT = 9093


class AlertmanagerK8s(ObservabilityStandIn):
    """The parts of alertmanager-k8s that other charms rely on."""

    container = "alertmanager"
    metrics_endpoint = "self-metrics-endpoint"

    def scrape_jobs(self) -> list[dict[str, Any]]:
        """Return the job of its own metrics."""
        return [metrics.job(PORT)]

    def observe(self) -> None:
        """Say where alerts go: plain text, not JSON."""
        self.unit.set_ports(PORT)
        said = {
            "url": self.url(PORT),
            "public_address": f"{metrics.fqdn(self)}:{PORT}",
            "scheme": "http",
        }
        for relation in self.related("alerting"):
            relation.data[self.unit].update(said)
        self.offer_data_source("alertmanager", PORT)

    def configuration(self) -> Mapping[str, Any]:
        """Return nothing: no other charm says anything of it."""
        return {}


if __name__ == "__main__":
    ops.main(AlertmanagerK8s)
