"""`juju integrate` and `juju remove-relation`."""

from __future__ import annotations

from rehearsal.juju.commands import absent
from rehearsal.juju.commands.call import Call
from rehearsal.juju.commands.parsing import USAGE
from rehearsal.juju.commands.registry import Word, command, flag, option
from rehearsal.juju.model import endpoints
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.state import Relation

_TWO = "an integration must involve two applications"


@command(
    "integrate",
    "relate",
    "add-relation",
    usage="<application>[:<endpoint>] <application>[:<endpoint>]",
    words=(Word("first", _TWO), Word("second", _TWO)),
    options=(option("--via", help="Not rehearsed: it is for relations between models"),),
)
def integrate(call: Call) -> None:
    """Integrate two applications."""
    first, second = call.arguments.first, call.arguments.second
    if call.arguments.via or "." in first + second:
        raise JujuError(f"cannot integrate {first} and {second}: {absent.WHY['offer']}")
    call.engine.add_relation(call.model, first, second)


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
