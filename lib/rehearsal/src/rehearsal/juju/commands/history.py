"""`juju show-status-log`: the statuses that an entity has had.

Facts: juju/juju 3.6, cmd/juju/status/history.go and core/status/statushistory.go.
"""

from __future__ import annotations

import datetime

from rehearsal.juju.commands.call import Call
from rehearsal.juju.commands.formats import document
from rehearsal.juju.commands.parsing import USAGE
from rehearsal.juju.commands.registry import Word, command, flag, number, option, output
from rehearsal.juju.commands.tabular import table
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.state import Status, now
from rehearsal.juju.model.status import moment

_KINDS = ("application", "juju-unit", "model", "unit", "workload")
_ELSEWHERE = ("container", "filesystem", "juju-container", "juju-machine", "machine", "saas", "volume")
_LAST = 20
"""How many statuses Juju shows unless told otherwise."""


@command(
    "show-status-log",
    usage="<entity name>",
    words=(Word("name"),),
    options=(
        option("--type", help=f"Type of statuses to be displayed [{'|'.join(_KINDS)}]", default="unit"),
        option("-n", type=number, default=0, help="Returns the last N logs"),
        option("--days", type=number, default=0, help="Returns the logs for the past <days> days"),
        option("--from-date", help="Returns logs for any date after the passed one, as YYYY-MM-DD"),
        flag("--utc", help="Display time as UTC in RFC3339 format"),
        output("tabular", "json", "yaml"),
    ),
)
def show_status_log(call: Call) -> None:
    """Output past statuses for the specified entity."""
    arguments = call.arguments
    if arguments.name is None and arguments.type != "model":
        raise JujuError("entity name is missing.", USAGE)
    if sum(map(bool, (arguments.n, arguments.days, arguments.from_date))) > 1:
        raise JujuError(
            "backlog size, backlog date and backlog days back cannot be specified together", USAGE
        )
    found = sorted(
        (at, kind, current, message)
        for kind, status in _statuses(call)
        for at, current, message in status.past
        if at >= _begin(call)
    )
    if not arguments.days and not arguments.from_date:
        found = found[-(arguments.n or _LAST) :]
    if not found:
        raise JujuError("no status history available")
    utc = arguments.utc or call.environment.get("JUJU_STATUS_ISO_TIME", "").lower() in ("1", "t", "true")
    if arguments.format == "tabular":
        rows = [[moment(at, utc=utc), kind, current, message] for at, kind, current, message in found]
        call.out(table(["Time", "Type", "Status", "Message"], rows))
        return
    said = [
        {
            "status": current,
            **({"message": message} if message else {}),
            "since": at.isoformat(),
            "type": kind,
        }
        for at, kind, current, message in found
    ]
    call.out(document(said, arguments.format))


def _begin(call: Call) -> datetime.datetime:
    if call.arguments.days:
        return now() - datetime.timedelta(days=call.arguments.days)
    if not (said := call.arguments.from_date):
        return datetime.datetime.min.replace(tzinfo=datetime.UTC)
    try:
        return datetime.datetime.strptime(said, "%Y-%m-%d").replace(tzinfo=datetime.UTC)
    except ValueError:
        raise JujuError(f'parsing backlog date: parsing time "{said}": expected YYYY-MM-DD', USAGE) from None


def _statuses(call: Call) -> list[tuple[str, Status]]:
    kind, name = call.arguments.type, call.arguments.name
    match kind:
        case "unit":
            unit = call.unit(name)
            return [("juju-unit", unit.agent), ("workload", unit.workload)]
        case "juju-unit":
            return [(kind, call.unit(name).agent)]
        case "workload":
            return [(kind, call.unit(name).workload)]
        case "application":
            return [(kind, call.application(name).status)]
        case "model":
            return [(kind, Status("available", since=call.model.created))]
        case _ if kind in _ELSEWHERE:
            raise JujuError("no status history available")
        case _:
            raise JujuError(f'unexpected status type "{kind}"', USAGE)
