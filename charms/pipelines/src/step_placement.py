"""Placement of the pods of runs: a step gets its GPU, others keep off GPUs, and users write nothing for it.

Argo fills in `workflowDefaults` where a Workflow has nothing itself, and gives tolerations and affinity of
the Workflow to each of its pods: steps, drivers and importers (argo-workflows v3.7.14,
docs/default-workflow-specs.md and workflow/controller/workflowpod.go). KFP's compiler writes neither. A step
with tolerations or an affinity of its own has those instead.
"""

from __future__ import annotations

from typing import Any

from kubeflow_charm.gpu import placement
from kubeflow_charm.gpu.pools import Gpus


def fields(gpus: Gpus) -> dict[str, Any]:
    """Return the fields of a Workflow's spec for the GPUs of a cluster; empty if it has none.

    With them a pod that asks for a GPU finds its node. Other pods go there only if no other node has room, or
    if there is no other node.
    """
    if not gpus.pools:
        return {}
    spec: dict[str, Any] = {"affinity": placement.away_from(gpus)}
    if gpus.tolerated:
        spec["tolerations"] = gpus.tolerations
    return spec
