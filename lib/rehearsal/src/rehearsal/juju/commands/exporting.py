"""`juju export-bundle`: write the model as a bundle that can be deployed again."""

from __future__ import annotations

from typing import Any

from rehearsal.juju.commands.call import Call
from rehearsal.juju.commands.formats import as_yaml
from rehearsal.juju.commands.registry import command, flag, option
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.state import Application, Model
from rehearsal.juju.model.status import CONTROLLER


@command(
    "export-bundle",
    options=(
        option("--filename", help="Bundle file"),
        flag("--include-charm-defaults", help="Whether to include charm config default values"),
    ),
)
def export_bundle(call: Call) -> None:
    """Exports the current model configuration as a reusable bundle.

    A local charm is named by the folder that it runs from.
    """
    applications = call.model.applications
    if not applications:
        raise JujuError("nothing to export as there are no applications")
    relations = [
        [str(end) for end in each.endpoints]
        for each in call.model.relations.values()
        if not each.is_peer and not each.offer
    ]
    said: dict[str, Any] = {
        "bundle": "kubernetes",
        "applications": {name: _application(call, each) for name, each in sorted(applications.items())},
    }
    if remote := call.model.remote_applications:
        said["saas"] = {name: {"url": f"{CONTROLLER}:{each.url}"} for name, each in sorted(remote.items())}
    if relations:
        said["relations"] = relations
    text = as_yaml(said)
    if offered := _offers(call.model):
        text += "--- # overlay.yaml\n" + as_yaml({"applications": offered})
    name = call.arguments.filename
    if not name:
        call.out(text)
        return
    try:
        call.path(name).write_text(text)
    except OSError as error:
        why = (error.strerror or "").lower()
        raise JujuError(f"while creating local file: open {name}: {why}") from None
    call.out(f"Bundle successfully exported to {name}\n")


def _offers(model: Model) -> dict[str, Any]:
    """Return the offers by application, as an overlay says them; a bundle itself may not."""
    found: dict[str, Any] = {}
    for offer in sorted(model.offers.values(), key=lambda each: each.name):
        made = {offer.name: {"endpoints": sorted(offer.endpoints), "acl": {"admin": "admin"}}}
        found.setdefault(offer.application, {"offers": {}})["offers"] |= made
    return dict(sorted(found.items()))


def _application(call: Call, application: Application) -> dict[str, Any]:
    local = application.origin == "local"
    defaults = application.charm.defaults() if call.arguments.include_charm_defaults else {}
    said = {
        "charm": str(application.charm.path) if local else application.charm.name,
        "channel": application.channel,
        "resources": dict(sorted(application.resources.items())) if local else {},
        "scale": application.scale,
        "options": dict(sorted((defaults | application.config).items())),
        "expose": application.exposed,
        "trust": application.trust,
    }
    return {key: value for key, value in said.items() if value or key == "scale"}
