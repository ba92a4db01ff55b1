"""What profiles get so that KServe fetches models from the store, without a cluster or a store."""

from __future__ import annotations

import base64
import fnmatch
import importlib
import json
from typing import Any

import pytest
from charm_harness import charm_type
from ops import testing

from kubeflow_charm.minio.keys import Key, PerProfile, Shared
from kubeflow_charm.relations.object_store import ObjectStore

STORE = ObjectStore("minio.mlops", 9000, False, "root", "secret", "us-east-1", "mlpipeline", root=True)
S3 = {
    "version": "1",
    "endpoint": "https://s3.example.com:9443",
    "bucket": "models",
    "region": "eu-west-1",
    "access-key": "key",
    "secret-key": "secret",
}
"""What s3-integrator writes."""
ANNOTATION = "serving.kserve.io/s3-"

pytestmark = pytest.mark.usefixtures("offline")


@pytest.fixture
def module(kserve: Any) -> Any:
    charm_type(kserve.source)
    return importlib.import_module("model_store")


def models(keys: Any, store: ObjectStore = STORE) -> Any:
    return importlib.import_module("serving_facts").Models(store, keys, None)


def sent(state: testing.State, endpoint: str) -> list[dict[str, Any]]:
    """Return what a dispatcher was sent."""
    (relation,) = state.get_relations(endpoint)
    data = relation.local_app_data
    text = data.get("kubernetes_manifests", "[]")
    if data.get("is_secret") == "true":
        (secret,) = (each for each in state.secrets if each.id == text)
        text = secret.latest_content["manifests"]
    return json.loads(text)


def test_a_profile_gets_a_secret_and_an_account_that_kserve_understands(module):
    """kserve v0.16.0, pkg/credentials/s3/s3_secret.go."""
    (secret,) = module.secrets("kserve", models(Shared(Key("name", "secret"), made=False)))
    assert secret["metadata"] == {
        "name": "kserve-s3",
        "annotations": {
            f"{ANNOTATION}endpoint": "minio.mlops:9000",
            f"{ANNOTATION}usehttps": "0",
            f"{ANNOTATION}verifyssl": "0",
            f"{ANNOTATION}region": "us-east-1",
            f"{ANNOTATION}usevirtualbucket": "false",
            f"{ANNOTATION}useanoncredential": "false",
        },
    }
    decoded = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
    assert decoded == {"AWS_ACCESS_KEY_ID": "name", "AWS_SECRET_ACCESS_KEY": "secret"}
    (account,) = module.service_accounts("kserve", True, models(Shared(Key("n", "s"), made=False)))
    assert account["secrets"] == [{"name": "kserve-s3"}]
    assert account["imagePullSecrets"] == [{"name": "kserve-image-pull"}]


def test_each_profile_gets_its_own_key_and_no_namespace_is_left_out(module):
    keys = PerProfile(Key("p", "p"), {"bob": Key("b", "b"), "ada": Key("a", "a")})
    found = module.secrets("kserve", models(keys))
    assert [each["metadata"]["namespace"] for each in found] == ["ada", "bob"]
    own = module.own_secret("kserve", "mlops", models(keys))
    assert own["metadata"]["namespace"] == "mlops"
    assert own["metadata"]["annotations"]["kserve.charmhub.io/object-store-keys"] == "per-profile"


def test_a_store_with_its_own_authorities_is_trusted_by_the_pods_that_fetch_from_it(module):
    store = ObjectStore("s3.example.com", 443, True, "k", "s", "eu", "models", tls_ca="PEM\n")
    found = models(Shared(Key("k", "s"), made=False), store)
    (secret,) = module.secrets("kserve", found)
    annotations = secret["metadata"]["annotations"]
    assert annotations[f"{ANNOTATION}cabundle-configmap"] == "kserve-s3"
    assert annotations[f"{ANNOTATION}usehttps"] == annotations[f"{ANNOTATION}verifyssl"] == "1"
    (config_map,) = module.config_maps("kserve", found)
    assert config_map["data"] == {"cabundle.crt": "PEM\n"}
    module.trusted("kserve", found, told=True)
    with pytest.raises(Exception, match="juju integrate kserve:config-maps resource-dispatcher"):
        module.trusted("kserve", found, told=False)


@pytest.mark.parametrize(
    ("action", "path", "allowed"),
    [
        ("GetObject", "mlpipeline/private-artifacts/ada/v2/artifacts/x/model", True),
        ("GetObject", "mlpipeline/private/ada/model", True),
        ("GetObject", "mlpipeline/models/ada/m/model.joblib", True),
        ("PutObject", "mlpipeline/models/ada/m/model.joblib", True),
        ("DeleteObject", "mlpipeline/models/ada/m/model.joblib", True),
        ("GetObject", "mlflow/0/run/artifacts/model/model.pkl", True),
        ("PutObject", "mlflow/0/run/artifacts/model/model.pkl", False),
        ("PutObject", "mlpipeline/private-artifacts/ada/x", False),
        ("GetObject", "mlpipeline/models/ada2/m", False),
        ("GetObject", "mlpipeline/models/bob/m", False),
        ("GetObject", "mlpipeline/private-artifacts/bob/m", False),
        ("GetObject", "mlpipeline/v2/artifacts/m", False),
        ("GetObject", "other/m", False),
        ("CreateBucket", "mlpipeline", False),
    ],
)
def test_a_profiles_key_reads_what_it_may_serve_and_writes_its_own_models(module, action, path, allowed):
    policy = module.profile_policy(STORE, "ada", ["mlflow"])
    arn = f"arn:aws:s3:::{path}"
    found = any(
        statement["Effect"] == "Allow"
        and f"s3:{action}" in statement["Action"]
        and any(fnmatch.fnmatchcase(arn, resource) for resource in statement["Resource"])
        for statement in policy["Statement"]
    )
    assert found is allowed
    assert {"Effect": "Deny", "Action": ["admin:*"]} in policy["Statement"]


def test_another_store_gives_its_key_to_all_and_the_status_says_so(kserve, monkeypatch):
    monkeypatch.setattr(charm_type(kserve.source), "converge", publishing)
    state = kserve.run("mlops", s3=S3, dispatcher=("secrets", "service-accounts", "config-maps"))
    assert "profiles share one object store key" in state.unit_status.message
    (secret,) = sent(state, "secrets")
    assert secret["metadata"]["annotations"][f"{ANNOTATION}endpoint"] == "s3.example.com:9443"
    assert [each["metadata"]["name"] for each in sent(state, "service-accounts")] == ["kserve-s3"]
    assert sent(state, "config-maps") == []


def test_without_a_store_nothing_travels(kserve, monkeypatch):
    monkeypatch.setattr(charm_type(kserve.source), "converge", publishing)
    state = kserve.run("mlops", dispatcher=("secrets", "service-accounts", "config-maps"))
    assert isinstance(state.unit_status, testing.ActiveStatus)
    assert sent(state, "secrets") == sent(state, "service-accounts") == sent(state, "config-maps") == []


def publishing(charm: Any, facts: Any) -> Any:
    """Do what a hook does after it has written its objects."""
    from kubeflow_charm import Outcome

    return Outcome([], charm.publish(facts))
