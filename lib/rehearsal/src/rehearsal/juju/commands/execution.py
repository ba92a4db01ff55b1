"""Run a command on a unit: `juju exec`, and `juju-exec`, which a charm's own process calls."""

from __future__ import annotations

import re
import shlex

from rehearsal.juju.commands import tasks
from rehearsal.juju.commands.call import Call
from rehearsal.juju.commands.parsing import USAGE
from rehearsal.juju.commands.registry import Word, command, flag, option, options, output
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.state import Task

_DISPATCH = re.compile(r"JUJU_DISPATCH_PATH=hooks/([\w-]+)\s+\S*dispatch")
_WAIT = 300.0
"""Default of `--wait`, in seconds."""


@command(
    "exec",
    usage="<commands>",
    words=(Word("words", "no commands specified", many=True),),
    options=(
        options("-u", "--unit", help="One or more unit ids"),
        options("-a", "--application", "--app", help="One or more application names"),
        option("--machine", help="Not on Kubernetes"),
        flag("--all", help="Not on Kubernetes"),
        flag("--operator", help="No difference here"),
        flag("--parallel", help="No difference here"),
        option("--execution-group", help="No difference here"),
        flag("--utc", help="Show times in UTC"),
        *tasks.WAITING,
        output("plain", "json", "yaml"),
    ),
    locked=False,
)
def execute(call: Call) -> int:
    """Run the commands on the remote targets specified.

    What can be run is the dispatch of an event, JUJU_DISPATCH_PATH=hooks/<event> ./dispatch, since no
    container is behind a unit.
    """
    if call.arguments.all or call.arguments.machine:
        raise JujuError("unable to target machines with a k8s controller")
    units = [name for said in call.arguments.unit for name in said.split(",") if name]
    applications = [name for said in call.arguments.application for name in said.split(",") if name]
    if not units and not applications:
        raise JujuError(
            "You must specify a target, either through --all, --machine, --application or --unit", USAGE
        )
    words = call.arguments.words
    event = _event(words[0] if len(words) == 1 else shlex.join(words))
    with call.locked():
        for name in applications:
            units += [unit.name for unit in call.application(name).units.values()]
        operation = tasks.Operation(call, "juju-exec")
        for name in units:
            operation.add(name, lambda unit: call.engine.enqueue(call.model, unit, "dispatch", event))
    return operation.report(call.arguments.wait or _WAIT)


def juju_exec(call: Call, argv: list[str]) -> int:
    """Run `juju-exec UNIT COMMAND`, with which charms' watchers dispatch an event.

    Args:
        call: the run of the command.
        argv: the words after the program's name.

    Returns:
        0 if the charm handled the event.
    """
    words = [word for word in argv if word not in ("-u", "--unit", "--no-context")]
    if len(words) < 2:
        raise JujuError("usage: juju-exec UNIT COMMAND", USAGE)
    event = _event(" ".join(words[1:]))
    with call.locked():
        model = call.model_named(call.environment.get("REHEARSAL_MODEL", ""))
        call.arguments.model = model.name
        task = call.engine.enqueue(model, call.unit(words[0]), "dispatch", event)
    ended = call.wait(lambda: tasks.over(task), _WAIT)
    return 0 if ended and task.status == "completed" else _failed(call, task)


def _failed(call: Call, task: Task) -> int:
    call.info(f"ERROR {task.name} on {task.unit}: {task.message or task.status}")
    return 1


def _event(line: str) -> str:
    """Return the event that a command line dispatches; raises JujuError if it does anything else."""
    found = _DISPATCH.fullmatch(line.strip())
    if found is None:
        raise JujuError(
            "only the dispatch of an event can be run on a unit of a rehearsal, "
            f"JUJU_DISPATCH_PATH=hooks/<event> ./dispatch, not {line.strip()!r}: no container is behind it"
        )
    return found[1]
