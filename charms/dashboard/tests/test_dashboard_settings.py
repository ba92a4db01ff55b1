"""What options and relations become: objects and statuses."""

from __future__ import annotations

from typing import Any

import ops
import pytest
from ops import testing


def pod(objects: dict[str, Any]) -> dict[str, Any]:
    return objects["Deployment/centraldashboard"]["spec"]["template"]["spec"]


def environment(objects: dict[str, Any]) -> dict[str, str]:
    """Return the variables that have a value of their own."""
    (container,) = pod(objects)["containers"]
    return {item["name"]: item["value"] for item in container["env"] if "value" in item}


@pytest.mark.parametrize(
    ("config", "variable", "expected"),
    [
        ({}, "REGISTRATION_FLOW", "true"),
        ({"registration-flow": False}, "REGISTRATION_FLOW", "false"),
        ({}, "USERID_HEADER", "kubeflow-userid"),
        ({"userid-header": "x-auth-request-email"}, "USERID_HEADER", "x-auth-request-email"),
        ({}, "USERID_PREFIX", ""),
        ({"userid-prefix": "accounts.google.com:"}, "USERID_PREFIX", "accounts.google.com:"),
        ({}, "LOGOUT_URL", "/authservice/logout"),
        ({"logout-url": "/oauth2/sign_out?rd=/&x={{app}}"}, "LOGOUT_URL", "/oauth2/sign_out?rd=/&x={{app}}"),
        ({"logout-url": "https://login.example.com/out"}, "LOGOUT_URL", "https://login.example.com/out"),
        ({}, "DASHBOARD_CONFIGMAP", "centraldashboard-config"),
        ({"dashboard-configmap": "menus"}, "DASHBOARD_CONFIGMAP", "menus"),
        ({}, "PORT_1", "8082"),
        ({"port": 9000}, "PORT_1", "9000"),
        ({}, "COLLECT_METRICS", "true"),
    ],
)
def test_an_option_is_a_variable_of_the_server(dashboard, config, variable, expected):
    assert environment(dashboard.render(config))[variable] == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("profiles-kfam", "profiles-kfam.mlops"),
        ("profiles-kfam.elsewhere", "profiles-kfam.elsewhere"),
        ("profiles-kfam.elsewhere.svc.cluster.local", "profiles-kfam.elsewhere.svc.cluster.local"),
    ],
)
def test_access_management_is_found_where_its_charm_says(dashboard, name, expected):
    said = {"_supported_versions": "- v1\n", "data": f"service-name: {name}\nservice-port: '9081'\n"}
    variables = environment(dashboard.render(profiles=said))
    assert variables["PROFILES_KFAM_SERVICE_HOST"] == expected
    assert variables["PROFILES_KFAM_SERVICE_PORT"] == "9081"


@pytest.mark.parametrize(
    ("config", "changed"),
    [
        ({"registration-flow": False}, ["Deployment/centraldashboard"]),
        ({"replicas": 3}, ["Deployment/centraldashboard"]),
        ({"port": 9000}, ["Deployment/centraldashboard"]),
        ({"menu-link-order": "[Runs]"}, []),
        (
            {"additional-menu-links": "[{text: A, link: /a/}]"},
            ["ConfigMap/centraldashboard-config"],
        ),
        ({"cluster-domain": "k8s.corp"}, ["VirtualService/centraldashboard"]),
        ({"istio-gateway-service-account": "edge"}, ["AuthorizationPolicy/central-dashboard"]),
        (
            {"istio-gateway-namespace": "edge"},
            ["AuthorizationPolicy/central-dashboard", "NetworkPolicy/kubeflow-dashboard-default"],
        ),
    ],
)
def test_an_option_changes_nothing_but_its_own_objects(dashboard, config, changed):
    before, after = dashboard.render(), dashboard.render(config)
    assert before.keys() == after.keys()
    assert sorted(key for key in before if before[key] != after[key]) == changed


def test_replicas(dashboard):
    assert dashboard.render({"replicas": 3})["Deployment/centraldashboard"]["spec"]["replicas"] == 3


def test_configmap_may_be_called_otherwise_and_the_server_reads_that_one_only(dashboard):
    objects = dashboard.render({"dashboard-configmap": "menus"})
    assert objects["ConfigMap/menus"]["data"].keys() == {"links", "settings"}
    assert "ConfigMap/centraldashboard-config" not in objects
    rules = objects["Role/centraldashboard"]["rules"]
    (rule,) = [rule for rule in rules if "configmaps" in rule["resources"]]
    assert (rule["resourceNames"], rule["verbs"]) == (["menus"], ["get"])


def test_no_role_reads_secrets_or_runs_commands(dashboard):
    objects = dashboard.render()
    rules = [rule for key in objects if "Role/" in key for rule in objects[key]["rules"]]
    assert {verb for rule in rules for verb in rule["verbs"]} == {"get", "list"}
    resources = {resource for rule in rules for resource in rule["resources"]}
    assert resources == {"applications", "configmaps", "events", "namespaces", "nodes"}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, "cluster.local/ns/istio/sa/istio-ingressgateway-workload-service-account"),
        (
            {"istio-gateway-namespace": "edge", "istio-gateway-service-account": "istio-ingress-k8s-istio"},
            "cluster.local/ns/edge/sa/istio-ingress-k8s-istio",
        ),
        (
            {"cluster-domain": "k8s.corp"},
            "cluster.local/ns/istio/sa/istio-ingressgateway-workload-service-account",
        ),
    ],
)
def test_nobody_but_the_gateway_reaches_the_dashboard(dashboard, config, expected):
    policy = dashboard.render(config)["AuthorizationPolicy/central-dashboard"]["spec"]
    assert policy == {
        "action": "ALLOW",
        "selector": {
            "matchLabels": {
                "app": "centraldashboard",
                "app.kubernetes.io/instance": "mlops.kubeflow-dashboard",
            }
        },
        "rules": [{"from": [{"source": {"principals": [expected]}}]}],
    }


@pytest.mark.parametrize(
    ("config", "expected"),
    [({}, ["mlops", "istio"]), ({"istio-gateway-namespace": "mlops"}, ["mlops"])],
)
def test_no_other_namespace_reaches_the_pod(dashboard, config, expected):
    (rule,) = dashboard.render(config)["NetworkPolicy/kubeflow-dashboard-default"]["spec"]["ingress"]
    found = [peer["namespaceSelector"]["matchLabels"] for peer in rule["from"]]
    assert found == [{"kubernetes.io/metadata.name": name} for name in expected]


@pytest.mark.parametrize(("model", "port"), [("mlops", 8082), ("2026", 9000), ("true", 8082)])
def test_every_path_goes_from_the_gateway_to_the_servers_port(dashboard, model, port):
    objects = dashboard.render({"port": port, "cluster-domain": "k8s.corp"}, model=model)
    route = objects["VirtualService/centraldashboard"]["spec"]
    assert route["gateways"] == ["istio/kubeflow-gateway"]
    (rule,) = route["http"]
    assert rule["match"] == [{"uri": {"prefix": "/"}}]
    (target,) = rule["route"]
    assert target["destination"] == {"host": f"centraldashboard.{model}.svc.k8s.corp", "port": {"number": 80}}
    (service_port,) = objects["Service/centraldashboard"]["spec"]["ports"]
    assert (service_port["port"], service_port["targetPort"]) == (80, "http")
    (container,) = pod(objects)["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": port, "protocol": "TCP"}]
    placed = {key: item["metadata"].get("namespace") for key, item in objects.items()}
    cluster_wide = {"ClusterRole/centraldashboard", "ClusterRoleBinding/centraldashboard"}
    assert placed == {key: None if key in cluster_wide else model for key in objects}


def test_image_is_upstreams_or_comes_from_one_registry(dashboard):
    for registry, expected in (("", "ghcr.io"), ("mirror.corp/kf", "mirror.corp/kf")):
        (container,) = pod(dashboard.render({"image-registry": registry}))["containers"]
        assert container["image"] == f"{expected}/kubeflow/kubeflow/central-dashboard:v1.10.0"


def test_no_object_is_called_like_what_juju_makes(dashboard):
    assert not [key for key in dashboard.render() if key.endswith("/kubeflow-dashboard")]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"port": 80}, "option port: 80 is less than 1024"),
        ({"port": 70000}, "option port: 70000 is more than 65535"),
        ({"replicas": 0}, "option replicas: 0 is less than 1"),
        ({"dashboard-configmap": ""}, "option dashboard-configmap: '' is not a DNS name"),
        ({"dashboard-configmap": "My Config"}, "option dashboard-configmap: 'My Config' is not a DNS name"),
        ({"userid-header": ""}, "option userid-header: '' does not match"),
        ({"userid-header": "user id"}, "option userid-header: 'user id' does not match"),
        ({"userid-prefix": "a\x7f"}, "option userid-prefix: 'a\\x7f' does not match"),
        ({"logout-url": "javascript:alert(1)"}, "option logout-url: 'javascript:alert(1)' does not match"),
        ({"logout-url": ""}, "option logout-url: '' does not match"),
        ({"cluster-domain": ""}, "option cluster-domain: '' is not a DNS name"),
        ({"istio-gateway-namespace": "a/b"}, "option istio-gateway-namespace: 'a/b' is not a namespace"),
        ({"istio-gateway-namespace": "*"}, "option istio-gateway-namespace: '*' is not a namespace"),
        ({"istio-gateway-service-account": ""}, "option istio-gateway-service-account: '' is not a DNS"),
        ({"istio-gateway-service-account": "*"}, "option istio-gateway-service-account: '*' is not a DNS"),
    ],
)
def test_a_wrong_value_is_named_with_its_reason(dashboard, config, said):
    status = dashboard.run("mlops", config).unit_status
    assert isinstance(status, ops.BlockedStatus)
    assert status.message.startswith(said)
    assert len(status.message) <= 120


@pytest.mark.parametrize(
    ("relations", "expected"),
    [
        (
            {"profiles": None},
            ops.BlockedStatus(
                "relation kubeflow-profiles missing:"
                " juju integrate kubeflow-dashboard:kubeflow-profiles kubeflow-profiles"
            ),
        ),
        (
            {"gateway": None},
            ops.BlockedStatus(
                "relation gateway-info missing: juju integrate kubeflow-dashboard:gateway-info istio-pilot"
            ),
        ),
        ({"profiles": {}}, ops.WaitingStatus("profiles: no data on kubeflow-profiles yet")),
        (
            {"profiles": {"_supported_versions": "- v1\n"}},
            ops.WaitingStatus("profiles: no data on kubeflow-profiles yet"),
        ),
        ({"gateway": {}}, ops.WaitingStatus("istio-pilot: no data on gateway-info yet")),
        (
            {"gateway": {"gateway_name": "g", "gateway_namespace": "istio", "gateway_up": "false"}},
            ops.WaitingStatus(
                "istio-pilot: gateway istio/g is not up yet: has its Service an address? (kubectl get service)"
            ),
        ),
    ],
)
def test_what_is_missing_is_said(dashboard, relations, expected):
    assert dashboard.run("mlops", **relations).unit_status == expected


def test_both_missing_relations_are_said_at_once(dashboard):
    status = dashboard.run("mlops", profiles=None, gateway=None).unit_status
    assert isinstance(status, ops.BlockedStatus)
    assert "kubeflow-profiles" in status.message
    assert "gateway-info" in status.message


def test_the_offer_to_access_managements_charm_is_made_before_it_answers(dashboard):
    (relation,) = dashboard.run("mlops", profiles={}).get_relations("kubeflow-profiles")
    assert relation.local_app_data == {"_supported_versions": "- v1\n"}


def test_an_action_with_a_wrong_option_fails_with_the_status_of_that_option(dashboard):
    context = dashboard.context()
    state = dashboard.state("mlops", {"cluster-domain": "Not A Name"})
    with pytest.raises(testing.ActionFailed) as failed:
        context.run(context.on.action("list-images"), state)
    assert failed.value.message.startswith("option cluster-domain: ")


def test_a_wrong_option_is_one_problem_however_many_readers_meet_it(dashboard, caplog):
    context = dashboard.context()
    context.run(context.on.config_changed(), dashboard.state("mlops", {"cluster-domain": "Not A Name"}))
    assert caplog.text.count("option cluster-domain: ") == 1


def test_what_one_unit_of_a_neighbour_writes_is_not_looked_at(dashboard):
    """That of its application is; ops-scenario has no such event, so the bundle's tests show that."""
    context = dashboard.context()
    state = dashboard.state("mlops", {"cluster-domain": "Not A Name"})
    (relation,) = state.get_relations("gateway-info")
    after = context.run(context.on.relation_changed(relation, remote_unit=0), state)
    assert after.unit_status == state.unit_status
