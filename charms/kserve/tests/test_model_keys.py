"""The keys to the store of models: what a real MinIO lets each profile and KServe's own programs do."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from conformance import s3_server
from conformance.s3_server import administrator
from minio import Minio
from minio.commonconfig import CopySource
from minio.error import MinioAdminException, S3Error

from kubeflow_charm.minio import grants
from rehearsal.guardian import Guardian

OWNER = "7c1d9a30-2f4e-4c55-8b1d-0a8f5e2b9c11.kserve"
PROFILES = {"ada": "uid-of-ada", "ada2": "uid-of-ada2", "bob": "uid-of-bob"}
BUCKET, SHARED, OTHER = "mlpipeline", "mlflow", "of-another-team"
PLATFORM = ""
OF_PIPELINES = ("private-artifacts/ada/v2/artifacts/run/model", "private/ada/model")
OF_OTHERS = (
    "models/bob/m/model.joblib",
    "models/ada2/m/model.joblib",
    "private-artifacts/bob/model",
    "private/bob/model",
    "v2/artifacts/model",
    "models/of-nobody",
)


@dataclasses.dataclass
class Granted:
    """A store with objects of profiles, MLflow and others, on which every profile has its key."""

    store: Any
    keys: dict[str, Any]

    def of(self, name: str) -> Minio:
        """Return the store as a profile's users reach it."""
        return client(self.store, self.keys[name])


@pytest.fixture(scope="module")
def granted(
    kserve: Any, guardian: Guardian, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Granted]:
    """A real MinIO after the charm's first hook, which nothing has made a bucket in before."""
    shown = s3_server.told(request.config)
    with s3_server.serving(guardian, tmp_path_factory.mktemp("minio"), on_progress=shown) as server:
        store = server.store(BUCKET)
        keys = grants.ensured(store, terms(kserve, store), PROFILES)
        root = client(store, store)
        for bucket in (SHARED, OTHER):
            root.make_bucket(bucket)
            put(root, bucket, "0/run/artifacts/model/model.pkl")
        for name in (*OF_PIPELINES, *OF_OTHERS):
            put(root, BUCKET, name)
        yield Granted(store, keys)


def terms(kserve: Any, store: Any) -> grants.Terms:
    """Return what the charm wants of its keys in a store."""
    options = kserve.config({"object-store-shared-buckets": SHARED})
    return importlib.import_module("model_store").terms("kserve", OWNER, options, store)


def client(store: Any, key: Any) -> Minio:
    # No region is given, so it is asked for first, as clients do that know none.
    return Minio(store.endpoint, access_key=key.access_key, secret_key=key.secret_key, secure=False)


def put(user: Minio, bucket: str, name: str) -> None:
    user.put_object(bucket, name, io.BytesIO(b"data"), 4)


def got(user: Minio, bucket: str, name: str) -> bytes:
    with contextlib.closing(user.get_object(bucket, name)) as answer:
        return answer.read()


def names(user: Minio, bucket: str, prefix: str) -> set[str | None]:
    return {each.object_name for each in user.list_objects(bucket, prefix, recursive=True)}


@contextlib.contextmanager
def refused() -> Iterator[None]:
    with pytest.raises(S3Error) as caught:
        yield
    assert caught.value.code == "AccessDenied"


def test_a_profile_writes_its_own_models_and_nobody_else_sees_them(granted):
    ada, name = granted.of("ada"), "models/ada/iris/model.joblib"
    put(ada, BUCKET, name)
    assert got(ada, BUCKET, name) == b"data"
    # KServe lists what is below the address of a model, which has no slash at its end.
    assert names(ada, BUCKET, "models/ada/iris") == {name}
    for other in ("ada2", "bob"):
        user = granted.of(other)
        with refused():
            got(user, BUCKET, name)
        with refused():
            put(user, BUCKET, name)
        with refused():
            names(user, BUCKET, "models/ada/iris")
        with refused():
            user.remove_object(BUCKET, name)
    ada.remove_object(BUCKET, name)
    assert names(ada, BUCKET, "models/ada/") == set()


def test_a_large_model_goes_up_in_parts(granted):
    ada, name = granted.of("ada"), "models/ada/large/model.safetensors"
    size = 11 * 2**20
    ada.put_object(BUCKET, name, io.BytesIO(bytes(size)), -1, part_size=5 * 2**20)
    assert ada.stat_object(BUCKET, name).size == size
    ada.remove_object(BUCKET, name)


@pytest.mark.parametrize("name", OF_PIPELINES)
def test_a_profile_serves_what_its_pipelines_stored_and_leaves_it_as_it_is(granted, name):
    ada = granted.of("ada")
    assert got(ada, BUCKET, name) == b"data"
    assert names(ada, BUCKET, name) == {name}
    with refused():
        put(ada, BUCKET, name)
    with refused():
        ada.remove_object(BUCKET, name)


@pytest.mark.parametrize("name", OF_OTHERS)
def test_what_others_store_is_neither_read_nor_written_nor_copied(granted, name):
    ada = granted.of("ada")
    with refused():
        got(ada, BUCKET, name)
    with refused():
        ada.copy_object(BUCKET, "models/ada/stolen", CopySource(BUCKET, name))
    with refused():
        put(ada, BUCKET, name)
    with refused():
        ada.remove_object(BUCKET, name)


@pytest.mark.parametrize("prefix", ["", "models/", "models/ada", "models/ada2/", "private/", "v2/"])
def test_a_profile_lists_nothing_above_or_beside_its_folders(granted, prefix):
    with refused():
        names(granted.of("ada"), BUCKET, prefix)


@pytest.mark.parametrize("whose", ["ada", "bob", PLATFORM])
def test_the_buckets_of_all_are_read_and_never_written(granted, whose):
    user, name = granted.of(whose), "0/run/artifacts/model/model.pkl"
    assert got(user, SHARED, name) == b"data"
    assert names(user, SHARED, "") == {name}
    with refused():
        put(user, SHARED, "0/run/artifacts/model/another.pkl")
    with refused():
        user.remove_object(SHARED, name)


@pytest.mark.parametrize("whose", ["ada", PLATFORM])
def test_other_buckets_are_closed(granted, whose):
    user = granted.of(whose)
    with refused():
        got(user, OTHER, "0/run/artifacts/model/model.pkl")
    with refused():
        names(user, OTHER, "0/")
    with refused():
        user.make_bucket("one-more")
    with refused():
        user.set_bucket_policy(BUCKET, json.dumps({}))
    assert {each.name for each in user.list_buckets()} <= {BUCKET, SHARED}


def test_the_key_of_our_own_programs_reads_all_models_and_writes_none(granted):
    platform = granted.of(PLATFORM)
    for name in (*OF_PIPELINES, *OF_OTHERS):
        assert got(platform, BUCKET, name) == b"data"
    assert set(OF_OTHERS) <= names(platform, BUCKET, "")
    with refused():
        put(platform, BUCKET, "models/ada/iris/model.joblib")


@pytest.mark.parametrize("whose", ["ada", PLATFORM])
def test_a_key_makes_no_keys(granted, whose):
    key = granted.keys[whose]
    admin = administrator(granted.store, key)
    for attempt in (
        lambda: admin.user_add("another", "another-secret"),
        admin.user_list,
        lambda: admin.policy_set("consoleAdmin", user=key.access_key),
        lambda: admin.add_service_account(access_key="another", secret_key="another-secret"),
    ):
        with pytest.raises(MinioAdminException, match="AccessDenied"):
            attempt()


def test_the_keys_of_pipelines_and_of_models_are_others(granted, kserve):
    """Both charms may be related to one MinIO: neither revokes what the other made."""
    theirs = dataclasses.replace(terms(kserve, granted.store), owner=OWNER.replace("kserve", "pipelines"))
    keys = grants.ensured(granted.store, theirs, PROFILES)
    assert not {each.access_key for each in keys.values()} & {e.access_key for e in granted.keys.values()}
    grants.revoked(granted.store, theirs.owner)
    assert got(granted.of("ada"), BUCKET, OF_PIPELINES[0]) == b"data"
