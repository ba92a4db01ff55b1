"""The changes that users make to offers: what one model lets others use.

Facts: juju/juju 3.6, state/applicationoffers.go, state/remoteapplication.go, and
apiserver/facades/client/application (Consume, SetRelationsSuspended) and applicationoffers.
"""

from __future__ import annotations

from collections.abc import Sequence

from rehearsal.juju.controller.upkeep import Upkeep
from rehearsal.juju.model import crossing, endpoints
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.state import (
    Endpoint,
    Life,
    Model,
    Offer,
    OfferedEndpoint,
    Relation,
    RemoteApplication,
)


class Offering(Upkeep):
    """Models that offer applications to each other. Callers of every method hold the lock."""

    def add_offer(self, model: Model, application: str, names: Sequence[str], offer: str) -> Offer:
        """Offer endpoints of an application; an offer of the same name is changed to these endpoints."""
        if application not in model.applications:
            raise JujuError(f'cannot add application offer "{offer}": application "{application}" not found')
        there = model.applications[application].charm.endpoints
        for name in names:
            if name not in there or there[name].role == "peers":
                why = f'application "{application}" has no "{name}" relation'
                raise JujuError(f'cannot add application offer "{offer}": {why}')
        known = model.offers.get(offer)
        if known is not None and known.application != application:
            raise JujuError(f'cannot update application offer "{offer}": it offers "{known.application}"')
        model.offers[offer] = Offer(offer, application, list(names))
        return model.offers[offer]

    def connections(self, model: Model, offer: str) -> list[Relation]:
        """Return the relations that use an offer."""
        return [relation for relation in model.relations.values() if relation.offer == offer]

    def remove_offer(self, model: Model, offer: str, *, force: bool = False) -> None:
        """Remove an offer; `force` breaks its relations first."""
        using = self.connections(model, offer)
        if using and not force:
            count = f"{len(using)} relation{'s'[: len(using) != 1]}"
            raise JujuError(f'cannot delete application offer "{offer}": offer has {count}')
        for relation in using:
            relation.life = Life.DYING
        del model.offers[offer]
        self.poke()

    def consume(self, model: Model, source: Model, offer: str, name: str) -> RemoteApplication:
        """Add another model's offer to a model under a name; it may be there already."""
        url = f"admin/{source.name}.{offer}"
        said = source.offers.get(offer)
        if said is None:
            raise JujuError(f'application offer "{url}" not found')
        known = model.remote_applications.get(name)
        if known is not None:
            if known.source is not source:
                raise JujuError(f'saas application called "{name}" from a different model already exists')
            if known.life is not Life.ALIVE:
                raise JujuError(f'saas application called "{name}" exists but is terminating')
            return known
        if name in model.applications:
            raise JujuError(f'cannot add saas application "{name}": local application with same name exists')
        there = source.applications[said.application].charm.endpoints
        offered = {
            end: OfferedEndpoint(end, there[end].interface, there[end].role)
            for end in said.endpoints
            if end in there
        }
        remote = RemoteApplication(name, url, source, said, offered)
        model.remote_applications[name] = remote
        return remote

    def remove_consumed(self, model: Model, name: str, *, force: bool = False) -> None:
        """Begin to remove what a model consumes: break its relations.

        With `force`, the other model's units are not waited for.
        """
        if name not in model.remote_applications:
            raise JujuError(f'remote application "{name}" not found')
        model.remote_applications[name].life = Life.DYING
        for relation in model.relations_of(name):
            relation.life = Life.DYING
            if force:
                relation.other = None
        self.poke()

    def add_relation(self, model: Model, first: str, second: str) -> Relation:
        """Integrate two applications, `application[:endpoint]` each; one may be of another model."""
        ends, interface = endpoints.infer(model, first, second)
        endpoints.check(model, ends)
        remote = next((end for end in ends if end.application in model.remote_applications), None)
        if remote is None:
            relation = self._relate(model, ends, interface)
        else:
            relation = self._relate_models(model, ends, remote, interface)
        self.poke()
        return relation

    def _relate_models(
        self, model: Model, ends: list[Endpoint], remote: Endpoint, interface: str
    ) -> Relation:
        consumed = model.remote_applications[remote.application]
        source, offer = consumed.source, consumed.offer
        if source.offers.get(offer.name) is not offer or source.life is not Life.ALIVE:
            # cmd/juju/application/addrelation.go, offerTerminatedRegexp
            raise JujuError(
                f'Offer "{offer.name}" has been removed from the remote model.\n'
                "To relate to a new offer with the same name, first run\n"
                f"'juju remove-saas {consumed.name}' to remove the SAAS record from this model."
            )
        local = next(end for end in ends if end is not remote)
        offered = Endpoint(offer.application, remote.name, remote.role)
        proxy = Endpoint(crossing.proxy_name(model, local.application), local.name, local.role)
        endpoints.check_limit(source, offered, endpoints.key(ends))
        near = self._relate(model, ends, interface)
        far = self._relate(source, [offered, proxy], interface)
        near.proxy, near.other, near.other_model = remote.application, far, source
        far.proxy, far.other, far.other_model, far.offer = proxy.application, near, model, offer.name
        return near

    def suspend(self, relation: Relation, *, suspended: bool) -> None:
        """Break a relation between two models for a time, or let it begin again."""
        if relation.suspended == suspended:
            return
        if relation.other is None:
            raise JujuError(
                f'cannot set suspend status for "{relation.key}" which is not associated with an offer'
            )
        for half, model in ((relation, relation.other.other_model), (relation.other, relation.other_model)):
            half.suspended = suspended
            if not suspended and model is not None:
                for unit in model.units():
                    unit.seen.relations.pop(half.id, None)
        self.poke()
