"""Commands about the controller, its user and its version."""

from __future__ import annotations

import platform

from rehearsal.juju.commands.call import Call
from rehearsal.juju.commands.formats import as_json, as_yaml, document
from rehearsal.juju.commands.registry import Word, command, flag, output
from rehearsal.juju.commands.tabular import table
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.status import CLOUD, CONTROLLER, CONTROLLER_UUID, REGION
from rehearsal.juju.model.version import JUJU_VERSION

_ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


@command(
    "version",
    options=(
        flag("--all", help="Prints all version information"),
        output("smart", "json", "yaml"),
    ),
    locked=False,
)
def version(call: Call) -> None:
    """Print the Juju CLI client version."""
    number = f"{JUJU_VERSION}-ubuntu-{_ARCHITECTURE}"
    said = {"version": number} if call.arguments.all else number
    call.out(as_json(said) if call.arguments.format == "json" else as_yaml(said))


@command("whoami", options=(output("tabular", "json", "yaml"),))
def whoami(call: Call) -> None:
    """Print the current controller, model, and logged in user name."""
    current = call.engine.current
    if call.arguments.format != "tabular":
        model = {"model": current} if current else {}
        call.out(document({"controller": CONTROLLER, **model, "user": "admin"}, call.arguments.format))
        return
    rows = [["Controller:", CONTROLLER], ["Model:", current or "<no-current-model>"], ["User:", "admin"]]
    call.out("".join(f"{name:13}{value}\n" for name, value in rows))


@command("controllers", "list-controllers", options=(output("tabular", "json", "yaml"), flag("--refresh")))
def controllers(call: Call) -> None:
    """Lists all controllers."""
    engine = call.engine
    if call.arguments.format != "tabular":
        said = {"controllers": {CONTROLLER: _summary(call)}, "current-controller": CONTROLLER}
        call.out(document(said, call.arguments.format))
        return
    heading = ["Controller", "Model", "User", "Access", "Cloud/Region", "Models", "Nodes", "HA", "Version"]
    where, count = f"{CLOUD}/{REGION}", str(len(engine.models))
    row = [f"{CONTROLLER}*", engine.current or "-", "admin", "superuser", where, count, "1", "-"]
    call.out(table(heading, [[*row, JUJU_VERSION]], right={5, 6, 7}))


def _summary(call: Call) -> dict[str, object]:
    current = {"current-model": f"admin/{call.engine.current}"} if call.engine.current else {}
    return {
        **current,
        "user": "admin",
        "access": "superuser",
        "uuid": CONTROLLER_UUID,
        "api-endpoints": [],
        "cloud": CLOUD,
        "region": REGION,
        "agent-version": JUJU_VERSION,
        "model-count": len(call.engine.models),
    }


@command(
    "show-controller",
    usage="[<controller name> ...]",
    words=(Word("names", many=True),),
    options=(output("yaml", "json"), flag("--show-password")),
)
def show_controller(call: Call) -> None:
    """Shows detailed information of a controller."""
    for name in call.arguments.names:
        if name != CONTROLLER:
            raise JujuError(f"controller {name} not found")
    models = {
        model.name: {"model-uuid": model.uuid, "unit-count": sum(1 for _ in model.units())}
        for model in call.engine.models.values()
    }
    said = {
        "details": {
            "controller-uuid": CONTROLLER_UUID,
            "api-endpoints": [],
            "cloud": CLOUD,
            "region": REGION,
            "agent-version": JUJU_VERSION,
        },
        "models": models,
        "account": {"user": "admin", "access": "superuser"},
    }
    if call.engine.current:
        said["current-model"] = f"admin/{call.engine.current}"
    call.out(document({CONTROLLER: said}, call.arguments.format))
