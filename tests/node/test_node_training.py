"""A training job that really runs: the training operator's own program gives each pod its rank."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from node.platforms import MODEL, SHELL, Platform, running
from partial_bundle import TUNING

from rehearsal.node.name import NAME
from rehearsal.patience import until

IMAGES = ("busybox", "alpine", "training-operator")
APPLICATIONS = [each for each in TUNING if each not in ("katib", "kfp-db")]
SCRIPT = """
echo rank $RANK of $WORLD_SIZE at $MASTER_ADDR:$MASTER_PORT
if [ $RANK = 0 ]; then echo done | nc -l -p $MASTER_PORT -w 60
else until nc -w 5 $MASTER_ADDR $MASTER_PORT < /dev/null | grep done; do sleep 1; done; fi
"""
"""The master waits for one of its workers, which finds it by name."""


def replicas(count: int) -> dict[str, Any]:
    container = {"name": "pytorch", "image": SHELL, "command": ["sh", "-c", SCRIPT]}
    return {
        "replicas": count,
        "restartPolicy": "OnFailure",
        "template": {"spec": {"containers": [container]}},
    }


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running(tmp_path_factory.mktemp("bundle"), APPLICATIONS, IMAGES) as platform:
        until(lambda: platform.kubectl("get", "serviceaccount", "-n", "ada", "-o", "name"), within=60)
        yield platform


def test_each_pod_has_its_rank_and_reaches_the_master_by_name(platform: Platform) -> None:
    job = {
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": {"name": "ranks", "namespace": "ada"},
        "spec": {"pytorchReplicaSpecs": {"Master": replicas(1), "Worker": replicas(1)}},
    }
    platform.run(job, within=180)
    pods = platform.get("pods", "-n", "ada", "-l", "training.kubeflow.org/job-name=ranks")["items"]
    assert {pod["spec"]["nodeName"] for pod in pods} == {NAME}
    said = {
        pod["metadata"]["name"]: platform.kubectl(
            "logs", "-n", "ada", pod["metadata"]["name"], "-c", "pytorch"
        )
        for pod in pods
    }
    assert said["ranks-master-0"].startswith("rank 0 of 2 at ")
    assert said["ranks-worker-0"].startswith("rank 1 of 2 at ranks-master-0:")
    assert said["ranks-worker-0"].rstrip().endswith("done")


def test_the_operator_asks_for_nothing_that_it_has_no_right_to(platform: Platform) -> None:
    said = platform.kubectl("logs", "-n", MODEL, "deploy/training-operator", "--tail=-1")
    assert said
    assert not [line for line in said.splitlines() if "forbidden" in line.lower()]
