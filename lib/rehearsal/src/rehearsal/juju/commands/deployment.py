"""`juju deploy`: it tells charms from bundles, and deploys a charm. `bundles.py` deploys bundles."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rehearsal.juju.bundle.schema import APPLICATION_NAME
from rehearsal.juju.commands import bundles, configuration, resourcing
from rehearsal.juju.commands.call import Call
from rehearsal.juju.commands.parsing import USAGE
from rehearsal.juju.commands.registry import Word, command, flag, number, option, options
from rehearsal.juju.model.charms import Charm
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.storage import directives

_NO_EFFECT = (
    option("--base", help="The base on which to deploy; no effect here"),
    option("--bind", help="Endpoint bindings to spaces; no effect here"),
    option("--constraints", help="Application constraints; no effect here"),
    options("--device", help="Charm device constraints; no effect here"),
    option("--revision", type=number, default=None, help="The revision to deploy; no effect here"),
)
"""Options that only cause a warning: applications here have no own pods or disks, and no charm store."""

_CHARM_ONLY = ("bind", "config", "constraints", "num_units", "base", "resource", "device", "revision")
_AMBIGUOUS = """The charm or bundle "{0}" is ambiguous.
To deploy a local charm or bundle, run `juju deploy ./{0}`.
To deploy a charm or bundle from CharmHub, run `juju deploy ch:{0}`."""
_TAKEN = """cannot add application "{}": application already exists:
deploy application using an alias name:
    juju deploy <application> <alias>
or use remove-application to remove the existing one and try again."""


@command(
    "deploy",
    usage="<charm or bundle> [<application name>]",
    words=(Word("charm", "no charm or bundle specified"), Word("name")),
    options=(
        option("--channel", help="Channel to use when getting the charm or bundle from Charmhub"),
        options(
            "--config", help="Either a path to yaml-formatted application config file or a key=value pair"
        ),
        options("--resource", help="Resource to be uploaded to the controller"),
        options("--storage", help="Charm storage directives: <name>=<pool>,<count>,<size>"),
        *_NO_EFFECT,
        option("-n", "--num-units", type=number, default=None, help="Number of application units to deploy"),
        options("--overlay", help="Bundles to overlay on the primary bundle, applied in order"),
        flag("--trust", help="Allows charm to run hooks that require access credentials"),
        flag("--dry-run", help="Just show what the deploy would do"),
        flag("--force", help="Allow a charm/bundle to be deployed which bypasses checks"),
        option("--map-machines", help="Not on Kubernetes"),
        option("--to", help="Not on Kubernetes"),
        option("--attach-storage", help="Not on Kubernetes"),
    ),
    locked=False,
)
def deploy(call: Call) -> None:
    """Deploys a new application or bundle.

    A path that begins with ./ or / is a local charm or bundle; what a packed charm is named by stands for the
    source folder that it lies in. Any other name is one of Charmhub's: a stand-in plays it.
    """
    arguments = call.arguments
    if arguments.to or arguments.attach_storage:
        raise JujuError("k8s models only support --num-units", USAGE)
    file = _bundle(call)
    if file is not None:
        _refuse(call, "bundle", _CHARM_ONLY)
        bundles.deploy(call, [file, *map(call.path, arguments.overlay)])
        return
    _refuse(call, "charm", ("overlay", "map_machines"))
    _warn_of_no_effect(call)
    with call.locked():
        _deploy_charm(call)


def _refuse(call: Call, kind: str, names: Sequence[str]) -> None:
    """Refuse options that do not apply to a charm or a bundle."""
    if said := sorted(name.replace("_", "-") for name in names if getattr(call.arguments, name)):
        raise JujuError(f"options provided but not supported when deploying a {kind}: {', '.join(said)}")


def _warn_of_no_effect(call: Call) -> None:
    """Warn of given options that have no effect here."""
    for each in _NO_EFFECT:
        if getattr(call.arguments, each.dest, None):
            call.info(f"WARNING {each.names[0]} has no effect in a rehearsal")


def _bundle(call: Call) -> Path | None:
    """Return the bundle's file, a YAML file or a folder's bundle.yaml; None if the user names a charm."""
    said = call.arguments.charm
    path = call.path(said)
    local = said.startswith((".", "/", "~"))
    if path.suffix in (".yaml", ".yml") and (local or path.is_file()):
        if not path.is_file():
            raise JujuError(f'no charm or bundle was found at "{said}"')
        return path
    if not local and not said.startswith("ch:") and path.exists():
        raise JujuError(_AMBIGUOUS.format(said))
    return path / "bundle.yaml" if local and (path / "bundle.yaml").is_file() else None


def _deploy_charm(call: Call) -> None:
    arguments = call.arguments
    charm, origin = call.charm(arguments.charm)
    name = arguments.name or charm.name
    if not re.fullmatch(APPLICATION_NAME, name):
        raise JujuError(f'invalid application name "{name}"', USAGE)
    call.model_alive()
    if name in call.model.applications:
        raise JujuError(_TAKEN.format(name))
    config = configuration.given(call, charm, name, arguments.config)
    resources = resourcing.checked(call, charm, arguments.resource)
    storage = _storage(call)
    directives(charm.storage, storage, charm.name)
    channel = ""
    if origin == "local":
        resourcing.need_images(charm, resources)
        call.info(f'Located local charm "{charm.name}", revision 0')
    else:
        channel = resourcing.full_channel(arguments.channel)
    _say(call, name, charm, channel)
    resourcing.tell_of_differences(call, name, charm)
    if arguments.dry_run and origin != "local":
        return
    trust = bool(config.pop("trust", arguments.trust))
    call.engine.add_application(
        call.model,
        name,
        charm,
        origin=origin,
        channel=channel,
        config=config,
        trust=trust,
        resources=resources,
        storage=storage,
        scale=1 if arguments.num_units is None else arguments.num_units,
    )


def _storage(call: Call) -> dict[str, str]:
    """Return what `--storage` says, by name of the storage."""
    found = {}
    for word in call.arguments.storage:
        name, sign, said = word.partition("=")
        if not sign or not name:
            raise JujuError(f"expected key=value, got {word!r}".replace("'", '"'), USAGE)
        if name in found:
            raise JujuError(f'storage "{name}" specified more than once', USAGE)
        found[name] = said
    return found


def _say(call: Call, name: str, charm: Charm, channel: str) -> None:
    """Print what is deployed; as in Juju, even a dry run deploys a local charm."""
    on = "on ubuntu@24.04/stable"
    if not channel:
        if call.arguments.dry_run:
            call.info("ignoring dry-run flag for local charms")
        call.info(f'Deploying "{name}" from local charm "{charm.name}", revision 0 {on}')
        return
    what = f'"{name}" from charm-hub charm "{charm.name}", revision 0 in channel {channel} {on}'
    call.info(f"{what} would be deployed" if call.arguments.dry_run else f"Deployed {what}")
