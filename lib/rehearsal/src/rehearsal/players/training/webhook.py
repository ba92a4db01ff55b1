"""The training operator's webhooks: what it refuses of a job before there is one.

kubeflow/training-operator v1.9.2, pkg/webhooks; MPIJobs have none, so the controller refuses them in an
event. What may surprise there, and so here: nothing has been filled in when a job is checked, so a master of
a PyTorchJob must say `replicas: 1`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

from rehearsal.network.playing import Answer, Visit
from rehearsal.players import answers
from rehearsal.players.kinds import Object
from rehearsal.players.training.frameworks import FRAMEWORKS, Framework

_MANAGERS = ("kubeflow.org/training-operator", "kueue.x-k8s.io/multikueue")
_CHECKED = ("pytorchjob", "tfjob", "xgboostjob", "paddlejob", "jaxjob")


def program(visit: Visit) -> Answer | None:
    """Answer on the webhooks' port."""
    words = [*visit.container.get("command", []), *visit.container.get("args", [])]
    ports = [each.partition("=")[2] for each in words if each.lstrip("-").startswith("webhook-server-port=")]
    reviewers = {
        f"/validate-kubeflow-org-v1-{name}": answers.validating(
            functools.partial(_check, FRAMEWORKS[name]), FRAMEWORKS[name].kind
        )
        for name in _CHECKED
    }
    return answers.serve(visit, int([9443, *ports][-1]), answers.CERTIFICATES, reviewers)


def _check(framework: Framework, job: Object, before: Object | None) -> list[str]:
    return list(_problems(framework, job, before))


def _problems(framework: Framework, job: Object, before: Object | None) -> Iterator[str]:
    name = job["metadata"].get("name", "")
    if problem := answers.name_problem(name):
        yield answers.invalid("metadata.name", name, f"should match: {problem}")
    if framework.name != "JAXJob":
        yield from _managers(framework, job, before)
    if framework.name == "PyTorchJob":
        yield from _elastic(job)
    yield from _replicas(framework, job)


def _managers(framework: Framework, job: Object, before: Object | None) -> Iterator[str]:
    manager, path = framework.policy(job).get("managedBy"), "spec.runPolicy.managedBy"
    # Upstream compares a PyTorchJob with itself, so it finds no change.
    earlier = before if framework.name != "PyTorchJob" else None
    if earlier is not None and framework.policy(earlier).get("managedBy") != manager:
        yield answers.invalid(path, manager, "field is immutable")
    if manager is not None and manager not in _MANAGERS:
        yield answers.unsupported(path, manager, _MANAGERS)


def _elastic(job: Object) -> Iterator[str]:
    spec = job["spec"]
    policy = spec.get("elasticPolicy")
    if policy is None:
        return
    if "Worker" not in (spec.get("pytorchReplicaSpecs") or {}):
        yield answers.required(
            "spec.pytorchReplicaSpecs[Worker]", "must be configured if elastic policy is used"
        )
    if policy.get("nProcPerNode") is not None and spec.get("nprocPerNode") is not None:
        yield answers.forbidden("spec.elasticPolicy.nProcPerNode", "must not be used with spec.nprocPerNode")


def _replicas(framework: Framework, job: Object) -> Iterator[str]:
    path, replicas = f"spec.{framework.field}", job["spec"].get(framework.field)
    if replicas is None:
        yield answers.required(path, "must be required")
    for kind, replica in (replicas or {}).items():
        yield from _replica(framework, f"{path}[{kind}]", kind, replica or {})
    if framework.name == "XGBoostJob" and "Master" not in (replicas or {}):
        yield answers.required(f"{path}[Master]", "must be present")
    if framework.name == "TFJob" and {"Chief", "Master"} <= (replicas or {}).keys():
        yield answers.forbidden(path, "must not have more than 1 Chief or Master role")


def _replica(framework: Framework, path: str, kind: str, replica: Object) -> Iterator[str]:
    if kind not in framework.types and framework.name != "TFJob":
        yield answers.unsupported(path, kind, framework.types)
    containers = ((replica.get("template") or {}).get("spec") or {}).get("containers") or []
    inside = f"{path}.template.spec.containers"
    if not containers:
        yield answers.required(inside, "must be specified")
    for at, container in enumerate(containers):
        if not container.get("image"):
            yield answers.required(f"{inside}[{at}].image", "must be required")
    if not any(each.get("name") == framework.container for each in containers):
        named = f'"{framework.container}"' if framework.name == "PaddleJob" else framework.container
        yield answers.required(inside, f"must have at least one container with name {named}")
    count = replica.get("replicas")
    if kind == "Master" and framework.name in ("PyTorchJob", "XGBoostJob"):
        if count != 1:
            yield answers.forbidden(f"{path}.replicas", "must be 1")
    elif framework.name == "PyTorchJob" and count is not None and count < 1:
        yield answers.forbidden(f"{path}.replicas", "must be at least 1")
