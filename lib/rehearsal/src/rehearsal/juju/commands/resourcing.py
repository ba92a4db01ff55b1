"""Resources of charms, and channels of charms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rehearsal.juju.charm_process import oci_images
from rehearsal.juju.commands.call import Call
from rehearsal.juju.commands.formats import document
from rehearsal.juju.commands.parsing import USAGE, pairs
from rehearsal.juju.commands.registry import Word, command, flag, output
from rehearsal.juju.commands.tabular import table
from rehearsal.juju.model import environments
from rehearsal.juju.model.charms import Charm
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.state import Application

_RISKS = ("stable", "candidate", "beta", "edge")


def full_channel(channel: str) -> str:
    """Complete a channel with track and risk as Juju does: `edge` is `latest/edge`."""
    if not channel:
        return "latest/stable"
    if "/" in channel:
        return channel
    return f"latest/{channel}" if channel in _RISKS else f"{channel}/stable"


def checked(call: Call, charm: Charm, said: Sequence[str]) -> dict[str, str]:
    """Return the resources of `name=value` words: an image's reference or the path of a file, by name.

    A file provides a resource of type `file`, or an image with credentials.
    """
    return {name: _value(call, charm, name, value) for name, value in pairs(list(said)).items()}


def _value(call: Call, charm: Charm, name: str, value: str) -> str:
    if name not in charm.resources:
        raise JujuError(f'unrecognized resource "{name}"')
    path = call.path(value)
    if charm.resources[name].type == "oci-image":
        value = str(path) if path.is_file() else value
        oci_images.described(value)
        return value
    if not path.is_file():
        raise JujuError(f'file for resource "{name}": open {value}: no such file or directory')
    return str(path)


def need_images(charm: Charm, given: Mapping[str, str]) -> None:
    """Refuse a local charm if an image is not given, since no store provides it."""
    images = [name for name, spec in charm.resources.items() if spec.type == "oci-image"]
    if missing := sorted(set(images) - set(given)):
        raise JujuError(f"local charm missing OCI images for: {', '.join(missing)}")


def tell_of_differences(call: Call, name: str, charm: Charm) -> None:
    """Say what is not as on Juju: its Python, and programs in containers, unless a file tells of them."""
    if charm.python and (different := environments.stranger(charm.python, charm.release)):
        call.info(f"WARNING {name}: {different}")
    told = call.engine.workloads.get(name, {})
    if charm.stand_in or not (silent := [each for each in charm.containers if each not in told]):
        return
    call.info(
        f"WARNING {name}: nothing runs in {', '.join(silent)}: services are only said to run, and commands "
        "fail unless rehearse --workloads FILE tells what they answer"
    )


@command(
    "attach-resource",
    usage="application <resource name>=<resource>",
    words=(Word("name", "missing application name"), Word("resource", "no resource specified")),
)
def attach_resource(call: Call) -> None:
    """Update a resource for an application."""
    application, said = call.application(call.arguments.name), call.arguments.resource
    name, sign, _ = said.partition("=")
    if not sign or not name:
        raise JujuError(f'bad resource arg "{said}": expected name=value format', USAGE)
    if name not in application.charm.resources:
        raise JujuError(f'failed to upload resource "{name}": resource "{name}" not found')
    call.alive(application)
    call.engine.attach_resources(call.model, application, checked(call, application.charm, [said]))


@command(
    "resources",
    "list-resources",
    usage="<application or unit>",
    words=(Word("name", "missing application or unit name"),),
    options=(
        output("tabular", "json", "yaml"),
        flag("--details", help="Show detailed information about resources used by each unit"),
    ),
)
def resources(call: Call) -> None:
    """Show the resources for an application or unit."""
    name = call.arguments.name
    if "/" in name:
        name = call.unit(name).application
    found = [_described(call.application(name), each) for each in sorted(call.application(name).resources)]
    if not found:
        call.info("No resources to display.")
    elif call.arguments.format == "tabular":
        rows = [[each["name"], each["origin"], each["used"]] for each in found]
        call.out(table(["Resource", "Supplied by", "Revision"], rows))
    else:
        call.out(document({"resources": found}, call.arguments.format))


def _described(application: Application, name: str) -> dict[str, str]:
    spec, value = application.charm.resources[name], application.resources[name]
    store = value == spec.upstream_source and application.origin != "local"
    return {
        "resourceid": f"{application.name}/{name}",
        "name": name,
        "type": spec.type,
        "path": spec.filename,
        "origin": "store" if store else "admin",
        "used": value,
    }
