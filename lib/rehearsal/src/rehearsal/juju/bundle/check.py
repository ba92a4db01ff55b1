"""Find every error in a bundle and its overlays at once, each with its place.

If Juju would refuse something, the finding uses Juju's words where Juju has some (juju/charm, bundledata.go;
juju/juju, cmd/juju/application/deployer). Findings also cover what Juju would accept but what could not work:
a required endpoint without a relation, missing rights.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rehearsal.juju.bundle import merge, relating, schema
from rehearsal.juju.bundle.merge import Merged
from rehearsal.juju.bundle.relating import Offered
from rehearsal.juju.model.charms import Charm, EndpointSpec
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.storage import directives
from rehearsal.yaml_document import Finding

FindCharm = Callable[[str, Path], tuple[Charm, str]]
"""Finds a charm by its reference and the folder it is relative to (`rehearsal.juju.model.charms.find`)."""
FindOffer = Callable[[str], Mapping[str, EndpointSpec]]
"""Finds the endpoints of an offer by its URL."""

_RISKS = ("stable", "candidate", "beta", "edge")


@dataclass
class Bundle:
    """A bundle with its overlays merged in.

    Attributes:
        applications: by name; option values have the types that the charms declare.
        relations: pairs of `application:endpoint`.
        saas: the URLs of other models' offers, by their name here.
        charms: by application, including those already in the model.
        origins: `local` or `charmhub`, by application.
        findings: errors, sorted by file and place. If there are any, nothing may be deployed.
        warnings: what Juju takes and its author may not have meant, sorted alike.
    """

    applications: dict[str, schema.Application] = field(default_factory=dict)
    relations: list[tuple[str, str]] = field(default_factory=list)
    saas: dict[str, str] = field(default_factory=dict)
    charms: dict[str, Charm] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)


def read(
    paths: list[Path],
    find_charm: FindCharm,
    present: dict[str, Charm] | None = None,
    related: Iterable[tuple[str, str]] = (),
    find_offer: FindOffer | None = None,
) -> Bundle:
    """Return the checked bundle of the first file, with the others merged in as overlays.

    Args:
        paths: the bundle and the overlays, in order.
        find_charm: finds a charm by its reference.
        present: charms of applications already in the model; relations may name them, and the first file may
            be an overlay on them.
        related: relations already in the model, as pairs of `application:endpoint`.
        find_offer: finds offers of other models; None if there are no other models.
    """
    merged = merge.files(paths, overlays_only=bool(present))
    bundle = Bundle(findings=merged.findings)
    if merged.whole:
        bundle.charms |= present or {}
        for name, values in merged.applications.items():
            bundle.findings += _application(bundle, name, values, merged, find_charm)
        offered: dict[str, Offered] = {}
        bundle.findings += _consumed(bundle, offered, merged, find_offer)
        relations = relating.Relations({**bundle.charms, **offered}, related)
        bundle.findings += relations.add(merged)
        bundle.findings += relations.open_endpoints(merged, bundle.origins)
        bundle.relations = relations.made
    found = sorted(bundle.findings)
    bundle.findings = [each for each in found if not each.warning]
    bundle.warnings = [each for each in found if each.warning]
    return bundle


def _consumed(
    bundle: Bundle, offered: dict[str, Offered], merged: Merged, find_offer: FindOffer | None
) -> Iterator[Finding]:
    """Find the offers that a bundle consumes, and add them to `bundle` and `offered`."""
    for name, (url, said) in merged.saas.items():
        try:
            if name in merged.applications:
                raise JujuError(f'saas "{name}" and an application have the same name')
            if find_offer is None:
                raise JujuError(f'application offer "{url}" not found: there is no other model')
            offered[name] = Offered(name, find_offer(url))
            bundle.saas[name] = url
        except JujuError as error:
            yield said.finding(("saas", name), str(error))


def _application(
    bundle: Bundle, name: str, values: dict, merged: Merged, find_charm: FindCharm
) -> Iterator[Finding]:
    """Check an application by itself and against its charm; add both to the bundle."""
    if not re.fullmatch(schema.APPLICATION_NAME, name):
        yield merged.finding(name, message=f'invalid application name "{name}"')
    application = bundle.applications[name] = schema.Application.model_validate(values)
    yield from _store(name, application, merged)
    if not application.charm:
        if name in bundle.charms:
            yield from _options(name, application, bundle.charms[name], merged)
            yield from _offers(name, application, bundle.charms[name], merged)
        elif name not in merged.unsound:
            yield merged.finding(name, message=f'empty charm path: application "{name}" has no charm')
        return
    try:
        charm, origin = find_charm(application.charm, merged.origin(name, "charm").path.parent)
    except JujuError as error:
        bundle.charms.pop(name, None)
        yield merged.finding(name, "charm", message=str(error))
        return
    bundle.charms[name], bundle.origins[name] = charm, origin
    if "scale" not in application.model_fields_set and name not in merged.unsound:
        yield merged.finding(name, message=f'"{name}" has no scale: Juju deploys no unit of it', warning=True)
    yield from _options(name, application, charm, merged)
    yield from _offers(name, application, charm, merged)
    if name not in merged.unsound:
        yield from _resources(name, application, charm, origin, merged)
        yield from _rights(name, application, charm, merged)


def _store(name: str, application: schema.Application, merged: Merged) -> Iterator[Finding]:
    """Check the channel and revision for Charmhub (juju/charm, channel.go)."""
    channel = application.channel
    if application.revision is not None and not channel and not application.charm.startswith((".", "/")):
        message = (
            f'application "{name}" with a revision requires a channel for future upgrades, please use channel'
        )
        yield merged.finding(name, "revision", message=message)
    if channel is None:
        return
    parts = channel.split("/")
    risk = parts[0] if len(parts) == 1 or parts[0] in _RISKS else parts[1]
    if not channel or "" in parts:
        yield merged.finding(name, "channel", message=f'channel "{channel}" not valid: expected track/risk')
    elif len(parts) > 3:
        message = f'channel is malformed and has too many components "{channel}"'
        yield merged.finding(name, "channel", message=message)
    elif len(parts) > 1 and risk not in _RISKS:
        yield merged.finding(name, "channel", message=f'risk in channel "{channel}" not valid')


def _options(name: str, application: schema.Application, charm: Charm, merged: Merged) -> Iterator[Finding]:
    for option, value in application.options.items():
        spec = charm.options.get(option)
        if spec is None:
            yield merged.finding(name, "options", option, message=f'unknown option "{option}"')
            continue
        try:
            application.options[option] = spec.coerce(value)
        except JujuError as error:
            yield merged.finding(name, "options", option, message=str(error))


def _offers(name: str, application: schema.Application, charm: Charm, merged: Merged) -> Iterator[Finding]:
    for offer, said in application.offers.items():
        for endpoint in said.endpoints if said else ():
            if endpoint not in charm.endpoints or charm.endpoints[endpoint].role == "peers":
                message = (
                    f'cannot offer "{name}:{endpoint}": application "{name}" has no "{endpoint}" relation'
                )
                yield merged.finding(name, "offers", offer, message=message)


def _resources(
    name: str, application: schema.Application, charm: Charm, origin: str, merged: Merged
) -> Iterator[Finding]:
    for resource, value in application.resources.items():
        if resource not in charm.resources:
            message = f'charm "{charm.name}": unrecognized resource "{resource}"'
            yield merged.finding(name, "resources", resource, message=message)
        elif origin == "local" and isinstance(value, int):
            message = f'resource "{resource}": a local charm has no store, and so no revision {value}'
            yield merged.finding(name, "resources", resource, message=message)
    missing = sorted(charm.resources.keys() - application.resources.keys())
    images = [each for each in missing if charm.resources[each].type == "oci-image"]
    if origin == "local" and images:
        message = f"local charm missing OCI images for: {', '.join(images)}"
        yield merged.finding(name, "resources", message=message)
    for storage, said in application.storage.items():
        try:
            directives(charm.storage, {} if said is None else {storage: said}, charm.name)
        except JujuError as error:
            yield merged.finding(name, "storage", storage, message=str(error))


def _rights(name: str, application: schema.Application, charm: Charm, merged: Merged) -> Iterator[Finding]:
    if charm.needs_trust and not application.trust:
        yield merged.finding(name, message=f'"{name}" needs rights on the cluster: add "trust: true"')
