"""Kinds that are known only when the cluster is asked: how an object's apiVersion and kind are reached."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING

from rehearsal import documents
from rehearsal.players.kinds import Kind

if TYPE_CHECKING:
    from rehearsal.cluster.controlplane import ControlPlane


def find(cluster: ControlPlane, version: str, kind: str) -> Kind | None:
    """Return the class of a kind in namespaces, if the API server serves it; everybody may ask for that.

    Args:
        cluster: asked.
        version: group and version as objects have them, `batch/v1`, say.
        kind: its name.
    """
    group, _, name = version.rpartition("/")
    try:
        said = json.loads(cluster.request("GET", f"/apis/{version}" if group else f"/api/{version}"))
    except OSError:
        return None
    for each in said["resources"]:
        if each["kind"] == kind and "/" not in each["name"] and each["namespaced"]:
            return _kind(group, name, kind, each["name"])
    return None


@functools.cache
def _kind(group: str, version: str, kind: str, plural: str) -> Kind:
    """Return the same class for the same kind."""
    return documents.namespaced(group, version, kind, plural)
