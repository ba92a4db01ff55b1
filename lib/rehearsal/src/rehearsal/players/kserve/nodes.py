"""A predictor on several nodes: how many there are, and what each is told.

kserve/kserve v0.16.0, components/predictor.go (reconcileWorker, multiNodeProcess, computeRayNodeAndGPUs) and
reconcilers/deployment.
"""

from __future__ import annotations

import math

from rehearsal.players.kinds import Object
from rehearsal.players.kserve import components, naming
from rehearsal.players.kserve.components import Part
from rehearsal.players.kserve.runtimes import Runtime, Unservable
from rehearsal.players.kserve.settings import Settings

GPUS = ("nvidia.com/gpu", "amd.com/gpu", "intel.com/gpu", "habana.ai/gaudi")


class NoWorkers(ValueError):
    """The runtime has no workers, or the GPUs do not suffice; `reason` is that of the condition."""

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason = reason


def spread(settings: Settings, isvc: Object, runtime: Runtime, part: Part) -> None:
    """Give a predictor its workers, and tell both of each other.

    Raises:
        NoWorkers: if it cannot have any.
        Unservable: if the runtime's workers have no container.
    """
    theirs, ours = runtime.spec.get("workerSpec"), isvc["spec"]["predictor"]["workerSpec"]
    if theirs is None:
        message = (
            "you cannot set WorkerSpec in the InferenceService if the ServingRuntime does not have a "
            "WorkerSpec"
        )
        raise NoWorkers("InvalidWorkerSpecNotSet", message)
    main = components.container(theirs.get("containers") or [], naming.WORKER)
    if main is None:
        message = "No workerSpec container configuration found in selected serving runtime"
        raise Unservable("InvalidPredictorSpec", message, message)
    said = (ours.get("containers") or [{}])[0]
    worker = components.fill(components.merge_container(main, said), isvc)
    pod = components.merge_pod(theirs, ours)
    pod["containers"] = [worker]
    pipeline, tensor = (
        ours.get(name) or theirs.get(name) or 1 for name in ("pipelineParallelSize", "tensorParallelSize")
    )
    head = part.pod["containers"][0]
    nodes, of_worker, of_head = divide(_asked(head), _asked(worker), pipeline * tensor)
    name, generation = isvc["metadata"]["name"], str(isvc["metadata"].get("generation", 1))
    _tell(
        head,
        PIPELINE_PARALLEL_SIZE=pipeline,
        TENSOR_PARALLEL_SIZE=tensor,
        RAY_NODE_COUNT=nodes,
        REQUEST_GPU_COUNT=of_head,
        MODEL_NAME=name,
    )
    if part.annotations.get(naming.SOURCE, "").startswith(("pvc://", "oci://")):
        _tell(head, MODEL_DIR=naming.MODELS)
    _tell(
        worker,
        RAY_NODE_COUNT=nodes,
        REQUEST_GPU_COUNT=of_worker,
        ISVC_NAME=name,
        HEAD_SVC=f"{name}-head-{generation}",
    )
    _equip(head, of_head)
    _equip(worker, of_worker)
    part.labels["isvc.generation"] = generation
    of_runtime = settings.annotations(runtime.spec.get("annotations"))
    own = {name: value for name, value in part.annotations.items() if of_runtime.get(name) != value}
    part.worker = Part(
        "predictor",
        f"{name}-predictor-worker",
        {
            **(theirs.get("labels") or {}),
            **(isvc["metadata"].get("labels") or {}),
            **(isvc["spec"]["predictor"].get("labels") or {}),
            "isvc.generation": generation,
            naming.SERVICE_LABEL: name,
            "component": "predictor",
        },
        {**settings.annotations(theirs.get("annotations")), **own},
        pod,
        {**isvc["spec"]["predictor"], "worker": {"replicas": nodes - 1}},
    )


def divide(head: int, worker: int, total: int) -> tuple[int, int, int]:
    """Return the number of nodes, and the GPUs of each worker and of the first node.

    Args:
        head: GPUs that the first node asks for.
        worker: GPUs that each worker asks for.
        total: GPUs that are needed.

    Raises:
        NoWorkers: if those that are asked for do not suffice.
    """
    if worker:
        nodes = math.ceil(total / worker)
        if head and math.ceil(total / head) == 1:
            nodes = 1
        head = head or total - worker * (nodes - 1)
        if nodes == 1:
            worker, head = 0, total
    elif head:
        worker, nodes = 1, 1 + max(total - head, 0)
    else:
        return total, 1, 1
    if total > head + worker * (nodes - 1):
        others = worker * (nodes - 1)
        message = (
            f"the total required number of GPUs({total}) is less than the number of GPUs assigned to the "
            f"head node({head}) + worker node({others})"
        )
        raise NoWorkers("InvalidGPUAllocation", message)
    return nodes, worker, head


def _asked(container: Object) -> int:
    requests = (container.get("resources") or {}).get("requests") or {}
    return next((int(requests[name]) for name in GPUS if name in requests), 0)


def _tell(container: Object, **variables: object) -> None:
    env = {each["name"]: each for each in container.get("env") or ()}
    for name, value in variables.items():
        env[name] = {"name": name, "value": str(value)}
    container["env"] = list(env.values())


def _equip(container: Object, count: int) -> None:
    resources = container.setdefault("resources", {})
    there = {**(resources.get("requests") or {}), **(resources.get("limits") or {})}
    name = next((each for each in GPUS if str(there.get(each, "0")) != "0"), GPUS[0])
    for part in ("limits", "requests"):
        resources[part] = {**(resources.get(part) or {}), name: str(count)}
