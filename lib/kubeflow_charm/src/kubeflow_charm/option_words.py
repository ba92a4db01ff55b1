"""What is wrong with an option, in the words of a status: the value, and what it should be.

pydantic's own words name Python's classes, and not the value.
"""

from __future__ import annotations

from typing import Any

_WANTED = {
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "string_type": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "float_parsing": "a number",
}
"""Type of an error to what the value should be (pydantic 2, docs/errors/validation_errors)."""
_ROOM = 40
"""Characters of a value that a status shows."""


def words(error: Any) -> str:
    """Return the reason of one of pydantic's errors.

    Args:
        error: one of `ValidationError.errors()`, with its input.
    """
    kind, value, limits = error["type"], shown(error["input"]), error.get("ctx", {})
    if kind in _WANTED:
        return f"should be {_WANTED[kind]}, not {value}"
    match kind:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "no such field"
        case "literal_error":
            return f"{value} is not {limits['expected']}"
        case "greater_than_equal":
            return f"{value} is less than {limits['ge']}"
        case "less_than_equal":
            return f"{value} is more than {limits['le']}"
        case "string_pattern_mismatch":
            return f"{value} does not match {limits['pattern']}"
        case "string_too_short" if limits["min_length"] == 1:
            return "is empty"
        case "too_short" if limits["min_length"] == 1:
            return "needs an entry"
        case "string_too_long":
            return f"has more than {limits['max_length']} characters"
        case "too_long":
            return f"has more than {limits['max_length']} entries"
    return error["msg"].removeprefix("Value error, ")


def shown(value: Any) -> str:
    """Return a value as a status shows it: the whole of a short one."""
    match value:
        case None:
            return "empty"
        case bool():
            return str(value).lower()
        case list() | dict():
            return "a list" if isinstance(value, list) else "an object"
        case str():
            return repr(value if len(value) <= _ROOM else f"{value[:_ROOM]}…")
    return str(value)[:_ROOM]
