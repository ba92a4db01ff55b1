"""Placement of the pods of runs: a step gets its GPU, other pods keep off GPUs, and users write nothing.

Argo applies `workflowDefaults` to fields that a Workflow does not set, and copies the tolerations and
affinity of a Workflow to each of its pods: steps, drivers and importers (argo-workflows v3.7.14,
docs/default-workflow-specs.md and workflow/controller/workflowpod.go). KFP's compiler writes neither. If a
step sets tolerations or an affinity, it keeps its own.
"""

from __future__ import annotations

from typing import Any

from kubeflow_charm.gpu import placement
from kubeflow_charm.gpu.pools import Gpus


def fields(gpus: Gpus) -> dict[str, Any]:
    """Return the fields of a Workflow's spec for the GPUs of a cluster; empty if it has none.

    With these, a pod that asks for a GPU finds its node. Other pods go there only if no other node has room.
    """
    if not gpus.pools:
        return {}
    spec: dict[str, Any] = {"affinity": placement.away_from(gpus)}
    if gpus.tolerated:
        spec["tolerations"] = gpus.tolerations
    return spec
