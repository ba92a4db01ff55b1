"""Label selectors as Go programs evaluate them: k8s.io/apimachinery v0.28, meta/v1 and labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Tell whether labels satisfy a selector; an empty one is satisfied by all.

    Raises:
        ValueError: if it is no proper selector; in the words of the Go library.
    """
    expressions = selector.get("matchExpressions") or []
    for expression in expressions:
        _check(expression)
    equal = all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items())
    return equal and all(_satisfied(expression, labels) for expression in expressions)


def _check(expression: Mapping[str, Any]) -> None:
    operator, values = expression.get("operator", ""), expression.get("values") or []
    if operator in ("In", "NotIn") and not values:
        reason = "for 'in', 'notin' operators, values set can't be empty"
        raise ValueError(f"values: Invalid value: []string(nil): {reason}")
    if operator in ("Exists", "DoesNotExist") and values:
        shown = ", ".join(f'"{value}"' for value in values)
        reason = "values set must be empty for exists and does not exist"
        raise ValueError(f"values: Invalid value: []string{{{shown}}}: {reason}")
    if operator not in ("In", "NotIn", "Exists", "DoesNotExist"):
        raise ValueError(f'"{operator}" is not a valid label selector operator')


def _satisfied(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or []
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels
