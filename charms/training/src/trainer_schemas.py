"""The kinds of Kubeflow Trainer: TrainJob, TrainingRuntime and ClusterTrainingRuntime.

Fields, columns and validations are those of kubeflow/trainer v2.1.0, manifests/base/crds. A runtime's
template is a JobSet.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic
from jobset_schemas import JobSetSpec
from lightkube.models import autoscaling_v2, core_v1

from kubeflow_charm import Manifest
from kubeflow_charm.definitions.conditions import Condition
from kubeflow_charm.definitions.crds import Column, Names, Version, atomic, definition, keyed, rules
from kubeflow_charm.definitions.embedded import (
    Affinity,
    EnvVar,
    Int32,
    IntOrString,
    Kubernetes,
    Metadata,
    ObjectName,
    Toleration,
    Volume,
    VolumeMount,
)
from kubeflow_charm.definitions.schemas import Schema

GROUP = "trainer.kubeflow.org"
CONTROLLER = "trainer.kubeflow.org/trainjob-controller"
KUEUE = "kueue.x-k8s.io/multikueue"

Labels = dict[str, str] | None
Name = Annotated[str, pydantic.Field(min_length=1)]
Count = Annotated[Int32, pydantic.Field(ge=0)]
Environment = Annotated[list[EnvVar], keyed("name")]
Resources = Annotated[dict[str, Any], Kubernetes(core_v1.ResourceRequirements)]
Metric = Annotated[dict[str, Any], Kubernetes(autoscaling_v2.MetricSpec)]
JOB_NAME = {"type": "string", "maxLength": 63, "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$"}
"""The schema of a TrainJob's name: it becomes the name of a Service."""


class Initializer(Schema):
    """What an initializer loads before the training."""

    env: Environment | None = None
    secret_ref: ObjectName | None = None
    storage_uri: str | None = None


class Initializers(Schema):
    """The data and the model that are loaded before the training."""

    dataset: Initializer | None = None
    model: Initializer | None = None


class ContainerOverride(Schema):
    """What differs in one container."""

    env: Environment | None = None
    name: Name
    volume_mounts: Annotated[list[VolumeMount], keyed("name")] | None = None


class Named(Schema):
    """A name."""

    name: str


class PullSecret(Schema):
    """The name of a pull secret."""

    name: str = ""


class TargetJob(Schema):
    """The name of a group of Jobs."""

    name: Name


class PodOverride(Schema):
    """What differs in the pods of some groups."""

    affinity: Affinity | None = None
    containers: Annotated[list[ContainerOverride], keyed("name")] | None = None
    image_pull_secrets: Annotated[list[PullSecret], keyed("name")] | None = None
    init_containers: Annotated[list[ContainerOverride], keyed("name")] | None = None
    node_selector: Labels = None
    scheduling_gates: Annotated[list[Named], keyed("name")] | None = None
    service_account_name: str | None = None
    tolerations: Annotated[list[Toleration], atomic()] | None = None
    volumes: Annotated[list[Volume], keyed("name")] | None = None


class PodTemplateOverride(Schema):
    """What differs in the pods of some groups, and which groups these are."""

    metadata: Metadata | None = None
    spec: PodOverride | None = None
    target_jobs: Annotated[list[TargetJob], atomic()]


class RuntimeRef(Schema, keywords=rules(("self == oldSelf", "the runtime of a job cannot change"))):
    """The runtime of a job."""

    api_group: str = GROUP
    kind: str = "ClusterTrainingRuntime"
    name: Name


class Trainer(Schema):
    """What the training runs, and on how many nodes."""

    args: Annotated[list[str], atomic()] | None = None
    command: Annotated[list[str], atomic()] | None = None
    env: Environment | None = None
    image: str | None = None
    num_nodes: Int32 | None = None
    num_proc_per_node: IntOrString | None = None
    resources_per_node: Resources | None = None


_MANAGERS = rules(
    (f"self in ['{CONTROLLER}', '{KUEUE}']", f"must be {CONTROLLER} or {KUEUE}"),
    ("self == oldSelf", "the manager of a job cannot change"),
)


class TrainJobSpec(Schema):
    """The wanted training."""

    annotations: Labels = None
    initializer: Initializers | None = None
    labels: Labels = None
    managed_by: Annotated[str, pydantic.Field(json_schema_extra=_MANAGERS)] = CONTROLLER
    pod_template_overrides: Annotated[list[PodTemplateOverride], atomic()] | None = None
    runtime_ref: RuntimeRef
    suspend: bool = False
    trainer: Trainer | None = None


class TrainJobGroupStatus(Schema):
    """How many Jobs of a group there are in each state."""

    active: Count
    failed: Count
    name: Name
    ready: Count
    succeeded: Count
    suspended: Count


class TrainJobStatus(Schema, keywords={"minProperties": 1}):
    """The state of a training."""

    conditions: Annotated[list[Condition], keyed("type")] | None = None
    jobs_status: Annotated[list[TrainJobGroupStatus], keyed("name")] | None = None


class TrainJob(Schema):
    """A training on a number of nodes, by a runtime."""

    spec: TrainJobSpec | None = None
    status: TrainJobStatus | None = None


class MpiPolicy(Schema):
    """How processes of MPI find each other."""

    mpi_implementation: Literal["OpenMPI", ""] = "OpenMPI"
    num_proc_per_node: Int32 = 1
    run_launcher_as_node: bool = False
    ssh_auth_mount_path: str = "/root/.ssh"


class TorchElasticPolicy(Schema):
    """Between which numbers of nodes a training may run."""

    max_nodes: Int32 | None = None
    max_restarts: Int32 | None = None
    metrics: Annotated[list[Metric], atomic()] | None = None
    min_nodes: Int32 | None = None


_PROCESSES = rules(
    ("self > 0 || self in ['auto', 'cpu', 'gpu']", "must be auto, cpu, gpu or a number above 0")
)


class TorchPolicy(Schema):
    """How torchrun starts."""

    elastic_policy: TorchElasticPolicy | None = None
    num_proc_per_node: Annotated[IntOrString, pydantic.Field(json_schema_extra=_PROCESSES)] = "auto"


_ONE_POLICY = rules(
    (
        "!(has(self.numNodes) && (has(self.torch) && has(self.torch.elasticPolicy)))",
        "torch.elasticPolicy says how many nodes: leave numNodes out",
    ),
    ("!(has(self.torch) && has(self.mpi))", "torch and mpi exclude each other"),
)


class MlPolicy(Schema, keywords=_ONE_POLICY):
    """The settings of the framework."""

    mpi: MpiPolicy | None = None
    num_nodes: Int32 | None = None
    torch: TorchPolicy | None = None


class Coscheduling(Schema):
    """The settings of the plugin Coscheduling of scheduler-plugins."""

    schedule_timeout_seconds: Int32 = 60


class NetworkTopology(Schema):
    """How near to each other Volcano places the pods."""

    highest_tier_allowed: int = 1
    mode: Literal["hard", "soft"] = "hard"


class Volcano(Schema):
    """The settings of Volcano."""

    network_topology: NetworkTopology | None = None


class PodGroupPolicy(Schema):
    """The gang scheduler."""

    coscheduling: Coscheduling | None = None
    volcano: Volcano | None = None


class JobSetTemplate(Schema, keywords={"minProperties": 1}):
    """The JobSet of a training."""

    metadata: Metadata | None = None
    spec: JobSetSpec | None = None


class TrainingRuntimeSpec(Schema, keywords={"minProperties": 1}):
    """How trainings of a runtime run."""

    ml_policy: MlPolicy | None = None
    pod_group_policy: PodGroupPolicy | None = None
    template: JobSetTemplate | None = None


class TrainingRuntime(Schema):
    """A blueprint that TrainJobs of a namespace, or of the cluster, refer to."""

    spec: TrainingRuntimeSpec | None = None


_COLUMNS = (
    Column("State", "string", ".status.conditions[-1:].type"),
    Column("Age", "date", ".metadata.creationTimestamp"),
)


def definitions() -> list[Manifest]:
    """Return the CustomResourceDefinitions."""
    runtime = [Version("v1alpha1", TrainingRuntime, storage=True, status=False)]
    return [
        definition(
            Names("TrainJob", "trainjobs", GROUP, objects=JOB_NAME),
            [Version("v1alpha1", TrainJob, storage=True, columns=_COLUMNS)],
        ),
        definition(Names("TrainingRuntime", "trainingruntimes", GROUP), runtime),
        definition(
            Names("ClusterTrainingRuntime", "clustertrainingruntimes", GROUP), runtime, namespaced=False
        ),
    ]
