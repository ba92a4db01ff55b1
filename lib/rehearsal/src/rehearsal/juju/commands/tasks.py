"""Operations and their tasks: report them while they run, and afterwards.

Facts: juju/juju 3.6, cmd/juju/action/common.go, showtask.go and showoperation.go.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from typing import Any

from rehearsal.juju.commands.call import Call
from rehearsal.juju.commands.formats import as_yaml, clock, document
from rehearsal.juju.commands.parsing import USAGE
from rehearsal.juju.commands.registry import Option, Word, command, duration, flag, option, output
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.state import Task, Unit, now

WAITING: tuple[Option, ...] = (
    option("--wait", type=duration, default=None, help="Maximum wait time for a task to complete"),
    flag("--background", help="Run the task in the background"),
)
"""The options of commands that run tasks."""

_AFTERWARDS: tuple[Option, ...] = (
    option("--wait", type=duration, default=None, help="Maximum wait time for a task to complete"),
    flag("--watch", help="Wait indefinitely for results"),
    flag("--utc", help="Show times in UTC"),
)
_FIRST = ("running", "aborting", "pending", "failed", "cancelled", "aborted", "completed")
"""The states of tasks, in the order in which an operation takes one on."""
_NOT_SHOWN = ("return-code", "stdout", "stderr")


def over(task: Task) -> bool:
    """Return whether a task has ended."""
    return task.status in ("completed", "failed", "cancelled", "aborted")


def return_code(task: Task) -> int:
    """Return a task's exit status; it is 0 for an action that reports its own failure."""
    ended = re.fullmatch(r"exit status (\d+)", task.message)
    return int(ended[1]) if ended else 0


def _tag(unit: str) -> str:
    return f"unit-{unit.replace('/', '-')}"


class Operation:
    """The tasks that one command starts on one or more units.

    Hold the engine's lock to make it and to add tasks.

    Args:
        call: the command.
        name: the action's name, or `juju-exec`, which prints less.
    """

    def __init__(self, call: Call, name: str):
        self._call = call
        self._utc = bool(getattr(call.arguments, "utc", False))
        self._is_action = name != "juju-exec"
        self._errors: list[str] = []
        self._tasks: list[Task] = []
        model = call.model
        self._id = model.next_task  # operations and tasks are numbered together
        model.next_task += 1

    def add(self, unit: str, start: Callable[[Unit], Task]) -> None:
        """Start a task on a unit; keep a refusal for `report`."""
        try:
            task = start(self._call.unit(unit))
        except JujuError as error:
            self._errors.append(str(error))
            return
        task.operation = self._id
        self._tasks.append(task)

    def report(self, seconds: float) -> int:
        """Print the tasks, wait for their end, and print the results.

        Args:
            seconds: the longest wait.

        Returns:
            the exit status.

        Raises:
            JujuError: if a task failed with a return code, or did not end in time.
        """
        call = self._call
        if not self._tasks:
            self._refused("failed to schedule any tasks")
            return 0
        if call.arguments.background:
            self._scheduled()
            return 0
        say = call.info if self._is_action else lambda _: None
        count = len(self._tasks)
        say(f"Running operation {self._id} with {count} task{'s'[: count != 1]}")
        for task in self._tasks:
            say(f"  - task {task.id} on {_tag(task.unit)}")
        say("")
        if self._errors:
            call.info("Some actions could not be scheduled:\n" + "\n".join(self._errors) + "\n")
        self._await(seconds, say)
        self._print()
        return 0

    def _refused(self, why: str) -> None:
        self._call.info(f"Operation {self._id} {why}:\n" + "\n".join(self._errors))

    def _scheduled(self) -> None:
        call, count = self._call, len(self._tasks)
        what = f"task {self._tasks[0].id}" if count == 1 else f"{count} tasks"
        call.info(f"Scheduled operation {self._id} with {what}")
        if count > 1:
            call.out(as_yaml({task.unit: {"id": str(task.id)} for task in self._tasks}))
        call.info(f"Check operation status with 'juju show-operation {self._id}'")
        call.info(f"Check task status with 'juju show-task {self._tasks[0].id if count == 1 else '<id>'}'")

    def _await(self, seconds: float, say: Callable[[str], object]) -> None:
        end = now().timestamp() + seconds
        for task in self._tasks:
            say(f"Waiting for task {task.id}...\n")
            told = 0
            while True:
                left = max(0.0, end - now().timestamp())
                ended = self._call.wait(lambda task=task, told=told: over(task) or len(task.log) > told, left)
                if not ended:
                    late = ", ".join(f"unit {each.unit}" for each in self._tasks if not over(each))
                    raise JujuError(f"timed out waiting for results from: {late}")
                is_over, lines = over(task), task.log[told:]
                told += len(lines)
                if len(self._tasks) == 1:
                    for at, line in lines:
                        self._call.info(f"{self._at(at)} {line}")
                if is_over:
                    break

    def _at(self, at: datetime.datetime) -> str:
        """Return the time of a line of progress."""
        return at.astimezone(datetime.UTC if self._utc else None).strftime("%H:%M:%S")

    def _print(self) -> None:
        said = {task.unit: described(task, utc=self._utc) for task in self._tasks}
        form = self._call.arguments.format
        if form != "plain":
            self._call.out(document(said, form))
        elif self._is_action:
            self._call.out(plain(said))
        failed = [
            f' - id "{task.id}" with return code {code}'
            for task in self._tasks
            if (code := return_code(task))
        ]
        if failed:
            plural = "s"[: len(failed) != 1]
            listed = "\n".join(failed)
            raise JujuError(
                f"the following task{plural} failed:\n{listed}\n\n"
                f"use 'juju show-task' to inspect the failure{plural}\n"
            )


def described(task: Task, *, utc: bool = False) -> dict[str, Any]:
    """Return a task in Juju's format."""
    said: dict[str, Any] = {"id": str(task.id), "unit": task.unit, "status": task.status}
    if task.message:
        said["message"] = task.message
    if over(task):
        said["results"] = {**task.results, "return-code": return_code(task)}
    if task.log:
        said["log"] = [f"{clock(at, utc=utc)} {line}" for at, line in task.log]
    times = {"enqueued": task.enqueued, "started": task.started, "completed": task.completed}
    said["timing"] = {name: clock(at, utc=utc) for name, at in times.items() if at is not None}
    return said


def plain(said: dict[str, dict[str, Any]]) -> str:
    """Return one or more tasks by unit as text for people."""
    shown = {unit: _shown(task) for unit, task in said.items()}
    if len(shown) > 1:
        return as_yaml(
            {
                unit: {
                    "id": task["id"],
                    "output": shown[unit],
                    "status": task["status"],
                    **({"message": task["message"]} if task.get("message") else {}),
                }
                for unit, task in said.items()
            }
        )
    text = ""
    for unit, task in said.items():
        if task["status"] == "failed":
            text += f"Action id {task['id']} failed: {task.get('message', '')}\n"
        text += f"{shown[unit]}\n"
        for stream in ("stdout", "stderr"):
            if printed := str(task.get("results", {}).get(stream, "")).strip("\n"):
                text += f"{printed}\n"
    return text


def _shown(task: dict[str, Any]) -> str:
    if "results" not in task:
        return f"Task {task['id']} {task['status']}\n"
    results = {key: value for key, value in task["results"].items() if key not in _NOT_SHOWN}
    return as_yaml(results) if results else ""


@command(
    "show-task",
    usage="<task ID>",
    words=(Word("id", "no task ID specified"),),
    options=(*_AFTERWARDS, output("plain", "json", "yaml")),
    locked=False,
)
def show_task(call: Call) -> None:
    """Show results of a task by ID."""
    number = _number(call, "task")
    with call.locked():
        tasks = call.model.tasks
    if number not in tasks:
        raise JujuError(f"task {number} not found")
    _wait(call, lambda: over(tasks[number]))
    said, form = described(tasks[number], utc=call.arguments.utc), call.arguments.format
    call.out(plain({said["unit"]: said}) if form == "plain" else document(said, form))


@command(
    "show-operation",
    usage="<operation-id>",
    words=(Word("id", "no operation ID specified"),),
    options=(*_AFTERWARDS, output("yaml", "json")),
    locked=False,
)
def show_operation(call: Call) -> None:
    """Show results of an operation."""
    number = _number(call, "operation")
    with call.locked():
        tasks = [task for task in call.model.tasks.values() if task.operation == number]
    if not tasks:
        raise JujuError(f"operation {number} not found")
    _wait(call, lambda: all(map(over, tasks)))
    call.out(document(operation(tasks, utc=call.arguments.utc), call.arguments.format))


def state(tasks: list[Task]) -> str:
    """Return the status of an operation with these tasks."""
    states = [task.status for task in tasks]
    return next(each for each in _FIRST if each in states)


def operation(tasks: list[Task], *, utc: bool) -> dict[str, Any]:
    """Return an operation, of one or more tasks, in Juju's format."""
    first = tasks[0]
    shown = {}
    for task in tasks:
        said = described(task, utc=utc)
        shown[said.pop("id")] = {"host": said.pop("unit"), **said}
    return {
        "summary": f"{first.name} run on {','.join(_tag(task.unit) for task in tasks)}",
        "status": state(tasks),
        "action": {"name": first.name, "parameters": first.parameters},
        "timing": described(first, utc=utc)["timing"],
        "tasks": shown,
    }


def _number(call: Call, what: str) -> int:
    if not call.arguments.id.isdigit():
        raise JujuError(f'{what} ID "{call.arguments.id}" not valid', USAGE)
    return int(call.arguments.id)


def _wait(call: Call, ended: Callable[[], bool]) -> None:
    """Wait as long as --watch or --wait says; the tasks may still run afterwards."""
    if call.arguments.watch and call.arguments.wait is not None:
        raise JujuError("specify either --watch or --wait but not both", USAGE)
    if call.arguments.watch or call.arguments.wait is not None:
        call.wait(ended, None if call.arguments.watch else call.arguments.wait)
