"""Actions, and the tasks they run as."""

from __future__ import annotations

import json
from typing import Any

import yaml

from rehearsal.juju.commands.call import FORMAT, Call, argument, command
from rehearsal.juju.commands.execution import WITHIN, dispatch, wait
from rehearsal.juju.commands.models import duration
from rehearsal.juju.errors import JujuError
from rehearsal.juju.state import Task
from rehearsal.juju.status import moment
from rehearsal.juju.tabular import table


@command(
    "run",
    locked=False,
    arguments=(
        argument("words", nargs="+"),
        argument("--wait", default=""),
        argument("--background", action="store_true"),
        argument("--params"),
        argument("--string-args", action="store_true"),
        FORMAT,
    ),
)
def run(call: Call) -> int:
    """Run an action on a specified unit."""
    units = [word for word in call.arguments.words if "/" in word and "=" not in word]
    action, *given = [word for word in call.arguments.words if word not in units] or [""]
    tasks: list[Task] = []
    with call.engine.lock:
        parameters = _parameters(call, given)
        for unit in map(call.unit, units):
            actions = call.application(unit.application).charm.actions
            if action not in actions:
                raise JujuError(f'action "{action}" not defined on unit "{unit.name}"')
            tasks.append(
                call.engine.enqueue(
                    call.model, unit, "action", action, _checked(action, actions[action], parameters)
                )
            )
    if not tasks:
        raise JujuError("no unit specified", 2)
    call.error(f"Running operation {tasks[0].id} with {len(tasks)} task{'s'[: len(tasks) != 1]}\n")
    for task in tasks:
        call.error(f"  - task {task.id} on unit-{task.unit.replace('/', '-')}\n")
    if call.arguments.background:
        return 0
    limit = duration(call.arguments.wait) if call.arguments.wait else 60.0
    if not all(wait(call, task, limit) for task in tasks):
        raise JujuError("timed out waiting for results")
    call.error("\n")
    _print(call, tasks)
    return 1 if any(task.status == "failed" for task in tasks) else 0


@command(
    "exec",
    locked=False,
    arguments=(
        argument("--unit", "-u", default=""),
        argument("--application", "-a", default=""),
        argument("--wait", default=""),
        FORMAT,
        argument("words", nargs="*"),
    ),
)
def execute(call: Call) -> int:
    """Run the commands on the remote targets specified."""
    with call.engine.lock:
        names = [name for name in call.arguments.unit.split(",") if name]
        for application in filter(None, call.arguments.application.split(",")):
            names += [unit.name for unit in call.application(application).units.values()]
    tasks = [dispatch(call, name, " ".join(call.arguments.words)) for name in names]
    _print(call, tasks)
    return 1 if any(task.status == "failed" for task in tasks) else 0


@command("actions", "list-actions", arguments=(argument("name"), FORMAT))
def actions(call: Call) -> None:
    """List actions defined for an application."""
    found = call.application(call.arguments.name).charm.actions
    if call.arguments.format == "json":
        call.out(json.dumps(found) + "\n")
        return
    call.out(table(["Action", "Description"], [[k, v.get("description", "")] for k, v in found.items()]))


@command("show-task", "show-operation", arguments=(argument("id", type=int), FORMAT), locked=False)
def show_task(call: Call) -> None:
    """Show results of a task by ID."""
    task = call.model.tasks.get(call.arguments.id)
    if task is None:
        raise JujuError(f'task "{call.arguments.id}" not found')
    wait(call, task, WITHIN)
    _print(call, [task])


def _parameters(call: Call, words: list[str]) -> dict[str, Any]:
    """Return the parameters: of a file, then `key.sub=value` words read as YAML."""
    found: dict[str, Any] = {}
    if call.arguments.params:
        found = yaml.safe_load(call.file(call.arguments.params).read_text()) or {}
    for word in words:
        key, sign, text = word.partition("=")
        if not sign:
            raise JujuError(f'argument "{word}" must be of the form key.key.key...=value')
        *above, last = key.split(".")
        place = found
        for step in above:
            place = place.setdefault(step, {})
        place[last] = text if call.arguments.string_args else yaml.safe_load(text)
    return found


def _checked(name: str, spec: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    known = spec.get("params") or {}
    unknown = set(given) - set(known)
    if unknown and not spec.get("additionalProperties", False):
        raise JujuError(
            f'validation failed: (root) : additional property "{sorted(unknown)[0]}" '
            f"is not allowed, given {given}"
        )
    for key in spec.get("required") or []:
        if key not in given:
            raise JujuError(f'validation failed: (root) : "{key}" property is missing and required')
    defaults = {key: p["default"] for key, p in known.items() if "default" in p}
    return defaults | given


def _print(call: Call, tasks: list[Task]) -> None:
    """Print results as Juju does: a plain text for people, all of it as JSON or YAML."""
    said = {task.unit: _document(task) for task in tasks}
    if call.arguments.format == "json":
        call.out(json.dumps(said) + "\n")
    elif call.arguments.format == "yaml":
        call.out(yaml.safe_dump(said, sort_keys=False))
    else:
        for task in tasks:
            for line in task.log:
                call.error(f"{line}\n")
            if task.status == "failed":
                call.error(f"Action id {task.id} failed: {task.message}\n")
            if task.results:
                call.out(yaml.safe_dump(task.results, sort_keys=False))


def _document(task: Task) -> dict[str, Any]:
    timing = {"enqueued": moment(task.enqueued)}
    if task.started:
        timing["started"] = moment(task.started)
    if task.completed:
        timing["completed"] = moment(task.completed)
    said: dict[str, Any] = {"id": str(task.id), "status": task.status, "unit": task.unit}
    said["results"] = {**task.results, "return-code": int(task.status == "failed")}
    if task.message:
        said["message"] = task.message
    if task.log:
        said["log"] = [f"{moment(task.enqueued)} {line}" for line in task.log]
    return said | {"timing": timing}
