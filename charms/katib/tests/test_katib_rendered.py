"""The objects of Katib's programs: what upstream has, where it differs, and why."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from ops import testing

from kubeflow_charm.cluster.executor import Cluster
from rehearsal.cluster import nodes

pytestmark = pytest.mark.usefixtures("offline")


def container(rendered: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the container of a Deployment."""
    (found,) = rendered[f"Deployment/{name}"]["spec"]["template"]["spec"]["containers"]
    return found


def environment(rendered: dict[str, Any], name: str) -> dict[str, str]:
    """Return the variables with values."""
    return {each["name"]: each["value"] for each in container(rendered, name)["env"] if "value" in each}


def test_programs_have_upstreams_arguments_ports_and_files(katib):
    rendered = katib.render()
    controller = container(rendered, "katib-controller")
    assert (controller["command"], controller["args"]) == (
        ["./katib-controller"],
        ["--katib-config=/katib-config.yaml"],
    )
    assert {mount["mountPath"]: mount.get("subPath") for mount in controller["volumeMounts"]} == {
        "/tmp/cert": None,
        "/katib-config.yaml": "katib-config.yaml",
    }
    assert controller["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "healthz"}
    assert controller["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "healthz"}
    manager = container(rendered, "katib-db-manager")
    assert manager["command"] == ["./katib-db-manager"]
    assert manager["livenessProbe"] == {
        "grpc": {"port": 6789},
        "initialDelaySeconds": 10,
        "periodSeconds": 60,
        "failureThreshold": 5,
    }
    ui = container(rendered, "katib-ui")
    assert (ui["command"], ui["args"]) == (["./katib-ui"], ["--port=8080"])
    assert environment(rendered, "katib-ui") == {
        "APP_DISABLE_AUTH": "false",
        "USERID_HEADER": "kubeflow-userid",
        "USERID_PREFIX": "",
    }
    sidecars = {
        key: item["spec"]["template"]["metadata"]["labels"]["sidecar.istio.io/inject"]
        for key, item in rendered.items()
        if key.startswith("Deployment/")
    }
    assert sidecars == {
        "Deployment/katib-controller": "false",
        "Deployment/katib-db-manager": "false",
        "Deployment/katib-ui": "true",
    }


def test_services_are_those_that_pods_of_users_know(katib):
    rendered = katib.render()
    ports = {
        key.partition("/")[2]: [port["port"] for port in item["spec"]["ports"]]
        for key, item in rendered.items()
        if key.startswith("Service/")
    }
    assert ports == {"katib-controller": [443, 8080, 18080], "katib-db-manager": [6789], "katib-ui": [80]}


AUTHORITY = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("tls", "name"),
    [
        (None, "katib"),
        ({"tls": "False"}, "katib"),
        ({"tls": "True"}, "katib?timeout=5s&tls=true&charset=utf8mb4,"),
        ({"tls": "True", "tls-ca": AUTHORITY}, "katib?timeout=5s&tls=true&charset=utf8mb4,"),
    ],
    ids=["none", "off", "known authority", "own authority"],
)
def test_the_database_manager_speaks_tls_where_the_server_does(katib, tls, name):
    rendered = katib.render(tls=tls)
    found = environment(rendered, "katib-db-manager")
    assert found["DB_NAME"] == "mysql"
    assert found["KATIB_MYSQL_DB_HOST"] == "mysql-k8s-primary.mlops.svc.cluster.local"
    assert found["KATIB_MYSQL_DB_PORT"] == "3306"
    assert found["KATIB_MYSQL_DB_DATABASE"] == name
    own = bool(tls and "tls-ca" in tls)
    assert found.get("SSL_CERT_DIR") == ("/etc/ssl/certs:/katib/certs" if own else None)
    assert bool(container(rendered, "katib-db-manager").get("volumeMounts")) == own
    data = rendered["Secret/katib-mysql-secrets"]["data"]
    assert base64.b64decode(data["DB_PASSWORD"]).decode() == "it's"
    assert ("ca.crt" in data) == own


def test_another_password_makes_the_database_managers_pod_new_and_no_other(katib):
    before = katib.render()
    after = katib.render(user={"username": "relation-9", "password": "other"})
    changed = {key for key in before if before[key] != after[key] and key.startswith("Deployment/")}
    assert changed == {"Deployment/katib-db-manager"}
    assert "other" not in json.dumps(after["Deployment/katib-db-manager"])


@pytest.mark.parametrize("name", ["ka`tib", "katib?x", "a/b", "a b"])
def test_a_database_whose_name_needs_quotes_is_refused(katib, name):
    database = {"database": name, "endpoints": "mysql:3306"}
    status = katib.run("mlops", database=database).unit_status
    assert isinstance(status, testing.BlockedStatus)
    assert status.message.startswith("mysql-k8s sent wrong data on relational-db")


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (
            {"database": None},
            testing.BlockedStatus(
                "relation relational-db missing: juju integrate katib:relational-db mysql-k8s"
            ),
        ),
        ({"database": {"secret-user": ""}}, testing.WaitingStatus("mysql-k8s: no data on relational-db yet")),
        (
            {"gateway": None, "database": None},
            testing.BlockedStatus(
                "relations gateway-info, relational-db missing: juju integrate katib:gateway-info istio-pilot"
            ),
        ),
    ],
    ids=str,
)
def test_what_is_missing_is_said(katib, said, status):
    assert katib.run("mlops", **said).unit_status == status


# What upstream gives (kubeflow/katib v0.19.0, manifests/v1beta1/installs/katib-with-kubeflow/kubeflow-katib-roles.yaml).
ALL = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
READ = ["get", "list", "watch"]
ROLES = {
    "kubeflow-katib-admin": ({"admin"}, {}),
    "kubeflow-katib-edit": (
        {"edit", "katib-admin"},
        {"experiments": ALL, "suggestions": ALL, "trials": ALL, "pods": ["list"], "pods/log": ["get"]},
    ),
    "kubeflow-katib-view": ({"view"}, {"experiments": READ, "suggestions": READ, "trials": READ}),
}
"""Role to the roles that take it up, and resource to verbs."""


@pytest.mark.parametrize("name", ROLES)
def test_users_have_the_rights_that_upstream_gives(katib, name):
    role = katib.render()[f"ClusterRole/{name}"]
    into, rights = ROLES[name]
    prefix = "rbac.authorization.kubeflow.org/aggregate-to-kubeflow-"
    assert set(role["metadata"]["labels"]) == {prefix + each for each in into}
    found = {
        resource: sorted(rule["verbs"]) for rule in role.get("rules", []) for resource in rule["resources"]
    }
    assert found == rights
    collected = role.get("aggregationRule", {}).get("clusterRoleSelectors", [])
    assert collected == (
        [{"matchLabels": {f"{prefix}katib-admin": "true"}}] if name.endswith("admin") else []
    )


def test_pull_secrets_reach_suggestions_and_trials_where_a_registry_asks(katib, monkeypatch):
    monkeypatch.setattr(Cluster, "serves", lambda *_: True)
    assert not [key for key in katib.render() if key.startswith("MutatingAdmissionPolicy")]
    monkeypatch.setattr(type(katib), "credentials", {"suggestion-hyperopt": ("me", "secret")})
    rendered = katib.render()
    policy = rendered["MutatingAdmissionPolicy/katib-image-pull"]["spec"]
    (condition,) = policy["matchConditions"]
    for label in (
        "katib.kubeflow.org/suggestion",
        "batch.kubernetes.io/job-name",
        "training.kubeflow.org/job-name",
        "workflows.argoproj.io/workflow",
    ):
        assert f'"{label}"' in condition["expression"]
    assert "MutatingAdmissionPolicyBinding/katib-image-pull" in rendered
    monkeypatch.setattr(Cluster, "serves", lambda *_: False)
    assert not [key for key in katib.render() if key.startswith("MutatingAdmissionPolicy")]


@pytest.mark.parametrize(("served", "wanted"), [(True, True), (False, False)])
def test_pods_of_suggestions_and_jobs_are_placed_where_the_cluster_has_gpus(
    katib, monkeypatch, served, wanted
):
    """What the policies do to pods is tested in the library, on a real API server."""
    monkeypatch.setattr(Cluster, "serves", lambda *_: served)
    found = nodes.load(Path(nodes.__file__).with_name("nodes") / "mixed-200.yaml")
    monkeypatch.setattr(Cluster, "nodes", lambda _: found)
    rendered = katib.render()
    selected = {
        key.partition("/")[2]: item["spec"]["matchConstraints"]["objectSelector"]
        for key, item in rendered.items()
        if key.startswith("MutatingAdmissionPolicy/")
    }
    assert selected == (
        {
            "katib-suggestions": {
                "matchExpressions": [{"key": "katib.kubeflow.org/suggestion", "operator": "Exists"}]
            },
            "katib-trials": {
                "matchExpressions": [{"key": "batch.kubernetes.io/job-name", "operator": "Exists"}]
            },
        }
        if wanted
        else {}
    )


def test_the_dashboard_gets_upstreams_entry(katib):
    context = katib.context()
    with context(context.on.action("list-images"), katib.state("mlops", dashboard=True)) as manager:
        manager.charm.publish(manager.charm.gather())
        state = manager.run()
    (relation,) = state.get_relations("dashboard-links")
    links = json.loads(relation.local_app_data["dashboard_links"])
    (menu,) = [each for each in links if each["location"] == "menu"]
    assert (menu["text"], menu["link"], menu["icon"]) == ("Katib Experiments", "/katib/", "kubeflow:katib")
