"""Trainer and Katib by Kubeflow's common SDK, as a user of a profile: what the documentation shows, and more.

Two versions of it: the last one that knows Trainer 2.1 by its requirements, and the one that pip installs if
nobody says which. Every field that the SDK sends must be known. Jobs are played to their end, as in
`test_bundle_tuning`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import documented
import pytest
import tenacity
from kubeflow_platform import Platform
from kubeflow_users import Requests
from sdk_notebook import CellFailed, Notebook, opened

from rehearsal.patience import until

PAGE = "how-to/train-models.md"
FITTING, NEWEST = "0.3.1", "0.5.0"
TRAIN_JOBS = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/ada/trainjobs"
EXPERIMENTS = "/apis/kubeflow.org/v1beta1/namespaces/ada/experiments"
CLAIMS = "/api/v1/namespaces/ada/persistentvolumeclaims"
PODS = "/api/v1/namespaces/ada/pods"
NVIDIA, PRODUCT = "nvidia.com/gpu", "nvidia.com/gpu.product"
RUNTIMES = {
    "torch-distributed": ("torch", "CustomTrainer"),
    "deepspeed-distributed": ("deepspeed", "CustomTrainer"),
    "mlx-distributed": ("mlx", "CustomTrainer"),
    "torchtune-llama3.2-1b": ("torchtune", "BuiltinTrainer"),
    "torchtune-llama3.2-3b": ("torchtune", "BuiltinTrainer"),
    "torchtune-qwen2.5-1.5b": ("torchtune", "BuiltinTrainer"),
}
"""Name to framework and what may train with it."""


def _notebook(
    platform: Platform, ada: Requests, version: str, paths: pytest.TempPathFactory
) -> Iterator[Notebook]:
    sdk = (f"kubeflow=={version}", "kubernetes==35.0.0")
    with opened(platform, ada, sdk, paths) as made:
        made.run("""
            import kubeflow.trainer as trainer
            from kubeflow.common.types import KubernetesBackendConfig

            client = trainer.TrainerClient()

            def train(lr):
                print(f"training with {lr}")

            wants = {"num_nodes": 2, "resources_per_node": {"gpu": 1}}
            function = trainer.CustomTrainer(func=train, func_args={"lr": 0.1}, **wants)
        """)
        yield made


@pytest.fixture(scope="module")
def fitting(
    platform: Platform, ada: Requests, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Notebook]:
    """A notebook with the SDK that fits, in whose kubeconfig is ada's profile, and in which ada herself asks."""
    yield from _notebook(platform, ada, FITTING, tmp_path_factory)


@pytest.fixture(scope="module")
def newest(platform: Platform, ada: Requests, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    """One with the newest SDK."""
    yield from _notebook(platform, ada, NEWEST, tmp_path_factory)


@pytest.fixture(params=["fitting", "newest"])
def notebook(request: pytest.FixtureRequest) -> Notebook:
    """Both of them."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module", autouse=True)
def cleared(platform: Platform) -> Iterator[None]:
    """What is left goes with the last test."""
    yield
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


def test_the_pages_function_runs_on_the_gpus_of_several_nodes(platform: Platform, notebook: Notebook) -> None:
    notebook.run(documented.cell(PAGE, "client = TrainerClient()"))
    name, job = notebook.run("[name, client.get_job(name)]")
    assert job["status"] == "Complete"
    assert [(each["name"], each["device"], each["device_count"]) for each in job["steps"]] == [
        ("node-0", "gpu", "1"),
        ("node-1", "gpu", "1"),
    ]
    pods = pods_of(notebook, name)
    assert len(pods) == 2
    for pod in pods:
        assert pod["spec"]["node_name"] == "gpu-0"
        assert NVIDIA in [each["key"] for each in pod["spec"]["tolerations"]]
        assert "train(**{'lr': 0.1})" in pod["spec"]["containers"][0]["command"][-1]
    assert name in notebook.run("[each.name for each in client.list_jobs()]")
    assert "AllJobsCompleted" in [each["reason"] for each in notebook.run("client.get_job_events(name)")]
    with pytest.raises(CellFailed, match=f"10250/containerLogs/ada/{name}-node-0-0-.*/node") as failed:
        notebook.run("list(client.get_job_logs(name))")  # no kubelet is behind a node
    assert "forbidden" not in str(failed.value)
    notebook.run("client.delete_job(name)")
    until(lambda: platform.admin.find(f"{TRAIN_JOBS}/{name}") is None)


@pytest.fixture(scope="module")
def begun(ada: Requests, fitting: Notebook) -> Iterator[None]:
    """Three jobs have been made: `by_mpi`, `placed` on a model of GPUs, and `tuned` of the volume claim that it needs."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "20Gi"}}}
    ada.create(CLAIMS, {"metadata": {"name": "torchtune-llama3.2-1b"}, "spec": spec})
    placed = documented.cell(PAGE, "import PodSpecOverride").replace("client.train", "placed = client.train")
    fitting.run("from kubeflow.trainer import CustomTrainer\n" + placed)
    fitting.run("""
        by_mpi = client.train(runtime=client.get_runtime("deepspeed-distributed"), trainer=function)
        tuned = client.train(
            runtime=client.get_runtime("torchtune-llama3.2-1b"),
            initializer=trainer.Initializer(
                dataset=trainer.HuggingFaceDatasetInitializer(storage_uri="hf://tatsu-lab/alpaca/data"),
                model=trainer.HuggingFaceModelInitializer(storage_uri="hf://meta-llama/Llama-3.2-1B", access_token="x"),
            ),
            trainer=trainer.BuiltinTrainer(config=trainer.TorchTuneConfig(epochs=2, resources_per_node={"gpu": 2})),
        )
    """)
    yield
    ada.delete(f"{CLAIMS}/torchtune-llama3.2-1b")


@pytest.mark.usefixtures("begun")
def test_mpi_starts_a_function(fitting: Notebook) -> None:
    job = fitting.run("client.wait_for_job_status(by_mpi, polling_interval=1)")
    assert (job["status"], job["num_nodes"]) == ("Complete", 2)
    assert {pod["spec"]["node_name"] for pod in pods_of(fitting, job["name"])} == {"gpu-0"}


@pytest.mark.usefixtures("begun")
def test_the_page_chooses_a_model_of_gpus(ada: Requests, fitting: Notebook) -> None:
    name = fitting.run("client.wait_for_job_status(placed, polling_interval=1)")["name"]
    selector = {PRODUCT: "NVIDIA-H100-80GB-HBM3"}
    (override,) = ada.get(f"{TRAIN_JOBS}/{name}")["spec"]["podTemplateOverrides"]
    assert override["spec"] == {"nodeSelector": selector}
    (pod,) = pods_of(fitting, name)
    assert pod["spec"]["node_selector"] == selector


@pytest.mark.usefixtures("begun")
def test_a_model_is_tuned_by_the_runtime_of_its_name(fitting: Notebook) -> None:
    job = fitting.run("client.wait_for_job_status(tuned, polling_interval=1)")
    steps = [each["name"] for each in job["steps"]]
    assert sorted(steps) == ["dataset-initializer", "model-initializer", "node-0"]


@pytest.mark.parametrize(
    ("option", "unknown"),
    [
        ("ActiveDeadlineSeconds(3600)", "activeDeadlineSeconds"),
        (
            "RuntimePatch(TrainingRuntimeSpecPatch(JobSetTemplatePatch({'labels': {'a': 'b'}})))",
            "runtimePatches",
        ),
    ],
)
def test_the_options_that_the_page_warns_of_are_unknown_here(
    newest: Notebook, option: str, unknown: str
) -> None:
    cell = f"""
        from kubeflow.trainer.options.kubernetes import *
        client.train(runtime=client.get_runtime("torch-distributed"), trainer=function, options=[{option}])
    """
    with pytest.raises(CellFailed) as failed:
        newest.run(cell)
    assert f'unknown field \\"spec.{unknown}\\"' in str(failed.value).replace("\\\\", "\\")


def test_the_pages_optimization_finds_the_best_parameters(platform: Platform, fitting: Notebook) -> None:
    fitting.run(documented.cell("how-to/tune.md", "optimizer = OptimizerClient()"))
    best = _again_between_trial_and_job(fitting, documented.cell("how-to/tune.md", "optimizer.wait_for_job"))
    job = fitting.run("optimizer.get_job(name)")
    assert job["status"] == "Complete"
    assert [each["name"] for each in fitting.run("optimizer.list_jobs()")] == [job["name"]]
    values = {each["parameters"]["lr"]: float(each["metrics"][0]["latest"]) for each in job["trials"]}
    assert len(values) == 2
    assert float(best["metrics"][0]["latest"]) == values[best["parameters"]["lr"]] == max(values.values())
    for trial in job["trials"]:
        assert trial["trainjob"]["status"] == "Complete"
        assert {pod["spec"]["node_name"] for pod in pods_of(fitting, trial["name"])} == {"gpu-0"}
    fitting.run("optimizer.delete_job(name)")
    until(lambda: platform.admin.find(f"{EXPERIMENTS}/{job['name']}") is None)


def _is_between_trial_and_job(error: BaseException) -> bool:
    """Tell whether the SDK has found a trial whose TrainJob is not there yet."""
    return isinstance(error, CellFailed) and "Failed to list Trials" in str(error) and "(404)" in str(error)


@tenacity.retry(
    retry=tenacity.retry_if_exception(_is_between_trial_and_job),
    stop=tenacity.stop_after_attempt(5),
    reraise=True,
)
def _again_between_trial_and_job(notebook: Notebook, cell: str) -> Any:
    """Run a cell, and again as the page says."""
    return notebook.run(cell)


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
