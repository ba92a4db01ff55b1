"""Expressions of alert rules, in PromQL and LogQL: what is wrong with one, and how it is restricted.

cos-tool, which the real charms ask, has Prometheus' own parser (canonical/cos-tool). Here promql-parser finds
errors in PromQL; its writer loses the colon of a subquery, so matchers are inserted into the text. Of LogQL,
only quotes and brackets are checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal

import promql_parser

Language = Literal["promql", "logql"]

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
      | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)
      | (?P<number>\d[\w.]*(?:(?<=[eE])[+-]\d+)?|\.\d+)
      | (?P<word>[A-Za-z_:][\w:]*)
      | (?P<sign>=~|!~|!=|.)""",
    re.VERBOSE | re.DOTALL,
)
_LISTING = {"by", "without", "on", "ignoring", "group_left", "group_right"}
"""What stands before a list of labels in parentheses."""
_WORDS = _LISTING | {"and", "or", "unless", "atan2", "offset", "bool", "inf", "nan"}
"""What is no name of a metric."""
_PAIRS = {")": "(", "]": "[", "}": "{"}
_DURATION = re.compile(r"(\d+y)?(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?")
_SECONDS = {"y": 365 * 86400, "w": 7 * 86400, "d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
_STRING = re.compile(r"""\"(?:[^"\\]|\\.)*\"|`[^`]*`""")
_FUNCTIONS = {
    *(
        "if",
        "else",
        "end",
        "range",
        "with",
        "define",
        "template",
        "block",
        "break",
        "continue",
        "true",
        "false",
    ),
    *(
        "nil",
        "and",
        "or",
        "not",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "index",
        "slice",
        "len",
        "print",
        "printf",
    ),
    *(
        "println",
        "html",
        "js",
        "urlquery",
        "call",
        "query",
        "first",
        "label",
        "value",
        "sortByLabel",
        "strvalue",
    ),
    *("humanize", "humanize1024", "humanizeDuration", "humanizePercentage", "humanizeTimestamp", "title"),
    *("toUpper", "toLower", "match", "reReplaceAll", "externalURL", "pathPrefix", "tableLink", "graphLink"),
    *("args", "safeHtml", "stripPort", "stripDomain", "toTime", "parseDuration", "externalLabels"),
}
"""What templates of Prometheus may call: Go's words and functions, and its own (Prometheus' template.go)."""

Token = tuple[str, str, int]
"""Kind, text and end."""


def fault(expression: object, language: Language) -> str:
    """Return what is wrong with an expression; empty if nothing is."""
    if not isinstance(expression, str) or not expression.strip():
        return "field 'expr' must be set in rule"
    if language == "logql":
        return "" if _closed(expression) else "parse error: unclosed quote or bracket"
    try:
        promql_parser.parse(expression)
    except ValueError as error:
        return f"could not parse expression: {error}"
    return ""


def duration(text: object) -> float | None:
    """Return the seconds of a duration as Prometheus reads it; None if it is none."""
    if not isinstance(text, str) or not text or not (text == "0" or _DURATION.fullmatch(text)):
        return None
    return sum(int(number) * _SECONDS[unit] for number, unit in re.findall(r"(\d+)([a-z]+)", text))


def is_label(name: object) -> bool:
    """Return whether Prometheus 2 takes a text as the name of a label; 3 takes any."""
    return isinstance(name, str) and re.fullmatch(r"[a-zA-Z_]\w*", name, re.ASCII) is not None


def template_fault(text: str) -> str:
    """Return what is wrong with a text that Prometheus fills in, as far as it shows; empty if nothing is."""
    for action in re.findall(r"\{\{(.*?)\}\}", text, re.DOTALL):
        for word in re.findall(r"(?<![\w.$])[A-Za-z_]\w*", _STRING.sub('""', action)):
            if word not in _FUNCTIONS:
                return f'function "{word}" not defined'
    rest = re.sub(r"\{\{.*?\}\}", "", text, flags=re.DOTALL)
    return "unclosed action" if "{{" in rest else ""


def restricted(expression: str, labels: Mapping[str, str], language: Language = "promql") -> str:
    """Return an expression that selects only series with these labels.

    A selector that says something of a label itself keeps what it says. An expression that cannot be read
    stays as it is.
    """
    if fault(expression, language):
        return expression
    parts, done = [], 0
    for at, named, words in _selectors(expression, language):
        new = ",".join(f'{label}="{_quoted(value)}"' for label, value in labels.items() if label not in named)
        if words == "bare":
            new = f"{{{new}}}"
        elif words == "more" and new:
            new = f",{new}"
        parts += [expression[done:at], new]
        done = at
    return "".join(parts) + expression[done:]


def _selectors(expression: str, language: Language) -> Iterator[tuple[int, set[str], str]]:
    """Yield for each selector where matchers go, the labels it matches, and what is there.

    The last is `bare` after a metric's name without braces, `more` after other matchers, else empty.
    """
    tokens = [token for token in _tokens(expression) if token[0] != "space"]
    number, brackets = 0, 0
    while number < len(tokens):
        kind, text, end = tokens[number]
        following = tokens[number + 1][1] if number + 1 < len(tokens) else ""
        number += 1
        if text in ("[", "]"):
            brackets += 1 if text == "[" else -1
        elif brackets:
            continue
        elif text == "{":
            number, found = _braces(tokens, number)
            yield found
        elif kind == "word" and language == "promql":
            if text.lower() in _LISTING and following == "(":
                number = next(n for n in range(number, len(tokens)) if tokens[n][1] == ")") + 1
            elif (
                following not in ("(", "{")
                and text.lower() not in _WORDS
                and following.lower() not in ("by", "without")
            ):
                yield end, set(), "bare"


def _braces(tokens: list[Token], number: int) -> tuple[int, tuple[int, set[str], str]]:
    """Read the matchers between braces; return the number of the token after them, and the selector."""
    named, last = set(), "{"
    while tokens[number][1] != "}":
        kind, text, _ = tokens[number]
        if kind == "word" and tokens[number + 1][1] in ("=", "!=", "=~", "!~"):
            named.add(text)
        last = text
        number += 1
    at = tokens[number][2] - 1
    return number + 1, (at, named, "" if last in ("{", ",") else "more")


def _tokens(expression: str) -> Iterator[Token]:
    for found in _TOKEN.finditer(expression):
        yield str(found.lastgroup), found.group(), found.end()


def _closed(expression: str) -> bool:
    """Return whether all quotes and brackets are closed, and a stream is selected."""
    open_: list[str] = []
    streams = 0
    for kind, text, _ in _tokens(expression):
        if kind != "sign":
            continue
        if text in "\"'`":
            return False
        if text in "([{":
            open_.append(text)
            streams += text == "{"
        elif text in _PAIRS and (not open_ or open_.pop() != _PAIRS[text]):
            return False
    return not open_ and streams > 0


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
