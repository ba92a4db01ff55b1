"""With own keys: what the charm offers each profile, and what a real MinIO lets one do with it."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import lightkube
import pytest
from charm_harness import MINIO
from charm_harness import deployed as deploy
from conformance import s3_server
from conformance.between import between
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Namespace, Secret
from minio import Minio
from minio.error import S3Error
from ops import testing

from rehearsal.cluster.controlplane import ControlPlane
from rehearsal.guardian import Guardian

MODEL = "own-keys"
REQUIRED = {"object-store-keys": "per-profile"}
SHARED = {"object-store-keys": "shared"}
PROFILES = ("keys-of-ada", "keys-of-bob")
BUCKET = "mlpipeline"


@pytest.fixture(scope="module")
def minio(
    guardian: Guardian, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[s3_server.Server]:
    """A real MinIO with the bucket of pipelines."""
    shown = s3_server.told(request.config)
    with s3_server.serving(guardian, tmp_path_factory.mktemp("minio"), on_progress=shown) as server:
        Minio(server.endpoint, server.access_key, server.secret_key, secure=False).make_bucket(BUCKET)
        yield server


@pytest.fixture(scope="module")
def said(minio: s3_server.Server) -> dict[str, Any]:
    """What MinIO's charm writes, its service being on loopback."""
    keys = {"access-key": minio.access_key, "secret-key": minio.secret_key}
    return {**MINIO, **keys, "service": "127.0.0.1", "port": minio.port}


@pytest.fixture(scope="module")
def deployed(
    pipelines: Any, cluster: ControlPlane, client: lightkube.Client, said: dict[str, Any]
) -> Iterator[testing.State]:
    """Two profiles, and the state after a hook with own keys."""
    labels = {"user.kubeflow.org/enabled": ""}
    for name in PROFILES:
        client.create(Namespace(metadata=ObjectMeta(name=name, labels=labels)))
    with deploy(pipelines, cluster, client, MODEL):
        yield pipelines.run(MODEL, minio=said, dispatcher=True)
    for name in PROFILES:
        client.delete(Namespace, name)


def offered(state: testing.State, endpoint: str) -> list[dict[str, Any]]:
    """Return what the charm offers on an endpoint, in a secret or not."""
    (relation,) = (each for each in state.relations if each.endpoint == endpoint)
    assert isinstance(relation, testing.Relation)
    data = relation.local_app_data
    if data.get("is_secret") != "true":
        return json.loads(data["kubernetes_manifests"])
    (secret,) = (each for each in state.secrets if each.id == data["kubernetes_manifests"])
    assert secret.latest_content
    return json.loads(secret.latest_content["manifests"])


def of(state: testing.State, minio: s3_server.Server, profile: str) -> Minio:
    """Return the store as runs of a profile use it."""
    (secret,) = (each for each in offered(state, "secrets") if each["metadata"]["namespace"] == profile)
    keys = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
    return Minio(minio.endpoint, keys["accesskey"], keys["secretkey"], secure=False)


def put(user: Minio, profile: str) -> None:
    user.put_object(BUCKET, f"private-artifacts/{profile}/v2/artifacts/x", io.BytesIO(b"x"), 1)


def test_a_profiles_key_reaches_its_own_artifacts_and_no_others(deployed, minio):
    for profile in PROFILES:
        put(of(deployed, minio, profile), profile)
    for profile, other in (PROFILES, PROFILES[::-1]):
        with pytest.raises(S3Error, match="AccessDenied"):
            put(of(deployed, minio, profile), other)
        with pytest.raises(S3Error, match="AccessDenied"):
            of(deployed, minio, profile).get_object(BUCKET, f"private-artifacts/{other}/v2/artifacts/x")


def test_the_root_key_is_in_no_profile(deployed, minio):
    secrets = offered(deployed, "secrets")
    assert len(secrets) == len(PROFILES)
    assert base64.b64encode(minio.secret_key.encode()).decode() not in json.dumps(secrets)


def kept(client: lightkube.Client, name: str = "mlpipeline-minio-artifact") -> dict[str, str]:
    """Return what a Secret of the model holds."""
    data = client.get(Secret, name, namespace=MODEL).data or {}
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def test_the_root_key_is_in_no_object_of_the_cluster(deployed, minio, client):
    encoded = base64.b64encode(minio.secret_key.encode()).decode()
    for kind in (Secret, ConfigMap, Deployment):
        for item in client.list(kind, namespace=MODEL):
            assert minio.secret_key not in str(item.to_dict())
            assert encoded not in str(item.to_dict())


def test_our_own_programs_have_a_key_to_the_bucket(deployed, minio, client):
    key = kept(client)
    ours = Minio(minio.endpoint, key["accesskey"], key["secretkey"], secure=False)
    ours.put_object(BUCKET, "pipelines/x", io.BytesIO(b"x"), 1)
    with pytest.raises(S3Error, match="AccessDenied"):
        ours.make_bucket("another")


def test_runs_of_a_profile_write_where_its_key_may(pipelines, deployed):
    roots = {
        each["metadata"]["namespace"]: each["data"]["defaultPipelineRoot"]
        for each in offered(deployed, "config-maps")
        if each["metadata"]["name"] == "kfp-launcher"
    }
    assert roots == {name: f"minio://{BUCKET}/private-artifacts/{name}/v2/artifacts" for name in PROFILES}
    documents = pipelines.render({"gpu-discovery": False, **SHARED})
    repository = documents["ConfigMap/workflow-controller-configmap"]["data"]["artifactRepository"]
    assert "keyFormat: artifacts/{{workflow.namespace}}/" in repository


def test_logs_of_a_profile_are_written_and_read_by_its_key_only(pipelines, deployed, said, minio):
    state = pipelines.run(MODEL, {"log-archive-prefix": "/logs/of-steps"}, minio=said, dispatcher=True)
    ada, bob = (of(state, minio, profile) for profile in PROFILES)
    name = f"logs/of-steps/{PROFILES[0]}/run/2026/11/24/step/main.log"
    ada.put_object(BUCKET, name, io.BytesIO(b"x"), 1)
    with pytest.raises(S3Error, match="AccessDenied"):
        bob.get_object(BUCKET, name)


def test_the_keys_stay_the_same_from_hook_to_hook(pipelines, deployed, said):
    again = pipelines.run(MODEL, minio=said, dispatcher=True)
    assert offered(again, "secrets") == offered(deployed, "secrets")


def test_a_store_that_is_away_is_waited_for_and_takes_no_key_away(pipelines, deployed, said):
    state = pipelines.run(MODEL, minio={**said, "port": 1}, dispatcher=True)
    assert isinstance(state.unit_status, testing.WaitingStatus)
    assert state.unit_status.message.startswith("minio: its object store does not answer")
    assert [each for each in state.relations if each.endpoint == "secrets" and each.local_app_data] == []


@pytest.fixture
def consented(pipelines: Any, deployed: testing.State, said: dict[str, Any]) -> None:
    """The operator has said that profiles may share a key."""
    pipelines.run(MODEL, SHARED, minio=said)


@pytest.fixture
def separate(pipelines: Any, deployed: testing.State, said: dict[str, Any]) -> None:
    """Each profile has had a key of its own."""
    pipelines.run(MODEL, minio=said)


@pytest.mark.parametrize("options", [SHARED, {"default_pipeline_root": "minio://mlpipeline/x"}])
def test_where_all_share_a_key_the_status_says_so(pipelines, consented, said, minio, options):
    context = pipelines.context()
    given = pipelines.state(MODEL, options, minio=said, dispatcher=True)
    with context(context.on.config_changed(), given) as manager:
        state = manager.run()
        assert manager.charm.summary.startswith("profiles share one object store key")
    (secret,) = offered(state, "secrets")
    assert "namespace" not in secret["metadata"]
    assert base64.b64decode(secret["data"]["secretkey"]).decode() != minio.secret_key
    shared = Minio(
        minio.endpoint,
        *(base64.b64decode(secret["data"][key]).decode() for key in ("accesskey", "secretkey")),
        secure=False,
    )
    for profile in PROFILES:
        put(shared, profile)


def answering(minio: s3_server.Server, said: dict[str, Any], status: int, code: str) -> Any:
    """Return a store that answers each request with an error of S3, and what its charm writes."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>".encode()
    return between(minio.store(BUCKET), lambda *_: (status, body))


@pytest.mark.parametrize("before", ["deployed", "consented", "separate"])
def test_no_error_but_a_proof_makes_profiles_share_a_key(pipelines, said, minio, client, request, before):
    request.getfixturevalue(before)
    was = kept(client)
    with answering(minio, said, 403, "RequestTimeTooSkewed") as (reached, _):
        state = pipelines.run(MODEL, minio={**said, "port": reached.port}, dispatcher=True)
    assert state.unit_status == testing.WaitingStatus("minio: its object store refuses: RequestTimeTooSkewed")
    assert [each for each in state.relations if each.endpoint == "secrets" and each.local_app_data] == []
    assert kept(client) == was


FALLING = testing.BlockedStatus(
    "each profile had its own key, and would share one: "
    "juju config kubeflow-pipelines object-store-keys=shared"
)


def test_profiles_that_had_their_own_keys_share_one_only_if_the_operator_says_so(
    pipelines, separate, said, minio, client
):
    with answering(minio, said, 404, "NoSuchBucket") as (reached, _):
        other = {**said, "port": reached.port}
        was = kept(client)
        state = pipelines.run(MODEL, minio=other, dispatcher=True)
        assert state.unit_status == FALLING
        assert [each for each in state.relations if each.endpoint == "secrets" and each.local_app_data] == []
        assert kept(client) == was
        (secret,) = offered(pipelines.run(MODEL, SHARED, minio=other, dispatcher=True), "secrets")
        assert base64.b64decode(secret["data"]["secretkey"]).decode() == said["secret-key"]
        # From then on there is nothing to fall back from.
        assert offered(pipelines.run(MODEL, minio=other, dispatcher=True), "secrets") == [secret]
    assert len(offered(pipelines.run(MODEL, minio=said, dispatcher=True), "secrets")) == len(PROFILES)


@pytest.mark.parametrize("way", ["s3-credentials", "default_pipeline_root"])
def test_neither_another_relation_nor_another_option_makes_them_share_one(
    pipelines, separate, said, minio, way
):
    if way == "s3-credentials":
        state = pipelines.run(MODEL, **through_s3_integrator(minio, minio.access_key, minio.secret_key))
    else:
        root = {"default_pipeline_root": "minio://mlpipeline/x"}
        state = pipelines.run(MODEL, root, minio=said, dispatcher=True)
    assert state.unit_status == FALLING
    assert len(users(minio)) == len(PROFILES) + 1


def test_a_key_that_is_no_administrators_may_be_shared(pipelines, consented, said, minio, client):
    key = kept(client)
    limited = {**said, "access-key": key["accesskey"], "secret-key": key["secretkey"]}
    state = pipelines.run(MODEL, minio=limited, dispatcher=True)
    assert state.unit_status == testing.BlockedStatus(
        "minio may not make keys: give it the key of MinIO's administrator"
    )
    (secret,) = offered(pipelines.run(MODEL, SHARED, minio=limited, dispatcher=True), "secrets")
    assert base64.b64decode(secret["data"]["accesskey"]).decode() == key["accesskey"]


def test_while_the_store_is_away_the_platform_is_kept_in_order(pipelines, separate, said, client):
    client.delete(ConfigMap, "pipeline-install-config", namespace=MODEL)
    state = pipelines.run(MODEL, minio={**said, "port": 1}, dispatcher=True)
    assert state.unit_status.message.startswith("minio: its object store does not answer")
    assert client.get(ConfigMap, "pipeline-install-config", namespace=MODEL)


def test_a_root_of_ones_own_and_own_keys_exclude_each_other(pipelines):
    state, text = pipelines.status({**REQUIRED, "default_pipeline_root": "minio://bucket/x"})
    assert state == "blocked"
    assert "object-store-keys=per-profile and default_pipeline_root exclude each other" in text


def through_s3_integrator(minio: s3_server.Server, access_key: str, secret_key: str) -> dict[str, Any]:
    """Return what a hook is given if the same store comes by `s3-credentials`."""
    s3 = {"version": "1", "endpoint": f"http://{minio.endpoint}", "bucket": BUCKET}
    keys = {"access-key": access_key, "secret-key": secret_key}
    return {"minio": None, "s3": s3, "keys": keys, "dispatcher": True}


def test_a_minio_behind_s3_integrator_gives_keys_if_it_is_asked_to(pipelines, consented, minio):
    given = through_s3_integrator(minio, minio.access_key, minio.secret_key)
    (secret,) = offered(pipelines.run(MODEL, **given), "secrets")
    assert base64.b64decode(secret["data"]["secretkey"]).decode() == minio.secret_key
    state = pipelines.run(MODEL, REQUIRED, **given)
    for profile in PROFILES:
        put(of(state, minio, profile), profile)


def test_a_key_that_may_make_no_others_is_blocked_if_some_are_required(pipelines, deployed, minio):
    keys = {each["metadata"]["namespace"]: each["data"] for each in offered(deployed, "secrets")}[PROFILES[0]]
    decoded = [base64.b64decode(keys[name]).decode() for name in ("accesskey", "secretkey")]
    state = pipelines.run(MODEL, REQUIRED, **through_s3_integrator(minio, *decoded))
    assert state.unit_status == testing.BlockedStatus(
        "s3-integrator may not make keys: give it the key of MinIO's administrator"
    )


def test_a_store_that_is_no_minio_is_blocked_if_keys_are_required(pipelines, deployed, minio):
    no_minio = b"<?xml version='1.0'?><Error><Code>NoSuchBucket</Code></Error>"
    with between(minio.store(BUCKET), lambda *_: (404, no_minio)) as (reached, _):
        other = s3_server.Server(reached.port, "key", "secret-key")
        state = pipelines.run(MODEL, REQUIRED, **through_s3_integrator(other, "key", "secret-key"))
    cure = "juju config kubeflow-pipelines object-store-keys=shared"
    assert state.unit_status == testing.BlockedStatus(f"s3-integrator cannot give each profile a key: {cure}")


def users(minio: s3_server.Server) -> set[str]:
    """Return who has a key beside MinIO's administrator."""
    return set(json.loads(s3_server.administrator(minio).user_list()))


def test_with_one_key_for_all_no_profile_keeps_its_own(pipelines, deployed, said, minio):
    pipelines.run(MODEL, minio=said, dispatcher=True)
    assert len(users(minio)) == len(PROFILES) + 1
    pipelines.run(MODEL, SHARED, minio=said, dispatcher=True)
    assert len(users(minio)) == 1


def without_store(pipelines: Any, said: dict[str, Any]) -> testing.State:
    """Run the hook in which MinIO's relation breaks, and return the state after it."""
    given = pipelines.state(MODEL, minio=said, dispatcher=True)
    (relation,) = (each for each in given.relations if each.endpoint == "object-storage")
    context = pipelines.context()
    return context.run(context.on.relation_broken(relation), given)


def test_a_store_that_is_left_keeps_no_key_of_a_profile(pipelines, deployed, said, minio):
    pipelines.run(MODEL, minio=said, dispatcher=True)
    assert len(users(minio)) == len(PROFILES) + 1
    state = without_store(pipelines, said)
    assert users(minio) == set()
    assert state.unit_status.message.startswith("relation object-storage missing")
    # Who relates it again has the same keys.
    again = pipelines.run(MODEL, minio=said, dispatcher=True)
    assert offered(again, "secrets") == offered(deployed, "secrets")
    assert len(users(minio)) == len(PROFILES) + 1


def test_the_same_store_by_its_other_relation_keeps_the_keys(pipelines, deployed, said, minio):
    both = through_s3_integrator(minio, minio.access_key, minio.secret_key) | {"minio": said}
    given = pipelines.state(MODEL, REQUIRED, **both)
    (relation,) = (each for each in given.relations if each.endpoint == "object-storage")
    context = pipelines.context()
    state = context.run(context.on.relation_broken(relation), given)
    for profile in PROFILES:
        put(of(state, minio, profile), profile)


@pytest.mark.parametrize("change", [{"port": 1}, {"port": "garbage"}, {"secret-key": "wrong-one"}])
def test_a_store_that_is_left_and_cannot_be_asked_stops_nothing(pipelines, deployed, said, caplog, change):
    state = without_store(pipelines, said | change)
    assert state.unit_status.message.startswith("relation object-storage missing")
    assert "keys of profiles may stay" in caplog.text or "object-storage is left as it is" in caplog.text


def test_the_bucket_has_the_rules_that_options_ask_for(pipelines, deployed, said, minio):
    root = Minio(minio.endpoint, minio.access_key, minio.secret_key, secure=False)
    pipelines.run(MODEL, {"artifact-retention-days": 90, "log-retention-days": 7}, minio=said)
    found = root.get_bucket_lifecycle(BUCKET)
    assert found
    kept = {
        rule.rule_filter.prefix: rule.expiration.days
        for rule in found.rules
        if rule.rule_filter and rule.expiration
    }
    assert kept == {"v2/artifacts/": 90, "private-artifacts/": 90, "artifacts/": 7}
    pipelines.run(MODEL, minio=said)
    assert root.get_bucket_lifecycle(BUCKET) is None
