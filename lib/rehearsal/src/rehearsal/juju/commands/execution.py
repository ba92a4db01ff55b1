"""Running something on a unit: `juju exec`, and the `juju-exec` that a charm's own process calls."""

from __future__ import annotations

import re
import shlex

from rehearsal.juju.commands.call import Call
from rehearsal.juju.errors import JujuError
from rehearsal.juju.state import Task

_DISPATCH = re.compile(r"JUJU_DISPATCH_PATH=(?:hooks|actions)/(\S+)\s+\S*dispatch$")
WITHIN = 300.0


def juju_exec(call: Call, argv: list[str]) -> int:
    """Run `juju-exec UNIT COMMAND`: the dispatch of an event, the way charms' watchers ask for one."""
    words = [word for word in argv if word not in ("-u", "--no-context")]
    if len(words) < 2:
        raise JujuError("usage: juju-exec UNIT COMMAND", 2)
    unit, line = words[0], " ".join(words[1:])
    call.arguments.model = call.environment.get("REHEARSAL_MODEL")
    task = dispatch(call, unit, line)
    return 0 if task.status == "completed" else 1


def dispatch(call: Call, unit: str, line: str) -> Task:
    """Have a unit run an event and wait for its end; raises JujuError if the line asks for anything else."""
    event = _DISPATCH.search(line.strip())
    if event is None:
        raise JujuError(
            f"only the dispatch of an event can be run on a unit here, not {shlex.quote(line)}: "
            "there is no container behind it"
        )
    with call.engine.lock:
        task = call.engine.enqueue(call.model, call.unit(unit), "dispatch", event[1])
    wait(call, task, WITHIN)
    return task


def wait(call: Call, task: Task, seconds: float) -> bool:
    """Wait until a task has ended; return whether it has."""
    with call.engine.changed:
        return call.engine.changed.wait_for(
            lambda: task.status in ("completed", "failed") or call.engine.stopping, seconds
        )
