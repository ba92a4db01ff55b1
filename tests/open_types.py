"""Definitions of types that take everything: where a test needs a type and not its rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Object = dict[str, Any]
OPEN: Object = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
"""The schema of what takes everything."""


def open_definition(
    group: str, kind: str, plural: str, versions: Sequence[str], scope: str = "Namespaced"
) -> Object:
    """Return a CustomResourceDefinition whose spec and status take everything.

    Args:
        group: of the type.
        kind: its name.
        plural: its name in paths.
        versions: its versions; the first is stored.
        scope: `Namespaced` or `Cluster`.
    """
    schema = {"type": "object", "properties": {"spec": OPEN, "status": OPEN}}
    # Argo writes the status with the rest.
    subresources = {} if kind == "Workflow" else {"status": {}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{group}",
            # Kubernetes asks for it in its own groups.
            "annotations": {"api-approved.kubernetes.io": "unapproved"},
        },
        "spec": {
            "group": group,
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "scope": scope,
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": version == versions[0],
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": subresources,
                }
                for version in versions
            ],
        },
    }
