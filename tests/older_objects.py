"""Objects that were there before their definition had its rules, as after a refresh of a charm."""

from __future__ import annotations

import contextlib
import copy
import uuid
from collections.abc import Iterator
from typing import Any

import lightkube
import tenacity
from lightkube.core.exceptions import ApiError
from open_types import OPEN

from kubeflow_charm.cluster.resources import KINDS, Manifest
from rehearsal import documents

_CRD = next(kind.resource for kind in KINDS if kind.kind == "CustomResourceDefinition")
_SOON = {"stop": tenacity.stop_after_delay(60), "wait": tenacity.wait_fixed(0.1), "reraise": True}

Resource = Any


@contextlib.contextmanager
def kept(
    client: lightkube.Client, definition: Manifest, objects: list[Manifest], namespace: str
) -> Iterator[Resource]:
    """Store objects under a definition without rules, give it its rules, and yield the objects' resource.

    The definition is one of a group of its own, so that no other test sees it.

    Args:
        client: an administrator's.
        definition: with its rules.
        objects: name and what else they hold; each of them must be refused by the rules.
        namespace: where they are, if they are in one.
    """
    strict = copy.deepcopy(definition)
    spec = strict["spec"]
    spec["group"] = f"old-{uuid.uuid4().hex[:8]}.kubeflow.org"
    strict["metadata"] = {"name": f"{spec['names']['plural']}.{spec['group']}"}
    stored = next(version["name"] for version in spec["versions"] if version["storage"])
    create = documents.namespaced if spec["scope"] == "Namespaced" else documents.cluster_wide
    resource: Resource = create(spec["group"], stored, spec["names"]["kind"], spec["names"]["plural"])
    where: dict[str, Any] = {"namespace": namespace} if spec["scope"] == "Namespaced" else {}

    loose = copy.deepcopy(strict)
    for version in loose["spec"]["versions"]:
        version["schema"]["openAPIV3Schema"] = OPEN
    client.apply(_CRD(loose), field_manager="older", force=True)
    try:
        for item in objects:
            _store(client, resource(item), where)
        client.apply(_CRD(strict), field_manager="older", force=True)
        for item in objects:
            _refused(client, resource(copy.deepcopy(item)), where)
        yield resource
    finally:
        client.delete(_CRD, strict["metadata"]["name"])


@tenacity.retry(**_SOON)
def _store(client: lightkube.Client, item: Any, where: dict[str, Any]) -> None:
    client.create(item, **where)


@tenacity.retry(**_SOON)
def _refused(client: lightkube.Client, item: Any, where: dict[str, Any]) -> None:
    """Wait until the rules are in force."""
    item["metadata"]["name"] += "x"
    try:
        client.create(item, dry_run=True, **where)
    except ApiError as error:
        assert error.status.code == 422, error.status.message
    else:
        raise AssertionError(f"{item['metadata']['name']} breaks no rule")
