"""Defaults beside quotas on a real API server: whom they let in, and how they follow quotas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import lightkube
import ops
import pytest
from lightkube import ApiError
from lightkube.generic_resource import create_global_resource
from lightkube.models.core_v1 import (
    Container,
    LimitRangeItem,
    LimitRangeSpec,
    PodSpec,
    ResourceQuotaSpec,
    ResourceRequirements,
)
from lightkube.models.meta_v1 import ObjectMeta, OwnerReference
from lightkube.resources.core_v1 import LimitRange, Namespace, Pod, ResourceQuota
from lightkube.types import PatchType

from rehearsal.patience import until

NAME = "kubeflow-quota-defaults"
EVERYTHING = ("requests.cpu", "requests.memory", "limits.cpu", "limits.memory")
PROFILE: Any = create_global_resource("kubeflow.org", "v1", "Profile", "profiles")
SILENT = Container(name="tensorboard", image="tensorboard:2")


class Quota:
    """A profile with a quota, as the controller would have made both."""

    def __init__(self, client: lightkube.Client, namespace: str):
        self.client = client
        self.namespace = namespace
        owner = {"kind": "User", "name": "alice@example.com"}
        profile = client.create(PROFILE({"metadata": {"name": namespace}, "spec": {"owner": owner}}))
        self._owner = OwnerReference(
            apiVersion="kubeflow.org/v1", kind="Profile", name=namespace, uid=profile["metadata"]["uid"]
        )

    def set(self, *hard: str, name: str = "kf-resource-quota") -> None:
        """Have a quota with these keys, and wait until it is in force."""
        metadata = ObjectMeta(name=name, namespace=self.namespace, ownerReferences=[self._owner])
        spec = ResourceQuotaSpec(hard=dict.fromkeys(hard, "100Gi"))
        if any(each.metadata and each.metadata.name == name for each in self._all()):
            self.client.replace(ResourceQuota(metadata=metadata, spec=spec))
        else:
            self.client.create(ResourceQuota(metadata=metadata, spec=spec))
        until(lambda: all(each.status and set(each.status.hard or {}) >= set(hard) for each in self._all()))

    def unset(self) -> None:
        self.client.delete(ResourceQuota, "kf-resource-quota", namespace=self.namespace)

    def _all(self) -> list[ResourceQuota]:
        return list(self.client.list(ResourceQuota, namespace=self.namespace))

    def defaults(self) -> dict[str, Any] | None:
        """Return what our LimitRange says."""
        for found in self.client.list(LimitRange, namespace=self.namespace):
            if found.metadata and found.metadata.name == NAME and found.spec:
                (item,) = found.spec.limits
                return {"limits": item.default, "requests": item.defaultRequest}
        return None

    def admits(self, *containers: Container) -> bool:
        """Whether a pod may be made; it is not."""
        pod = Pod(
            metadata=ObjectMeta(name="board", namespace=self.namespace),
            spec=PodSpec(containers=list(containers)),
        )
        try:
            self.client.create(pod, dry_run=True)
        except ApiError as error:
            assert "must specify" in (error.status.message or "")
            return False
        return True


@pytest.fixture
def quota(deployed: Any, client: lightkube.Client, namespace: str) -> Iterator[Quota]:
    """A profile."""
    yield Quota(client, namespace)
    client.delete(PROFILE, namespace)


@pytest.fixture
def hook(profiles: Any, model: str) -> Callable[..., Any]:
    """Run a hook; return the status."""
    return lambda **options: profiles.run(model, options).unit_status


@pytest.mark.parametrize("keys", [EVERYTHING, ("cpu",), ("limits.memory",)], ids=",".join)
def test_a_pod_that_says_nothing_is_let_in(quota: Quota, hook: Callable[..., Any], keys: tuple[str, ...]):
    quota.set(*keys)
    assert not quota.admits(SILENT)
    hook()
    assert quota.admits(SILENT)


def test_what_a_container_says_stays(quota: Quota, hook: Callable[..., Any]):
    quota.set(*EVERYTHING)
    hook()
    requests, limits = {"cpu": "3", "memory": "1Mi"}, {"cpu": "4", "memory": "8Gi"}
    assert quota.admits(
        Container(name="a", image="a:1", resources=ResourceRequirements(requests=requests, limits=limits)),
        Container(name="b", image="b:1", resources=ResourceRequirements(limits=limits)),
    )


def test_it_follows_the_quota_and_goes_with_it(quota: Quota, hook: Callable[..., Any]):
    quota.set("requests.cpu", "pods")
    hook()
    assert quota.defaults() == {"limits": None, "requests": {"cpu": "100m"}}
    quota.set("limits.memory")
    hook(**{"default-memory-limit": "4Gi"})
    assert quota.defaults() == {"limits": {"memory": "4Gi"}, "requests": {"memory": "256Mi"}}
    quota.set("pods")
    hook()
    assert quota.defaults() is None
    quota.set("requests.cpu")
    hook()
    quota.unset()
    hook()
    assert quota.defaults() is None


def test_a_settled_hook_leaves_it_as_it_is(quota: Quota, hook: Callable[..., Any]):
    def version() -> Any:
        return quota.client.get(LimitRange, NAME, namespace=quota.namespace).metadata.resourceVersion  # type: ignore[union-attr]

    quota.set(*EVERYTHING)
    hook()
    before = version()
    hook()
    assert version() == before


def test_somebody_elses_limit_range_stands_alone(quota: Quota, hook: Callable[..., Any]):
    quota.set("requests.cpu")
    hook()
    assert quota.defaults() is not None
    item = LimitRangeItem(type="Container", defaultRequest={"cpu": "1"})
    quota.client.create(
        LimitRange(
            metadata=ObjectMeta(name="ours", namespace=quota.namespace), spec=LimitRangeSpec(limits=[item])
        )
    )
    hook()
    assert quota.defaults() is None
    quota.client.delete(LimitRange, "ours", namespace=quota.namespace)
    hook()
    assert quota.defaults() is not None


def test_a_namespace_that_goes_away_stops_nothing(
    quota: Quota, hook: Callable[..., Any], client: lightkube.Client, model: str
):
    """A finalizer holds it half deleted, as a claim in use does."""
    name = f"{quota.namespace}-going"
    client.create(Namespace(metadata=ObjectMeta(name=name)))
    going = Quota(client, name)
    going.set("requests.cpu")
    held = {"metadata": {"finalizers": ["example.com/held"]}}
    path = {"namespace": name, "patch_type": PatchType.MERGE}
    client.patch(ResourceQuota, "kf-resource-quota", held, **path)
    client.delete(Namespace, name)
    try:
        quota.set("requests.cpu")
        hook()
        assert quota.defaults() is not None
        until(lambda: deleted(client, name))
        assert name not in hook().message
    finally:
        client.patch(ResourceQuota, "kf-resource-quota", {"metadata": {"finalizers": None}}, **path)
        client.delete(PROFILE, name)


def deleted(client: lightkube.Client, namespace: str) -> bool:
    """Whether the namespace's quota is on its way out."""
    found = client.get(ResourceQuota, "kf-resource-quota", namespace=namespace).metadata
    return found is not None and found.deletionTimestamp is not None


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"default-cpu-request": "much"}, "option default-cpu-request: much is not a quantity"),
        ({"default-memory-limit": "1Mi"}, "1Mi is less than default-memory-request, 256Mi"),
    ],
)
def test_a_wrong_option_is_named(hook: Callable[..., Any], deployed: Any, options: Any, reason: str):
    status = hook(**options)
    assert isinstance(status, ops.BlockedStatus)
    assert reason in status.message
