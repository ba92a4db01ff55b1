"""Parts of options that Kubernetes will read, checked against its types."""

from __future__ import annotations

from typing import Any

import pytest
from lightkube.models import core_v1

from kubeflow_charm.definitions import conformity, embedded

NAMED = {"name": "c"}


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ({}, "name is missing"),
        ([], "should be an object"),
        (NAMED, ""),
        (NAMED | {"names": "x"}, "names: no such field"),
        (NAMED | {1: "x"}, "1 is no text"),
        (NAMED | {"image": 5}, "image: should be a string"),
        (NAMED | {"args": "x"}, "args: should be a list"),
        (NAMED | {"args": ["a", 1]}, "args[1]: should be a string"),
        (NAMED | {"tty": "true"}, "tty: should be a boolean"),
        (NAMED | {"env": [{"value": "x"}]}, "env[0]: name is missing"),
        (
            NAMED | {"env": [{"name": "a", "valueFrom": {"fieldRef": {}}}]},
            "env[0].valueFrom.fieldRef: fieldPath is missing",
        ),
        (NAMED | {"ports": [{"containerPort": True}]}, "ports[0].containerPort: should be an integer"),
        (NAMED | {"ports": [{"containerPort": 1.5}]}, "ports[0].containerPort: should be an integer"),
        (NAMED | {"resources": {"limits": {"cpu": 1, "memory": "1Gi", "nvidia.com/gpu": "2"}}}, ""),
        (
            NAMED | {"resources": {"limits": {"memory": "1GB"}}},
            "resources.limits.memory: '1GB' does not match",
        ),
        (
            NAMED | {"resources": {"limits": {"cpu": True}}},
            "resources.limits.cpu: should be an integer or text",
        ),
        (
            NAMED | {"resources": {"limits": {"cpu": 1.5}}},
            "resources.limits.cpu: should be an integer or text",
        ),
        (NAMED | {"livenessProbe": {"httpGet": {"port": "http"}}}, ""),
        (
            NAMED | {"livenessProbe": {"httpGet": {"port": [1]}}},
            "livenessProbe.httpGet.port: should be an integer or text",
        ),
        (NAMED | {"securityContext": None}, "securityContext: should be an object"),
    ],
    ids=str,
)
def test_a_container(value: Any, fault: str):
    assert conformity.fault(value, embedded.schema(core_v1.Container)) == fault


@pytest.mark.parametrize(
    ("value", "node", "fault"),
    [
        ("b", {"type": "string", "enum": ["a", "c"]}, "x: should be one of a, c"),
        ({"a": 1}, {"type": "object", "x-kubernetes-preserve-unknown-fields": True}, ""),
        ({"a": 1}, {"type": "object", "additionalProperties": True}, ""),
        (["any", 1], {"x-kubernetes-preserve-unknown-fields": True}, ""),
        (2, {"type": "number"}, ""),
        (False, {"type": "number"}, "x: should be a number"),
    ],
    ids=str,
)
def test_other_schemas(value: Any, node: Any, fault: str):
    assert conformity.fault(value, node, "x") == fault
