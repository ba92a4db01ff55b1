"""Profiles that outlive their controller: without it, nobody would take its finalizer off them.

The controller puts `profile-finalizer` on every profile, to revoke what cloud plugins have granted
(kubeflow/kubeflow v1.10.0, components/profile-controller/controllers/profile_controller.go). Left there,
`kubectl delete profile` hangs after the application has gone. A controller that comes back puts it on again.
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
"""Seconds that the controller's pod is given to end: while it runs, it would put the finalizer on again."""

PROFILE = Kind("kubeflow.org/v1", "Profile", "profiles", WORKLOAD, namespaced=False)


def release(cluster: Cluster, application: str) -> None:
    """Take the finalizer off all profiles, once no pod of the application runs any more.

    Never raises for a remote cause: what could not be done is logged, since nobody will try again.

    Args:
        cluster: of the application, cleared already.
        application: its name.
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
        if not errors.is_missing(problem.__cause__):  # with the last profile, the type has gone
            logger.error("profiles may not be deletable: %s", problem)


def _await_the_last_pod(cluster: Cluster) -> None:
    deadline = time.monotonic() + WITHIN
    while cluster.pods() and time.monotonic() < deadline:
        time.sleep(0.3)
