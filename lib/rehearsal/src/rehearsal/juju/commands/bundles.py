"""`juju deploy` of a bundle: it checks everything first, and then makes only the missing changes.

Facts: juju/juju 3.6, cmd/juju/application/deployer/bundle.go and bundlehandler.go, and core/bundle/changes
(the steps, their order and their words).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rehearsal.juju.bundle import check
from rehearsal.juju.bundle.check import Bundle
from rehearsal.juju.commands import consuming, offers, refreshing, resourcing
from rehearsal.juju.commands.call import Call
from rehearsal.juju.model.charms import Charm, EndpointSpec
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.state import Application, Endpoint, Model

_NO_TRUST = (
    "Bundle cannot be deployed without trusting applications with your cloud credentials.\n"
    "Please repeat the deploy command with the --trust argument if you consent to trust "
    "the following application(s):\n  - {}"
)


@dataclass(frozen=True)
class Step:
    """One change of a deployment: Juju's words for it, and the function that makes it."""

    said: str
    do: Callable[[], object] = lambda: None


def deploy(call: Call, paths: list[Path]) -> None:
    """Deploy a bundle with its overlays.

    Args:
        call: the command.
        paths: the bundle, or an overlay on deployed applications, and further overlays.

    Raises:
        JujuError: if the bundle has errors; it lists all of them, and nothing is deployed.
    """
    with call.locked():
        call.model_alive()
        bundle = checked(call, call.model, paths)
        steps = list(_steps(call, call.model, bundle))
    for line in _located(bundle):
        call.info(line)
    for warning in bundle.warnings:
        call.info(f"WARNING {warning}")
    for name in sorted(bundle.applications.keys() - call.model.applications.keys()):
        resourcing.tell_of_differences(call, name, bundle.charms[name])
    if not steps:
        call.info("No changes to apply.")
        return
    dry = call.arguments.dry_run
    call.out("Changes to deploy bundle:\n" if dry else "Executing changes:\n")
    for step in steps:
        call.out(f"- {step.said}\n")
        if not dry:
            with call.locked():
                step.do()
    if not dry:
        call.info("Deploy of bundle completed.")


def checked(call: Call, model: Model, paths: list[Path]) -> Bundle:
    """Return a bundle with its overlays that can be deployed to a model; raises JujuError with all errors."""
    present = {name: each.charm for name, each in model.applications.items()}
    related = [ends(relation.endpoints) for relation in model.relations.values() if not relation.is_peer]
    bundle = check.read(paths, call.charm, present, related, lambda url: _offered(call, url))
    if bundle.findings:
        found = "\n".join(map(str, bundle.findings))
        raise JujuError(f"cannot deploy bundle: the provided bundle has the following errors:\n{found}")
    for name, charm in bundle.charms.items():
        if name in present and charm.name != present[name].name:
            raise JujuError(
                f'cannot deploy bundle: application "{name}" runs the charm "{present[name].name}", '
                f'and the bundle says "{charm.name}"'
            )
    untrusted = sorted(
        name
        for name, each in bundle.applications.items()
        if each.trust and not (name in model.applications and model.applications[name].trust)
    )
    if untrusted and not call.arguments.trust and not call.arguments.force:
        raise JujuError(_NO_TRUST.format("\n  - ".join(untrusted)))
    return bundle


def _offered(call: Call, url: str) -> dict[str, EndpointSpec]:
    """Return the endpoints of another model's offer; raises JujuError if there is none."""
    source, offer = offers.meant(call, url)
    there = source.applications[offer.application].charm.endpoints
    return {name: dataclasses.replace(there[name], optional=True) for name in offer.endpoints}


def ends(endpoints: list[Endpoint]) -> tuple[str, str]:
    """Return both ends of a relation, `application:endpoint` each."""
    return str(endpoints[0]), str(endpoints[1])


def _located(bundle: Bundle) -> Iterator[str]:
    """Yield a message for each charm from Charmhub, with its channel."""
    for name, each in sorted(bundle.applications.items()):
        if bundle.origins.get(name) == "charmhub":
            channel = f", channel {each.channel}" if each.channel else ""
            yield f'Located charm "{bundle.charms[name].name}" in charm-hub{channel}'


def _steps(call: Call, model: Model, bundle: Bundle) -> Iterator[Step]:
    """Yield the missing changes: applications by name, then relations in the bundle's order."""
    uploaded: set[tuple[str, str]] = set()
    for name in sorted(bundle.applications):
        if name in model.applications:
            yield from _changes(call, model, bundle, name)
        else:
            yield from _deployment(call, model, bundle, name, uploaded)
    yield from _crossings(call, model, bundle)
    there = {frozenset(ends(each.endpoints)) for each in model.relations.values() if not each.is_peer}
    for first, second in bundle.relations:
        if frozenset((first, second)) not in there:
            yield Step(
                f"add relation {first} - {second}",
                lambda first=first, second=second: call.engine.add_relation(model, first, second),
            )


def _crossings(call: Call, model: Model, bundle: Bundle) -> Iterator[Step]:
    """Yield the steps for missing offers, and for missing ones of other models."""
    for name, application in sorted(bundle.applications.items()):
        for offer, said in sorted(application.offers.items()):
            known = model.offers.get(offer)
            if said and (known is None or sorted(known.endpoints) != sorted(said.endpoints)):
                yield Step(
                    f"create offer {offer} using {name}:{','.join(said.endpoints)}",
                    lambda name=name, offer=offer, said=said: call.engine.add_offer(
                        model, name, said.endpoints, offer
                    ),
                )
    for name, url in sorted(bundle.saas.items()):
        if name not in model.remote_applications:
            yield Step(
                f"consume offer {name} at {url}",
                lambda name=name, url=url: consuming.add(call, url, name),
            )


def _deployment(
    call: Call, model: Model, bundle: Bundle, name: str, uploaded: set[tuple[str, str]]
) -> Iterator[Step]:
    """Yield the steps for a new application."""
    said, charm, origin = bundle.applications[name], bundle.charms[name], bundle.origins[name]
    hub, channel = origin == "charmhub", said.channel or ""
    source = " from charm-hub" if hub else ""
    if (said.charm, channel) not in uploaded:
        uploaded.add((said.charm, channel))
        what = charm.name if hub else said.charm
        where = f"{source} from channel {channel}" if channel else source
        yield Step(f"upload charm {what}{where} with architecture=amd64")
    units = f" with {said.scale} unit{'s'[: said.scale != 1]}" if said.scale else ""
    with_channel = f" with {channel}" if channel else ""
    using = f" using {charm.name}" if hub and charm.name != name else ""

    def deploy() -> None:
        call.engine.add_application(
            model,
            name,
            charm,
            origin=origin,
            channel=channel,
            config={key: value for key, value in said.options.items() if value is not None},
            trust=said.trust and call.arguments.trust,
            resources=_resources(call, charm, said.resources),
            scale=said.scale,
            storage={key: value for key, value in said.storage.items() if value is not None},
        )

    yield Step(f"deploy application {name}{source}{units}{with_channel}{using}", deploy)
    if said.expose:
        yield _exposure(model, name)


def _resources(call: Call, charm: Charm, said: Mapping[str, str | int | None]) -> dict[str, str]:
    """Return images and paths of files by resource; skip revisions on Charmhub, which the charm provides."""
    folder = call.path(call.arguments.charm).parent
    given = {name: value for name, value in said.items() if isinstance(value, str)}
    return {
        name: value if charm.resources[name].type == "oci-image" else str(folder / value)
        for name, value in given.items()
    }


def _exposure(model: Model, name: str) -> Step:
    return Step(
        f"expose all endpoints of {name} and allow access from CIDRs 0.0.0.0/0 and ::/0",
        lambda: setattr(model.applications[name], "exposed", True),
    )


def _changes(call: Call, model: Model, bundle: Bundle, name: str) -> Iterator[Step]:
    """Yield the steps for a deployed application, where the bundle differs from it."""
    application, said, engine = model.applications[name], bundle.applications[name], call.engine
    if said.channel and application.origin == "charmhub" and said.channel != application.channel:
        yield Step(
            f"upgrade {name} from charm-hub using charm {application.charm.name} from channel {said.channel}",
            lambda: refreshing.replace_charm(call, application, bundle.charms[name], said.channel or ""),
        )
    if (said.charm or "scale" in said.model_fields_set) and said.scale != application.scale:
        yield Step(
            f"scale {name} to {said.scale} units",
            lambda: engine.set_scale(model, application, said.scale),
        )
    options = differing(application, said.options)
    trusts = said.trust and call.arguments.trust and not application.trust
    if options or trusts:

        def set_options() -> None:
            if trusts:
                engine.set_trust(model, application, True)
            engine.set_config(model, application, options)

        yield Step(f"set application options for {name}", set_options)
    if said.expose and not application.exposed:
        yield _exposure(model, name)


def differing(application: Application, options: dict) -> dict:
    """Return the bundle's options whose values differ from the application's."""
    now = application.charm.defaults() | application.config
    return {key: value for key, value in options.items() if value is not None and now.get(key) != value}
