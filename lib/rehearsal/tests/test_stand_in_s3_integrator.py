"""What others see of the stand-in for s3-integrator: what is on the relation, and what in its secret."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any

import ops
import pytest
from ops import testing
from stand_in_bench import StandIn, said, written

from kubeflow_charm.problems import Problem
from kubeflow_charm.relations import s3
from kubeflow_charm.relations.object_store import ObjectStore

KEYS = {"access-key": "AKIA", "secret-key": "hunter2hunter2"}
USER = testing.Secret(KEYS)
ASKED = {"version": "1", "requested-secrets": '["access-key", "secret-key"]'}
FIRST = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
SECOND = "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----"
OPTIONS = {
    "endpoint": "https://s3.example.com",
    "region": "eu-west-1",
    "bucket": "team",
    "path": "a/b",
    "attributes": "a=b",
    "s3-uri-style": "path",
    "storage-class": "STANDARD",
    "s3-api-version": "4",
}
"""What is told as it is."""


@pytest.fixture
def integrator() -> StandIn:
    return StandIn("s3-integrator", "mlops")


def requirer(bag: dict[str, str] | None = None, application: str = "kfp-api") -> testing.Relation:
    return testing.Relation("s3-credentials", remote_app_name=application, remote_app_data=bag or {})


def run(integrator: StandIn, *relations: testing.Relation, **config: Any) -> testing.State:
    """Return the state after a hook with a user's secret and an endpoint."""
    options = {"credentials": USER.id, "endpoint": "https://s3.example.com"} | config
    return integrator.run(*relations, secrets=[USER], config=options)


def again(
    integrator: StandIn, state: testing.State, keys: dict[str, str] | None = None, **config: Any
) -> testing.State:
    """Return the state after another hook, perhaps with another key of the user, and with other options.

    An option that is None is reset.
    """
    secrets = {each for each in state.secrets if each.id != USER.id}
    options = {key: value for key, value in {**state.config, **config}.items() if value is not None}
    before = dataclasses.replace(
        state,
        secrets=frozenset({*secrets, testing.Secret(keys or KEYS, id=USER.id)}),
        config=options,
    )
    return integrator.context.run(integrator.context.on.config_changed(), before)


def secret(state: testing.State, application: str = "kfp-api") -> testing.Secret:
    """Return the secret that an application is told of."""
    (relation,) = (
        each
        for each in state.relations
        if isinstance(each, testing.Relation) and each.remote_app_name == application
    )
    found = state.get_secret(id=relation.local_app_data["secret-extra"])
    assert found.label == f"s3-credentials.{relation.id}.extra.secret"
    assert found.owner == "app"
    assert dict(found.remote_grants) == {relation.id: {application}}
    return found


def revision(integrator: StandIn, state: testing.State) -> int:
    """Return the number of the secret's latest revision."""
    with integrator.context(integrator.context.on.update_status(), state) as manager:
        return manager.charm.model.get_secret(label=secret(state).label).get_info().revision


class Ours(ops.CharmBase):
    """A charm that asks through the charms' own library."""

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        self.s3 = s3.Requires(self, "s3-credentials")


def test_it_says_its_version_to_everybody_and_answers_who_has_asked(integrator):
    state = run(integrator, requirer(), requirer(ASKED, "argo-controller"))
    assert said(state) == ("active", "stand-in")
    assert written(state, "kfp-api") == {"version": "1"}
    assert written(state, "argo-controller") == {
        "version": "1",
        "endpoint": "https://s3.example.com",
        "secret-extra": secret(state, "argo-controller").id,
    }


def test_the_key_is_in_a_secret_and_nowhere_else(integrator):
    state = run(integrator, requirer(ASKED))
    assert secret(state).latest_content == KEYS
    assert not set(KEYS.values()) & set(written(state, "kfp-api").values())
    assert not set(KEYS) & set(written(state, "kfp-api"))


def test_each_application_has_a_secret_of_its_own(integrator):
    state = run(integrator, requirer(ASKED), requirer(ASKED, "mlflow-server"))
    assert secret(state, "kfp-api").id != secret(state, "mlflow-server").id


def test_more_in_the_users_secret_goes_to_nobody(integrator):
    state = again(integrator, run(integrator, requirer(ASKED)), KEYS | {"note": "mine"})
    assert secret(state).latest_content == KEYS


def test_options_are_told_and_vanish_when_they_are_reset(integrator):
    first = run(integrator, requirer(ASKED), **OPTIONS)
    assert written(first, "kfp-api") == OPTIONS | {"version": "1", "secret-extra": secret(first).id}

    second = again(integrator, first, **dict.fromkeys(OPTIONS))
    assert said(second) == ("active", "stand-in")
    assert written(second, "kfp-api") == {"version": "1", "secret-extra": secret(first).id}


@pytest.mark.parametrize(
    ("option", "asked", "told"),
    [
        ({}, {}, {}),
        ({}, {"bucket": "theirs", "path": "their/path"}, {"bucket": "theirs", "path": "their/path"}),
        ({"bucket": "mine"}, {}, {"bucket": "mine"}),
        ({"bucket": "mine"}, {"bucket": "theirs", "path": "p"}, {"bucket": "mine", "path": "p"}),
        ({"path": "q"}, {"bucket": "theirs", "path": "p"}, {"bucket": "theirs", "path": "q"}),
        ({"bucket": "mine"}, {"bucket": "no bucket!"}, {"bucket": "mine"}),
    ],
    ids=["neither", "asked", "option", "both", "path of an option", "an option hides what is asked"],
)
def test_an_option_goes_before_what_is_asked(integrator, option, asked, told):
    state = run(integrator, requirer(ASKED | asked), **option)
    assert said(state) == ("active", "stand-in")
    bag = written(state, "kfp-api")
    assert {key: bag[key] for key in ("bucket", "path") if key in bag} == told


def test_each_has_the_bucket_that_it_asks_for(integrator):
    state = run(
        integrator, requirer(ASKED | {"bucket": "pipelines"}), requirer(ASKED | {"bucket": "runs"}, "mlflow")
    )
    assert written(state, "kfp-api")["bucket"] == "pipelines"
    assert written(state, "mlflow")["bucket"] == "runs"


@pytest.mark.parametrize("bucket", ["abc", "a" * 63, "0-1", "xn-bucket", "a--b"])
def test_a_bucket_of_a_valid_name_is_told(integrator, bucket):
    assert written(run(integrator, requirer(ASKED | {"bucket": bucket})), "kfp-api")["bucket"] == bucket
    assert written(run(integrator, requirer(ASKED), bucket=bucket), "kfp-api")["bucket"] == bucket


@pytest.mark.parametrize(
    "bucket", ["ab", "a" * 64, "Team", "a_b", "-ab", "ab-", "a.b", "xn--bucket", "bucket-s3alias", "a b", "ü"]
)
def test_a_bucket_of_no_valid_name_blocks(integrator, bucket):
    asked = run(integrator, requirer(ASKED | {"bucket": bucket}))
    assert said(asked) == ("blocked", f"Invalid name for bucket(s): '{bucket}'")
    assert written(asked, "kfp-api") == {"version": "1"}
    option = run(integrator, requirer(ASKED), bucket=bucket)
    assert said(option) == ("blocked", "Invalid config(s): 'bucket'")
    assert written(option, "kfp-api") == {"version": "1"}


@pytest.mark.parametrize(
    ("text", "chain"),
    [
        (FIRST, [FIRST]),
        (f"{FIRST}\n{SECOND}\n", [FIRST, SECOND]),
        (f"Issuer: ü\n{FIRST}\nnotes\n{SECOND}", [FIRST, SECOND]),
    ],
    ids=["one", "two", "with words between"],
)
def test_authorities_are_told_one_by_one(integrator, text, chain):
    encoded = base64.b64encode(text.encode()).decode()
    first = run(integrator, requirer(ASKED), **{"tls-ca-chain": encoded})
    assert json.loads(written(first, "kfp-api")["tls-ca-chain"]) == chain
    second = again(integrator, first, **{"tls-ca-chain": None})
    assert "tls-ca-chain" not in written(second, "kfp-api")


@pytest.mark.parametrize(
    "chain",
    [
        FIRST,
        "abc",
        "ü",
        base64.b64encode(b"no certificate").decode(),
        base64.b64encode(b"\xff\xfe").decode(),
        base64.b64encode(FIRST[:-5].encode()).decode(),
    ],
    ids=["not encoded", "not Base64", "not ASCII", "no certificate", "no text", "half a certificate"],
)
def test_authorities_that_are_none_block(integrator, chain):
    state = run(integrator, requirer(ASKED), **{"tls-ca-chain": chain})
    assert said(state) == ("blocked", "Invalid config(s): 'tls-ca-chain'")
    assert written(state, "kfp-api") == {"version": "1"}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("endpoint", "not a uri"),
        ("endpoint", "s3.example.com"),
        ("endpoint", "ftp://s3.example.com"),
        ("s3-api-version", "3"),
        ("experimental-delete-older-than-days", -1),
        ("experimental-delete-older-than-days", 10_000_000),
    ],
)
def test_an_option_that_the_real_one_refuses_is_named(integrator, option, value):
    state = run(integrator, requirer(ASKED), **{option: value})
    assert said(state) == ("blocked", f"Invalid config(s): '{option}'")
    assert written(state, "kfp-api") == {"version": "1"}


def test_the_age_of_backups_is_told_by_another_name_while_there_is_one(integrator):
    first = run(integrator, requirer(ASKED), **{"experimental-delete-older-than-days": 30})
    assert written(first, "kfp-api")["delete-older-than-days"] == "30"
    second = again(integrator, first, **{"experimental-delete-older-than-days": None})
    assert "delete-older-than-days" not in written(second, "kfp-api")


def test_without_credentials_it_names_the_option(integrator):
    state = integrator.run(requirer(ASKED))
    assert said(state) == ("blocked", "Missing config(s): 'credentials'")
    assert written(state, "kfp-api") == {"version": "1"}


def test_a_secret_that_does_not_exist_is_named(integrator):
    state = integrator.run(requirer(ASKED), config={"credentials": USER.id})
    assert said(state) == ("blocked", f"The secret '{USER.id}' does not exist")
    assert written(state, "kfp-api") == {"version": "1"}


def test_a_secret_that_is_not_granted_is_named(integrator, monkeypatch):
    def refuse(*_: object, **__: object) -> ops.Secret:
        raise ops.ModelError("ERROR permission denied")

    # The testing framework lets a charm read every secret that it knows of.
    monkeypatch.setattr(ops.Model, "get_secret", refuse)
    state = run(integrator, requirer(ASKED))
    assert said(state) == ("blocked", f"The secret '{USER.id}' has not been granted to the charm")
    assert written(state, "kfp-api") == {"version": "1"}


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        ({"access-key": "AKIA"}, "'secret-key'"),
        ({"secret-key": "s"}, "'access-key'"),
        ({"access-key": "", "secret-key": "s"}, "'access-key'"),
        ({"key": "s"}, "'access-key', 'secret-key'"),
    ],
)
def test_fields_that_a_secret_does_not_have_are_named(integrator, content, fields):
    user = testing.Secret(content)
    state = integrator.run(requirer(ASKED), secrets=[user], config={"credentials": user.id})
    assert said(state) == ("blocked", f"The secret '{user.id}' is missing mandatory field(s): {fields}")
    assert written(state, "kfp-api") == {"version": "1"}


def test_a_new_key_is_a_new_revision_and_the_same_key_is_none(integrator):
    first = run(integrator, requirer(ASKED))
    assert revision(integrator, first) == 1

    second = again(integrator, first)
    assert written(second, "kfp-api") == written(first, "kfp-api")
    assert revision(integrator, second) == 1

    new = {"access-key": "AKIA", "secret-key": "another"}
    third = again(integrator, second, new)
    assert written(third, "kfp-api") == written(first, "kfp-api")
    assert secret(third).latest_content == new
    assert revision(integrator, third) == 2


def test_what_was_told_stays_while_the_credentials_are_away(integrator):
    first = run(integrator, requirer(ASKED))
    second = again(integrator, first, credentials=None)
    assert said(second) == ("blocked", "Missing config(s): 'credentials'")
    assert written(second, "kfp-api") == written(first, "kfp-api")


@pytest.mark.parametrize("bag", [{"bucket": "relation-3"}, {"version": "1"}], ids=["version 0", "version 1"])
def test_who_asks_for_no_secrets_is_named_and_the_others_are_answered(integrator, bag):
    state = run(integrator, requirer(bag), requirer(ASKED, "mlflow-server"))
    assert said(state) == ("blocked", "kfp-api asks for no secrets: not played by this stand-in")
    assert written(state, "kfp-api") == {"version": "1"}
    assert secret(state, "mlflow-server").latest_content == KEYS


def test_our_library_asks_and_reads(integrator):
    meta = {"name": "ours", "requires": {"s3-credentials": {"interface": "s3"}}}
    context = testing.Context(Ours, meta=meta)
    here = testing.Relation("s3-credentials", remote_app_name="s3-integrator")
    before = testing.State(leader=True, relations=[here])
    with context(context.on.start(), before) as manager:
        with pytest.raises(Problem, match="s3-integrator: no data on s3-credentials yet"):
            manager.charm.s3.store("mlpipeline")
        asked = dict(manager.run().get_relation(here.id).local_app_data)

    chain = base64.b64encode(FIRST.encode()).decode()
    options = {"region": "eu-west-1", "path": "a/b", "tls-ca-chain": chain}
    state = run(integrator, requirer(asked, "ours"), **options)
    bag = written(state, "ours")
    granted = testing.Secret(secret(state, "ours").latest_content, id=bag["secret-extra"])
    there = dataclasses.replace(here, remote_app_data=bag)
    answered = testing.State(leader=True, relations=[there], secrets=[granted])
    with context(context.on.start(), answered) as manager:
        assert manager.charm.s3.store("mlpipeline") == ObjectStore(
            host="s3.example.com",
            port=443,
            secure=True,
            access_key=KEYS["access-key"],
            secret_key=KEYS["secret-key"],
            region="eu-west-1",
            bucket="mlpipeline",
            path="a/b",
            tls_ca=f"{FIRST}\n",
            application="s3-integrator",
        )


@pytest.mark.parametrize(
    "key", ["%s", "$(HOME) ${x} $$", 'it\'s "quoted" \\', "{{ x }}", "two\nlines", "0123", "1e3", "true", "ü"]
)
def test_a_key_is_what_it_is(integrator, key):
    keys = {"access-key": key, "secret-key": key}
    state = again(integrator, run(integrator, requirer(ASKED)), keys)
    assert secret(state).latest_content == keys


def test_who_is_no_leader_waits_and_writes_nothing(integrator):
    config = {"credentials": USER.id}
    state = integrator.run(requirer(ASKED), secrets=[USER], config=config, leader=False)
    assert said(state) == ("waiting", "Waiting for leadership")
    assert written(state, "kfp-api") == {}
    assert {each.id for each in state.secrets} == {USER.id}


def test_it_goes_quietly(integrator):
    leaving = requirer(ASKED)
    state = run(integrator, leaving)
    broken = integrator.context.on.relation_broken(state.get_relation(leaving.id))
    assert said(integrator.context.run(broken, state)) == ("active", "stand-in")
    integrator.run(event=lambda on: on.remove(), planned_units=0)
