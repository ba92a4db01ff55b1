"""Katib by its own SDK, as people use it in a notebook: what the documentation shows, and more.

Who asks is a user of a profile, and every field that the SDK sends must be known. Experiments are played to their
end, as in `test_bundle_tuning`; the programs of trials run here. In the place of the DB manager, to which its
Service leads, `katib_db_manager` answers the SDK: the one that is played has no port, and only hears of pods.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import documented
import katib_experiments as experiments
import pytest
import trial_programs
from kubeflow_platform import MODEL, POD_DEFAULTS, Platform
from kubeflow_users import Requests
from sdk_notebook import CellFailed, Notebook, opened

from kubeflow_charm.cluster.resources import Manifest
from rehearsal.patience import until

SDK = ("kubeflow-katib==0.19.0", "kubernetes==35.0.0")
PAGE = "how-to/tune.md"
DB_MANAGER = Path(__file__).parents[1] / "katib_db_manager.py"
EXPERIMENTS = "/apis/kubeflow.org/v1beta1/namespaces/ada/experiments"
PODS = "/api/v1/namespaces/ada/pods"
NVIDIA = "nvidia.com/gpu"
UNSAYABLE = {"custom-collector-config-map", "medianstop-prometheus"}
"""Examples that are no objects of the SDK here: one takes its template from a ConfigMap, which there is not; the
other leaves a port to Katib, which the SDK's class does not."""


@pytest.fixture(scope="module")
def notebook(
    platform: Platform, ada: Requests, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Notebook]:
    """A notebook with a client for ada's profile, in which ada herself asks."""
    with opened(platform, ada, SDK, tmp_path_factory) as made:
        made.run('import kubeflow.katib as katib\nclient = katib.KatibClient(namespace="ada")')
        yield made


@pytest.fixture(scope="module", autouse=True)
def cleared(platform: Platform) -> Iterator[None]:
    """Experiments go with the last test, and their pods with them."""
    yield
    platform.admin.delete(EXPERIMENTS)
    until(lambda: not platform.admin.items(PODS), "the pods' end")


@pytest.fixture(scope="module", autouse=True)
def begun(notebook: Notebook) -> None:
    """Two experiments run while other tests do: the page's with GPUs, and one that can be resumed."""
    notebook.run('def train(parameters):\n    print("accuracy=1")')
    notebook.run(documented.cell(PAGE, 'name="on-gpus"'))
    spec = {
        "objective": experiments.ACCURACY | {"goal": 2.0},
        "algorithm": experiments.algorithm("tpe"),
        "parameters": [experiments.RATE],
        "resumePolicy": "LongRunning",
        "parallelTrialCount": 1,
        "maxTrialCount": 1,
        "trialTemplate": experiments.template(experiments.job("train.py", "${trialParameters.lr}"), "lr"),
    }
    notebook.run(
        """
        made = {"apiVersion": "kubeflow.org/v1beta1", "kind": "Experiment", "metadata": {"name": "resumed"}}
        client.create_experiment(made | {"spec": spec})
        """,
        spec=spec,
    )


@pytest.fixture
def held(platform: Platform, ada: Requests) -> Iterator[None]:
    """The pods of Jobs that ada makes from now on run until somebody ends them."""
    until(lambda: platform.admin.get(f"{EXPERIMENTS}/resumed").get("status", {}).get("trialsSucceeded"))
    path = f"{POD_DEFAULTS}/namespaces/ada/poddefaults"
    selector = {"matchExpressions": [{"key": "batch.kubernetes.io/job-name", "operator": "Exists"}]}
    spec = {"desc": "held", "selector": selector, "annotations": {"rehearsal/exit": "never"}}
    default = {"apiVersion": "kubeflow.org/v1alpha1", "kind": "PodDefault", "metadata": {"name": "held"}}
    ada.create(path, default | {"spec": spec})
    yield
    ada.delete(f"{path}/held")


def in_the_profile(cell: str) -> str:
    """Return code of a page for ada's profile and the model that the tests have."""
    return cell.replace("my-profile", "ada").replace("katib-db-manager.kubeflow", f"katib-db-manager.{MODEL}")


def test_the_pages_function_is_tuned_by_the_account_of_a_notebook(platform: Platform, tmp_path: Path) -> None:
    cluster = platform.stage.cluster
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    path = "/api/v1/namespaces/ada/serviceaccounts/default-editor/token"
    token = platform.admin.create(path, request)["status"]["token"]
    notebook = Notebook(SDK, tmp_path, cluster.kubeconfig(token, "ada"))
    try:
        best = notebook.run(in_the_profile(documented.cell(PAGE, 'name="first"')))
        trials = notebook.run('client.get_success_trial_details("first")')
        suggestion = notebook.run('client.get_suggestion("first")')
        notebook.run('client.delete_experiment("first")')
    finally:
        notebook.close()
    until(lambda: platform.admin.find(f"{EXPERIMENTS}/first") is None)
    assert len(trials) == suggestion["status"]["suggestion_count"] == 6
    (chosen,) = [each for each in trials if each["name"] == best["best_trial_name"]]
    assert chosen["parameter_assignments"] == best["parameter_assignments"]
    assert latest(chosen["metrics"]) == max(latest(each["metrics"]) for each in trials)


def latest(metrics: list[dict[str, str]]) -> float:
    (metric,) = metrics
    assert metric["name"] == "accuracy"
    return float(metric["latest"])


@pytest.mark.usefixtures("held")
def test_what_the_pages_functions_report_decides_which_trial_is_best(
    platform: Platform, notebook: Notebook, tmp_path: Path
) -> None:
    notebook.run(in_the_profile(documented.cell(PAGE, 'name="reported"')))
    port = notebook.run(DB_MANAGER.read_text() + "db_port")
    pods = until(lambda: running(platform, "reported", 2))
    made = trial_programs.Services(platform.stage.cluster, {"katib-db-manager": port})
    with contextlib.closing(made) as services, concurrent.futures.ThreadPoolExecutor() as both:

        def train(pod: Manifest) -> str:
            folder = tmp_path / pod["metadata"]["name"]
            folder.mkdir()
            return trial_programs.run(pod, "training-container", (*SDK, "pip"), folder, services.address)

        assert [*both.map(train, pods)] == ["", ""]
    assert {*services.reached} == {f"katib-db-manager.{MODEL}:6789"}
    reported = notebook.run("db_manager.reported")
    for pod in pods:
        ((_, name, value),) = reported[pod["metadata"]["labels"]["katib.kubeflow.org/trial"]]
        annotations = {"rehearsal/exit": None, "rehearsal/metrics": f"{name}={value}"}
        platform.admin.patch(f"{PODS}/{pod['metadata']['name']}", {"metadata": {"annotations": annotations}})
    best = notebook.run("""
        client.wait_for_experiment_condition("reported", polling_interval=1)
        client.get_optimal_hyperparameters("reported")
    """)
    ((name, rate),) = [(each["name"], float(each["value"])) for each in best["parameter_assignments"]]
    assert name == "lr"
    assert latest(best["observation"]["metrics"]) == 1 - abs(rate - 0.03)
    assert latest(best["observation"]["metrics"]) == max(float(logs[0][2]) for logs in reported.values())
    seen = notebook.run(
        """
        logs = client.get_trial_metrics(best, db_manager_address=f"127.0.0.1:{db_port}")
        [each.metric.value for each in logs]
        """,
        best=best["best_trial_name"],
    )
    assert seen == [best["observation"]["metrics"][0]["latest"]]


def running(platform: Platform, experiment: str, count: int) -> list[Manifest]:
    """Return the pods of an experiment's trials if so many run."""
    label = f"katib.kubeflow.org/experiment={experiment},katib.kubeflow.org/trial"
    pods = platform.admin.items(f"{PODS}?labelSelector={label}")
    return pods if [each["status"]["phase"] for each in pods] == ["Running"] * count else []


def test_what_the_pages_function_prints_is_what_the_collector_looks_for(
    platform: Platform, notebook: Notebook, tmp_path: Path
) -> None:
    """The filter is in kubeflow/katib v0.19.0, pkg/metricscollector/v1beta1/common/const.go."""
    notebook.run(in_the_profile(documented.cell(PAGE, 'name="first"')).partition("client.wait")[0])
    (trial, *_) = until(lambda: notebook.run('client.list_trials("first")'))
    template = trial["spec"]["run_spec"]["spec"]["template"]
    pod = {"metadata": {"namespace": "ada"}, "spec": template["spec"]}
    printed = trial_programs.run(pod, "training-container", SDK, tmp_path)
    ((name, value),) = re.findall(r"([\w|-]+)\s*=\s*([+-]?\d*(?:\.\d+)?(?:[Ee][+-]?\d+)?)", printed)
    ((_, rate),) = [each.values() for each in trial["spec"]["parameter_assignments"]]
    assert (name, float(value)) == ("accuracy", 1 - abs(float(rate) - 0.03))


def test_the_pages_function_finds_gpus_without_a_toleration(notebook: Notebook) -> None:
    pods = notebook.run("""
        client.wait_for_experiment_condition("on-gpus", polling_interval=1)
        selector = "katib.kubeflow.org/experiment=on-gpus,katib.kubeflow.org/trial"
        client.core_api.list_namespaced_pod("ada", label_selector=selector).items
    """)
    roles = [each["metadata"]["labels"]["training.kubeflow.org/replica-type"] for each in pods]
    assert sorted(roles) == ["master", "worker"]
    for pod in pods:
        assert pod["spec"]["node_name"] == "gpu-0"
        assert "torchrun" in str(pod["spec"]["containers"][0]["args"])
        assert NVIDIA in [each["key"] for each in pod["spec"]["tolerations"]]


def test_an_experiment_goes_on_when_its_budget_is_raised(notebook: Notebook) -> None:
    counted = notebook.run("""
        first = client.wait_for_experiment_condition("resumed", polling_interval=0.5)
        client.edit_experiment_budget("resumed", max_trial_count=2)
        client.wait_for_experiment_condition("resumed", "ada", "Restarting", polling_interval=0.2)
        then = client.wait_for_experiment_condition("resumed", polling_interval=0.5)
        [each.status.trials_succeeded for each in (first, then)]
    """)
    assert counted == [1, 2]


@pytest.mark.parametrize("name", sorted(experiments.EXPERIMENTS.keys() - UNSAYABLE))
def test_an_object_of_the_sdk_is_an_experiment(platform: Platform, notebook: Notebook, name: str) -> None:
    kept = notebook.run(
        """
        from kubeflow.katib.utils.utils import FakeResponse
        metadata = {"name": "object", "namespace": "ada"}
        document = {"apiVersion": "kubeflow.org/v1beta1", "kind": "Experiment", "metadata": metadata, "spec": spec}
        made = client.api_client.deserialize(FakeResponse(document), katib.V1beta1Experiment)
        client.custom_api.api_client.query.append(("dryRun", "All"))
        try:
            client.create_experiment(made)
        finally:
            client.custom_api.api_client.query.pop()
        client.custom_api.api_client.sanitize_for_serialization(made)["spec"]
        """,
        spec=experiments.EXPERIMENTS[name],
    )
    assert kept == experiments.EXPERIMENTS[name]
    assert platform.admin.find(f"{EXPERIMENTS}/object") is None


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ('namespace="bob"', '"ada@example.com" cannot create resource "experiments"'),
        ('algorithm_name="magic"', "unable to get Suggestion config data for algorithm magic"),
        ("max_trial_count=1, parallel_trial_count=2", "parallelTrialCount"),
    ],
)
def test_the_sdk_tells_why_an_experiment_is_refused(notebook: Notebook, changed: str, told: str) -> None:
    with pytest.raises(CellFailed) as failed:
        notebook.run(f"""
            def train(parameters):
                print("accuracy=1")
            client.tune(name="refused", objective=train, parameters={{"lr": katib.search.int(min=1, max=2)}},
                        objective_metric_name="accuracy", {changed})
        """)
    assert failed.value.error == "RuntimeError"
    assert told in str(failed.value).replace("\\", "")


def test_what_was_played_had_every_right_it_needed(platform: Platform) -> None:
    assert platform.stage.players is not None
    assert platform.stage.players.refusals() == []
