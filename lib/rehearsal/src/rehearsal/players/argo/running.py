"""Advance a Workflow: carry out the steps that are due, make their pods, and set the Workflow's status.

Facts: argo-workflows v3.7.14, workflow/controller: operator.go (a node for each step, retries, results of
errors), dag.go and steps.go. Supported: graphs, lists of steps, containers and scripts, with conditions,
loops, retries and exit hooks; any other template ends in an error that names it. Not played: deadlines,
pauses between retries, limits of parallelism, artifacts, claims that a Workflow makes, and shutting down.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any

from rehearsal.players.argo import driving
from rehearsal.players.argo.expressions import UnresolvedError, holds, resolved, substituted
from rehearsal.players.argo.graphs import Graph
from rehearsal.players.argo.nodes import (
    BAD,
    COMPLETED,
    ENDED,
    Nodes,
    parameters,
    referable,
    text,
    with_outputs,
)
from rehearsal.players.argo.notation import Document
from rehearsal.players.argo.pods import NODE_ID, PREFIX, Argo, pod

_UNPLAYED = ("containerSet", "resource", "suspend", "data", "http", "plugin")
_OF_WORKFLOW = {"Skipped": "Succeeded", "Omitted": "Succeeded"}


class StepError(Exception):
    """A step cannot be carried out; it ends as `Error`."""


class TryAgainError(Exception):
    """A pod cannot be made now; the step waits."""


Make = Callable[[Document], Document]
"""Makes a pod and returns it; raises StepError or TryAgainError."""


class Run:
    """A Workflow in progress; create one for each look at the Workflow.

    Args:
        argo: the controller.
        workflow: the current Workflow; it is not changed.
        pods: the Workflow's pods.
        make: makes a pod.
        now: returns the time in Kubernetes' format.
    """

    def __init__(
        self, argo: Argo, workflow: Document, pods: list[Document], make: Make, now: Callable[[], str]
    ):
        self._argo = argo
        self._live = workflow
        self._workflow = argo.with_defaults(copy.deepcopy(workflow))
        self._name = workflow["metadata"]["name"]
        self._pods = {each["metadata"].get("annotations", {}).get(NODE_ID): each for each in pods}
        self._make = make
        self._now = now
        status = workflow.get("status") or {}
        self._nodes = Nodes(self._name, copy.deepcopy(status.get("nodes") or {}), now)
        self._templates = {each["name"]: each for each in self._workflow["spec"].get("templates") or []}
        self.waits = False
        """Whether a step waits for something that cannot be watched."""

    def advance(self) -> Document:
        """Carry out the steps that are due, and return the Workflow with its new status."""
        spec = self._workflow["spec"]
        message = ""
        try:
            root = self._execute(self._name, {"template": spec.get("entrypoint"), **self._reference(spec)})
            phase, message = root["phase"], root.get("message", "")
            if phase in ENDED and spec.get("onExit"):
                end = self._execute(f"{self._name}.onExit", {"template": spec["onExit"]})
                if end["phase"] not in ENDED:
                    phase = "Running"
                elif end["phase"] in BAD:
                    phase, message = end["phase"], end.get("message", "")
        except StepError as error:
            phase, message = "Error", f"error in entry template execution: {error}"
        return self._with_status(_OF_WORKFLOW.get(phase, phase), message)

    def _reference(self, spec: Document) -> Document:
        return {"templateRef": spec["workflowTemplateRef"]} if "workflowTemplateRef" in spec else {}

    def _with_status(self, phase: str, message: str) -> Document:
        result = copy.deepcopy(self._live)
        status = result.setdefault("status", {})
        status.setdefault("startedAt", self._now())
        status |= {"phase": phase, "nodes": self._nodes.documents, "progress": self._nodes.progress()}
        labels = result["metadata"].setdefault("labels", {})
        labels[f"{PREFIX}phase"] = phase
        if message:
            status["message"] = message
        if phase in COMPLETED:
            status.setdefault("finishedAt", self._now())
            labels[f"{PREFIX}completed"] = "true"
        return result

    # One step

    def _execute(self, name: str, call: Document, boundary: str = "") -> Document:
        """Carry out a template as far as possible now; return its node.

        Args:
            name: of the node.
            call: `template` and its `arguments`, with their references replaced.
            boundary: the name of its parent node.

        Raises:
            StepError: if it can never be carried out.
        """
        node = self._nodes.get(name)
        if node is not None and node["phase"] in ENDED:
            return node
        template = self._template(call)
        try:
            values = self._inputs(template, call.get("arguments") or {})
            processed = substituted(template, values)
            if "retryStrategy" in processed:
                return self._retry(name, processed, values, boundary)
            return self._once(name, processed, values, boundary)
        except UnresolvedError as error:
            self._never(name, template["name"], boundary, "Error", str(error))
            raise StepError(str(error)) from None

    def _template(self, call: Document) -> Document:
        if "templateRef" in call:
            raise StepError("a rehearsal does not play templates of WorkflowTemplates")
        if call["template"] not in self._templates:
            raise StepError(f"template {call['template']} undefined")
        return self._templates[call["template"]]

    def _inputs(self, template: Document, arguments: Document) -> dict[str, str]:
        """Return the values that a template may refer to."""
        given = {each["name"]: each.get("value", each.get("default")) for each in parameters(arguments)}
        values = self._global()
        for parameter in parameters(template.get("inputs") or {}):
            name = parameter["name"]
            value = given.get(name, parameter.get("value", parameter.get("default")))
            if value is None:
                raise UnresolvedError(f"inputs.parameters.{name} was not supplied")
            values[f"inputs.parameters.{name}"] = text(value)
        for output in parameters(template.get("outputs") or {}):
            if path := (output.get("valueFrom") or {}).get("path"):
                values[f"outputs.parameters.{output['name']}.path"] = path
        return values

    def _global(self) -> dict[str, str]:
        metadata = self._workflow["metadata"]
        values = {f"workflow.{key}": metadata.get(key, "") for key in ("name", "namespace", "uid")}
        values["workflow.creationTimestamp"] = metadata.get("creationTimestamp") or ""
        values["workflow.serviceAccountName"] = self._workflow["spec"].get("serviceAccountName", "")
        for each in parameters(self._workflow["spec"].get("arguments") or {}):
            values[f"workflow.parameters.{each['name']}"] = text(each.get("value", ""))
        return values

    def _retry(self, name: str, template: Document, values: dict[str, str], boundary: str) -> Document:
        """Carry out a template's attempts; the last one decides."""
        node = self._nodes.ensure(name, "Retry", template["name"], boundary, "Running")
        strategy = template["retryStrategy"]
        limit, policy = strategy.get("limit"), strategy.get("retryPolicy", "OnFailure")
        once = {key: value for key, value in template.items() if key != "retryStrategy"}
        attempt = 0
        while self._nodes.get(f"{name}({attempt + 1})"):
            attempt += 1
        while True:
            counted = {**values, "retries": str(attempt)}
            try:
                last = self._once(f"{name}({attempt})", substituted(once, counted), counted, name)
            except StepError as error:
                last = self._nodes.ensure(f"{name}({attempt})", "Skipped", template["name"], name)
                if policy not in ("Always", "OnError"):
                    self._nodes.mark(node, "Error", str(error))
                    raise
            if last["phase"] not in ENDED:
                return node
            again = last["phase"] in BAD and (policy != "OnError" or last["phase"] == "Error")
            if not again or (limit is not None and attempt >= int(limit)):
                more = "No more retries left" if last["phase"] in BAD else ""
                if "outputs" in last:
                    node["outputs"] = last["outputs"]
                return self._nodes.mark(node, last["phase"], more)
            attempt += 1

    def _once(self, name: str, template: Document, values: dict[str, str], boundary: str) -> Document:
        for kind in _UNPLAYED:
            if kind in template:
                return self._fail(name, template, boundary, f"a rehearsal does not play `{kind}` templates")
        if "dag" in template:
            return self._graph(name, template, values, boundary)
        if "steps" in template:
            return self._steps(name, template, values, boundary)
        if "container" in template or "script" in template:
            return self._pod(name, template, values, boundary)
        return self._fail(name, template, boundary, f"Template '{template['name']}' missing specification")

    def _fail(self, name: str, template: Document, boundary: str, message: str) -> Document:
        self._never(name, template["name"], boundary, "Error", message)
        raise StepError(message)

    def _never(self, name: str, template: str, boundary: str, phase: str, message: str) -> Document:
        """Mark a step that is not carried out, and return its node."""
        return self._nodes.mark(self._nodes.ensure(name, "Skipped", template, boundary), phase, message)

    def _pod(self, name: str, template: Document, values: dict[str, str], boundary: str) -> Document:
        """Update a step's node from its pod, or make the pod."""
        node = self._nodes.ensure(name, "Pod", template["name"], boundary, "Pending")
        found = self._pods.get(node["id"])
        if found is None and node["phase"] == "Running":
            return self._nodes.mark(node, "Error", "pod deleted")
        if found is None:
            try:
                found = self._make(self._owned(pod(self._argo, self._workflow, template, name)))
            except TryAgainError as error:
                self.waits = True
                return self._nodes.mark(node, "Pending", str(error))
            except StepError as error:
                self._nodes.mark(node, "Error", str(error))
                raise
        status = found.get("status") or {}
        phase = status.get("phase", "Pending")
        if phase == "Succeeded":
            given = {key.removeprefix("inputs.parameters."): value for key, value in values.items()}
            with_outputs(node, driving.outputs(template, given))
        return self._nodes.mark(node, phase, _why(status) if phase == "Failed" else "")

    def _owned(self, made: Document) -> Document:
        """Return a pod owned by its Workflow, if the Workflow exists in the cluster."""
        if "uid" not in self._live["metadata"]:
            return made
        owner = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "name": self._name,
            "uid": self._live["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
        made["metadata"]["ownerReferences"] = [owner]
        return made

    # Many steps

    def _graph(self, name: str, template: Document, values: dict[str, str], boundary: str) -> Document:
        node = self._nodes.ensure(name, "DAG", template["name"], boundary, "Running")
        graph = Graph(name, template, values, self._nodes, self._call)
        phase = graph.advance()
        if phase in ENDED:
            with_outputs(node, _handed_on(template, {**values, **graph.scope()}))
        return self._nodes.mark(node, phase)

    def _steps(self, name: str, template: Document, values: dict[str, str], boundary: str) -> Document:
        """Carry out lists of steps, one list after another."""
        node = self._nodes.ensure(name, "Steps", template["name"], boundary, "Running")
        scope = dict(values)
        for number, group in enumerate(template["steps"]):
            steps = group if isinstance(group, list) else group["steps"]
            ended = [self._call(f"{name}[{number}].{step['name']}", step, scope, name) for step in steps]
            bad = [each["phase"] for each in ended if each["phase"] in BAD]
            if any(each["phase"] not in ENDED for each in ended):
                return self._nodes.mark(node, "Running")
            if bad:
                return self._nodes.mark(node, bad[0])
            for step, each in zip(steps, ended, strict=True):
                scope |= referable(f"steps.{step['name']}", each)
        with_outputs(node, _handed_on(template, scope))
        return self._nodes.mark(node, "Succeeded")

    def _call(self, name: str, task: Document, scope: Mapping[str, str], boundary: str) -> Document:
        """Carry out a task or a step, once or for each of its items; return its node, whatever the result.

        Args:
            name: of the node.
            task: a task of a graph, or a step.
            scope: values for its references.
            boundary: the name of the graph's node.
        """
        try:
            items = _items(resolved({key: task[key] for key in _LOOPS if key in task}, scope))
        except ValueError as error:
            return self._never(name, task.get("template", ""), boundary, "Error", str(error))
        if items is None:
            return self._one(name, task, scope, boundary)
        if not items:
            return self._never(name, task.get("template", ""), boundary, "Skipped", "Skipped, empty params")
        group = self._nodes.ensure(name, "TaskGroup", task.get("template", ""), boundary, "Running")
        ended = []
        for number, item in enumerate(items):
            own = {**scope, **_item_values(item)}
            ended.append(self._one(f"{name}({number}:{text(item)})", task, own, name)["phase"])
        if any(phase not in ENDED for phase in ended):
            return group
        return self._nodes.mark(group, next((phase for phase in ended if phase in BAD), "Succeeded"))

    def _one(self, name: str, task: Document, scope: Mapping[str, str], boundary: str) -> Document:
        found, template = self._nodes.get(name), task.get("template", "")
        if found is not None and found["phase"] in ENDED:
            return found
        try:
            if found is None and "when" in task:
                condition = resolved(task["when"], scope)
                if not holds(condition):
                    message = f"when '{condition}' evaluated false"
                    return self._never(name, template, boundary, "Skipped", message)
            call = {**task, "arguments": resolved(task.get("arguments") or {}, scope)}
            return self._execute(name, call, boundary)
        except (StepError, UnresolvedError) as error:
            return self._never(name, template, boundary, "Error", f"task '{name}' errored: {error}")


_LOOPS = ("withItems", "withParam", "withSequence")


def _items(loops: Document) -> list[Any] | None:
    """Return the items of a loop; None if the task is no loop."""
    if "withItems" in loops:
        return loops["withItems"]
    if "withParam" in loops:
        return json.loads(loops["withParam"])
    if "withSequence" not in loops:
        return None
    sequence = loops["withSequence"]
    start = int(sequence.get("start", 0))
    last = int(sequence["end"]) if "end" in sequence else start + int(sequence["count"]) - 1
    return [str(number) for number in range(start, last + 1)]


def _item_values(item: Any) -> dict[str, str]:
    fields = {f"item.{key}": text(value) for key, value in item.items()} if isinstance(item, dict) else {}
    return {"item": text(item), **fields}


def _handed_on(template: Document, scope: Mapping[str, str]) -> dict[str, str]:
    """Return the outputs that a template takes from its steps."""
    return {
        each["name"]: substituted(source, scope)
        for each in parameters(template.get("outputs") or {})
        if (source := (each.get("valueFrom") or {}).get("parameter"))
    }


def _why(status: Document) -> str:
    """Return the reason for a pod's failure."""
    for container in status.get("containerStatuses") or []:
        ended = (container.get("state") or {}).get("terminated") or {}
        if ended.get("exitCode"):
            return f"{ended.get('reason', 'Error')} (exit code {ended['exitCode']})"
    return status.get("message", "")


def pods(workflow: Document, argo: Argo, name: str) -> list[Document]:
    """Return the pods of a run in which everything succeeds, in the order of their creation.

    Args:
        workflow: the submitted Workflow.
        argo: the controller.
        name: of the Workflow.

    Raises:
        RuntimeError: if the run does not succeed.
    """
    made: list[Document] = []

    def make(document: Document) -> Document:
        made.append(document)
        return {**document, "status": {"phase": "Succeeded"}}

    workflow = {**workflow, "metadata": {**workflow["metadata"], "name": name}}
    workflow = Run(argo, workflow, [], make, lambda: "").advance()
    if workflow["status"]["phase"] != "Succeeded":
        raise RuntimeError(str(workflow["status"]))
    return made
