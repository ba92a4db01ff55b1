"""The options about GPUs, and the defaults that pods of runs get by them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubeflow_charm.cluster.executor import Cluster
from rehearsal.cluster import nodes

NODE_FILES = Path(nodes.__file__).with_name("nodes")
NAMED = [{"limitsKey": "example.com/tpu", "uiName": "TPU"}]


@pytest.fixture
def defaults(pipelines: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what pods of runs get by default on the nodes of a file, with these options."""

    def rendered(file: str, **options: Any) -> dict[str, Any]:
        found = nodes.load(NODE_FILES / f"{file}.yaml")
        found[0]["status"]["capacity"]["example.com/tpu"] = "1"
        found[0]["spec"]["taints"] = [{"key": "tpus", "value": "only", "effect": "NoSchedule"}]
        monkeypatch.setattr(Cluster, "nodes", lambda _: found)
        given = {key.replace("_", "-"): value for key, value in options.items()}
        documents = pipelines.render({"object-store-keys": "shared"} | given)
        data = documents["ConfigMap/workflow-controller-configmap"]["data"]
        return yaml.safe_load(data.get("workflowDefaults", "{}")).get("spec", {})

    return rendered


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ({}, ["aws.amazon.com/neuron", "example.com/npu", "nvidia.com/gpu", "team"]),
        ({"gpu_taints": "devices"}, ["aws.amazon.com/neuron", "example.com/npu", "nvidia.com/gpu"]),
        ({"gpu_taints": "none"}, []),
        (
            {"gpu_vendors": json.dumps(NAMED)},
            ["aws.amazon.com/neuron", "example.com/npu", "nvidia.com/gpu", "team", "tpus"],
        ),
        (
            {"gpu_vendors": json.dumps(NAMED), "gpu_taints": "devices"},
            ["aws.amazon.com/neuron", "example.com/npu", "nvidia.com/gpu"],
        ),
    ],
)
def test_steps_tolerate_the_taints_that_the_options_say(defaults, options, keys):
    spec = defaults("teams", **options)
    assert [toleration["key"] for toleration in spec.get("tolerations", [])] == keys
    assert "nodeAffinity" in spec["affinity"]


def test_a_device_that_an_option_names_keeps_other_steps_off_its_nodes(defaults):
    (term,) = defaults("teams", gpu_vendors=json.dumps(NAMED))["affinity"]["nodeAffinity"][
        "preferredDuringSchedulingIgnoredDuringExecution"
    ]
    expressions = term["preference"]["matchExpressions"]
    assert "plain-0" in next(each for each in expressions if each["key"].endswith("hostname"))["values"]


def test_without_discovery_steps_get_nothing(defaults):
    assert defaults("teams", gpu_discovery=False, gpu_vendors=json.dumps(NAMED)) == {}


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        (
            "gpu-vendors",
            '[{"limitsKey": "gpu", "uiName": "G"}]',
            "[0].limitsKey: 'gpu' is not an extended reso",
        ),
        ("gpu-vendors", json.dumps(NAMED * 2), "example.com/tpu is there twice"),
        ("gpu-taints", "some", "'some' is not 'all', 'devices' or 'none'"),
    ],
)
def test_a_wrong_option_is_blocked_with_its_place(pipelines, option, value, reason):
    state, text = pipelines.status({option: value})
    assert state == "blocked"
    assert text.startswith(f"option {option}: {reason}")
