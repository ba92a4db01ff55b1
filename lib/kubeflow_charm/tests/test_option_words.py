"""What a status says of a wrong option: the value and what it should be, and no class of Python's."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic
import pytest

from kubeflow_charm.config import YAML, Config, read


class Part(pydantic.BaseModel):
    """An object in an option."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True)

    name: str = "a"
    many: Annotated[int, pydantic.Field(ge=1, le=9)] = 1
    open: bool = True
    kind: Literal["a", "b", "c"] = "a"
    short: Annotated[str, pydantic.Field(min_length=1, max_length=3, pattern="^[a-z]*$")] = "a"
    each: Annotated[list[str], pydantic.Field(min_length=1, max_length=2)] = ["a"]


class Options(Config):
    """Options with one part."""

    part: Annotated[Part, YAML]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("hello", "should be an object, not 'hello'"),
        ("[1]", "should be an object, not a list"),
        ("", "should be an object, not empty"),
        ("names: a", "names: no such field"),
        ("name: 5", "name: should be text, not 5"),
        ("name: null", "name: should be text, not empty"),
        ("many: '5'", "many: should be an integer, not '5'"),
        ("many: true", "many: should be an integer, not true"),
        ("many: 0", "many: 0 is less than 1"),
        ("many: 10", "many: 10 is more than 9"),
        ("open: yes please", "open: should be true or false, not 'yes please'"),
        ("kind: {a: b}", "kind: an object is not 'a', 'b' or 'c'"),
        ("kind: d", "kind: 'd' is not 'a', 'b' or 'c'"),
        ("short: ''", "short: is empty"),
        ("short: abcd", "short: has more than 3 characters"),
        ("short: A", "short: 'A' does not match ^[a-z]*$"),
        ("each: []", "each: needs an entry"),
        ("each: [a, b, c]", "each: has more than 2 entries"),
        ("each: a", "each: should be a list, not 'a'"),
        (f"each: {'x' * 80}", f"each: should be a list, not '{'x' * 40}…'"),
    ],
)
def test_the_value_and_what_it_should_be_are_told(value: Any, said: str) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        read({"part": value}, Options)
    (problem,) = caught.value.exceptions
    assert str(problem) == f"option part: {said}"
