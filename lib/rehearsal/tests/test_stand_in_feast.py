"""What others see of the stand-ins for Feast: databases, what is offered to profiles, and the UI."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import pytest
import yaml
from ops import testing
from stand_in_bench import StandIn, greeting, said, written

STORES = {"offline-store": "offline_store", "online-store": "online_store", "registry": "registry"}


def database(endpoint: str, password: str = "sesame", **said: str) -> testing.Relation:
    name = STORES[endpoint]
    bag = {
        "database": name,
        "endpoints": f"feast-{endpoint}-primary.mlops.svc.cluster.local:5432",
        "username": "relation_id_7",
        "password": password,
    }
    return testing.Relation(endpoint, remote_app_name=f"feast-{endpoint}", remote_app_data=bag | said)


def offered(endpoint: str) -> testing.Relation:
    return testing.Relation(endpoint, remote_app_name="resource-dispatcher")


@pytest.fixture
def integrator() -> StandIn:
    return StandIn("feast-integrator", "mlops")


@pytest.fixture
def ui() -> StandIn:
    return StandIn("feast-ui", "mlops")


def manifests(state: testing.State, endpoint: str) -> list[Any]:
    return json.loads(written(state, "resource-dispatcher", endpoint)["kubernetes_manifests"])


def store(name: str) -> dict[str, Any]:
    end = name.replace("_", "-")
    return {
        "type": "postgres",
        "host": f"feast-{end}-primary.mlops.svc.cluster.local",
        "port": 5432,
        "database": name,
        "db_schema": "public",
        "user": "relation_id_7",
        "password": "sesame",
    }


def test_profiles_are_offered_the_configuration_and_a_pod_default(integrator: StandIn) -> None:
    state = integrator.run(*map(database, STORES), offered("secrets"), offered("pod-defaults"))
    assert said(state) == ("active", "stand-in")
    [secret] = manifests(state, "secrets")
    assert (secret["kind"], secret["metadata"]["name"]) == ("Secret", "feature-store-yaml")
    text = secret["stringData"]["feature_store.yaml"]
    assert "\n\nprovider: local\n\n" in text
    assert text.endswith("\n\nentity_key_serialization_version: 2")
    assert yaml.safe_load(text) == {
        "project": "feast_project",
        "registry": {
            "registry_type": "sql",
            "path": "postgresql://relation_id_7:sesame@feast-registry-primary.mlops.svc.cluster.local:5432/registry",
            "cache_ttl_seconds": 60,
            "sqlalchemy_config_kwargs": {"echo": False, "pool_pre_ping": True},
        },
        "provider": "local",
        "offline_store": store("offline_store"),
        "online_store": store("online_store"),
        "entity_key_serialization_version": 2,
    }
    [pod_default] = manifests(state, "pod-defaults")
    assert pod_default["metadata"]["name"] == "feast-integrator-access-feast"
    assert pod_default["spec"]["desc"] == "Allow access to Feast"
    assert pod_default["spec"]["selector"] == {"matchLabels": {"access-feast": "true"}}
    assert pod_default["spec"]["env"] == [
        {"name": "FEAST_FS_YAML_FILE_PATH", "value": "/feast/feature_store.yaml"}
    ]
    assert pod_default["spec"]["volumes"][0]["secret"] == {"secretName": "feature-store-yaml"}


@pytest.mark.parametrize("missing", [*STORES, "secrets", "pod-defaults"])
def test_what_is_missing_is_said_and_nothing_is_offered(integrator: StandIn, missing: str) -> None:
    related = [database(name) for name in STORES if name != missing]
    related += [offered(name) for name in ("secrets", "pod-defaults") if name != missing]
    state = integrator.run(*related)
    assert said(state) == ("blocked", f"[{missing}] Please add the missing relation: {missing}")
    if missing in STORES:
        assert written(state, "resource-dispatcher", "secrets") == {}


def test_a_database_that_has_not_answered_is_waited_for(integrator: StandIn) -> None:
    silent = testing.Relation("registry", remote_app_name="feast-registry")
    others = [database(name) for name in STORES if name != "registry"]
    state = integrator.run(silent, *others, offered("secrets"), offered("pod-defaults"))
    assert said(state) == ("waiting", "[registry] Waiting for registry relation data")
    asked = written(state, "feast-registry")
    assert asked["database"] == "registry"
    assert "password" in json.loads(asked["requested-secrets"])


@pytest.mark.parametrize(
    ("password", "status"),
    [
        ("per%cent+and/more", "active"),
        ("quote'\"", "active"),
        ("ends with: colon", "active"),
        ("#sharp", "active"),
        ("- dash\nx", "blocked"),
    ],
)
def test_odd_passwords_go_unquoted_into_the_text_as_in_the_real_charm(
    integrator: StandIn, password: str, status: str
) -> None:
    related = [database(name, password) for name in STORES]
    state = integrator.run(*related, offered("secrets"), offered("pod-defaults"))
    assert said(state)[0] == status
    if status == "active":
        text = manifests(state, "secrets")[0]["stringData"]["feature_store.yaml"]
        assert f"password: {password}\n" in text


def test_the_ui_has_a_route_and_a_link_and_waits_for_the_configuration(ui: StandIn) -> None:
    links = testing.Relation("dashboard-links", remote_app_name="kubeflow-dashboard")
    ingress = testing.Relation("ingress", remote_app_name="istio-pilot", remote_app_data=greeting())
    state = ui.run(links, ingress)
    assert said(state) == ("blocked", "Missing relation: feast-configuration")
    route = yaml.safe_load(written(state, "istio-pilot")["data"])
    expected = {
        "prefix": "/feast/",
        "rewrite": "/",
        "service": "feast-ui",
        "namespace": "mlops",
        "port": 8888,
    }
    assert route == expected
    [link] = json.loads(written(state, "kubeflow-dashboard")["dashboard_links"])
    assert (link["text"], link["link"]) == ("Feast", "/feast/")
    assert {port.port for port in state.opened_ports} == {8888}


def test_the_ui_takes_what_the_integrator_gives_and_nothing_else(integrator: StandIn, ui: StandIn) -> None:
    told = testing.Relation("feast-configuration", remote_app_name="feast-ui")
    state = integrator.run(*map(database, STORES), offered("secrets"), offered("pod-defaults"), told)
    bag = written(state, "feast-ui")
    assert len(bag) == 15
    assert all(re.fullmatch(r"(registry|o(ff|n)line_store)_\w+", key) for key in bag)
    given = testing.Relation("feast-configuration", remote_app_name="feast-integrator", remote_app_data=bag)
    assert said(ui.run(given)) == ("active", "stand-in")
    more = dataclasses.replace(given, remote_app_data=bag | {"extra": "x"})
    assert said(ui.run(more))[0] == "blocked"
    less = dataclasses.replace(given, remote_app_data={k: v for k, v in bag.items() if k != "registry_host"})
    assert said(ui.run(less)) == ("waiting", "Waiting for relation data: registry_host")
    wrong = dataclasses.replace(given, remote_app_data=bag | {"registry_port": "many"})
    assert said(ui.run(wrong))[0] == "blocked"


def test_postgresql_gives_a_user_a_password_and_an_address(
    namespace: str, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.admin_kubeconfig))
    postgresql = StandIn("postgresql-k8s", namespace, "feast-registry")
    asked = {"database": "registry", "requested-secrets": json.dumps(["username", "password"])}
    relation = testing.Relation("database", remote_app_name="feast-integrator", remote_app_data=asked)
    state = postgresql.run(relation)
    assert said(state) == ("active", "stand-in")
    bag = written(state, "feast-integrator")
    assert bag["endpoints"] == f"feast-registry-primary.{namespace}.svc.cluster.local:5432"
    assert (bag["database"], bag.get("read-only-endpoints", "")) == ("registry", "")
    [secret] = state.secrets
    content = secret.latest_content or {}
    assert content["username"] == f"relation_id_{relation.id}"
    assert re.fullmatch(r"[A-Za-z0-9]{16}", content["password"])
    changed = dataclasses.replace(state, config={**state.config, "stand-in-password": "odd %+:/"})
    state = postgresql.context.run(postgresql.context.on.config_changed(), changed)
    [secret] = state.secrets
    assert (secret.latest_content or {})["password"] == "odd %+:/"
