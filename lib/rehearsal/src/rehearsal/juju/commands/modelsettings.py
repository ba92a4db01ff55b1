"""`juju model-config` and `model-defaults`: settings of models. Those with an effect here are checked."""

from __future__ import annotations

import json
from typing import Any

from rehearsal.juju.commands.call import Call
from rehearsal.juju.commands.formats import document
from rehearsal.juju.commands.parsing import USAGE, pairs
from rehearsal.juju.commands.registry import Word, command, option, options, output
from rehearsal.juju.commands.tabular import table
from rehearsal.juju.model import durations
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.state import Model
from rehearsal.juju.model.version import JUJU_VERSION

_LOCAL = "127.0.0.1,localhost,::1"
_PROXIES = ("ftp-proxy", "http-proxy", "https-proxy")
_EMPTY = (
    *("agent-metadata-url", "backup-dir", "cloudinit-userdata", "container-image-metadata-url"),
    *("container-inherit-properties", "container-networking-method", "default-base", "default-space"),
    *("egress-subnets", "extra-info", "fan-config", "image-metadata-url", "logging-output", "resource-tags"),
    *("apt-mirror", "apt-no-proxy", "snap-store-assertions", "snap-store-proxy", "snap-store-proxy-url"),
    *("storage-default-block-source", "storage-default-filesystem-source"),
    *(f"{prefix}{name}" for prefix in ("", "apt-", "juju-") for name in _PROXIES),
    *(f"snap-{name}" for name in _PROXIES[1:]),
)
DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(_EMPTY, ""),
    "agent-stream": "released",
    "agent-version": JUJU_VERSION,
    "automatically-retry-hooks": True,
    "charmhub-url": "https://api.charmhub.io",
    "container-image-metadata-defaults-disabled": False,
    "container-image-stream": "released",
    "development": False,
    "disable-network-management": False,
    "disable-telemetry": False,
    "enable-os-refresh-update": True,
    "enable-os-upgrade": True,
    "firewall-mode": "instance",
    "ignore-machine-addresses": False,
    "image-metadata-defaults-disabled": False,
    "image-stream": "released",
    "juju-no-proxy": _LOCAL,
    "logging-config": "<root>=INFO",
    "lxd-snap-channel": "5.0/stable",
    "max-action-results-age": "336h",
    "max-action-results-size": "5G",
    "max-status-history-age": "336h",
    "max-status-history-size": "5G",
    "mode": "requires-prompts",
    "net-bond-reconfigure-delay": 17,
    "no-proxy": _LOCAL,
    "num-container-provision-workers": 4,
    "num-provision-workers": 16,
    "operator-storage": "standard",
    "provisioner-harvest-mode": "destroyed",
    "proxy-ssh": False,
    "saas-ingress-allow": "0.0.0.0/0,::/0",
    "secret-backend": "auto",
    "ssh-allow": "0.0.0.0/0,::/0",
    "ssl-hostname-verification": True,
    "test-mode": False,
    "transmit-vendor-metrics": True,
    "update-status-hook-interval": "5m",
    "workload-storage": "standard",
}
"""Juju's defaults on Kubernetes (juju/juju 3.6, environs/config/config.go). Effects here have
`automatically-retry-hooks`, `logging-config`, `mode` and `update-status-hook-interval`."""

_TRUTH = {"true": True, "false": False}


def checked(key: str, value: Any) -> Any:
    """Convert a setting to its type; raises JujuError in Juju's words if that fails."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if isinstance(DEFAULTS.get(key), bool):
        if text not in _TRUTH:
            raise JujuError(f"{key}: expected bool, got string({json.dumps(text)})")
        return _TRUTH[text]
    if isinstance(DEFAULTS.get(key), int):
        if not text.lstrip("-").isdigit():
            raise JujuError(f"{key}: expected number, got string({json.dumps(text)})")
        return int(text)
    if key == "agent-version":
        raise JujuError("agent-version cannot be changed")
    if key == "update-status-hook-interval":
        try:
            durations.seconds(text)
        except JujuError as error:
            raise JujuError(f"invalid update status hook interval in model configuration: {error}") from None
    return value


@command(
    "model-config",
    usage="[<model-key>[=<value>] ...]",
    words=(Word("words", many=True),),
    options=(
        option("--file", help="Path to yaml-formatted configuration file"),
        options("--reset", help="Reset the provided comma delimited keys"),
        output("tabular", "json", "yaml"),
    ),
)
def model_config(call: Call) -> None:
    """Displays or sets configuration values on a model."""
    model, words = call.model, call.arguments.words
    resets = [key for said in call.arguments.reset for key in said.split(",") if key]
    with_value = sum("=" in word for word in words)
    if 0 < with_value < len(words):
        raise JujuError("cannot set and retrieve values simultaneously", USAGE)
    if len(words) > 1 and not with_value:
        raise JujuError("can only retrieve a single value, or all values", USAGE)
    if resets or with_value:
        given = pairs(words)
        changes = {key: checked(key, value) for key, value in given.items()}
        _warn(call, model, changes)
        call.engine.set_model_config(model, dict.fromkeys(resets) | changes)
    else:
        _show(call, model, words[0] if words else None)


def _warn(call: Call, model: Model, changes: dict[str, Any]) -> None:
    for key in changes:
        if key not in DEFAULTS and key not in model.config:
            call.info(
                f'WARNING key "{key}" is not defined in the current model configuration: possible misspelling'
            )


@command(
    "model-defaults",
    "model-default",
    usage="[<model-key>[=<value>] ...]",
    words=(Word("words", many=True),),
    options=(
        option("--file", help="Path to yaml-formatted configuration file"),
        options("--reset", help="Reset the provided comma delimited keys"),
        option("--cloud", help="No difference here"),
        option("--region", help="No difference here"),
        output("tabular", "json", "yaml"),
    ),
)
def model_defaults(call: Call) -> None:
    """Displays or sets default configuration settings for new models."""
    words, kept = call.arguments.words, call.engine.model_defaults
    resets = [key for said in call.arguments.reset for key in said.split(",") if key]
    with_value = [word for word in words if "=" in word]
    if with_value and len(with_value) < len(words):
        raise JujuError("cannot set and retrieve default values simultaneously", USAGE)
    if resets or with_value:
        changes = {key: checked(key, value) for key, value in pairs(words).items()}
        for key in resets:
            kept.pop(key, None)
        kept |= changes
        return
    if len(words) > 1:
        raise JujuError("specify exactly 1 key to retrieve", USAGE)
    found = {key: DEFAULTS.get(key) for key in sorted(DEFAULTS.keys() | kept.keys())}
    if words:
        if words[0] not in found:
            raise JujuError(f'there are no default model values for "{words[0]}"')
        found = {words[0]: found[words[0]]}
    if call.arguments.format == "tabular":
        rows = [[key, _shown(value), _shown(kept.get(key, "-"))] for key, value in found.items()]
        call.out(table(["Attribute", "Default", "Controller"], rows))
        return
    said = {
        key: ({"default": value} if value is not None else {})
        | ({"controller": kept[key]} if key in kept else {})
        for key, value in found.items()
    }
    call.out(document(said, call.arguments.format))


def _show(call: Call, model: Model, key: str | None) -> None:
    found = dict(sorted((DEFAULTS | model.config).items()))
    if key is not None:
        if key not in found:
            raise JujuError(f'key "{key}" not found in "{model.name}" model.')
        call.out(f"{_shown(found[key])}\n")
        return
    inherited = call.engine.model_defaults
    sources = {
        name: "default"
        if name not in model.config
        else "controller"
        if inherited.get(name) == model.config[name]
        else "model"
        for name in found
    }
    if call.arguments.format == "tabular":
        rows = [[name, sources[name], _shown(value)] for name, value in found.items()]
        call.out(table(["Attribute", "From", "Value"], rows))
        return
    said = {name: {"Value": value, "Source": sources[name]} for name, value in found.items()}
    call.out(document(said, call.arguments.format))


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
