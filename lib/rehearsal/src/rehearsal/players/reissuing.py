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

_LOOKS = 5
"""How often to look for a pod that an event is about: more than a second in all."""


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
        self._looks: dict[Key, int] = {}
        self._said: dict[tuple[str, ...], tuple[Key, int]] = {}

    def reconcile(self, key: Key) -> float | None:
        """Say it again; return when to look for the pod of it, which may be known only after the event."""
        event = self._api.get(kinds.EVENT, key)
        if event is None:
            return None
        about = event["involvedObject"]
        if about.get("kind") == "Pod" and self._api.get(kinds.POD, (key[0], about["name"])) is None:
            return self._looks_left(key)
        self._looks.pop(key, None)
        notebook = self._notebook(key[0], about)
        if notebook is None:
            return None
        message = f"Reissued from {about['kind'].lower()}/{about['name']}: {event.get('message', '')}"
        self._issue(notebook, event.get("type", ""), event.get("reason", ""), message)
        return None

    def _looks_left(self, key: Key) -> float | None:
        """Return after how many seconds to look for a pod once more; upstream looks once."""
        looks = self._looks.get(key, 0)
        if looks == _LOOKS:
            del self._looks[key]
            return None
        self._looks[key] = looks + 1
        return 0.05 * 2**looks

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
