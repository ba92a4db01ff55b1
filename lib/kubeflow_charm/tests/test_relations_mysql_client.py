"""mysql_client: what is asked, what is read, what is waited for, what is refused."""

from __future__ import annotations

import functools
import json

import pytest
from ops import testing

from kubeflow_charm.relations import mysql_client

Requires = functools.partial(mysql_client.Requires, database="mlpipeline")
ANSWER = {
    "data": "{}",
    "database": "mlpipeline",
    "endpoints": "mysql-k8s-primary.mlops.svc.cluster.local.:3306",
    "read-only-endpoints": "mysql-k8s-replicas.mlops.svc.cluster.local.:3306",
    "secret-user": "secret:user",
    "version": "8.0.41",
}
USER = {"username": "relation-7_0123456789abcdef", "password": "p"}
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def granted(identifier: str = "user", **content: str) -> testing.Secret:
    return testing.Secret(content, id=f"secret:{identifier}")


def read(ask, bag, *secrets):
    return ask(Requires, lambda end: end.get(), {"mysql-k8s": bag}, secrets=secrets or [granted(**USER)])


def test_it_asks_as_the_charm_libraries_of_version_0_do(ask):
    assert read(ask, {}).written == {
        "mysql-k8s": {
            "database": "mlpipeline",
            "requested-secrets": json.dumps(["username", "password", "tls", "tls-ca", "uris"]),
        }
    }


def test_the_answer_of_mysql_k8s_is_read(ask):
    assert read(ask, ANSWER).value == mysql_client.Database(
        host="mysql-k8s-primary.mlops.svc.cluster.local",
        port=3306,
        name="mlpipeline",
        username=USER["username"],
        password="p",
        version="8.0.41",
    )


@pytest.mark.parametrize("name", ["ka`tib", "a b", "a?b=c", "a/b"])
def test_a_name_that_needs_quotes_is_refused_for_a_program_that_writes_none(ask, name):
    plain = functools.partial(Requires, plain=True)
    answer = {"mysql-k8s": ANSWER | {"database": name}}
    asked = ask(plain, lambda end: end.get(), answer, secrets=[granted(**USER)])
    (problem,) = asked.problems
    assert "needs quotes" in str(problem)
    assert read(ask, ANSWER | {"database": name}).value.name == name


@pytest.mark.parametrize("tls", ["True", "true", "yes"])
def test_tls_and_its_authority_come_in_a_secret_of_their_own(ask, tls):
    secrets = granted(**USER), granted("tls", tls=tls, **{"tls-ca": PEM})
    database = read(ask, {**ANSWER, "secret-tls": "secret:tls"}, *secrets).value
    assert (database.tls, database.tls_ca) == (True, PEM)
    silent = granted(**USER), granted("tls", tls="False")
    database = read(ask, {**ANSWER, "secret-tls": "secret:tls"}, *silent).value
    assert (database.tls, database.tls_ca) == (False, "")


@pytest.mark.parametrize("written", [PEM, PEM.strip(), f"\n {PEM}\n\n"])
def test_an_authority_ends_with_one_line_break_so_that_another_may_follow(ask, written):
    secrets = granted(**USER), granted("tls", tls="True", **{"tls-ca": written})
    assert read(ask, {**ANSWER, "secret-tls": "secret:tls"}, *secrets).value.tls_ca == PEM


def test_credentials_of_a_provider_without_secrets_are_read_as_well(ask):
    bag = {"endpoints": "db:3306", "database": "mlpipeline", **USER}
    assert read(ask, bag).value.username == USER["username"]


@pytest.mark.parametrize(
    ("endpoints", "host", "port"),
    [
        ("db:3306", "db", 3306),
        ("db.example.com.:3307", "db.example.com", 3307),
        ("10.0.0.7:3306", "10.0.0.7", 3306),
        ("[2001:db8::7]:3306", "2001:db8::7", 3306),
        ("first:3306,second:3306", "first", 3306),
        (" first:3306 , second:3306", "first", 3306),
    ],
)
def test_of_every_kind_of_endpoint_the_first_is_read(ask, endpoints, host, port):
    database = read(ask, {**ANSWER, "endpoints": endpoints}).value
    assert (database.host, database.port) == (host, port)


@pytest.mark.parametrize(
    "password", ["%s", "$(HOME) ${x} $$", 'it\'s "quoted" \\', "{{ x }} {% y %}", "two\nlines", "123", "ü"]
)
def test_a_password_is_what_it_is(ask, password):
    assert read(ask, ANSWER, granted(username="u", password=password)).value.password == password


def test_a_password_is_in_no_traceback(ask):
    assert "hunter2" not in repr(read(ask, ANSWER, granted(username="u", password="hunter2")).value)


@pytest.mark.parametrize(
    "bag",
    [
        {},
        {"data": "{}"},
        {**ANSWER, "endpoints": ""},
        {k: v for k, v in ANSWER.items() if k != "secret-user"},
    ],
)
def test_an_answer_that_is_not_all_there_is_waited_for(ask, bag):
    assert read(ask, bag).statuses == [("waiting", "mysql-k8s: no data on there yet")]


def test_a_secret_that_is_not_granted_yet_is_waited_for(ask):
    said = read(ask, {**ANSWER, "secret-user": "secret:other"})
    assert said.statuses == [("waiting", "mysql-k8s: its secret on there cannot be read")]


@pytest.mark.parametrize(
    ("bag", "secret", "said"),
    [
        ({"endpoints": "db"}, USER, "endpoints: 'db' is not host:port"),
        ({"endpoints": "db:0"}, USER, "endpoints: 'db:0' is not host:port"),
        ({"endpoints": "db:70000"}, USER, "endpoints: 'db:70000' is not host:port"),
        ({"endpoints": "2001:db8::7:3306"}, USER, "endpoints: '2001:db8::7:3306' is not host:port"),
        ({"secret-user": "\x00 no"}, USER, "secret-user: not the URI of a secret"),
        ({}, {"username": "u"}, "secret-user: no username and password"),
        ({"tls-ca": "who"}, USER, "tls-ca: no certificate"),
    ],
)
def test_garbage_is_blocked_naming_the_application(ask, bag, secret, said):
    assert read(ask, ANSWER | bag, granted(**secret)).statuses == [
        ("blocked", f"mysql-k8s sent wrong data on there: {said}")
    ]


def test_nothing_related_is_said_with_the_command(ask):
    said = ask(Requires, lambda end: end.get(), {})
    assert said.statuses == [("blocked", "relation there missing: juju integrate ours:there mysql-k8s")]
