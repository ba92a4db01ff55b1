"""Plays knative-operator: the kinds by which Knative's components are asked for, and a collector of metrics.

Facts: canonical/knative-operators, charms/knative-operator, 1.16. Traits of the real charm that are played:
it serves `operator.knative.dev` before its pod is up; the collector is there from the first relation on
`otel-collector` and stays; its removal takes the kinds along, and with them every KnativeServing and
KnativeEventing. Differences from the real charm:

- Its containers run nothing, and the operator's rights, settings and webhook are left out: the stand-ins
  for knative-serving and knative-eventing do the operator's work (`rehearsal.stand_ins.operated`).
- The kinds come from knative.dev/operator v0.42.2 without conversion from v1alpha1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ops

from rehearsal.stand_ins import knative
from rehearsal.stand_ins.installing import install
from rehearsal.stand_ins.manifests import load, render
from rehearsal.stand_ins.objects import CRD, SERVICE, KubernetesStandIn
from rehearsal.stand_ins.stopping import starting

COLLECTOR = load(Path(__file__).parent / "manifests" / "collector.yaml")
COLLECTED = ("ConfigMap", "Service", "Deployment")
KINDS = ("knativeservings.operator.knative.dev", "knativeeventings.operator.knative.dev")
CONTAINERS = ("knative-operator", "knative-operator-webhook")


class KnativeOperator(KubernetesStandIn):
    """The parts of knative-operator that other charms rely on."""

    def play(self) -> None:
        """Serve the kinds first, since the other charms wait for them."""
        install(self.objects, "Knative's", lambda: knative.definitions("knative-operator"), KINDS[-1])
        if self.related("otel-collector"):
            self.collect()
            self.play_unit()  # it is scraped from now on
        if not all(self.unit.get_container(each).can_connect() for each in CONTAINERS):
            raise starting("Waiting for pod startup to complete")

    def scrape_jobs(self) -> list[dict[str, Any]]:
        """Return the job of the collector of metrics, once there is one: it has the Service's own address."""
        service = self.objects.look_at(SERVICE, "otel-export")
        address = service and service["spec"].get("clusterIP")
        return [{"static_configs": [{"targets": [f"{address}:8889"]}]}] if address else []

    def collect(self) -> None:
        """Run the collector, and tell of it."""
        made = render(COLLECTOR, {"namespace": self.model.name, "image": self.config["otel-collector-image"]})
        for kind in COLLECTED:
            self.objects.keep(knative.KINDS[kind], [each for each in made if each["kind"] == kind])
        said = {
            "otel_collector_svc_namespace": self.model.name,
            "otel_collector_svc_name": "otel-collector",
            "otel_collector_port": "55678",
        }
        for relation in self.related("otel-collector"):
            relation.data[self.app].update(said)

    def clear(self) -> None:
        """Delete the collector and the kinds."""
        for kind in reversed(COLLECTED):
            self.objects.keep(knative.KINDS[kind])
        for name in KINDS:
            self.objects.delete(CRD, name)


if __name__ == "__main__":
    ops.main(KnativeOperator)
