"""What others see of the stand-in for mysql-k8s, on a real API server: answers, secrets and Services."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import lightkube
import ops
import pytest
from lightkube.resources.core_v1 import Service
from ops import testing
from stand_in_bench import StandIn, kubeconfig, said, written

from kubeflow_charm.problems import Problem
from kubeflow_charm.relations import mysql_client

WANTED = ["username", "password", "tls", "tls-ca", "uris"]
ASKED = {"database": "mlpipeline", "requested-secrets": json.dumps(WANTED)}
FIRST = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
SECOND = "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n"


@pytest.fixture
def mysql(namespace: str, cluster: Any, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    monkeypatch.setenv("KUBECONFIG", str(cluster.admin_kubeconfig))
    return StandIn("mysql-k8s", namespace)


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Where there is no cluster at all."""
    monkeypatch.setenv("KUBECONFIG", "/nonexistent")
    return StandIn("mysql-k8s", "mlops")


def client_of(bag: dict[str, str] | None = None, application: str = "kfp-api") -> testing.Relation:
    return testing.Relation("database", remote_app_name=application, remote_app_data=bag or {})


def again(mysql: StandIn, state: testing.State, **config: str) -> testing.State:
    """Return the state after another hook, with options changed."""
    before = dataclasses.replace(state, config={**state.config, **config})
    return mysql.context.run(mysql.context.on.config_changed(), before)


def asks(
    mysql: StandIn, state: testing.State, bag: dict[str, str], application: str = "kfp-api"
) -> testing.State:
    """Return the state after an application has asked for something else."""
    changed = dataclasses.replace(relation_with(state, application), remote_app_data=bag)
    others = {each for each in state.relations if each.id != changed.id}
    before = dataclasses.replace(state, relations=frozenset({*others, changed}))
    return mysql.context.run(mysql.context.on.relation_changed(changed), before)


def relation_with(state: testing.State, application: str) -> testing.Relation:
    (found,) = (
        each
        for each in state.relations
        if isinstance(each, testing.Relation) and each.remote_app_name == application
    )
    return found


def secret(state: testing.State, group: str = "user", application: str = "kfp-api") -> testing.Secret:
    """Return the secret that an application is told of, which is granted to nobody else."""
    relation = relation_with(state, application)
    found = state.get_secret(id=relation.local_app_data[f"secret-{group}"])
    assert found.label == f"database.{relation.id}.{group}.secret"
    assert found.owner == "app"
    assert dict(found.remote_grants) == {relation.id: {application}}
    return found


def revision(mysql: StandIn, state: testing.State, group: str = "user") -> int:
    """Return the number of a secret's latest revision."""
    with mysql.context(mysql.context.on.update_status(), state) as manager:
        return manager.charm.model.get_secret(label=secret(state, group).label).get_info().revision


def services(client: lightkube.Client, namespace: str) -> set[str]:
    """Return the names of the stand-in's Services."""
    found = client.list(Service, namespace=namespace, labels={"app.juju.is/created-by": "mysql-k8s"})
    return {str(each.metadata and each.metadata.name) for each in found}


BOTH = {"mysql-k8s-primary", "mysql-k8s-replicas"}


class Ours(ops.CharmBase):
    """A charm that asks through the charms' own library."""

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        self.database = mysql_client.Requires(self, "relational-db", database="mlpipeline")


def test_it_answers_as_version_0_of_the_interface(mysql, namespace):
    state = mysql.run(client_of(ASKED))
    assert said(state) == ("active", "stand-in")
    bag = written(state, "kfp-api")
    assert json.loads(bag.pop("data")) == ASKED
    assert bag == {
        "database": "mlpipeline",
        "endpoints": f"mysql-k8s-primary.{namespace}.svc.cluster.local.:3306",
        "read-only-endpoints": f"mysql-k8s-replicas.{namespace}.svc.cluster.local.:3306",
        "secret-user": secret(state).id,
        "version": "8.0.41-0ubuntu0.22.04.1",
    }


def test_the_credentials_are_in_a_secret_and_nowhere_else(mysql):
    state = mysql.run(client_of(ASKED))
    content = secret(state).latest_content
    number = relation_with(state, "kfp-api").id
    assert content is not None
    assert content.keys() == {"username", "password"}
    assert content["username"] == f"relation-{number}_{state.model.uuid.replace('-', '')}"[:26]
    assert len(content["username"]) == 26
    assert re.fullmatch("[A-Za-z0-9]{24}", content["password"])
    assert not any(content["password"] in value for value in written(state, "kfp-api").values())


@pytest.mark.parametrize("requested", [None, "", "[]", '["tls"]'])
def test_who_wants_no_credentials_in_secrets_gets_them_plain(mysql, requested):
    asked = {"database": "katib"} | ({} if requested is None else {"requested-secrets": requested})
    state = mysql.run(client_of(asked))
    bag = written(state, "kfp-api")
    assert bag.keys() == {
        "data",
        "database",
        "endpoints",
        "read-only-endpoints",
        "version",
        "username",
        "password",
    }
    assert bag["username"].startswith(f"relation-{relation_with(state, 'kfp-api').id}_")
    assert re.fullmatch("[A-Za-z0-9]{24}", bag["password"])
    assert not state.secrets


def test_it_is_called_as_the_application(mysql, client, namespace):
    state = StandIn("mysql-k8s", namespace, "mlflow-mysql").run(client_of(ASKED))
    bag = written(state, "kfp-api")
    assert bag["endpoints"] == f"mlflow-mysql-primary.{namespace}.svc.cluster.local.:3306"
    assert bag["read-only-endpoints"] == f"mlflow-mysql-replicas.{namespace}.svc.cluster.local.:3306"
    assert client.get(Service, "mlflow-mysql-primary", namespace=namespace)


def test_two_clients_have_nothing_in_common(mysql):
    other = {"database": "katib", "requested-secrets": json.dumps(WANTED)}
    state = mysql.run(client_of(ASKED), client_of(other, "katib-db-manager"))
    first = secret(state).latest_content
    second = secret(state, application="katib-db-manager").latest_content
    assert first is not None
    assert second is not None
    assert first["username"] != second["username"]
    assert first["password"] != second["password"]
    assert written(state, "kfp-api")["database"] == "mlpipeline"
    assert written(state, "katib-db-manager")["database"] == "katib"


@pytest.mark.parametrize(
    "bag",
    [
        ASKED,
        ASKED | {"database": "another"},
        ASKED | {"requested-secrets": "[]"},
        ASKED | {"extra-user-roles": "admin"},
    ],
    ids=["the same", "another database", "no secrets", "a role"],
)
def test_what_is_asked_later_changes_nothing(mysql, bag):
    first = mysql.run(client_of(ASKED))
    second = asks(mysql, first, bag)
    assert said(second) == ("active", "stand-in")
    assert json.loads(written(second, "kfp-api")["data"]) == bag  # the bookkeeping of the real one's library
    before, after = (
        {key: value for key, value in written(state, "kfp-api").items() if key != "data"}
        for state in (first, second)
    )
    assert after == before
    assert secret(second).latest_content == secret(first).latest_content
    assert revision(mysql, second) == 1


def test_plain_credentials_stay_as_they_are(mysql):
    first = mysql.run(client_of({"database": "mlpipeline"}))
    second = again(mysql, first)
    assert written(second, "kfp-api") == written(first, "kfp-api")


@pytest.mark.parametrize("bag", [{}, {"database": ""}, {"requested-secrets": json.dumps(WANTED)}])
def test_who_names_no_database_gets_nothing(mysql, client, namespace, bag):
    state = mysql.run(client_of(bag))
    assert said(state) == ("active", "stand-in")
    assert written(state, "kfp-api") == {}
    assert not state.secrets
    assert services(client, namespace) == set()


@pytest.mark.parametrize(
    "requested", ["{", "username", "{}", '"username"', "5", "null", "true", '[["a"]]', "[{}]", "[" * 5000]
)
def test_who_wants_secrets_in_garbage_is_named_and_the_others_are_answered(mysql, requested):
    garbage = {"database": "katib", "requested-secrets": requested}
    state = mysql.run(client_of(garbage, "katib-db-manager"), client_of(ASKED))
    assert said(state) == (
        "blocked",
        "wrong data on database from katib-db-manager: requested-secrets: no JSON list",
    )
    assert written(state, "katib-db-manager") == {}
    assert secret(state).latest_content


def test_what_is_not_wanted_in_a_secret_is_plain_field_by_field(mysql):
    asked = {"database": "mlpipeline", "requested-secrets": '["username"]'}
    state = mysql.run(client_of(asked), config={"stand-in-tls-ca": FIRST})
    bag = written(state, "kfp-api")
    assert (secret(state).latest_content or {}).keys() == {"username"}
    assert len(bag["password"]) == 24
    assert "username" not in bag
    assert "secret-tls" not in bag
    assert (bag["tls"], bag["tls-ca"]) == ("True", FIRST)
    after = written(again(mysql, state, **{"stand-in-tls-ca": ""}), "kfp-api")
    assert bag.items() - after.items() == {("tls", "True"), ("tls-ca", FIRST)}


def test_without_an_authority_nobody_is_told_of_tls(mysql):
    state = mysql.run(client_of(ASKED))
    assert "secret-tls" not in written(state, "kfp-api")
    assert [each.label for each in state.secrets] == [secret(state).label]


def test_with_an_authority_clients_are_told_of_tls(mysql):
    first = mysql.run(client_of(ASKED), config={"stand-in-tls-ca": FIRST})
    assert written(first, "kfp-api").keys() == {
        "data",
        "database",
        "endpoints",
        "read-only-endpoints",
        "version",
        "secret-user",
        "secret-tls",
    }
    assert secret(first, "tls").latest_content == {"tls": "True", "tls-ca": FIRST}
    assert secret(first, "tls").id != secret(first).id


def test_tls_follows_its_option(mysql):
    plain = mysql.run(client_of(ASKED))
    first = again(mysql, plain, **{"stand-in-tls-ca": FIRST})
    assert secret(first, "tls").latest_content == {"tls": "True", "tls-ca": FIRST}
    assert revision(mysql, first, "tls") == 1

    same = again(mysql, first, **{"stand-in-tls-ca": FIRST})
    assert revision(mysql, same, "tls") == 1

    second = again(mysql, same, **{"stand-in-tls-ca": SECOND})
    assert written(second, "kfp-api") == written(first, "kfp-api")
    assert secret(second, "tls").latest_content == {"tls": "True", "tls-ca": SECOND}
    assert revision(mysql, second, "tls") == 2

    reset = again(mysql, second, **{"stand-in-tls-ca": ""})
    assert written(reset, "kfp-api") == written(plain, "kfp-api")
    assert revision(mysql, reset) == 1

    third = again(mysql, reset, **{"stand-in-tls-ca": FIRST})
    assert secret(third, "tls").latest_content == {"tls": "True", "tls-ca": FIRST}


def test_our_library_asks_and_reads(mysql, namespace):
    context = testing.Context(
        Ours, meta={"name": "ours", "requires": {"relational-db": {"interface": "mysql_client"}}}
    )
    here = testing.Relation("relational-db", remote_app_name="mysql-k8s", remote_app_data={"data": "{}"})
    with context(context.on.start(), testing.State(leader=True, relations=[here])) as manager:
        with pytest.raises(Problem, match="mysql-k8s: no data on relational-db yet"):
            manager.charm.database.get()
        asked = dict(manager.run().get_relation(here.id).local_app_data)

    state = mysql.run(client_of(asked, "ours"), config={"stand-in-tls-ca": FIRST})
    told = [secret(state, group, "ours") for group in ("user", "tls")]
    granted = [testing.Secret(each.latest_content or {}, id=each.id) for each in told]
    there = dataclasses.replace(here, remote_app_data=written(state, "ours"))
    answered = testing.State(leader=True, relations=[there], secrets=granted)
    with context(context.on.start(), answered) as manager:
        assert manager.charm.database.get() == mysql_client.Database(
            host=f"mysql-k8s-primary.{namespace}.svc.cluster.local",
            port=3306,
            name="mlpipeline",
            username=granted[0].tracked_content["username"],
            password=granted[0].tracked_content["password"],
            tls=True,
            tls_ca=FIRST,
            version="8.0.41-0ubuntu0.22.04.1",
        )


@pytest.mark.parametrize("profile", ["production", "testing"])
def test_a_profile_that_there_is(mysql, profile):
    assert said(mysql.run(client_of(ASKED), config={"profile": profile})) == ("active", "stand-in")


@pytest.mark.parametrize("profile", ["", "fast"])
def test_a_profile_that_there_is_not_blocks(away, profile):
    state = away.run(client_of(ASKED), config={"profile": profile})
    assert said(state) == ("blocked", "Invalid value for option profile: production, testing")
    assert written(state, "kfp-api") == {}


def test_it_waits_for_its_pod(away):
    state = away.run(client_of(ASKED), started=False)
    assert said(state) == ("maintenance", "Waiting for pod startup to complete")
    assert written(state, "kfp-api") == {}


def test_who_is_no_leader_waits_and_writes_nothing(away):
    state = away.run(client_of(ASKED), leader=False, config={"stand-in-tls-ca": FIRST})
    assert said(state) == ("waiting", "Waiting for leadership")
    assert written(state, "kfp-api") == {}
    assert not state.secrets


def test_its_services_come_with_the_first_client_and_go_with_the_last(mysql, client, namespace):
    mysql.run()
    assert services(client, namespace) == set()

    two = mysql.run(client_of(ASKED), client_of(ASKED, "mlflow-server"))
    assert services(client, namespace) == BOTH

    leaving = relation_with(two, "kfp-api")
    one = mysql.context.run(mysql.context.on.relation_broken(leaving), two)
    assert services(client, namespace) == BOTH

    one = dataclasses.replace(one, relations=frozenset(r for r in one.relations if r.id != leaving.id))
    none = mysql.context.run(mysql.context.on.relation_broken(relation_with(one, "mlflow-server")), one)
    assert said(none) == ("active", "stand-in")
    assert services(client, namespace) == set()


def test_its_services_lead_to_its_units(mysql, client, namespace):
    mysql.run(client_of(ASKED))
    for name in BOTH:
        service = client.get(Service, name, namespace=namespace)
        assert [(port.port, port.protocol) for port in service.spec.ports] == [(3306, "TCP")]
        assert service.spec.selector == {"app.kubernetes.io/name": "mysql-k8s"}


def test_a_hook_in_which_nothing_changed_leaves_its_services_alone(mysql, client, namespace):
    def ids() -> set[str]:
        return {client.get(Service, name, namespace=namespace).metadata.uid for name in BOTH}

    state = mysql.run(client_of(ASKED))
    before = ids()
    again(mysql, state)
    assert ids() == before


@pytest.mark.parametrize(
    ("planned", "left"), [(1, BOTH), (0, set())], ids=["one unit of two", "the last unit"]
)
def test_what_is_left_when_a_unit_goes(mysql, client, namespace, planned, left):
    mysql.run(client_of(ASKED))
    mysql.run(client_of(ASKED), event=lambda on: on.remove(), planned_units=planned)
    assert services(client, namespace) == left


def test_without_rights_it_names_the_command_and_answers_nobody(
    cluster, client, namespace, tmp_path: Path, monkeypatch
):
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(cluster, namespace, "nobody", tmp_path / "config")))
    mysql = StandIn("mysql-k8s", namespace)
    state = mysql.run(client_of(ASKED))
    assert said(state) == ("blocked", "no rights on Service: juju trust mysql-k8s --scope=cluster")
    assert written(state, "kfp-api") == {}
    assert services(client, namespace) == set()
    # It goes all the same.
    mysql.run(event=lambda on: on.remove(), planned_units=0)
