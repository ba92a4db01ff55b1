"""Default requests and limits of containers in a profile with a quota.

If a namespace's quota counts cpu or memory, Kubernetes refuses a pod unless every container sets that request
or limit (kubernetes/kubernetes v1.36.3, pkg/quota/v1/evaluator/core/pods.go, Constraints; this is true of no
other resource). A TensorBoard's pod sets none, and its user cannot change that. Many steps of pipelines set
none. So the namespace gets a LimitRange with defaults for the resources that its quota counts, and for no
others.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Annotated

import pydantic
from lightkube import ALL_NS
from lightkube.utils.quantity import parse_quantity

from kubeflow_charm import Config, Manifest
from kubeflow_charm.cluster.executor import Cluster, Placed
from kubeflow_charm.cluster.resources import DATA, Kind, kind_of
from kubeflow_charm.watch.watcher import Followed

_QUOTAS = Kind("v1", "ResourceQuota", "resourcequotas", DATA)
FOLLOWED = (
    Followed("v1", "ResourceQuota", "resourcequotas"),
    Followed("v1", "LimitRange", "limitranges"),
)
"""The objects that decide which namespaces get defaults: quotas, and LimitRanges of others."""

NAME = "kubeflow-quota-defaults"
QUOTA = "kf-resource-quota"
"""The quota that the profile controller creates (kubeflow/kubeflow v1.10.0,
components/profile-controller/controllers/profile_controller.go)."""

_COUNTED = {
    "cpu": ("requests", "cpu"),
    "memory": ("requests", "memory"),
    "requests.cpu": ("requests", "cpu"),
    "requests.memory": ("requests", "memory"),
    "limits.cpu": ("limits", "cpu"),
    "limits.memory": ("limits", "memory"),
}
"""Key of a quota to the request or limit that every container then needs."""


def _checked(text: str) -> str:
    try:
        amount = parse_quantity(text or None)
    except ValueError:
        raise ValueError(f"{text} is not a quantity such as 100m or 2Gi") from None
    if amount is not None and amount <= 0:
        raise ValueError(f"{text} is not more than nothing")
    return text


Quantity = Annotated[str, pydantic.AfterValidator(_checked)]
"""An option: a quantity, or empty for no default."""


@dataclasses.dataclass(frozen=True)
class Defaults:
    """The default requests and limits by resource; an empty amount stands for no default."""

    requests: Mapping[str, str]
    limits: Mapping[str, str]


class DefaultsConfig(Config):
    """The options with the amounts."""

    default_cpu_request: Quantity
    default_memory_request: Quantity
    default_cpu_limit: Quantity
    default_memory_limit: Quantity

    @pydantic.field_validator("default_cpu_limit", "default_memory_limit")
    @classmethod
    def _not_below_request(cls, text: str, info: pydantic.ValidationInfo) -> str:
        option = (info.field_name or "").replace("limit", "request")
        limit, request = parse_quantity(text or None), parse_quantity(info.data.get(option) or None)
        if limit is not None and request is not None and limit < request:
            raise ValueError(f"{text} is less than {option.replace('_', '-')}, {info.data[option]}")
        return text

    @property
    def defaults(self) -> Defaults:
        """The amounts of the options."""
        return Defaults(
            {"cpu": self.default_cpu_request, "memory": self.default_memory_request},
            {"cpu": self.default_cpu_limit, "memory": self.default_memory_limit},
        )


def limit_range(hard: Iterable[str], defaults: Defaults) -> Manifest | None:
    """Return the LimitRange beside a quota, without a namespace; None if it would be empty.

    Args:
        hard: the keys of the quota.
        defaults: the amount of each resource.
    """
    counted = {_COUNTED[key] for key in hard if key in _COUNTED}
    limits = {name: defaults.limits[name] for group, name in sorted(counted) if group == "limits"}
    # A limit without a request would also be the request, and reserve that much of a node.
    requested = {name for group, name in counted if group == "requests"} | limits.keys()
    requests = {name: defaults.requests[name] for name in sorted(requested)}
    item: Manifest = {"type": "Container"}
    for field, values in (("default", limits), ("defaultRequest", requests)):
        if given := {name: value for name, value in values.items() if value}:
            item[field] = given
    if len(item) == 1:
        return None
    return {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": NAME},
        "spec": {"limits": [item]},
    }


def spread(cluster: Cluster, defaults: Defaults) -> list[Placed]:
    """Return the LimitRanges of all profiles. This costs one request, or two if there are any.

    Raises:
        Problem: if the API server does not answer or refuses.
    """
    quotas = cluster.of_kind(_QUOTAS, ALL_NS, None, whole=True)
    if not placed(quotas, (), defaults):
        return []
    kind = kind_of({"apiVersion": "v1", "kind": "LimitRange"})
    ranges = cluster.of_kind(kind, ALL_NS, None, whole=False)
    others = {item["metadata"]["namespace"] for item in ranges if not cluster.own.is_member(item)}
    return placed(quotas, others, defaults)


def placed(quotas: Iterable[Manifest], others: Iterable[str], defaults: Defaults) -> list[Placed]:
    """Return the LimitRanges of all profiles, each with its namespaces.

    Args:
        quotas: the ResourceQuotas of the cluster. A namespace with a quota of the controller is a profile.
        others: the namespaces with a LimitRange of somebody else; they get none of ours.
        defaults: the amount of each resource.
    """
    keys: dict[str, set[str]] = defaultdict(set)
    profiles = set()
    for quota in quotas:
        namespace = quota["metadata"]["namespace"]
        keys[namespace] |= (quota.get("spec") or {}).get("hard", {}).keys()
        if _is_the_controllers(quota):
            profiles.add(namespace)
    alike: dict[frozenset[str], list[str]] = defaultdict(list)
    for namespace in sorted(profiles - set(others)):
        alike[frozenset(keys[namespace] & _COUNTED.keys())].append(namespace)
    found = ((limit_range(hard, defaults), namespaces) for hard, namespaces in alike.items())
    return [(item, namespaces) for item, namespaces in found if item is not None]


def _is_the_controllers(quota: Manifest) -> bool:
    metadata = quota["metadata"]
    owners = metadata.get("ownerReferences") or []
    of_profile = any(each["kind"] == "Profile" for each in owners)
    return metadata["name"] == QUOTA and of_profile and "deletionTimestamp" not in metadata
