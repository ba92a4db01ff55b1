"""Which defaults stand beside a quota: exactly what the quota has every container say."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pydantic
import pytest

REQUESTS, LIMITS = {"cpu": "100m", "memory": "256Mi"}, {"cpu": "1", "memory": "2Gi"}
NONE = {"cpu": "", "memory": ""}
OWNERS = [{"apiVersion": "kubeflow.org/v1", "kind": "Profile", "name": "alice", "uid": "1"}]


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module under test, found as the charm finds it."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "src"))
    return importlib.import_module("quota_defaults")


@pytest.fixture
def defaults(module: Any) -> Any:
    return module.Defaults(REQUESTS, LIMITS)


def quota(namespace: str, *hard: str, name: str = "kf-resource-quota", **metadata: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "ownerReferences": OWNERS, **metadata}
    return {"metadata": metadata, "spec": {"hard": dict.fromkeys(hard, "4")}}


@pytest.mark.parametrize(
    ("hard", "wanted"),
    [
        (["requests.cpu"], {"defaultRequest": {"cpu": "100m"}}),
        (["cpu"], {"defaultRequest": {"cpu": "100m"}}),
        (["requests.cpu", "requests.memory"], {"defaultRequest": REQUESTS}),
        (["cpu", "requests.cpu", "memory"], {"defaultRequest": REQUESTS}),
        (["limits.memory"], {"default": {"memory": "2Gi"}, "defaultRequest": {"memory": "256Mi"}}),
        (
            ["requests.memory", "limits.cpu"],
            {"default": {"cpu": "1"}, "defaultRequest": {"cpu": "100m", "memory": "256Mi"}},
        ),
        (
            ["requests.cpu", "requests.memory", "limits.cpu", "limits.memory", "pods"],
            {"default": LIMITS, "defaultRequest": REQUESTS},
        ),
        ([], None),
        (["pods", "requests.storage", "requests.nvidia.com/gpu", "persistentvolumeclaims"], None),
        (["ephemeral-storage", "requests.ephemeral-storage", "count/jobs.batch", "services"], None),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, list) else "",
)
def test_it_has_what_the_quota_counts_and_nothing_else(
    module: Any, defaults: Any, hard: list[str], wanted: Any
):
    found = module.limit_range(hard, defaults)
    if wanted is None:
        assert found is None
        return
    assert found is not None
    assert found["metadata"] == {"name": module.NAME}
    assert found["spec"]["limits"] == [{"type": "Container", **wanted}]


def test_a_default_that_is_empty_is_left_out(module: Any):
    without_cpu = module.Defaults({"cpu": "", "memory": "256Mi"}, NONE)
    found = module.limit_range(["requests.cpu", "requests.memory", "limits.cpu"], without_cpu)
    assert found is not None
    assert found["spec"]["limits"] == [{"type": "Container", "defaultRequest": {"memory": "256Mi"}}]
    assert module.limit_range(["requests.cpu", "limits.cpu"], module.Defaults(NONE, NONE)) is None


def test_profiles_with_like_quotas_share_one(module: Any, defaults: Any):
    quotas = [quota("a", "cpu", "pods"), quota("b", "cpu"), quota("c", "limits.cpu"), quota("d", "pods")]
    found = {
        tuple(namespaces): item["spec"]["limits"][0]
        for item, namespaces in module.placed(quotas, (), defaults)
    }
    assert found.keys() == {("a", "b"), ("c",)}
    assert found["a", "b"]["defaultRequest"] == {"cpu": "100m"}


def test_all_quotas_of_a_profile_count_and_those_of_other_namespaces_do_not(module: Any, defaults: Any):
    quotas = [
        quota("a", "cpu"),
        quota("a", "limits.memory", name="admins"),
        quota("other", "cpu", name="admins"),
        quota("alike", "cpu", ownerReferences=[]),
        quota("going", "cpu", deletionTimestamp="2026-01-01T00:00:00Z"),
    ]
    ((item, namespaces),) = module.placed(quotas, (), defaults)
    assert namespaces == ["a"]
    assert item["spec"]["limits"][0]["default"] == {"memory": "2Gi"}


def test_where_somebody_has_a_limit_range_there_is_none_of_ours(module: Any, defaults: Any):
    assert module.placed([quota("a", "cpu")], ["a"], defaults) == []
    assert module.placed([{"metadata": quota("a")["metadata"], "spec": None}], (), defaults) == []


@pytest.mark.parametrize("text", ["100m", "2Gi", "0.5", "1e3", ""])
def test_options_are_quantities(module: Any, text: str):
    assert pydantic.TypeAdapter(module.Quantity).validate_python(text) == text


@pytest.mark.parametrize("text", ["much", "2GB", "0", "-1", "1 Gi", "NaN"])
def test_what_is_no_quantity_is_refused(module: Any, text: str):
    with pytest.raises(pydantic.ValidationError, match="not"):
        pydantic.TypeAdapter(module.Quantity).validate_python(text)
