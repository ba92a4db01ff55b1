"""Constraints of models and applications: kept and shown; here they have no effect on pods.

Facts: juju/juju 3.6, core/constraints/constraints.go, cmd/juju/application/constraints.go and
cmd/juju/model/constraints.go.
"""

from __future__ import annotations

import re
from typing import Any

from rehearsal.juju.commands.call import Call
from rehearsal.juju.commands.formats import document
from rehearsal.juju.commands.parsing import USAGE
from rehearsal.juju.commands.registry import Word, command, output
from rehearsal.juju.model.errors import JujuError

_ARCHITECTURES = ("amd64", "arm64", "ppc64el", "s390x", "riscv64")
_NUMBERS = ("cores", "cpu-power")
_SIZES = ("mem", "root-disk")
_LISTS = ("tags", "spaces", "zones")
_TEXTS = ("container", "instance-role", "instance-type", "root-disk-source", "virt-type", "image-id")
_TRUTHS = ("allocate-public-ip",)
_UNITS = {"M": 1, "G": 1 << 10, "T": 1 << 20, "P": 1 << 30}

_SHOWN = output("constraints", "yaml", "json")


def checked(words: list[str]) -> dict[str, Any]:
    """Return constraints of `key=value` words, sizes in MiB; raises JujuError in Juju's words."""
    found: dict[str, Any] = {}
    for word in words:
        key, sign, text = word.partition("=")
        if not sign:
            raise JujuError(f'malformed constraint "{word}"')
        if key in found:
            raise JujuError(f'bad "{key}" constraint: already set')
        found[key] = _value({"cpu-cores": "cores"}.get(key, key), text)
    return {key: value for key, value in found.items() if value not in ("", [])}


def _value(key: str, text: str) -> Any:
    if key == "arch":
        if text and text not in _ARCHITECTURES:
            raise JujuError(f'bad "arch" constraint: "{text}" not recognized')
        return text
    if key in _NUMBERS:
        if text and not text.isdigit():
            raise JujuError(f'bad "{key}" constraint: must be a non-negative integer')
        return int(text) if text else ""
    if key in _SIZES:
        size = re.fullmatch(r"(\d+(?:\.\d+)?)([MGTP]?)", text)
        if text and not size:
            raise JujuError(
                f'bad "{key}" constraint: must be a non-negative float with optional M/G/T/P suffix'
            )
        return int(float(size[1]) * _UNITS[size[2] or "M"]) if size else ""
    if key in _LISTS:
        return text.split(",") if text else []
    if key in _TRUTHS:
        if text not in ("", "true", "false"):
            raise JujuError(f"bad \"{key}\" constraint: must be 'true' or 'false'")
        return text and text == "true"
    if key in _TEXTS:
        return text
    raise JujuError(f'unknown constraint "{key}"')


def _show(call: Call, found: dict[str, Any]) -> None:
    if call.arguments.format == "constraints":
        shown = [f"{key}={_shown(key, value)}" for key, value in sorted(found.items())]
        call.out(" ".join(shown) + "\n" * bool(shown))
    else:
        call.out(document(found, call.arguments.format))


def _shown(key: str, value: Any) -> str:
    if key in _SIZES:
        return f"{value}M"
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, list) else str(value)


@command("constraints", usage="<application>", words=(Word("name"),), options=(_SHOWN,))
def constraints(call: Call) -> None:
    """Displays machine constraints for an application."""
    if not call.arguments.name:
        raise JujuError("no application name specified", USAGE)
    _show(call, call.application(call.arguments.name).constraints)


@command(
    "set-constraints",
    usage="<application> <constraint>=<value> ...",
    words=(Word("name"), Word("words", many=True)),
)
def set_constraints(call: Call) -> None:
    """Sets machine constraints for an application."""
    if not call.arguments.name:
        raise JujuError("no application name specified", USAGE)
    application = call.application(call.arguments.name)
    application.constraints = checked(call.arguments.words)


@command("model-constraints", options=(_SHOWN,))
def model_constraints(call: Call) -> None:
    """Displays machine constraints for a model."""
    _show(call, call.model.constraints)


@command("set-model-constraints", usage="<constraint>=<value> ...", words=(Word("words", many=True),))
def set_model_constraints(call: Call) -> None:
    """Sets machine constraints on a model."""
    call.model.constraints = checked(call.arguments.words)
