"""A Workflow's references to its parameters, and small pieces of its documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Document = dict[str, Any]


def with_fields(document: Document, **fields: Any) -> Document:
    """Return a document with more fields; leave out empty ones, except an empty default."""
    return document | {
        key: value for key, value in fields.items() if value is not None and (value or key == "default")
    }


def arguments(values: Mapping[str, str]) -> Document:
    """Return the arguments of a task, or of a Workflow."""
    return {"parameters": [{"name": name, "value": value} for name, value in values.items()]}


def inputs(names: Iterable[str]) -> Document:
    """Return the inputs of a template, without defaults."""
    return {"parameters": [{"name": name} for name in names]}


def input_value(name: str) -> str:
    """Return the reference to an input of the same template."""
    return f"{{{{inputs.parameters.{name}}}}}"


def task_output(task: str, name: str) -> str:
    """Return the reference to an output of another task of the same graph."""
    return f"{{{{tasks.{task}.outputs.parameters.{name}}}}}"


def workflow_parameter(name: str) -> str:
    """Return the reference to an argument of the Workflow."""
    return f"{{{{workflow.parameters.{name}}}}}"
