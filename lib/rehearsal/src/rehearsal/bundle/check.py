"""Everything that is wrong with a bundle and its overlays, all at once, each thing with its place.

What Juju would refuse is refused in its words where it has some; so is what Juju would take and what then
could not work: a required endpoint left open, rights not given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydantic

from rehearsal.bundle import document, schema
from rehearsal.bundle.document import Document, Finding
from rehearsal.juju.charms import Charm
from rehearsal.juju.errors import JujuError

FindCharm = Callable[[str, Path], tuple[Charm, str]]
"""Takes a charm's reference and the folder it is relative to (`rehearsal.juju.charms.find`)."""

_COUNTERPART = {"provides": "requires", "requires": "provides"}


@dataclass
class Bundle:
    """A bundle with its overlays merged in."""

    applications: dict[str, schema.Application] = field(default_factory=dict)
    relations: list[tuple[str, str]] = field(default_factory=list)
    charms: dict[str, Charm] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


class _Merge:
    """The bundle as it grows, and which file said what."""

    def __init__(self) -> None:
        self.applications: dict[str, dict[str, Any]] = {}
        self.sources: dict[str, tuple[Document, Path]] = {}
        self.relations: list[tuple[list[str], Document, int]] = []


def read(paths: list[Path], find_charm: FindCharm, present: dict[str, Charm] | None = None) -> Bundle:
    """Return the bundle of the first file, with the others as overlays, checked.

    Args:
        paths: the bundle and the overlays, in their order.
        find_charm: finds a charm by its reference.
        present: charms of applications that the model has already; relations may name them.
    """
    bundle, merged = Bundle(), _Merge()
    for number, path in enumerate(paths):
        said = document.load(path)
        bundle.findings += said.findings
        if not said.findings:
            bundle.findings += _merge(merged, said, path, overlay=number > 0 or bool(present))
    if bundle.findings:
        bundle.findings.sort()
        return bundle
    bundle.charms |= present or {}
    for name, values in merged.applications.items():
        said, path = merged.sources[name]
        bundle.findings += _application(bundle, name, values, said, path.parent, find_charm)
    _relations(bundle, merged)
    if present is None:
        _open_endpoints(bundle, merged)
    bundle.findings.sort()
    return bundle


def _merge(merged: _Merge, said: Document, path: Path, *, overlay: bool) -> list[Finding]:
    """Merge one file in, as Juju merges overlays: options and resources by key, the rest by value."""
    model = schema.OverlayFile if overlay else schema.BundleFile
    try:
        model.model_validate(said.value)
    except pydantic.ValidationError as error:
        return [
            said.finding(tuple(detail["loc"]), _expected(detail))
            for detail in error.errors(include_url=False)
        ]
    for name, change in (said.value.get("applications") or {}).items():
        if change is None:
            merged.applications.pop(name, None)
            continue
        known = merged.applications.setdefault(name, {})
        for key in ("options", "resources"):
            known[key] = known.get(key, {}) | (change.get(key) or {})
        known |= {k: v for k, v in change.items() if k not in ("options", "resources")}
        merged.sources.setdefault(name, (said, path))
    for number, ends in enumerate(said.value.get("relations") or []):
        merged.relations.append((ends, said, number))
    return []


def _expected(detail: Any) -> str:
    key = detail["loc"][-1] if detail["loc"] else "the file"
    if detail["type"] == "extra_forbidden":
        hint = ': write "scale" on Kubernetes' if key == "num_units" else ""
        return f'unknown key "{key}"{hint}'
    return f'"{key}": {detail["msg"]}'


def _application(
    bundle: Bundle, name: str, values: dict[str, Any], said: Document, base: Path, find_charm: FindCharm
) -> Iterator[Finding]:
    here = ("applications", name)
    if not re.fullmatch(schema.APPLICATION_NAME, name):
        yield said.finding(here, f'invalid application name "{name}"')
    try:
        application = bundle.applications[name] = schema.Application.model_validate(values)
    except pydantic.ValidationError as error:
        for detail in error.errors(include_url=False):
            yield said.finding((*here, *detail["loc"]), _expected(detail))
        return
    try:
        charm, bundle.origins[name] = find_charm(application.charm, base)
    except JujuError as error:
        yield said.finding((*here, "charm"), str(error))
        return
    bundle.charms[name] = charm
    for option, value in application.options.items():
        spec = charm.options.get(option)
        if spec is None:
            yield said.finding((*here, "options", option), f'unknown option "{option}"')
        elif not spec.accepts(value):
            said_value = f'option "{option}" expected {spec.type}, got {value!r}'
            yield said.finding((*here, "options", option), said_value)
    for resource in application.resources:
        if resource not in charm.resources:
            message = f'charm "{charm.name}" has no resource "{resource}"'
            yield said.finding((*here, "resources", resource), message)
    if bundle.origins[name] == "local":
        for resource in sorted(set(charm.resources) - set(application.resources)):
            message = f'resource "{resource}" is not named: a local charm has no store to get it from'
            yield said.finding(here, message)
        if "k8s-api" in (charm.metadata.get("assumes") or []) and not application.trust:
            yield said.finding(here, f'"{name}" needs cluster rights: add "trust: true"')


def _relations(bundle: Bundle, merged: _Merge) -> None:
    """Resolve every relation to two endpoints that fit; count what an endpoint takes."""
    taken: dict[str, int] = {}
    seen: set[frozenset[str]] = set()
    for ends, said, number in merged.relations:
        here = ("relations", number)
        try:
            pair = _resolved(bundle, ends)
        except JujuError as error:
            bundle.findings.append(said.finding(here, str(error)))
            continue
        if pair is None:
            continue  # an application of it has a finding of its own
        if frozenset(pair) in seen:
            bundle.findings.append(said.finding(here, f"relation {' '.join(pair)} is there twice"))
            continue
        seen.add(frozenset(pair))
        bundle.relations.append(pair)
        for end in pair:
            taken[end] = taken.get(end, 0) + 1
            name, _, endpoint = end.partition(":")
            limit = bundle.charms[name].endpoints[endpoint].limit
            if limit is not None and taken[end] > limit:
                message = (
                    f'cannot add relation "{" ".join(pair)}": establishing a new relation for {end} would '
                    f"exceed its maximum relation limit of {limit} (quota limit exceeded)"
                )
                bundle.findings.append(said.finding(here, message))


def _resolved(bundle: Bundle, ends: list[str]) -> tuple[str, str] | None:
    """Return both ends with their endpoints; None if a charm is not known."""
    candidates = []
    for end in ends:
        name, _, endpoint = end.partition(":")
        if name not in bundle.applications and name not in bundle.charms:
            raise JujuError(f'relation {ends} refers to application "{name}" not defined in this bundle')
        if name not in bundle.charms:
            return None
        specs = bundle.charms[name].endpoints
        if endpoint and endpoint not in specs:
            raise JujuError(f'application "{name}" has no "{endpoint}" relation')
        candidates.append(
            [(name, s) for s in specs.values() if s.role != "peers" and endpoint in ("", s.name)]
        )
    fits = [
        (a, b) for a in candidates[0] for b in candidates[1]
        if a[1].interface == b[1].interface and _COUNTERPART[a[1].role] == b[1].role
    ]  # fmt: skip
    if not fits:
        raise JujuError(_why_none_fits(ends, candidates))
    if len(fits) > 1:
        options = "; ".join(f'"{a}:{s.name} {b}:{t.name}"' for (a, s), (b, t) in fits)
        raise JujuError(f'ambiguous relation: "{" ".join(ends)}" could refer to {options}')
    (a, s), (b, t) = fits[0]
    return f"{a}:{s.name}", f"{b}:{t.name}"


def _why_none_fits(ends: list[str], candidates: list[Any]) -> str:
    if all(len(each) == 1 for each in candidates):
        (_, a), (_, b) = candidates[0][0], candidates[1][0]
        if a.interface != b.interface:
            return f"no relations found: {ends[0]} speaks {a.interface}, {ends[1]} speaks {b.interface}"
        return f"no relations found: {ends[0]} and {ends[1]} are both the side that {a.role}"
    return f"no relations found between {ends[0]} and {ends[1]}"


def _open_endpoints(bundle: Bundle, merged: _Merge) -> None:
    """A required endpoint that nothing is related to leaves its charm blocked."""
    related = {end for pair in bundle.relations for end in pair}
    for name in bundle.applications:
        if name not in bundle.charms:
            continue
        for spec in bundle.charms[name].endpoints.values():
            if spec.role == "requires" and not spec.optional and f"{name}:{spec.name}" not in related:
                said, _ = merged.sources[name]
                message = f'"{name}" needs a relation on "{spec.name}" ({spec.interface})'
                bundle.findings.append(said.finding(("applications", name), message))
