"""Find other workflow controllers of Argo that would act on the same Workflows.

If two controllers see a Workflow, they start its pods twice and overwrite each other's status. Argo separates
controllers by an instance ID, which their Workflows have as a label. KFP's API server sets no such label
(kubeflow/pipelines 2.17.0). So our controller has no instance ID, and there can be no second one without.

Controllers without an instance ID elect a leader by a Lease with a fixed name, each in its own namespace. A
controller with an instance ID has a Lease of another name, and ignores Workflows without its label
(argo-workflows v3.7.14, cmd/workflow-controller/main.go). So we look for a Lease of the fixed name that
somebody renews. It reveals a controller of any installation, version and name.
"""

from __future__ import annotations

import datetime

from kubeflow_charm import blocked
from kubeflow_charm.cluster.executor import Cluster
from kubeflow_charm.cluster.resources import WORKLOAD, Kind, Manifest

LEASE = "workflow-controller"
_KIND = Kind("coordination.k8s.io/v1", "Lease", "leases", WORKLOAD)
STALE_AFTER = datetime.timedelta(minutes=5)
"""The age at which a Lease is a leftover. Controllers renew theirs every few seconds, and leave it behind
when they go. Clocks differ by less than this."""


def refuse(cluster: Cluster) -> None:
    """Raise a problem if another namespace has a workflow controller.

    Raises:
        Problem: if there is one, or if the API server does not answer or refuses.
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
    """Return the last renewal of a Lease; a date long ago if there was none."""
    renewed = (lease.get("spec") or {}).get("renewTime")
    return datetime.datetime.fromisoformat(renewed or "0001-01-01T00:00:00+00:00")
