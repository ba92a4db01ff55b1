"""Another revision of a charm, and its resources."""

from __future__ import annotations

from rehearsal.juju.commands.call import FORMAT, Call, argument, command, pairs
from rehearsal.juju.commands.configuration import from_file, parsed
from rehearsal.juju.errors import JujuError
from rehearsal.juju.tabular import table


@command(
    "refresh",
    "upgrade-charm",
    arguments=(
        argument("name"),
        argument("--path"),
        argument("--switch"),
        argument("--channel", default=""),
        argument("--revision", type=int),
        argument("--base"),
        argument("--resource", action="append", default=[]),
        argument("--config", action="append", default=[]),
        argument("--trust", action="store_true"),
        argument("--force", action="store_true"),
        argument("--force-units", action="store_true"),
        argument("--force-base", action="store_true"),
        argument("--storage", action="append"),
    ),
)
def refresh(call: Call) -> None:
    """Refresh an application's charm."""
    arguments, application = call.arguments, call.application(call.arguments.name)
    reference = arguments.path or arguments.switch
    if reference and not reference.startswith((".", "/")) and arguments.path:
        reference = f"./{reference}"
    given = reference or (
        str(application.charm.path) if application.origin == "local" else application.charm.name
    )
    charm, origin = call.charm(given)
    if charm.name != application.charm.name:
        raise JujuError(f'cannot refresh "{application.name}": it runs {application.charm.name}')
    for name, spec in application.charm.endpoints.items():
        related = any(
            (end := r.end(application.name)) and end.name == name
            for r in call.model.relations_of(application.name)
        )
        if related and name not in charm.endpoints and spec.role != "peers":
            raise JujuError(
                f'cannot upgrade application "{application.name}" to charm "{charm.name}": '
                f'would break relation "{application.name}:{name}"'
            )
    options = {}
    for word in arguments.config:
        if "=" in word:
            options |= parsed(charm, {k: call.text(v) for k, v in pairs([word]).items()})
        else:
            options |= from_file(call, charm, application.name, word)
    application.channel = arguments.channel or application.channel
    call.engine.attach_resources(call.model, application, pairs(arguments.resource))
    call.error(f'Added {origin} charm "{charm.name}", revision {application.revision + 1}, to the model\n')
    call.engine.refresh(call.model, application, charm)
    if options:
        call.engine.set_config(call.model, application, options)
    if arguments.trust:
        call.engine.set_trust(call.model, application, True)


@command("attach-resource", arguments=(argument("name"), argument("words", nargs="+")))
def attach_resource(call: Call) -> None:
    """Update a resource for an application."""
    application = call.application(call.arguments.name)
    given = {key: call.text(value) for key, value in pairs(call.arguments.words).items()}
    for name in given:
        if name not in application.charm.resources:
            raise JujuError(f'failed to upload resource "{name}": resource "{name}" not found')
    call.engine.attach_resources(call.model, application, given)
    call.engine.poke()


@command("resources", "list-resources", arguments=(argument("name"), FORMAT))
def resources(call: Call) -> None:
    """Show the resources for an application or unit."""
    application = call.application(call.arguments.name.split("/")[0])
    call.out(table(["Resource", "Revision"], [[k, v] for k, v in application.resources.items()]))
