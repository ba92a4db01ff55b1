"""Applications and units: scale, rights, removal."""

from __future__ import annotations

from rehearsal.juju.commands.call import Call, argument, command
from rehearsal.juju.errors import JujuError

_REMOVAL = (
    argument("--no-prompt", "-y", "--yes", action="store_true"),
    argument("--destroy-storage", action="store_true"),
    argument("--force", action="store_true"),
    argument("--no-wait", action="store_true"),
)


@command("add-unit", arguments=(argument("name"), argument("-n", "--num-units", type=int, default=1)))
def add_unit(call: Call) -> None:
    """Adds one or more units to a deployed application."""
    application = call.application(call.arguments.name)
    call.engine.set_scale(call.model, application, application.scale + call.arguments.num_units)


@command(
    "remove-unit",
    arguments=(argument("names", nargs="+"), argument("--num-units", type=int), *_REMOVAL),
)
def remove_unit(call: Call) -> None:
    """Remove application units from the model."""
    for name in call.arguments.names:
        if "/" in name:
            raise JujuError(
                "k8s models do not support removal of named units: "
                f"juju remove-unit {name.split('/')[0]} --num-units 1"
            )
        if call.arguments.num_units is None:
            raise JujuError("specify the number of units (> 0) to remove using --num-units")
        application = call.application(name)
        if call.arguments.num_units > application.scale:
            raise JujuError(f"cannot remove more units than currently exist ({application.scale})")
        call.error(f"scaling down to {application.scale - call.arguments.num_units} units\n")
        call.engine.set_scale(call.model, application, application.scale - call.arguments.num_units)


@command("scale-application", arguments=(argument("name"), argument("scale", type=int)))
def scale_application(call: Call) -> None:
    """Set the desired number of k8s application units."""
    application = call.application(call.arguments.name)
    if call.arguments.scale < 0:
        raise JujuError("scale must be a positive integer")
    call.error(f"{application.name} scaled to {call.arguments.scale} units\n")
    call.engine.set_scale(call.model, application, call.arguments.scale)


@command("remove-application", arguments=(argument("names", nargs="+"), *_REMOVAL))
def remove_application(call: Call) -> None:
    """Remove applications from the model."""
    found = [call.application(name) for name in call.arguments.names]
    for application in found:
        call.error(f"will remove application {application.name}\n")
        for unit in application.units.values():
            call.error(f"- will remove unit {unit.name}\n")
        call.engine.remove_application(call.model, application, force=call.arguments.force)


@command(
    "trust",
    arguments=(argument("name"), argument("--scope"), argument("--remove", action="store_true")),
)
def trust(call: Call) -> None:
    """Sets the trust status of a deployed application to true."""
    application = call.application(call.arguments.name)
    if not call.arguments.remove and call.arguments.scope != "cluster":
        raise JujuError(
            f"'juju trust' currently grants full access to the cluster itself. Set the scope to "
            f"'cluster' using '--scope=cluster' to confirm this: juju trust {application.name} "
            "--scope=cluster"
        )
    call.engine.set_trust(call.model, application, not call.arguments.remove)


@command(
    "resolved",
    "resolve",
    arguments=(
        argument("names", nargs="*"),
        argument("--no-retry", action="store_true"),
        argument("--all", action="store_true"),
    ),
)
def resolved(call: Call) -> None:
    """Marks unit errors resolved and re-executes failed hooks."""
    units = [call.unit(name) for name in call.arguments.names]
    if call.arguments.all:
        units = [unit for unit in call.model.units() if unit.failed is not None]
    for unit in units:
        call.engine.resolve(call.model, unit, retry=not call.arguments.no_retry)
