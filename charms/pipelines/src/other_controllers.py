"""Other workflow controllers of Argo on the cluster, which would act on the same Workflows.

Two controllers that both see a Workflow start its pods twice and overwrite each other's status. Argo keeps
them apart by an instance ID, which every Workflow of one must have as a label; KFP's API server sets none
(kubeflow/pipelines 2.17.0 has no word of it), so ours is always the one without, and there can be no second.

Controllers without an instance ID elect a leader by a Lease of one name, each in its own namespace; one with
an instance ID has a Lease of another name, and does not look at Workflows without its label (argo-workflows
v3.7.14, cmd/workflow-controller/main.go). So a Lease of that name which somebody renews is what there is to
look for: it tells a controller of whatever installation, version and name.
"""

from __future__ import annotations

import datetime

from kubeflow_charm import blocked
from kubeflow_charm.cluster.executor import Cluster
from kubeflow_charm.cluster.resources import WORKLOAD, Kind, Manifest

LEASE = "workflow-controller"
_KIND = Kind("coordination.k8s.io/v1", "Lease", "leases", WORKLOAD)
STALE_AFTER = datetime.timedelta(minutes=5)
"""Since a Lease was renewed. Controllers renew theirs every few seconds, and leave them behind when they go;
clocks may differ by less than this."""


def refuse(cluster: Cluster) -> None:
    """Look for a workflow controller in another namespace.

    Raises:
        Problem: if there is one, or if Kubernetes does not tell.
    """
    namespace = cluster.own.namespace
    now = datetime.datetime.now(datetime.UTC)
    for lease in cluster.named(_KIND, LEASE, everywhere=True):
        where = lease["metadata"]["namespace"]
        if where != namespace and now - _renewed(lease) < STALE_AFTER:
            raise blocked(
                f"Argo in namespace {where} acts on the same Workflows", "remove it, or give it an instanceID"
            )


def _renewed(lease: Manifest) -> datetime.datetime:
    """Return when a Lease was renewed last; long ago if nobody ever did."""
    renewed = (lease.get("spec") or {}).get("renewTime")
    return datetime.datetime.fromisoformat(renewed or "0001-01-01T00:00:00+00:00")
