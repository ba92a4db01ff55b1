"""What KServe's webhooks fill in, put into pods and refuse."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from open_types import open_definition
from webhook_bench import Kube, Webhook, define, denial, eventually

CERTIFICATES = "/tmp/k8s-webhook-server/serving-certs"
MUTATING, VALIDATING = "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"
GROUP = "serving.kserve.io"
INTERNAL = "internal.serving.kserve.io"
LOADER = {
    "image": "kserve/storage-initializer:v0.16.0",
    "memoryRequest": "100Mi",
    "memoryLimit": "1Gi",
    "cpuRequest": "100m",
    "cpuLimit": "1",
    "enableModelcar": True,
    "caBundleConfigMapName": "",
}
CONFIG = {
    "deploy": {"defaultDeploymentMode": "RawDeployment"},
    "ingress": {"ingressGateway": "a/b"},
    "inferenceService": {
        "resource": {"cpuLimit": "1", "memoryLimit": "2Gi", "cpuRequest": "1", "memoryRequest": "2Gi"}
    },
    "security": {"autoMountServiceAccountToken": False},
    "storageInitializer": LOADER,
    "credentials": {"storageSpecSecretName": "storage-config", "s3": {}},
    "agent": {"image": "kserve/agent:v0.16.0", "cpuRequest": "100m", "cpuLimit": "1"},
    "metricsAggregator": {"enableMetricAggregation": "false", "enablePrometheusScraping": "true"},
}


@pytest.fixture(scope="module")
def defined(kube: Kube) -> None:
    define(kube, open_definition(GROUP, "InferenceService", "inferenceservices", ["v1beta1"]))
    for kind in ("ServingRuntime", "InferenceGraph"):
        define(kube, open_definition(GROUP, kind, f"{kind.lower()}s", ["v1alpha1"]))
    containers = open_definition(
        GROUP, "ClusterStorageContainer", "clusterstoragecontainers", ["v1alpha1"], "Cluster"
    )
    define(kube, containers)


class KServe:
    """KServe's webhooks, deployed, and a namespace of users."""

    def __init__(self, kube: Kube, hook: Webhook, users: str):
        self.kube, self.hook, self.users = kube, hook, users
        resources = [
            (GROUP, each) for each in ("clusterstoragecontainers", "servingruntimes", "inferenceservices")
        ]
        hook.may(
            ["get", "list"],
            *resources,
            *(("", each) for each in ("configmaps", "secrets", "serviceaccounts")),
        )
        self.set(CONFIG)

    def set(self, config: dict[str, Any]) -> None:
        data = {name: json.dumps(said) for name, said in config.items()}
        self.kube.apply("ConfigMap", "inferenceservice-config", self.hook.namespace, data=data)

    def configure(self, verb: str, resource: str = "inferenceservices") -> None:
        name = {"inferenceservices": "v1beta1-inferenceservice"}.get(resource, f"v1alpha1-{resource[:-1]}")
        path = "/mutate-pods" if resource == "pods" else f"/{verb}-serving-kserve-io-{name}"
        kind = MUTATING if verb == "mutate" else VALIDATING
        group = "" if resource == "pods" else GROUP
        self.hook.configure(self.users, path=path, resource=(group, resource), kind=kind, versions=("v1",))

    def serve(self, name: str = "iris", **said: Any) -> Any:
        metadata = said.pop("metadata", {})
        spec = said or {"predictor": {"sklearn": {"storageUri": "s3://models/iris"}}}
        return self.kube.create("InferenceService", name, self.users, dry=True, spec=spec, metadata=metadata)

    def pod(
        self, uri: str = "s3://models/iris", annotations: dict[str, str] | None = None, **spec: Any
    ) -> Any:
        about = {f"{INTERNAL}/storage-initializer-sourceuri": uri} if uri else {}
        metadata = {
            "labels": {f"{GROUP}/inferenceservice": "iris"},
            "annotations": {**about, **(annotations or {})},
        }
        containers = [{"name": "kserve-container", "image": "server:1"}]
        return self.kube.create(
            "Pod", "pod", self.users, dry=True, metadata=metadata, spec={"containers": containers, **spec}
        )

    def loader(self, *args: Any, **said: Any) -> Any:
        """Return the container that loads the model, as soon as the webhook adds it."""
        pod = eventually(lambda: (found := self.pod(*args, **said))["spec"].get("initContainers") and found)
        return pod["spec"]["initContainers"][0]

    def secret(self, name: str, annotations: dict[str, str] | None = None, **data: str) -> None:
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        self.kube.create(
            "Secret", name, self.users, metadata={"annotations": annotations or {}}, data=encoded
        )


@pytest.fixture
def kserve(kube: Kube, deploy: Callable[..., Webhook], users: str, defined: None) -> KServe:
    env = [{"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}]
    hook = deploy("example.com/kserve/kserve-controller:v0.16.0", 9443, CERTIFICATES, container={"env": env})
    return KServe(kube, hook, users)


def variables(container: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container.get("env", [])}


def test_what_goes_without_saying_is_filled_in(kserve: KServe):
    kserve.configure("mutate")
    said = eventually(lambda: (made := kserve.serve())["metadata"].get("annotations") and made)
    assert said["metadata"]["annotations"] == {f"{GROUP}/deploymentMode": "Standard"}
    assert said["spec"]["predictor"] == {
        "automountServiceAccountToken": False,
        "model": {"modelFormat": {"name": "sklearn"}, "storageUri": "s3://models/iris"},
    }
    triton = kserve.serve(predictor={"triton": {"storageUri": "s3://a"}})["spec"]["predictor"]["model"]
    assert triton["protocolVersion"] == "v2"
    own = {"containers": [{"image": "own:1", "resources": {"limits": {"cpu": "4"}}}]}
    custom = kserve.serve(predictor=own, transformer=own)["spec"]
    for component in ("predictor", "transformer"):
        (container,) = custom[component]["containers"]
        assert container["name"] == "kserve-container"
        assert container["resources"]["limits"] == {"cpu": "4", "memory": "2Gi"}
    kserve.set({**CONFIG, "deploy": {"defaultDeploymentMode": "Serverless"}})
    assert "annotations" not in kserve.serve()["metadata"]


def test_what_is_wrong_is_refused(kserve: KServe):
    kserve.configure("validate")

    def refusal(name: str = "iris", annotations: dict[str, str] | None = None, **said: Any) -> str:
        return denial(lambda: kserve.serve(name, metadata={"annotations": annotations or {}}, **said))

    model = {"modelFormat": {"name": "sklearn"}, "storageUri": "s3://a"}
    eventually(lambda: refusal("1iris", predictor={"model": model}))
    assert refusal(predictor={"model": model}) == ""
    assert "must start with alphabetical character" in refusal("1iris", predictor={"model": model})
    assert "exactly one of" in refusal(predictor={})
    assert "MinReplicas cannot be greater" in refusal(
        predictor={"model": model, "minReplicas": 3, "maxReplicas": 2}
    )
    assert "[cpu] is not a supported metric" in refusal(predictor={"model": model, "scaleMetric": "cpu"})
    standard = {f"{GROUP}/deploymentMode": "Standard"}
    assert refusal(annotations=standard, predictor={"model": model, "scaleMetric": "cpu"}) == ""
    assert "not a supported autoscaler" in refusal(
        annotations={f"{GROUP}/autoscalerClass": "mine"}, predictor={"model": model}
    )
    nodes = {"model": model, "workerSpec": {}}
    assert "Multinode only supports 'pvc' and 'oci'" in refusal(predictor=nodes)


def test_a_model_is_loaded_with_the_credentials_of_the_account(kserve: KServe):
    kserve.secret(
        "store",
        {f"{GROUP}/s3-endpoint": "minio.kubeflow:9000", f"{GROUP}/s3-usehttps": "0"},
        awsAccessKeyID="key",
        awsSecretAccessKey="secret",
    )
    kserve.kube.create("ServiceAccount", "models", kserve.users, secrets=[{"name": "store"}])
    kserve.configure("mutate", "pods")
    loader = kserve.loader(serviceAccountName="models")
    assert loader["image"] == "kserve/storage-initializer:v0.16.0"
    assert loader["args"] == ["s3://models/iris", "/mnt/models"]
    assert loader["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}
    found = variables(loader)
    assert found["S3_ENDPOINT"] == "minio.kubeflow:9000"
    assert found["AWS_ENDPOINT_URL"] == "http://minio.kubeflow:9000"
    reference = {"secretKeyRef": {"name": "store", "key": "awsAccessKeyID"}}
    assert found["AWS_ACCESS_KEY_ID"] == reference
    assert found["HF_HUB_ENABLE_HF_TRANSFER"] == "1"
    pod = kserve.pod(serviceAccountName="models")
    mounts = {each["name"]: each for each in pod["spec"]["containers"][0]["volumeMounts"]}
    assert mounts["kserve-provision-location"]["mountPath"] == "/mnt/models"
    assert mounts["kserve-provision-location"]["readOnly"] is True
    assert pod["metadata"]["annotations"]["prometheus.io/port"] == "9091"


def test_a_storage_key_says_where_and_with_what(kserve: KServe):
    kserve.secret("storage-config", minio=json.dumps({"type": "s3", "bucket": "models"}))
    kserve.configure("mutate", "pods")
    annotations = {f"{INTERNAL}/storage-spec": "true", f"{INTERNAL}/storage-spec-key": "minio"}
    loader = kserve.loader("<scheme-placeholder>://iris", annotations)
    assert loader["args"] == ["s3://models/iris", "/mnt/models"]
    assert variables(loader)["STORAGE_CONFIG"] == {"secretKeyRef": {"name": "storage-config", "key": "minio"}}
    wrong = {**annotations, f"{INTERNAL}/storage-spec-key": "other"}
    assert "specified storage key other not found in storage secret storage-config" in denial(
        lambda: kserve.pod("<scheme-placeholder>://iris", wrong)
    )


def test_a_claim_is_mounted_and_an_image_stands_beside(kserve: KServe):
    kserve.configure("mutate", "pods")
    kserve.loader()
    spec = kserve.pod("pvc://data/models/iris")["spec"]
    assert "initContainers" not in spec
    (mount,) = [each for each in spec["containers"][0]["volumeMounts"] if each["name"] == "kserve-pvc-source"]
    assert (mount["mountPath"], mount["subPath"]) == ("/mnt/models", "models/iris")
    spec = kserve.pod("oci://registry/model:1")["spec"]
    assert [each["name"] for each in spec["containers"]] == ["kserve-container", "modelcar"]
    assert spec["shareProcessNamespace"] is True


def test_an_agent_stands_beside_a_server_that_is_logged(kserve: KServe):
    kserve.configure("mutate", "pods")
    kserve.loader()
    annotations = {
        f"{INTERNAL}/logger": "true",
        f"{INTERNAL}/logger-sink-url": "http://sink",
        f"{INTERNAL}/batcher": "true",
    }
    agent = kserve.pod(annotations=annotations)["spec"]["containers"][1]
    assert (agent["name"], agent["image"]) == ("agent", "kserve/agent:v0.16.0")
    assert agent["args"][:1] == ["--enable-batcher"]
    assert "http://sink" in agent["args"]
    assert agent["args"][-2:] == ["--component-port", "8080"]


def test_two_runtimes_cannot_have_the_same_priority(kserve: KServe):
    kserve.configure("validate", "servingruntimes")
    runtime = {
        "supportedModelFormats": [{"name": "sklearn", "autoSelect": True, "priority": 1}],
        "protocolVersions": ["v1"],
        "containers": [{"name": "kserve-container", "image": "server:1"}],
    }
    create = kserve.kube.create
    create("ServingRuntime", "one", kserve.users, spec=runtime)
    words = eventually(
        lambda: denial(lambda: create("ServingRuntime", "two", kserve.users, dry=True, spec=runtime))
    )
    assert "same priority assigned for the model format sklearn in the servingruntimes one and two" in words
    kserve.configure("validate", "inferencegraphs")
    step = {"serviceName": "iris", "weight": 60}
    splitter = {"nodes": {"root": {"routerType": "Splitter", "steps": [step]}}}
    graph = lambda: create("InferenceGraph", "graph", kserve.users, dry=True, spec=splitter)  # noqa: E731
    assert "the sum of traffic weights for all routing targets should be 100" in eventually(
        lambda: denial(graph)
    )
