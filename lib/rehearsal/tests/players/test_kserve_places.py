"""Models that are loaded from several places."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from rehearsal.players.kserve import checking, storage
from rehearsal.players.kserve.settings import Settings

from .test_kserve import config

CONTAINER = {"name": "kserve-container", "image": "server:1"}
FIRST, SECOND = (
    {"uri": "s3://b/1", "mountPath": "/mnt/models/1"},
    {"uri": "hf://a/b", "mountPath": "/mnt/models/2"},
)
CLAIM = {"uri": "pvc://data/some", "mountPath": "/mnt/data"}


class Nothing:
    """An API server that has only these ClusterStorageContainers."""

    def __init__(self, *containers: dict[str, Any]):
        self._containers = [{"metadata": {"name": "any"}, "spec": each} for each in containers]

    def read(self, kind: Any, key: Any) -> None:
        return None

    def items(self, kind: Any, namespace: str) -> list[dict[str, Any]]:
        return self._containers


def load(*uris: dict[str, Any], api: Nothing | None = None) -> dict[str, Any]:
    """Return the spec of a pod that loads them."""
    said = Settings(config(storageInitializer={"image": "loader:1"}))
    spec: dict[str, Any] = {"containers": [copy.deepcopy(CONTAINER)]}
    storage.load_several(api or Nothing(), said, spec, {}, list(uris), ("ada", "kserve"))
    return spec


def test_one_container_loads_all_into_what_they_have_in_common():
    spec = load(FIRST, SECOND)
    (loader,) = spec["initContainers"]
    assert loader["args"] == ["s3://b/1", "/mnt/models/1", "hf://a/b", "/mnt/models/2"]
    assert spec["volumes"] == [{"name": "mnt-models", "emptyDir": {}}]
    (mount,) = spec["containers"][0]["volumeMounts"]
    assert mount == {"name": "mnt-models", "mountPath": "/mnt/models", "readOnly": True}


def test_kubernetes_refuses_what_loads():
    spec = load(FIRST, SECOND)
    mounted = [each["name"] for each in spec["initContainers"][0]["volumeMounts"]]
    assert set(mounted) - {each["name"] for each in spec["volumes"]} == {"kserve-provision-location"}


def test_a_claim_is_only_mounted():
    spec = load(CLAIM)
    assert "initContainers" not in spec
    assert spec["volumes"] == [{"name": "mnt-data", "persistentVolumeClaim": {"claimName": "data"}}]


def test_a_storage_container_may_load_one_only():
    spec = {"supportedUriFormats": [{"prefix": "s3://"}], "container": {"name": "mine"}}
    with pytest.raises(ValueError, match='"mine" does not support multi-model download'):
        load(FIRST, SECOND, api=Nothing(spec))
    assert load(FIRST, api=Nothing(spec | {"supportsMultiModelDownload": True}))["initContainers"]


@pytest.mark.parametrize(
    "predictor, problem",
    [
        ({"storageUris": [FIRST, SECOND]}, None),
        ({"storageUris": [FIRST, CLAIM]}, None),
        ({"storageUris": [FIRST, {**SECOND, "mountPath": "/other"}]}, "must have a common parent"),
        ({"storageUris": [{**FIRST, "mountPath": "/"}]}, "cannot be empty"),
        ({"storageUris": [{**FIRST, "mountPath": "/a/../b"}]}, "cannot contain"),
        ({"storageUris": [FIRST], "model": {"storageUri": "s3://c"}}, "Setting both"),
    ],
)
def test_places_are_checked(predictor: dict[str, Any], problem: str | None):
    model = {"modelFormat": {"name": "sklearn"}, **predictor.pop("model", {})}
    spec = {"predictor": {**predictor, "model": model}}
    found = checking.service({"metadata": {"name": "iris"}, "spec": spec}, None)
    assert [bool(problem and problem in each) for each in found] == ([True] if problem else [])
