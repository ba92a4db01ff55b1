"""The endpoint `logging` of a charm: where the logs of its workloads go.

A charm needs no more than the endpoint in its `charmcraft.yaml`; `charm.py` does the rest. What goes where is
decided in hooks; the process beside the charm (`watch/logs`) reads and sends.
"""

from __future__ import annotations

import ops

from kubeflow_charm.problems import Problem
from kubeflow_charm.relations import loki_push_api, topology
from kubeflow_charm.watch.watcher import Logs

ENDPOINT = "logging"
"""The name in every charm of Charmhub that has logs for COS."""


def is_news(event: ops.EventBase) -> bool:
    """Whether an event of a remote unit concerns logs: a Loki's units write, and not its application."""
    return isinstance(event, ops.RelationEvent) and event.relation.name == ENDPOINT


class WorkloadLogs:
    """The Lokis of a charm, if its metadata has the endpoint.

    Args:
        charm: the charm.
    """

    def __init__(self, charm: ops.CharmBase):
        self._charm = charm
        self._has_endpoint = ENDPOINT in charm.meta.requires

    def events(self) -> list[ops.BoundEvent]:
        """Return the events that need a hook besides those of all relations: a Loki's unit leaves."""
        return [self._charm.on[ENDPOINT].relation_departed] if self._has_endpoint else []

    def connect(self) -> tuple[Logs | None, list[Problem]]:
        """Tell all Lokis who we are; return them, and the problems with what they wrote.

        No workload needs a Loki, so these problems stop no work. The Lokis that wrote no garbage get logs.
        """
        if not self._has_endpoint:
            return None, []
        lokis = loki_push_api.Requires(self._charm, ENDPOINT)
        lokis.send(topology.of(self._charm).model_dump())
        targets, problems = lokis.sorted_out()
        return (Logs(tuple(targets), self.labels()) if targets else None), problems

    def labels(self) -> dict[str, str]:
        """Return the labels of all lines: those of Charmed Kubeflow's lines, and `juju_charm`.

        Juju's log forwarding and Promtail have labels in common, and each has one of `charm` and `juju_charm`
        (canonical/loki-k8s-operator, lib/charms/loki_k8s/v1/loki_push_api.py, `_build_log_target` and
        `_generate_static_configs`). `juju_unit` is the unit that sends: pods of a Deployment belong to none.
        """
        who = topology.of(self._charm)
        return {
            "product": "Juju",
            "charm": who.charm_name,
            "job": f"juju_{who.model}_{who.model_uuid[:8]}_{who.application}",
            "juju_model": who.model,
            "juju_model_uuid": who.model_uuid,
            "juju_application": who.application,
            "juju_unit": who.unit,
            "juju_charm": who.charm_name,
        }
