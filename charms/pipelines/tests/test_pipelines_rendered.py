"""What the charm renders, looked at without a cluster: authorities, rights, and the settings of Argo."""

from __future__ import annotations

import base64
import datetime
import json
import re
from typing import Any

import pytest
import yaml
from cryptography import x509

from kubeflow_charm.webhooks import issuing

OFF = {"gpu-discovery": False, "object-store-keys": "shared"}
"""No cluster is asked: neither for nodes nor for profiles."""
TLS_STORE = {"version": "1", "endpoint": "https://s3.example.com", "bucket": "mlpipeline"}


def rendered(pipelines: Any, config: dict[str, Any] | None = None, **given: Any) -> dict[str, dict[str, Any]]:
    """Return what the charm wants there to be, by kind and name."""
    return pipelines.render(OFF | (config or {}), **given)


def environment(documents: dict[str, dict[str, Any]], deployment: str) -> dict[str, Any]:
    """Return the environment of a Deployment's one container: values, and sources of those that have none."""
    (container,) = documents[f"Deployment/{deployment}"]["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}


def argo(documents: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the settings of Argo's controller."""
    data = documents["ConfigMap/workflow-controller-configmap"]["data"]
    return {key: yaml.safe_load(text) for key, text in data.items()}


def authority(name: str) -> str:
    """Return the certificate of an authority, as PEM."""
    now = datetime.datetime.now(datetime.UTC)
    return issuing.authority(name, now, now + datetime.timedelta(days=1)).certificate


@pytest.mark.parametrize("of_database", [False, True])
@pytest.mark.parametrize("of_store", [False, True])
def test_runs_mount_authorities_only_where_their_profile_has_them(pipelines, of_database, of_store):
    tls = {"tls": "True", "tls-ca": authority("mysql")} if of_database else None
    s3 = TLS_STORE | ({"tls-ca-chain": json.dumps([authority("store")])} if of_store else {})
    documents = rendered(pipelines, tls=tls, minio=None, s3=s3)
    assert ("Secret/kfp-ca-bundle" in documents) == (of_database or of_store)
    named = environment(documents, "ml-pipeline")["CABUNDLE_SECRET_NAME"]
    assert named == ("kfp-ca-bundle" if of_store else "")


@pytest.mark.parametrize("written", [str, str.strip, lambda pem: f"\n{pem}\n\n"])
def test_authorities_of_database_and_store_are_one_readable_bundle(pipelines, written):
    names = ("mysql", "store")
    database, store = (written(authority(name)) for name in names)
    s3 = TLS_STORE | {"tls-ca-chain": json.dumps([store])}
    documents = rendered(pipelines, tls={"tls": "True", "tls-ca": database}, minio=None, s3=s3)
    bundle = base64.b64decode(documents["Secret/kfp-ca-bundle"]["data"]["ca.crt"])
    subjects = [each.subject.rfc4514_string() for each in x509.load_pem_x509_certificates(bundle)]
    assert subjects == [f"CN={name} CA" for name in names]


def test_what_argo_adds_to_each_pod_says_all_that_a_quota_may_ask_for(pipelines):
    executor = argo(rendered(pipelines))["executor"]
    assert {(kind, resource) for kind, said in executor["resources"].items() for resource in said} == {
        (kind, resource) for kind in ("requests", "limits") for resource in ("cpu", "memory")
    }


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (
            'Internal error occurred: failed calling webhook "x.kubeflow.org": failed to call webhook: Post',
            True,
        ),
        ("Internal error occurred: failed calling webhook: no endpoints available for service", True),
        ('admission webhook "x.kubeflow.org" denied the request: conflict', False),
        ("pods is forbidden: exceeded quota", False),
    ],
)
def test_argo_tries_again_while_a_webhook_is_away(pipelines, error, again):
    pattern = environment(rendered(pipelines), "workflow-controller")["TRANSIENT_ERROR_PATTERN"]
    assert bool(re.search(pattern, error)) == again


def rights(documents: dict[str, dict[str, Any]], account: str) -> dict[tuple[str, str], set[str]]:
    """Return the verbs that an account has, in all namespaces or the model, by group and resource."""
    verbs: dict[tuple[str, str], set[str]] = {}
    for document in documents.values():
        if not document["kind"].endswith("Binding") or account not in {
            each["name"] for each in document["subjects"] if each["kind"] == "ServiceAccount"
        }:
            continue
        role = documents[f"{document['roleRef']['kind']}/{document['roleRef']['name']}"]
        for rule in role["rules"]:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    verbs.setdefault((group, resource), set()).update(rule["verbs"])
    return verbs


def accounts(documents: dict[str, dict[str, Any]]) -> list[str]:
    return [each["metadata"]["name"] for each in documents.values() if each["kind"] == "ServiceAccount"]


def test_no_program_has_every_verb_or_kind(pipelines):
    documents = rendered(pipelines, {"pipeline-store": "kubernetes"})
    for account in accounts(documents):
        for (group, resource), verbs in rights(documents, account).items():
            assert "*" not in (group, resource, *verbs), (account, group, resource)


ARGO = "argoproj.io"
PODS = ("", "pods")


@pytest.mark.parametrize(
    ("account", "wanted"),
    [
        (
            "argo",
            {
                PODS: "create delete get list patch watch",
                ("", "pods/exec"): "create",
                (ARGO, "workflowtasksets"): "create get list patch watch",
                (ARGO, "workflowtasksets/status"): "patch",
                (ARGO, "workflows/finalizers"): "update",
                (ARGO, "workflowtemplates"): "get list watch",
                (ARGO, "cronworkflows"): "get list patch watch",
                ("", "serviceaccounts"): "get",
            },
        ),
        (
            "ml-pipeline-scheduledworkflow",
            {
                (ARGO, "workflows"): "create get list watch",
                ("kubeflow.org", "scheduledworkflows"): "get list update watch",
                ("kubeflow.org", "scheduledworkflows/finalizers"): "update",
            },
        ),
        ("kubeflow-pipelines-cache", {PODS: "patch watch"}),
        ("kubeflow-pipelines-metadata-writer", {PODS: "list patch watch"}),
    ],
)
def test_programs_have_the_verbs_that_they_use(pipelines, account, wanted):
    granted = rights(rendered(pipelines), account)
    assert {each: " ".join(sorted(granted.get(each, ()))) for each in wanted} == wanted
    if account.startswith("kubeflow-pipelines-"):
        assert set(granted) == set(wanted)


def test_argo_reads_two_secrets_and_elects_with_one_lease(pipelines):
    documents = rendered(pipelines)
    (cluster, model) = (
        documents[name]["rules"] for name in ("ClusterRole/argo-cluster-role", "Role/argo-role")
    )
    for rule in [*cluster, *model]:
        if "secrets" in rule["resources"]:
            assert rule["resourceNames"] in (
                ["argo-workflows-agent-ca-certificates"],
                ["mlpipeline-minio-artifact"],
            )
        if "leases" in rule["resources"] and rule["verbs"] != ["create"]:
            assert rule["resourceNames"] == ["workflow-controller"]


def test_list_images_names_what_runs_and_viewers_start(pipelines):
    context = pipelines.context()
    context.run(context.on.action("list-images"), pipelines.state("mlops", {"cache-image": "a/cache:1"}))
    images = set((context.action_results or {})["images"].split("\n"))
    assert {"a/cache:1", "tensorflow/tensorflow:2.2.2", "ghcr.io/kubeflow/kfp-launcher:2.17.0"} <= images


def test_containers_have_the_names_that_upstreams_pages_use(pipelines):
    named = {
        document["metadata"]["name"]: document["spec"]["template"]["spec"]["containers"][0]["name"]
        for document in rendered(pipelines).values()
        if document["kind"] == "Deployment"
    }
    others = {
        "cache-server": "server",
        "metadata-envoy-deployment": "container",
        "metadata-grpc-deployment": "container",
        "metadata-writer": "main",
        "ml-pipeline": "ml-pipeline-api-server",
    }
    assert named == {name: others.get(name, name) for name in named}
    assert len(named) == 11


def test_argos_controller_writes_nothing_to_its_image(pipelines):
    (container,) = rendered(pipelines)["Deployment/workflow-controller"]["spec"]["template"]["spec"][
        "containers"
    ]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_the_web_app_reads_no_secret_and_knows_where_profiles_keep_artifacts(pipelines):
    s3 = {"version": "1", "endpoint": "https://s3.example.com", "bucket": "b", "path": "team/x"}
    documents = rendered(pipelines, minio=None, s3=s3)
    # By a Workflow that a user writes it would show whatever object the status calls the log of a step.
    forbidden = {"secrets", "workflows"}
    assert not forbidden & {resource for _, resource in rights(documents, "ml-pipeline-ui")}
    said = environment(documents, "ml-pipeline-ui")
    assert said["ENABLE_AUTHZ"] == "true"
    assert said["ARTIFACT_NAMESPACE_KEY_PREFIX"] == "team/x/private-artifacts"
    assert said["METADATA_ENVOY_SERVICE_SERVICE_HOST"] == "metadata-envoy-service"


def test_the_api_server_has_no_logs_to_give_to_whoever_names_a_run(pipelines):
    assert "pods/log" not in {resource for _, resource in rights(rendered(pipelines), "ml-pipeline")}


def test_the_web_app_prints_no_key_of_the_store_for_what_it_signs_with(pipelines):
    documents = rendered(pipelines)
    reference = environment(documents, "ml-pipeline-ui")["TENSORBOARD_PROXY_SIGNING_SECRET"]["secretKeyRef"]
    signing = documents[f"Secret/{reference['name']}"]["data"][reference["key"]]
    assert signing not in documents["Secret/mlpipeline-minio-artifact"]["data"].values()


@pytest.mark.parametrize(
    ("endpoint", "rule"),
    [
        ("https://s3.example.com", ""),
        ("http://s3.example.com", ""),
        ("https://s3.example.com:9000", "s3.example.com=s3.example.com:9000"),
        ("http://s3.example.com:443", "s3.example.com=s3.example.com:443"),
        ("http://[fd00::1]:9000", "[fd00::1]=[fd00::1]:9000"),
    ],
)
def test_the_web_app_knows_the_port_for_artifacts_by_s3(pipelines, endpoint, rule):
    s3 = {"version": "1", "endpoint": endpoint, "bucket": "b"}
    documents = rendered(pipelines, minio=None, s3=s3)
    assert environment(documents, "ml-pipeline-ui")["MINIO_ENDPOINT_REWRITE"] == rule


def test_the_api_server_calls_no_mlflow_of_another_platform(pipelines):
    documents = rendered(pipelines)
    config = json.loads(documents["ConfigMap/ml-pipeline-config"]["data"]["config.json"])
    assert "plugins" not in config
    (container,) = documents["Deployment/ml-pipeline"]["spec"]["template"]["spec"]["containers"]
    (folder,) = [each.removeprefix("--config=") for each in container["args"] if "--config=" in each]
    assert folder in {each["mountPath"] for each in container["volumeMounts"]}


@pytest.mark.parametrize("option", ["viewer-pod-template.json", "config.json"])
def test_what_a_pod_reads_from_a_file_is_json(pipelines, option):
    texts = [
        text
        for document in rendered(pipelines).values()
        if document["kind"] == "ConfigMap"
        for name, text in document["data"].items()
        if name == option
    ]
    assert [type(json.loads(text)) for text in texts] == [dict]


def test_programs_get_the_users_header_in_lower_case(pipelines):
    documents = rendered(pipelines, {"userid-header": "X-Auth-User"})
    for name in ("ml-pipeline", "ml-pipeline-ui"):
        assert environment(documents, name)["KUBEFLOW_USERID_HEADER"] == "x-auth-user"
