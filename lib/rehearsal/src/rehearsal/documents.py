"""lightkube classes whose objects are plain documents and keep fields that lightkube does not know.

lightkube's own generic classes go into a registry, where they can clash with another module's class of the
same kind, typed or not. These classes are in no registry.

Many threads read and write these objects. msgspec analyses a type at its first use; another thread can see
that analysis half done, and using it is a segmentation fault (msgspec 0.22, src/msgspec/_core.c:
StructInfo_Convert). So this module uses every type that lightkube decodes once, at import.
"""

from __future__ import annotations

from typing import Any

import msgspec
from lightkube import generic_resource
from lightkube.config import models
from lightkube.core import decoders
from lightkube.core.resource import ApiInfo, ResourceDef
from lightkube.models import meta_v1

_CONFIGURATION = (models.Cluster, models.Context, models.User)
_ANSWERS = (meta_v1.Status, decoders.ListMetadata, decoders.WatchEvent)
for _each in (*_CONFIGURATION, *_ANSWERS):
    msgspec.json.Decoder(_each)

_VERBS = ["delete", "deletecollection", "get", "list", "patch", "post", "put", "watch"]
_STATUS_VERBS = ["get", "patch", "put"]


def namespaced(group: str, version: str, kind: str, plural: str) -> Any:
    """Return the lightkube class of a namespaced kind; its `.Status` is for the status subresource."""
    resource = ResourceDef(group, version, kind)
    info = ApiInfo(resource=resource, plural=plural, verbs=[*_VERBS, "global_list", "global_watch"])
    status = type(f"{kind}Status", (generic_resource.GenericNamespacedStatus,), _of_status(resource, plural))
    bases = (generic_resource.GenericNamespacedResource,)
    return _decodable(type(kind, bases, {"_api_info": info, "Status": status}))


def cluster_wide(group: str, version: str, kind: str, plural: str) -> Any:
    """Return the lightkube class of a cluster-wide kind; its `.Status` is for the status subresource."""
    resource = ResourceDef(group, version, kind)
    info = ApiInfo(resource=resource, plural=plural, verbs=_VERBS)
    status = type(f"{kind}Status", (generic_resource.GenericGlobalStatus,), _of_status(resource, plural))
    bases = (generic_resource.GenericGlobalResource,)
    return _decodable(type(kind, bases, {"_api_info": info, "Status": status}))


def _decodable(kind: Any) -> Any:
    decoders.decode_list(b'{"items": []}', kind)
    return kind


def _of_status(resource: ResourceDef, plural: str) -> dict[str, Any]:
    info = ApiInfo(resource=resource, parent=resource, plural=plural, verbs=_STATUS_VERBS, action="status")
    return {"_api_info": info}
