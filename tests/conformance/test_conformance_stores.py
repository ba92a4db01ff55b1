"""A played MinIO answers its administrator as a real one does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conformance import s3_server
from minio import Minio
from minio.commonconfig import ENABLED, Filter
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException, S3Error
from minio.lifecycleconfig import Expiration, LifecycleConfig, Rule
from minio.minioadmin import MinioAdmin

from rehearsal.guardian import Guardian
from rehearsal.stores.server import Stores

KEY = ("minio", "minio-s3cret")
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": ["admin:*"]}]}
RULES = LifecycleConfig([Rule(ENABLED, Filter(prefix="a/"), "one", expiration=Expiration(days=3))])


@pytest.fixture(scope="module")
def real(
    guardian: Guardian, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[str]:
    """The address of a real one."""
    shown = s3_server.told(request.config)
    folder = tmp_path_factory.mktemp("minio")
    with s3_server.serving(
        guardian, folder, access_key=KEY[0], secret_key=KEY[1], on_progress=shown
    ) as server:
        yield server.endpoint


@pytest.fixture(scope="module")
def played() -> Iterator[str]:
    """The address of a played one."""
    stores = Stores(lambda _: KEY)
    yield f"127.0.0.1:{stores.port}"
    stores.close()


@pytest.fixture(params=["real", "played"])
def address(request: pytest.FixtureRequest) -> str:
    """Where the store is."""
    return request.getfixturevalue(request.param)


def administrator(address: str, *key: str) -> MinioAdmin:
    return MinioAdmin(endpoint=address, credentials=StaticProvider(*(key or KEY)), secure=False)


def refused(act: Callable[[], Any]) -> str:
    with pytest.raises((MinioAdminException, S3Error)) as caught:
        act()
    if isinstance(caught.value, S3Error):
        return caught.value.code or ""
    return json.loads(caught.value._body)["Code"]


def test_users_and_their_policies(address):
    admin = administrator(address)
    admin.policy_add("own", policy=POLICY)
    admin.user_add("user-one", "secret-of-one")
    admin.policy_set("own", user="user-one")
    assert json.loads(admin.user_list())["user-one"]["policyName"] == "own"
    assert "own" in json.loads(admin.policy_list())
    admin.user_add("user-one", "another-secret")
    assert json.loads(admin.user_list())["user-one"]["policyName"] == "own"
    admin.user_remove("user-one")
    admin.policy_remove("own")
    assert "user-one" not in json.loads(admin.user_list())
    assert "own" not in json.loads(admin.policy_list())


def test_what_is_refused(address, real):
    """Whatever the real one refuses, by the name that it gives it."""
    said = []
    for where in (address, real):
        admin = administrator(where)
        admin.policy_add("known", policy=POLICY)
        admin.user_add("user-two", "secret-of-two")
        admin.policy_set("known", user="user-two")
        store = Minio(where, *KEY, secure=False, region="us-east-1")
        acts: list[Callable[[], Any]] = [
            lambda admin=admin: admin.user_add("x", "long-enough"),
            lambda admin=admin: admin.user_add("user-three", "short"),
            lambda admin=admin: admin.policy_set("unknown", user="user-two"),
            lambda admin=admin: admin.policy_set("known", user="nobody-at-all"),
            lambda admin=admin: admin.user_remove("nobody-at-all"),
            lambda admin=admin: admin.policy_remove("known"),
            lambda admin=admin: admin.policy_add("empty", policy={**POLICY, "Statement": []}),
            administrator(where, "nobody-at-all", "long-enough").user_list,
            administrator(where, KEY[0], "another-secret").user_list,
            administrator(where, "user-two", "secret-of-two").user_list,
            lambda store=store: store.delete_bucket_lifecycle("not-there"),
        ]
        said.append([refused(act) for act in acts])
        admin.user_remove("user-two")
        admin.policy_remove("known")
    assert said[0] == said[1]


def test_buckets_and_their_rules(address):
    store = Minio(address, *KEY, secure=False, region="us-east-1")
    store.make_bucket("pipelines")
    assert store.get_bucket_lifecycle("pipelines") is None
    store.set_bucket_lifecycle("pipelines", RULES)
    found = store.get_bucket_lifecycle("pipelines")
    assert found
    assert [(rule.rule_id, rule.expiration and rule.expiration.days) for rule in found.rules] == [("one", 3)]
    store.delete_bucket_lifecycle("pipelines")
    assert store.get_bucket_lifecycle("pipelines") is None
    assert refused(lambda: store.make_bucket("pipelines")) == "BucketAlreadyOwnedByYou"
