"""The notebook controller's third task, if it is told to: stopping the notebooks that nobody uses.

kubeflow/kubeflow v1.10.0, components/notebook-controller/controllers/culling_controller.go.
"""

from __future__ import annotations

import copy
import datetime
import re
from collections.abc import Sequence
from typing import Any

from rehearsal.players import kinds
from rehearsal.players.controller import Controller
from rehearsal.players.kinds import Key, Object
from rehearsal.players.program import Program, timestamp
from rehearsal.players.refusals import Unstartable

ACTIVITY = "notebooks.kubeflow.org/last-activity"
CHECKED = "notebooks.kubeflow.org/last_activity_check_timestamp"
STOPPED = "kubeflow-resource-stopped"

_DAY = datetime.timedelta(days=1)


def controllers(program: Program) -> list[Controller]:
    """Return what the program runs."""
    if program.settings.variable("ENABLE_CULLING", "false") != "true":
        return []
    return [_Culling(program).controller]


class _Culling:
    def __init__(self, program: Program):
        idle = program.settings.variable("CULL_IDLE_TIME")
        period = program.settings.variable("IDLENESS_CHECK_PERIOD", "1")
        self._idle = _DAY if (said := _minutes(idle)) is None else said
        if (said := _minutes(period)) is None:
            raise Unstartable(f'IDLENESS_CHECK_PERIOD is "{period}", and no number of minutes')
        self._period = said
        self._api = program.api
        self._world = program.world
        self._api.follower(kinds.POD)
        self.controller = program.controller(kinds.NOTEBOOK, self._reconcile, f"{program.name} culling")

    def _reconcile(self, key: Key) -> float | None:
        notebook = self._api.get(kinds.NOTEBOOK, key)
        if notebook is None:
            return None
        namespace, name = key
        pod = self._api.get(kinds.POD, (namespace, f"{name}-0"))
        if pod is None or STOPPED in _annotations(notebook):
            self._annotate(notebook, {ACTIVITY: None, CHECKED: None})
            return None
        if not {ACTIVITY, CHECKED} <= _annotations(notebook).keys():
            now = self._world.timestamp()
            notebook = self._annotate(notebook, {ACTIVITY: now, CHECKED: now})
        if self._time_to_check(notebook):
            self._check(notebook)
        return self._period.total_seconds()

    def _time_to_check(self, notebook: Object) -> bool:
        checked = _time(_annotations(notebook)[CHECKED])
        return checked is None or checked + self._period < self._world.clock()

    def _check(self, notebook: Object) -> None:
        """Ask the notebook when it was last used, and have it stopped if that is too long ago."""
        kernels = self._world.kernels(*kinds.key(notebook))
        said: dict[str, str | None] = {CHECKED: self._world.timestamp()}
        if kernels:
            said[ACTIVITY] = self._activity(kernels) or _annotations(notebook)[ACTIVITY]
        notebook = self._annotate(notebook, said)
        activity = _time(_annotations(notebook)[ACTIVITY])
        if activity is not None and self._world.clock() > activity + self._idle:
            self._annotate(notebook, {STOPPED: self._world.timestamp()})

    def _activity(self, kernels: Sequence[dict[str, Any]]) -> str | None:
        """Return when the kernels were last busy; None if one of them does not tell."""
        if any(kernel["execution_state"] != "idle" for kernel in kernels):
            return self._world.timestamp()
        times = [_time(kernel["last_activity"]) for kernel in kernels]
        known = [time for time in times if time is not None]
        return timestamp(max(known)) if len(known) == len(times) else None

    def _annotate(self, notebook: Object, annotations: dict[str, str | None]) -> Object:
        """Write annotations, or take away those that are None; return the notebook as it is."""
        found = _annotations(notebook) | annotations
        if found == {**dict.fromkeys(annotations), **_annotations(notebook)}:
            return notebook
        item = copy.deepcopy(notebook)
        item["metadata"]["annotations"] = {name: value for name, value in found.items() if value is not None}
        return self._api.replace(kinds.NOTEBOOK, item, notebook)


def _annotations(notebook: Object) -> dict[str, str]:
    return notebook["metadata"].get("annotations", {})


def _minutes(text: str) -> datetime.timedelta | None:
    return datetime.timedelta(minutes=int(text)) if re.fullmatch(r"[+-]?[0-9]+", text) else None


def _time(text: str) -> datetime.datetime | None:
    """Return a time as RFC 3339 writes it, with its zone."""
    try:
        time = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if time.tzinfo is None else time
