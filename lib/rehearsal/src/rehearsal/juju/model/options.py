"""Options of a charm and their values, from YAML and from the command line.

Facts: juju/charm, config.go, and juju/schema, numeric.go: Juju reads a string such as `1` or `true` as a
whole number or a boolean; it does not accept a whole number for a float.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from rehearsal.juju.model.errors import JujuError

TYPES = ("string", "int", "float", "boolean", "secret")
_TRUTH = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}


@dataclass(frozen=True)
class OptionSpec:
    """A configuration option; without a default, it is unset until the user sets it."""

    name: str
    type: str
    default: Any
    description: str

    def parse(self, text: str) -> Any:
        """Convert a text to the option's type; raises JujuError in Juju's words if that fails."""
        if self.type == "float":
            try:
                return float(text)
            except ValueError:
                raise self._refusal(text) from None
        return self.coerce(text)

    def coerce(self, value: Any) -> Any:
        """Convert a value from YAML to the option's type; raises JujuError in Juju's words if that fails."""
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
        """Return whether `coerce` accepts a value from YAML."""
        try:
            self.coerce(value)
        except JujuError:
            return False
        return True

    def _refusal(self, value: Any) -> JujuError:
        return JujuError(f'option "{self.name}" expected {self.type}, got {json.dumps(value, default=str)}')
