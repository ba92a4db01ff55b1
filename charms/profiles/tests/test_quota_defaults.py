"""Which defaults stand beside a quota: exactly what the quota has every container say."""

from __future__ import annotations

from typing import Any

import pytest
from quota_defaults import NAME, QUOTA, Defaults, limit_range, placed

REQUESTS, LIMITS = {"cpu": "100m", "memory": "256Mi"}, {"cpu": "1", "memory": "2Gi"}
DEFAULTS = Defaults(REQUESTS, LIMITS)
NONE = {"cpu": "", "memory": ""}
OWNERS = [{"apiVersion": "kubeflow.org/v1", "kind": "Profile", "name": "alice", "uid": "1"}]


def quota(namespace: str, *hard: str, name: str = QUOTA, **metadata: Any) -> dict[str, Any]:
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
def test_it_has_what_the_quota_counts_and_nothing_else(hard: list[str], wanted: Any):
    found = limit_range(hard, DEFAULTS)
    if wanted is None:
        assert found is None
        return
    assert found is not None
    assert found["metadata"] == {"name": NAME}
    assert found["spec"]["limits"] == [{"type": "Container", **wanted}]


def test_a_default_that_is_empty_is_left_out():
    without_cpu = Defaults({"cpu": "", "memory": "256Mi"}, NONE)
    found = limit_range(["requests.cpu", "requests.memory", "limits.cpu"], without_cpu)
    assert found is not None
    assert found["spec"]["limits"] == [{"type": "Container", "defaultRequest": {"memory": "256Mi"}}]
    assert limit_range(["requests.cpu", "limits.cpu"], Defaults(NONE, NONE)) is None


def test_a_request_above_its_limit_is_a_contradiction():
    assert DEFAULTS.contradictions() == []
    assert Defaults({"cpu": "2", "memory": "3Gi"}, {"cpu": "1500m", "memory": "4000Mi"}).contradictions() == [
        "cpu"
    ]
    assert Defaults(REQUESTS, NONE).contradictions() == []


def test_profiles_with_like_quotas_share_one():
    quotas = [quota("a", "cpu", "pods"), quota("b", "cpu"), quota("c", "limits.cpu"), quota("d", "pods")]
    found = {
        tuple(namespaces): item["spec"]["limits"][0] for item, namespaces in placed(quotas, (), DEFAULTS)
    }
    assert found.keys() == {("a", "b"), ("c",)}
    assert found["a", "b"]["defaultRequest"] == {"cpu": "100m"}


def test_all_quotas_of_a_profile_count_and_those_of_other_namespaces_do_not():
    quotas = [
        quota("a", "cpu"),
        quota("a", "limits.memory", name="admins"),
        quota("other", "cpu", name="admins"),
        quota("alike", "cpu", ownerReferences=[]),
        quota("going", "cpu", deletionTimestamp="2026-01-01T00:00:00Z"),
    ]
    ((item, namespaces),) = placed(quotas, (), DEFAULTS)
    assert namespaces == ["a"]
    assert item["spec"]["limits"][0]["default"] == {"memory": "2Gi"}


def test_where_somebody_has_a_limit_range_there_is_none_of_ours():
    assert placed([quota("a", "cpu")], ["a"], DEFAULTS) == []
    assert placed([{"metadata": quota("a")["metadata"], "spec": None}], (), DEFAULTS) == []
