"""Remove the profile controller's finalizer when the application goes, so that profiles can be deleted.

The controller puts `profile-finalizer` on every profile, to revoke what cloud plugins have granted
(kubeflow/kubeflow v1.10.0, components/profile-controller/controllers/profile_controller.go).
"""

from __future__ import annotations

from kubeflow_charm.cluster import finalizers
from kubeflow_charm.cluster.executor import Cluster
from kubeflow_charm.cluster.resources import WORKLOAD, Kind

FINALIZER = "profile-finalizer"

PROFILE = Kind("kubeflow.org/v1", "Profile", "profiles", WORKLOAD, namespaced=False)


def release(cluster: Cluster, application: str) -> None:
    """Remove the finalizer from all profiles when no pod of the application runs any more; never raises.

    Args:
        cluster: the application's cluster, already cleared.
        application: the application's name.
    """
    finalizers.release(cluster, application, [finalizers.Held(PROFILE, FINALIZER)])
