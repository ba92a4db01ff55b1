"""Commands that add, list, show, select and destroy models."""

from __future__ import annotations

from typing import Any

import yaml

from rehearsal.juju.commands import modelsettings
from rehearsal.juju.commands.call import Call
from rehearsal.juju.commands.formats import ago, document
from rehearsal.juju.commands.parsing import USAGE, pairs
from rehearsal.juju.commands.registry import Word, command, duration, flag, option, options, output
from rehearsal.juju.commands.tabular import table
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.state import Life, Model, now
from rehearsal.juju.model.status import CLOUD, CONTROLLER, CONTROLLER_UUID, REGION
from rehearsal.juju.model.version import JUJU_VERSION

_NONE = """There are no models available. You can add models with
"juju add-model", or you can ask an administrator or owner
of a model to grant access to that model with "juju grant"."""

_DESTROYS = (
    'WARNING This command will destroy the "{name}" model and affect the following resources. '
    "It cannot be stopped.\n"
    " - {count} application{plural} will be removed\n"
    "  - application list:{names}\n"
    " - {stored} filesystem{stored_plural} and {stored} volume{stored_plural} will be {storage}\n"
)
_STORED = """cannot destroy model "{name}"

The model has persistent storage remaining:
    {count} volume{plural} and {count} filesystem{plural}

To destroy the storage, run the destroy-model
command again with the "--destroy-storage" option.

To release the storage from Juju's management
without destroying it, use the "--release-storage"
option instead. The storage can then be imported
into another Juju model.
"""


@command(
    "add-model",
    usage="<model name> [cloud|region|(cloud/region)]",
    words=(Word("name", "model name is required"), Word("cloud")),
    options=(
        options("--config", help="Path to YAML model configuration file or individual options"),
        option("--credential", help="Credential used to add the model; no effect here"),
        option("--owner", help="The owner of the new model if not the current user"),
        option("-c", "--controller", help="Controller to operate in"),
        flag("--no-switch", help="Do not switch to the newly created model"),
    ),
)
def add_model(call: Call) -> None:
    """Adds a workload model."""
    arguments = call.arguments
    _known_place(arguments.controller, arguments.cloud)
    settings: dict[str, Any] = {}
    for said in arguments.config:
        given = pairs([said]) if "=" in said else _of_file(call, said)
        settings |= {key: modelsettings.checked(key, value) for key, value in given.items()}
    model = call.engine.add_model(arguments.name)
    model.config |= settings
    if not arguments.no_switch:
        call.engine.previous, call.engine.current = call.engine.current, model.name
    call.info(f"Added '{model.name}' model on {CLOUD}/{REGION} for user 'admin'")


def _known_place(controller: str, cloud: str | None) -> None:
    if controller not in ("", CONTROLLER):
        raise JujuError(f"controller {controller} not found")
    if cloud not in (None, CLOUD, REGION, f"{CLOUD}/{REGION}"):
        raise JujuError(
            f'"{cloud}" is neither a cloud supported by this controller,\n'
            f'nor a region in the controller\'s default cloud "{CLOUD}".'
        )


def _of_file(call: Call, name: str) -> dict[str, Any]:
    try:
        said = yaml.safe_load(call.read(name))
    except yaml.YAMLError as error:
        raise JujuError(f"unable to parse config: {' '.join(str(error).split())}") from None
    if not isinstance(said, dict):
        raise JujuError(f"unable to parse config: {name} is no mapping")
    return said


@command(
    "models",
    "list-models",
    options=(
        option("-c", "--controller", help="Controller to operate in"),
        output("tabular", "json", "yaml"),
        flag("--uuid"),
        flag("--all"),
        option("--user", help="The user to list models for (administrative users only)"),
        flag("--exact-time", help="No effect here"),
    ),
)
def models(call: Call) -> None:
    """Lists models a user can access on a controller."""
    _known_place(call.arguments.controller, None)
    there, current = list(call.engine.models.values()), call.engine.current
    if call.arguments.format != "tabular":
        said: dict[str, Any] = {"models": [_listed(model) for model in there]}
        if current:
            said["current-model"] = current
        call.out(document(said, call.arguments.format))
        return
    heading = ["Model", "Cloud/Region", "Type", "Status", "Units", "Access", "Last connection"]
    rows = []
    for model in there:
        uuid = [model.uuid] if call.arguments.uuid else []
        name = model.name + ("*" if model.name == current else "")
        units = str(sum(1 for _ in model.units()) or "-")
        rows.append(
            [name, *uuid, f"{CLOUD}/{REGION}", "kubernetes", _state(model), units, "admin", "just now"]
        )
    if call.arguments.uuid:
        heading.insert(1, "UUID")
    units_column = heading.index("Units")
    call.out(f"Controller: {CONTROLLER}\n\n" + table(heading, rows, right={units_column}))
    if not there:
        call.info(_NONE)


def _state(model: Model) -> str:
    return "available" if model.life is Life.ALIVE else "destroying"


def _known(model: Model) -> dict[str, Any]:
    """Return the fields that `models` and `show-model` share."""
    return {
        "name": f"admin/{model.name}",
        "short-name": model.name,
        "model-uuid": model.uuid,
        "model-type": "caas",
        "controller-uuid": CONTROLLER_UUID,
        "controller-name": CONTROLLER,
        "is-controller": False,
        "owner": "admin",
        "cloud": CLOUD,
        "region": REGION,
        "type": "kubernetes",
        "life": str(model.life),
        "status": {"current": _state(model), "since": ago(model.created, now())},
    }


def _listed(model: Model) -> dict[str, Any]:
    return {**_known(model), "access": "admin", "last-connection": "just now", "agent-version": JUJU_VERSION}


@command(
    "show-model",
    usage="<model name>",
    words=(Word("name"),),
    options=(output("yaml", "json"),),
)
def show_model(call: Call) -> None:
    """Shows information about the current or specified model."""
    model = call.model_named(call.arguments.name) if call.arguments.name else call.model
    said = {
        **_known(model),
        "users": {"admin": {"display-name": "admin", "access": "admin", "last-connection": "just now"}},
        "secret-backends": {"kubernetes": {"status": "active", "num-secrets": len(model.secrets)}},
        "agent-version": JUJU_VERSION,
    }
    call.out(document({model.name: said}, call.arguments.format))


@command(
    "switch",
    usage="[<controller>|<model>|<controller>:|:<model>|<controller>:<model>]",
    words=(Word("target"),),
)
def switch(call: Call) -> None:
    """Selects or identifies the current controller and model."""
    engine, target = call.engine, call.arguments.target
    if not target:
        call.out(f"{CONTROLLER}:admin/{engine.current}\n" if engine.current else f"{CONTROLLER}\n")
        return
    if set_to := call.environment.get("JUJU_MODEL"):
        raise JujuError(f'cannot switch when JUJU_MODEL is overriding the model (set to "{set_to}")')
    before = _place(engine.current)
    if target == "-":
        if engine.previous not in engine.models:
            raise JujuError("no previous model to switch to")
        target = str(engine.previous)
    if target.rstrip(":") != CONTROLLER:
        try:
            name = call.model_named(target).name
            if name != engine.current:
                engine.previous, engine.current = engine.current, name
        except JujuError:
            raise JujuError(f'"{target}" is not the name of a model or controller') from None
    after = _place(engine.current)
    call.info(f"{before} (no change)" if before == after else f"{before} -> {after}")


def _place(model: str | None) -> str:
    return f"{CONTROLLER}:admin/{model}" if model else f"{CONTROLLER} (controller)"


@command(
    "destroy-model",
    usage="[<controller name>:]<model name>",
    words=(Word("name", "no model specified"),),
    options=(
        flag("--no-prompt", "-y", "--yes", help="Do not ask for confirmation"),
        flag("--destroy-storage", help="Destroy all storage instances in the model"),
        flag("--release-storage", help="Release all storage instances from the model"),
        flag("--force", help="Force destroy model ignoring any errors"),
        flag("--no-wait", help="Rush through model destruction without waiting for each step to complete"),
        option(
            "-t",
            "--timeout",
            type=duration,
            default=None,
            help="Timeout for each step of force model destruction",
        ),
    ),
    locked=False,
)
def destroy_model(call: Call) -> None:
    """Terminate all machines/containers and resources for a non-controller model."""
    arguments, engine = call.arguments, call.engine
    _allowed_together(call)
    with call.locked():
        model = call.model_named(arguments.name)
        warning = _warning(call, model)
        if model.storage and not (arguments.destroy_storage or arguments.release_storage):
            count = len(model.storage)
            raise JujuError(_STORED.format(name=model.name, count=count, plural="s"[: count > 1]))
    if not arguments.no_prompt and not call.skips_confirmation:
        call.info(warning)
        if call.ask("To continue, enter the name of the model to be unregistered: ") != model.name:
            raise JujuError("model destruction: aborted")
    call.info("Destroying model")
    with call.locked():
        engine.destroy_model(model, force=arguments.force)
    _await_end(call, model)
    with call.locked():
        if engine.current == model.name:
            engine.current = None
    call.info("Model destroyed.")


def _await_end(call: Call, model: Model) -> None:
    """Report how many applications are left, until the model is gone."""
    models = call.engine.models
    left = -1
    while True:
        with call.locked():
            gone, left = models.get(model.name) is not model, len(model.applications)
        if gone:
            return
        applications = f", {left} application(s)" if left else ""
        call.info(f"Waiting for model to be removed{applications}...")
        call.wait(
            lambda left=left: models.get(model.name) is not model or len(model.applications) != left, None
        )


def _allowed_together(call: Call) -> None:
    arguments = call.arguments
    if arguments.destroy_storage and arguments.release_storage:
        raise JujuError("--destroy-storage and --release-storage cannot both be specified", USAGE)
    if arguments.no_wait and not arguments.force:
        raise JujuError("--no-wait without --force not valid", USAGE)
    if arguments.timeout is not None and not arguments.force:
        raise JujuError("--timeout can only be used with --force (dangerous)", USAGE)


def _warning(call: Call, model: Model) -> str:
    names = sorted(model.applications)
    return _DESTROYS.format(
        name=model.name,
        count=len(names),
        plural="s"[: len(names) > 1],
        names="".join(f' "{name}"' for name in names),
        stored=len(model.storage),
        stored_plural="s"[: len(model.storage) > 1],
        storage="released" if call.arguments.release_storage else "destroyed",
    )
