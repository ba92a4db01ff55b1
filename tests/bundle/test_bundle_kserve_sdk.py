"""KServe by its own SDK, as people use it in a notebook of a profile: in both modes, and what the SDK says.

Who asks is a user of a profile, and every field that the SDK sends must be known. What becomes of services is
played, as in `test_bundle_serving`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kubeflow_platform import Platform
from kubeflow_users import Requests
from sdk_notebook import CellFailed, Notebook, opened

from rehearsal.patience import until

SDK = ("kserve==0.16.0", "kubernetes==35.0.0")
SERVICES = "/apis/serving.kserve.io/v1beta1/namespaces/ada/inferenceservices"
GRAPHS = "/apis/serving.kserve.io/v1alpha1/namespaces/ada/inferencegraphs"
PODS = "/api/v1/namespaces/ada/pods"
MODES = ("Standard", "Knative")
BEGUN = """
    from kubernetes import client as k8s
    import kserve
    from kserve import constants
    client = kserve.KServeClient()

    def described(name, mode, uri="s3://mlpipeline/models/ada/iris", namespace="ada", **more):
        '''Return a service; its model's format is `format`, if that is told.'''
        model = kserve.V1beta1ModelSpec(
            model_format=kserve.V1beta1ModelFormat(name=more.pop("format", "sklearn")),
            storage_uri=uri,
            resources=k8s.V1ResourceRequirements(
                requests={"cpu": "1", "memory": "1Gi"},
                limits={"cpu": "1", "memory": "1Gi", **more.pop("limits", {})},
            ),
        )
        predictor = kserve.V1beta1PredictorSpec(
            service_account_name="kserve-s3", model=model, min_replicas=1, **more
        )
        return kserve.V1beta1InferenceService(
            api_version=constants.KSERVE_V1BETA1,
            kind="InferenceService",
            metadata=k8s.V1ObjectMeta(
                name=name, namespace=namespace, annotations={"serving.kserve.io/deploymentMode": mode}
            ),
            spec=kserve.V1beta1InferenceServiceSpec(predictor=predictor),
        )
"""


@pytest.fixture(scope="module")
def notebook(
    platform: Platform, ada: Requests, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Notebook]:
    """A notebook with a client, in which ada herself asks."""
    with opened(platform, ada, SDK, tmp_path_factory) as made:
        made.run(BEGUN)
        yield made


@pytest.fixture(scope="module", autouse=True)
def cleared(platform: Platform) -> Iterator[None]:
    """What serves models goes with the last test, and its pods with it."""
    yield
    for kinds in (GRAPHS, SERVICES):
        platform.admin.delete(kinds)
    until(lambda: not platform.admin.items(PODS), "the end of the models' pods", within=240)


@pytest.mark.parametrize("mode", MODES)
def test_a_service_is_made_waited_for_read_changed_and_deleted(
    platform: Platform, notebook: Notebook, mode: str
) -> None:
    name = f"first-{mode.lower()}"
    url = notebook.run(
        """
        client.create(described(name, mode))
        client.wait_isvc_ready(name, namespace="ada", polling_interval=1)
        client.get(name, namespace="ada")["status"]["url"]
        """,
        name=name,
        mode=mode,
    )
    assert (
        url
        == {
            "Standard": f"http://{name}-ada.example.com",
            "Knative": f"http://example.com/serving/ada/{name}",
        }[mode]
    )
    assert notebook.run("client.is_isvc_ready(name, namespace='ada')") is True
    changed = notebook.run("""
        client.patch(name, described(name, mode, uri="s3://mlpipeline/models/ada/iris-2"), namespace="ada")
        client.wait_isvc_ready(name, namespace="ada", polling_interval=1)
        client.get(name, namespace="ada")["spec"]["predictor"]["model"]["storageUri"]
    """)
    assert changed == "s3://mlpipeline/models/ada/iris-2"
    replaced = notebook.run("""
        def replace():
            # The SDK reads the version and writes with it: somebody may write in between, as in any cluster.
            for left in reversed(range(5)):
                try:
                    return client.replace(name, described(name, mode, max_replicas=2), namespace="ada")
                except RuntimeError as error:
                    if not left or "(409)" not in str(error):
                        raise

        replace()
        client.wait_isvc_ready(name, namespace="ada", polling_interval=1)
        client.get(name, namespace="ada")["spec"]["predictor"]["maxReplicas"]
    """)
    assert replaced == 2
    notebook.run("client.delete(name, namespace='ada')")
    until(lambda: platform.admin.find(f"{SERVICES}/{name}") is None, "the service's end")


def test_a_canary_gets_the_share_that_the_sdk_tells_it(platform: Platform, notebook: Notebook) -> None:
    notebook.run("""
        client.create(described("canary", "Knative"))
        client.wait_isvc_ready("canary", namespace="ada", polling_interval=1)
    """)

    def rolled_out() -> str:
        told = platform.admin.get(f"{SERVICES}/canary")["status"]["components"]["predictor"]
        return told.get("latestRolledoutRevision", "")

    first = until(rolled_out, "the first revision to have all traffic")
    notebook.run("""
        second = described(
            "canary", "Knative", uri="s3://mlpipeline/models/ada/iris-2", canary_traffic_percent=20
        )
        client.patch("canary", second, namespace="ada")
    """)

    def shares() -> dict[str, int]:
        told = platform.admin.get(f"{SERVICES}/canary")["status"]["components"]["predictor"]
        found = {each["revisionName"]: each["percent"] for each in told["traffic"]}
        return found if len(found) == 2 else {}

    assert sorted(until(shares, "two revisions with traffic").items()) == [
        (first, 80),
        (_other(shares(), first), 20),
    ]
    assert notebook.run('client.get("canary", namespace="ada", watch=True)') is None
    told = [line.split() for line in notebook.printed.splitlines() if line.startswith("canary ")]
    assert told[-1] == ["canary", "True", "80", "20", "http://example.com/serving/ada/canary"]


def _other(shares: dict[str, int], name: str) -> str:
    (found,) = shares.keys() - {name}
    return found


@pytest.mark.parametrize("mode", MODES)
def test_a_model_finds_gpus_without_a_toleration(notebook: Notebook, mode: str) -> None:
    pods = notebook.run(
        """
        limits = {"nvidia.com/gpu": "1"}
        client.create(described(name, mode, format="huggingface", uri="hf://Qwen/Qwen3-0.6B", limits=limits))
        client.wait_isvc_ready(name, namespace="ada", polling_interval=1)
        selector = f"serving.kserve.io/inferenceservice={name}"
        client.core_api.list_namespaced_pod("ada", label_selector=selector).items
        """,
        name=f"gpu-{mode.lower()}",
        mode=mode,
    )
    (pod,) = pods
    assert pod["spec"]["node_name"] == "gpu-0"
    assert "nvidia.com/gpu" in [each["key"] for each in pod["spec"]["tolerations"]]
    server = next(each for each in pod["spec"]["containers"] if each["name"] == "kserve-container")
    assert server["image"] == "kserve/huggingfaceserver:v0.16.0-gpu"


def test_a_graph_is_made_and_read(notebook: Notebook) -> None:
    ready = notebook.run("""
        client.create(described("step", "Knative"))
        step = kserve.V1alpha1InferenceStep(service_name="step")
        root = kserve.V1alpha1InferenceRouter(router_type="Sequence", steps=[step])
        graph = kserve.V1alpha1InferenceGraph(
            api_version=constants.KSERVE_V1ALPHA1,
            kind="InferenceGraph",
            metadata=k8s.V1ObjectMeta(name="graph", namespace="ada"),
            spec=kserve.V1alpha1InferenceGraphSpec(nodes={"root": root}),
        )
        client.create_inference_graph(graph)
        client.wait_ig_ready("graph", namespace="ada", polling_interval=1)
        client.get_inference_graph("graph", namespace="ada")["status"]["url"]
    """)
    assert ready == "http://graph.ada.example.com"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ('namespace="bob"', 'User "ada@example.com" cannot create resource "inferenceservices"'),
        ("min_replica=1", "unexpected keyword argument"),
        ("scale_metric='gpu'", "scaleMetric"),
        ("max_replicas=-1", "MaxReplicas"),
    ],
)
def test_the_sdk_tells_why_a_service_is_refused(
    platform: Platform, notebook: Notebook, changed: str, told: str
) -> None:
    with pytest.raises(CellFailed) as failed:
        notebook.run(f'client.create(described("refused", "Standard", {changed}))')
    assert told in str(failed.value).replace("\\", "")
    assert platform.admin.find(f"{SERVICES}/refused") is None


def test_what_was_played_had_every_right_it_needed(platform: Platform) -> None:
    assert platform.stage.players is not None
    assert platform.stage.players.refusals() == []
