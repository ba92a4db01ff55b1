"""The kinds against a real API server with strict validation: what users write, and what is wrong."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from training_examples import WRONG, Object, examples, job, jobset, trainjob, wrong

from rehearsal.cluster import crds
from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.cluster.existing import Refused

SCALED = {"PyTorchJob", "PaddleJob", "JAXJob"}
COLUMNS = {
    "PyTorchJob": ["State", "Age"],
    "TFJob": ["State", "Age"],
    "MPIJob": ["Age", "State"],
    "XGBoostJob": ["State", "Age"],
    "PaddleJob": ["State", "Age"],
    "JAXJob": ["State", "Age"],
    "JobSet": ["TerminalState", "Restarts", "Completed", "Suspended", "Age"],
    "TrainJob": ["State", "Age"],
    "TrainingRuntime": [],
    "ClusterTrainingRuntime": [],
}
"""Kind to the columns of `kubectl get` (kubeflow/manifests 26.03, as the schemas' modules name them)."""

Send = Callable[..., Object]


@pytest.fixture(scope="module")
def definitions() -> dict[str, Object]:
    """Return the definitions, by kind."""
    source = str(Path(__file__).parents[1] / "src")
    if source not in sys.path:
        sys.path.insert(0, source)
    jobs, jobsets, trainer = map(
        importlib.import_module, ("job_schemas", "jobset_schemas", "trainer_schemas")
    )
    kinds = importlib.import_module("training_options").JOB_KINDS
    made = [*jobs.definitions(kinds), jobsets.jobset_definition(), *trainer.definitions()]
    return {each["spec"]["names"]["kind"]: each for each in made}


def path_of(definition: Object) -> str:
    """Return where objects of a kind are, those of the namespace `default`."""
    spec = definition["spec"]
    version = spec["versions"][0]["name"]
    where = "/namespaces/default" if spec["scope"] == "Namespaced" else ""
    return f"/apis/{spec['group']}/{version}{where}/{spec['names']['plural']}"


@pytest.fixture(scope="module")
def send(cluster: ControlPlane, definitions: dict[str, Object]) -> Iterator[Send]:
    """Return what creates or replaces an object; the API server refuses unknown fields."""
    crds.install(cluster, list(definitions.values()))  # those of another module's tests may be going still

    def send(example: Object, method: str = "POST", *, keep: bool = False) -> Object:
        path = path_of(definitions[example["kind"]])
        if method == "PUT":
            path += f"/{example['metadata']['name']}"
        run = "" if keep else "&dryRun=All"
        body = json.dumps(example).encode()
        return json.loads(cluster.request(method, f"{path}?fieldValidation=Strict{run}", body))

    yield send
    for each in definitions.values():
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        cluster.request("DELETE", f"{path}/{each['metadata']['name']}")


@pytest.fixture
def kept(send: Send, cluster: ControlPlane, definitions: dict[str, Object]) -> Iterator[Send]:
    """Return what creates an object that is there until the test ends."""
    made: list[str] = []

    def keep(example: Object) -> Object:
        answer = send(example, keep=True)
        made.append(f"{path_of(definitions[example['kind']])}/{example['metadata']['name']}")
        return answer

    yield keep
    for path in made:
        cluster.request("DELETE", path)


@pytest.mark.parametrize(
    "example", list(examples()), ids=lambda example: f"{example['kind']}-{example['metadata']['name']}"
)
def test_the_api_server_takes_every_example_and_keeps_every_field(send, example):
    answer = send(example)
    assert contained(example["spec"], answer["spec"])


def contained(small: Any, large: Any) -> bool:
    """Tell whether a value has at least what another has: the API server adds defaults."""
    if isinstance(small, dict):
        return isinstance(large, dict) and all(
            contained(value, large.get(key)) for key, value in small.items()
        )
    if isinstance(small, list):
        return len(small) == len(large) and all(map(contained, small, large))
    return small == large


@pytest.mark.parametrize(
    ("example", "path", "value", "said"), [each[1:] for each in WRONG], ids=[each[0] for each in WRONG]
)
def test_the_api_server_refuses_what_no_controller_can_read(send, example, path, value, said):
    with pytest.raises(Refused, match=said):
        send(wrong(example, path, value))


@pytest.mark.parametrize("name", ["1st", "a.b", "a" * 64, "-a"])
def test_a_trainjob_has_the_name_of_a_service(send, name):
    example = trainjob(0)
    example["metadata"]["name"] = name
    with pytest.raises(Refused, match=r"metadata\.name"):
        send(example)


def test_the_api_server_adds_upstreams_defaults(send):
    spec = send(trainjob(0))["spec"]
    assert spec["managedBy"] == "trainer.kubeflow.org/trainjob-controller"
    assert spec["suspend"] is False
    assert spec["runtimeRef"] == {
        "apiGroup": "trainer.kubeflow.org",
        "kind": "ClusterTrainingRuntime",
        "name": "torch-distributed",
    }
    assert (
        send(jobset(0))["spec"]["replicatedJobs"][0].items()
        >= {"groupName": "default", "replicas": 1}.items()
    )
    assert send(job("TFJob", 2))["spec"]["runPolicy"]["suspend"] is False


@pytest.mark.parametrize(
    ("example", "path", "value"),
    [
        (trainjob(0), ("runtimeRef", "name"), "other"),
        (trainjob(0), ("managedBy",), "kueue.x-k8s.io/multikueue"),
        (jobset(1), ("network", "subdomain"), "other"),
        (jobset(2), ("successPolicy", "operator"), "All"),
        (jobset(3), ("failurePolicy", "maxRestarts"), 4),
        (jobset(6), ("startupPolicy", "startupPolicyOrder"), "AnyOrder"),
        (jobset(8), ("replicatedJobs", 1, "dependsOn", 0, "status"), "Ready"),
        (job("PyTorchJob", 4), ("runPolicy", "schedulingPolicy", "queue"), "other"),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else None,
)
def test_what_upstream_fixes_cannot_change(kept, send, example, path, value):
    now = kept(example)
    with pytest.raises(Refused, match="cannot change"):
        send(wrong(now, path, value), "PUT")
    send(wrong(now, ("suspend",), True) if "suspend" in now["spec"] else now, "PUT")


@pytest.mark.parametrize("kind", COLUMNS)
def test_columns_scale_and_status_are_upstreams(definitions, kind):
    (version,) = definitions[kind]["spec"]["versions"]
    assert [column["name"] for column in version.get("additionalPrinterColumns", [])] == COLUMNS[kind]
    subresources = version.get("subresources", {})
    assert ("scale" in subresources) == (kind in SCALED)
    assert ("status" in subresources) == (not kind.endswith("TrainingRuntime"))
