"""The Go templates in KServe's presets for large language models, as far as they are used there.

text/template of Go 1.24 with KServe's function ChildName (kserve/kserve v0.16.0, config/llmisvcconfig):
fields, `or`, `ChildName`, and `if` with `else`. A field that lacks is empty; of a map, upstream refuses it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rehearsal.players.knative.conventions import child_name

_TAG = re.compile(r"\{\{(-?)\s*(.*?)\s*(-?)\}\}", re.DOTALL)
_WORD = re.compile(r'`([^`]*)`|"([^"]*)"|(\S+)')


def render(text: str, values: Mapping[str, Any]) -> str:
    """Return a text with its tags filled in.

    Raises:
        ValueError: if it has something else.
    """
    pieces = _pieces(text)
    found, rest = _block(pieces, 0, values, emit=True)
    if rest != len(pieces):
        raise ValueError(f"template: unexpected {{{{{pieces[rest][1]}}}}}")
    return found


def fill(item: Any, values: Mapping[str, Any]) -> Any:
    """Return a document with all its texts filled in."""
    if isinstance(item, dict):
        return {key: fill(value, values) for key, value in item.items()}
    if isinstance(item, list):
        return [fill(each, values) for each in item]
    return render(item, values) if isinstance(item, str) and "{{" in item else item


def _pieces(text: str) -> list[tuple[bool, str]]:
    """Return texts and tags in their order; a tag may take the space beside it."""
    found: list[tuple[bool, str]] = []
    at, strip = 0, False
    for match in _TAG.finditer(text):
        before = text[at : match.start()]
        before = before.lstrip() if strip else before
        found.append((False, before.rstrip() if match[1] else before))
        found.append((True, match[2]))
        at, strip = match.end(), bool(match[3])
    rest = text[at:]
    return [*found, (False, rest.lstrip() if strip else rest)]


def _block(
    pieces: Sequence[tuple[bool, str]], at: int, values: Mapping[str, Any], *, emit: bool
) -> tuple[str, int]:
    """Return what a block comes to, and where the tag is that ends it."""
    said = []
    while at < len(pieces):
        tag, text = pieces[at]
        if not tag:
            said.append(text)
        elif text in ("end", "else"):
            break
        elif text.startswith("if "):
            truth = bool(_value(text.removeprefix("if "), values))
            part, at = _block(pieces, at + 1, values, emit=emit and truth)
            said.append(part)
            if at < len(pieces) and pieces[at][1] == "else":
                part, at = _block(pieces, at + 1, values, emit=emit and not truth)
                said.append(part)
            if at >= len(pieces):
                raise ValueError("template: unexpected EOF")
        elif emit:
            said.append(_shown(_value(text, values)))
        at += 1
    return "".join(said) if emit else "", at


def _value(expression: str, values: Mapping[str, Any]) -> Any:
    words = [_word(match, values) for match in _WORD.finditer(expression)]
    first = expression.split(maxsplit=1)[0]
    if first == "or":
        return next((each for each in words[1:] if each), words[-1])
    if first == "ChildName" and len(words) == 3:
        return child_name(words[1], words[2])
    if len(words) != 1:
        raise ValueError(f"template: unexpected {expression!r}")
    return words[0]


def _word(match: re.Match[str], values: Mapping[str, Any]) -> Any:
    quoted = match[1] if match[1] is not None else match[2]
    if quoted is not None:
        return quoted
    word = match[3]
    if word.startswith("."):
        found: Any = values
        for name in word[1:].split("."):
            found = _field(found, name)
        return found
    return int(word) if word.isdigit() else word


def _field(holder: Any, name: str) -> Any:
    """Return a field by its name in Go, which begins with a capital."""
    if not isinstance(holder, Mapping):
        return None
    if name == "ObjectMeta":
        return holder.get("metadata")
    return holder.get(name, holder.get(name[0].lower() + name[1:]))


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
