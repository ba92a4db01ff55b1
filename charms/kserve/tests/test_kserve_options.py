"""What options and relations make of KServe's configuration, and which the charm refuses, without a cluster."""

from __future__ import annotations

import json
from typing import Any

import ops
import pytest
from charm_harness import GATEWAY
from ops import testing

LOCAL = {"gateway_name": "knative-local-gateway", "gateway_namespace": "knative-serving"}

pytestmark = pytest.mark.usefixtures("offline")


def status(kserve: Any, config: dict[str, Any] | None = None, **said: Any) -> ops.StatusBase:
    """Return the status after a hook that ends before it writes anything."""
    found = kserve.run("mlops", config, **said).unit_status
    assert len(found.message) <= 120
    return found


@pytest.mark.parametrize(
    ("word", "mode"),
    [
        ("serverless", "Knative"),
        ("knative", "Knative"),
        ("Serverless", "Knative"),
        ("rawdeployment", "Standard"),
        ("RawDeployment", "Standard"),
        ("standard", "Standard"),
    ],
)
def test_all_four_words_for_a_mode_are_known(kserve, word, mode):
    found = kserve.settings({"deployment-mode": word}, local=(LOCAL,))
    assert found["deploy"] == {"defaultDeploymentMode": mode}


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        (
            "deployment-mode",
            "serverles",  # codespell:ignore
            "'serverles' is none of serverless, knative, rawdeployment, standard",  # codespell:ignore
        ),
        ("deployment-mode", "", "'' is none of"),
        ("domain-name", "", "is not a DNS name"),
        ("domain-name", "no domain", "is not a DNS name"),
        ("domain-name", "localhost", "'localhost' is no domain"),
        ("domain-name", "10.0.0.1", "'10.0.0.1' is no domain"),
        ("domain-name", "-x.example.com", "is not a DNS name"),
        ("http-proxy", "proxy:3128", "is no URL"),
        ("http-proxy", "http://", "is no URL"),
        ("http-proxy", "http://proxy:99999", "is no URL"),
        ("http-proxy", "http://a b:3128", "is no URL"),
        ("https-proxy", "ftp://proxy:3128", "is no URL"),
        ("https-proxy", "http://proxy:3128/path", "is no URL"),
        ("https-proxy", "http://u:s3cret@", "'http://…@' is no URL"),
        ("no-proxy", "10.0.0.0/8,exa mple", "'exa mple' is no host, domain or network"),
        ("runtimes", "[tensorflow]", "'tensorflow' is not"),
        ("runtimes", "sklearnserver", "should be a list"),
        ("inferenceservice-config", "[]", "should be an object"),
        ("inferenceservice-config", '{"agents": {}}', "agents: no such field"),
        ("inferenceservice-config", '{"agent": {"cpuLimit": "two"}}', "agent.cpuLimit: 'two' does not match"),
        ("inferenceservice-config", '{"agent": {"cpuLimit": 2}}', "agent.cpuLimit: should be text, not 2"),
        ("inferenceservice-config", '{"agent": {"image": "x"}}', "images are resources of the charm"),
        ("inferenceservice-config", '{"ingress": {"ingressDomain": "a.b"}}', "it is the option domain-name"),
        ("inferenceservice-config", '{"ingress": {"ingressGateway": "a/b"}}', "relation ingress-gateway"),
        ("inferenceservice-config", '{"deploy": {"defaultDeploymentMode": "X"}}', "option deployment-mode"),
        ("inferenceservice-config", '{"ingress": {"urlScheme": "ftp"}}', "'ftp' is not 'http' or 'https'"),
        ("custom_images", '{"configmap__agent": "not an image"}', "is no image reference"),
        ("custom_images", '{"agent": "x"}', "agent: no such field"),
        (
            "custom_images",
            '{"serving_runtimes__xgbserver": "a b:1"}',
            "serving_runtimes__xgbserver: 'a b:1' is no",
        ),
        ("custom_images", '{"serving_runtimes__xgbserver": ["x"]}', "serving_runtimes__xgbserver: "),
        ("image-registry", "https://mirror.example.com", "is no"),
        ("runtimes", "[", ""),
        ("object-store-shared-buckets", "mlflow,Not_One", "'Not_One' is no name of a bucket"),
        ("object-store-bucket-name", "x", "does not match"),
        ("grafana-prefix", "grafana", "does not match"),
    ],
)
def test_a_wrong_option_is_named_with_what_it_should_be(kserve, option, value, said):
    text = kserve.blocked({option: value})
    assert text.startswith(f"option {option}: ")
    assert said in text
    assert "s3cret" not in text


def test_every_section_of_upstreams_is_there_with_upstreams_values(kserve):
    """kubeflow/manifests 26.03, applications/kserve/kserve; `multiNode` and `service` are upstream's examples."""
    found = kserve.settings()
    assert sorted(found) == [
        "agent",
        "autoscaler",
        "batcher",
        "credentials",
        "deploy",
        "explainers",
        "inferenceService",
        "ingress",
        "localModel",
        "logger",
        "metricsAggregator",
        "multiNode",
        "opentelemetryCollector",
        "router",
        "security",
        "service",
        "storageInitializer",
    ]
    small = {"memoryRequest": "100Mi", "memoryLimit": "1Gi", "cpuRequest": "100m", "cpuLimit": "1"}
    assert found["agent"] == {"image": "kserve/agent:v0.16.0"} | small
    assert found["explainers"] == {"art": {"image": "kserve/art-explainer", "defaultImageVersion": "latest"}}
    assert found["router"] == {"image": "kserve/router:v0.16.0", "imagePullPolicy": "IfNotPresent"} | small
    assert found["localModel"]["defaultJobImage"] == "kserve/storage-initializer:v0.16.0"
    assert found["ingress"] == {
        "enableGatewayApi": False,
        "kserveIngressGateway": "istio/kubeflow-gateway",
        "ingressGateway": "istio/kubeflow-gateway",
        "localGateway": "knative-serving/knative-local-gateway",
        "localGatewayService": "knative-local-gateway.istio.svc.cluster.local",
        "ingressDomain": "example.com",
        "ingressClassName": "istio",
        "domainTemplate": "{{ .Name }}-{{ .Namespace }}.{{ .IngressDomain }}",
        "urlScheme": "http",
        "disableIstioVirtualHost": False,
        "disableIngressCreation": False,
        "pathTemplate": "/serving/{{ .Namespace }}/{{ .Name }}",
    }


def test_the_gateways_are_those_of_the_relations(kserve):
    gateway = {"gateway_name": "g", "gateway_namespace": "front"}
    local = {"gateway_name": "l", "gateway_namespace": "kn"}
    found = kserve.settings(gateways=(gateway,), local=(local,))["ingress"]
    assert found["ingressGateway"] == "front/g"
    assert found["localGateway"] == "kn/l"
    assert found["localGatewayService"] == "knative-local-gateway.front.svc.cluster.local"
    elsewhere = kserve.settings(
        {"istio-gateway-namespace": "pods", "cluster-domain": "k8s.example"}, gateways=(gateway,)
    )
    assert elsewhere["ingress"]["localGatewayService"] == "knative-local-gateway.pods.svc.k8s.example"


CHANGES = {
    "agent": {"cpuLimit": "2"},
    "autoscaler": {"scaleUpStabilizationWindowSeconds": "60"},
    "batcher": {"maxBatchSize": "64", "maxLatency": "100"},
    "credentials": {
        "gcs": {"gcsCredentialFileName": "key.json"},
        "s3": {"s3Region": "eu", "s3VerifySSL": "0"},
    },
    "deploy": {"deploymentRolloutStrategy": {"defaultRollout": {"maxSurge": "1", "maxUnavailable": "25%"}}},
    "inferenceService": {"resource": {"cpuLimit": "4"}, "serviceLabelDisallowedList": ["a/b"]},
    "ingress": {"urlScheme": "https", "additionalIngressDomains": ["b.example.com"]},
    "localModel": {"enabled": True, "jobTTLSecondsAfterFinished": 60},
    "logger": {"defaultUrl": "http://sink", "tlsSkipVerify": True, "storage": {"path": "logs"}},
    "metricsAggregator": {"enableMetricAggregation": "true"},
    "multiNode": {"customGPUResourceTypeList": ["example.com/gpu"]},
    "opentelemetryCollector": {"scrapeInterval": "10s", "resource": {"memoryLimit": "1Gi"}},
    "router": {"headers": {"propagate": ["Authorization"]}},
    "security": {"autoMountServiceAccountToken": False},
    "service": {"serviceClusterIPNone": True},
    "storageInitializer": {"enableModelcar": False, "memoryLimit": "4Gi"},
}


def test_every_section_is_changed_field_by_field(kserve):
    before, after = kserve.settings(), kserve.settings({"inferenceservice-config": json.dumps(CHANGES)})
    for name, change in CHANGES.items():
        assert after[name] == merged(before[name], change), name
    assert after["explainers"] == before["explainers"]


def merged(before: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Return what a change leaves of a section."""
    found = dict(before)
    for name, value in change.items():
        old = found.get(name)
        found[name] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return found


def test_the_controller_starts_again_when_what_it_reads_once_changes(kserve, offline):
    def started(options: dict[str, Any] | None = None) -> str:
        pod = kserve.render(options)["Deployment/kserve-controller-manager"]["spec"]["template"]
        return pod["metadata"]["annotations"]["kubeflow.org/settings"]

    before = started()
    assert started({"inferenceservice-config": '{"agent": {"cpuLimit": "2"}}'}) == before
    assert started({"domain-name": "models.example.com"}) != before
    assert started({"inferenceservice-config": '{"multiNode": {"customGPUResourceTypeList": []}}'}) != before
    offline["kinds"] = {"virtualservices.networking.istio.io"}
    assert started() != before
    offline["kinds"] = set(offline["kinds"]) | {"services.serving.knative.dev", "others.example.com"}
    assert started() == before


# Knative


@pytest.mark.parametrize("word", ["serverless", "knative"])
def test_without_knative_serverless_is_blocked_with_the_cure(kserve, word):
    found = status(kserve, {"deployment-mode": word})
    assert isinstance(found, testing.BlockedStatus)
    assert found.message == (
        f"deployment-mode={word} needs Knative: juju integrate kserve:local-gateway knative-serving"
    )


def test_all_missing_gateways_are_named_at_once(kserve):
    found = status(kserve, {"deployment-mode": "serverless"}, gateways=())
    assert found.message.startswith("relations ingress-gateway, local-gateway missing: ")


@pytest.mark.parametrize("feature", ["affinity", "nodeselector", "tolerations"])
@pytest.mark.parametrize("value", [None, "disabled", "Disabled", "no"])
def test_a_feature_that_is_off_blocks_with_the_cure(kserve, offline, feature, value):
    key = f"kubernetes.podspec-{feature}"
    del offline["settings"]["config-features"][key]
    if value:
        offline["settings"]["config-features"][key] = value
    found = status(kserve, {"deployment-mode": "serverless"}, local=(LOCAL,))
    assert found == testing.BlockedStatus(
        f"Knative's {key} is off: kubectl edit knativeserving -n knative-serving"
    )


@pytest.mark.parametrize("value", ["enabled", "allowed", "Enabled"])
def test_a_feature_that_a_pod_may_ask_for_is_on(kserve, offline, value):
    offline["settings"]["config-features"]["kubernetes.podspec-tolerations"] = value
    assert kserve.settings({"deployment-mode": "serverless"}, local=(LOCAL,))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kinds": set()}, "Knative: its kind Service is not there yet; see juju status of knative-serving"),
        ({"settings": {}}, "Knative: no ConfigMap config-features in namespace knative-serving yet"),
    ],
)
def test_a_knative_that_is_not_there_yet_is_waited_for(kserve, offline, change, said):
    offline.update(change)
    assert status(kserve, {"deployment-mode": "knative"}, local=(LOCAL,)) == testing.WaitingStatus(said)


def test_nothing_of_knative_is_needed_for_plain_deployments(kserve, offline):
    offline.update(kinds=set(), settings={})
    assert kserve.settings()["deploy"] == {"defaultDeploymentMode": "Standard"}


@pytest.mark.parametrize(
    ("data", "state", "said"),
    [
        ({}, testing.WaitingStatus, "no data on local-gateway yet"),
        ({"gateway_name": "x"}, testing.WaitingStatus, "no data on local-gateway yet"),
        ({"gateway_name": "x", "gateway_namespace": "a/b"}, testing.BlockedStatus, "sent wrong data"),
        ({"gateway_name": "x y", "gateway_namespace": "a"}, testing.BlockedStatus, "sent wrong data"),
        (LOCAL | {"gateway_up": "perhaps"}, testing.BlockedStatus, "sent wrong data"),
        (LOCAL | {"gateway_up": "false"}, testing.WaitingStatus, "is not up yet"),
    ],
)
@pytest.mark.parametrize("endpoint", ["local", "gateways"])
def test_garbage_on_a_gateway_is_blamed_on_its_sender(kserve, data, state, said, endpoint):
    related = {"local": (LOCAL,), "gateways": (GATEWAY,)} | {endpoint: (data,)}
    found = status(kserve, {"deployment-mode": "serverless"}, **related)
    assert isinstance(found, state)
    sender = {"local": "knative-serving-0", "gateways": "istio-pilot-0"}[endpoint]
    assert found.message.startswith(sender)
    assert said.replace(
        "local-gateway", {"local": "local-gateway", "gateways": "ingress-gateway"}[endpoint]
    ) in (found.message)


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        (
            "gateways",
            "ingress-gateway is related twice: juju remove-relation kserve:ingress-gateway istio-pilot-1",
        ),
        (
            "local",
            "local-gateway is related twice: juju remove-relation kserve:local-gateway knative-serving-1",
        ),
    ],
)
def test_a_gateway_that_is_related_twice_blocks(kserve, endpoint, said):
    twice = {"gateways": (GATEWAY, GATEWAY), "local": (LOCAL, LOCAL)}[endpoint]
    related = {"local": (LOCAL,)} | {endpoint: twice}
    assert status(kserve, {"deployment-mode": "serverless"}, **related) == testing.BlockedStatus(said)
