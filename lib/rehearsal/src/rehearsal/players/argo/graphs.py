"""Advance the tasks of a graph: find those that are due, and the phase of the graph.

Facts: argo-workflows v3.7.14, workflow/controller: dag.go (executeDAGTask, assessDAGPhase), exit_handler.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rehearsal.players.argo.expressions import UnresolvedError, dependencies, depends
from rehearsal.players.argo.nodes import BAD, COMPLETED, ENDED, Nodes, referable
from rehearsal.players.argo.notation import Document

Call = Callable[[str, Document, Mapping[str, str], str], Document]
"""Carries out a task: its node's name, the task, values for its references, the graph's node's name."""

_RESULTS = {"Errored": "Error", "AnySucceeded": "Succeeded", "AllFailed": "Failed"}
"""Phases of the results that `depends` calls by another name."""


class Graph:
    """The tasks of a graph; each is visited once.

    Args:
        name: of the graph's node.
        template: the graph's, with its inputs replaced.
        values: values for its tasks' references, besides other tasks' outputs.
        nodes: of the Workflow.
        call: carries out a task.
    """

    def __init__(self, name: str, template: Document, values: Mapping[str, str], nodes: Nodes, call: Call):
        self._name = name
        self._tasks: dict[str, Document] = {each["name"]: each for each in template["dag"]["tasks"]}
        self._values = values
        self._nodes = nodes
        self._call = call
        self._ended: dict[str, str] = {}
        """Phases of ended tasks whose exit hooks have ended, too."""
        self._seen: set[str] = set()

    def advance(self) -> str:
        """Carry out what is due, and return the graph's phase."""
        for task in self._tasks:
            self._visit(task)
        if len(self._ended) < len(self._tasks):
            return "Running"
        needed = {each for task in self._tasks for each in self._needed(task)}
        phases = [self._branch(task) for task in self._tasks if task not in needed]
        return next((phase for phase in phases if phase in BAD), "Succeeded")

    def scope(self) -> dict[str, str]:
        """Return the outputs of all tasks."""
        return {key: value for task in self._tasks for key, value in self._outputs(task).items()}

    def _visit(self, name: str) -> None:
        """Visit a task after the tasks it depends on."""
        if name in self._seen:
            return
        self._seen.add(name)
        task, node_name = self._tasks[name], f"{self._name}.{name}"
        needed = self._needed(name)
        for each in needed:
            self._visit(each)
        if any(each not in self._ended for each in needed):
            return
        reason = ("", "") if self._nodes.get(node_name) else self._reason_against(task)
        if reason[0]:
            node = self._nodes.ensure(node_name, "Skipped", task.get("template", ""), self._name)
            self._nodes.mark(node, *reason)
        else:
            outputs = {key: value for each in needed for key, value in self._outputs(each).items()}
            node = self._call(node_name, task, {**self._values, **outputs}, self._name)
        if node["phase"] in ENDED and self._hook_ended(node_name, task, node):
            self._ended[name] = node["phase"]

    def _needed(self, name: str) -> list[str]:
        """Return the existing tasks that a task depends on."""
        return [each for each in dependencies(self._tasks[name])[1] if each in self._tasks]

    def _reason_against(self, task: Document) -> tuple[str, str]:
        """Return the phase and the reason of a task that ends without starting; empty if it may start."""
        logic, _ = dependencies(task)
        try:
            if not logic or depends(logic, self._came_to):
                return "", ""
        except UnresolvedError as error:
            return "Error", str(error)
        return "Omitted", "omitted: depends condition not met"

    def _hook_ended(self, name: str, task: Document, node: Document) -> bool:
        """Carry out a task's exit hook, and return whether it has ended."""
        hook = (task.get("hooks") or {}).get("exit")
        if hook is None or node["phase"] not in COMPLETED:
            return True
        scope = {**self._values, **referable(f"tasks.{task['name']}", node)}
        return self._call(f"{name}.onExit", hook, scope, self._name)["phase"] in ENDED

    def _came_to(self, task: str, result: str) -> bool:
        if task not in self._ended:
            raise UnresolvedError(f"unknown task {task}")
        return self._ended[task] == _RESULTS.get(result, result)

    def _branch(self, name: str) -> str:
        """Return the phase of a task; an omitted task has the phase of its dependencies."""
        phase = self._ended[name]
        if phase in COMPLETED:
            return phase
        before = [self._branch(each) for each in self._needed(name)]
        return next((each for each in before if each in BAD), "Succeeded")

    def _outputs(self, task: str) -> dict[str, str]:
        node = self._nodes.get(f"{self._name}.{task}")
        return {} if node is None else referable(f"tasks.{task}", node)
