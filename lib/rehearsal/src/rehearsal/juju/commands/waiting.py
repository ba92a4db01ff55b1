"""`juju wait-for`: until an application, a unit or the model is as asked."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from rehearsal.juju.commands.call import Call, argument, command
from rehearsal.juju.commands.models import duration
from rehearsal.juju.errors import JujuError
from rehearsal.juju.status import application_status

_TERM = re.compile(r'\s*([a-z-]+)\s*(==|!=)\s*["\']([^"\']*)["\']\s*')
_DEFAULT = {"application": 'status=="active"', "unit": 'workload-status=="active"', "model": ""}


@command(
    "wait-for",
    locked=False,
    arguments=(
        argument("kind", choices=("application", "model", "unit")),
        argument("name"),
        argument("--query"),
        argument("--timeout", default="10m"),
        argument("--summary", action="store_true"),
    ),
)
def wait_for(call: Call) -> None:
    """Wait for an entity to reach a specified state."""
    arguments = call.arguments
    query = arguments.query if arguments.query is not None else _DEFAULT[arguments.kind]
    holds = _compiled(query)
    if arguments.kind == "model":
        arguments.model = arguments.name
    deadline = time.monotonic() + duration(arguments.timeout)
    call.error(f'waiting for {arguments.kind} "{arguments.name}" to satisfy {query or "being there"}\n')
    with call.engine.changed:
        reached = call.engine.changed.wait_for(
            lambda: (facts := _facts(call)) is not None and holds(facts), deadline - time.monotonic()
        )
    if not reached:
        raise JujuError(f"timed out waiting for {arguments.kind} {arguments.name!r} to reach goal state")


def _facts(call: Call) -> dict[str, Any] | None:
    """Return what a query may speak of, or None if the entity is not there."""
    kind, name = call.arguments.kind, call.arguments.name
    try:
        if kind == "application":
            status = application_status(call.application(name))
            return {"name": name, "status": status.current, "message": status.message}
        if kind == "unit":
            unit = call.unit(name)
            return {
                "name": unit.name,
                "workload-status": unit.workload.current,
                "workload-message": unit.workload.message,
                "agent-status": unit.agent.current,
                "life": str(unit.life),
            }
        return {"name": call.model.name, "life": str(call.model.life), "status": "available"}
    except JujuError:
        return None


def _compiled(query: str) -> Callable[[dict[str, Any]], bool]:
    """Return what decides a query: comparisons joined by `&&` and `||`, the former first."""
    either = [[_comparison(term) for term in both.split("&&")] for both in query.split("||") if both.strip()]
    return lambda facts: not either or any(all(term(facts) for term in both) for both in either)


def _comparison(term: str) -> Callable[[dict[str, Any]], bool]:
    found = _TERM.fullmatch(term)
    if found is None:
        raise JujuError(f'cannot parse the query at {term.strip()!r}: write KEY=="VALUE"', 2)
    key, sign, value = found.groups()
    return lambda facts: (facts.get(key) == value) == (sign == "==")
