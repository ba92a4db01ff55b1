"""Durations in Go's notation, which Juju uses."""

from __future__ import annotations

import re

from rehearsal.juju.model.errors import JujuError

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")


def seconds(text: str) -> float:
    """Return a duration such as `1h30m` in seconds; raises JujuError if the text is no duration."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise JujuError(f'time: invalid duration "{text}"', 2)
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
