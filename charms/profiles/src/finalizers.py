"""Remove the profile controller's finalizer when the application goes, so that profiles can be deleted.

The controller puts `profile-finalizer` on every profile, to revoke what cloud plugins have granted
(kubeflow/kubeflow v1.10.0, components/profile-controller/controllers/profile_controller.go). If it stayed,
`kubectl delete profile` would hang without a controller. A new controller adds it again.
"""

from __future__ import annotations

import logging
import time

from lightkube.types import PatchType

from kubeflow_charm import Problem
from kubeflow_charm.cluster import errors
from kubeflow_charm.cluster.executor import Cluster
from kubeflow_charm.cluster.resources import WORKLOAD, Kind

logger = logging.getLogger(__name__)

FINALIZER = "profile-finalizer"
WITHIN = 30.0
"""Seconds to wait for the end of the controller's pod: while it runs, it would add the finalizer again."""

PROFILE = Kind("kubeflow.org/v1", "Profile", "profiles", WORKLOAD, namespaced=False)


def release(cluster: Cluster, application: str) -> None:
    """Remove the finalizer from all profiles when no pod of the application runs any more.

    Never raises for a remote cause: it logs the failure, because nobody will try again.

    Args:
        cluster: the application's cluster, already cleared.
        application: the application's name.
    """
    try:
        _await_the_last_pod(cluster)
        with errors.explained("profiles", application):
            for profile in cluster.client.list(PROFILE.resource):
                name, held = profile["metadata"]["name"], profile["metadata"].get("finalizers") or []
                if FINALIZER in held:
                    rest = [each for each in held if each != FINALIZER]
                    patch = {"metadata": {"finalizers": rest or None}}
                    cluster.client.patch(PROFILE.resource, name, patch, patch_type=PatchType.MERGE)
    except Problem as problem:
        if not errors.is_missing(problem.__cause__):  # the type went with its last profile
            logger.error("profiles may not be deletable: %s", problem)


def _await_the_last_pod(cluster: Cluster) -> None:
    deadline = time.monotonic() + WITHIN
    while cluster.pods() and time.monotonic() < deadline:
        time.sleep(0.3)
