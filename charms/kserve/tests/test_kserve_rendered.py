"""The programs, runtimes and webhooks, compared with upstream's, without a cluster."""

from __future__ import annotations

import base64
import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from kubeflow_charm.cluster.executor import Cluster
from kubeflow_charm.gpu.pools import discover
from rehearsal.cluster import nodes

NODE_FILES = Path(nodes.__file__).with_name("nodes")
CONTROLLER, LLM = "kserve-controller-manager", "llmisvc-controller-manager"
LOCAL = "kserve-localmodel-controller-manager"
CHECKS = {
    "clusterservingruntime": ("kserve", "v1alpha1", "CREATE UPDATE"),
    "inferencegraph": ("kserve", "v1alpha1", "CREATE UPDATE"),
    "inferenceservice": ("kserve", "v1beta1", "CREATE UPDATE"),
    "llminferenceservice": ("llmisvc", "v1alpha1", "CREATE UPDATE"),
    "localmodelcache": ("kserve", "v1alpha1", "CREATE UPDATE DELETE"),
    "servingruntime": ("kserve", "v1alpha1", "CREATE UPDATE"),
    "trainedmodel": ("kserve", "v1alpha1", "CREATE UPDATE"),
}
"""Kind to service, version and operations (kserve v0.16.0, config/webhook; kubeflow/manifests 26.03 leaves out
the eighth check)."""

pytestmark = pytest.mark.usefixtures("offline")


def containers(objects: dict[str, Any], workload: str) -> dict[str, dict[str, Any]]:
    """Return the containers of a Deployment by their names."""
    pod = objects[f"Deployment/{workload}"]["spec"]["template"]["spec"]
    return {each["name"]: each for each in pod["containers"]}


def test_the_controllers_run_as_upstream_runs_them(kserve):
    objects = kserve.render()
    manager = containers(objects, CONTROLLER)["manager"]
    assert manager["command"] == ["/manager"]
    assert manager["args"] == ["--metrics-addr=:8080", "--leader-elect"]
    assert {each["name"] for each in manager["env"]} == {"POD_NAMESPACE", "SECRET_NAME"}
    assert containers(objects, LLM)["manager"]["args"] == [
        "--metrics-addr=:8080",
        "--metrics-secure=false",
        "--leader-elect",
    ]
    assert "args" not in containers(objects, LOCAL)["manager"]
    web = containers(objects, "kserve-models-web-app")["kserve-models-web-app"]
    assert {each["name"]: each["value"] for each in web["env"]} == {
        "APP_PREFIX": "/kserve-endpoints",
        "APP_SECURE_COOKIES": "false",
        "GRAFANA_PREFIX": "/grafana",
        "GRAFANA_CPU_MEMORY_DB": "db/knative-serving-revision-cpu-and-memory-usage",
        "GRAFANA_HTTP_REQUESTS_DB": "db/knative-serving-revision-http-requests",
        "GUNICORN_CMD_ARGS": "--limit-request-field_size 32000",
        "USERID_HEADER": "kubeflow-userid",
        "USERID_PREFIX": "",
    }


@pytest.mark.parametrize(
    ("option", "workload", "check"),
    [("llm-inference", LLM, "llminferenceservice"), ("local-models", LOCAL, "localmodelcache")],
)
def test_a_part_that_is_left_out_leaves_its_types_and_nothing_else(kserve, option, workload, check):
    whole, less = kserve.render(), kserve.render({option: False})
    gone = {name for name in whole if name not in less}
    assert f"Deployment/{workload}" in gone
    assert f"ServiceAccount/{workload}" in gone
    assert f"ValidatingWebhookConfiguration/{check}.serving.kserve.io" in gone
    assert not any(name.startswith("CustomResourceDefinition/") for name in gone)
    assert f"Deployment/{CONTROLLER}" in less


def test_all_thirteen_definitions_are_there(kserve):
    found = {
        name.partition("/")[2] for name in kserve.render() if name.startswith("CustomResourceDefinition/")
    }
    serving = (
        "clusterservingruntimes clusterstoragecontainers inferencegraphs inferenceservices "
        "llminferenceserviceconfigs llminferenceservices localmodelcaches localmodelnodegroups localmodelnodes "
        "servingruntimes trainedmodels"
    )
    assert found == {
        *(f"{name}.serving.kserve.io" for name in serving.split()),
        "inferencemodels.inference.networking.x-k8s.io",
        "inferencepools.inference.networking.x-k8s.io",
    }


def test_the_definitions_fit_into_etcd_with_room(kserve):
    """It takes objects of 1.5 MiB; and the API server takes long for large ones."""
    sizes = {
        name: len(json.dumps(item))
        for name, item in kserve.render().items()
        if name.startswith("CustomResourceDefinition/")
    }
    assert max(sizes.values()) < 450_000
    assert sum(sizes.values()) < 1_400_000


@pytest.mark.parametrize("kind", CHECKS)
def test_a_check_is_upstreams_and_its_certificate_is_that_of_its_service(kserve, kind):
    objects = kserve.render(model="mlops")
    service, version, operations = CHECKS[kind]
    (hook,) = objects[f"ValidatingWebhookConfiguration/{kind}.serving.kserve.io"]["webhooks"]
    assert hook["name"] == f"{kind}.kserve-webhook-server.validator"
    client = hook["clientConfig"]
    assert client["service"] == {
        "name": f"{service}-webhook-server-service",
        "namespace": "mlops",
        "path": f"/validate-serving-kserve-io-{version}-{kind}",
        "port": 443,
    }
    (rule,) = hook["rules"]
    assert rule["resources"] == [f"{kind}s"]
    assert rule["operations"] == operations.split()
    assert hook["failurePolicy"] == "Fail"
    assert hook["matchConditions"][0]["name"] == "not-being-deleted"
    secret = objects[f"Secret/{service}-webhook-server-cert"]["data"]
    assert client["caBundle"] == secret["ca.crt"]
    served = x509.load_pem_x509_certificate(base64.b64decode(secret["tls.crt"]))
    names = served.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert f"{service}-webhook-server-service.mlops.svc" in names.get_values_for_type(x509.DNSName)


def test_pods_of_models_only_are_changed(kserve):
    defaulter, pods = kserve.render()["MutatingWebhookConfiguration/inferenceservice.serving.kserve.io"][
        "webhooks"
    ]
    assert (
        defaulter["clientConfig"]["service"]["path"] == "/mutate-serving-kserve-io-v1beta1-inferenceservice"
    )
    assert pods["clientConfig"]["service"]["path"] == "/mutate-pods"
    (selected,) = pods["objectSelector"]["matchExpressions"]
    assert selected == {"key": "serving.kserve.io/inferenceservice", "operator": "Exists"}
    assert pods["reinvocationPolicy"] == "IfNeeded"


def test_our_own_runtimes_do_not_wait_for_the_pod_that_checks_runtimes(kserve):
    (hook,) = kserve.render(model="mlops")[
        "ValidatingWebhookConfiguration/clusterservingruntime.serving.kserve.io"
    ]["webhooks"]
    (other,) = hook["objectSelector"]["matchExpressions"]
    assert other == {"key": "app.kubernetes.io/instance", "operator": "NotIn", "values": ["mlops.kserve"]}


SERVING = "inferencegraphs inferenceservices servingruntimes trainedmodels llminferenceservices llminferenceserviceconfigs"
KNATIVE = " ".join(f"{kind} {kind}/status" for kind in ("services", "routes", "configurations", "revisions"))
ROLES = {
    "kubeflow-kserve-edit": "get list watch create delete deletecollection patch update",
    "kubeflow-kserve-view": "get list watch",
}


@pytest.mark.parametrize("role", ROLES)
def test_users_may_what_upstreams_roles_give(kserve, role):
    """kubeflow/manifests 26.03, applications/kserve/kserve/aggregated-roles.yaml, with its misspelling mended."""
    serving, knative = kserve.render()[f"ClusterRole/{role}"]["rules"]
    assert serving == {
        "apiGroups": ["serving.kserve.io"],
        "resources": SERVING.split(),
        "verbs": ROLES[role].split(),
    }
    assert knative["resources"] == KNATIVE.split()
    assert set(knative["verbs"]) == set(ROLES[role].split()) - ({"watch"} if role.endswith("view") else set())


# Runtimes

RUNTIMES = [
    "huggingfaceserver",
    "huggingfaceserver-multinode",
    "lgbserver",
    "mlserver",
    "paddleserver",
    "pmmlserver",
    "sklearnserver",
    "tensorflow-serving",
    "torchserve",
    "tritonserver",
    "xgbserver",
]


@pytest.fixture
def made(kserve: Any) -> Any:
    """Return the runtimes of some options, by name."""
    module = importlib.import_module("serving_runtimes")
    images_of = importlib.import_module("kubeflow_charm.images").Images

    def make(
        options: dict[str, Any] | None = None, credentials: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        config = kserve.config(options)
        resources = {
            name: resource["upstream-source"] for name, resource in kserve._metadata["resources"].items()
        }
        asking = images_of(resources, credentials or {})
        found = module.made("kserve", config, config.serving_images(resources), asking, None)
        return {each["metadata"]["name"]: each for each in found}

    return make


def test_the_eleven_runtimes_of_upstream_are_there_and_what_fetches_models(made):
    found = made()
    assert list(found) == [*(f"kserve-{name}" for name in RUNTIMES), "default"]
    formats = {
        (name.removeprefix("kserve-"), each["name"], each["version"], each.get("priority"))
        for name, item in found.items()
        for each in item["spec"].get("supportedModelFormats", ())
    }
    assert formats == {
        ("huggingfaceserver", "huggingface", "1", 1),
        ("huggingfaceserver-multinode", "huggingface", "1", 2),
        ("lgbserver", "lightgbm", "3", 1),
        *(("mlserver", "sklearn", version, 2) for version in "01"),
        *(("mlserver", "xgboost", version, 2) for version in "12"),
        *(("mlserver", "lightgbm", version, 2) for version in "34"),
        *(("mlserver", "mlflow", version, 1) for version in "12"),
        ("paddleserver", "paddle", "2", 1),
        *(("pmmlserver", "pmml", version, 1) for version in "34"),
        ("sklearnserver", "sklearn", "1", 1),
        *(("tensorflow-serving", "tensorflow", version, 2) for version in "12"),
        ("torchserve", "pytorch", "1", 2),
        ("tritonserver", "tensorrt", "8", 1),
        *(("tritonserver", "tensorflow", version, 1) for version in "12"),
        ("tritonserver", "onnx", "1", 1),
        ("tritonserver", "pytorch", "1", None),
        ("tritonserver", "triton", "2", 1),
        ("xgbserver", "xgboost", "1", 1),
    }


def test_only_the_chosen_runtimes_are_there(made):
    assert list(made({"runtimes": "[xgbserver, sklearnserver]"})) == [
        "kserve-sklearnserver",
        "kserve-xgbserver",
        "default",
    ]


def test_images_are_resources_one_mirror_serves_them_all_and_the_old_option_wins(made):
    def image(found: dict[str, Any], name: str) -> str:
        return found[f"kserve-{name}"]["spec"]["containers"][0]["image"]

    mirror = {"image-registry": "mirror.example.com:5000/kf"}
    assert image(made(), "tritonserver") == "nvcr.io/nvidia/tritonserver:23.05-py3"
    old = made(mirror | {"custom_images": json.dumps({"serving_runtimes__xgbserver": "quay.io/me/xgb:1"})})
    assert image(old, "xgbserver") == "mirror.example.com:5000/kf/me/xgb:1"
    empty = made({"custom_images": json.dumps({"serving_runtimes__xgbserver": ""})})
    assert image(empty, "xgbserver") == image(made(), "xgbserver")


def test_a_registry_that_asks_is_answered_by_the_pods_of_its_runtimes_only(made):
    found = made(credentials={"docker.io/kserve/xgbserver": ("me", "secret")})
    assert found["kserve-xgbserver"]["spec"]["imagePullSecrets"] == [{"name": "kserve-image-pull"}]
    assert "imagePullSecrets" not in found["kserve-sklearnserver"]["spec"]


def test_what_fetches_models_goes_through_the_proxies_but_not_to_the_cluster(made):
    assert "env" not in made()["default"]["spec"]["container"]
    options = {"http-proxy": "http://p:3128", "https-proxy": "http://p:3128", "no-proxy": "10.0.0.0/8, .corp"}
    found = {each["name"]: each["value"] for each in made(options)["default"]["spec"]["container"]["env"]}
    assert found["HTTP_PROXY"] == found["http_proxy"] == found["HTTPS_PROXY"] == "http://p:3128"
    assert (
        found["NO_PROXY"] == found["no_proxy"] == "10.0.0.0/8,.corp,localhost,127.0.0.1,.svc,.cluster.local"
    )


def test_images_that_kserve_derives_for_gpus_are_listed(kserve):
    context = kserve.context()
    context.run(context.on.action("list-images"), kserve.state("mlops"))
    listed = context.action_results["images"].splitlines()
    for image in (
        "kserve/huggingfaceserver:v0.16.0-gpu",
        "tensorflow/serving:2.6.2-gpu",
        "pytorch/torchserve-kfs:0.9.0-gpu",
        "kserve/storage-initializer:v0.16.0",
        "ghcr.io/llm-d/llm-d-inference-scheduler:v0.2.0",
    ):
        assert image in listed


# What LLMInferenceServices have in common


def test_the_configurations_of_llms_are_those_that_kserve_looks_for_and_conform_to_restricted(kserve):
    module = importlib.import_module("llm_configs")
    found = {each["metadata"]["name"]: each["spec"] for each in module.configs(IMAGES, "")}
    ends = "template decode-template prefill-template worker-data-parallel decode-worker-data-parallel"
    more = "prefill-worker-data-parallel router-route scheduler"
    assert set(found) == {f"kserve-config-llm-{end}" for end in f"{ends} {more}".split()}
    pods = module._pods(found)
    assert len(pods) == 10
    for pod in pods:
        for container in (*pod["containers"], *pod.get("initContainers", ())):
            security = container["securityContext"]
            assert security["runAsNonRoot"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert security["allowPrivilegeEscalation"] is False


IMAGES = {
    name: f"example.com/{name}:1" for name in ("llm-d", "llm-d-routing-sidecar", "llm-d-inference-scheduler")
}


# GPUs


@pytest.mark.parametrize(
    ("options", "served", "labels"),
    [
        (
            {},
            True,
            [
                [("serving.kserve.io/inferenceservice", "Exists", None)],
                [("serving.kserve.io/inferencegraph", "Exists", None)],
                [("app.kubernetes.io/part-of", "llminferenceservice")],
            ],
        ),
        (
            {"llm-inference": False},
            True,
            [
                [("serving.kserve.io/inferenceservice", "Exists", None)],
                [("serving.kserve.io/inferencegraph", "Exists", None)],
            ],
        ),
        (
            {},
            False,
            [
                [("component", "predictor")],
                [("component", "transformer")],
                [("component", "explainer")],
                [("app.kubernetes.io/part-of", "llminferenceservice")],
            ],
        ),
    ],
)
def test_pods_of_models_are_placed_by_their_labels(kserve, options, served, labels):
    """By a policy; where the API server has none, by PodDefaults, which select one value each."""
    found = importlib.import_module("serving_pods").policies(
        kserve.config(options), discover(nodes.load(NODE_FILES / "default.yaml")), served=served
    )
    selectors = [
        each["spec"]["matchConstraints"]["objectSelector"] if served else each["spec"]["selector"]
        for each in found
        if each["kind"] != "MutatingAdmissionPolicyBinding"
    ]
    said = [
        [*selector.get("matchLabels", {}).items()]
        or [(each["key"], each["operator"], None) for each in selector["matchExpressions"]]
        for selector in selectors
    ]
    assert said == labels


# Who may call a model


def test_policies_of_profiles_let_in_the_profile_the_platform_and_knative(kserve):
    module = importlib.import_module("model_access")
    placed = module.spread(["ada", "bob"], ("mlops", "istio"), "knative-serving")
    assert all(where == ["ada", "bob"] for _, where in placed)
    *networks, mesh = [each for each, _ in placed]
    for policy in networks:
        (rule,) = policy["spec"]["ingress"]
        own, others = rule["from"]
        assert own == {"podSelector": {}}
        (names,) = others["namespaceSelector"]["matchExpressions"]
        assert names["values"] == ["istio", "knative-serving", "mlops"]
    (rule,) = mesh["spec"]["rules"]
    assert rule["from"] == [{"source": {"namespaces": ["knative-serving"]}}]
    assert [each["kind"] for each, _ in module.spread(["ada"], ("mlops",), "")] == ["NetworkPolicy"] * 3


@pytest.mark.parametrize(("served", "kept"), [(True, 3), (False, 0)])
def test_policies_for_gpus_are_objects_of_the_application_where_the_api_server_has_them(
    kserve, monkeypatch, served, kept
):
    monkeypatch.setattr(Cluster, "nodes", lambda _: nodes.load(NODE_FILES / "default.yaml"))
    monkeypatch.setattr(Cluster, "serves", lambda *_: served)
    objects = kserve.render({"gpu-discovery": True})
    assert len([name for name in objects if name.startswith("MutatingAdmissionPolicy/")]) == kept


def test_names_are_checked_unless_somebody_else_says_what_addresses_are(kserve):
    module = importlib.import_module("serving_names")
    assert len(module.checks(kserve.config())) == 4
    for mode, usual in (("serverless", False), ("standard", True)):
        (condition,) = module.checks(kserve.config({"deployment-mode": mode}))[2]["spec"]["matchConditions"]
        assert condition["expression"].startswith("!(has(object.metadata.annotations)") is usual
    own = '{"ingress": {"domainTemplate": "{{ .Name }}.{{ .Namespace }}.{{ .IngressDomain }}"}}'
    assert module.checks(kserve.config({"inferenceservice-config": own})) == []
