"""Options of a charm: what values they take, from YAML and from the command line.

Facts: juju/charm, config.go, and juju/schema, numeric.go: a string that reads as a number or a truth value
stands for it; a whole number does not stand for a float.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from rehearsal.juju.errors import JujuError

TYPES = ("string", "int", "float", "boolean", "secret")
_TRUTH = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}


@dataclass(frozen=True)
class OptionSpec:
    """A configuration option; one that has no default is unset until it is set."""

    name: str
    type: str
    default: Any
    description: str

    def parse(self, text: str) -> Any:
        """Return a value given as text; raises JujuError in Juju's words if it is of another type."""
        if self.type == "float":
            try:
                return float(text)
            except ValueError:
                raise self._refusal(text) from None
        return self.coerce(text)

    def coerce(self, value: Any) -> Any:
        """Return a value from YAML in the option's type; raises JujuError in Juju's words if it has none."""
        match self.type, value:
            case "string", str():
                return value
            case "secret", str() if value == "" or value.startswith("secret:"):
                return value
            case "boolean", bool():
                return value
            case "boolean", str() if value in _TRUTH:
                return _TRUTH[value]
            case "int", int() if not isinstance(value, bool):
                return value
            case "int", str() if re.fullmatch(r"[+-]?(0[xX][0-9a-fA-F]+|\d+)", value):
                return int(value, 16 if "x" in value.lower() else 10)
            case "float", float():
                return value
        raise self._refusal(value)

    def accepts(self, value: Any) -> bool:
        """Whether a value from YAML is of the option's type."""
        try:
            self.coerce(value)
        except JujuError:
            return False
        return True

    def _refusal(self, value: Any) -> JujuError:
        return JujuError(f'option "{self.name}" expected {self.type}, got {json.dumps(value, default=str)}')
