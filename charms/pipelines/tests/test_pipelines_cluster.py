"""The charm against a real API server: what only shows there."""

from __future__ import annotations

import base64
import datetime
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import lightkube
import ops
import pytest
import yaml
from charm_harness import MINIO, in_order
from charm_harness import deployed as deploy
from lightkube.models.coordination_v1 import LeaseSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.admissionregistration_v1 import (
    MutatingWebhookConfiguration,
    ValidatingWebhookConfiguration,
)
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.coordination_v1 import Lease
from lightkube.resources.core_v1 import ConfigMap, Secret
from ops import testing

from rehearsal.cluster.controlplane import ControlPlane

WORKLOADS = {
    "cache-server",
    "metadata-envoy-deployment",
    "metadata-grpc-deployment",
    "metadata-writer",
    "ml-pipeline",
    "ml-pipeline-persistenceagent",
    "ml-pipeline-scheduledworkflow",
    "ml-pipeline-ui",
    "ml-pipeline-viewer-crd",
    "ml-pipeline-visualizationserver",
    "workflow-controller",
}
API, UI, CACHE, METADATA = "ml-pipeline", "ml-pipeline-ui", "cache-server", "metadata-grpc-deployment"

_NUMBERS = itertools.count(5026)


@pytest.fixture(scope="module")
def model() -> str:
    """A model of its own. Juju lets its name be a number, which YAML must not take for one."""
    return str(next(_NUMBERS))


@pytest.fixture(scope="module")
def deployed(
    pipelines: Any, cluster: ControlPlane, client: lightkube.Client, model: str
) -> Iterator[testing.State]:
    """The state after one hook; all is removed in the end."""
    with deploy(pipelines, cluster, client, model) as state:
        yield state


@pytest.fixture
def generations(client: lightkube.Client, model: str) -> Callable[[], dict[str, int]]:
    """Return how often the spec of each Deployment was changed."""

    def count() -> dict[str, int]:
        metadata = [item.to_dict()["metadata"] for item in client.list(Deployment, namespace=model)]
        return {each["name"]: each["generation"] for each in metadata}

    return count


@pytest.fixture
def secret(client: lightkube.Client, model: str) -> Callable[[str], dict[str, str]]:
    """Return what a Secret of the model holds."""

    def read(name: str) -> dict[str, str]:
        data = client.get(Secret, name, namespace=model).data or {}
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    return read


def test_everything_is_taken_by_the_api_server(deployed, generations):
    assert isinstance(deployed.unit_status, ops.WaitingStatus)
    assert set(generations()) == WORKLOADS


@pytest.mark.parametrize(
    ("config", "said", "restarted"),
    [
        ({}, {}, set()),
        ({"archive-logs": False}, {}, {API, UI}),
        ({"log-archive-prefix": "/logs"}, {}, {API, UI}),
        ({"object-store-bucket-name": "other"}, {}, {API, UI}),
        ({"default_pipeline_root": "s3://other/x", "object-store-keys": "shared"}, {}, set()),
        ({"run-retention-hours": 72}, {}, {"ml-pipeline-persistenceagent"}),
        ({"timezone": "Europe/Berlin"}, {}, {API, "ml-pipeline-scheduledworkflow"}),
        ({"driver-image": "a/driver:1"}, {}, {API}),
        ({"cache-image": "a/cache:1"}, {}, {API, CACHE}),
        ({"custom_images": "{frontend: a/ui:1}"}, {}, {UI}),
        ({"userid-header": "x-user"}, {}, {API, UI}),
        ({}, {"user": {"username": "relation-7", "password": "new"}}, {API, CACHE, METADATA}),
        ({}, {"minio": {**MINIO, "secret-key": "new"}}, {API, UI}),
    ],
    ids=in_order,
)
def test_a_change_restarts_the_workloads_that_it_is_for_and_no_other(
    pipelines, deployed, model, generations, config, said, restarted
):
    pipelines.run(model)
    before = generations()
    pipelines.run(model, config, **said)
    after = generations()
    assert {name for name in after if after[name] != before[name]} == restarted


S3 = {"version": "1", "endpoint": "https://s3.example.com", "bucket": "mlpipeline"}
ODD = "100%s $(KEY) ${KEY} 'single' \"double\" \\ {{ braces }} {% if %}\nsecond line ü"


def test_odd_credentials_reach_every_consumer_unchanged(pipelines, deployed, model, secret, client):
    given = {"minio": None, "s3": S3, "keys": {"access-key": "12345", "secret-key": ODD}}
    shared = {"object-store-keys": "shared"}
    pipelines.run(model, shared, user={"username": "relation-7", "password": ODD}, **given)
    assert secret("mysql-secret") == {"username": "relation-7", "password": ODD}
    assert secret("mlpipeline-minio-artifact") == {"accesskey": "12345", "secretkey": ODD}
    pods = {
        item.to_dict()["metadata"]["name"]: item.to_dict()["spec"]["template"]["spec"]["containers"][0]
        for item in client.list(Deployment, namespace=model)
    }
    # Nowhere but in Secrets, from which Kubernetes hands them on as they are.
    assert "second line" not in str(pods)
    sources = {
        env["name"]: (name, env["valueFrom"]["secretKeyRef"]["name"], env["valueFrom"]["secretKeyRef"]["key"])
        for name, container in pods.items()
        for env in container["env"]
        if "secretKeyRef" in env.get("valueFrom", {})
    }
    assert sources == {
        "DBCONFIG_MYSQLCONFIG_USER": (API, "mysql-secret", "username"),
        "DBCONFIG_MYSQLCONFIG_PASSWORD": (API, "mysql-secret", "password"),
        "OBJECTSTORECONFIG_ACCESSKEY": (API, "mlpipeline-minio-artifact", "accesskey"),
        "OBJECTSTORECONFIG_SECRETACCESSKEY": (API, "mlpipeline-minio-artifact", "secretkey"),
        "MINIO_ACCESS_KEY": (UI, "mlpipeline-minio-artifact", "accesskey"),
        "MINIO_SECRET_KEY": (UI, "mlpipeline-minio-artifact", "secretkey"),
        "AWS_ACCESS_KEY_ID": (UI, "mlpipeline-minio-artifact", "accesskey"),
        "AWS_SECRET_ACCESS_KEY": (UI, "mlpipeline-minio-artifact", "secretkey"),
        "TENSORBOARD_PROXY_SIGNING_SECRET": (UI, "ml-pipeline-ui-signing", "key"),
        "DBCONFIG_USER": (CACHE, "mysql-secret", "username"),
        "DBCONFIG_PASSWORD": (CACHE, "mysql-secret", "password"),
    }


def test_a_rotated_key_leaves_nothing_of_the_old_one(pipelines, deployed, model, client):
    pipelines.run(model, minio={**MINIO, "secret-key": "first-of-two"})
    pipelines.run(model, minio={**MINIO, "secret-key": "second-of-two"})
    encoded = base64.b64encode(b"first-of-two").decode()
    for kind in (Secret, ConfigMap, Deployment):
        for item in client.list(kind, namespace=model):
            text = str(item.to_dict())
            assert "first-of-two" not in text
            assert encoded not in text


def test_an_option_cannot_name_a_variable_of_the_pod(pipelines, deployed, model, client):
    pipelines.run(model, {"userid-prefix": "$(POD_NAMESPACE):"})
    container = client.get(Deployment, API, namespace=model).to_dict()["spec"]["template"]["spec"][
        "containers"
    ][0]
    (prefix,) = [env["value"] for env in container["env"] if env["name"] == "KUBEFLOW_USERID_PREFIX"]
    assert prefix == "$$(POD_NAMESPACE):"  # which the kubelet writes as the option says it


def test_pipelines_as_kubernetes_objects_bring_their_webhooks_and_rights(pipelines, deployed, model, client):
    name = "pipelineversions.pipelines.kubeflow.org"
    pipelines.run(model, {"pipeline-store": "kubernetes"})
    for kind in (MutatingWebhookConfiguration, ValidatingWebhookConfiguration):
        (webhook,) = client.get(kind, name).webhooks or []
        assert webhook.clientConfig.service
        assert webhook.clientConfig.service.namespace == model
    pipelines.run(model)
    for kind in (MutatingWebhookConfiguration, ValidatingWebhookConfiguration):
        assert name not in {item.to_dict()["metadata"]["name"] for item in client.list(kind)}


def test_without_a_cache_there_is_no_cache_server(pipelines, deployed, model, generations):
    pipelines.run(model, {"cache-enabled": False})
    assert set(generations()) == WORKLOADS - {CACHE}
    pipelines.run(model)
    assert set(generations()) == WORKLOADS


def test_logs_go_where_argo_and_the_web_app_agree(pipelines, deployed, model, client):
    pipelines.run(model, {"log-archive-prefix": "/logs/of/steps", "object-store-bucket-name": "team"})
    data = client.get(ConfigMap, "workflow-controller-configmap", namespace=model).data or {}
    repository = yaml.safe_load(data["artifactRepository"])
    container = client.get(Deployment, UI, namespace=model).to_dict()["spec"]["template"]["spec"][
        "containers"
    ][0]
    said = {env["name"]: env.get("value") for env in container["env"]}
    assert repository["archiveLogs"] is True
    assert repository["s3"]["bucket"] == said["ARGO_ARCHIVE_BUCKETNAME"] == "team"
    assert repository["s3"]["keyFormat"] == said["ARGO_KEYFORMAT"]
    assert repository["s3"]["keyFormat"].startswith("logs/of/steps/{{workflow.namespace}}/")
    assert repository["s3"]["endpoint"] == f"{said['MINIO_HOST']}:{said['MINIO_PORT']}" == "minio.mlops:9000"


PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def test_with_tls_the_database_is_checked_by_every_program_that_calls_it(
    pipelines, deployed, model, client, secret
):
    pipelines.run(model, tls={"tls": "True", "tls-ca": PEM})
    assert secret("kfp-ca-bundle") == {"ca.crt": PEM}
    assert 'ca: "/kfp/certs/ca.crt"' in secret("metadata-grpc-server-config")["server.pbtxt"]
    for name in (API, CACHE, METADATA):
        pod = client.get(Deployment, name, namespace=model).to_dict()["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert "/kfp/certs" in [each["mountPath"] for each in container["volumeMounts"]]
    container = client.get(Deployment, API, namespace=model).to_dict()["spec"]["template"]["spec"][
        "containers"
    ][0]
    said = {env["name"]: env.get("value") for env in container["env"]}
    assert said["DBCONFIG_MYSQLCONFIG_EXTRAPARAMS"] == '{"tls": "true"}'
    assert said["SSL_CERT_DIR"] == "/etc/ssl/certs:/kfp/certs"
    pipelines.run(model)
    names = {item.to_dict()["metadata"]["name"] for item in client.list(Secret, namespace=model)}
    assert "kfp-ca-bundle" not in names


def test_a_store_with_an_authority_of_its_own_is_trusted_by_programs_and_runs(
    pipelines, deployed, model, client
):
    s3 = {"version": "1", "endpoint": "https://[2001:db8::7]:9000", "tls-ca-chain": json.dumps([PEM])}
    shared = {"object-store-keys": "shared"}
    state = pipelines.run(model, shared, minio=None, s3=s3, dispatcher=True)
    (relation,) = (each for each in state.relations if each.endpoint == "secrets")
    uri = relation.local_app_data["kubernetes_manifests"]
    (offered,) = (each.latest_content for each in state.secrets if each.id == uri)
    found = {each["metadata"]["name"]: each["data"] for each in json.loads(offered["manifests"])}
    assert base64.b64decode(found["kfp-ca-bundle"]["ca.crt"]).decode() == PEM
    data = client.get(ConfigMap, "workflow-controller-configmap", namespace=model).data or {}
    s3 = yaml.safe_load(data["artifactRepository"])["s3"]
    assert s3["caSecret"] == {"name": "kfp-ca-bundle", "key": "ca.crt"}
    assert (s3["endpoint"], s3["insecure"]) == ("[2001:db8::7]:9000", False)
    container = client.get(Deployment, API, namespace=model).to_dict()["spec"]["template"]["spec"][
        "containers"
    ][0]
    said = {env["name"]: env.get("value") for env in container["env"]}
    assert said["CABUNDLE_SECRET_NAME"] == "kfp-ca-bundle"
    assert said["OBJECTSTORECONFIG_HOST"] == "[2001:db8::7]"
    pipelines.run(model)


@pytest.fixture
def lease(client: lightkube.Client) -> Iterator[Callable[[str, datetime.timedelta, str], None]]:
    """Return what makes a Lease as a workflow controller does: its name, its age, and the namespace."""
    made: list[tuple[str, str]] = []

    def make(name: str, age: datetime.timedelta, namespace: str) -> None:
        renewed = datetime.datetime.now(datetime.UTC) - age
        spec = LeaseSpec(holderIdentity="wc-0", leaseDurationSeconds=15, renewTime=renewed)
        client.create(Lease(metadata=ObjectMeta(name=name, namespace=namespace), spec=spec))
        made.append((name, namespace))

    yield make
    for name, namespace in made:
        client.delete(Lease, name, namespace=namespace)


SECONDS, HOURS = datetime.timedelta(seconds=5), datetime.timedelta(hours=2)


def test_beside_another_argo_nothing_is_done_and_it_is_named(pipelines, deployed, model, client, lease):
    pipelines.run(model)
    client.delete(ConfigMap, "pipeline-install-config", namespace=model)
    lease("workflow-controller", SECONDS, "default")
    status = pipelines.run(model).unit_status
    assert status == testing.BlockedStatus(
        "Argo in namespace default acts on the same Workflows: remove it, or give it an instanceID"
    )
    assert "pipeline-install-config" not in {
        item.to_dict()["metadata"]["name"] for item in client.list(ConfigMap, namespace=model)
    }
    gone = {"spec": {"renewTime": f"{datetime.datetime.now(datetime.UTC) - HOURS:%Y-%m-%dT%H:%M:%S.%fZ}"}}
    client.patch(Lease, "workflow-controller", gone, namespace="default")
    assert pipelines.run(model).unit_status.message != status.message
    assert client.get(ConfigMap, "pipeline-install-config", namespace=model)


@pytest.mark.parametrize(
    ("name", "age", "elsewhere"),
    [
        ("workflow-controller", HOURS, True),
        ("workflow-controller-team-a", SECONDS, True),
        ("another-controller", SECONDS, True),
        ("workflow-controller", SECONDS, False),
    ],
)
def test_argos_that_are_gone_have_an_instance_id_or_are_ours_are_no_others(
    pipelines, deployed, model, lease, name, age, elsewhere
):
    lease(name, age, "default" if elsewhere else model)
    assert "Argo" not in pipelines.run(model).unit_status.message
