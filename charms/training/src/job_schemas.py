"""The kinds of the training operator, version 1: PyTorchJob, TFJob, MPIJob, XGBoostJob, PaddleJob and JAXJob.

Fields, columns, subresources and validations are those of kubeflow/training-operator 1.9 as in
kubeflow/manifests 26.03, applications/training-operator/upstream/base/crds. Upstream's pods have the fields
of an old Kubernetes; ours have those of the newest one.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Annotated, Any

import pydantic
from lightkube.models import autoscaling_v2

from kubeflow_charm import Manifest
from kubeflow_charm.definitions.crds import Column, Names, Scale, Version, definition, rules
from kubeflow_charm.definitions.embedded import (
    Int32,
    Int64,
    Kubernetes,
    LabelSelector,
    PodTemplate,
    Quantity,
)
from kubeflow_charm.definitions.schemas import Schema

Metric = Annotated[dict[str, Any], Kubernetes(autoscaling_v2.MetricSpec)]
"""What an autoscaler measures."""
_FIXED_QUEUE = rules(("self == oldSelf", "the queue of a job cannot change"))


class SchedulingPolicy(Schema):
    """How a gang scheduler treats the job's pods."""

    min_available: Int32 | None = None
    min_resources: dict[str, Quantity] | None = None
    priority_class: str | None = None
    queue: Annotated[str | None, pydantic.Field(json_schema_extra=_FIXED_QUEUE)] = None
    schedule_timeout_seconds: Int32 | None = None


class RunPolicy(Schema):
    """How long a job runs and stays, and who runs it."""

    active_deadline_seconds: Int64 | None = None
    backoff_limit: Int32 | None = None
    clean_pod_policy: str | None = None
    managed_by: str | None = None
    scheduling_policy: SchedulingPolicy | None = None
    suspend: bool = False
    ttl_seconds_after_finished: Int32 | None = None


class ReplicaSpec(Schema):
    """The pods of one role."""

    replicas: Int32 | None = None
    restart_policy: str | None = None
    template: PodTemplate | None = None


Replicas = dict[str, ReplicaSpec]
"""Role, such as `Master` or `Worker`, to its pods."""


class JobCondition(Schema):
    """A condition of a job."""

    type: str
    status: str
    last_transition_time: datetime.datetime | None = None
    last_update_time: datetime.datetime | None = None
    message: str | None = None
    reason: str | None = None


class ReplicaStatus(Schema):
    """How many pods of a role there are in each state."""

    active: Int32 | None = None
    failed: Int32 | None = None
    label_selector: LabelSelector | None = None
    selector: str | None = None
    succeeded: Int32 | None = None


class JobStatus(Schema):
    """The state of a job."""

    completion_time: datetime.datetime | None = None
    conditions: list[JobCondition] | None = None
    last_reconcile_time: datetime.datetime | None = None
    replica_statuses: dict[str, ReplicaStatus] | None = None
    start_time: datetime.datetime | None = None


class RendezvousSetting(Schema):
    """A setting of PyTorch's rendezvous."""

    key: str | None = None
    value: str | None = None


class PaddleElasticPolicy(Schema):
    """Between which numbers of workers a job may run."""

    max_replicas: Int32 | None = None
    max_restarts: Int32 | None = None
    metrics: list[Metric] | None = None
    min_replicas: Int32 | None = None


class PyTorchElasticPolicy(PaddleElasticPolicy):
    """The settings of an elastic PyTorch job, as torchrun has them."""

    n_proc_per_node: Int32 | None = None
    rdzv_backend: str | None = None
    rdzv_conf: list[RendezvousSetting] | None = None
    rdzv_host: str | None = None
    rdzv_id: str | None = None
    rdzv_port: Int32 | None = None
    standalone: bool | None = None


class PyTorchJobSpec(Schema):
    """The wanted PyTorch job."""

    elastic_policy: PyTorchElasticPolicy | None = None
    nproc_per_node: str | None = None
    pytorch_replica_specs: Replicas
    run_policy: RunPolicy | None = None


class TFJobSpec(Schema):
    """The wanted TensorFlow job."""

    enable_dynamic_worker: bool | None = None
    run_policy: RunPolicy | None = None
    success_policy: str | None = None
    tf_replica_specs: Replicas


class MPIJobSpec(Schema):
    """The wanted MPI job."""

    clean_pod_policy: str | None = None
    main_container: str | None = None
    mpi_replica_specs: Replicas
    run_policy: RunPolicy | None = None
    slots_per_worker: Int32 | None = None


class XGBoostJobSpec(Schema):
    """The wanted XGBoost job."""

    run_policy: RunPolicy | None = None
    xgb_replica_specs: Replicas


class PaddleJobSpec(Schema):
    """The wanted PaddlePaddle job."""

    elastic_policy: PaddleElasticPolicy | None = None
    paddle_replica_specs: Replicas
    run_policy: RunPolicy | None = None


class JAXJobSpec(Schema):
    """The wanted JAX job."""

    jax_replica_specs: Replicas
    run_policy: RunPolicy | None = None


class PyTorchJob(Schema):
    """A PyTorch job: a master and workers."""

    spec: PyTorchJobSpec | None = None
    status: JobStatus | None = None


class TFJob(Schema):
    """A TensorFlow job: a chief, workers, parameter servers."""

    spec: TFJobSpec | None = None
    status: JobStatus | None = None


class MPIJob(Schema):
    """An MPI job: a launcher and workers."""

    spec: MPIJobSpec | None = None
    status: JobStatus | None = None


class XGBoostJob(Schema):
    """An XGBoost job: a master and workers."""

    spec: XGBoostJobSpec | None = None
    status: JobStatus | None = None


class PaddleJob(Schema):
    """A PaddlePaddle job: a master and workers."""

    spec: PaddleJobSpec | None = None
    status: JobStatus | None = None


class JAXJob(Schema):
    """A JAX job: workers."""

    spec: JAXJobSpec | None = None
    status: JobStatus | None = None


_STATE = Column("State", "string", ".status.conditions[-1:].type")
_AGE = Column("Age", "date", ".metadata.creationTimestamp")


def _scale(replicas: str) -> Scale:
    """Return the subresource that scales a job's workers."""
    worker = ".status.replicaStatuses.Worker"
    return Scale(f".spec.{replicas}.Worker.replicas", f"{worker}.active", f"{worker}.selector")


_KINDS: dict[str, tuple[type[Schema], Scale | None, tuple[Column, ...]]] = {
    "PyTorchJob": (PyTorchJob, _scale("pytorchReplicaSpecs"), (_STATE, _AGE)),
    "TFJob": (TFJob, None, (_STATE, _AGE)),
    "MPIJob": (MPIJob, None, (_AGE, _STATE)),
    "XGBoostJob": (XGBoostJob, None, (_STATE, _AGE)),
    "PaddleJob": (PaddleJob, _scale("paddleReplicaSpecs"), (_STATE, _AGE)),
    "JAXJob": (JAXJob, _scale("jaxReplicaSpecs"), (_STATE, _AGE)),
}


def definitions(kinds: Iterable[str]) -> list[Manifest]:
    """Return the CustomResourceDefinitions of some kinds, such as `PyTorchJob`."""
    return [
        definition(
            Names(kind, f"{kind.lower()}s", "kubeflow.org"),
            [Version("v1", model, storage=True, columns=columns, scale=scale)],
        )
        for kind in kinds
        for model, scale, columns in [_KINDS[kind]]
    ]
