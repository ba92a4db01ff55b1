"""Evaluate a Workflow's references to values, conditions of tasks, and dependencies of tasks.

Facts: argo-workflows v3.7.14, util/template/simple_template.go (references), workflow/controller/operator.go
(shouldExecute: a condition is an expression of govaluate) and workflow/common/ancestry.go (`depends`). This
module knows only the operators `==`, `!=`, `!`, `&&`, `||` and parentheses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from rehearsal.players.argo.notation import Document

_TAG = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")
_OURS = re.compile(r"(tasks|steps|inputs|workflow)\.|item\b")
_TOKEN = re.compile(r"""\s*(&&|\|\||==|!=|[!()]|"[^"]*"|'[^']*'|[^\s!=&|()"']+)""")


class UnresolvedError(ValueError):
    """A text refers to a missing value, or is no valid expression."""


def substituted(document: Any, values: Mapping[str, str]) -> Any:
    """Return a document with references replaced; references to unknown values stay."""
    if isinstance(document, str):
        return _TAG.sub(lambda match: values.get(match[1], match[0]), document)
    if isinstance(document, list):
        return [substituted(each, values) for each in document]
    if isinstance(document, dict):
        return {substituted(key, values): substituted(each, values) for key, each in document.items()}
    return document


def resolved(document: Any, values: Mapping[str, str]) -> Any:
    """Return a document with references replaced, and refuse unknown values.

    Raises:
        UnresolvedError: if it refers to an unknown value of the Workflow.
    """
    for tag in _tags(document):
        if tag not in values and _OURS.match(tag):
            raise UnresolvedError(f"failed to resolve {{{{{tag}}}}}")
    return substituted(document, values)


def holds(condition: str) -> bool:
    """Return whether a condition is true; its references must be replaced already.

    Raises:
        UnresolvedError: if it is no condition.
    """

    def value(text: str) -> str:
        return text[1:-1] if text[:1] in ("'", '"') else text

    return _Expression(condition, value).truth()


def depends(text: str, ended: Callable[[str, str], bool]) -> bool:
    """Return whether a task's `depends` lets it run.

    Args:
        text: such as `a.Succeeded && (b || c.Failed)`.
        ended: tells whether a task has a result, such as `Succeeded`.

    Raises:
        UnresolvedError: if it is no expression.
    """

    def value(word: str) -> str:
        task, _, result = word.partition(".")
        results = [result] if result else ["Succeeded", "Skipped", "Daemoned"]
        return str(any(ended(task, each) for each in results)).lower()

    return _Expression(text, value).truth()


def dependencies(task: Document) -> tuple[str, list[str]]:
    """Return a task's `depends`, or its `dependencies` as such a text, and the names of the tasks in it."""
    text = task.get("depends") or " && ".join(task.get("dependencies", []))
    words = [token for token in _TOKEN.findall(text) if re.match(r"[\w-]", token)]
    return text, list(dict.fromkeys(word.partition(".")[0] for word in words))


def _tags(document: Any) -> list[str]:
    if isinstance(document, str):
        return _TAG.findall(document)
    parts = document if isinstance(document, list) else []
    if isinstance(document, dict):
        parts = [*document, *document.values()]
    return [tag for part in parts for tag in _tags(part)]


class _Expression:
    def __init__(self, text: str, value: Callable[[str], str]):
        self._text = text
        self._value = value
        self._tokens = _TOKEN.findall(text)

    def truth(self) -> bool:
        result = self._any()
        if self._tokens:
            raise self._error()
        return result

    def _any(self) -> bool:
        result = self._all()
        while self._take("||"):
            other = self._all()
            result = result or other
        return result

    def _all(self) -> bool:
        result = self._one()
        while self._take("&&"):
            other = self._one()
            result = result and other
        return result

    def _one(self) -> bool:
        if self._take("!"):
            return not self._one()
        if self._take("("):
            result = self._any()
            if not self._take(")"):
                raise self._error()
            return result
        left = self._operand()
        if self._take("=="):
            return left == self._operand()
        if self._take("!="):
            return left != self._operand()
        if left not in ("true", "false"):
            raise self._error()
        return left == "true"

    def _operand(self) -> str:
        if not self._tokens or self._tokens[0] in ("&&", "||", "==", "!=", "!", "(", ")"):
            raise self._error()
        return self._value(self._tokens.pop(0))

    def _take(self, token: str) -> bool:
        found = self._tokens[:1] == [token]
        if found:
            self._tokens.pop(0)
        return found

    def _error(self) -> UnresolvedError:
        return UnresolvedError(f"invalid expression: {self._text}")
