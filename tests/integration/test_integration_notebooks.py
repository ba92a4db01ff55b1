"""The way of a data scientist, by the commands people type: a notebook, a GPU, a volume."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import jubilant
import pytest
from kubectl_as import Kubectl, as_user
from kubeflow_users import JupyterWebApp

from rehearsal.patience import until

ROOT = Path(__file__).parents[2]
OVERLAY = ROOT / "tests" / "mlops_overlay.yaml"
USER = "ada@example.com"


@pytest.fixture(scope="module")
def ada(juju: jubilant.Juju) -> Kubectl:
    """Run kubectl as a user, in the namespace of the user's profile."""
    return as_user(USER, "ada")


def test_the_platform_says_which_gpus_there_are(juju: jubilant.Juju, kubectl: Kubectl) -> None:
    juju.deploy(str(ROOT / "bundle.yaml"), overlays=[OVERLAY], trust=True)
    status = juju.wait(jubilant.all_active, error=jubilant.any_error)
    nodes = json.loads(kubectl("get", "nodes", "-o", "json"))["items"]
    with_gpus = [node for node in nodes if int(node["status"]["allocatable"].get("nvidia.com/gpu", 0))]
    message = status.apps["kubeflow-notebooks"].app_status.message
    assert (
        message.endswith(f" on {len(with_gpus)} node{'s' * (len(with_gpus) > 1)}")
        if with_gpus
        else not message
    )
    found = juju.run("kubeflow-notebooks/0", "list-gpus").results
    assert len([text for text in found.values() if "nvidia.com/gpu" in text]) >= bool(with_gpus)


def test_a_profile_becomes_a_namespace(juju: jubilant.Juju, kubectl: Kubectl, ada: Kubectl) -> None:
    owner = {"kind": "User", "name": USER}
    profile = {
        "apiVersion": "kubeflow.org/v1",
        "kind": "Profile",
        "metadata": {"name": "ada"},
        "spec": {"owner": owner},
    }
    kubectl("apply", "-f", "-", input=json.dumps(profile))

    def may_work() -> bool:
        words = ["kubectl", "-n", "ada", "auth", "can-i", "create", "notebooks.kubeflow.org", "--as", USER]
        return subprocess.run(words, capture_output=True, check=False).stdout.strip() == b"yes"

    until(may_work)
    assert ada("get", "notebooks") == ""
    with pytest.raises(AssertionError) as refusal:
        ada("get", "secrets", "-n", "mlops")
    assert f'User "{USER}" cannot list' in str(refusal.value)


@pytest.mark.parametrize("number", [None, 1], ids=["cpu", "gpu"])
def test_a_notebook_is_spawned(
    juju: jubilant.Juju, kubectl: Kubectl, ada: Kubectl, number: int | None
) -> None:
    def mounted(name: str) -> dict[str, str]:
        return json.loads(kubectl("get", "configmap", name, "-o", "json"))["data"]

    web_app = JupyterWebApp(mounted)
    vendors = web_app.form["gpus"]["value"]["vendors"]
    if number and not vendors:
        pytest.skip("no node of this cluster has a GPU")
    name = "gpu" if number else "cpu"
    chosen = {"num": number} if number else {}
    claims, notebook = web_app.filled("ada", name, USER, **chosen)
    for document in (*claims, notebook):
        typed = {"apiVersion": "v1", "kind": "PersistentVolumeClaim"} | document
        ada("create", "-f", "-", input=json.dumps(typed))
    wait = 60 if "rehearsal" in juju.status().model.controller else 1200
    ada("wait", f"notebook/{name}", "--for=jsonpath={.status.readyReplicas}=1", f"--timeout={wait}s")
    pod = json.loads(ada("get", "pod", f"{name}-0", "-o", "json"))
    assert pod["status"]["phase"] == "Running"
    node = json.loads(kubectl("get", "node", pod["spec"]["nodeName"], "-o", "json"))
    limits = pod["spec"]["containers"][0]["resources"]["limits"]
    if number:
        vendor = web_app.form["gpus"]["value"]["vendor"]
        assert limits[vendor] == "1"
        assert int(node["status"]["allocatable"][vendor]) >= 1
        (said,) = [
            text for text in juju.run("kubeflow-notebooks/0", "list-gpus").results.values() if vendor in text
        ]
        total = int(node["status"]["allocatable"][vendor])
        assert f"{total - 1} of {total} free" in said
    else:
        assert not any("/" in resource for resource in limits)


def test_a_notebook_that_goes_leaves_its_volume(juju: jubilant.Juju, ada: Kubectl) -> None:
    ada("delete", "notebook", "cpu")
    assert ada("get", "pvc", "cpu-workspace", "-o", "jsonpath={.status.phase}") == "Bound"


@pytest.mark.parametrize(
    ("option", "value", "place"),
    [
        ("gpu-vendors", '[{"limitsKey": "gpu", "uiName": "GPU"}]', "[0].limitsKey"),
        (
            "tolerations-options",
            '[{"groupKey": "a", "displayName": "A", "tolerations": [{}]}]',
            "[0].tolerations[0]",
        ),
    ],
)
def test_a_wrong_option_is_blocked_with_its_place(
    juju: jubilant.Juju, kubectl: Kubectl, tmp_path: Path, option: str, value: str, place: str
) -> None:
    before = kubectl("get", "configmap", "jupyter-web-app-config", "-o", "json")
    file = tmp_path / "value.yaml"
    file.write_text(value)
    juju.cli("config", "kubeflow-notebooks", f"{option}=@{file}")
    status = juju.wait(lambda status: status.apps["kubeflow-notebooks"].is_blocked)
    assert status.apps["kubeflow-notebooks"].app_status.message.startswith(f"option {option}: {place}: ")
    assert kubectl("get", "configmap", "jupyter-web-app-config", "-o", "json") == before
    juju.config("kubeflow-notebooks", reset=option)
    juju.wait(jubilant.all_active)
