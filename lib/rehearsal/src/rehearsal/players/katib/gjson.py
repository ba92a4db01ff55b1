"""Paths into JSON by which a trial tells whether its job is over: what Katib's users write of tidwall/gjson.

github.com/tidwall/gjson v1.18, SYNTAX.md: keys and indices, `#`, the queries `#(...)` and `#(...)#`, pipes,
`@this`, and lists of paths as in `[@this]`. Other modifiers, and wildcards, find nothing here.
"""

from __future__ import annotations

import re
from typing import Any

_QUERY = re.compile(r'^\s*([^=!<>%\s"]*)\s*(==|=|!=|<=|>=|<|>|%)?\s*(.*?)\s*$', re.DOTALL)
_NOTHING = object()


def get(document: Any, path: str) -> Any:
    """Return what a path leads to; None for nothing."""
    found = _follow(document, path)
    return None if found is _NOTHING else found


def _follow(value: Any, path: str) -> Any:
    if not path:
        return _NOTHING
    part, rest, piped = _split(path)
    if part == "#" and rest and not piped:
        # What follows counts for each element.
        each = [_follow(item, rest) for item in value] if isinstance(value, list) else []
        return [item for item in each if item is not _NOTHING]
    if part.startswith("#(") and part.endswith("#") and rest and not piped:
        each = [_follow(item, rest) for item in _step(value, part)]
        return [item for item in each if item is not _NOTHING]
    found = _step(value, part)
    return found if found is _NOTHING or not rest else _follow(found, rest)


def _split(path: str) -> tuple[str, str, bool]:
    """Return the first part of a path, the rest, and whether a pipe stands between them."""
    depth, quoted, at = 0, False, 0
    while at < len(path):
        letter = path[at]
        if letter == "\\":
            at += 1
        elif letter == '"':
            quoted = not quoted
        elif not quoted and letter in "([{":
            depth += 1
        elif not quoted and letter in ")]}":
            depth -= 1
        elif not quoted and not depth and letter in ".|":
            return path[:at], path[at + 1 :], letter == "|"
        at += 1
    return path, "", False


def _step(value: Any, part: str) -> Any:
    if part == "@this":
        return value
    if part.startswith("[") and part.endswith("]"):
        return _several(value, part[1:-1])
    if isinstance(value, list):
        return _in_list(value, part)
    if isinstance(value, dict):
        return value.get(re.sub(r"\\(.)", r"\1", part), _NOTHING)
    return _NOTHING


def _several(value: Any, paths: str) -> list[Any]:
    """Return what each of several paths, separated by commas, leads to."""
    found = [_follow(value, each.strip()) for each in re.split(r",(?![^(\[]*[)\]])", paths)]
    return [each for each in found if each is not _NOTHING]


def _in_list(value: list[Any], part: str) -> Any:
    if part == "#":
        return len(value)
    if part.isdigit():
        return value[int(part)] if int(part) < len(value) else _NOTHING
    if not part.startswith("#("):
        return _NOTHING
    every = part.endswith(")#")
    query = part[2:-2] if every else part[2:-1]
    found = [each for each in value if _fits(each, query)]
    if every:
        return found
    return found[0] if found else _NOTHING


def _fits(item: Any, query: str) -> bool:
    match = _QUERY.match(query)
    if match is None:
        return False
    path, operator, wanted = match.groups()
    value = _follow(item, path) if path else item
    if value is _NOTHING:
        return False
    if not operator:
        return True
    text = wanted[1:-1] if wanted.startswith('"') else wanted
    if isinstance(value, bool):
        value = "true" if value else "false"
    if operator in ("=", "=="):
        return str(value) == text
    if operator == "!=":
        return str(value) != text
    try:
        left, right = float(value), float(text)
    except (TypeError, ValueError):
        return False
    return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}.get(
        operator, False
    )
