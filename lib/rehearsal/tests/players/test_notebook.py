"""What becomes of a Notebook."""

from __future__ import annotations

import pytest
from player_bench import Bench, until

from rehearsal.players import kinds
from rehearsal.players.players import Players

PROGRAM = "notebook-controller"
ISTIO = {
    "USE_ISTIO": "true",
    "ISTIO_GATEWAY": "model/gateway",
    "ISTIO_HOST": "*",
    "CLUSTER_DOMAIN": "cluster.example",
}


def server(name: str = "book", **container) -> dict:
    return {"template": {"spec": {"containers": [{"name": name, "image": "jupyter:1", **container}]}}}


@pytest.fixture
def notebook(bench: Bench, players: Players) -> Bench:
    """A notebook `book` that is being made."""
    bench.deploy(ISTIO)
    bench.make(
        kinds.NOTEBOOK,
        "book",
        server(),
        labels={"access-ml-pipeline": "true"},
        annotations={"kept": "yes", "notebooks.kubeflow.org/x": "no", "kubectl.kubernetes.io/y": "no"},
    )
    return bench


def test_a_notebook_runs(notebook: Bench):
    def ready():
        found = notebook.get(kinds.NOTEBOOK, "book").get("status", {})
        return found if found.get("readyReplicas") == 1 and "running" in found["containerState"] else None

    status = until(ready, "a ready notebook")
    assert {each["type"] for each in status["conditions"]} >= {"Ready", "PodScheduled"}
    pod = notebook.get(kinds.POD, "book-0")
    assert pod["spec"]["nodeName"]
    assert pod["status"]["phase"] == "Running"
    assert (
        pod["metadata"]["labels"].items()
        >= {"statefulset": "book", "notebook-name": "book", "access-ml-pipeline": "true"}.items()
    )
    annotations = notebook.get(kinds.STATEFUL_SET, "book")["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {"kept": "yes"}
    assert pod["spec"]["securityContext"] == {"fsGroup": 100}
    container = pod["spec"]["containers"][0]
    assert container["workingDir"] == "/home/jovyan"
    assert container["ports"] == [{"containerPort": 8888, "name": "notebook-port", "protocol": "TCP"}]
    assert {"name": "NB_PREFIX", "value": f"/notebook/{notebook.namespace}/book"} in container["env"]
    notebook.assert_settled(
        kinds.NOTEBOOK, kinds.STATEFUL_SET, kinds.SERVICE, kinds.VIRTUAL_SERVICE, kinds.POD
    )
