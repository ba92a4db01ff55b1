"""HorizontalPodAutoscalers: what scales the workers of an elastic PyTorchJob by metrics.

kubeflow/training-operator v1.9.2, pkg/controller.v1/pytorch/hpa.go.
"""

from __future__ import annotations

import copy

from rehearsal.players import kinds
from rehearsal.players.api import Api
from rehearsal.players.kinds import Object
from rehearsal.players.training.frameworks import Framework


def keep(api: Api, framework: Framework, job: Object) -> None:
    """Keep the autoscaler of a job, which has its defaults; one that is suspended has none."""
    policy: Object = job["spec"].get("elasticPolicy") or {}
    if framework.name != "PyTorchJob" or not policy.get("metrics"):
        return
    key = kinds.key(job)
    live = api.get(kinds.AUTOSCALER, key)
    if framework.policy(job).get("suspend"):
        if live is not None:
            api.delete(kinds.AUTOSCALER, key)
        return
    owner = kinds.reference(framework.kind, job)
    target = {each: owner[each] for each in ("apiVersion", "kind", "name")}
    bounds = {each: policy[each] for each in ("minReplicas", "maxReplicas")}
    spec = {"scaleTargetRef": target, **bounds, "metrics": copy.deepcopy(policy["metrics"])}
    if live is None:
        metadata = {"name": key[1], "namespace": key[0], "ownerReferences": [owner]}
        api.create(kinds.AUTOSCALER, {"metadata": metadata, "spec": spec})
    elif any(live["spec"].get(field) != value for field, value in spec.items()):
        api.replace(kinds.AUTOSCALER, {**live, "spec": {**live["spec"], **spec}}, live)
