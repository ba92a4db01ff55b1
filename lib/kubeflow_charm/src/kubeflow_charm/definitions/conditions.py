"""A condition as Kubernetes has it, with its validations: apimachinery v0.36, pkg/apis/meta/v1/types.go."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

import pydantic

from kubeflow_charm.definitions.embedded import Int64
from kubeflow_charm.definitions.schemas import Schema


class Condition(Schema):
    """A condition (meta/v1 Condition)."""

    last_transition_time: datetime.datetime
    message: Annotated[str, pydantic.Field(max_length=32768)]
    observed_generation: Annotated[Int64 | None, pydantic.Field(ge=0)] = None
    reason: Annotated[
        str,
        pydantic.Field(min_length=1, max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"),
    ]
    status: Literal["True", "False", "Unknown"]
    type: Annotated[
        str,
        pydantic.Field(
            max_length=316,
            pattern=(
                r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
                r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"
            ),
        ),
    ]
