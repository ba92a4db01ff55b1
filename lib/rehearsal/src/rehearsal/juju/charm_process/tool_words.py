"""The command lines of hook tools: their options and words, and the formats of what they print.

Facts: juju/juju 3.6, internal/worker/uniter/runner/jujuc and juju/cmd (output.go, smart format).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml


class ToolError(Exception):
    """A hook tool refuses; its text goes to standard error after `ERROR`.

    Args:
        message: in Juju's words.
        code: the exit status; 2 for a wrong command line.
    """

    def __init__(self, message: str, code: int = 1):
        super().__init__(message)
        self.code = code


@dataclass
class Line:
    """A parsed command line.

    Attributes:
        words: the words that are no options.
        options: values by the option's first name; True for a flag.
    """

    words: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)

    def word(self, at: int, missing: str = "") -> str:
        """Return a word; empty, or refused with `missing`, if it is not there."""
        if at < len(self.words):
            return self.words[at]
        if missing:
            raise ToolError(missing, 2)
        return ""

    def get(self, name: str, default: Any = "") -> Any:
        """Return an option's value."""
        return self.options.get(name, default)


def parse(argv: Sequence[str], valued: dict[str, str], flags: dict[str, str]) -> Line:
    """Parse a command line.

    Args:
        argv: the words after the tool's name.
        valued: options with a value, each spelling to the first name.
        flags: options without one, which also take `--flag=false`.

    Raises:
        ToolError: if there is an option that the tool does not have.
    """
    line, rest = Line(), list(argv)
    while rest:
        word = rest.pop(0)
        if word == "--":
            line.words += rest
            break
        name, sign, value = word.partition("=")
        if word == "-" or not word.startswith("-") or (len(word) > 1 and word[1:2].isdigit()):
            line.words.append(word)
        elif name in flags:
            line.options[flags[name]] = not sign or value.lower() in ("true", "1", "t")
        elif name in valued:
            if not sign and not rest:
                raise ToolError(f"option needs an argument: {name}", 2)
            line.options[valued[name]] = value if sign else rest.pop(0)
        else:
            raise ToolError(f"option provided but not defined: {name}", 2)
    return line


def pairs(words: Sequence[str], read: Callable[[str], str]) -> dict[str, str]:
    """Return `key=value` and `key#file=path` words as a mapping.

    Args:
        words: the words.
        read: returns the text of a file.

    Raises:
        ToolError: if a word is neither.
    """
    found = {}
    for word in words:
        key, sign, value = word.partition("=")
        if not sign or not key:
            raise ToolError(f'expected "key=value", got "{word}"', 2)
        if key.endswith("#file"):
            key, value = key.removesuffix("#file"), read(value)
        found[key] = value
    return found


def nested(flat: dict[str, str]) -> dict[str, Any]:
    """Return `a.b` keys as mappings within mappings."""
    found: dict[str, Any] = {}
    for key, value in flat.items():
        *above, last = key.split(".")
        place = found
        for step in above:
            place = place.setdefault(step, {})
        place[last] = value
    return found


def printed(said: Any, form: str) -> str:
    """Return a value as a tool prints it: `json`, `yaml`, or the default, `smart`."""
    if form == "json":
        return json.dumps(said, separators=(",", ":")) + "\n"
    if form == "yaml":
        return yaml.safe_dump(said, sort_keys=True)
    if form not in ("", "smart"):
        raise ToolError(f'invalid value "{form}" for option --format: unknown format "{form}"', 2)
    if said is None or said == "":
        return ""
    if isinstance(said, (str, bool, int, float)):
        return f"{said}\n"
    if isinstance(said, list) and all(isinstance(each, str) for each in said):
        return "".join(f"{each}\n" for each in said)
    return yaml.safe_dump(said, sort_keys=True)
