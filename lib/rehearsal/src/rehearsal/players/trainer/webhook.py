"""Trainer's webhooks: what it refuses of TrainJobs and of runtimes.

kubeflow/trainer v2.1.0, pkg/webhooks and pkg/runtime/framework/plugins/{jobset,torch,mpi}. What may surprise
there, and so here: containers that a runtime lacks are not refused, since overrides are merged before they
are checked; variables and the arguments of torchtune are checked only beside a `numProcPerNode`.
"""

from __future__ import annotations

from collections.abc import Iterator

from rehearsal.network.playing import Answer, Visit
from rehearsal.players import answers, kinds
from rehearsal.players.katib.webhook import found
from rehearsal.players.kinds import Object
from rehearsal.players.trainer import gangs, torchtune
from rehearsal.players.trainer.building import ANCESTOR, LAUNCHER, NODE, Build
from rehearsal.players.trainer.trainjobs import GROUP, RUNTIMES, reference

_STEPS = {
    "trainer": NODE,
    "model-initializer": "model-initializer",
    "dataset-initializer": "dataset-initializer",
}
_RESERVED = ("PET_MASTER_ADDR", "PET_MASTER_PORT", "PET_NNODES", "PET_NODE_RANK", "PET_NPROC_PER_NODE")
_OVERRIDES = "spec.podTemplateOverrides"


def program(visit: Visit) -> Answer | None:
    """Answer on the webhooks' port."""
    prefix = "/validate-trainer-kubeflow-org-v1alpha1"

    def check(job: Object, before: Object | None) -> list[str]:
        return list(_job(visit, job, before))

    def check_runtime(runtime: Object, before: Object | None) -> list[str]:
        return list(_runtime(runtime)) if before is None else []

    reviewers = {f"{prefix}-trainjob": answers.validating(check, kinds.TRAIN_JOB)}
    for name in RUNTIMES:
        reviewers[f"{prefix}-{name.lower()}"] = answers.validating(check_runtime, RUNTIMES[name])
    return answers.serve(visit, 9443, answers.CERTIFICATES, reviewers)


def _job(visit: Visit, job: Object, before: Object | None) -> Iterator[str]:
    group, kind = reference(job)
    if group != GROUP or kind not in RUNTIMES:
        yield f"unsupported runtime: {kind}.{group}"
        return
    said = job["spec"].get("runtimeRef") or {}
    where = job["metadata"].get("namespace", "") if kind == "TrainingRuntime" else ""
    try:
        runtime = found(visit.client, RUNTIMES[kind], (where, said.get("name", "")))
        problem = f'{kind}.{GROUP} "{said.get("name", "")}" not found'
    except answers.Denied as denied:
        runtime, problem = None, str(denied)
    if runtime is None:
        # Upstream writes the field one way for the one kind, and another way for the other.
        path = "spec.runtimeRef" if kind == "TrainingRuntime" else "spec.RuntimeRef"
        lacks = f"specified {kind[0].lower()}{kind[1:]} must be created before the TrainJob is created"
        yield answers.invalid(path, said, f"{problem}: {lacks}")
        return
    yield from problems(job, before, runtime)
    for name in gangs.priorities(runtime):
        if found(visit.client, kinds.PRIORITY_CLASS, ("", name)) is None:
            lacks = (
                f'PriorityClass "{name}" doesn\'t exist: PriorityClass.scheduling.k8s.io "{name}" not found'
            )
            yield answers.invalid("spec.templateSpec.priorityClassName", name, lacks)
    if _changed(job, before) and job["spec"].get("suspend"):
        jobset = found(visit.client, kinds.JOB_SET, kinds.key(job)) or {}
        for each in (jobset.get("status") or {}).get("replicatedJobsStatus") or ():
            if each.get("active"):
                which = f"when the JobSet's ReplicatedJob {each['name']} is still active"
                yield answers.forbidden(_OVERRIDES, f"PodTemplateOverrides cannot be modified {which}")


def _changed(job: Object, before: Object | None) -> bool:
    """Tell whether other things are said of the pods than before."""
    if before is None:
        return False
    return (job["spec"].get("podTemplateOverrides") or []) != (
        before["spec"].get("podTemplateOverrides") or []
    )


def problems(job: Object, before: Object | None, runtime: Object) -> Iterator[str]:
    """Yield what is wrong with a TrainJob of a runtime."""
    jobs = {each["name"]: each["template"]["spec"]["template"]["spec"] for each in _jobs(runtime)}
    names = {name: {each["name"] for each in _all_containers(pod)} for name, pod in jobs.items()}
    initializer = job["spec"].get("initializer") or {}
    for field, config in (("dataset", "datasetConfig"), ("model", "modelConfig")):
        step = f"{field}-initializer"
        if initializer.get(field) is None:
            continue
        said = job["spec"].get("runtimeRef") or {}
        if step not in names:
            problem = f"must have {step} job when trainJob is configured with input {config}"
            yield answers.invalid("spec.runtimeRef", said, problem)
        elif step not in names[step]:
            problem = f"must have container with name - {step} in the {step} job"
            yield answers.invalid("spec.runtimeRef", said, problem)
    overrides = job["spec"].get("podTemplateOverrides") or []
    if _changed(job, before) and not job["spec"].get("suspend"):
        problem = "PodTemplateOverrides can only be modified when the TrainJob is suspended"
        yield answers.forbidden(_OVERRIDES, problem)
    for override in overrides:
        yield from _override(override, overrides, names)
    yield from _framework(job, runtime, jobs)
    yield from gangs.problems(job, runtime)


def _override(override: Object, overrides: list[Object], names: dict[str, set[str]]) -> Iterator[str]:
    for target in override.get("targetJobs") or ():
        name = target["name"]
        if name not in names:
            problem = "must not have targetJob that doesn't exist in the runtime job template"
            yield answers.invalid(_OVERRIDES, overrides, problem)
        for container in (override.get("spec") or {}).get("containers") or ():
            if container.get("env") and container["name"] in _STEPS.values():
                problem = "must not have envs for the dataset-initializer, model-initializer, node containers"
                yield answers.invalid(_OVERRIDES, overrides, problem)


def _framework(job: Object, runtime: Object, jobs: dict[str, Object]) -> Iterator[str]:
    trainer, policy = job["spec"].get("trainer") or {}, runtime["spec"].get("mlPolicy") or {}
    path, processes = "spec.trainer.numProcPerNode", trainer.get("numProcPerNode")
    if policy.get("torch") is not None and processes is not None:
        if isinstance(processes, str) and processes not in ("auto", "cpu", "gpu"):
            yield answers.invalid(path, processes, "must have an int value or [auto cpu gpu]")
        reserved = sorted({each["name"] for each in trainer.get("env") or ()} & {*_RESERVED})
        if reserved:
            problem = f"must not have reserved envs, invalid envs configured: [{' '.join(reserved)}]"
            yield answers.invalid("spec.trainer.env", trainer["env"], problem)
        if trainer.get("command") == torchtune.ENTRYPOINT:
            yield from torchtune.problems(job, Build(job, runtime).gpus())
    if (mpi := policy.get("mpi")) is not None:
        if isinstance(processes, str):
            yield answers.invalid(path, processes, "must have an int value for MPI TrainJob")
        several = (trainer.get("numNodes") or 1) >= 2
        if several and mpi.get("runLauncherAsNode") and not {LAUNCHER, NODE} <= jobs.keys():
            problem = (
                "must have 1 when MPI trainingRuntime with enabled runLauncherAsNode does not have either"
            )
            yield answers.invalid(
                "spec.trainer.numNodes", trainer["numNodes"], f"{problem} launcher and node"
            )


def _runtime(runtime: Object) -> Iterator[str]:
    path = "spec.template.spec.replicatedJobs"
    for at, replicated in enumerate(_jobs(runtime)):
        labels = (replicated["template"].get("metadata") or {}).get("labels") or {}
        step = labels.get(ANCESTOR)
        if step not in _STEPS:
            continue
        if replicated.get("replicas", 1) != 1:
            yield answers.invalid(f"{path}[{at}].replicas", replicated["replicas"], "always must be 1")
        containers = replicated["template"]["spec"]["template"]["spec"].get("containers") or []
        if _STEPS[step] not in {each["name"] for each in containers}:
            inside = f"{path}[{at}].template.spec.template.spec.containers"
            problem = f"must contain the required container for the ancestor: {step}"
            yield answers.invalid(inside, containers, problem)


def _jobs(runtime: Object) -> list[Object]:
    return runtime["spec"]["template"]["spec"].get("replicatedJobs") or []


def _all_containers(pod: Object) -> list[Object]:
    return [*(pod.get("initContainers") or ()), *(pod.get("containers") or ())]
