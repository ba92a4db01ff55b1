"""The training operator, version 1, by its SDK, as a user of a profile: from functions, and from objects.

Every field that the SDK sends must be known. Jobs are played to their end, as in `test_bundle_tuning`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import documented
import pytest
import training_examples as examples
from kubeflow_platform import Platform
from kubeflow_users import Requests
from sdk_notebook import CellFailed, Notebook, opened

from kubeflow_charm.cluster.resources import Manifest
from rehearsal.patience import until

SDK = ("kubeflow-training==1.9.4", "kubernetes==35.0.0")
KINDS = "/apis/kubeflow.org/v1/namespaces/ada/{}s"
PODS = "/api/v1/namespaces/ada/pods"
NVIDIA = "nvidia.com/gpu"
FIRST = {"MPIJob": "launcher", "JAXJob": "worker", "TFJob": "chief"}
"""Kind to the role of the pod that says how the job is, if that is not the master."""


def job(kind: str, number: int, name: str) -> Manifest:
    """Return a job of the examples for ada's profile; the SDK's classes want a policy, if only an empty one."""
    made = copy.deepcopy(examples.job(kind, number)) | {"metadata": {"name": name, "namespace": "ada"}}
    made["spec"] = {"runPolicy": {}} | made["spec"]
    return made


@pytest.fixture(scope="module")
def notebook(
    platform: Platform, ada: Requests, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Notebook]:
    """A notebook with a client for ada's profile, in which ada herself asks."""
    with opened(platform, ada, SDK, tmp_path_factory) as made:
        made.run("""
            from kubeflow.training import TrainingClient, models
            from kubeflow.training.utils.utils import FakeResponse
            client = TrainingClient(namespace="ada")

            def train(parameters):
                print(parameters["lr"])

            def as_object(document):
                return client.api_client.deserialize(FakeResponse(document), "KubeflowOrgV1" + document["kind"])
        """)
        yield made
    for kind in examples.CONTAINERS:
        platform.admin.delete(KINDS.format(kind.lower()))
    until(lambda: not platform.admin.items(PODS), "the pods' end")


@pytest.fixture(scope="module")
def mnist(notebook: Notebook) -> dict[str, Any]:
    """The page's job, which has ended."""
    page = documented.cell("how-to/train-models.md", "client = TrainingClient")
    return notebook.run(page.replace("my-profile", "ada") + 'client.get_job("mnist")')


def test_the_pages_function_runs_on_the_gpus_of_several_nodes(
    notebook: Notebook, mnist: dict[str, Any]
) -> None:
    assert mnist["status"]["replica_statuses"]["Worker"]["succeeded"] == 2
    pods = notebook.run('client.get_job_pods("mnist")')
    assert len(pods) == 3
    for pod in pods:
        (container,) = pod["spec"]["containers"]
        assert "torchrun" in container["args"][0]
        assert "train({'lr': 0.1})" in container["args"][0]
        assert {"PET_NPROC_PER_NODE": "2"}.items() <= {
            e["name"]: e["value"] for e in container["env"]
        }.items()
        assert pod["spec"]["node_name"] == "gpu-0"
        assert NVIDIA in [each["key"] for each in pod["spec"]["tolerations"]]
    assert notebook.run('client.get_job_pod_names("mnist", is_master=True)') == ["mnist-master-0"]
    workers = notebook.run('client.get_job_pod_names("mnist", replica_type="worker")')
    assert sorted(workers) == ["mnist-worker-0", "mnist-worker-1"]


def test_tensorflow_gets_its_roles_of_a_function(notebook: Notebook) -> None:
    notebook.run("""
        client.create_job(name="roles", job_kind="TFJob", train_func=train, parameters={"lr": 0.1},
                          num_workers=2, num_chief_replicas=1, num_ps_replicas=1)
        client.wait_for_job_conditions("roles", job_kind="TFJob", polling_interval=1)
    """)
    pods = notebook.run('client.get_job_pod_names("roles")')
    assert sorted(pods) == ["roles-chief-0", "roles-ps-0", "roles-worker-0", "roles-worker-1"]


@pytest.fixture(scope="module")
def begun(notebook: Notebook) -> None:
    """One job of each kind has been made."""
    notebook.run(
        "for each in jobs:\n    client.create_job(as_object(each))",
        jobs=[job(kind, 0, kind.lower()) for kind in examples.CONTAINERS],
    )


@pytest.mark.usefixtures("begun")
@pytest.mark.parametrize("kind", sorted(examples.CONTAINERS))
def test_a_job_of_an_object_lives_from_its_creation_to_its_deletion(
    platform: Platform, notebook: Notebook, kind: str
) -> None:
    said = notebook.run(
        """
        ended = client.wait_for_job_conditions(name, job_kind=kind, polling_interval=0.2)
        pods = client.get_job_pods(name, replica_type=role, is_master=True)
        listed = [each.metadata.name for each in client.list_jobs(job_kind=kind)]
        conditions = [each.type for each in client.get_job_conditions(name, job_kind=kind)]
        states = client.is_job_succeeded(name, job_kind=kind), client.is_job_failed(name, job_kind=kind)
        client.delete_job(name, job_kind=kind)
        [len(pods), name in listed, conditions, states]
        """,
        kind=kind,
        name=kind.lower(),
        role=FIRST.get(kind, "master"),
    )
    assert said[:2] == [1, True]
    assert {"Created", "Succeeded"} <= {*said[2]}
    assert said[3] == [True, False]
    until(lambda: platform.admin.find(f"{KINDS.format(kind.lower())}/{kind.lower()}") is None)


@pytest.mark.parametrize("kind", sorted(examples.CONTAINERS))
def test_the_objects_of_ten_users_are_jobs(platform: Platform, notebook: Notebook, kind: str) -> None:
    """Nothing that a user wrote is lost on the way; amounts become text.

    There are no classes for what is left out: reading such a job, the SDK raises an AttributeError.
    """
    text = json.dumps([job(kind, number, f"e{number}") for number in range(10)])
    jobs = json.loads(text.replace('"nvidia.com/gpu": 8', '"nvidia.com/gpu": "8"'))
    for each in jobs:
        each["spec"].get("elasticPolicy", {}).pop("metrics", None)
        each["spec"]["runPolicy"].get("schedulingPolicy", {}).pop("minResources", None)
    sent = notebook.run(
        """
        made = [as_object(each) for each in jobs]
        client.custom_api.api_client.query.append(("dryRun", "All"))
        try:
            for each in made:
                client.create_job(each)
        finally:
            client.custom_api.api_client.query.pop()
        client.custom_api.api_client.sanitize_for_serialization(made)
        """,
        jobs=jobs,
    )
    assert sent == jobs


def test_a_job_is_changed_while_it_waits(notebook: Notebook) -> None:
    conditions = notebook.run(
        """
        client.create_job(as_object(job))
        client.wait_for_job_conditions("changed", polling_interval=0.2, expected_conditions={"Created"})
        client.update_job({"spec": {"runPolicy": {"suspend": False}}}, "changed")
        client.wait_for_job_conditions("changed", polling_interval=0.2).status.conditions
        """,
        job=job("PyTorchJob", 1, "changed"),
    )
    assert "Suspended" in [each["type"] for each in conditions]


@pytest.mark.usefixtures("mnist")
def test_the_user_may_read_logs_and_events(notebook: Notebook) -> None:
    """No kubelet is behind a node, so that is what fails, and not the right."""
    with pytest.raises(CellFailed, match="10250/containerLogs/ada/mnist-master-0/pytorch") as failed:
        notebook.run('client.get_job_logs("mnist")')
    assert "forbidden" not in str(failed.value)
    events = notebook.run('[each.reason for each in client.core_api.list_namespaced_event("ada").items]')
    assert "SuccessfulCreatePod" in events


def test_the_profile_of_another_user_is_closed(notebook: Notebook) -> None:
    with pytest.raises(CellFailed, match=r"pytorchjobs\.kubeflow\.org is forbidden") as failed:
        notebook.run('client.create_job(name="foreign", train_func=train, namespace="bob")')
    assert failed.value.error == "RuntimeError"


def test_what_was_played_had_every_right_it_needed(platform: Platform) -> None:
    assert platform.stage.players is not None
    assert platform.stage.players.refusals() == []
