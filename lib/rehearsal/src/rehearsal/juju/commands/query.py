"""The expressions of `juju wait-for --query`, such as `life=="alive" && len(units) >= 2`.

Facts: juju/juju 3.6, cmd/juju/waitfor/query (the language) and the documentation of `juju wait-for`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from rehearsal.juju.model.errors import JujuError

Scope = Mapping[str, Any]
"""The values of the names in a query; a collection is a mapping of names to scopes."""

Expression = Callable[[Scope], Any]

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>"[^"]*"|'[^']*')
      | (?P<number>\d+(?:\.\d+)?)
      | (?P<name>[A-Za-z][\w-]*(?:\.[A-Za-z][\w-]*)*)
      | (?P<sign>=>|==|!=|<=|>=|&&|\|\||[<>(),;])
    )""",
    re.VERBOSE,
)
_COMPARISONS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "len": len,
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "print": lambda value: value,
}
_CONSTANTS = {"true": True, "false": False}


def compiled(query: str) -> Callable[[Scope], bool]:
    """Compile a query.

    Args:
        query: comparisons with `&&`, `||`, brackets, and the functions len, startsWith, endsWith and
            forEach(collection, name => condition).

    Returns:
        a function that decides the query for a scope; it raises JujuError for an unknown name.

    Raises:
        JujuError: if the query has a syntax error.
    """
    parser = _Parser(query)
    expression = parser.expression()
    parser.end()
    return lambda scope: bool(expression(scope))


class _Parser:
    def __init__(self, query: str):
        self._query = query
        self._tokens = list(self._split())
        self._next = 0

    def _split(self) -> list[tuple[str, str]]:
        found, at = [], 0
        while self._query[at:].strip():
            token = _TOKEN.match(self._query, at)
            if token is None or token.lastgroup is None:
                return self._refuse(self._query[at:].strip()[:1])
            found.append((token.lastgroup, token[token.lastgroup]))
            at = token.end()
        return found

    def _refuse(self, text: str) -> Any:
        raise JujuError(f'cannot parse query "{self._query}": syntax error at "{text or "its end"}"')

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._next] if self._next < len(self._tokens) else ("end", "")

    def _take(self, *signs: str) -> str:
        """Consume and return the next sign if it is one of these; else return an empty text."""
        kind, text = self._peek()
        if kind == "sign" and text in signs:
            self._next += 1
            return text
        return ""

    def _need(self, sign: str) -> None:
        if not self._take(sign):
            self._refuse(self._peek()[1])

    def end(self) -> None:
        """Refuse any text after the query, except a semicolon."""
        self._take(";")
        if self._peek()[0] != "end":
            self._refuse(self._peek()[1])

    def expression(self) -> Expression:
        """Read comparisons joined by `||`."""
        parts = [self._both()]
        while self._take("||"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda scope: any(part(scope) for part in parts)

    def _both(self) -> Expression:
        parts = [self._comparison()]
        while self._take("&&"):
            parts.append(self._comparison())
        return parts[0] if len(parts) == 1 else lambda scope: all(part(scope) for part in parts)

    def _comparison(self) -> Expression:
        left = self._value()
        sign = self._take(*_COMPARISONS)
        if not sign:
            return left
        right, compare = self._value(), _COMPARISONS[sign]
        return lambda scope: _compared(compare, left(scope), right(scope))

    def _value(self) -> Expression:
        if self._take("("):
            inner = self.expression()
            self._need(")")
            return inner
        kind, text = self._peek()
        self._next += 1
        match kind:
            case "text":
                return lambda _: text[1:-1]
            case "number":
                amount = float(text) if "." in text else int(text)
                return lambda _: amount
            case "name" if text in _CONSTANTS:
                return lambda _: _CONSTANTS[text]
            case "name" if self._take("("):
                return self._call(text)
            case "name":
                return lambda scope: _named(scope, text)
        return self._refuse(text)

    def _call(self, function: str) -> Expression:
        if function == "forEach":
            return self._for_each()
        if function not in _FUNCTIONS:
            return self._refuse(function)
        values = [self.expression()]
        while self._take(","):
            values.append(self.expression())
        self._need(")")
        return lambda scope: _called(function, [value(scope) for value in values])

    def _for_each(self) -> Expression:
        collection = self.expression()
        self._need(",")
        kind, name = self._peek()
        if kind != "name":
            self._refuse(name)
        self._next += 1
        self._need("=>")
        condition = self.expression()
        self._need(")")
        return lambda scope: all(condition({**scope, name: each}) for each in collection(scope).values())


def _compared(compare: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    try:
        return compare(left, right)
    except TypeError:
        return False


def _named(scope: Scope, name: str) -> Any:
    value: Any = scope
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise JujuError(f'invalid identifier "{name}": there are {", ".join(sorted(scope))}')
        value = value[part]
    return value


def _called(function: str, values: list[Any]) -> Any:
    try:
        return _FUNCTIONS[function](*values)
    except (TypeError, AttributeError) as error:
        raise JujuError(f"{function}: {error}") from None
