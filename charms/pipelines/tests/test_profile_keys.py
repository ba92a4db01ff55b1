"""The keys of profiles and platform: what a real MinIO lets each do, and what they ask of MinIO."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import importlib
import io
import json
import os
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ops
import pytest
import urllib3
from conformance import s3_server
from conformance.between import between
from conformance.s3_server import administrator
from minio import Minio
from minio.error import MinioAdminException, S3Error
from minio.minioadmin import MinioAdmin

from kubeflow_charm import Problem
from kubeflow_charm.minio import admin as requests
from kubeflow_charm.minio import encryption, grants
from kubeflow_charm.minio import keys as store_keys
from kubeflow_charm.webhooks import issuing
from rehearsal.guardian import Guardian

SOURCE = str(Path(__file__).parents[1] / "src")
OWNER = "7c1d9a30-2f4e-4c55-8b1d-0a8f5e2b9c11/kubeflow-pipelines"
PROFILES = {"ada": "uid-of-ada", "ada2": "uid-of-ada2", "bob": "uid-of-bob"}
BUCKET = "mlpipeline"
PLATFORM = ""
LOGS = "artifacts"


@pytest.fixture(scope="module")
def module() -> Iterator[Any]:
    """The module under test, found as the charm finds it; no two charms have modules of one name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SOURCE)
        yield importlib.import_module("store_policies")


@pytest.fixture(scope="module")
def minio(
    module: Any,
    tmp_path_factory: pytest.TempPathFactory,
    guardian: Guardian,
    request: pytest.FixtureRequest,
) -> Iterator[s3_server.Server]:
    """A real MinIO."""
    shown = s3_server.told(request.config)
    with s3_server.serving(guardian, tmp_path_factory.mktemp("minio"), on_progress=shown) as server:
        store = server.store(BUCKET)
        client(store, store).make_bucket(BUCKET)
        yield server


@pytest.fixture
def store(module: Any, minio: s3_server.Server) -> Iterator[Any]:
    """The store, of which no test before has left a user."""
    made = minio.store(BUCKET)
    yield made
    admin = administrator(made)
    for name in users(admin):
        admin.user_remove(name)
    for name in policies(admin):
        admin.policy_remove(name)


@dataclasses.dataclass
class Granted:
    """A bucket with other people's objects, and what users of profiles use it by."""

    store: Any
    keys: dict[str, Any]

    def of(self, name: str) -> Minio:
        return client(self.store, self.keys[name])


@pytest.fixture(scope="module")
def granted(
    module: Any, minio: s3_server.Server, tmp_path_factory: pytest.TempPathFactory, guardian: Guardian
) -> Iterator[Granted]:
    """Another store, on which every profile has its key."""
    with s3_server.serving(guardian, tmp_path_factory.mktemp("granted")) as server:
        store = server.store(BUCKET)
        root = client(store, store)
        root.make_bucket(BUCKET)
        for name in ("private-artifacts/bob/x", "artifacts/x", "v2/artifacts/ada/x", "private-artifacts/x"):
            put(root, name)
        yield Granted(store, ensured(module, store, OWNER, PROFILES, LOGS))


def ensured(module: Any, store: Any, owner: str, profiles: dict[str, str], logs: str) -> dict[str, Any]:
    """Return the keys after a hook, by profile; that of the platform has no profile."""
    return grants.ensured(store, terms(module, store, owner, logs), profiles)


def terms(module: Any, store: Any, owner: str, logs: str) -> grants.Terms:
    """Return what pipelines want of their keys in a store."""
    return grants.Terms(
        "kubeflow-pipelines",
        owner,
        distribution="auto",
        own=True,
        platform=module.platform_policy([store.bucket]),
        profile=lambda namespace: module.profile_policy(store, namespace, logs),
        secret="mlpipeline-minio-artifact",
        annotation="record",
    )


def client(store: Any, key: Any) -> Minio:
    return Minio(store.endpoint, access_key=key.access_key, secret_key=key.secret_key, secure=False)


def users(admin: MinioAdmin) -> dict[str, str]:
    """Return the name of each user of ours, and of its policy."""
    return {
        name: each.get("policyName", "")
        for name, each in json.loads(admin.user_list()).items()
        if name.startswith("KFP")
    }


def policies(admin: MinioAdmin) -> set[str]:
    return {name for name in json.loads(admin.policy_list()) if name.startswith("KFP")}


def put(user: Minio, name: str) -> None:
    user.put_object(BUCKET, name, io.BytesIO(b"data"), 4)


def got(user: Minio, name: str) -> bytes:
    with contextlib.closing(user.get_object(BUCKET, name)) as answer:
        return answer.read()


def names(user: Minio, prefix: str) -> set[str | None]:
    return {each.object_name for each in user.list_objects(BUCKET, prefix, recursive=True)}


@contextlib.contextmanager
def refused(code: str = "AccessDenied") -> Iterator[None]:
    with pytest.raises(S3Error) as caught:
        yield
    assert caught.value.code == code


@pytest.mark.parametrize("prefix", ["private-artifacts/ada/", "private/ada/", "artifacts/ada/"])
def test_a_profile_has_its_own_prefixes_to_itself(granted, prefix):
    ada, name = granted.of("ada"), f"{prefix}run/2026/11/24/step/model"
    put(ada, name)
    assert got(ada, name) == b"data"
    assert names(ada, prefix) == {name}
    for other in ("bob", "ada2"):
        user = granted.of(other)
        with refused():
            got(user, name)
        with refused():
            put(user, name)
        with refused():
            names(user, prefix)
        with refused():
            user.remove_object(BUCKET, name)
    ada.remove_object(BUCKET, name)
    assert names(ada, prefix) == set()


@pytest.mark.parametrize(
    "name",
    [
        "private-artifacts/bob/x",
        "artifacts/x",
        "v2/artifacts/ada/x",
        "private-artifacts/x",
        "private-artifacts/ada",
    ],
)
def test_what_is_not_below_its_prefixes_is_refused(granted, name):
    with refused():
        got(granted.of("ada"), name)
    with refused():
        put(granted.of("ada"), name)


@pytest.mark.parametrize(
    "prefix", ["", "private-artifacts/", "private-artifacts/ada", "private-artifacts/ada2/"]
)
def test_a_profile_lists_nothing_above_or_beside_its_prefixes(granted, prefix):
    with refused():
        names(granted.of("ada"), prefix)


def test_a_large_artifact_goes_up_in_parts(granted):
    ada, size, name = granted.of("ada"), 11 * 2**20, "private-artifacts/ada/model"
    # No region is given, so it is asked for first, as Argo's client does.
    ada.put_object(BUCKET, name, io.BytesIO(bytes(size)), -1, part_size=5 * 2**20)
    assert ada.stat_object(BUCKET, name).size == size


def test_a_profiles_key_changes_no_keys_and_makes_no_buckets(granted):
    key = granted.keys["ada"]
    ada = administrator(granted.store, key)
    for attempt in (
        lambda: ada.user_add("another", "another-secret"),
        lambda: ada.user_add(key.access_key, "another-secret"),
        ada.user_list,
        lambda: ada.policy_set("consoleAdmin", user=key.access_key),
        lambda: ada.add_service_account(access_key="another", secret_key="another-secret"),
    ):
        with pytest.raises(MinioAdminException, match="AccessDenied"):
            attempt()
    with refused():
        granted.of("ada").make_bucket("another")
    with refused():
        granted.of("ada").set_bucket_policy(BUCKET, "{}")
    client(granted.store, granted.store).make_bucket("of-others")
    assert [bucket.name for bucket in granted.of("ada").list_buckets()] == [BUCKET]


def test_the_platforms_key_has_the_bucket_and_nothing_else_of_the_store(granted):
    platform, root = granted.of(PLATFORM), client(granted.store, granted.store)
    for name in ("pipelines/x", "private-artifacts/ada/of-the-platform", "artifacts/bob/main.log"):
        put(platform, name)
        assert got(platform, name) == b"data"
        platform.remove_object(BUCKET, name)
    assert "artifacts/x" in names(platform, "")
    if not root.bucket_exists("of-another-team"):
        root.make_bucket("of-another-team")
    root.put_object("of-another-team", "x", io.BytesIO(b"data"), 4)
    with refused():
        platform.get_object("of-another-team", "x")
    with refused():
        platform.put_object("of-another-team", "y", io.BytesIO(b"data"), 4)
    with refused():
        list(platform.list_objects("of-another-team"))
    with refused():
        platform.make_bucket("one-more")
    assert [bucket.name for bucket in platform.list_buckets()] == [BUCKET]


def test_the_platforms_key_changes_no_keys(granted):
    key = granted.keys[PLATFORM]
    platform = administrator(granted.store, key)
    for attempt in (
        lambda: platform.user_add("another", "another-secret"),
        platform.user_list,
        lambda: platform.policy_set("consoleAdmin", user=key.access_key),
        lambda: platform.add_service_account(access_key="another", secret_key="another-secret"),
    ):
        with pytest.raises(MinioAdminException, match="AccessDenied"):
            attempt()


def test_the_platforms_key_makes_its_bucket_where_it_is_missing(module, store):
    other = dataclasses.replace(store, bucket="not-there-yet")
    key = grants.ensured(other, terms(module, other, OWNER, LOGS), {})[PLATFORM]
    platform = client(other, key)
    assert not platform.bucket_exists(other.bucket)
    platform.make_bucket(other.bucket)
    platform.put_object(other.bucket, "pipelines/x", io.BytesIO(b"data"), 4)


def test_a_wrong_secret_is_refused(granted):
    wrong = dataclasses.replace(granted.keys["ada"], secret_key="x" * 40)
    with refused("SignatureDoesNotMatch"):
        names(client(granted.store, wrong), "private/ada/")


def test_keys_are_what_minio_takes_and_tell_nothing_when_shown(module, store):
    key = store_keys.derived(store, OWNER, PROFILES)["ada"]
    assert (len(key.access_key), len(key.secret_key)) == (20, 40)
    assert key.access_key.isalnum()
    assert key.secret_key not in repr(key)


def test_every_hook_knows_the_same_keys_and_what_differs_makes_others(module, store):
    key = store_keys.derived(store, OWNER, PROFILES)["ada"]
    assert store_keys.derived(store, OWNER, PROFILES)["ada"] == key
    others = [
        store_keys.derived(store, OWNER, {"ada": "uid-of-another-ada"})["ada"],
        store_keys.derived(store, "another/kubeflow-pipelines", PROFILES)["ada"],
        store_keys.derived(dataclasses.replace(store, secret_key="rotated-once"), OWNER, PROFILES)["ada"],
        store_keys.derived(dataclasses.replace(store, access_key="admin"), OWNER, PROFILES)["ada"],
        store_keys.derived(dataclasses.replace(store, bucket="another"), OWNER, PROFILES)["ada"],
        store_keys.derived(store, OWNER, PROFILES)["bob"],
    ]
    every = [key, *others]
    assert len({each.access_key for each in every}) == len({each.secret_key for each in every}) == len(every)


def test_keys_of_profiles_that_are_gone_are_refused_and_leave_nothing(module, store):
    keys = ensured(module, store, OWNER, PROFILES, LOGS)
    left = ensured(module, store, OWNER, {"bob": PROFILES["bob"]}, LOGS)
    admin = administrator(store)
    assert set(users(admin)) == {key.access_key for key in left.values()}
    assert left == {name: keys[name] for name in ("bob", PLATFORM)}
    assert policies(admin) == set(users(admin).values())
    with refused("InvalidAccessKeyId"):
        names(client(store, keys["ada"]), "private/ada/")
    put(client(store, keys["bob"]), "private/bob/x")
    grants.revoked(store, OWNER)
    assert (users(admin), policies(admin)) == ({}, set())


def test_who_had_a_profile_of_that_name_before_is_refused(module, store):
    before = ensured(module, store, OWNER, {"ada": "first"}, LOGS)["ada"]
    after = ensured(module, store, OWNER, {"ada": "second"}, LOGS)["ada"]
    with refused("InvalidAccessKeyId"):
        names(client(store, before), "private/ada/")
    assert names(client(store, after), "private/ada/") == set()


def test_other_users_policies_and_installations_are_left_alone(module, store):
    admin = administrator(store)
    admin.user_add("grafana", "grafana-secret")
    admin.policy_set("readonly", user="grafana")
    theirs = ensured(module, store, "another/kubeflow-pipelines", PROFILES, LOGS)
    ensured(module, store, OWNER, PROFILES, LOGS)
    grants.revoked(store, OWNER)
    left = users(admin)
    assert set(left) == {key.access_key for key in theirs.values()}
    assert policies(admin) == set(left.values())
    assert json.loads(admin.user_info("grafana"))["policyName"] == "readonly"
    admin.user_remove("grafana")


def test_another_folder_for_logs_keeps_the_key(module, store):
    before = ensured(module, store, OWNER, PROFILES, LOGS)["ada"]
    ada = client(store, before)
    with refused():
        put(ada, "logs/of/ada/x")
    assert ensured(module, store, OWNER, PROFILES, "logs/of")["ada"] == before
    put(ada, "logs/of/ada/x")
    with refused():
        put(ada, f"{LOGS}/ada/x")
    admin = administrator(store)
    assert policies(admin) == set(users(admin).values())


def test_what_is_missing_or_changed_by_hand_comes_back(module, store):
    keys = ensured(module, store, OWNER, PROFILES, LOGS)
    admin = administrator(store)
    wanted = users(admin)
    admin.user_remove(keys["ada"].access_key)
    admin.policy_set("readwrite", user=keys["bob"].access_key)
    ensured(module, store, OWNER, PROFILES, LOGS)
    assert users(admin) == wanted
    put(client(store, keys["ada"]), "private/ada/x")
    with refused():
        got(client(store, keys["bob"]), "artifacts/x")


def test_a_key_that_is_switched_off_stays_off(module, store):
    key = ensured(module, store, OWNER, PROFILES, LOGS)["ada"]
    administrator(store).user_disable(key.access_key)
    ensured(module, store, OWNER, PROFILES, LOGS)
    with refused("InvalidAccessKeyId"):
        names(client(store, key), "private/ada/")


def test_a_new_key_of_the_administrator_makes_all_others_new(module, tmp_path, guardian):
    with s3_server.serving(guardian, tmp_path) as server:
        before = ensured(module, server.store(BUCKET), OWNER, PROFILES, LOGS)
        was = server.store(BUCKET)
    with s3_server.serving(guardian, tmp_path, secret_key="rotated-once") as server:
        with pytest.raises(Problem) as caught:
            ensured(module, dataclasses.replace(was, port=server.port), OWNER, PROFILES, LOGS)
        text = "minio: its object store does not know its own key yet: SignatureDoesNotMatch"
        assert caught.value.status == ops.WaitingStatus(text)
        after = ensured(module, server.store(BUCKET), OWNER, PROFILES, LOGS)
        assert set(users(administrator(server.store(BUCKET)))) == {key.access_key for key in after.values()}
        assert not {key.secret_key for key in before.values()} & {key.secret_key for key in after.values()}


def test_a_settled_hook_asks_one_thing_however_many_profiles_there_are(module, store):
    with between(store) as (reached, seen):
        for profiles in (PROFILES, {f"p{number}": str(number) for number in range(12)}):
            ensured(module, reached, OWNER, profiles, LOGS)
            seen.clear()
            ensured(module, reached, OWNER, profiles, LOGS)
            assert seen == ["list-users"]


def test_one_more_profile_costs_five_requests(module, store):
    with between(store) as (reached, seen):
        ensured(module, reached, OWNER, PROFILES, LOGS)
        seen.clear()
        ensured(module, reached, OWNER, PROFILES | {"eve": "uid-of-eve"}, LOGS)
        grant = ["add-canned-policy", "add-user", "set-user-or-group-policy"]
        assert seen == ["list-users", *grant, "list-canned-policies"]


def test_a_failure_takes_nothing_away_and_the_next_hook_does_what_is_left(module, store):
    broken = lambda _, command: (500, b"{}") if command == "add-user" else None  # noqa: E731
    before = ensured(module, store, OWNER, PROFILES, LOGS)
    profiles = {"bob": PROFILES["bob"], "eve": "uid-of-eve"}
    with between(store, broken) as (reached, _), pytest.raises(Problem) as caught:
        ensured(module, reached, OWNER, profiles, LOGS)
    assert caught.value.status == ops.WaitingStatus("minio: its object store answers HTTP 500")
    assert set(users(administrator(store))) == {key.access_key for key in before.values()}
    after = ensured(module, store, OWNER, profiles, LOGS)
    admin = administrator(store)
    assert set(users(admin)) == {key.access_key for key in after.values()}
    assert policies(admin) == set(users(admin).values())


def said(code: str) -> bytes:
    return json.dumps({"Code": code, "Message": "no"}).encode()


def encrypted(text: bytes, secret: str) -> bytes:
    ours, salt = encryption, os.urandom(32)
    return ours.encrypted(text, salt, ours.key_of(salt, secret))


@pytest.mark.parametrize("size", [0, 1, 2**14 - 1, 2**14, 2**14 + 1, 3 * 2**14])
def test_what_is_encrypted_is_what_the_makers_of_minio_read_and_write(module, size):
    """Their own library reads what we write, and we what it writes."""
    text, secret = bytes(size), "minio123"
    ours, theirs = encryption, importlib.import_module("minio.crypto")
    answer = urllib3.HTTPResponse(io.BytesIO(encrypted(text, secret)), preload_content=False)
    assert theirs.decrypt(answer, secret) == text
    if size:  # its release of November 2025 writes nothing for nothing
        assert ours.decrypted(theirs.encrypt(text, secret), secret) == text


@pytest.mark.parametrize(
    "change",
    [lambda it: it[:-1], lambda it: it[:60], lambda it: b"x" + it, lambda it: it[:32] + b"\x07" + it[33:]],
)
def test_what_was_changed_on_the_way_is_not_read(module, change):
    ours = encryption
    with pytest.raises(ours.Unreadable):
        ours.decrypted(change(encrypted(bytes(40_000), "minio123")), "minio123")


NO_BUCKET = b"<?xml version='1.0'?><Error><Code>NoSuchBucket</Code></Error>"


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (403, said("AccessDenied"), ops.BlockedStatus("minio may not make keys: give it the key of MinIO's administrator")),
        (403, said("InvalidAccessKeyId"), ops.WaitingStatus("minio: its object store does not know its own key yet: InvalidAccessKeyId")),
        (503, said("XMinioServerNotInitialized"), ops.WaitingStatus("minio: its object store refuses: XMinioServerNotInitialized")),
        (404, b"<html>no such page</html>", ops.WaitingStatus("minio: its object store answers HTTP 404")),
        (503, b"<?xml version='1.0'?><Error><Code>SlowDown</Code></Error>", ops.WaitingStatus("minio: its object store refuses: SlowDown")),
        (302, b"", ops.WaitingStatus("minio: its object store answers HTTP 302")),
        (200, b"", ops.WaitingStatus("minio: its object store does not answer as MinIO does")),
        (200, b"{}" * 100, ops.WaitingStatus("minio: its object store does not answer as MinIO does")),
    ],
)  # fmt: skip
def test_what_a_store_refuses_is_a_status_of_its_application(module, store, status, body, expected):
    with between(store, lambda *_: (status, body)) as (reached, _), pytest.raises(Problem) as caught:
        ensured(module, reached, OWNER, PROFILES, LOGS)
    assert caught.value.status == expected


def xml(code: str) -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>".encode()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, NO_BUCKET),
        (403, NO_BUCKET),
        (404, xml("NoSuchKey")),
        (405, xml("MethodNotAllowed")),
        (501, xml("NotImplemented")),
        (501, said("NotImplemented")),
    ],
)
def test_a_store_that_proves_to_have_no_users_is_told_apart(module, store, status, body):
    with between(store, lambda *_: (status, body)) as (reached, _), pytest.raises(grants.NotMinio):
        ensured(module, reached, OWNER, PROFILES, LOGS)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, xml("RequestTimeTooSkewed")),
        (400, xml("MissingDateHeader")),
        (400, xml("MalformedDate")),
        (400, xml("SignatureVersionNotSupported")),
        (400, xml("BadRequest")),
        (403, xml("AccessDenied")),
        (403, xml("AllAccessDisabled")),
        (404, xml("NoSuchUpload")),
        (426, said("XMinioAdminVersionMismatch")),
        (500, NO_BUCKET),
        (503, xml("NoSuchKey")),
        (404, said("NoSuchBucket")),
        (404, b"<html>NoSuchBucket</html>"),
        (200, NO_BUCKET),
    ],
)
def test_no_other_answer_proves_that_a_store_has_no_users(module, store, status, body):
    with between(store, lambda *_: (status, body)) as (reached, _), pytest.raises(Problem):
        ensured(module, reached, OWNER, PROFILES, LOGS)


def test_a_real_minio_whose_clock_differs_proves_nothing(module, store, monkeypatch):
    class Late(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
            return super().now(tz) - datetime.timedelta(minutes=20)

    monkeypatch.setattr(requests.datetime, "datetime", Late)
    with pytest.raises(Problem) as caught:
        ensured(module, store, OWNER, PROFILES, LOGS)
    text = "minio: its object store refuses: RequestTimeTooSkewed"
    assert caught.value.status == ops.WaitingStatus(text)


def test_a_store_that_is_away_is_waited_for(module, store):
    with pytest.raises(Problem) as caught:
        ensured(module, dataclasses.replace(store, port=1), OWNER, PROFILES, LOGS)
    assert caught.value.status == ops.WaitingStatus("minio: its object store does not answer: ConnectError")


def test_a_store_that_hangs_is_waited_for_and_not_for_long(module, store, monkeypatch):
    monkeypatch.setattr(requests, "READ", 0.2)
    hold = threading.Event()
    with between(store, lambda *_: (200, b"") if hold.wait(10) else None) as (reached, _):
        with pytest.raises(Problem) as caught:
            ensured(module, reached, OWNER, PROFILES, LOGS)
        hold.set()
    assert caught.value.status == ops.WaitingStatus("minio: its object store does not answer: ReadTimeout")


def test_a_store_is_reached_by_tls_if_its_authority_is_trusted(module, store, tmp_path):
    now = datetime.datetime.now(datetime.UTC)
    authority = issuing.authority("minio", now, now + datetime.timedelta(days=1))
    pair = issuing.serving(["localhost"], now, now + datetime.timedelta(days=1), authority)
    (tmp_path / "tls.pem").write_text(pair.certificate + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.pem")
    with between(store, tls=context) as (reached, _):
        reached = dataclasses.replace(reached, host="localhost", secure=True)
        with pytest.raises(Problem) as caught:
            ensured(module, reached, OWNER, PROFILES, LOGS)
        assert caught.value.status == ops.WaitingStatus(
            "minio: its object store does not answer: ConnectError"
        )
        trusting = dataclasses.replace(reached, tls_ca=authority.certificate)
        assert set(ensured(module, trusting, OWNER, PROFILES, LOGS)) == {PLATFORM, *PROFILES}
