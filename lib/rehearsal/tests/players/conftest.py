"""Players on a real control plane, with small definitions of what they play on."""

from __future__ import annotations

import datetime
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import lightkube
import pytest
from open_types import open_definition
from player_bench import Bench, Reached, until

from rehearsal.cluster import crds
from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.cluster.existing import Refused
from rehearsal.cluster.gate import Gate
from rehearsal.players.players import Players

DEFINED = [
    ("kubeflow.org", "Profile", "profiles", ["v1"], "Cluster"),
    ("kubeflow.org", "Notebook", "notebooks", ["v1", "v1beta1"], "Namespaced"),
    ("kubeflow.org", "PVCViewer", "pvcviewers", ["v1alpha1"], "Namespaced"),
    ("tensorboard.kubeflow.org", "Tensorboard", "tensorboards", ["v1alpha1"], "Namespaced"),
    ("argoproj.io", "Workflow", "workflows", ["v1alpha1"], "Namespaced"),
    *(
        ("kubeflow.org", kind, f"{kind.lower()}s", ["v1"], "Namespaced")
        for kind in ("PyTorchJob", "TFJob", "MPIJob", "XGBoostJob", "PaddleJob", "JAXJob")
    ),
    *(
        ("kubeflow.org", kind, f"{kind.lower()}s", ["v1beta1"], "Namespaced")
        for kind in ("Experiment", "Suggestion", "Trial")
    ),
    ("jobset.x-k8s.io", "JobSet", "jobsets", ["v1alpha2"], "Namespaced"),
    ("trainer.kubeflow.org", "TrainJob", "trainjobs", ["v1alpha1"], "Namespaced"),
    ("trainer.kubeflow.org", "TrainingRuntime", "trainingruntimes", ["v1alpha1"], "Namespaced"),
    ("trainer.kubeflow.org", "ClusterTrainingRuntime", "clustertrainingruntimes", ["v1alpha1"], "Cluster"),
    ("serving.kserve.io", "InferenceService", "inferenceservices", ["v1beta1"], "Namespaced"),
    *(
        ("serving.kserve.io", kind, f"{kind.lower()}s", ["v1alpha1"], scope)
        for kind, scope in {
            "InferenceGraph": "Namespaced",
            "TrainedModel": "Namespaced",
            "ServingRuntime": "Namespaced",
            "ClusterServingRuntime": "Cluster",
            "ClusterStorageContainer": "Cluster",
            "LocalModelCache": "Cluster",
            "LLMInferenceService": "Namespaced",
            "LLMInferenceServiceConfig": "Namespaced",
        }.items()
    ),
    ("scheduling.volcano.sh", "PodGroup", "podgroups", ["v1beta1"], "Namespaced"),
    ("scheduling.x-k8s.io", "PodGroup", "podgroups", ["v1alpha1"], "Namespaced"),
]
"""Group, kind, plural, versions and scope: the first version is stored."""
PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def there(cluster: ControlPlane, name: str, *, to_stay: bool = False) -> bool:
    """Tell whether there is a definition; if it is `to_stay`, one that is being deleted is none."""
    try:
        found = json.loads(cluster.request("GET", f"{PATH}/{name}"))
    except Refused as refusal:
        if refusal.status == 404:
            return False
        raise
    return not (to_stay and "deletionTimestamp" in found["metadata"])


@pytest.fixture(scope="package", autouse=True)
def definitions(cluster: Any) -> Iterator[None]:
    """Kubeflow's kinds, where no charm has brought them, and Istio's."""
    if not isinstance(cluster, ControlPlane):
        pytest.skip("a rehearsal that is up has players of its own")
    missing = [
        each
        for each in itertools.starmap(open_definition, DEFINED)
        if not there(cluster, each["metadata"]["name"], to_stay=True)
    ]
    crds.install(cluster, missing)
    crds.install(cluster, crds.read("istio", ("networking.istio.io", "security.istio.io")))
    crds.install(cluster, crds.read("knative-serving"))
    crds.install(cluster, crds.read("gateway-api", kinds=["HTTPRoute"]))
    yield
    # Other tests of this run may ask who defined them.
    for each in missing:
        cluster.request("DELETE", f"{PATH}/{each['metadata']['name']}")
    for each in missing:
        until(lambda name=each["metadata"]["name"]: not there(cluster, name), "definitions to go")


class Clock:
    """A clock that a test puts forward."""

    def __init__(self):
        self.time = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)

    def __call__(self) -> datetime.datetime:
        return self.time

    def forward(self, **by: int) -> None:
        self.time += datetime.timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kernels() -> dict[tuple[str, str], Any]:
    """What notebook servers answer."""
    return {}


@pytest.fixture
def reached(cluster: ControlPlane, gate: Gate) -> Any:
    return Reached(cluster, gate.url)


@pytest.fixture
def make_players(reached: Any, clock: Clock, kernels: dict[tuple[str, str], Any]) -> Callable[[], Players]:
    """Return what makes players that go through the gate; who calls it starts and stops them."""

    def answer(namespace: str, name: str) -> Any:
        return kernels.get((namespace, name))

    return lambda: Players(reached, kernels=answer, clock=clock)


@pytest.fixture
def players(make_players: Callable[[], Players]) -> Iterator[Players]:
    with make_players() as players:
        yield players


@pytest.fixture
def bench(
    request: pytest.FixtureRequest, client: lightkube.Client, namespace: str, gate: Gate, players: Players
) -> Iterator[Bench]:
    """A namespace for the controller that the test's module is about."""
    bench = Bench(client, namespace, request.module.PROGRAM, gate)
    yield bench
    bench.remove()
