"""Trainer and Katib by Kubeflow's common SDK, as a user of a profile: what the documentation shows, and more.

Two versions of it: the last one that knows Trainer 2.1 by its requirements, and the one that pip installs if
nobody says which. Every field that the SDK sends must be known. Jobs are played to their end, as in
`test_bundle_tuning`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kubeflow_platform import Platform
from kubeflow_users import Requests
from sdk_notebook import CellFailed, Notebook

from rehearsal.patience import until

FITTING, NEWEST = "0.3.1", "0.5.0"
TRAIN_JOBS = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/ada/trainjobs"
EXPERIMENTS = "/apis/kubeflow.org/v1beta1/namespaces/ada/experiments"
CLAIMS = "/api/v1/namespaces/ada/persistentvolumeclaims"
PODS = "/api/v1/namespaces/ada/pods"
NVIDIA = "nvidia.com/gpu"
RUNTIMES = {
    "torch-distributed": ("torch", "CustomTrainer"),
    "deepspeed-distributed": ("deepspeed", "CustomTrainer"),
    "mlx-distributed": ("mlx", "CustomTrainer"),
    "torchtune-llama3.2-1b": ("torchtune", "BuiltinTrainer"),
    "torchtune-llama3.2-3b": ("torchtune", "BuiltinTrainer"),
    "torchtune-qwen2.5-1.5b": ("torchtune", "BuiltinTrainer"),
}
"""Name to framework and what may train with it."""


@pytest.fixture(scope="module", params=[FITTING, NEWEST])
def notebook(
    platform: Platform,
    ada: Requests,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Notebook]:
    """A notebook with a client for ada's profile, in which ada herself asks."""
    platform.have_nodes("default")
    cluster, sdk = platform.stage.cluster, (f"kubeflow=={request.param}", "kubernetes==35.0.0")
    made = Notebook(
        sdk, tmp_path_factory.mktemp("cells"), cluster.kubeconfig(cluster.token, "ada"), user=ada.user
    )
    made.run("""
        import kubeflow.trainer as trainer
        from kubeflow.common.types import KubernetesBackendConfig

        client = trainer.TrainerClient(KubernetesBackendConfig(namespace="ada"))

        def train(lr):
            print(f"accuracy={lr}")

        function = trainer.CustomTrainer(func=train, func_args={"lr": 0.1}, num_nodes=2, resources_per_node={"gpu": 1})
    """)
    yield made
    made.close()
    platform.admin.delete(EXPERIMENTS)
    platform.admin.delete(TRAIN_JOBS)
    until(lambda: not platform.admin.items(PODS), "the pods' end")


def pods_of(notebook: Notebook, name: str) -> list[dict[str, Any]]:
    selector = f"jobset.sigs.k8s.io/jobset-name={name}"
    return notebook.run(
        'client.backend.core_api.list_namespaced_pod("ada", label_selector=selector).items', selector=selector
    )


def test_the_sdk_finds_every_runtime(notebook: Notebook) -> None:
    found = {each["name"]: each for each in notebook.run("client.list_runtimes()")}
    kinds = {
        name: (each["trainer"]["framework"], each["trainer"]["trainer_type"]) for name, each in found.items()
    }
    assert kinds == RUNTIMES
    assert notebook.run("client.get_runtime(name)", name="mlx-distributed") == found["mlx-distributed"]


def test_a_function_runs_on_the_gpus_of_several_nodes(platform: Platform, notebook: Notebook) -> None:
    name, job = notebook.run("""
        name = client.train(runtime=client.get_runtime("torch-distributed"), trainer=function)
        [name, client.wait_for_job_status(name, polling_interval=1)]
    """)
    assert job["status"] == "Complete"
    assert [(each["name"], each["device"], each["device_count"]) for each in job["steps"]] == [
        ("node-0", "gpu", "1"),
        ("node-1", "gpu", "1"),
    ]
    for pod in pods_of(notebook, name):
        assert pod["spec"]["node_name"] == "gpu-0"
        assert NVIDIA in [each["key"] for each in pod["spec"]["tolerations"]]
        assert "train(**{'lr': 0.1})" in pod["spec"]["containers"][0]["command"][-1]
    assert notebook.run("[each.name for each in client.list_jobs()]") == [name]
    assert "AllJobsCompleted" in [each["reason"] for each in notebook.run("client.get_job_events(name)")]
    with pytest.raises(CellFailed, match=f"10250/containerLogs/ada/{name}-node-0-0-.*/node") as failed:
        notebook.run("list(client.get_job_logs(name))")  # no kubelet is behind a node
    assert "forbidden" not in str(failed.value)
    notebook.run("client.delete_job(name)")
    until(lambda: not platform.admin.items(TRAIN_JOBS))


def test_mpi_starts_a_function(notebook: Notebook) -> None:
    job = notebook.run("""
        name = client.train(runtime=client.get_runtime("deepspeed-distributed"), trainer=function)
        client.wait_for_job_status(name, polling_interval=1)
    """)
    assert (job["status"], job["num_nodes"]) == ("Complete", 2)
    assert {pod["spec"]["node_name"] for pod in pods_of(notebook, job["name"])} == {"gpu-0"}
    notebook.run("client.delete_job(name)")


def test_a_model_is_tuned_by_the_runtime_of_its_name(ada: Requests, notebook: Notebook) -> None:
    claim = {"metadata": {"name": "torchtune-llama3.2-1b"}}
    claim["spec"] = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "20Gi"}}}
    ada.create(CLAIMS, claim)
    try:
        job = notebook.run("""
            name = client.train(
                runtime=client.get_runtime("torchtune-llama3.2-1b"),
                initializer=trainer.Initializer(
                    dataset=trainer.HuggingFaceDatasetInitializer(storage_uri="hf://tatsu-lab/alpaca/data"),
                    model=trainer.HuggingFaceModelInitializer(storage_uri="hf://meta-llama/Llama-3.2-1B", access_token="x"),
                ),
                trainer=trainer.BuiltinTrainer(config=trainer.TorchTuneConfig(epochs=2, resources_per_node={"gpu": 2})),
            )
            client.wait_for_job_status(name, polling_interval=1)
        """)
        assert sorted(each["name"] for each in job["steps"]) == [
            "dataset-initializer",
            "model-initializer",
            "node-0",
        ]
        notebook.run("client.delete_job(name)")
    finally:
        ada.delete(f"{CLAIMS}/torchtune-llama3.2-1b")


def test_an_optimization_finds_the_best_parameters(notebook: Notebook) -> None:
    best, job = notebook.run("""
        from kubeflow.optimizer import Objective, OptimizerClient, Search, TrainJobTemplate, TrialConfig

        optimizer = OptimizerClient(KubernetesBackendConfig(namespace="ada"))
        name = optimizer.optimize(
            TrainJobTemplate(trainer=trainer.CustomTrainer(func=train, num_nodes=2, resources_per_node={"gpu": 1})),
            search_space={"lr": Search.loguniform(0.001, 0.1)},
            objectives=[Objective(metric="accuracy")],
            trial_config=TrialConfig(num_trials=2, parallel_trials=2),
        )
        job = optimizer.wait_for_job_status(name, polling_interval=1)
        [optimizer.get_best_results(name), job]
    """)
    assert job["status"] == "Complete"
    assert [each["name"] for each in notebook.run("optimizer.list_jobs()")] == [job["name"]]
    values = {each["parameters"]["lr"]: float(each["metrics"][0]["latest"]) for each in job["trials"]}
    assert len(values) == 2
    assert float(best["metrics"][0]["latest"]) == values[best["parameters"]["lr"]]
    for trial in job["trials"]:
        assert trial["trainjob"]["status"] == "Complete"
        assert {pod["spec"]["node_name"] for pod in pods_of(notebook, trial["name"])} == {"gpu-0"}
    notebook.run("optimizer.delete_job(name)")


def test_the_profile_of_another_user_is_closed(notebook: Notebook) -> None:
    with pytest.raises(CellFailed, match=r"trainjobs\.trainer\.kubeflow\.org is forbidden") as failed:
        notebook.run("""
            foreign = trainer.TrainerClient(KubernetesBackendConfig(namespace="bob"))
            foreign.train(runtime=client.get_runtime("torch-distributed"), trainer=function)
        """)
    assert failed.value.error == "RuntimeError"


def test_what_was_played_had_every_right_it_needed(platform: Platform) -> None:
    assert platform.stage.players is not None
    assert platform.stage.players.refusals() == []
