"""`juju refresh`: change an application's charm, and its resources."""

from __future__ import annotations

from typing import Any

from rehearsal.juju.commands import configuration, resourcing
from rehearsal.juju.commands.call import Call
from rehearsal.juju.commands.parsing import USAGE
from rehearsal.juju.commands.registry import Word, command, flag, number, option, options
from rehearsal.juju.model import attaching, storage
from rehearsal.juju.model.charms import INFO, Charm
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.state import Application

_EXCLUSIVE = (("switch", "revision"), ("path", "revision"), ("switch", "path"))


@command(
    "refresh",
    "upgrade-charm",
    usage="<application>",
    words=(Word("name", "no application specified"),),
    options=(
        option("--path", help="Refresh to a charm located at path"),
        option("--switch", help="Crossgrade to a different charm"),
        option("--channel", help="Channel to use when getting the charm from Charmhub"),
        options(
            "--config", help="Either a path to yaml-formatted application config file or a key=value pair"
        ),
        options("--resource", help="Resource to be uploaded to the controller"),
        flag("--trust", help="Allows charm to run hooks that require access credentials"),
        option(
            "--revision", type=number, default=None, help="Explicit revision of current charm; no effect here"
        ),
        option("--base", help="Select a different base; no effect here"),
        option("--bind", help="Endpoint bindings to spaces; no effect here"),
        options("--storage", help="Charm storage constraints; no effect here"),
        flag("--force", help="Allow a charm to be refreshed which bypasses checks"),
        flag("--force-units", help="Refresh all units immediately, even if in error state"),
        flag("--force-base", "--force-series", help="Refresh even if the base is not supported"),
    ),
)
def refresh(call: Call) -> None:
    """Refresh an application's charm."""
    arguments = call.arguments
    for pair in _EXCLUSIVE:
        if all(getattr(arguments, name) not in ("", None) for name in pair):
            raise JujuError(f"--{pair[0]} and --{pair[1]} are mutually exclusive", USAGE)
    application = call.application(arguments.name)
    call.alive(application)
    charm, origin = _charm(call, application)
    _keep_relations(call, application, charm)
    _keep_storage(call, application, charm)
    config = configuration.given(call, charm, application.name, arguments.config)
    if "trust" in arguments.said or arguments.trust:
        config["trust"] = arguments.trust
    resources = resourcing.checked(call, charm, arguments.resource)
    channel = resourcing.full_channel(arguments.channel) if arguments.channel else application.channel
    same = charm.stand_in and charm.path == application.charm.path and channel == application.channel
    if same and not resources:
        call.info(f'charm "{charm.name}": already up-to-date')
    else:
        call.engine.attach_resources(call.model, application, resources)
        replace_charm(call, application, charm, "" if origin == "local" else channel)
        where = "" if origin == "local" else f" in channel {channel}"
        store = "local" if origin == "local" else "charm-hub"
        revision = application.revision
        call.info(f'Added {store} charm "{charm.name}", revision {revision}{where}, to the model')
    configuration.apply(call, application, config)


def _charm(call: Call, application: Application) -> tuple[Charm, str]:
    """Return the charm to refresh to, and its origin."""
    path, switch = call.arguments.path, call.arguments.switch
    if not path and not switch:
        if application.origin == "local":
            raise JujuError("refreshing a local charm requires either --path or --switch")
        return call.charm(application.charm.name)
    if switch:
        return call.charm(switch)
    charm, origin = call.charm(str(call.path(path)))
    if charm.name != application.charm.name:
        raise JujuError(f'cannot refresh "{application.charm.name}" to "{charm.name}"')
    return charm, origin


def _keep_relations(call: Call, application: Application, charm: Charm) -> None:
    """Refuse a charm that lacks an endpoint of a relation (state/application.go, checkRelationsOps)."""
    for relation in call.model.relations_of(application.name):
        end = relation.end(application.name)
        if end is None:
            continue
        spec = charm.endpoints.get(end.name, INFO if end.name == INFO.name else None)
        if spec is None or (spec.role, spec.interface) != (end.role, relation.interface):
            raise JujuError(
                f'cannot upgrade application "{application.name}" to charm "{charm.name}": '
                f'would break relation "{relation.key}"'
            )


def _keep_storage(call: Call, application: Application, charm: Charm) -> None:
    there = attaching.of_application(call.model, application.name)
    try:
        storage.check_next(application.charm.storage, charm.storage, {e.spec.name for e in there if e.unit})
    except JujuError as error:
        start = f'cannot upgrade application "{application.name}" to charm "{charm.name}"'
        raise JujuError(f"{start}: {error}") from None


def replace_charm(call: Call, application: Application, charm: Charm, channel: str) -> None:
    """Run another charm. Like Juju, unset options that it lacks or that have another type in it."""
    application.channel = channel
    call.engine.refresh(call.model, application, charm)
    lost: dict[str, Any] = {
        key: None
        for key, value in application.config.items()
        if key not in charm.options or not charm.options[key].accepts(value)
    }
    if lost:
        call.engine.set_config(call.model, application, lost)
