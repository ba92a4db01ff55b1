"""The way of a platform engineer, by the commands people type: deploy, look, change, break, scale, remove."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import jubilant
import pytest
from kubectl_as import Kubectl

from rehearsal.patience import until

ROOT = Path(__file__).parents[2]
OVERLAY = ROOT / "tests" / "mlops_overlay.yaml"


def _environment(kubectl: Kubectl) -> dict[str, str]:
    deployment = json.loads(kubectl("get", "deployment", "centraldashboard", "-o", "json"))
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    return {item["name"]: item.get("value", "") for item in container["env"]}


def test_the_bundle_deploys_and_everything_becomes_active(juju: jubilant.Juju) -> None:
    juju.deploy(str(ROOT / "bundle.yaml"), overlays=[OVERLAY], trust=True)
    status = juju.wait(jubilant.all_active, error=jubilant.any_error)
    assert set(status.apps) == {
        "dex-auth",
        "istio-ingressgateway",
        "istio-pilot",
        "katib",
        "kfp-db",
        "knative-eventing",
        "knative-operator",
        "knative-serving",
        "kserve",
        "kubeflow-dashboard",
        "kubeflow-notebooks",
        "kubeflow-pipelines",
        "kubeflow-profiles",
        "kubeflow-training",
        "minio",
        "oidc-gatekeeper",
        "resource-dispatcher",
    }
    assert status.apps["kubeflow-dashboard"].relations["gateway-info"][0].related_app == "istio-pilot"
    assert status.apps["kubeflow-profiles"].units["kubeflow-profiles/0"].leader


def test_the_dashboard_is_routed_through_the_gateway(juju: jubilant.Juju, kubectl: Kubectl) -> None:
    service = json.loads(kubectl("get", "virtualservice", "centraldashboard", "-o", "json"))
    assert service["spec"]["gateways"] == ["mlops/kubeflow-gateway"]
    assert kubectl("get", "gateway", "kubeflow-gateway", "-o", "name")
    assert _environment(kubectl)["PROFILES_KFAM_SERVICE_HOST"] == "profiles-kfam.mlops"


POD_DEFAULT = """
apiVersion: kubeflow.org/v1alpha1
kind: PodDefault
metadata: {name: gpu}
spec:
  selector: {matchLabels: {gpu: wanted}}
  tolerations: [{key: nvidia.com/gpu, operator: Exists}]
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: work, labels: {gpu: wanted}}
spec:
  securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: main
      image: example.com/work:1
      securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
"""


def test_pods_of_a_profile_get_its_pod_defaults(juju: jubilant.Juju, kubectl: Kubectl) -> None:
    create = ("create", "-n", "team-a", "-f", "-")
    kubectl("create", "namespace", "team-a")
    try:
        kubectl("label", "namespace", "team-a", "app.kubernetes.io/part-of=kubeflow-profile")
        kubectl(*create, input=POD_DEFAULT)
        pod = json.loads(kubectl(*create, "--dry-run=server", "-o", "json", input=POD))
        assert {"key": "nvidia.com/gpu", "operator": "Exists"} in pod["spec"]["tolerations"]
    finally:
        kubectl("delete", "namespace", "team-a")


def test_an_option_reaches_the_workload(juju: jubilant.Juju, kubectl: Kubectl) -> None:
    assert _environment(kubectl)["REGISTRATION_FLOW"] == "true"
    juju.config("kubeflow-dashboard", {"registration-flow": False})
    until(lambda: _environment(kubectl)["REGISTRATION_FLOW"] == "false", every=0.3)
    juju.wait(jubilant.all_active)
    assert juju.config("kubeflow-dashboard")["registration-flow"] is False


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"no-such-option": "1"}, 'unknown option "no-such-option"'),
        ({"replicas": "many"}, 'option "replicas" expected int, got "many"'),
    ],
)
def test_an_option_that_is_none_is_refused_and_changes_nothing(
    juju: jubilant.Juju, values: dict[str, str], message: str
) -> None:
    before = juju.config("kubeflow-dashboard")
    with pytest.raises(jubilant.CLIError) as refusal:
        juju.config("kubeflow-dashboard", values)
    assert message in refusal.value.stderr
    assert juju.config("kubeflow-dashboard") == before


def test_a_wrong_value_blocks_names_the_option_and_correcting_it_heals(
    juju: jubilant.Juju, kubectl: Kubectl
) -> None:
    before = kubectl("get", "configmap", "centraldashboard-config", "-o", "jsonpath={.data}")
    juju.config("kubeflow-dashboard", {"additional-menu-links": "[{text: no link}]"})
    status = juju.wait(lambda status: jubilant.any_blocked(status, "kubeflow-dashboard"))
    message = status.apps["kubeflow-dashboard"].app_status.message
    assert message.startswith("option additional-menu-links: [0].link")
    assert kubectl("get", "configmap", "centraldashboard-config", "-o", "jsonpath={.data}") == before
    juju.config("kubeflow-dashboard", reset="additional-menu-links")
    juju.wait(jubilant.all_active)


def test_a_relation_that_goes_blocks_and_comes_back(juju: jubilant.Juju, kubectl: Kubectl) -> None:
    juju.remove_relation("kubeflow-dashboard:gateway-info", "istio-pilot:gateway-info")
    status = juju.wait(lambda status: jubilant.any_blocked(status, "kubeflow-dashboard"))
    message = status.apps["kubeflow-dashboard"].app_status.message
    assert message == (
        "relation gateway-info missing: juju integrate kubeflow-dashboard:gateway-info istio-pilot"
    )
    assert kubectl("get", "deployment", "centraldashboard", "-o", "name")  # what ran runs on
    juju.integrate("kubeflow-dashboard:gateway-info", "istio-pilot")
    juju.wait(jubilant.all_active)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("kubeflow-dashboard", "nobody", 'application "nobody" not found'),
        ("kubeflow-dashboard:nothing", "istio-pilot", 'has no "nothing" relation'),
        ("kubeflow-dashboard:links", "istio-pilot:gateway-info", "no relations found"),
        ("kubeflow-dashboard:gateway-info", "istio-pilot:gateway-info", "already exists"),
    ],
)
def test_integrations_that_cannot_be_are_refused_in_jujus_words(
    juju: jubilant.Juju, first: str, second: str, message: str
) -> None:
    with pytest.raises(jubilant.CLIError) as refusal:
        juju.integrate(first, second)
    assert refusal.value.returncode == 1
    assert message in refusal.value.stderr


def test_a_deleted_object_comes_back_without_anybody(juju: jubilant.Juju, kubectl: Kubectl) -> None:
    kubectl("delete", "deployment", "centraldashboard", "--wait=true")
    until(
        lambda: kubectl("get", "deployment", "-o", "name", "--field-selector=metadata.name=centraldashboard"),
        every=0.3,
    )
    juju.wait(jubilant.all_active)


def test_more_units_stand_by_and_the_first_goes_on(juju: jubilant.Juju) -> None:
    juju.add_unit("kubeflow-dashboard", num_units=2)
    status = juju.wait(
        lambda status: len(status.apps["kubeflow-dashboard"].units) == 3 and jubilant.all_active(status)
    )
    units = status.apps["kubeflow-dashboard"].units
    assert units["kubeflow-dashboard/2"].workload_status.message == "standby"
    juju.remove_unit("kubeflow-dashboard", num_units=2)
    juju.wait(lambda status: len(status.apps["kubeflow-dashboard"].units) == 1)


def test_an_action_answers(juju: jubilant.Juju) -> None:
    task = juju.run("kubeflow-profiles/0", "list-images")
    assert "kfam" in task.results["images"]


def test_taking_the_rights_away_blocks_with_the_command_that_gives_them(juju: jubilant.Juju) -> None:
    juju.cli("trust", "kubeflow-dashboard", "--remove")
    status = juju.wait(lambda status: jubilant.any_blocked(status, "kubeflow-dashboard"))
    assert (
        "juju trust kubeflow-dashboard --scope=cluster"
        in status.apps["kubeflow-dashboard"].app_status.message
    )
    juju.trust("kubeflow-dashboard", scope="cluster")
    juju.wait(jubilant.all_active)


def test_a_refresh_brings_the_edited_template(
    juju: jubilant.Juju, kubectl: Kubectl, tmp_path: Path, stage: object
) -> None:
    if stage is None:
        pytest.skip("a real Juju refreshes packed charms only; this edits a source folder")
    edited = tmp_path / "profiles"
    shutil.copytree(ROOT / "charms" / "profiles", edited)
    template = edited / "src" / "templates" / "profiles.yaml.j2"
    marked = "kind: ServiceAccount\nmetadata:\n  annotations: {edited: by-hand}\n"
    template.write_text(template.read_text().replace("kind: ServiceAccount\nmetadata:\n", marked, 1))
    uid = kubectl("get", "pods", "-l", "kustomize.component=profiles", "-o", "jsonpath={..uid}")
    juju.refresh("kubeflow-profiles", path=edited)
    account = ("get", "serviceaccount", "profiles-controller-service-account", "-o", "json")
    until(lambda: "edited" in json.loads(kubectl(*account))["metadata"].get("annotations", {}), every=0.3)
    juju.wait(jubilant.all_active)
    # An unchanged pod is not restarted.
    assert kubectl("get", "pods", "-l", "kustomize.component=profiles", "-o", "jsonpath={..uid}") == uid


def test_what_juju_prints_is_for_people(juju: jubilant.Juju) -> None:
    said = juju.cli("status", "--relations")
    assert "Model  Controller" in said
    assert "kubeflow-dashboard/0*" in said
    assert "istio-pilot:gateway-info" in said
    log = juju.debug_log(limit=20)
    assert 'ran "' in log
    unit = juju.show_unit("kubeflow-dashboard/0")
    assert unit.leader
    assert {info.endpoint for info in unit.relation_info} >= {"gateway-info", "kubeflow-profiles"}


def test_a_bundle_of_what_is_there_changes_nothing(juju: jubilant.Juju) -> None:
    done = subprocess.run(
        ["juju", "deploy", "-m", "mlops", str(ROOT / "bundle.yaml"), "--overlay", str(OVERLAY), "--trust"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "No changes to apply." in done.stderr


def test_removing_everything_leaves_no_object_of_ours(juju: jubilant.Juju, kubectl: Kubectl) -> None:
    profile = {
        "apiVersion": "kubeflow.org/v1",
        "kind": "Profile",
        "metadata": {"name": "ada"},
        "spec": {"owner": {"kind": "User", "name": "ada@example.com"}},
    }
    kubectl("apply", "-f", "-", input=json.dumps(profile))
    parts = ("dashboard", "notebooks", "pipelines", "profiles", "training")
    ours = {"katib", "kserve", "resource-dispatcher", *(f"kubeflow-{part}" for part in parts)}
    juju.remove_application(*ours)
    juju.wait(lambda status: not ours & status.apps.keys())
    kinds = "deployments,services,configmaps,secrets,serviceaccounts,roles,clusterroles"
    assert kubectl("get", kinds, "-l", "app.kubernetes.io/instance", "-o", "name") == ""
    # Nothing of a user's is lost.
    assert kubectl("get", "profiles", "ada", "-o", "name")
    # Its controller is gone, and left no finalizer that would hold it for ever.
    kubectl("delete", "profile", "ada", "--timeout=60s")


def test_destroying_the_model_takes_the_namespace_with_it(juju: jubilant.Juju) -> None:
    juju.destroy_model("mlops", destroy_storage=True)
    gone = subprocess.run(["kubectl", "get", "namespace", "mlops"], capture_output=True, check=False)
    assert gone.returncode == 1
