"""What containers ask for in a profile with a quota, if they ask for nothing themselves.

Kubernetes refuses a pod in a namespace whose quota counts cpu or memory unless every container says how much
it wants (kubernetes/kubernetes v1.36.3, pkg/quota/v1/evaluator/core/pods.go, Constraints; no other resource
is like that). A TensorBoard's pod says nothing, and its user cannot change that; many steps of pipelines say
nothing either. So the namespace gets a LimitRange with defaults for the resources that its quota counts, and
no others.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Annotated

import pydantic
from lightkube.utils.quantity import parse_quantity

from kubeflow_charm import Manifest

NAME = "kubeflow-quota-defaults"
QUOTA = "kf-resource-quota"
"""The quota that the profile controller makes (kubeflow/kubeflow v1.10.0,
components/profile-controller/controllers/profile_controller.go)."""

_COUNTED = {
    "cpu": ("requests", "cpu"),
    "memory": ("requests", "memory"),
    "requests.cpu": ("requests", "cpu"),
    "requests.memory": ("requests", "memory"),
    "limits.cpu": ("limits", "cpu"),
    "limits.memory": ("limits", "memory"),
}
"""Key of a quota to what every container must say then."""


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
    """How much a container gets that says nothing, by `requests` or `limits` and the resource; or empty."""

    requests: Mapping[str, str]
    limits: Mapping[str, str]

    def contradictions(self) -> list[str]:
        """Return the resources of which a container would ask for more than it may have."""
        found = []
        for resource, request in sorted(self.requests.items()):
            asked, most = parse_quantity(request or None), parse_quantity(self.limits[resource] or None)
            if asked is not None and most is not None and asked > most:
                found.append(resource)
        return found


def limit_range(hard: Iterable[str], defaults: Defaults) -> Manifest | None:
    """Return the LimitRange beside a quota, without a namespace; None if there is nothing to say.

    Args:
        hard: the keys of the quota.
        defaults: how much of each resource.
    """
    counted = {_COUNTED[key] for key in hard if key in _COUNTED}
    limits = {name: defaults.limits[name] for group, name in sorted(counted) if group == "limits"}
    # A limit that stands alone would be the request as well, and claim that much of a node.
    asked = {name for group, name in counted if group == "requests"} | limits.keys()
    requests = {name: defaults.requests[name] for name in sorted(asked)}
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


def placed(
    quotas: Iterable[Manifest], own: Iterable[str], defaults: Defaults
) -> list[tuple[Manifest, list[str]]]:
    """Return the LimitRanges of all profiles, each with the namespaces that it is for.

    Args:
        quotas: the ResourceQuotas of the cluster; a namespace is a profile's if one is the controller's.
        own: the namespaces that have a LimitRange of somebody else, which stands alone there.
        defaults: how much of each resource.
    """
    keys: dict[str, set[str]] = defaultdict(set)
    profiles = set()
    for quota in quotas:
        namespace = quota["metadata"]["namespace"]
        keys[namespace] |= (quota.get("spec") or {}).get("hard", {}).keys()
        if _is_the_controllers(quota):
            profiles.add(namespace)
    alike: dict[frozenset[str], list[str]] = defaultdict(list)
    for namespace in sorted(profiles - set(own)):
        alike[frozenset(keys[namespace] & _COUNTED.keys())].append(namespace)
    found = ((limit_range(hard, defaults), namespaces) for hard, namespaces in alike.items())
    return [(item, namespaces) for item, namespaces in found if item is not None]


def _is_the_controllers(quota: Manifest) -> bool:
    metadata = quota["metadata"]
    owners = metadata.get("ownerReferences") or []
    of_profile = any(each["kind"] == "Profile" for each in owners)
    return metadata["name"] == QUOTA and of_profile and "deletionTimestamp" not in metadata
