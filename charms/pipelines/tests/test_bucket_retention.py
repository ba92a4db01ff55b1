"""The rules by which a real MinIO removes artifacts and logs, and the options that make them."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ops
import pytest
from conformance import s3_server
from conformance.between import between
from minio import Minio
from minio.commonconfig import ENABLED, Filter
from minio.lifecycleconfig import Expiration, LifecycleConfig, Rule

from kubeflow_charm import Problem
from kubeflow_charm.relations.object_store import ObjectStore
from rehearsal.guardian import Guardian

SOURCE = str(Path(__file__).parents[1] / "src")
RULES = {"artifacts": ("v2/artifacts/", 30), "logs": ("artifacts/", 7)}
WANTED = {"kubeflow-pipelines-artifacts": ("v2/artifacts/", 30), "kubeflow-pipelines-logs": ("artifacts/", 7)}
THEIRS = Rule(ENABLED, Filter(prefix="scratch/"), "of-somebody", expiration=Expiration(days=1))


@pytest.fixture(scope="module")
def module() -> Iterator[Any]:
    """The module under test, found as the charm finds it; no two charms have modules of one name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SOURCE)
        yield importlib.import_module("bucket_retention")


@pytest.fixture(scope="module")
def minio(
    guardian: Guardian, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[s3_server.Server]:
    """A real MinIO."""
    shown = s3_server.told(request.config)
    with s3_server.serving(guardian, tmp_path_factory.mktemp("minio"), on_progress=shown) as server:
        yield server


@pytest.fixture
def client(minio: s3_server.Server) -> Minio:
    """MinIO's own client."""
    return Minio(minio.endpoint, minio.access_key, minio.secret_key, secure=False)


@pytest.fixture
def store(minio: s3_server.Server, client: Minio, request: pytest.FixtureRequest) -> ObjectStore:
    """The store with a new bucket."""
    bucket = f"bucket-{abs(hash(request.node.name))}"
    client.make_bucket(bucket)
    return minio.store(bucket)


def rules(client: Minio, store: ObjectStore) -> dict[str | None, tuple[Any, Any]]:
    """Return prefix and days of each rule, as MinIO's own client reads them."""
    found = client.get_bucket_lifecycle(store.bucket)
    return {
        rule.rule_id: (rule.rule_filter and rule.rule_filter.prefix, rule.expiration and rule.expiration.days)
        for rule in (found.rules if found else [])
    }


def test_the_store_removes_what_is_old(module, client, store):
    module.ensured(store, RULES)
    assert rules(client, store) == WANTED


def test_settled_rules_are_read_and_not_written(module, store):
    with between(store) as (reached, seen):
        for wanted in (RULES, {}):
            module.ensured(reached, wanted)
            seen.clear()
            module.ensured(reached, wanted)
            assert len(seen) == 1


def test_other_days_replace_the_rule_and_none_take_it_away(module, client, store):
    module.ensured(store, RULES)
    module.ensured(store, {"logs": ("artifacts/", 90)})
    assert rules(client, store) == {"kubeflow-pipelines-logs": ("artifacts/", 90)}
    module.ensured(store, {})
    assert client.get_bucket_lifecycle(store.bucket) is None


def test_rules_of_others_stay(module, client, store):
    client.set_bucket_lifecycle(store.bucket, LifecycleConfig([THEIRS]))
    module.ensured(store, RULES)
    assert rules(client, store) == WANTED | {"of-somebody": ("scratch/", 1)}
    module.ensured(store, {})
    assert rules(client, store) == {"of-somebody": ("scratch/", 1)}


def test_a_bucket_is_made_for_rules_only(module, client, minio):
    module.ensured(minio.store("not-there-yet"), {})
    assert not client.bucket_exists("not-there-yet")
    module.ensured(minio.store("not-there-yet"), RULES)
    assert rules(client, minio.store("not-there-yet")) == WANTED


def test_a_store_of_others_is_asked_for_nothing(module, store):
    with between(store) as (reached, seen):
        module.ensured(dataclasses.replace(reached, root=False), {})
    assert seen == []


UNKNOWN = b"<?xml version='1.0'?><Error><Code>NotImplemented</Code></Error>"


def test_a_store_without_rules_is_no_problem_until_some_are_wanted(module, store):
    with between(store, lambda *_: (501, UNKNOWN)) as (reached, _):
        module.ensured(reached, {})
        with pytest.raises(Problem) as caught:
            module.ensured(reached, RULES)
    assert caught.value.status == ops.WaitingStatus("minio: its object store refuses: NotImplemented")


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (200, b"<html>", "minio: its object store does not answer as MinIO does"),
        (502, b"bad gateway", "minio: its object store answers HTTP 502"),
        (503, UNKNOWN.replace(b"NotImplemented", b"SlowDown"), "minio: its object store refuses: SlowDown"),
    ],
)
def test_no_rule_is_thought_to_be_gone_because_it_could_not_be_read(module, store, status, body, text):
    with between(store, lambda *_: (status, body)) as (reached, _):
        with pytest.raises(Problem) as caught:
            module.ensured(reached, RULES)
        assert caught.value.status == ops.WaitingStatus(text)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"artifact-retention-days": -1}, "option artifact-retention-days"),
        ({"log-retention-days": 4000}, "option log-retention-days"),
        ({"artifact-retention-days": 7, "default_pipeline_root": "minio://bucket/x"}, "exclude each other"),
        ({"log-archive-prefix": "private-artifacts", "log-retention-days": 7}, "differ, and share"),
        ({"log-archive-prefix": "private-artifacts/ada"}, "private-artifacts is for other things than logs"),
        ({"log-archive-prefix": "/v2"}, "v2 is for other things than logs"),
        ({"log-archive-prefix": "pipelines/logs"}, "pipelines is for other things than logs"),
    ],
)
def test_options_that_make_no_sense_are_blocked(pipelines, options, text):
    state, said = pipelines.status(options)
    assert (state, text in said) == ("blocked", True), said


def test_rules_for_a_bucket_of_others_are_blocked_with_the_cure(pipelines):
    s3 = {"endpoint": "https://s3.example.com"}
    state, said = pipelines.status({"log-retention-days": 7}, minio=None, s3=s3)
    assert state == "blocked"
    assert said.startswith("s3-integrator has bucket rules of its own: juju config")
