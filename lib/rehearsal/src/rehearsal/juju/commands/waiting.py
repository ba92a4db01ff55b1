"""`juju wait-for`: wait until an application, a unit or a model meets a query.

Facts: juju/juju 3.6, cmd/juju/waitfor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rehearsal.juju.commands import query
from rehearsal.juju.commands.call import Call
from rehearsal.juju.commands.formats import as_yaml
from rehearsal.juju.commands.parsing import USAGE
from rehearsal.juju.commands.registry import Word, command, duration, flag, option
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.state import Application, Life, Model, Unit
from rehearsal.juju.model.status import application_status, charm_url

_DEFAULT = {
    "application": 'life=="alive" && status=="active"',
    "model": 'life=="alive" && status=="available"',
    "unit": 'life=="alive" && workload-status=="active"',
}
_TEN_MINUTES = 600.0


@command(
    "wait-for",
    usage="application|model|unit <name>",
    words=(Word("kind", "no entity specified: application, model or unit"), Word("name")),
    options=(
        option("--query", default=None, help="Query the goal state"),
        option("--timeout", type=duration, default=_TEN_MINUTES, help="How long to wait, before timing out"),
        flag("--summary", help="Output a summary of the query on exit"),
    ),
    locked=False,
)
def wait_for(call: Call) -> None:
    """Wait for an entity to reach a specified state."""
    arguments = call.arguments
    kind, name = arguments.kind, arguments.name
    if kind not in _DEFAULT:
        raise JujuError(f'"{kind}" cannot be waited for, only application, model or unit', USAGE)
    if not name:
        raise JujuError(f"{kind} name must be supplied when waiting for an {kind}", USAGE)
    holds = query.compiled(_DEFAULT[kind] if arguments.query is None else arguments.query)
    state = _Waiting(call, holds)
    with call.locked():
        state.reached()
        call.info(state.said)
    if not call.wait(state.reached, arguments.timeout):
        raise JujuError(f'timed out waiting for "{name}" to reach goal state')
    if arguments.said.get("summary", True):
        call.info(f'{kind.capitalize() if kind != "unit" else kind} "{name}" is running')
        call.out(as_yaml({"properties": state.properties}))


class _Waiting:
    """The entity that the command waits for, and its last known state."""

    def __init__(self, call: Call, holds: Any):
        self._call = call
        self._holds = holds
        self._seen = False
        self.said = ""
        self.properties: dict[str, Any] = {}

    def reached(self) -> bool:
        """Check the query again; raises JujuError if the entity has been removed meanwhile."""
        kind, name = self._call.arguments.kind, self._call.arguments.name
        scope = self._scope(kind, name)
        if scope is None:
            if self._seen:
                raise JujuError(f"{kind} {name} removed")
            self.said = f'{kind} "{name}" not found, waiting...'
            return False
        self._seen = True
        status = f' with "{scope["status"]}"' if kind == "application" else ""
        self.said = f'{kind} "{name}" found{status}, waiting...'
        self.properties = {key: value for key, value in scope.items() if not isinstance(value, Mapping)}
        return self._holds(scope)

    def _scope(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return the scope of a query, or None if the entity does not exist."""
        engine = self._call.engine
        if kind == "model":
            model = engine.models.get(name)
            return None if model is None else _model(model)
        model = self._call.model
        if kind == "application":
            application = model.applications.get(name)
            return None if application is None else _application(application)
        application = model.applications.get(name.partition("/")[0])
        units = {} if application is None else application.units
        found = next((unit for unit in units.values() if unit.name == name), None)
        return None if found is None or application is None else _unit(application, found)


def _model(model: Model) -> dict[str, Any]:
    units = {
        unit.name: _unit(application, unit)
        for application in model.applications.values()
        for unit in application.units.values()
    }
    return {
        "name": model.name,
        "life": str(model.life),
        "is-controller": False,
        "status": "available" if model.life is Life.ALIVE else "destroying",
        "applications": {name: _application(each) for name, each in model.applications.items()},
        "machines": {},
        "units": units,
    }


def _application(application: Application) -> dict[str, Any]:
    return {
        "name": application.name,
        "life": str(application.life),
        "exposed": application.exposed,
        "charm-url": charm_url(application),
        "subordinate": False,
        "status": application_status(application).current,
        "workload-version": application.workload_version,
        "units": {unit.name: _unit(application, unit) for unit in application.units.values()},
        "machines": {},
    }


def _unit(application: Application, unit: Unit) -> dict[str, Any]:
    return {
        "name": unit.name,
        "application": application.name,
        "charm-url": charm_url(application),
        "life": str(unit.life),
        "private-address": unit.address,
        "public-address": unit.address,
        "subordinate": False,
        "leader": application.leader == unit.name,
        "status": unit.workload.current,
        "workload-status": unit.workload.current,
        "workload-message": unit.workload.message,
        "agent-status": unit.agent.current,
        "machines": {},
    }
