"""Commands for applications and units: scale, trust, expose, resolve, remove."""

from __future__ import annotations

from rehearsal.juju.commands.call import Call
from rehearsal.juju.commands.parsing import USAGE
from rehearsal.juju.commands.registry import Word, command, flag, number, option
from rehearsal.juju.model import attaching
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.state import Application

APPLICATION = Word("name", "no application specified")

_NUM_UNITS = option("-n", "--num-units", type=number, default=1, help="Number of units to add")
_NO_PROMPT = flag("--no-prompt", help="Do not prompt for approval")
_DRY_RUN = flag("--dry-run", help="Print what this command would remove without removing")
_DESTROY_STORAGE = flag("--destroy-storage", help="Destroy storage attached to units")
_NO_WAIT = flag("--no-wait", help="Rush through removal without waiting for each step to complete")

_NEEDS_SCOPE = """'juju trust' currently grants full access to the cluster itself.
Set the scope to 'cluster' using '--scope=cluster' to confirm this choice.
"""


@command(
    "add-unit",
    usage="<application name>",
    words=(APPLICATION,),
    options=(
        _NUM_UNITS,
        option("--to", help="Not on Kubernetes"),
        option("--attach-storage", help="Not on Kubernetes"),
    ),
)
def add_unit(call: Call) -> None:
    """Adds one or more units to a deployed application."""
    if call.arguments.num_units < 1:
        raise JujuError("--num-units must be a positive integer", USAGE)
    if call.arguments.to or call.arguments.attach_storage:
        raise JujuError("k8s models only support --num-units", USAGE)
    application = call.application(call.arguments.name)
    _scale(call, application, application.scale + call.arguments.num_units)


@command(
    "remove-unit",
    usage="<unit> [...] | <application>",
    words=(Word("names", many=True),),
    options=(
        option("--num-units", type=number, default=0, help="Number of units to remove (k8s models only)"),
        _NO_PROMPT,
        _DRY_RUN,
        _DESTROY_STORAGE,
        _NO_WAIT,
        flag("--force", help="Completely remove a unit and all its dependencies"),
    ),
)
def remove_unit(call: Call) -> None:
    """Remove application units from the model."""
    names, less = call.arguments.names, call.arguments.num_units
    if call.arguments.dry_run:
        raise JujuError("`--dry-run` is not supported for kubernetes units", USAGE)
    if not names:
        raise JujuError("no application specified", USAGE)
    if len(names) != 1:
        raise JujuError("only single application supported", USAGE)
    if "/" in names[0]:
        raise JujuError(
            "k8s models do not support removing named units.\n"
            "Instead specify an application with --num-units.\n",
            USAGE,
        )
    if less <= 0:
        raise JujuError("specify the number of units (> 0) to remove using --num-units", USAGE)
    application = call.application(names[0])
    if less > application.scale:
        raise JujuError(f"cannot remove more units than currently exist ({application.scale})")
    _scale(call, application, application.scale - less, destroy_storage=call.arguments.destroy_storage)
    call.info(f"scaling down to {application.scale} units")


@command(
    "scale-application",
    usage="<application> <scale>",
    words=(APPLICATION, Word("scale", "no scale specified")),
)
def scale_application(call: Call) -> None:
    """Set the desired number of k8s application units."""
    said = call.arguments.scale
    try:
        scale = int(said)
    except ValueError:
        why = f'strconv.Atoi: parsing "{said}": invalid syntax'
        raise JujuError(f'invalid scale "{said}": {why}', USAGE) from None
    if scale < 0:
        raise JujuError("scale must be a positive integer", USAGE)
    application = call.application(call.arguments.name)
    _scale(call, application, scale)
    call.info(f"{application.name} scaled to {scale} units")


def _scale(call: Call, application: Application, scale: int, *, destroy_storage: bool = False) -> None:
    call.alive(application)
    call.engine.set_scale(call.model, application, scale, destroy_storage=destroy_storage)


@command(
    "remove-application",
    usage="<application> [<application>...]",
    words=(Word("names", "no application specified", many=True),),
    options=(
        _NO_PROMPT,
        _DRY_RUN,
        _DESTROY_STORAGE,
        _NO_WAIT,
        flag("--force", help="Completely remove an application and all its dependencies"),
    ),
    locked=False,
)
def remove_application(call: Call) -> int:
    """Remove applications from the model."""
    arguments = call.arguments
    if arguments.no_wait and not arguments.force:
        raise JujuError("--no-wait without --force not valid", USAGE)
    with call.locked():
        there = [name for name in arguments.names if name in call.model.applications]
        lines = [line for name in there for line in _removed(call, call.application(name))]
        ask = not arguments.no_prompt and not arguments.dry_run and call.prompts
    if ask:
        call.info("WARNING This command will perform the following actions:")
    if lines:
        call.out("\n".join(lines) + "\n")
    if ask and not call.confirmed("\nContinue [y/N]? "):
        raise JujuError("application removal: aborted")
    with call.locked():
        for name in arguments.names:
            if name not in call.model.applications:
                call.info(f'ERROR removing application {name} failed: application "{name}" not found')
            elif not arguments.dry_run:
                try:
                    call.engine.remove_application(
                        call.model,
                        call.application(name),
                        force=arguments.force,
                        destroy_storage=arguments.destroy_storage,
                    )
                except JujuError as error:
                    call.info(f"ERROR removing application {name} failed: {error}")
                    there.remove(name)
    return int(len(there) < len(arguments.names))


def _removed(call: Call, application: Application) -> list[str]:
    units = sorted(application.units.values(), key=lambda unit: unit.number)
    storage = [each for unit in units for each in attaching.of_unit(call.model, unit.name)]
    what = "remove" if call.arguments.destroy_storage else "detach"
    return [
        f"will remove application {application.name}",
        *(f"- will remove unit {unit.name}" for unit in units),
        *(f"- will {what} storage {each.id}" for each in storage),
    ]


@command(
    "trust",
    usage="<application name>",
    words=(Word("name", "no application name specified"),),
    options=(
        option("--scope", help="k8s models only - needs to be set to 'cluster'"),
        flag("--remove", help="Remove trusted access from a trusted application"),
    ),
)
def trust(call: Call) -> None:
    """Sets the trust status of a deployed application to true."""
    application, scope = call.application(call.arguments.name), call.arguments.scope
    if not call.arguments.remove and scope != "cluster":
        raise JujuError(f'scope "{scope}" not valid' if scope else _NEEDS_SCOPE)
    call.engine.set_trust(call.model, application, not call.arguments.remove)


@command("expose", usage="<application name>", words=(Word("name", "no application name specified"),))
def expose(call: Call) -> None:
    """Makes an application publicly available over the network."""
    call.application(call.arguments.name).exposed = True
    call.engine.poke()


@command("unexpose", usage="<application name>", words=(Word("name", "no application name specified"),))
def unexpose(call: Call) -> None:
    """Removes public availability over the network for an application."""
    call.application(call.arguments.name).exposed = False
    call.engine.poke()


@command(
    "resolved",
    "resolve",
    usage="[<unit> ...]",
    words=(Word("names", many=True),),
    options=(
        flag("--no-retry", help="Do not re-execute failed hooks on the unit"),
        flag("--all", help="Marks all units in error as resolved"),
    ),
)
def resolved(call: Call) -> None:
    """Marks unit errors resolved and re-executes failed hooks."""
    names, everything = call.arguments.names, call.arguments.all
    if everything and names:
        raise JujuError("specifying unit names(s) with --all not supported", USAGE)
    if not everything and not names:
        raise JujuError("no unit specified", USAGE)
    units = [call.unit(name) for name in names]
    if everything:
        units = [unit for unit in call.model.units() if unit.failed is not None]
    for unit in units:
        call.engine.resolve(call.model, unit, retry=not call.arguments.no_retry)
