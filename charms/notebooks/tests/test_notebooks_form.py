"""The form for a new notebook: what options and nodes make of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

SERVERS = "ghcr.io/kubeflow/kubeflow/notebook-servers"
GPU_TOLERATION = {"key": "nvidia.com/gpu", "operator": "Equal", "value": "present", "effect": "NoSchedule"}


def test_without_gpus_it_is_upstreams_form(notebooks, on_nodes):
    """Every key and default of kubeflow/manifests 26.03, spawner_ui_config.yaml, but for the GPU vendors."""
    on_nodes("no-gpu")
    form = notebooks.form()
    images = {key: form.pop(key) for key in ("image", "imageGroupOne", "imageGroupTwo")}
    assert {key: (image["value"], len(image["options"])) for key, image in images.items()} == {
        "image": (f"{SERVERS}/jupyter-scipy:v1.10.0", 6),
        "imageGroupOne": (f"{SERVERS}/codeserver-python:v1.10.0", 1),
        "imageGroupTwo": (f"{SERVERS}/rstudio-tidyverse:v1.10.0", 1),
    }
    claim = {
        "metadata": {"name": "{notebook-name}-workspace"},
        "spec": {"resources": {"requests": {"storage": "5Gi"}}, "accessModes": ["ReadWriteOnce"]},
    }
    assert form == {
        "allowCustomImage": True,
        "hideRegistry": True,
        "hideTag": False,
        "imagePullPolicy": {"readOnly": False, "value": "IfNotPresent"},
        "cpu": {"readOnly": False, "value": "0.5", "limitFactor": "1.2"},
        "memory": {"readOnly": False, "value": "1.0Gi", "limitFactor": "1.2"},
        "gpus": {"readOnly": False, "value": {"vendor": "", "vendors": [], "num": "none"}},
        "workspaceVolume": {"readOnly": False, "value": {"mount": "/home/jovyan", "newPvc": claim}},
        "dataVolumes": {"readOnly": False, "value": []},
        "affinityConfig": {"readOnly": False, "value": "", "options": []},
        "tolerationGroup": {"readOnly": False, "value": "", "options": []},
        "shm": {"readOnly": False, "value": True},
        "configurations": {"readOnly": False, "value": []},
        "environment": {"readOnly": False, "value": {}},
    }


VOLUME = {"mount": "/data", "existingSource": {"persistentVolumeClaim": {"claimName": "shared"}}}


@pytest.mark.parametrize(
    ("config", "path", "value"),
    [
        ({"jupyter-images": "[a:1, b/c:2]"}, "image", {"value": "a:1", "options": ["a:1", "b/c:2"]}),
        ({"vscode-images": '["a:1"]'}, "imageGroupOne", {"value": "a:1", "options": ["a:1"]}),
        ({"rstudio-images": "- a:1"}, "imageGroupTwo", {"value": "a:1", "options": ["a:1"]}),
        ({"image-registry": "r.example.com/x", "rstudio-images": "[ghcr.io/a/b:1]"}, "imageGroupTwo.value",
         "r.example.com/x/a/b:1"),
        ({"allow-custom-image": False}, "allowCustomImage", False),
        ({"hide-registry": False}, "hideRegistry", False),
        ({"hide-tag": True}, "hideTag", True),
        ({"image-pull-policy": "Always"}, "imagePullPolicy.value", "Always"),
        ({"cpu-default": "2"}, "cpu.value", "2"),
        ({"cpu-limit-factor": "none"}, "cpu.limitFactor", "none"),
        ({"memory-default": "4Gi"}, "memory.value", "4Gi"),
        ({"memory-limit-factor": "1.5"}, "memory.limitFactor", "1.5"),
        ({"gpu-number-default": 2}, "gpus.value.num", "2"),
        ({"gpu-vendors": '[{"limitsKey": "example.com/npu", "uiName": "NPU"}]'}, "gpus.value.vendors",
         [{"limitsKey": "example.com/npu", "uiName": "NPU"}]),
        ({"gpu-vendors-default": "nvidia.com/gpu"}, "gpus.value.vendor", "nvidia.com/gpu"),
        ({"workspace-volume": False}, "workspaceVolume.value", None),
        ({"workspace-volume-size": "20Gi"}, "workspaceVolume.value.newPvc.spec.resources.requests.storage",
         "20Gi"),
        ({"workspace-volume-mount": "/home/me"}, "workspaceVolume.value.mount", "/home/me"),
        ({"workspace-volume-access-mode": "ReadWriteMany"},
         "workspaceVolume.value.newPvc.spec.accessModes", ["ReadWriteMany"]),
        ({"workspace-volume-storage-class": "fast"},
         "workspaceVolume.value.newPvc.spec.storageClassName", "fast"),
        ({"data-volumes": json.dumps([VOLUME])}, "dataVolumes.value", [VOLUME]),
        ({"shared-memory": False}, "shm.value", False),
        ({"default-poddefaults": "[access-ml-pipeline]"}, "configurations.value", ["access-ml-pipeline"]),
        ({"read-only-fields": "[cpu, gpus]"}, "cpu.readOnly", True),
        ({"read-only-fields": "[cpu, gpus]"}, "memory.readOnly", False),
    ],
)  # fmt: skip
def test_an_option_is_a_key_of_the_form(notebooks, on_nodes, config, path, value):
    on_nodes("no-gpu")
    found: Any = notebooks.form(config)
    for step in path.split("."):
        found = found[step]
    assert found == value


def test_gpus_are_offered_with_their_tolerations_and_places(notebooks, on_nodes):
    on_nodes("default")
    form = notebooks.form()
    assert form["gpus"]["value"] == {
        "vendor": "nvidia.com/gpu",
        "vendors": [{"limitsKey": "nvidia.com/gpu", "uiName": "NVIDIA"}],
        "num": "none",
    }
    pool, name = "nvidia-h100-80gb-hbm3", "NVIDIA H100 80GB HBM3"
    assert form["tolerationGroup"]["value"] == "gpu-nodes"
    assert form["tolerationGroup"]["options"] == [
        {"groupKey": "gpu-nodes", "displayName": "Nodes with GPUs", "tolerations": [GPU_TOLERATION]},
        {"groupKey": pool, "displayName": name, "tolerations": [GPU_TOLERATION]},
    ]
    assert form["affinityConfig"]["value"] == "prefer-cpu-nodes"
    keys = [(option["configKey"], option["displayName"]) for option in form["affinityConfig"]["options"]]
    assert keys == [("prefer-cpu-nodes", "Nodes without GPU, if they have room"), (pool, name)]


@pytest.mark.parametrize(
    ("config", "affinity", "tolerations", "vendor"),
    [
        ({}, "prefer-cpu-nodes", "gpu-nodes", "nvidia.com/gpu"),
        ({"prefer-cpu-nodes": False}, "", "gpu-nodes", "nvidia.com/gpu"),
        ({"affinity-options-default": "nvidia-l4"}, "nvidia-l4", "gpu-nodes", "nvidia.com/gpu"),
        ({"affinity-options-default": "none"}, "", "gpu-nodes", "nvidia.com/gpu"),
        ({"tolerations-options-default": "none"}, "prefer-cpu-nodes", "", "nvidia.com/gpu"),
        ({"tolerations-options-default": "nvidia-l4"}, "prefer-cpu-nodes", "nvidia-l4", "nvidia.com/gpu"),
        ({"gpu-vendors-default": "habana.ai/gaudi"}, "prefer-cpu-nodes", "gpu-nodes", "habana.ai/gaudi"),
        ({"gpu-vendors-default": "none"}, "prefer-cpu-nodes", "gpu-nodes", ""),
        ({"gpu-discovery": False}, "", "", ""),
        ({"gpu-taints": "devices"}, "prefer-cpu-nodes", "gpu-nodes", "nvidia.com/gpu"),
        ({"gpu-taints": "none"}, "prefer-cpu-nodes", "", "nvidia.com/gpu"),
    ],
)
def test_what_is_chosen_at_first(notebooks, on_nodes, config, affinity, tolerations, vendor):
    on_nodes("mixed-200")
    form = notebooks.form(config)
    chosen = (
        form["affinityConfig"]["value"],
        form["tolerationGroup"]["value"],
        form["gpus"]["value"]["vendor"],
    )
    assert chosen == (affinity, tolerations, vendor)


@pytest.mark.parametrize(
    ("choice", "keys"),
    [
        ("all", ["aws.amazon.com/neuron", "example.com/npu", "nvidia.com/gpu", "team"]),
        ("devices", ["aws.amazon.com/neuron", "example.com/npu", "nvidia.com/gpu"]),
        ("none", None),
    ],
)
def test_an_option_chooses_the_taints_that_a_new_notebook_tolerates(notebooks, on_nodes, choice, keys):
    on_nodes("teams")
    form = notebooks.form({"gpu-taints": choice})
    groups = {group["groupKey"]: group["tolerations"] for group in form["tolerationGroup"]["options"]}
    chosen = groups.get(form["tolerationGroup"]["value"])
    assert (chosen and [each["key"] for each in chosen]) == keys
    assert [each["key"] for each in groups["nvidia-l4"]] == ["team"]


def test_options_add_to_what_is_found_and_take_the_place_of_the_same_key(notebooks, on_nodes):
    on_nodes("default")
    nodes = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "team", "operator": "Exists"}]}]}}}  # fmt: skip
    config = {
        "gpu-vendors": json.dumps(
            [{"limitsKey": "nvidia.com/gpu", "uiName": "H100"}, {"limitsKey": "x.com/y", "uiName": "Y"}]
        ),
        "affinity-options": json.dumps(
            [{"configKey": "prefer-cpu-nodes", "displayName": "Mine", "affinity": nodes}]
        ),
        "tolerations-options": json.dumps(
            [{"groupKey": "team", "displayName": "Team", "tolerations": [{"key": "team", "value": "a"}]}]
        ),
        "tolerations-options-default": "team",
    }
    form = notebooks.form(config)
    assert [each["uiName"] for each in form["gpus"]["value"]["vendors"]] == ["H100", "Y"]
    first = form["affinityConfig"]["options"][0]
    assert (first["displayName"], first["affinity"]) == ("Mine", nodes)
    assert form["tolerationGroup"]["value"] == "team"
    assert form["tolerationGroup"]["options"][-1]["tolerations"] == [{"key": "team", "value": "a"}]


def test_what_an_option_names_a_gpu_is_one_with_a_pool(notebooks, on_nodes):
    there = on_nodes("no-gpu")
    there[0]["status"]["allocatable"]["example.com/npu"] = "4"
    vendors = json.dumps([{"limitsKey": "example.com/npu", "uiName": "NPU"}])
    state = notebooks.form({"gpu-vendors": vendors})
    assert [option["displayName"] for option in state["affinityConfig"]["options"]] == [
        "Nodes without GPU, if they have room",
        "example.com/npu",
    ]


def affinity(said: Any) -> str:
    return json.dumps([{"configKey": "a", "displayName": "A", "affinity": said}])


def on_product(value: str) -> dict[str, Any]:
    expression = {"key": "nvidia.com/gpu.product", "operator": "In", "values": [value]}  # codespell:ignore
    terms = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


def tolerations(*said: Any) -> str:
    return json.dumps([{"groupKey": "a", "displayName": "A", "tolerations": said}])


WRONG = [
    ("jupyter-images", "[not an image]", "[0]: 'not an image' is no image reference"),
    ("jupyter-images", "[a:1, 'UPPER:1']", "[1]: 'UPPER:1' is no image reference"),
    ("jupyter-images", "a:1", "should be a list, not 'a:1'"),
    ("vscode-images", "[]", "needs an entry"),
    ("rstudio-images", "[a: 1", "not YAML: "),
    ("image-pull-policy", "Sometimes", "'Sometimes' is not 'Always', 'IfNotPresent' or 'Never'"),
    ("cpu-default", "much", "'much' does not match"),
    ("cpu-default", "-1", "'-1' does not match"),
    ("memory-default", "512Mi", "'512Mi' does not match"),
    ("gpu-number-default", -1, "-1 is not 0, 1, 2, 4 or 8"),
    ("gpu-number-default", 3, "3 is not 0, 1, 2, 4 or 8"),
    ("gpu-vendors", '[{"limitsKey": "gpu", "uiName": "G"}]', "[0].limitsKey: 'gpu' is not an extended reso"),
    ("gpu-vendors", '[{"limitKey": "a.com/b", "uiName": "G"}]', "[0].limitsKey: is missing"),
    ("gpu-vendors", '[{"limitsKey": "a.b/c", "uiName": "G", "x": 1}]', "[0].x: no such field"),
    ("gpu-vendors-default", "example.com/npu", "'example.com/npu' is not offered: nvidia.com/gpu"),
    ("affinity-options", affinity({"nodeAfinity": {}}), "[0].affinity.nodeAfinity: no such field"),
    ("affinity-options", affinity([]), "[0].affinity: should be an object, not a list"),
    ("affinity-options", affinity({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{}]}}),
     "[0].affinity.podAffinity.requiredDuringSchedulingIgnored"),
    ("gpu-taints", "some", "'some' is not 'all', 'devices' or 'none'"),
    ("affinity-options-default", "nowhere", "'nowhere' is not offered: prefer-cpu-nodes, nvidia-h100"),
    ("tolerations-options", tolerations({"value": "b"}), "[0].tolerations[0]: without a key, the operator h"),
    ("tolerations-options", tolerations({"key": "a b"}), "[0].tolerations[0].key: 'a b' is not a label's"),
    ("tolerations-options-default", "x", "'x' is not offered: gpu-nodes, nvidia-h100-80gb-hbm3"),
    ("workspace-volume-size", "big", "'big' does not match"),
    ("workspace-volume-mount", "home", "'home' does not match"),
    ("workspace-volume-access-mode", "ReadWrite", "'ReadWrite' is not 'ReadWriteOnce', 'ReadOnlyMany', 'ReadWri"),
    ("workspace-volume-storage-class", "Not One", "'Not One' is not a DNS name"),
    ("data-volumes", '[{"mount": "/a"}]', "[0]: has either newPvc or existingSource"),
    ("default-poddefaults", "[A B]", "[0]: 'A B' is not a DNS name"),
    ("read-only-fields", "[image]", "[0]: 'image' is not 'imagePullPolicy', 'cpu', 'memory', 'gpu"),
    ("cull-idle-time", 0, "0 is less than 1"),
    ("data-volumes", "&a [*a, *a]", "not YAML: aliases (*name) are not allowed"),
    ("data-volumes", "a: &a [x]\nb: &b [*a,*a]\nc: [*b,*b]", "not YAML: aliases (*name) are not allowed"),
    ("gpu-vendors", "[" * 5000, "not YAML"),
    ("gpu-vendors", "!!python/object/apply:os.system [id]", "not YAML"),
]  # fmt: skip


@pytest.mark.parametrize(("option", "value", "reason"), WRONG, ids=lambda value: str(value)[:30])
def test_a_wrong_option_is_blocked_with_its_place(notebooks, on_nodes, option, value, reason):
    on_nodes("default")
    text = notebooks.blocked({option: value})
    assert text.removesuffix("...").startswith(f"option {option}: {reason}"[: len(text) - 3])


PREFERRED = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
    {"weight": 1, "preference": {"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["b"]}]}}]}}  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        (on_product("NVIDIA A100-SXM4-40GB"), "values[0]: 'NVIDIA A100-SXM4-40GB' is not a label's value"),
        (PREFERRED, "matchExpressions[0]: Gt takes one value, a whole number"),
    ],
)
def test_a_wrong_affinity_is_blocked_with_entry_field_and_reason(notebooks, on_nodes, wrong, place):
    on_nodes("default")
    text = notebooks.blocked({"affinity-options": affinity(wrong)})
    assert text.startswith("option affinity-options: [0].affinity.nodeAff")
    assert text.endswith(f"….{place}")


@pytest.mark.parametrize("field", ["affinity-options", "tolerations-options", "gpu-vendors"])
def test_a_key_that_is_there_twice_is_blocked(notebooks, on_nodes, field):
    on_nodes("default")
    twice = {
        "affinity-options": json.loads(affinity({})) * 2,
        "tolerations-options": json.loads(tolerations()) * 2,
        "gpu-vendors": [{"limitsKey": "a.com/b", "uiName": "B"}] * 2,
    }[field]
    assert "is there twice" in notebooks.blocked({field: json.dumps(twice)})


@pytest.mark.parametrize("empty", ["", "[]", "null"])
def test_an_empty_list_is_written_in_any_way(notebooks, on_nodes, empty):
    on_nodes("no-gpu")
    config = dict.fromkeys(("gpu-vendors", "affinity-options", "tolerations-options", "data-volumes"), empty)
    assert notebooks.form(config) == notebooks.form()


NAMES = [
    *(
        "nb",
        "yes",
        "no",
        "on",
        "y",
        "n",
        "null",
        "true",
        "1e3",
        "1",
        "0x1f",
        "0o17",
        "12",
        "1-2-3",
        "2026-11-29",
    ),
    *("nan", "inf", "nb-1"),
]
CREATORS = [
    *("ada@example.com", "O'Hara@example.com", 'the "boss"', "CORP\\ada", "a\\nb", 'it\'s "both"', "\\"),
    *(
        "yes",
        "null",
        "~",
        "1e3",
        "1_000",
        "0x1f",
        "2026-11-29",
        "# ada",
        "ada # x",
        "a: b",
        "a:",
        ": a",
        "- a",
    ),
    *(
        "{ada}",
        "{0}",
        "{creator}",
        "[ada]",
        "*ada",
        "&ada",
        "!ada",
        "!!int 3",
        "%ada",
        "@ada",
        "`ada`",
        "|",
        ">",
    ),
    *(
        "?",
        "? a",
        "---",
        "...",
        "<<",
        "=",
        " ada",
        "ada ",
        "a\tb",
        "",
        "Zo\u00eb",
        "\u65e5\u672c",
        "'",
        "''",
        '"',
    ),
    *(
        "uid=ada,ou=people,dc=example,dc=com",
        "https://id.example.com/u/1#ada",
        "'; drop",
        "${ada}",
        "{{ada}}",
    ),
]


def begun(notebooks: Any, **words: str) -> Any:
    """Return what the web app begins a notebook with, as its load_param_yaml does (crud_backend/helpers.py)."""
    data = notebooks.render()["ConfigMap/jupyter-web-app-notebook-template"]["data"]
    return yaml.safe_load(data["notebook_template.yaml"].format(serviceAccount="default-editor", **words))


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_called_as_the_user_says(notebooks, on_nodes, name):
    on_nodes("no-gpu")
    notebook = begun(notebooks, name=name, namespace=name, creator="ada")
    metadata = notebook["metadata"]
    assert (metadata["name"], metadata["namespace"], metadata["labels"]) == (name, name, {"app": name})
    assert notebook["spec"]["template"]["spec"]["containers"][0]["name"] == name


@pytest.mark.parametrize("creator", CREATORS)
def test_a_notebook_says_who_made_it_whoever_it_is(notebooks, on_nodes, creator):
    on_nodes("no-gpu")
    metadata = begun(notebooks, name="nb", namespace="team", creator=creator)["metadata"]
    assert metadata["annotations"]["notebooks.kubeflow.org/creator"] == creator
    assert metadata["labels"] == {"app": "nb"}


@pytest.mark.parametrize("policy", ["privileged", "restricted"])
def test_a_notebook_begins_as_upstreams_and_as_safe_as_the_option_says(notebooks, on_nodes, policy):
    on_nodes("no-gpu")
    config = {"notebook-security-policy": policy}
    data = notebooks.render(config)["ConfigMap/jupyter-web-app-notebook-template"]["data"]
    pod = yaml.safe_load(data["notebook_template.yaml"])["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert ("securityContext" in container) == (policy == "restricted")
    assert (pod["volumes"], pod["tolerations"], container["env"], container["volumeMounts"]) == (
        [],
        [],
        [],
        [],
    )
    assert container["resources"] == {"requests": {"cpu": "0.1", "memory": "0.1Gi"}}
