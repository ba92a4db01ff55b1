"""The way of a platform engineer with pipelines and MLflow: deploy, make a profile, rotate a key, remove."""

from __future__ import annotations

import base64
import json
import re
import shlex
from pathlib import Path
from typing import Any

import jubilant
import pytest
from kubectl_as import Kubectl
from partial_bundle import PIPELINES, written

from rehearsal.patience import until
from rehearsal.stage import Stage

ROOT = Path(__file__).parents[2]

OF_PIPELINES = {
    "secret/mlpipeline-minio-artifact",
    "configmap/kfp-launcher",
    "configmap/metadata-grpc-configmap",
    "poddefault.kubeflow.org/access-ml-pipeline",
}
OF_MLFLOW = {
    "secret/mlflow-server-minio-artifact",
    "secret/mlflow-server-seldon-rclone-secret",
    "poddefault.kubeflow.org/mlflow-server-access-minio",
    "poddefault.kubeflow.org/mlflow-server-minio",
}
KINDS = "secrets,configmaps,poddefaults.kubeflow.org"


def dispatched(kubectl: Kubectl, profile: str = "ada") -> set[str]:
    """Return what the dispatcher has put into a profile, as kubectl names it; not that about GPUs."""
    words = "get", KINDS, "-n", profile, "-l", "app.kubernetes.io/instance=mlops.resource-dispatcher"
    found = kubectl(*words, "-o", "name").split()
    return {name for name in found if not name.startswith("poddefault.kubeflow.org/gpu-")}


def held(kubectl: Kubectl, name: str, profile: str = "ada") -> dict[str, str]:
    """Return what a Secret of a profile holds."""
    said = json.loads(kubectl("get", "secret", name, "-n", profile, "-o", "json"))
    return {key: base64.b64decode(value).decode() for key, value in said["data"].items()}


def everywhere(kubectl: Kubectl, text: str) -> list[str]:
    """Return the objects of all namespaces that have a text, plain or in base64."""
    encoded = base64.b64encode(text.encode()).decode()
    kinds = "secrets,configmaps,deployments,pods,poddefaults.kubeflow.org"
    found = json.loads(kubectl("get", kinds, "--all-namespaces", "--show-managed-fields", "-o", "json"))
    return [
        f"{item['kind']} {item['metadata']['namespace']}/{item['metadata']['name']}"
        for item in found["items"]
        if text in json.dumps(item) or encoded in json.dumps(item)
    ]


def keys(kubectl: Kubectl) -> dict[str, str]:
    """Return the secret of the store's key that each has: our own programs, and two profiles."""
    namespaces = ("mlops", "ada", "bob")
    return {name: held(kubectl, "mlpipeline-minio-artifact", name)["secretkey"] for name in namespaces}


def users(stage: Stage | None) -> set[str] | None:
    """Return the users that MinIO has beside its administrator; None if it is a real one, which is not asked."""
    return None if stage is None else set(stage.engine.stores.at("minio.mlops:9000").users)


def profile(kubectl: Kubectl, name: str) -> None:
    """Make a profile, and wait for its namespace."""
    document = {
        "apiVersion": "kubeflow.org/v1",
        "kind": "Profile",
        "metadata": {"name": name},
        "spec": {"owner": {"kind": "User", "name": f"{name}@example.com"}},
    }
    kubectl("apply", "-f", "-", input=json.dumps(document))
    until(lambda: kubectl("get", "namespace", name, "--ignore-not-found", "-o", "name"))


def test_a_part_of_the_bundle_becomes_active(juju: jubilant.Juju, tmp_path: Path) -> None:
    juju.deploy(str(written(tmp_path, PIPELINES)), trust=True)
    status = juju.wait(jubilant.all_active, error=jubilant.any_error)
    assert {"kfp-db", "minio", "kubeflow-pipelines", "resource-dispatcher"} <= set(status.apps)
    assert "profiles share" not in status.apps["kubeflow-pipelines"].app_status.message


def test_a_profile_gets_all_that_its_runs_need_and_no_pod(kubectl: Kubectl) -> None:
    profile(kubectl, "ada")
    until(lambda: dispatched(kubectl) == OF_PIPELINES)
    assert kubectl("get", "pods,deployments", "-n", "ada", "-o", "name") == ""
    launcher = json.loads(kubectl("get", "configmap", "kfp-launcher", "-n", "ada", "-o", "json"))["data"]
    default = json.loads(launcher["providers"])["minio"]["default"]
    assert default["endpoint"] == "minio.mlops:9000"
    assert launcher["defaultPipelineRoot"] == "minio://mlpipeline/private-artifacts/ada/v2/artifacts"
    metadata = json.loads(kubectl("get", "configmap", "metadata-grpc-configmap", "-n", "ada", "-o", "json"))
    assert metadata["data"]["METADATA_GRPC_SERVICE_HOST"] == "metadata-grpc-service.mlops"


def test_credentials_are_on_no_relation_in_plain_text(juju: jubilant.Juju, kubectl: Kubectl) -> None:
    secret = held(kubectl, "mlpipeline-minio-artifact")["secretkey"]
    shown = juju.cli("show-unit", "resource-dispatcher/0", "--format", "json")
    relations = json.loads(shown)["resource-dispatcher/0"]["relation-info"]
    ours = [each for each in relations if "kubeflow-pipelines/0" in each.get("related-units", {})]
    assert {each["endpoint"] for each in ours} == {"secrets", "config-maps", "pod-defaults"}
    assert secret not in json.dumps(ours)
    assert base64.b64encode(secret.encode()).decode() not in json.dumps(ours)


def test_mlflow_is_added_by_the_commands_of_its_page_and_reaches_the_profile(
    juju: jubilant.Juju, kubectl: Kubectl
) -> None:
    page = (ROOT / "docs/how-to/use-mlflow.md").read_text()
    _, _, there = page.partition("To a running platform:")
    commands, _, _ = there.partition("The last two")
    for command in re.findall(r"^ {4}juju (.+)$", commands, re.MULTILINE):
        juju.cli(*shlex.split(command))
    until(lambda: dispatched(kubectl) == OF_PIPELINES | OF_MLFLOW)
    status = juju.wait(jubilant.all_active, error=jubilant.any_error)
    assert {"mlflow-server", "mlflow-mysql"} <= set(status.apps)


@pytest.mark.parametrize("key", ["rotated-once", "100%s $(HOME) 'q' {{ b }} \"d\" \\"])
def test_a_new_key_reaches_every_profile_and_the_old_one_is_nowhere(
    juju: jubilant.Juju, kubectl: Kubectl, key: str
) -> None:
    if "'" in key:  # MLflow's own templates cannot say such a key, and its stand-in is as strict
        juju.remove_relation("mlflow-server:object-storage", "minio:object-storage")
    profile(kubectl, "bob")
    until(lambda: dispatched(kubectl, "bob") >= OF_PIPELINES)
    before = keys(kubectl)
    juju.config("minio", {"secret-key": key})
    until(lambda: not set(keys(kubectl).values()) & set(before.values()))
    assert len(set(keys(kubectl).values())) == len(before), "each its own"
    assert key not in keys(kubectl).values(), "and none the administrator's"
    juju.wait(lambda status: jubilant.all_active(status, "kubeflow-pipelines", "resource-dispatcher"))
    if "'" in key:
        juju.integrate("mlflow-server:object-storage", "minio:object-storage")
        juju.config("minio", {"secret-key": "plain-again"})
        until(lambda: held(kubectl, "mlflow-server-minio-artifact")["AWS_SECRET_ACCESS_KEY"] == "plain-again")
    for old in before.values():
        until(lambda old=old: everywhere(kubectl, old) == [])
    juju.wait(jubilant.all_active)


def test_what_a_user_made_by_that_name_is_left_alone_and_told(juju: jubilant.Juju, kubectl: Kubectl) -> None:
    kubectl("create", "namespace", "carl")
    own = ("create", "secret", "generic", "mlpipeline-minio-artifact", "-n", "carl", "--from-literal=mine=1")
    kubectl(*own)
    kubectl("label", "namespace", "carl", "user.kubeflow.org/enabled=")
    try:
        kept_out = "users keep some out of 1 profile"
        juju.wait(lambda status: kept_out in status.apps["resource-dispatcher"].app_status.message)
        assert held(kubectl, "mlpipeline-minio-artifact", "carl") == {"mine": "1"}
        assert "configmap/kfp-launcher" in dispatched(kubectl, "carl")
    finally:
        kubectl("delete", "namespace", "carl")
    juju.wait(jubilant.all_active)


def test_without_a_store_it_is_blocked_and_what_runs_runs_on(
    juju: jubilant.Juju, kubectl: Kubectl, stage: Stage | None
) -> None:
    before = users(stage)
    assert before is None or len(before) == len(keys(kubectl))
    juju.remove_relation("kubeflow-pipelines:object-storage", "minio:object-storage")
    status = juju.wait(lambda status: jubilant.any_blocked(status, "kubeflow-pipelines"))
    assert status.apps["kubeflow-pipelines"].app_status.message == (
        "relation object-storage missing: juju integrate kubeflow-pipelines:object-storage minio"
    )
    assert kubectl("get", "deployment", "ml-pipeline", "-o", "name")
    assert dispatched(kubectl) >= OF_PIPELINES
    until(lambda: not users(stage))
    juju.integrate("kubeflow-pipelines:object-storage", "minio")
    juju.wait(jubilant.all_active)
    assert users(stage) == before


def test_one_key_for_all_leaves_no_other_in_the_store(
    juju: jubilant.Juju, kubectl: Kubectl, stage: Stage | None
) -> None:
    ours = keys(kubectl)["mlops"]
    juju.config("kubeflow-pipelines", {"object-store-keys": "shared"})
    until(lambda: set(keys(kubectl).values()) == {ours})
    until(lambda: stage is None or len(users(stage) or ()) == 1)
    juju.config("kubeflow-pipelines", {"object-store-keys": "auto"})
    until(lambda: len(set(keys(kubectl).values())) == 3)
    juju.wait(jubilant.all_active)


def test_another_store_takes_its_place(juju: jubilant.Juju, kubectl: Kubectl) -> None:
    juju.remove_relation("kubeflow-pipelines:object-storage", "minio:object-storage")
    juju.deploy("s3-integrator", channel="2/edge", config={"endpoint": "https://s3.example.com:8443"})
    uri = juju.add_secret("s3", {"access-key": "12345", "secret-key": "of-s3"})
    juju.config("s3-integrator", {"credentials": str(uri), "bucket": "team", "path": "kfp"})
    juju.wait(lambda status: "has not been granted" in status.apps["s3-integrator"].app_status.message)
    juju.grant_secret(uri, "s3-integrator")
    juju.integrate("kubeflow-pipelines:s3-credentials", "s3-integrator")
    status = juju.wait(
        lambda status: "would share one" in status.apps["kubeflow-pipelines"].app_status.message
    )
    message = status.apps["kubeflow-pipelines"].app_status.message
    application, option = message.partition("juju config ")[2].split()
    juju.config(application, dict([option.split("=")]))

    def arrived() -> bool:
        return held(kubectl, "mlpipeline-minio-artifact") == {"accesskey": "12345", "secretkey": "of-s3"}

    until(arrived)
    juju.wait(jubilant.all_active)
    launcher = json.loads(kubectl("get", "configmap", "kfp-launcher", "-n", "ada", "-o", "json"))["data"]
    assert launcher["defaultPipelineRoot"] == "minio://team/kfp/v2/artifacts"
    assert _environment(kubectl)["OBJECTSTORECONFIG_HOST"] == "s3.example.com"
    assert _environment(kubectl)["OBJECTSTORECONFIG_SECURE"] == "true"


def test_mlflow_goes_and_takes_only_its_own_along(juju: jubilant.Juju, kubectl: Kubectl) -> None:
    juju.remove_application("mlflow-server", "mlflow-mysql")
    until(lambda: dispatched(kubectl) == OF_PIPELINES)
    juju.wait(jubilant.all_active)


def test_pipelines_go_and_leave_nothing_but_types(juju: jubilant.Juju, kubectl: Kubectl) -> None:
    juju.remove_application("kubeflow-pipelines")
    juju.wait(lambda status: "kubeflow-pipelines" not in status.apps)
    until(lambda: dispatched(kubectl) == set())
    left = (
        "get",
        "deployments,services,secrets,configmaps",
        "-l",
        "app.kubernetes.io/instance=mlops.kubeflow-pipelines",
    )
    until(lambda: kubectl(*left, "-o", "name") == "")


def _environment(kubectl: Kubectl) -> dict[str, Any]:
    deployment = json.loads(kubectl("get", "deployment", "ml-pipeline", "-o", "json"))
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    return {item["name"]: item.get("value") for item in container["env"]}
