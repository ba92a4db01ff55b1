"""`juju deploy`: a charm, or a whole bundle."""

from __future__ import annotations

from pathlib import Path

import yaml

from rehearsal.bundle import check
from rehearsal.juju.commands.call import Call, argument, command, pairs
from rehearsal.juju.commands.configuration import from_file, parsed
from rehearsal.juju.errors import JujuError


@command(
    "deploy",
    arguments=(
        argument("charm"),
        argument("name", nargs="?"),
        argument("--trust", action="store_true"),
        argument("--channel", default=""),
        argument("--revision", type=int),
        argument("--base"),
        argument("--config", action="append", default=[]),
        argument("--resource", action="append", default=[]),
        argument("-n", "--num-units", type=int, default=1),
        argument("--overlay", action="append", default=[]),
        argument("--dry-run", action="store_true"),
        argument("--force", action="store_true"),
        argument("--constraints"),
        argument("--storage", action="append"),
        argument("--bind"),
    ),
)
def deploy(call: Call) -> None:
    """Deploys a new application or bundle."""
    bundle = _bundle_file(call)
    if bundle is not None:
        _deploy_bundle(call, [bundle, *map(call.file, call.arguments.overlay)])
    elif call.arguments.overlay:
        raise JujuError("flags provided but not supported when deploying a charm: --overlay.")
    else:
        _deploy_charm(call)


def _bundle_file(call: Call) -> Path | None:
    """Return the bundle that is meant, if it is one: a YAML file, or a folder with a bundle.yaml."""
    path = call.file(call.arguments.charm)
    if path.suffix in (".yaml", ".yml"):
        if not path.exists():
            raise JujuError(f'no charm was found at "{call.arguments.charm}"')
        return path
    is_path = call.arguments.charm.startswith((".", "/", "~"))
    return path / "bundle.yaml" if is_path and (path / "bundle.yaml").exists() else None


def _deploy_charm(call: Call) -> None:
    arguments = call.arguments
    charm, origin = call.charm(arguments.charm)
    name = arguments.name or charm.name
    options = {}
    for word in arguments.config:
        if "=" in word:
            options |= parsed(charm, {k: call.text(v) for k, v in pairs([word]).items()})
        else:
            options |= from_file(call, charm, name, word)
    resources = pairs(arguments.resource)
    if unknown := set(resources) - set(charm.resources):
        raise JujuError(f'unrecognized resource "{sorted(unknown)[0]}"')
    where = "" if origin == "local" else f" in channel {arguments.channel or 'latest/stable'}"
    if origin == "local":
        call.error(f'Located local charm "{charm.name}", revision 0\n')
    call.error(f'Deploying "{name}" from {origin} charm "{charm.name}", revision 0{where}\n')
    if arguments.dry_run:
        return
    call.engine.add_application(
        call.model,
        name,
        charm,
        origin=origin,
        channel=arguments.channel,
        config=options,
        trust=arguments.trust,
        resources=resources,
        scale=arguments.num_units,
    )


def _deploy_bundle(call: Call, paths: list[Path]) -> None:
    """Deploy what a bundle has and the model has not; nothing at all if there is anything wrong."""
    model, engine = call.model, call.engine
    # A file that is no bundle of its own but speaks of applications that are there is an overlay on them.
    present = {name: each.charm for name, each in model.applications.items()}
    bundle = check.read(paths, call.charm, present or None)
    if bundle.findings:
        for finding in bundle.findings:
            call.error(f"{finding}\n")
        raise JujuError(f"cannot deploy bundle: {len(bundle.findings)} findings, nothing was deployed")
    steps: list[str] = []
    for name, application in bundle.applications.items():
        charm, origin = bundle.charms[name], bundle.origins[name]
        if name in model.applications:
            continue
        source = f"local charm {charm.name}" if origin == "local" else f"charm {charm.name} from charm-hub"
        channel = f" with channel {application.channel}" if application.channel else ""
        steps.append(f"- deploy application {name} from {source}{channel}")
        if call.arguments.dry_run:
            continue
        engine.add_application(
            model,
            name,
            charm,
            origin=origin,
            channel=application.channel or "",
            config=application.options,
            trust=(application.trust and call.arguments.trust) or application.trust,
            resources={key: str(value) for key, value in application.resources.items()},
            scale=application.scale,
        )
    made = {frozenset(map(str, relation.endpoints)) for relation in model.relations.values()}
    for first, second in bundle.relations:
        if frozenset((first, second)) in made:
            continue
        steps.append(f"- add relation {first} - {second}")
        if not call.arguments.dry_run:
            engine.add_relation(model, first, second)
    if not steps:
        call.error("No changes to apply.\n")
        return
    heading = "Changes to deploy bundle:" if call.arguments.dry_run else "Executing changes:"
    call.error(heading + "\n" + "\n".join(steps) + "\n")
    if not call.arguments.dry_run:
        call.error("Deploy of bundle completed.\n")


@command("export-bundle", arguments=(argument("--filename"),))
def export_bundle(call: Call) -> None:
    """Exports the current model configuration as a reusable bundle."""
    applications = {}
    for name, each in call.model.applications.items():
        said: dict = {"charm": str(each.charm.path) if each.origin == "local" else each.charm.name}
        if each.channel:
            said["channel"] = each.channel
        if each.origin == "local":
            said["resources"] = dict(each.resources)
        said["scale"] = each.scale
        if each.config:
            said["options"] = dict(each.config)
        if each.trust:
            said["trust"] = True
        applications[name] = said
    relations = [list(map(str, r.endpoints)) for r in call.model.relations.values() if not r.is_peer]
    said = {"bundle": "kubernetes", "applications": applications, "relations": relations}
    text = yaml.safe_dump(said, sort_keys=False)
    if call.arguments.filename:
        call.file(call.arguments.filename).write_text(text)
        call.out(f"Bundle successfully exported to {call.arguments.filename}\n")
    else:
        call.out(text)
