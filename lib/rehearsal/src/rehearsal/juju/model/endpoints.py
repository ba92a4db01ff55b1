"""Find the two endpoints that `juju integrate` names; refuse in Juju's own words.

Facts: juju/juju, state/state.go (InferEndpoints) and its errors.
"""

from __future__ import annotations

from rehearsal.juju.model.charms import INFO
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.state import Application, Endpoint, Life, Model, Relation, RemoteApplication

_COUNTERPART = {"provides": "requires", "requires": "provides"}
_THERE = """cannot add relation "{name}"
relation {name} (already exists):

Use 'juju status --relations' to view the current relations."""


def infer(model: Model, first: str, second: str) -> tuple[list[Endpoint], str]:
    """Return the two endpoints named as `application[:endpoint]`, and their interface.

    Raises:
        JujuError: if an application or endpoint does not exist, nothing fits, or more than one pair does.
    """
    pairs = [
        (a, b, interface)
        for a, interface in _candidates(model, first)
        for b, other in _candidates(model, second)
        # Only peer relations relate an application to itself.
        if interface == other and _COUNTERPART.get(a.role) == b.role and a.application != b.application
    ]
    if not pairs:
        raise JujuError("no relations found")
    if len(pairs) > 1:
        # The implicit endpoint is meant only if no other one can be (state/state.go, InferEndpoints).
        pairs = [pair for pair in pairs if INFO.name not in (pair[0].name, pair[1].name)] or pairs
    if len(pairs) > 1:
        options = "; ".join(sorted(f'"{key([a, b])}"' for a, b, _ in pairs))
        raise JujuError(f'ambiguous relation: "{first} {second}" could refer to {options}')
    a, b, interface = pairs[0]
    return [a, b], interface


def check(model: Model, ends: list[Endpoint]) -> None:
    """Raise JujuError if an application is not alive, the relation exists, or an endpoint is at its limit."""
    name = key(ends)
    for end in ends:
        if _named(model, end.application).life is not Life.ALIVE:
            kind = "application" if end.application in model.applications else "saas application"
            raise JujuError(f'cannot add relation "{name}": {kind} "{end.application}" is not alive')
    for relation in model.relations.values():
        if relation.key == name:
            raise JujuError(_THERE.format(name=name))
    for end in ends:
        check_limit(model, end, name)


def check_limit(model: Model, end: Endpoint, name: str) -> None:
    """Raise JujuError if the relation called `name` would be one too many for an endpoint."""
    if application := model.applications.get(end.application):
        limit = application.charm.endpoints.get(end.name, INFO).limit
        present = [r for r in model.relations_of(end.application) if str(r.end(end.application)) == str(end)]
        if limit is not None and len(present) >= limit:
            raise JujuError(
                f'cannot add relation "{name}": establishing a new relation for {end} '
                f"would exceed its maximum relation limit of {limit} (quota limit exceeded)"
            )


def find(model: Model, first: str, second: str) -> Relation:
    """Return the relation between two endpoints; raises JujuError if there is none."""
    found = [
        relation
        for relation in model.relations.values()
        if not relation.is_peer
        and (_matches(relation, (first, second)) or _matches(relation, (second, first)))
    ]
    if not found:
        raise JujuError(f'relation "{first} {second}" not found')
    if len(found) > 1:
        options = "; ".join(sorted(f'"{relation.key}"' for relation in found))
        raise JujuError(f'ambiguous relation: "{first} {second}" could refer to {options}')
    return found[0]


def key(ends: list[Endpoint]) -> str:
    """Return `requirer:endpoint provider:endpoint`."""
    return Relation(0, "", ends).key


def _matches(relation: Relation, names: tuple[str, str]) -> bool:
    return all(
        name in (end.application, str(end)) for name, end in zip(names, relation.endpoints, strict=True)
    )


def _candidates(model: Model, name: str) -> list[tuple[Endpoint, str]]:
    application, _, endpoint = name.partition(":")
    named = _named(model, application)
    there = named.charm.endpoints if isinstance(named, Application) else named.endpoints
    if isinstance(named, Application) and INFO.name not in there:
        there = {**there, INFO.name: INFO}
    if endpoint and endpoint not in there:
        kind = "application" if isinstance(named, Application) else "saas application"
        raise JujuError(f'{kind} "{application}" has no "{endpoint}" relation')
    return [
        (Endpoint(application, spec.name, spec.role), spec.interface)
        for spec in there.values()
        if spec.role != "peers" and endpoint in ("", spec.name)
    ]


def _named(model: Model, name: str) -> Application | RemoteApplication:
    named = model.applications.get(name) or model.remote_applications.get(name)
    if named is None:
        raise JujuError(f'application "{name}" not found')
    return named
