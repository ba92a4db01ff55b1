"""What a charm does for Prometheus and Grafana: expose, describe, publish."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import ops

from kubeflow_charm.cluster.resources import Manifest
from kubeflow_charm.observability import alerts, beside, dashboards, exposing, programs
from kubeflow_charm.observability.programs import Target
from kubeflow_charm.relations import grafana_dashboard, prometheus_scrape, topology

METRICS, DASHBOARDS = "metrics-endpoint", "grafana-dashboard"
"""The endpoints, called like those of Charmed Kubeflow's charms."""


class Observability:
    """The same for every charm that declares the endpoints.

    Args:
        charm: the charm.
        namespace: of its pods.
        instance: the value of the label `app.kubernetes.io/instance` of its pods.
    """

    def __init__(self, charm: ops.CharmBase, namespace: str, instance: str):
        self._charm, self._namespace, self._instance = charm, namespace, instance
        self._source = Path(charm.charm_dir) / "src"
        self._scraping = prometheus_scrape.Provides(charm, METRICS)
        self._dashboards = grafana_dashboard.Provides(charm, DASHBOARDS)

    def objects(self, documents: Iterable[Manifest]) -> list[Manifest]:
        """Return the objects that let a Prometheus in, if one is related.

        Args:
            documents: the charm's own objects, whose pods run the programs.
        """
        if not self._related(METRICS):
            return []
        targets = programs.targets(self._programs, documents)
        return exposing.objects(self._charm.app.name, self._namespace, self._instance, targets)

    def publish(self, documents: Iterable[Manifest], live: Iterable[Manifest]) -> list[str]:
        """Tell every related Prometheus and Grafana; return what they complain about.

        Args:
            documents: the charm's own objects.
            live: the same objects as the API server has them.
        """
        complaints: list[str] = []
        if self._related(METRICS):
            complaints += self._offer_metrics(programs.targets(self._programs, documents), live)
        if self._related(DASHBOARDS):
            charm = self._charm.meta.name
            paths = dashboards.files(
                self._source / "grafana_dashboards", charm, controllers=self._controllers
            )
            self._dashboards.send(self._made_of(paths), lambda: dashboards.dashboards(paths, charm))
            complaints += self._dashboards.complaints()
        return complaints

    def stand_by(self) -> None:
        """Leave all this to the leader."""
        if self._related(METRICS):
            self._scraping.withdraw()

    def _offer_metrics(self, targets: list[Target], live: Iterable[Manifest]) -> list[str]:
        """Send jobs and rules; return what is said against them.

        A program is scraped from when its first pod is ready. So no alert fires while the platform is being
        deployed, however long the images take; from then on its job stays, ready or not.
        """
        ready = {each["metadata"]["name"] for each in live if (each.get("status") or {}).get("readyReplicas")}
        charm = self._charm.meta.name
        paths = alerts.files(self._source / "prometheus_alert_rules", charm, controllers=self._controllers)
        every = self._rules(paths)
        own = self._rules([path for path in paths if not alerts.is_operators(path, charm)])
        address = f"{exposing.service_name(self._charm.app.name)}.{self._namespace}.svc"
        for relation in self._scraping.relations:
            sent = self._scraping.jobs(relation)
            jobs = [_job(each) for each in targets if each.workload in ready or each.program in sent]
            self._scraping.send(relation, self._topology, jobs, address, every, own)
        return self._scraping.complaints(every)

    def _rules(self, paths: list[Path]) -> prometheus_scrape.Rules:
        charm = self._charm.meta.name
        return prometheus_scrape.Rules(
            self._made_of(paths),
            lambda: alerts.rules(paths, self._topology),
            tuple(beside.shown(path) for path in paths if alerts.is_operators(path, charm)),
        )

    def _made_of(self, paths: Iterable[Path]) -> str:
        """Return a fingerprint of files, of the code that reads them, and of who we are."""
        code = sorted(Path(__file__).parent.glob("*.py"))
        digest = hashlib.sha256(self._topology.model_dump_json().encode())
        for path in (*code, *paths):
            digest.update(os.fsencode(path.name) + beside.content(path))
        return digest.hexdigest()[:32]

    def _related(self, endpoint: str) -> bool:
        return endpoint in self._charm.meta.provides and bool(self._charm.model.relations[endpoint])

    @functools.cached_property
    def _programs(self) -> dict[str, programs.Program]:
        return programs.read(self._source / "metrics.yaml")

    @property
    def _controllers(self) -> bool:
        return any(each.controllers for each in self._programs.values())

    @functools.cached_property
    def _topology(self) -> topology.Topology:
        return topology.of(self._charm)


def _job(target: Target) -> prometheus_scrape.Job:
    static = prometheus_scrape.StaticConfig(
        targets=[f"*:{target.service_port}"], labels={"program": target.program}
    )
    forgotten = {"source_labels": ["__name__"], "regex": "|".join(target.dropped), "action": "drop"}
    return prometheus_scrape.Job(
        job_name=target.program,
        metrics_path=target.path,
        static_configs=[static],
        metric_relabel_configs=[forgotten] if target.dropped else [],
    )
