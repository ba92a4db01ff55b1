"""What others see of the stand-in for mlflow-server: what it offers to profiles, and what it asks for."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Callable
from typing import Any

import ops
import pytest
from ops import testing
from stand_in_bench import Model, StandIn, greeting, said, written

from kubeflow_charm.relations import dashboard_links
from kubeflow_charm.relations.kubernetes_manifest import Offer, Provides

STORE = {
    "access-key": "minio",
    "namespace": "storage",
    "port": 9000,
    "secret-key": "a-key-of-mine",
    "secure": False,
    "service": "mlflow-minio",
}
DATABASE = {
    "data": "{}",
    "database": "mlflow",
    "endpoints": "mlflow-mysql-primary.mlops.svc.cluster.local.:3306",
    "secret-user": "secret:9m4e2mr0ui3e8a215n4g",
    "version": "8.0.41",
}


def secrets(
    application: str = "mlflow-server",
    access_key: object = "minio",
    secret_key: object = "a-key-of-mine",
    store: str = "http://mlflow-minio.storage:9000",
) -> list[dict[str, Any]]:
    """Return what the templates in src/secrets of canonical/mlflow-operator, 2.22, come to."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": f"{application}-minio-artifact"},
            "stringData": {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key},
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": f"{application}-seldon-rclone-secret"},
            "stringData": {
                "RCLONE_CONFIG_S3_TYPE": "s3",
                "RCLONE_CONFIG_S3_PROVIDER": "minio",
                "RCLONE_CONFIG_S3_ENV_AUTH": "false",
                "RCLONE_CONFIG_S3_ACCESS_KEY_ID": access_key,
                "RCLONE_CONFIG_S3_SECRET_ACCESS_KEY": secret_key,
                "RCLONE_CONFIG_S3_ENDPOINT": store,
            },
        },
    ]


def pod_defaults(
    application: str = "mlflow-server",
    store: str = "http://mlflow-minio.storage:9000",
    tracking: str = "http://mlflow-server.mlops.svc.cluster.local:5000",
) -> list[dict[str, Any]]:
    """Return what the templates in src/poddefaults of canonical/mlflow-operator, 2.22, come to."""

    def key(name: str) -> dict[str, Any]:
        reference = {"name": f"{application}-minio-artifact", "key": name, "optional": False}
        return {"name": name, "valueFrom": {"secretKeyRef": reference}}

    return [
        {
            "apiVersion": "kubeflow.org/v1alpha1",
            "kind": "PodDefault",
            "metadata": {"name": f"{application}-access-minio"},
            "spec": {
                "desc": "Allow access to Minio",
                "selector": {"matchLabels": {"access-minio": "true"}},
                "env": [
                    key("AWS_ACCESS_KEY_ID"),
                    key("AWS_SECRET_ACCESS_KEY"),
                    {"name": "MINIO_ENDPOINT_URL", "value": store},
                ],
            },
        },
        {
            "apiVersion": "kubeflow.org/v1alpha1",
            "kind": "PodDefault",
            "metadata": {"name": f"{application}-minio"},
            "spec": {
                "desc": "Allow access to MLFlow",
                "env": [
                    {"name": "MLFLOW_S3_ENDPOINT_URL", "value": store},
                    {"name": "MLFLOW_TRACKING_URI", "value": tracking},
                ],
                "selector": {"matchLabels": {"mlflow-server-minio": "true"}},
            },
        },
    ]


@pytest.fixture
def mlflow() -> StandIn:
    return StandIn("mlflow-server", "mlops")


def store(bag: dict[str, str] | None = None, **data: object) -> testing.Relation:
    """Return the relation with a store, which says STORE, or something else in it, or another bag."""
    told = greeting(data=STORE | data) if bag is None else bag
    return testing.Relation("object-storage", remote_app_name="mlflow-minio", remote_app_data=told)


def database(bag: dict[str, str] | None = None) -> testing.Relation:
    told = DATABASE if bag is None else bag
    return testing.Relation("relational-db", remote_app_name="mlflow-mysql", remote_app_data=told)


def dispatcher() -> list[testing.Relation]:
    return [
        testing.Relation(each, remote_app_name="resource-dispatcher") for each in ("secrets", "pod-defaults")
    ]


def ingress(bag: dict[str, str] | None = None) -> testing.Relation:
    return testing.Relation("ingress", remote_app_name="istio-pilot", remote_app_data=bag or {})


def offered(state: testing.State) -> dict[str, dict[str, str]]:
    """Return all that the dispatcher is told."""
    return {each: written(state, "resource-dispatcher", each) for each in ("secrets", "pod-defaults")}


def on_the_wire(secrets: list[Any], defaults: list[Any]) -> dict[str, dict[str, str]]:
    """Return what the dispatcher is told of manifests: plain JSON, as json.dumps writes it."""
    return {
        "secrets": {"kubernetes_manifests": json.dumps(secrets)},
        "pod-defaults": {"kubernetes_manifests": json.dumps(defaults)},
    }


class Ours(ops.CharmBase):
    """A charm that reads through the charms' own library."""

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        self.secrets = Provides(self, "secrets", "v1", "Secret")
        self.defaults = Provides(self, "pod-defaults", "kubeflow.org/v1alpha1", "PodDefault")
        self.links = dashboard_links.Provides(self, "links")


def test_what_it_offers_is_what_the_real_ones_templates_come_to(mlflow):
    state = mlflow.run(store(), database(), *dispatcher())
    assert said(state) == ("active", "stand-in")
    assert offered(state) == on_the_wire(secrets(), pod_defaults())


def test_what_it_offers_is_called_as_the_application():
    state = StandIn("mlflow-server", "ml", "tracking").run(store(), database(), *dispatcher())
    uri = "http://tracking.ml.svc.cluster.local:5000"
    assert offered(state) == on_the_wire(secrets("tracking"), pod_defaults("tracking", tracking=uri))


def test_the_store_is_where_it_says(mlflow):
    state = mlflow.run(store(service="s3", namespace="other", port=9100), database(), *dispatcher())
    uri = "http://s3.other:9100"
    assert offered(state) == on_the_wire(secrets(store=uri), pod_defaults(store=uri))


def test_the_port_is_in_all_that_is_told(mlflow):
    config = {"mlflow_port": 5500, "mlflow_prometheus_exporter_port": 8100}
    state = mlflow.run(store(), database(), *dispatcher(), ingress(greeting()), config=config)
    uri = "http://mlflow-server.mlops.svc.cluster.local:5500"
    assert offered(state) == on_the_wire(secrets(), pod_defaults(tracking=uri))
    assert "port: 5500\n" in written(state, "istio-pilot")["data"]
    assert {each.port for each in state.opened_ports} == {5500, 8100}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("12345678", 12345678),
        ("01234567", 342391),
        ("0x1234567", 19088743),
        ("1_000_000.5", 1000000.5),
        ("12:30:45", 45045),
        ("true", True),
        ("null", None),
        ("1e100000", "1e100000"),
        ("$(HOME) ${x} $$ $store", "$(HOME) ${x} $$ $store"),
        ("a%s%%", "a%s%%"),
        ('it\'s "quoted" \\n', 'it\'s "quoted" \\n'),
        ("'quoted'", "quoted"),
        ('"a\\tb"', "a\tb"),
        ("a b # c", "a b"),
        ("a#b:c", "a#b:c"),
        ("ü☃😀", "ü☃😀"),
        ("two\n   lines", "two lines"),
        ("[a, b]", ["a", "b"]),
        ("a{{ x }}", "a{{ x }}"),
    ],
)
def test_a_key_is_read_as_yaml_as_in_the_real_one(mlflow, key, value):
    data = {"access-key": key, "secret-key": key}
    state = mlflow.run(store(**data), database(), *dispatcher())
    assert said(state) == ("active", "stand-in")
    assert offered(state) == on_the_wire(secrets(access_key=value, secret_key=value), pod_defaults())


@pytest.mark.parametrize("which", ["access-key", "secret-key"])
@pytest.mark.parametrize(
    "key",
    [
        "{{ x }}",
        "a: b",
        '"open',
        "@at sign",
        "`tick",
        "%percent",
        "- item",
        "two\nlines",
        "*alias",
        "!tag x",
        "a\tb: c",
        "2020-01-01",
        "2020-13-45",
        "!!bool maybe",
        "!!set {a}",
        "x\n---\nfoo:",
        "[" * 3000,
    ],
)
def test_a_key_that_breaks_the_templates_blocks(mlflow, which, key):
    state = mlflow.run(store(**{which: key}), database(), *dispatcher())
    assert said(state) == ("blocked", "credentials of object-storage are no YAML: the real charm would fail")
    assert offered(state) == {"secrets": {}, "pod-defaults": {}}


def test_what_the_store_says_anew_is_followed(mlflow):
    first = mlflow.run(store(), database(), *dispatcher())
    (told,) = first.get_relations("object-storage")
    assert isinstance(told, testing.Relation)
    anew = greeting(data=STORE | {"secret-key": "another-key", "port": 9100})
    changed = dataclasses.replace(told, remote_app_data=anew)
    others = {each for each in first.relations if each.id != told.id}
    before = dataclasses.replace(first, relations=frozenset({*others, changed}))
    second = mlflow.context.run(mlflow.context.on.relation_changed(changed), before)
    uri = "http://mlflow-minio.storage:9100"
    assert offered(second) == on_the_wire(
        secrets(secret_key="another-key", store=uri), pod_defaults(store=uri)
    )


def test_every_dispatcher_is_told(mlflow):
    others = [testing.Relation(each, remote_app_name="other") for each in ("secrets", "pod-defaults")]
    state = mlflow.run(store(), database(), *dispatcher(), *others)
    for endpoint in ("secrets", "pod-defaults"):
        assert written(state, "other", endpoint) == offered(state)[endpoint]


def test_our_library_reads_what_it_offers(mlflow):
    links = testing.Relation("dashboard-links", remote_app_name="kubeflow-dashboard")
    state = mlflow.run(store(), database(), *dispatcher(), links)
    bags = offered(state) | {"links": written(state, "kubeflow-dashboard")}
    here = [testing.Relation(end, remote_app_name="mlflow-server", remote_app_data=bags[end]) for end in bags]
    meta = {"name": "ours", "provides": {end: {"interface": "any"} for end in bags}}
    context = testing.Context(Ours, meta=meta)
    with context(context.on.start(), testing.State(leader=True, relations=here)) as manager:
        assert manager.charm.secrets.get() == [Offer("mlflow-server", tuple(secrets()))]
        assert manager.charm.defaults.get() == [Offer("mlflow-server", tuple(pod_defaults()))]
        assert manager.charm.links.get() == [
            dashboard_links.Link(
                text="MLflow", link="/mlflow/", location="external", icon="device:data-usage"
            )
        ]


@pytest.mark.parametrize("relations", [[], [store(), database()]], ids=["blocked", "active"])
def test_its_link_has_the_six_keys_that_a_dashboard_takes(mlflow, relations):
    links = testing.Relation("dashboard-links", remote_app_name="kubeflow-dashboard")
    bag = written(mlflow.run(*relations, links), "kubeflow-dashboard")
    assert bag.keys() == {"dashboard_links"}
    assert json.loads(bag["dashboard_links"]) == [
        {
            "text": "MLflow",
            "link": "/mlflow/",
            "type": "item",
            "icon": "device:data-usage",
            "location": "external",
            "desc": "",
        }
    ]


@pytest.mark.parametrize(
    ("bag", "status", "answer"),
    [
        (
            {},
            ("waiting", "versions not found for apps: istio-pilot"),
            {"_supported_versions": "- v1\n"},
        ),
        (
            greeting("v1", "v2"),
            ("active", "stand-in"),
            {
                "_supported_versions": "- v1\n",
                "data": "namespace: mlops\nport: 5000\nprefix: /mlflow/\nrewrite: /\nservice: mlflow-server\n",
            },
        ),
        (
            greeting("v2"),
            ("blocked", "No compatible ingress versions found for apps: istio-pilot"),
            {"_supported_versions": "- v1\n"},
        ),
        (
            greeting(data={"service": "theirs", "port": 1, "prefix": "/"}),
            ("blocked", "wrong data on ingress from istio-pilot: No provides schema found for data"),
            {"_supported_versions": "- v1\n"},
        ),
    ],
    ids=["nothing yet", "greeted", "another version", "data from the wrong side"],
)
def test_it_asks_for_a_route_in_two_rounds(mlflow, bag, status, answer):
    state = mlflow.run(store(), database(), ingress(bag))
    assert said(state)[0] == status[0]
    assert status[1] in said(state)[1]
    assert written(state, "istio-pilot") == answer


@pytest.mark.parametrize(
    ("bag", "status"),
    [
        ({}, ("waiting", "versions not found for apps: mlflow-minio")),
        (greeting(), ("waiting", "Waiting for object-storage relation data")),
        (greeting("v2"), ("blocked", "No compatible object-storage versions found for apps: mlflow-minio")),
        (
            greeting(data=STORE | {"port": "9000"}),
            (
                "blocked",
                "wrong data on object-storage from mlflow-minio: port: '9000' is not of type 'number'",
            ),
        ),
        (
            greeting(data={"service": "minio"}),
            ("blocked", "wrong data on object-storage from mlflow-minio: 'access-key' is a required"),
        ),
        (
            greeting(data="{"),
            ("blocked", "wrong data on object-storage from mlflow-minio: Failed to deserialize data"),
        ),
        (
            greeting(data={key: value for key, value in STORE.items() if key != "namespace"}),
            ("blocked", "wrong data on object-storage from mlflow-minio: no namespace"),
        ),
    ],
    ids=["nothing yet", "greeted", "another version", "port no number", "not all", "no YAML", "no namespace"],
)
def test_without_a_stores_data_it_offers_nothing(mlflow, bag, status):
    state = mlflow.run(store(bag), database(), *dispatcher(), ingress(greeting()))
    assert said(state)[0] == status[0]
    assert status[1] in said(state)[1]
    assert written(state, "mlflow-minio") == {"_supported_versions": "- v1\n"}
    assert offered(state) == {"secrets": {}, "pod-defaults": {}}
    assert "data" not in written(state, "istio-pilot")


@pytest.mark.parametrize(
    ("relations", "status"),
    [
        ([], ("blocked", "Please add relation to the database")),
        ([database({})], ("waiting", "Waiting for relational-db relation data")),
        (
            [database({"endpoints": DATABASE["endpoints"]})],
            ("waiting", "Waiting for relational-db relation data"),
        ),
        (
            [database({"secret-user": DATABASE["secret-user"]})],
            ("waiting", "Waiting for relational-db relation data"),
        ),
    ],
    ids=["none", "no data", "no user", "no endpoint"],
)
def test_without_a_database_it_offers_nothing(mlflow, relations, status):
    state = mlflow.run(store(), *relations, *dispatcher(), ingress(greeting()))
    assert said(state) == status
    assert offered(state) == {"secrets": {}, "pod-defaults": {}}
    assert "data" not in written(state, "istio-pilot")


def test_without_a_store_it_waits_as_the_real_one_does(mlflow):
    state = mlflow.run(database(), *dispatcher())
    assert said(state) == ("waiting", "Waiting for object-storage relation data")
    assert offered(state) == {"secrets": {}, "pod-defaults": {}}


@pytest.mark.parametrize("with_store", [True, False])
@pytest.mark.parametrize("bag", [{}, DATABASE], ids=["asking", "answered"])
def test_it_asks_for_a_database_by_version_0(mlflow, bag, with_store):
    state = mlflow.run(*[store()] * with_store, database(bag))
    assert written(state, "mlflow-mysql") == {
        "database": "mlflow",
        "requested-secrets": '["username", "password", "tls", "tls-ca", "uris"]',
    }


@pytest.mark.parametrize("gone", ["store", "database"])
def test_what_is_offered_stays_while_a_neighbour_is_away(mlflow, gone):
    first = mlflow.run(store(), database(), *dispatcher())
    (leaving,) = first.get_relations({"store": "object-storage", "database": "relational-db"}[gone])
    second = mlflow.context.run(mlflow.context.on.relation_broken(leaving), first)
    assert said(second)[0] != "active"
    assert offered(second) == offered(first)


def test_it_waits_for_its_pod(mlflow):
    state = mlflow.run(store(), database(), *dispatcher(), started=False)
    assert said(state) == ("waiting", "Container mlflow-server is not ready")
    assert offered(state) == {"secrets": {}, "pod-defaults": {}}


def test_who_is_no_leader_waits_and_writes_nothing(mlflow):
    links = testing.Relation("dashboard-links", remote_app_name="kubeflow-dashboard")
    state = mlflow.run(store(), database(), *dispatcher(), ingress(greeting()), links, leader=False)
    assert said(state) == ("waiting", "Waiting for leadership")
    assert not any(relation.local_app_data for relation in state.relations)


def test_it_goes_quietly(mlflow):
    mlflow.run(event=lambda on: on.stop(), planned_units=0)
    mlflow.run(event=lambda on: on.remove(), planned_units=0)


def in_order(hooks: list[Any]) -> None:
    """Leave hooks in the order in which they were found due."""


@pytest.mark.parametrize(
    "order",
    [in_order, list.reverse, random.Random(3).shuffle, random.Random(11).shuffle],
    ids=["first", "reversed", "shuffled", "shuffled again"],
)
def test_with_store_and_database_it_becomes_active_in_any_order(
    namespace: str,
    cluster: Any,
    monkeypatch: pytest.MonkeyPatch,
    order: Callable[[list[Any]], None],
):
    monkeypatch.setenv("KUBECONFIG", str(cluster.admin_kubeconfig))
    charms = {"mlflow-server": "mlflow-server", "mlflow-minio": "minio", "mlflow-mysql": "mysql-k8s"}
    model = Model(
        [StandIn(charm, namespace, name) for name, charm in charms.items()],
        {"mlflow-minio": {"access-key": "12ab34", "secret-key": "a-key-of-mine", "port": 9100}},
        [
            ("mlflow-server:relational-db", "mlflow-mysql:database"),
            ("mlflow-server:object-storage", "mlflow-minio:object-storage"),
        ],
    )
    assert model.settle(order) <= 6
    assert model.statuses() == dict.fromkeys(charms, ("active", "stand-in"))

    told = model.bag("mlflow-mysql:database", "mlflow-server")
    assert told["endpoints"] == f"mlflow-mysql-primary.{namespace}.svc.cluster.local.:3306"
    assert told["database"] == "mlflow"

    unit = StandIn("mlflow-server", namespace)
    state = unit.run(*model.states["mlflow-server"].relations, *dispatcher())
    uri, tracking = (
        f"http://mlflow-minio.{namespace}:9100",
        f"http://mlflow-server.{namespace}.svc.cluster.local:5000",
    )
    assert offered(state) == on_the_wire(
        secrets(access_key="12ab34", store=uri), pod_defaults(store=uri, tracking=tracking)
    )
