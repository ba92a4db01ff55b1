"""What a Workflow's texts mean: references to values, conditions of tasks, and what a task depends on.

Facts: argo-workflows v3.7.14, util/template/simple_template.go (references), workflow/controller/operator.go
(shouldExecute: a condition is an expression of govaluate) and workflow/common/ancestry.go (`depends`). Of
expressions, comparisons for (in)equality, `!`, `&&`, `||` and parentheses are known here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from rehearsal.pipelines.notation import Document

_TAG = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")
_OURS = re.compile(r"(tasks|steps|inputs|workflow)\.|item\b")
_TOKEN = re.compile(r"""\s*(&&|\|\||==|!=|[!()]|"[^"]*"|'[^']*'|[^\s!=&|()"']+)""")


class UnresolvedError(ValueError):
    """A text refers to what is not there, or says what nobody understands."""


def substituted(document: Any, values: Mapping[str, str]) -> Any:
    """Return a document with references replaced; those to unknown values stay."""
    if isinstance(document, str):
        return _TAG.sub(lambda match: values.get(match[1], match[0]), document)
    if isinstance(document, list):
        return [substituted(each, values) for each in document]
    if isinstance(document, dict):
        return {substituted(key, values): substituted(each, values) for key, each in document.items()}
    return document


def resolved(document: Any, values: Mapping[str, str]) -> Any:
    """Return a document with references replaced, once and for all.

    Raises:
        UnresolvedError: if it refers to a value of a Workflow that is not there.
    """
    for tag in _tags(document):
        if tag not in values and _OURS.match(tag):
            raise UnresolvedError(f"failed to resolve {{{{{tag}}}}}")
    return substituted(document, values)


def holds(condition: str) -> bool:
    """Return whether a condition is true, whose references have been replaced.

    Raises:
        UnresolvedError: if it is no condition.
    """

    def value(text: str) -> str:
        return text[1:-1] if text[:1] in ("'", '"') else text

    return _Expression(condition, value).truth()


def depends(text: str, ended: Callable[[str, str], bool]) -> bool:
    """Return whether a task may run by its `depends`.

    Args:
        text: such as `a.Succeeded && (b || c.Failed)`.
        ended: tells whether a task has come to a result, such as `Succeeded`.

    Raises:
        UnresolvedError: if it is no expression.
    """

    def value(word: str) -> str:
        task, _, result = word.partition(".")
        results = [result] if result else ["Succeeded", "Skipped", "Daemoned"]
        return str(any(ended(task, each) for each in results)).lower()

    return _Expression(text, value).truth()


def dependencies(task: Document) -> tuple[str, list[str]]:
    """Return the `depends` of a task, which its list of dependencies may say instead, and the tasks in it."""
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
