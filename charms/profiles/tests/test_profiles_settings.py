"""What options and relations become: objects, statuses, and what the dashboard is told."""

from __future__ import annotations

from typing import Any

import ops
import pytest
import yaml

HERE = "cluster.local/ns/mlops/sa"
NOBODY = "cluster.local/ns/-/sa/-"


def container(objects: dict[str, Any], name: str) -> dict[str, Any]:
    pod = objects["Deployment/profiles-deployment"]["spec"]["template"]["spec"]
    return next(item for item in pod["containers"] if item["name"] == name)


def labels_file(objects: dict[str, Any]) -> dict[str, str]:
    return yaml.safe_load(objects["ConfigMap/namespace-labels-data"]["data"]["namespace-labels.yaml"])


def callers(objects: dict[str, Any]) -> list[str]:
    """Return the principals that the policy of access management lets in."""
    if "AuthorizationPolicy/profiles-kfam" not in objects:
        assert "rules" not in objects["AuthorizationPolicy/kubeflow-profiles-default"]["spec"]
        return []
    rules = objects["AuthorizationPolicy/profiles-kfam"]["spec"]["rules"]
    assert all(rule.keys() == {"from"} for rule in rules)
    return [who for rule in rules for source in rule["from"] for who in source["source"]["principals"]]


UPSTREAM_LABELS = {
    "app.kubernetes.io/part-of": "kubeflow-profile",
    "katib.kubeflow.org/metrics-collector-injection": "enabled",
    "pipelines.kubeflow.org/enabled": "true",
    "serving.kubeflow.org/inferenceservice": "enabled",
}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, {"pod-security.kubernetes.io/enforce": "privileged", "user.kubeflow.org/enabled": "true"}),
        ({"security-policy": "restricted"}, {"pod-security.kubernetes.io/enforce": "restricted"}),
        ({"default-namespace-labels": "team: ml\nb: '1'"}, {"team": "ml", "b": "1"}),
        ({"default-namespace-labels": '{"istio-injection": ""}'}, {"istio-injection": ""}),
        ({"default-namespace-labels": ""}, {"user.kubeflow.org/enabled": "true"}),
    ],
)
def test_labels_of_profile_namespaces(profiles, config, expected):
    assert (UPSTREAM_LABELS | expected).items() <= labels_file(profiles.render(config)).items()


def test_a_default_label_can_be_taken_off(profiles):
    config = {"default-namespace-labels": "pipelines.kubeflow.org/enabled: ''"}
    assert labels_file(profiles.render(config))["pipelines.kubeflow.org/enabled"] == ""


@pytest.mark.parametrize("name", ["manager", "kfam"])
@pytest.mark.parametrize(
    ("config", "variable", "expected"),
    [
        (
            {},
            "ISTIO_INGRESS_GATEWAY_PRINCIPAL",
            "cluster.local/ns/istio/sa/istio-ingressgateway-workload-service-account",
        ),
        (
            {"istio-gateway-namespace": "edge", "istio-gateway-service-account": "istio-ingress-k8s-istio"},
            "ISTIO_INGRESS_GATEWAY_PRINCIPAL",
            "cluster.local/ns/edge/sa/istio-ingress-k8s-istio",
        ),
        ({}, "NOTEBOOK_CONTROLLER_PRINCIPAL", NOBODY),
        ({}, "KFP_UI_PRINCIPAL", NOBODY),
        ({"kfp-ui-service-account": "ml-pipeline-ui"}, "KFP_UI_PRINCIPAL", f"{HERE}/ml-pipeline-ui"),
        (
            {"notebook-controller-service-account": "books/controller"},
            "NOTEBOOK_CONTROLLER_PRINCIPAL",
            "cluster.local/ns/books/sa/controller",
        ),
    ],
)
def test_principals_that_profiles_trust(profiles, name, config, variable, expected):
    environment = {item["name"]: item["value"] for item in container(profiles.render(config), name)["env"]}
    assert environment[variable] == expected


@pytest.mark.parametrize("name", ["manager", "kfam"])
def test_user_header_reaches_both_programs(profiles, name):
    config = {"userid-header": "x-user", "userid-prefix": "accounts.google.com:"}
    command = container(profiles.render(config), name)["command"]
    assert command[command.index("-userid-header") + 1] == "x-user"
    assert command[command.index("-userid-prefix") + 1] == "accounts.google.com:"


@pytest.mark.parametrize(("admin", "expected"), [("", " "), ("root@example.com", "root@example.com")])
def test_a_request_without_user_is_never_the_administrators(profiles, admin, expected):
    command = container(profiles.render({"cluster-admin": admin}), "kfam")["command"]
    assert command[command.index("-cluster-admin") + 1] == expected


@pytest.mark.parametrize(
    ("dashboards", "expected"),
    [
        ((), []),
        (("kubeflow-dashboard",), [f"{HERE}/centraldashboard", f"{HERE}/kubeflow-dashboard"]),
        (("front", "back"), [f"{HERE}/centraldashboard", f"{HERE}/front", f"{HERE}/back"]),
    ],
)
def test_only_related_dashboards_call_access_management(profiles, dashboards, expected):
    assert callers(profiles.render(dashboards=dashboards)) == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [({}, ["mlops", "istio"]), ({"istio-gateway-namespace": "mlops"}, ["mlops"])],
)
def test_no_other_namespace_reaches_the_pod(profiles, config, expected):
    (rule,) = profiles.render(config)["NetworkPolicy/kubeflow-profiles-default"]["spec"]["ingress"]
    found = [peer["namespaceSelector"]["matchLabels"] for peer in rule["from"]]
    assert found == [{"kubernetes.io/metadata.name": name} for name in expected]


def test_no_route_leads_from_the_gateway_to_access_management(profiles):
    assert not [key for key in profiles.render() if key.startswith("VirtualService/")]


def test_webhook_is_called_for_profile_namespaces_only_and_shows_the_certificate_it_is_trusted_by(profiles):
    objects = profiles.render()
    (webhook,) = objects["MutatingWebhookConfiguration/admission-webhook-mutating-webhook-configuration"][
        "webhooks"
    ]
    assert webhook["namespaceSelector"] == {"matchLabels": {"app.kubernetes.io/part-of": "kubeflow-profile"}}
    assert webhook["clientConfig"]["service"]["name"] == "admission-webhook-service"
    assert webhook["clientConfig"]["caBundle"] == objects["Secret/webhook-certs"]["data"]["ca.crt"]


def test_images_are_upstreams_or_come_from_one_registry(profiles):
    pods = [
        item["spec"]["template"]["spec"]
        for item in profiles.render({"image-registry": "mirror.corp/kf"}).values()
        if item["kind"] == "Deployment"
    ]
    assert {c["image"] for pod in pods for c in pod["containers"]} == {
        "mirror.corp/kf/kubeflow/kubeflow/profile-controller:v1.10.0",
        "mirror.corp/kf/kubeflow/kubeflow/kfam:v1.10.0",
        "mirror.corp/kf/kubeflow/kubeflow/poddefaults-webhook:v1.10.0",
    }


def test_no_object_is_called_like_what_juju_makes(profiles):
    assert not [key for key in profiles.render() if key.endswith("/kubeflow-profiles")]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            {"security-policy": "strict"},
            "option security-policy: 'strict' is not 'privileged', 'baseline' or 'restricted'",
        ),
        (
            {"default-namespace-labels": "[a]"},
            "option default-namespace-labels: should be an object, not a list",
        ),
        ({"default-namespace-labels": "a: [b"}, "option default-namespace-labels: not YAML"),
        (
            {"default-namespace-labels": "a: true"},
            "option default-namespace-labels: a: should be text, not true",
        ),
        (
            {"default-namespace-labels": "a b: c"},
            "option default-namespace-labels: 'a b' is not a label's key",
        ),
        (
            {"default-namespace-labels": "a: b c"},
            "option default-namespace-labels: a: 'b c' is not a label's value",
        ),
        (
            {"default-namespace-labels": "pod-security.kubernetes.io/enforce: baseline"},
            "option default-namespace-labels: pod-security.kubernetes.io/enforce is set by the option",
        ),
        (
            {"default-namespace-labels": "app.kubernetes.io/part-of: ''"},
            "option default-namespace-labels: app.kubernetes.io/part-of is how profile namespaces are known",
        ),
        ({"userid-header": "user id"}, "option userid-header: 'user id' does not match"),
        ({"cluster-admin": "a,b"}, "option cluster-admin: 'a,b' does not match"),
        ({"cluster-domain": ""}, "option cluster-domain: '' is not a DNS name"),
        ({"istio-gateway-namespace": "a/b"}, "option istio-gateway-namespace: 'a/b' is not"),
        (
            {"istio-gateway-service-account": "*"},
            "option istio-gateway-service-account: '*' is not a DNS name",
        ),
        ({"kfp-ui-service-account": "*/a"}, "option kfp-ui-service-account: '*/a' does not match"),
    ],
)
def test_a_wrong_value_is_named_with_its_reason(profiles, config, said):
    status = profiles.run("mlops", config).unit_status
    assert isinstance(status, ops.BlockedStatus)
    assert status.message.startswith(said)
    assert len(status.message) <= 120


@pytest.mark.parametrize(
    ("gateway", "expected"),
    [
        (
            None,
            ops.BlockedStatus(
                "relation gateway-info missing: juju integrate kubeflow-profiles:gateway-info istio-pilot"
            ),
        ),
        ({}, ops.WaitingStatus("remote: no data on gateway-info yet")),
    ],
)
def test_without_a_gateway(profiles, gateway, expected):
    assert profiles.run("mlops", gateway=gateway).unit_status == expected


def test_a_pod_without_its_poddefaults_is_refused(profiles):
    """Better no pod than one without the volumes, tokens and tolerations that its profile gives it."""
    configuration = profiles.render()[
        "MutatingWebhookConfiguration/admission-webhook-mutating-webhook-configuration"
    ]
    (webhook,) = configuration["webhooks"]
    assert webhook["failurePolicy"] == "Fail"
    assert webhook["namespaceSelector"] == {"matchLabels": {"app.kubernetes.io/part-of": "kubeflow-profile"}}
