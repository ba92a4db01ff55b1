"""Keep the mode of services that exist when plain Deployments become usual.

With the usual mode `Standard`, KServe's webhook notes it at every service without a mode that is made or
changed, and then refuses the change of one that runs on Knative (kserve v0.16.0,
pkg/apis/serving/v1beta1/inference_service_{defaults,validation}.go). So the charm notes at these services
what they run on, as their users could. Deleted ones end without that: KServe is not asked about them.
"""

from __future__ import annotations

import httpx2
from lightkube.types import PatchType

from kubeflow_charm import Manifest
from kubeflow_charm.cluster import errors
from kubeflow_charm.cluster.executor import Cluster
from kubeflow_charm.cluster.parallel import each
from kubeflow_charm.cluster.resources import WORKLOAD, Kind, described

MODE = "serving.kserve.io/deploymentMode"
KNATIVE = "Knative"
_SERVICE = Kind("serving.kserve.io/v1beta1", "InferenceService", "inferenceservices", WORKLOAD)


def kept(cluster: Cluster, application: str) -> None:
    """Annotate services without a mode that run on Knative; one request if there are none.

    Raises:
        Problem: if the API server does not answer, or refuses for one of them.
    """

    def annotate(item: Manifest) -> None:
        metadata = item["metadata"]
        patch = {"metadata": {"annotations": {MODE: KNATIVE}}}
        with errors.explained(described(item), application):
            try:
                cluster.client.patch(
                    _SERVICE.resource,
                    metadata["name"],
                    patch,
                    patch_type=PatchType.MERGE,
                    namespace=metadata["namespace"],
                )
            except httpx2.HTTPStatusError as error:
                if not errors.is_missing(error):  # somebody has deleted it meanwhile
                    raise

    if not any(map(_says_nothing, cluster.of_kind(_SERVICE, "*", None, whole=False))):
        return
    found = cluster.of_kind(_SERVICE, "*", None, whole=True)
    on_knative = [item for item in found if _says_nothing(item) and _runs_on(item) in (KNATIVE, "")]
    if refused := each(annotate, on_knative, lambda item: item)[1]:
        raise refused[0][1]


def _says_nothing(item: Manifest) -> bool:
    return MODE not in (item["metadata"].get("annotations") or {})


def _runs_on(item: Manifest) -> str:
    """Return the mode; empty if KServe has not seen the service yet, made while Knative was usual."""
    return (item.get("status") or {}).get("deploymentMode", "")
