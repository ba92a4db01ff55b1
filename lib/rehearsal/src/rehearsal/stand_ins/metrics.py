"""What an application says of its metrics to whoever scrapes it.

Facts: canonical/prometheus-k8s-operator, lib/charms/prometheus_k8s/v0/prometheus_scrape.py
(MetricsEndpointProvider). The stand-ins send their jobs as the real charms do, and no alert rules.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import ops

from rehearsal.stand_ins.observability import topology


def tell(charm: ops.CharmBase, relations: Sequence[ops.Relation], jobs: Sequence[dict[str, Any]]) -> None:
    """Write to every relation which jobs scrape the application (its leader does), and where the unit is."""
    for relation in relations:
        if not jobs:
            continue
        if charm.unit.is_leader():
            relation.data[charm.app].update(
                {
                    "scrape_metadata": json.dumps(topology.metadata(charm)),
                    "scrape_jobs": json.dumps(jobs),
                    "alert_rules": "{}",
                }
            )
        name = fqdn(charm)
        binding = charm.model.get_binding(relation)
        relation.data[charm.unit].update(
            {
                "prometheus_scrape_unit_address": str((binding and binding.network.bind_address) or name),
                "prometheus_scrape_unit_path": "",
                "prometheus_scrape_unit_name": charm.unit.name,
                "prometheus_scrape_unit_fqdn": name,
            }
        )


def job(port: int, path: str = "/metrics", host: str = "*") -> dict[str, Any]:
    """Return the job of one port."""
    return {"metrics_path": path, "static_configs": [{"targets": [f"{host}:{port}"]}]}


def fqdn(charm: ops.CharmBase) -> str:
    """Return the name of a unit's pod."""
    unit, application = charm.unit.name.replace("/", "-"), charm.app.name
    return f"{unit}.{application}-endpoints.{charm.model.name}.svc.cluster.local"
