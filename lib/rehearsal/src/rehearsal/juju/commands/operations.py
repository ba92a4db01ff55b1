"""`juju operations` and `juju cancel-task`: what has been run, and what need not be run any more.

Facts: juju/juju 3.6, cmd/juju/action/listoperations.go and cancel.go.
"""

from __future__ import annotations

from rehearsal.juju.commands import tasks
from rehearsal.juju.commands.call import Call
from rehearsal.juju.commands.formats import document, stamp
from rehearsal.juju.commands.parsing import USAGE
from rehearsal.juju.commands.registry import Word, command, flag, number, option, output
from rehearsal.juju.commands.tabular import table
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.state import Task, now

_STATES = ("pending", "running", "completed", "failed", "cancelled", "aborting", "aborted", "error")
_LISTED = 50
"""How many operations Juju lists without `--limit`."""
_TASKS = 5
"""How many tasks of an operation the table names."""


@command(
    "operations",
    "list-operations",
    options=(
        flag("--utc", help="Show times in UTC"),
        option("--applications", "--apps", help="Comma separated list of applications to filter on"),
        option("--units", help="Comma separated list of units to filter on"),
        option("--machines", help="Not on Kubernetes"),
        option("--actions", help="Comma separated list of actions names to filter on"),
        option("--status", help="Comma separated list of operation status values to filter on"),
        option("--limit", type=number, default=0, help="The maximum number of operations to return"),
        option("--offset", type=number, default=0, help="Return operations from offset onwards"),
        output("plain", "json", "yaml"),
    ),
)
def operations(call: Call) -> None:
    """Lists pending, running, or completed operations for specified application, units, machines, or all."""
    arguments = call.arguments
    found = sorted(_by_operation(call).items())
    limit, start = arguments.limit or _LISTED, arguments.offset
    shown, truncated = dict(found[start : start + limit]), len(found) > start + limit
    if not shown:
        call.info("no matching operations")
        return
    if arguments.format != "plain":
        said = {str(id): tasks.operation(each, utc=arguments.utc) for id, each in shown.items()}
        call.out(document(said, arguments.format))
        return
    if start or truncated:
        call.out(f"Displaying operation results {start + 1} to {start + len(shown)}.\n")
    if truncated:
        call.out(
            f"Run the command again with --offset={start + limit} --limit={limit} to see the next batch.\n\n"
        )
    rows = [_row(id, each, utc=arguments.utc) for id, each in shown.items()]
    call.out(table(["ID", "Status", "Started", "Finished", "Task IDs", "Summary"], rows, right={0}))


def _by_operation(call: Call) -> dict[int, list[Task]]:
    """Return the tasks of the operations that the options select; without names, those of actions."""
    arguments = call.arguments
    words = {
        name: {word.strip() for word in getattr(arguments, name).split(",") if word.strip()}
        for name in ("applications", "units", "actions", "status")
    }
    if wrong := sorted(words["status"] - set(_STATES)):
        raise JujuError(
            "\n".join(f'"{word}" is not a valid task status, want one of {_listed()}' for word in wrong),
            USAGE,
        )
    found: dict[int, list[Task]] = {}
    for task in call.model.tasks.values():
        application = task.unit.partition("/")[0]
        receivers = words["applications"] | words["units"]
        kind = task.name if task.kind == "action" else "juju-exec"
        if (
            (kind in words["actions"] or (not words["actions"] and task.kind == "action"))
            and (not receivers or {application, task.unit} & receivers)
            and task.operation
        ):
            found.setdefault(task.operation, []).append(task)
    if words["status"]:
        found = {id: each for id, each in found.items() if tasks.state(each) in words["status"]}
    return found


def _listed() -> str:
    return f"[{' '.join(_STATES)}]"


def _row(id: int, each: list[Task], *, utc: bool) -> list[object]:
    said = tasks.operation(each, utc=utc)
    started = [task.started for task in each if task.started]
    ended = [task.completed for task in each if task.completed]
    names = ",".join(str(task.id) for task in each[:_TASKS]) + "..." * (len(each) > _TASKS)
    return [
        id,
        said["status"],
        stamp(min(started), utc=utc) if started else "",
        stamp(max(ended), utc=utc) if len(ended) == len(each) else "",
        names,
        said["summary"],
    ]


@command(
    "cancel-task",
    usage="(<task-id>|<task-id-prefix>) [...]",
    words=(Word("ids", "no actions specified", many=True),),
    options=(output("yaml", "json"),),
)
def cancel_task(call: Call) -> None:
    """Cancel pending or running tasks.

    A task that runs already is aborted at its end, as a charm in a hook is not told.
    """
    found: list[Task] = []
    for said in call.arguments.ids:
        matching = [task for task in call.model.tasks.values() if str(task.id).startswith(said)]
        if not matching:
            raise JujuError(f"no actions found matching prefix {said}, no actions have been canceled")
        found += matching
    cancelled, refused = {}, []
    for task in found:
        if tasks.over(task):
            refused.append(f"action: action-{task.id}, error: action already {task.status}")
            continue
        if task.status == "pending":
            unit = call.unit(task.unit)
            unit.tasks = type(unit.tasks)(each for each in unit.tasks if each.id != task.id)
            task.status, task.completed = "cancelled", now()
            task.message = "action cancelled via the API"
        else:
            task.status = "aborting"
        cancelled[str(task.id)] = tasks.described(task)
    if cancelled:
        call.out(document(cancelled, call.arguments.format))
    if refused:
        call.info("WARNING The following actions could not be canceled:\n" + "\n".join(refused))
    call.engine.poke()
