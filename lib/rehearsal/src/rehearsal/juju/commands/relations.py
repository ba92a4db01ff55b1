"""Integrating applications, and breaking that up."""

from __future__ import annotations

from rehearsal.juju import endpoints
from rehearsal.juju.commands.call import Call, argument, command


@command(
    "integrate",
    "relate",
    "add-relation",
    arguments=(argument("first"), argument("second"), argument("--via")),
)
def integrate(call: Call) -> None:
    """Integrate two applications."""
    call.engine.add_relation(call.model, call.arguments.first, call.arguments.second)


@command(
    "remove-relation",
    arguments=(
        argument("first"),
        argument("second"),
        argument("--force", action="store_true"),
        argument("--no-wait", action="store_true"),
    ),
)
def remove_relation(call: Call) -> None:
    """Removes an existing relation between two applications."""
    relation = endpoints.find(call.model, call.arguments.first, call.arguments.second)
    call.engine.remove_relation(relation)
