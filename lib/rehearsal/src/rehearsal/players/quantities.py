"""Amounts of resources, added up: k8s.io/apimachinery v0.36.3, pkg/api/resource/quantity.go."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal

_FORM = re.compile(r"([+-]?[0-9.]+)([a-zA-Z]*)([+-]?[0-9]*)")
_BINARY = {f"{letter}i": Decimal(1024) ** (at + 1) for at, letter in enumerate("KMGTPE")}
_DECIMAL = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    **{letter: Decimal(1000) ** (at + 1) for at, letter in enumerate("kMGTPE")},
}


def amount(text: object) -> Decimal:
    """Return a quantity as a number.

    Raises:
        ValueError: if it is none.
    """
    match = _FORM.fullmatch(str(text).strip())
    if match is None:
        raise ValueError(f"{text!r} is no quantity")
    number, suffix, exponent = match.groups()
    if exponent or suffix == "e":
        return Decimal(f"{number}e{exponent}")
    factor = _BINARY.get(suffix) or _DECIMAL.get(suffix)
    if factor is None:
        raise ValueError(f"{text!r} is no quantity")
    return Decimal(number) * factor


def shown(value: Decimal) -> str:
    """Return a number as a quantity, in thousandths if it is no whole one."""
    if value == value.to_integral_value():
        return str(int(value))
    return f"{int((value * 1000).to_integral_value(rounding='ROUND_CEILING'))}m"


def total(asked: Iterable[Mapping[str, object]]) -> dict[str, str]:
    """Return the sum of several lists of resources."""
    found: dict[str, Decimal] = {}
    for each in asked:
        for name, text in each.items():
            found[name] = found.get(name, Decimal(0)) + amount(text)
    return {name: shown(value) for name, value in found.items()}
