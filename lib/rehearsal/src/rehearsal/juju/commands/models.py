"""Models and the controller."""

from __future__ import annotations

import json
import time

import yaml

from rehearsal.juju.commands.call import FORMAT, FORMAT_YAML, Call, argument, command, pairs
from rehearsal.juju.errors import JujuError
from rehearsal.juju.status import moment
from rehearsal.juju.tabular import table
from rehearsal.juju.worker import JUJU_VERSION

_SETTINGS = {"automatically-retry-hooks": True, "update-status-hook-interval": "5m"}


@command(
    "add-model",
    arguments=(
        argument("name"),
        argument("cloud", nargs="?"),
        argument("--config", action="append", default=[]),
        argument("--no-switch", action="store_true"),
        argument("--credential"),
    ),
)
def add_model(call: Call) -> None:
    """Adds a workload model."""
    model = call.engine.add_model(call.arguments.name)
    _set(model.config, pairs(call.arguments.config))
    if not call.arguments.no_switch or call.engine.current is None:
        call.engine.current = model.name
    call.error(f"Added '{model.name}' model on rehearsal/localhost for user 'admin'\n")


@command("models", "list-models", arguments=(FORMAT,))
def models(call: Call) -> None:
    """Lists models a user can access on a controller."""
    if call.arguments.format in ("json", "yaml"):
        found = [{"name": f"admin/{m.name}", "short-name": m.name} for m in call.engine.models.values()]
        said = {"models": found, "current-model": call.engine.current}
        call.out(_dumped(said, call.arguments.format))
        return
    rows = [
        [m.name + ("*" if m.name == call.engine.current else ""), "rehearsal", "kubernetes", "available"]
        for m in call.engine.models.values()
    ]
    call.out(table(["Model", "Cloud/Region", "Type", "Status"], rows))


@command("show-model", arguments=(argument("name", nargs="?"), FORMAT_YAML))
def show_model(call: Call) -> None:
    """Shows information about the current or specified model."""
    call.arguments.model = call.arguments.name or call.arguments.model
    model = call.model
    said = {
        "name": f"admin/{model.name}",
        "short-name": model.name,
        "model-uuid": model.uuid,
        "model-type": "caas",
        "controller-uuid": "0" * 8,
        "controller-name": "rehearsal",
        "is-controller": False,
        "owner": "admin",
        "cloud": "rehearsal",
        "region": "localhost",
        "type": "kubernetes",
        "life": str(model.life),
        "status": {"current": "available", "since": moment(model.created)},
        "agent-version": JUJU_VERSION,
    }
    call.out(_dumped({model.name: said}, call.arguments.format))


@command("model-config", arguments=(argument("words", nargs="*"), FORMAT, argument("--reset")))
def model_config(call: Call) -> None:
    """Displays or sets configuration values on a model."""
    settings, words = call.model.config, call.arguments.words
    if call.arguments.reset:
        for key in call.arguments.reset.split(","):
            settings.pop(key, None)
    elif words and "=" in words[0]:
        _set(settings, pairs(words))
    elif words:
        call.out(f"{({**_SETTINGS, **settings}).get(words[0], '')}\n")
    elif call.arguments.format in ("json", "yaml"):
        said = {
            key: {"Value": value, "Source": "model" if key in settings else "default"}
            for key, value in {**_SETTINGS, **settings}.items()
        }
        call.out(_dumped(said, call.arguments.format))
    else:
        rows = [
            [key, "model" if key in settings else "default", str(value)]
            for key, value in {**_SETTINGS, **settings}.items()
        ]
        call.out(table(["Attribute", "From", "Value"], rows))


@command("switch", arguments=(argument("name", nargs="?"),))
def switch(call: Call) -> None:
    """Selects or identifies the current controller and model."""
    if call.arguments.name is None:
        call.out(f"rehearsal:admin/{call.engine.current}\n")
        return
    before, call.arguments.model = call.engine.current, call.arguments.name
    call.engine.current = call.model.name
    call.error(f"rehearsal:admin/{before} -> rehearsal:admin/{call.engine.current}\n")


@command(
    "destroy-model",
    locked=False,
    arguments=(
        argument("name"),
        argument("--no-prompt", "-y", "--yes", action="store_true"),
        argument("--destroy-storage", action="store_true"),
        argument("--release-storage", action="store_true"),
        argument("--force", action="store_true"),
        argument("--no-wait", action="store_true"),
        argument("--timeout", "-t", default="10m"),
    ),
)
def destroy_model(call: Call) -> None:
    """Terminate all machines/containers and resources for a non-controller model."""
    engine = call.engine
    call.arguments.model = call.arguments.name
    with engine.lock:
        model = call.model
        engine.destroy_model(model, force=call.arguments.force)
    call.error("Destroying model\n")
    deadline = time.monotonic() + duration(call.arguments.timeout)
    with engine.changed:
        if not engine.changed.wait_for(lambda: model.name not in engine.models, deadline - time.monotonic()):
            left = ", ".join(model.applications)
            raise JujuError(f"timeout waiting for model {model.name} to be destroyed: {left} are left")
        if engine.current == model.name:
            engine.current = next(iter(engine.models), None)
    call.error("Model destroyed.\n")


@command("version", arguments=(FORMAT, argument("--all", action="store_true")), locked=False)
def version(call: Call) -> None:
    """Print the Juju CLI client version."""
    said = f"{JUJU_VERSION}-ubuntu-amd64"
    if call.arguments.format == "json":
        said = json.dumps({"version": said} if call.arguments.all else said)
    call.out(f"{said}\n")


@command("whoami", locked=False)
def whoami(call: Call) -> None:
    """Print the current controller, model, and logged in user name."""
    call.out(f"Controller:  rehearsal\nModel:       {call.engine.current or '<no-current-model>'}\n")
    call.out("User:        admin\n")


@command("controllers", "list-controllers", arguments=(FORMAT,), locked=False)
def controllers(call: Call) -> None:
    """Lists all controllers."""
    rows = [["rehearsal*", call.engine.current or "-", "admin", "superuser", "rehearsal/localhost"]]
    call.out(table(["Controller", "Model", "User", "Access", "Cloud/Region"], rows))


@command("offer", "consume", arguments=(argument("words", nargs="*"),), locked=False)
def offer(call: Call) -> None:
    """Cross-model relations, which are not rehearsed."""
    raise JujuError("cross-model relations are not rehearsed: relate applications of one model")


def duration(text: str) -> float:
    """Return the seconds of a Go duration such as `5m30s`."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0}
    total, number = 0.0, ""
    for character in text.replace("ms", "/1000s"):
        if character in units and number:
            value, _, divisor = number.partition("/")
            total += float(value) / float(divisor or 1) * units[character]
            number = ""
        else:
            number += character
    if number:
        raise JujuError(f'time: invalid duration "{text}"', 2)
    return total


def _set(settings: dict, given: dict[str, str]) -> None:
    for key, value in given.items():
        settings[key] = {"true": True, "false": False}.get(value, value)


def _dumped(said: object, form: str) -> str:
    return json.dumps(said) + "\n" if form == "json" else yaml.safe_dump(said, sort_keys=False)
