"""JobSet, the kind that runs a TrainJob: several groups of Jobs as one.

Fields, columns and validations are those of kubernetes-sigs/jobset v0.10.1, config/components/crd/bases.
Upstream's definition names a webhook for conversion, which its controller does not serve and one version
does not need; ours names none.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic
from lightkube.models import batch_v1

from kubeflow_charm import Manifest
from kubeflow_charm.definitions.conditions import Condition
from kubeflow_charm.definitions.crds import Column, Names, Version, atomic, definition, keyed, rules
from kubeflow_charm.definitions.embedded import Int32, Kubernetes
from kubeflow_charm.definitions.schemas import Schema

JobTemplate = Annotated[dict[str, Any], Kubernetes(batch_v1.JobTemplateSpec)]
"""The Job of a group."""
GroupNames = Annotated[list[str], atomic()]
"""Names of groups of Jobs."""
_FIXED = rules(("self == oldSelf", "it cannot change"))
_ONE_ORDER = rules(
    (
        "!(has(self.startupPolicy) && self.startupPolicy.startupPolicyOrder == 'InOrder' && "
        "self.replicatedJobs.exists(x, has(x.dependsOn)))",
        "startupPolicy InOrder and dependsOn exclude each other",
    )
)


class Coordinator(Schema):
    """The pod that coordinates the others."""

    job_index: int | None = None
    pod_index: int | None = None
    replicated_job: str


class FailureRule(Schema):
    """What happens if a Job fails for one of these reasons."""

    action: Literal["FailJobSet", "RestartJobSet", "RestartJobSetAndIgnoreMaxRestarts"]
    name: str
    on_job_failure_message_patterns: list[str] | None = None
    on_job_failure_reasons: list[str] | None = None
    target_replicated_jobs: GroupNames | None = None


class FailurePolicy(Schema, keywords=_FIXED):
    """What happens if a Job fails."""

    max_restarts: Int32 | None = None
    restart_strategy: Literal["Recreate", "BlockingRecreate"] = "Recreate"
    rules: list[FailureRule] | None = None


class Network(Schema, keywords=_FIXED):
    """The names of pods in DNS."""

    enable_dns_hostnames: Annotated[bool | None, pydantic.Field(alias="enableDNSHostnames")] = None
    publish_not_ready_addresses: bool | None = None
    subdomain: str | None = None


class Dependency(Schema):
    """A group that must be in a state before another starts."""

    name: str
    status: Literal["Ready", "Complete"]


_DEPENDENCIES = {
    "maxItems": 5,
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
} | _FIXED


class ReplicatedJob(Schema):
    """A group of equal Jobs."""

    depends_on: Annotated[list[Dependency] | None, pydantic.Field(json_schema_extra=_DEPENDENCIES)] = None
    group_name: str = "default"
    name: str
    replicas: Int32 = 1
    template: JobTemplate


class StartupPolicy(Schema, keywords=_FIXED):
    """In which order groups start."""

    startup_policy_order: Literal["AnyOrder", "InOrder"]


class SuccessPolicy(Schema, keywords=_FIXED):
    """Which groups must end for the JobSet to succeed."""

    operator: Literal["All", "Any"]
    target_replicated_jobs: GroupNames | None = None


class JobSetSpec(Schema, keywords=_ONE_ORDER):
    """The wanted JobSet."""

    coordinator: Coordinator | None = None
    failure_policy: FailurePolicy | None = None
    managed_by: str | None = None
    network: Network | None = None
    replicated_jobs: Annotated[list[ReplicatedJob], keyed("name")] | None = None
    startup_policy: StartupPolicy | None = None
    success_policy: SuccessPolicy | None = None
    suspend: bool | None = None
    ttl_seconds_after_finished: Annotated[Int32 | None, pydantic.Field(ge=0)] = None


class ReplicatedJobStatus(Schema):
    """How many Jobs of a group there are in each state."""

    active: Int32
    failed: Int32
    name: str
    ready: Int32
    succeeded: Int32
    suspended: Int32


class JobSetStatus(Schema):
    """The state of a JobSet."""

    conditions: Annotated[list[Condition], keyed("type")] | None = None
    replicated_jobs_status: Annotated[list[ReplicatedJobStatus], keyed("name")] | None = None
    restarts: Int32 | None = None
    restarts_count_towards_max: Int32 | None = None
    terminal_state: str | None = None


class JobSet(Schema):
    """Groups of Jobs that run, fail and succeed as one."""

    spec: JobSetSpec | None = None
    status: JobSetStatus | None = None


_COLUMNS = (
    Column("TerminalState", "string", ".status.terminalState", "How it ended"),
    Column("Restarts", "string", ".status.restarts", "How often it started again"),
    Column("Completed", "string", '.status.conditions[?(@.type=="Completed")].status'),
    Column("Suspended", "string", ".spec.suspend", "Whether it is suspended"),
    Column("Age", "date", ".metadata.creationTimestamp", "Since when it is there"),
)


def jobset_definition() -> Manifest:
    """Return the CustomResourceDefinition of JobSet."""
    return definition(
        Names("JobSet", "jobsets", "jobset.x-k8s.io"),
        [Version("v1alpha2", JobSet, storage=True, columns=_COLUMNS)],
    )
