"""Resolve a bundle's relations: find the two endpoints of each, and check whether they may be related.

Facts: juju/charm, bundledata.go (verifyRelations, verifyRelation, inferEndpoints).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from rehearsal.juju.bundle import schema
from rehearsal.juju.bundle.merge import Merged
from rehearsal.juju.model.charms import INFO, Charm, EndpointSpec
from rehearsal.juju.model.errors import JujuError
from rehearsal.yaml_document import Finding

_COUNTERPART = {"provides": "requires", "requires": "provides"}
_SIDE = {"provides": "provider", "requires": "requirer"}
_END = re.compile(rf"({schema.APPLICATION_NAME})(:[a-z][a-z0-9]*([_-][a-z0-9]+)*)?")


@dataclass(frozen=True)
class Offered:
    """An offer of another model, which relations name as they name an application."""

    name: str
    endpoints: Mapping[str, EndpointSpec]


class Relations:
    """The relations of a model: existing ones, and those that a bundle adds.

    Args:
        charms: by application, and offers of other models by their name here.
        related: existing relations, as pairs of `application:endpoint`.
    """

    def __init__(self, charms: Mapping[str, Charm | Offered], related: Iterable[tuple[str, str]] = ()):
        self.made: list[tuple[str, str]] = []
        """The bundle's relations, as pairs of `application:endpoint`, requirer first."""
        self._charms = charms
        self._there = {frozenset(pair) for pair in related}
        self._taken = Counter(end for pair in self._there for end in pair)
        self._meant: set[str] = set()

    def add(self, merged: Merged) -> Iterator[Finding]:
        """Add the relations of a bundle; yield their errors."""
        seen: set[frozenset[str]] = set()
        for ends, said, place in merged.relations:
            self._meant.update(ends)
            try:
                pair = self._resolved(ends, merged)
                if pair is None:
                    continue  # its application has a finding of its own
                if frozenset(pair) in seen:
                    raise JujuError(f"relation {_shown(ends)} is defined more than once")
                seen.add(frozenset(pair))
                self._take(pair)
            except JujuError as error:
                yield said.finding(place, str(error))

    def open_endpoints(self, merged: Merged, origins: Mapping[str, str]) -> Iterator[Finding]:
        """Yield a finding for each required endpoint that no relation names, not even a wrong one.

        It is an error for a charm from a folder, and a warning for one from Charmhub: Juju deploys both, and
        most published charms do not say what is optional.
        """
        for name in merged.applications:
            if name not in self._charms:
                continue
            for spec in self._charms[name].endpoints.values():
                end = f"{name}:{spec.name}"
                there = self._taken[end] or end in self._meant
                if spec.role == "requires" and not spec.optional and not there:
                    partners = ", ".join(self._providers(spec, name, merged))
                    hint = f"relate it to {partners}" if partners else "nothing here provides it"
                    message = f"{end} ({spec.interface}) is required and not related: {hint}"
                    yield merged.finding(name, message=message, warning=origins.get(name) == "charmhub")

    def _providers(self, wanted: EndpointSpec, name: str, merged: Merged) -> Iterator[str]:
        for other in merged.applications:
            if other != name and other in self._charms:
                for spec in self._charms[other].endpoints.values():
                    if _fit(wanted, spec):
                        yield f"{other}:{spec.name}"

    def _take(self, pair: tuple[str, str]) -> None:
        self.made.append(pair)
        if frozenset(pair) in self._there:
            return
        self._taken.update(pair)
        for end in pair:
            name, _, endpoint = end.partition(":")
            spec = self._charms[name].endpoints.get(endpoint, INFO)
            if spec.limit is not None and self._taken[end] > spec.limit:
                raise JujuError(
                    f'cannot add relation "{" ".join(pair)}": establishing a new relation for {end} would '
                    f"exceed its maximum relation limit of {spec.limit} (quota limit exceeded)"
                )

    def _resolved(self, ends: list[str], merged: Merged) -> tuple[str, str] | None:
        """Return both ends with their endpoints, requirer first; None if a charm is unknown."""
        for end in ends:
            if not _END.fullmatch(end):
                raise JujuError(f'invalid relation syntax "{end}"')
        names = [end.partition(":")[0] for end in ends]
        for name in names:
            if name not in merged.applications and name not in self._charms:
                raise JujuError(
                    f'relation {_shown(ends)} refers to application "{name}" not defined in this bundle'
                )
        if names[0] == names[1]:
            raise JujuError(f"relation {_shown(ends)} relates an application to itself")
        if not all(name in self._charms for name in names):
            return None
        candidates = [self._candidates(end) for end in ends]
        fits = [pair for pair in product(*candidates) if _fit(*pair)]
        if len(fits) > 1:
            fits = [pair for pair in fits if INFO not in pair] or fits
        if len(fits) != 1:
            raise JujuError(_why_not(ends, candidates, fits))
        return _requirer_first(names, fits[0])

    def _candidates(self, end: str) -> list[EndpointSpec]:
        name, _, endpoint = end.partition(":")
        charm = self._charms[name]
        specs = [spec for spec in (*charm.endpoints.values(), INFO) if spec.role in _COUNTERPART]
        if not endpoint:
            return specs
        named = [spec for spec in specs if spec.name == endpoint]
        if not named:
            raise JujuError(
                f'charm "{charm.name}" used by application "{name}" does not define relation "{endpoint}"'
            )
        return named


def _fit(one: EndpointSpec, other: EndpointSpec) -> bool:
    return one.interface == other.interface and _COUNTERPART.get(one.role) == other.role


def _requirer_first(names: list[str], pair: tuple[EndpointSpec, ...]) -> tuple[str, str]:
    first, second = (f"{name}:{spec.name}" for name, spec in zip(names, pair, strict=True))
    return (first, second) if pair[0].role == "requires" else (second, first)


def _shown(ends: list[str]) -> str:
    return f'["{ends[0]}" "{ends[1]}"]'


def _why_not(
    ends: list[str], candidates: list[list[EndpointSpec]], fits: list[tuple[EndpointSpec, ...]]
) -> str:
    """Return Juju's error for two ends that do not name exactly one relation."""
    one, other = ends
    if all(":" in end for end in ends):
        (first,), (second,) = candidates
        if first.role == second.role:
            side = _SIDE[first.role]
            return f'relation "{one}" to "{other}" relates {side} to {side}'
        ordered = list(zip(ends, (first, second), strict=True))
        (provider, p), (requirer, r) = sorted(ordered, key=lambda each: each[1].role)
        return (
            f'mismatched interface between "{provider}" and "{requirer}" ("{p.interface}" vs "{r.interface}")'
        )
    why = "no relations found"
    if fits:
        names = [end.partition(":")[0] for end in ends]
        keys = sorted('"{} {}"'.format(*_requirer_first(names, pair)) for pair in fits)
        why = f"ambiguous relation: {one} {other} could refer to {'; '.join(keys)}"
    return f"cannot infer endpoint between {one} and {other}: {why}"
