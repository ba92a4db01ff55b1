"""The nodes of a Workflow's status: one for each step, graph, loop and attempt.

Facts: argo-workflows v3.7.14, pkg/apis/workflow/v1alpha1/workflow_types.go (NodeStatus). Here, a node's
`children` are the nodes of its graph; Argo's are the edges between steps.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from rehearsal.players.argo.notation import Document
from rehearsal.players.argo.pods import node_id

COMPLETED = ("Succeeded", "Failed", "Error")
ENDED = (*COMPLETED, "Skipped", "Omitted")
BAD = ("Failed", "Error")


class Nodes:
    """The nodes, by their identifiers.

    Args:
        workflow: the Workflow's name.
        documents: the existing nodes; they are changed.
        now: returns the time in Kubernetes' format.
    """

    def __init__(self, workflow: str, documents: dict[str, Document], now: Callable[[], str]):
        self._workflow = workflow
        self._now = now
        self.documents = documents

    def get(self, name: str) -> Document | None:
        """Return a node by its name."""
        return self.documents.get(node_id(self._workflow, name))

    def ensure(self, name: str, kind: str, template: str, boundary: str, phase: str = "Running") -> Document:
        """Return a node; create it if there is none.

        Args:
            name: of the node.
            kind: its type; `Skipped` if it never started.
            template: the name of its template.
            boundary: the name of its parent node, if any.
            phase: of a new node.
        """
        identifier = node_id(self._workflow, name)
        if identifier not in self.documents:
            within = node_id(self._workflow, boundary) if boundary else ""
            self.documents[identifier] = {
                "id": identifier,
                "name": name,
                "displayName": name.removeprefix(f"{boundary}.") if boundary else name,
                "type": kind,
                "templateName": template,
                "templateScope": f"local/{self._workflow}",
                "phase": phase,
                "startedAt": self._now(),
                **({"boundaryID": within} if within else {}),
            }
            if within:
                self.documents[within].setdefault("children", []).append(identifier)
        return self.documents[identifier]

    def mark(self, node: Document, phase: str, message: str = "") -> Document:
        """Set a node's phase, and return the node."""
        node["phase"] = phase
        if message:
            node["message"] = message
        elif phase not in ENDED:
            node.pop("message", None)
        if phase in ENDED:
            node.setdefault("finishedAt", self._now())
        return node

    def progress(self) -> str:
        """Return how many pods have succeeded, as `succeeded/all`."""
        phases = [each["phase"] for each in self.documents.values() if each["type"] == "Pod"]
        return f"{phases.count('Succeeded')}/{len(phases)}"


def parameters(document: Document) -> list[Document]:
    """Return the parameters of arguments, inputs or outputs."""
    return document.get("parameters") or []


def with_outputs(node: Document, values: dict[str, str]) -> Document:
    """Set a node's outputs if there are any, and return the node."""
    if values:
        node["outputs"] = {"parameters": [{"name": key, "value": value} for key, value in values.items()]}
    return node


def referable(prefix: str, node: Document) -> dict[str, str]:
    """Return the values that others may refer to, with the prefix `tasks.<name>` or `steps.<name>`."""
    values = {f"{prefix}.status": node["phase"]}
    for each in parameters(node.get("outputs") or {}):
        values[f"{prefix}.outputs.parameters.{each['name']}"] = each["value"]
    return values


def text(value: Any) -> str:
    """Return a parameter's value as text."""
    return value if isinstance(value, str) else json.dumps(value)
