"""The six kinds of jobs of the training operator, and what it takes for granted of each.

kubeflow/training-operator v1.9.2, pkg/apis/kubeflow.org/v1/*_defaults.go and *_types.go, and
pkg/controller.v1/*/ for the names of the controllers. The operator fills its copy of a job in and writes the
defaults nowhere.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lightkube.core.resource import api_info

from rehearsal.players import kinds
from rehearsal.players.kinds import Kind, Object

PREFIX = "training.kubeflow.org/"
OPERATOR, JOB_NAME = f"{PREFIX}operator-name", f"{PREFIX}job-name"
REPLICA_TYPE, REPLICA_INDEX = f"{PREFIX}replica-type", f"{PREFIX}replica-index"
ROLE = f"{PREFIX}job-role"


@dataclass(frozen=True)
class Framework:
    """A kind of job.

    Attributes:
        kind: its class.
        field: of the spec, with the replicas.
        types: of replicas, in the order in which they are judged; the first ones lead.
        leaders: the types whose end is the job's, if there are such replicas.
        container: the name of the one that trains.
        port: name and number that its containers are given if they have none of that name.
        restarts: the restart policy of replicas that name none.
    """

    kind: Kind
    field: str
    types: tuple[str, ...]
    leaders: tuple[str, ...]
    container: str
    port: tuple[str, int]
    restarts: str

    @property
    def name(self) -> str:
        """What its kind is called."""
        return api_info(self.kind).resource.kind

    @property
    def controller(self) -> str:
        """What its controller is called, in labels and events."""
        return f"{self.name.lower()}-controller"

    def labels(self, job: Object) -> dict[str, str]:
        """Return the labels of all that belongs to a job."""
        return {OPERATOR: self.controller, JOB_NAME: job["metadata"]["name"]}

    def replicas(self, job: Object) -> Mapping[str, Object]:
        """Return the replicas by their type; defaults must have been set."""
        return job["spec"].get(self.field) or {}

    def policy(self, job: Object) -> Object:
        """Return how a job is run."""
        return job["spec"].get("runPolicy") or {}

    def leads(self, job: Object, kind: str, index: int) -> bool:
        """Tell whether a replica is marked as the master."""
        replicas = self.replicas(job)
        if any(each in replicas for each in self.leaders):
            return kind in self.leaders
        if self.name == "JAXJob":
            return index == 0
        return self.name in ("PyTorchJob", "TFJob") and kind == "Worker" and index == 0

    def defaulted(self, job: Object) -> Object:
        """Return a copy of a job with the defaults of its kind."""
        job = copy.deepcopy(job)
        spec: dict[str, Any] = job["spec"]
        policy = spec["runPolicy"] = spec.get("runPolicy") or {}
        policy["cleanPodPolicy"] = policy.get("cleanPodPolicy") or spec.get("cleanPodPolicy") or "None"
        given = spec.get(self.field) or {}
        spec[self.field] = {self._camel(kind): replica for kind, replica in given.items() if replica}
        for kind, replica in spec[self.field].items():
            if replica.get("replicas") is None:
                replica["replicas"] = 0 if (self.name, kind) == ("MPIJob", "Worker") else 1
            replica["restartPolicy"] = replica.get("restartPolicy") or self.restarts
            if self.name != "MPIJob":
                self._give_port(replica)
        if spec.get("elasticPolicy") is not None:
            _bound(spec["elasticPolicy"], spec[self.field].get("Worker"))
        if self.name == "PyTorchJob" and (spec.get("elasticPolicy") or {}).get("nProcPerNode") is None:
            spec["nprocPerNode"] = spec.get("nprocPerNode") or "auto"
        return job

    def _camel(self, kind: str) -> str:
        """Return a type as it should have been written."""
        return next((each for each in self.types if each.lower() == kind.lower()), kind)

    def _give_port(self, replica: Object) -> None:
        containers = replica["template"]["spec"]["containers"]
        named = [each for each in containers if each["name"] == self.container]
        container = (named or containers)[0]
        ports = container.setdefault("ports", [])
        if not any(each.get("name") == self.port[0] for each in ports):
            ports.append({"name": self.port[0], "containerPort": self.port[1]})


def _bound(policy: Object, workers: Object | None) -> None:
    """Give an elastic policy both its bounds."""
    some = policy.get("maxReplicas") or policy.get("minReplicas") or (workers or {}).get("replicas")
    policy["minReplicas"] = policy.get("minReplicas") or some
    policy["maxReplicas"] = policy.get("maxReplicas") or some


PYTORCH = Framework(
    kinds.PYTORCH_JOB,
    "pytorchReplicaSpecs",
    ("Master", "Worker"),
    ("Master",),
    "pytorch",
    ("pytorchjob-port", 23456),
    "OnFailure",
)
TENSORFLOW = Framework(
    kinds.TF_JOB,
    "tfReplicaSpecs",
    ("Chief", "Evaluator", "Master", "PS", "Worker"),
    ("Chief", "Master"),
    "tensorflow",
    ("tfjob-port", 2222),
    "Never",
)
XGBOOST = Framework(
    kinds.XGBOOST_JOB,
    "xgbReplicaSpecs",
    ("Master", "Worker"),
    ("Master",),
    "xgboost",
    ("xgboostjob-port", 9999),
    "Never",
)
PADDLE = Framework(
    kinds.PADDLE_JOB,
    "paddleReplicaSpecs",
    ("Master", "Worker"),
    ("Master",),
    "paddle",
    ("master", 36543),
    "OnFailure",
)
JAX = Framework(kinds.JAX_JOB, "jaxReplicaSpecs", ("Worker",), (), "jax", ("jaxjob-port", 6666), "Never")
MPI = Framework(
    kinds.MPI_JOB,
    "mpiReplicaSpecs",
    ("Launcher", "Worker"),
    ("Launcher",),
    "mpi",
    ("mpi-port", 9999),
    "Never",
)

FRAMEWORKS: Mapping[str, Framework] = {
    each.name.lower(): each for each in (PYTORCH, TENSORFLOW, XGBOOST, PADDLE, JAX, MPI)
}
"""By the name of the scheme that `--enable-scheme` takes, in lower case."""
