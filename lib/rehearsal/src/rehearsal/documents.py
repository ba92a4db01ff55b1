"""Kinds of Kubernetes objects whose objects are plain documents: what is not known of one is kept.

lightkube's own way to make such a kind enters it into a registry, where it may stand in the way of another
module's class of the same kind, typed or not. These are in none.
"""

from __future__ import annotations

from typing import Any

from lightkube import generic_resource
from lightkube.core.resource import ApiInfo, ResourceDef

_VERBS = ["delete", "deletecollection", "get", "list", "patch", "post", "put", "watch"]
_STATUS_VERBS = ["get", "patch", "put"]


def namespaced(group: str, version: str, kind: str, plural: str) -> Any:
    """Return the lightkube class of a kind whose objects are in namespaces; `.Status` is for their status."""
    resource = ResourceDef(group, version, kind)
    info = ApiInfo(resource=resource, plural=plural, verbs=[*_VERBS, "global_list", "global_watch"])
    status = type(f"{kind}Status", (generic_resource.GenericNamespacedStatus,), _of_status(resource, plural))
    bases = (generic_resource.GenericNamespacedResource,)
    return type(kind, bases, {"_api_info": info, "Status": status})


def cluster_wide(group: str, version: str, kind: str, plural: str) -> Any:
    """Return the lightkube class of a kind whose objects are in no namespace; `.Status` as above."""
    resource = ResourceDef(group, version, kind)
    info = ApiInfo(resource=resource, plural=plural, verbs=_VERBS)
    status = type(f"{kind}Status", (generic_resource.GenericGlobalStatus,), _of_status(resource, plural))
    return type(kind, (generic_resource.GenericGlobalResource,), {"_api_info": info, "Status": status})


def _of_status(resource: ResourceDef, plural: str) -> dict[str, Any]:
    info = ApiInfo(resource=resource, parent=resource, plural=plural, verbs=_STATUS_VERBS, action="status")
    return {"_api_info": info}
