"""Count the profiles that are not ready, for the application's status.

The controller puts its finalizer on a profile when it has finished. It adds the condition `Failed` if the
profile's namespace belongs to somebody else, and never removes that condition (kubeflow/kubeflow v1.10.0,
components/profile-controller/controllers/profile_controller.go). So a profile without the finalizer is not
ready. A profile with the condition `Failed` is ready only if its namespace names its owner.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import finalizers
from lightkube import ALL_NS

from kubeflow_charm.cluster.executor import Cluster
from kubeflow_charm.cluster.resources import kind_of
from kubeflow_charm.problems import shortened
from kubeflow_charm.watch.watcher import Followed

_NAMESPACE = kind_of({"apiVersion": "v1", "kind": "Namespace"})

FOLLOWED = Followed("kubeflow.org/v1", "Profile", "profiles")


def message(cluster: Cluster) -> str:
    """Return how many profiles are not ready, and where to look; an empty text if all are ready.

    This costs one list, and a second one, of namespaces, while a profile has the condition `Failed`.

    Raises:
        Problem: if the API server does not answer or refuses.
    """
    profiles = cluster.of_kind(finalizers.PROFILE, ALL_NS, None, whole=True)
    failed = sum(not _made(each) for each in profiles)
    suspects = [each for each in profiles if _made(each) and _says_failed(each)]
    if suspects:
        namespaces = cluster.of_kind(_NAMESPACE, ALL_NS, None, whole=True)
        owners = {
            each["metadata"]["name"]: (each["metadata"].get("annotations") or {}).get("owner")
            for each in namespaces
        }
        failed += sum(owners.get(each["metadata"]["name"]) != _owner(each) for each in suspects)
    if not failed:
        return ""
    count = "1 profile is" if failed == 1 else f"{failed} profiles are"
    log = f"kubectl logs -n {cluster.own.namespace} deploy/profiles-deployment"
    return shortened(f"{count} not ready: kubectl get profiles; {log}")


def _made(profile: Any) -> bool:
    """Whether the controller has finished a profile, or the profile is being deleted."""
    metadata = profile["metadata"]
    return "deletionTimestamp" in metadata or finalizers.FINALIZER in (metadata.get("finalizers") or ())


def _says_failed(profile: Any) -> bool:
    conditions: Iterable[Any] = (profile.get("status") or {}).get("conditions") or ()
    return "deletionTimestamp" not in profile["metadata"] and any(
        each.get("type") == "Failed" for each in conditions
    )


def _owner(profile: Any) -> Any:
    return ((profile.get("spec") or {}).get("owner") or {}).get("name")
