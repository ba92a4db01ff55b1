"""The notebook controller's second task: what is said of a notebook's pod is said of the notebook, too.

kubeflow/kubeflow v1.10.0, components/notebook-controller/controllers/notebook_controller.go; that a repeated
event is counted in the first one, k8s.io/client-go v0.23.0, tools/record.
"""

from __future__ import annotations

import time

import httpx2

from rehearsal.players import kinds
from rehearsal.players.api import Gone
from rehearsal.players.controller import Controller
from rehearsal.players.kinds import Key, Object
from rehearsal.players.program import Program


def controllers(program: Program) -> list[Controller]:
    """Return what the program runs."""
    reissuing = _Reissuing(program)
    controller = program.controller(kinds.EVENT, reissuing.reconcile, f"{program.name} events")
    return [controller]


class _Reissuing:
    def __init__(self, program: Program):
        self._api = program.api
        self._world = program.world
        self._refusals = program.refusals
        self._api.follower(kinds.NOTEBOOK)
        self._api.follower(kinds.POD)
        self._said: dict[tuple[str, ...], tuple[Key, int]] = {}

    def reconcile(self, key: Key) -> None:
        """Say it again."""
        event = self._api.get(kinds.EVENT, key)
        if event is None:
            return
        about = event["involvedObject"]
        notebook = self._notebook(key[0], about)
        if notebook is None:
            return
        message = f"Reissued from {about['kind'].lower()}/{about['name']}: {event.get('message', '')}"
        self._issue(notebook, event.get("type", ""), event.get("reason", ""), message)

    def _notebook(self, namespace: str, about: Object) -> Object | None:
        """Return the notebook that an object belongs to."""
        if about.get("kind") == "StatefulSet":
            return self._api.get(kinds.NOTEBOOK, (namespace, about["name"]))
        if about.get("kind") != "Pod":
            return None
        pod = self._api.get(kinds.POD, (namespace, about["name"])) or {"metadata": {}}
        name = pod["metadata"].get("labels", {}).get("notebook-name")
        return None if name is None else self._api.get(kinds.NOTEBOOK, (namespace, name))

    def _issue(self, notebook: Object, severity: str, reason: str, message: str) -> None:
        """Say something of a notebook; what the server refuses is not said again, as in client-go."""
        said = (notebook["metadata"]["uid"], severity, reason, message)
        try:
            if not self._counted(said):
                event = _event(notebook, severity, reason, message, self._world.timestamp())
                self._api.create(kinds.EVENT, event)
                self._said[said] = (kinds.key(event), 1)
        except httpx2.HTTPStatusError as error:
            self._refusals.hear("notebook-controller events", error)

    def _counted(self, said: tuple[str, ...]) -> bool:
        """Count an event that is there; return whether there is one."""
        if said not in self._said:
            return False
        key, count = self._said.pop(said)
        try:
            patch = {"count": count + 1, "lastTimestamp": self._world.timestamp()}
            self._api.patch(kinds.EVENT, key, patch)
        except Gone:
            return False
        self._said[said] = (key, count + 1)
        return True


def _event(notebook: Object, severity: str, reason: str, message: str, now: str) -> Object:
    namespace, name = kinds.key(notebook)
    about = {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Notebook",
        "name": name,
        "namespace": namespace,
        "uid": notebook["metadata"]["uid"],
        "resourceVersion": notebook["metadata"]["resourceVersion"],
    }
    return {
        "metadata": {"name": f"{name}.{time.time_ns():x}", "namespace": namespace},
        "involvedObject": about,
        "type": severity,
        "reason": reason,
        "message": message,
        "count": 1,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "source": {"component": "notebook-controller"},
    }
