"""Durations as Go, and so Juju, writes them."""

from __future__ import annotations

import re

from rehearsal.juju.errors import JujuError

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")


def seconds(text: str) -> float:
    """Return the seconds of a duration such as `1h30m`; raises JujuError if it is none."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise JujuError(f'time: invalid duration "{text}"', 2)
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
