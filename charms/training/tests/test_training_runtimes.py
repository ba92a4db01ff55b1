"""The runtimes as upstream has them, without a cluster."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from kubeflow_charm.images import Images

NAMES = [
    "torch-distributed",
    "deepspeed-distributed",
    "mlx-distributed",
    "torchtune-llama3.2-1b",
    "torchtune-llama3.2-3b",
    "torchtune-qwen2.5-1.5b",
]
FRAMEWORKS = ["torch", "deepspeed", "mlx", "torchtune", "torchtune", "torchtune"]


@pytest.fixture
def runtimes(training):
    """Return what makes the runtimes of some options, by name."""

    def made(options: dict[str, Any] | None = None, credentials: Any = None) -> dict[str, Any]:
        config = training.config(options)
        module = importlib.import_module("training_runtimes")
        references = {
            name: resource["upstream-source"] for name, resource in training._metadata["resources"].items()
        }
        found = module.runtimes("kubeflow-training", config, Images(references, credentials or {}))
        return {each["metadata"]["name"]: each for each in found}

    return made


def groups(runtime: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the groups of Jobs by name."""
    return {each["name"]: each for each in runtime["spec"]["template"]["spec"]["replicatedJobs"]}


def pod(group: dict[str, Any]) -> dict[str, Any]:
    """Return the spec of a group's pods."""
    return group["template"]["spec"]["template"]["spec"]


def test_there_are_upstreams_six_with_the_labels_that_clients_look_for(runtimes):
    made = runtimes()
    assert list(made) == NAMES
    labels = [each["metadata"]["labels"]["trainer.kubeflow.org/framework"] for each in made.values()]
    assert labels == FRAMEWORKS


@pytest.mark.parametrize(
    ("name", "images"),
    [
        ("torch-distributed", {"node": "pytorch/pytorch:2.7.1-cuda12.8-cudnn9-runtime"}),
        (
            "deepspeed-distributed",
            dict.fromkeys(("launcher", "node"), "ghcr.io/kubeflow/trainer/deepspeed-runtime:v2.1.0"),
        ),
        (
            "mlx-distributed",
            dict.fromkeys(("launcher", "node"), "ghcr.io/kubeflow/trainer/mlx-runtime:v2.1.0"),
        ),
        *(
            (
                name,
                {
                    "dataset-initializer": "ghcr.io/kubeflow/trainer/dataset-initializer:v2.1.0",
                    "model-initializer": "ghcr.io/kubeflow/trainer/model-initializer:v2.1.0",
                    "node": "ghcr.io/kubeflow/trainer/torchtune-trainer:v2.1.0",
                },
            )
            for name in NAMES[3:]
        ),
    ],
)
def test_each_runs_upstreams_images(runtimes, name, images):
    assert {
        group: pod(each)["containers"][0]["image"] for group, each in groups(runtimes()[name]).items()
    } == images


@pytest.mark.parametrize("name", NAMES)
def test_each_group_says_which_step_of_a_training_it_is(runtimes, name):
    """Only the nodes that a launcher reaches by SSH have no step (kubeflow/trainer v2.1.0, base/runtimes)."""
    steps = {
        group: each["template"]
        .get("metadata", {})
        .get("labels", {})
        .get("trainer.kubeflow.org/trainjob-ancestor-step")
        for group, each in groups(runtimes()[name]).items()
    }
    if "launcher" in steps:
        assert steps == {"launcher": "trainer", "node": None}
    else:
        assert steps.pop("node") == "trainer"
        assert all(group == step for group, step in steps.items())


def test_launchers_and_nodes_of_mpi_are_as_upstreams(runtimes):
    spec = runtimes()["mlx-distributed"]["spec"]
    assert spec["mlPolicy"] == {
        "numNodes": 1,
        "mpi": {
            "mpiImplementation": "OpenMPI",
            "numProcPerNode": 1,
            "runLauncherAsNode": True,
            "sshAuthMountPath": "/home/mpiuser/.ssh",
        },
    }
    template = spec["template"]["spec"]
    assert template["network"] == {"publishNotReadyAddresses": True}
    assert template["successPolicy"] == {"operator": "All", "targetReplicatedJobs": ["launcher"]}
    launcher, node = (pod(each)["containers"][0] for each in template["replicatedJobs"])
    assert launcher["name"] == node["name"] == "node"
    assert launcher["securityContext"] == node["securityContext"] == {"runAsUser": 1000}
    assert node["command"] == ["/usr/sbin/sshd"]
    assert node["readinessProbe"]["tcpSocket"] == {"port": 2222}


@pytest.mark.parametrize(
    ("name", "model", "recipe", "tokenizer"),
    [
        (
            "torchtune-llama3.2-1b",
            "hf://meta-llama/Llama-3.2-1B-Instruct",
            "llama3_2/1B_full",
            "original/tokenizer.model",
        ),
        (
            "torchtune-llama3.2-3b",
            "hf://meta-llama/Llama-3.2-3B-Instruct",
            "llama3_2/3B_full",
            "original/tokenizer.model",
        ),
        ("torchtune-qwen2.5-1.5b", "hf://Qwen/Qwen2.5-1.5B-Instruct", "qwen2_5/1.5B_full", "vocab.json"),
    ],
)
def test_torchtune_loads_first_and_then_tunes_on_two_gpus(runtimes, name, model, recipe, tokenizer):
    found = groups(runtimes()[name])
    node = found["node"]
    assert node["dependsOn"] == [
        {"name": "dataset-initializer", "status": "Complete"},
        {"name": "model-initializer", "status": "Complete"},
    ]
    (container,) = pod(node)["containers"]
    command = container["command"]
    assert command[command.index("--config") + 1] == recipe
    assert f"tokenizer.path=/workspace/model/{tokenizer}" in command
    assert command[-1] == "checkpointer.checkpoint_dir=/workspace/model"
    assert container["resources"] == {"limits": {"nvidia.com/gpu": 2}}
    assert pod(found["model-initializer"])["containers"][0]["env"] == [
        {"name": "STORAGE_URI", "value": model}
    ]
    claims = {pod(each)["volumes"][0]["persistentVolumeClaim"]["claimName"] for each in found.values()}
    assert claims == {name}


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"runtimes": "[]"}, []),
        ({"runtimes": "[mlx-distributed, torch-distributed]"}, ["torch-distributed", "mlx-distributed"]),
        ({"trainer": False}, []),
    ],
    ids=str,
)
def test_each_can_be_left_out(runtimes, options, names):
    assert list(runtimes(options)) == names


@pytest.mark.parametrize(
    ("options", "policy", "scheduler"),
    [
        ({"gang-scheduler": "volcano"}, {"volcano": {}}, "volcano"),
        ({"gang-scheduler": "scheduler-plugins"}, {"coscheduling": {}}, "scheduler-plugins-scheduler"),
    ],
    ids=str,
)
def test_a_gang_scheduler_gets_the_runtimes_whose_pods_start_at_once(runtimes, options, policy, scheduler):
    made = runtimes(options)
    for name in NAMES[:3]:
        assert made[name]["spec"]["podGroupPolicy"] == policy
        assert {pod(each)["schedulerName"] for each in groups(made[name]).values()} == {scheduler}
    for name in NAMES[3:]:
        assert made[name] == runtimes()[name]


def test_images_with_credentials_are_pulled_with_a_secret_of_the_profile(runtimes):
    made = runtimes(credentials={"ghcr.io/kubeflow/trainer/mlx-runtime": ("user", "password")})
    secret = [{"name": "kubeflow-training-image-pull"}]
    for name, runtime in made.items():
        asked = secret if name == "mlx-distributed" else None
        assert all(pod(each).get("imagePullSecrets") == asked for each in groups(runtime).values())
