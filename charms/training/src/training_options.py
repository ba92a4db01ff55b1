"""The options of the training charm."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from kubeflow_charm.config import chosen_of
from kubeflow_charm.gpu_options import GpuConfig
from kubeflow_charm.relations.kubernetes_names import DnsName

JobKind = Literal["PyTorchJob", "TFJob", "MPIJob", "XGBoostJob", "PaddleJob", "JAXJob"]
"""A kind of the training operator, version 1."""

RuntimeName = Literal[
    "torch-distributed",
    "deepspeed-distributed",
    "mlx-distributed",
    "torchtune-llama3.2-1b",
    "torchtune-llama3.2-3b",
    "torchtune-qwen2.5-1.5b",
]
"""A runtime of upstream's (kubeflow/trainer v2.1.0, manifests/base/runtimes)."""

JOB_KINDS: tuple[JobKind, ...] = get_args(JobKind)
RUNTIMES: tuple[RuntimeName, ...] = get_args(RuntimeName)


class TrainingConfig(GpuConfig):
    """The options; `charmcraft.yaml` describes each."""

    training_operator: bool
    job_kinds: Annotated[list[JobKind], *chosen_of(JOB_KINDS)]
    trainer: bool
    runtimes: Annotated[list[RuntimeName], *chosen_of(RUNTIMES)]
    gang_scheduler: Literal["none", "volcano", "scheduler-plugins"]
    gang_scheduler_name: DnsName

    @property
    def kinds(self) -> list[JobKind]:
        """The kinds of version 1 that are served; none without the training operator."""
        return self.job_kinds if self.training_operator else []

    @property
    def serves_all_kinds(self) -> bool:
        """Whether the training operator serves every kind that it can."""
        return self.kinds == list(JOB_KINDS)

    @property
    def scheduler(self) -> str:
        """The name of the gang scheduler; empty without one."""
        names = {"none": "", "volcano": "volcano", "scheduler-plugins": self.gang_scheduler_name}
        return names[self.gang_scheduler]
