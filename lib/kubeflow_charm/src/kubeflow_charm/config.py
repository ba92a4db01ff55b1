"""Typed configuration: a charm's options as a pydantic model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import pydantic
import yaml

from kubeflow_charm.problems import Problem, blocked

ConfigType = TypeVar("ConfigType", bound="Config")


class Config(pydantic.BaseModel):
    """The options that every charm has; a charm adds its own as fields.

    The field `registration_flow` is the option `registration-flow`.
    """

    model_config = pydantic.ConfigDict(
        alias_generator=lambda name: name.replace("_", "-"), frozen=True, extra="ignore"
    )

    image_registry: str = ""
    """`host[:port][/path]` that all images are pulled from instead of their own registries."""


def read(application: str, options: Mapping[str, Any], model: type[ConfigType]) -> ConfigType:
    """Return the options as `model`.

    Raises:
        ExceptionGroup: with one blocked `Problem` for each option that is wrong.
    """
    try:
        return model.model_validate(dict(options))
    except pydantic.ValidationError as error:
        raise ExceptionGroup("configuration", _problems(error)) from None


def _problems(error: pydantic.ValidationError) -> list[Problem]:
    """Say of each wrong option where in its value the error is, and what was expected."""
    found: dict[str, Problem] = {}
    for detail in error.errors(include_url=False, include_input=False):
        option, *place = detail["loc"] or ("configuration",)
        where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
        reason = detail["msg"].removeprefix("Value error, ")
        problem = blocked(f"option {option}", f"{where.lstrip('.')}: {reason}" if where else reason)
        found.setdefault(str(option), problem)
    return list(found.values())


class _NoAliases(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML without aliases, which a few lines could blow up into gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not allowed")
        return super().compose_node(parent, index)


def parse_yaml(value: Any) -> Any:
    """Return what an option's YAML or JSON text says; what is no text is returned as it is.

    Raises:
        ValueError: with line and column, for text that is not YAML or has aliases.
    """
    if not isinstance(value, str):
        return value
    try:
        return yaml.load(value, Loader=_NoAliases)  # noqa: S506 (a safe loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ValueError(f"not YAML or JSON: {error.problem or error.context}{place}") from None
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML or JSON: {error}") from None


YAML = pydantic.BeforeValidator(parse_yaml)
"""Makes an option's text YAML or JSON: `Annotated[list[Link], YAML]`."""

__all__ = ["YAML", "Annotated", "Config", "parse_yaml", "read"]
