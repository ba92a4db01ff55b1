import pytest

from rehearsal.cluster import nodes
from rehearsal.errors import RehearsalError


def test_the_default_is_two_cpu_nodes_and_a_tainted_one_with_eight_gpus():
    found = {node["metadata"]["name"]: node for node in nodes.load()}
    assert list(found) == ["cpu-0", "cpu-1", "gpu-0"]
    gpu = found["gpu-0"]
    assert gpu["status"]["allocatable"]["nvidia.com/gpu"] == "8"
    assert gpu["spec"]["taints"] == [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]
    assert gpu["metadata"]["labels"]["nvidia.com/gpu.product"] == "NVIDIA-H100-80GB-HBM3"
    assert not found["cpu-0"]["spec"]["taints"]


def test_nodes_of_a_group_are_numbered_and_have_addresses_of_their_own(tmp_path):
    file = tmp_path / "nodes.yaml"
    file.write_text("nodes: [{name: a, count: 300, allocatable: {cpu: 4, amd.com/gpu: 2}}, {name: b}]")
    found = nodes.load(file)
    assert [node["metadata"]["name"] for node in found[-2:]] == ["a-299", "b"]
    assert found[0]["status"]["capacity"] | {"cpu": "4", "amd.com/gpu": "2"} == found[0]["status"]["capacity"]
    assert len({node["status"]["addresses"][0]["address"] for node in found}) == 301


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nodes: [", "is not YAML"),
        ("", "is wrong at nodes: "),
        ("nodes: []", "is wrong at nodes: "),
        ("nodes: [{name: Upper}]", "is wrong at nodes.0.name: "),
        ("nodes: [{name: a, cpus: 3}]", "is wrong at nodes.0.cpus: "),
        ("nodes: [{name: a, allocatable: {cpu: lots}}]", "is wrong at nodes.0.allocatable.cpu: "),
        ("nodes: [{name: a, taints: [{key: k, effect: No}]}]", "is wrong at nodes.0.taints.0.effect: "),
        ("nodes: [{name: a, count: 2}, {name: a-1}]", "is wrong at nodes: several nodes are called a-1"),
        ("nodes: [{count: 0}]", "nodes.0.count: "),
    ],
)
def test_a_wrong_file_is_named_with_the_place(tmp_path, text, said):
    file = tmp_path / "nodes.yaml"
    file.write_text(text)
    with pytest.raises(RehearsalError) as caught:
        nodes.load(file)
    assert said in str(caught.value)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RehearsalError, match=r"none\.yaml cannot be read: No such file"):
        nodes.load(tmp_path / "none.yaml")
