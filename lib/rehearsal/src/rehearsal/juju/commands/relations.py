"""`juju integrate` and `juju remove-relation`."""

from __future__ import annotations

from rehearsal.juju.commands import consuming
from rehearsal.juju.commands.call import Call
from rehearsal.juju.commands.parsing import USAGE
from rehearsal.juju.commands.registry import Word, command, flag, option
from rehearsal.juju.model import endpoints, offer_urls
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.state import Relation

_TWO = "an integration must involve two applications"


@command(
    "integrate",
    "relate",
    "add-relation",
    usage="<application>[:<endpoint>] <application>[:<endpoint>]",
    words=(Word("first", _TWO), Word("second", _TWO)),
    options=(
        option("--via", help="for cross model relations, specify the egress subnets for outbound traffic"),
    ),
)
def integrate(call: Call) -> None:
    """Integrate two applications.

    One may be an offer of another model, [<user>/]<model>.<offer>[:<endpoint>].
    """
    ends = [call.arguments.first, call.arguments.second]
    remote = [offer_urls.is_offer_url(end) for end in ends]
    if all(remote):
        raise JujuError("providing more than one remote endpoints not supported", USAGE)
    if call.arguments.via and not any(remote):
        raise JujuError(
            "the --via option can only be used when relating to offers in a different model", USAGE
        )
    call.model_alive()
    call.engine.add_relation(call.model, *(_local(call, end) for end in ends))


def _local(call: Call, said: str) -> str:
    """Return the end of a relation, `application[:endpoint]`; consume the offer that a URL names."""
    if not offer_urls.is_offer_url(said):
        return said
    where = offer_urls.parse(said)
    url = said.removesuffix(f":{where.endpoint}") if where.endpoint else said
    name = consuming.add(call, url).name
    return f"{name}:{where.endpoint}" if where.endpoint else name


@command(
    "remove-relation",
    usage="<application1>[:<endpoint1>] <application2>[:<endpoint2>] | <relation-id>",
    words=(Word("first", _TWO), Word("second")),
    options=(
        flag("--force", help="Force remove a relation"),
        flag("--no-wait", help="Rush through removal without waiting for each step to complete"),
    ),
)
def remove_relation(call: Call) -> None:
    """Removes an existing relation between two applications."""
    call.engine.remove_relation(_meant(call))


def _meant(call: Call) -> Relation:
    first, second = call.arguments.first, call.arguments.second
    if second is not None:
        return endpoints.find(call.model, first, second)
    if not first.isdigit():
        raise JujuError(f'relation ID "{first}" not valid', USAGE)
    if int(first) not in call.model.relations:
        raise JujuError(f'relation "{first}" not found')
    return call.model.relations[int(first)]
