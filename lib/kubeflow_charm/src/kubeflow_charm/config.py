"""Typed configuration: a charm's options as a pydantic model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import pydantic
from pydantic.alias_generators import to_camel

from kubeflow_charm import foreign_yaml
from kubeflow_charm.images import Registry
from kubeflow_charm.option_words import words
from kubeflow_charm.problems import LIMIT, Problem, blocked

ConfigType = TypeVar("ConfigType", bound="Config")


class Config(pydantic.BaseModel):
    """The options that every charm has; a charm adds its own as fields.

    The field `registration_flow` is the option `registration-flow`.
    """

    model_config = pydantic.ConfigDict(
        alias_generator=lambda name: name.replace("_", "-"),
        frozen=True,
        extra="ignore",
        defer_build=True,  # only the charm's own options are read, not those that they inherit from
    )

    image_registry: Registry = ""
    """`host[:port][/path]` of a registry that serves all images; empty for their own registries."""


def read(options: Mapping[str, Any], model: type[ConfigType]) -> ConfigType:
    """Return the options as `model`.

    Raises:
        ExceptionGroup: with one blocked `Problem` for each wrong option.
    """
    try:
        return model.model_validate(dict(options))
    except pydantic.ValidationError as error:
        raise ExceptionGroup("configuration", _problems(error)) from None


def _problems(error: pydantic.ValidationError) -> list[Problem]:
    """Return a problem for each wrong option: the place of the error in its value, and what was expected."""
    found: dict[str, Problem] = {}
    for detail in error.errors(include_url=False):
        option, *place = detail["loc"] or ("configuration",)
        if place[-1:] == ["[key]"]:  # pydantic's mark for a wrong key; the reason names the key
            place = place[:-2]
        reason = words(detail)
        where = _where(place, room=LIMIT - len(f"option {option}: : {reason}"))
        problem = blocked(f"option {option}", f"{where}: {reason}" if where else reason)
        found.setdefault(str(option), problem)
    return list(found.values())


def _where(place: Sequence[int | str], room: int) -> str:
    """Return a place in an option's value, such as `[0].affinity.nodeAffinity`.

    If the place is longer than `room`, the text leaves out its middle and keeps the entry and the field.
    """
    steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in place]
    whole = "".join(steps).removeprefix(".")
    field = max((at for at, step in enumerate(place) if isinstance(step, str)), default=0)
    end = "".join(steps[field:])
    beginning = room - len(end) - len("…")
    return whole if len(whole) <= room or beginning < 10 else f"{whole[:beginning]}…{end}"


def parse_yaml(value: Any) -> Any:
    """Return the value of an option's YAML or JSON text; a value that is not text is returned unchanged.

    Raises:
        ValueError: for text that `foreign_yaml.load` refuses.
    """
    return foreign_yaml.load(value) if isinstance(value, str) else value


YAML = pydantic.BeforeValidator(parse_yaml)
"""Parses an option's text as YAML or JSON: `Annotated[list[Link], YAML]`."""


def if_empty(default: Any) -> pydantic.BeforeValidator:
    """Return a validator that takes an empty text, or none, as `default`.

    Put it before `YAML` in an `Annotated`.
    """
    return pydantic.BeforeValidator(lambda value: default if value is None or value == "" else value)


def chosen_of(every: Sequence[str]) -> list[pydantic.BeforeValidator | pydantic.AfterValidator]:
    """Return the validators of a choice: `all`, or a YAML or JSON list, which gets the order of `every`.

    `Annotated[list[Name], *chosen_of(NAMES)]`.
    """

    def complete(value: Any) -> Any:
        return list(every) if value in ("all", "") else value

    def ordered(value: list[str]) -> list[str]:
        return [each for each in every if each in value]

    return [pydantic.AfterValidator(ordered), YAML, pydantic.BeforeValidator(complete)]


class Changes(pydantic.BaseModel):
    """A part of a program's configuration, with its field names in camel case; only what is given counts."""

    model_config = pydantic.ConfigDict(
        alias_generator=to_camel,
        frozen=True,
        extra="forbid",
        strict=True,
        validate_by_name=False,
        defer_build=True,
    )

    def given(self) -> dict[str, Any]:
        """Return the fields that are given, as the program writes them."""
        return self.model_dump(by_alias=True, exclude_unset=True)
