"""Fields that can never change are those of the last release: else an upgrade replaces objects, or is blocked.

`immutable_fields.yaml` holds them. `RENEW_IMMUTABLE_FIELDS=1 pytest tests/contract/test_contract_immutable.py`
writes it anew; CONTRIBUTING says when.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import yaml
from bench import Bench

GOLDEN = Path(__file__).parent / "immutable_fields.yaml"
RENEW = "RENEW_IMMUTABLE_FIELDS"
FIELDS: dict[str, tuple[str, ...]] = {
    "ClusterRoleBinding": ("roleRef",),
    "CustomResourceDefinition": ("spec.group", "spec.scope", "spec.names.kind", "spec.names.plural"),
    "Deployment": ("spec.selector",),
    "PersistentVolumeClaim": ("spec.accessModes", "spec.storageClassName", "spec.volumeMode"),
    "PriorityClass": ("value", "preemptionPolicy"),
    "RoleBinding": ("roleRef",),
    "Secret": ("type", "immutable"),
    "ConfigMap": ("immutable",),
    "Service": ("spec.clusterIP",),
    "StatefulSet": (
        "spec.selector",
        "spec.serviceName",
        "spec.podManagementPolicy",
        "spec.volumeClaimTemplates",
    ),
}
"""Kind to the fields that the API server never changes (kubernetes v1.36, pkg/apis/*/validation)."""


def test_immutable_fields_are_those_of_the_last_release(bench: Bench) -> None:
    bench.converge()
    present = _present(bench)
    golden = yaml.safe_load(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if os.environ.get(RENEW):
        GOLDEN.write_text(yaml.safe_dump(golden | {bench.charm.name: present}, width=110))
        return
    released = golden.get(bench.charm.name, {})
    changed = {name for name in released.keys() & present.keys() if released[name] != present[name]}
    assert not changed, "an upgrade replaces these objects, or is blocked"
    assert released.keys() == present.keys(), f"run this test with {RENEW}=1"


def _present(bench: Bench) -> dict[str, dict[str, Any]]:
    """Return kind and name of each object to its fields that can never change."""
    found = {}
    for item in bench.objects():
        values = {path: _at(item, path) for path in FIELDS.get(item["kind"], ())}
        if item["kind"] == "Service" and values["spec.clusterIP"] != "None":
            continue  # the API server has chosen it
        given = {path: value for path, value in values.items() if value is not None}
        if given:
            found[_anywhere(f"{item['kind']}/{item['metadata']['name']}", bench)] = _anywhere(given, bench)
    return found


def _at(item: Any, path: str) -> Any:
    for step in path.split("."):
        item = (item or {}).get(step)
    return item


def _anywhere(value: Any, bench: Bench) -> Any:
    """Return a value with `MODEL` for the name of the bench's model."""
    if isinstance(value, dict):
        return {key: _anywhere(item, bench) for key, item in value.items()}
    if isinstance(value, list):
        return [_anywhere(item, bench) for item in value]
    return re.sub(rf"\b{bench.model.name}\b", "MODEL", value) if isinstance(value, str) else value
