"""How the pods of runs get onto GPUs, and off them, without a word from the user.

Argo gives a Workflow that says nothing else what `workflowDefaults` has, and every pod of it that: driver and
importer as well as the steps (argo-workflows v3.7.14, docs/default-workflow-specs.md and
workflow/controller/workflowpod.go). Nothing that the compiler of KFP writes is in the way; a step that names
tolerations or an affinity has its own instead.
"""

from __future__ import annotations

from typing import Any

from kubeflow_charm.gpu import placement
from kubeflow_charm.gpu.pools import Gpus


def workflow_defaults(gpus: Gpus) -> dict[str, Any]:
    """Return the fields of a Workflow that have its pods tolerate GPU nodes, and keep off them if they can.

    A pod that asks for a GPU fits nowhere else; a pod that does not goes there only if nothing else has room,
    as on a cluster that has no other nodes. Empty where there are no GPUs.
    """
    if not gpus.pools:
        return {}
    spec: dict[str, Any] = {"affinity": placement.away_from(gpus)}
    if gpus.tolerations:
        spec["tolerations"] = gpus.tolerations
    return {"spec": spec}
