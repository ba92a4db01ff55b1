"""The model of Juju in short words, for its tests."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rehearsal.juju.controller.engine import Engine
from rehearsal.juju.model import charms
from rehearsal.juju.model.state import Application, LogLine, Model, Task, Unit
from rehearsal.patience import PATIENCE

CHARMS = Path(__file__).with_name("charms")


class Juju:
    """An engine with one model, in short words.

    Args:
        engine: the engine; started with the first wait.
        model: its model.
    """

    def __init__(self, engine: Engine, model: Model):
        self.engine = engine
        self.model = model
        self._read = 0

    def deploy(self, name: str, charm: str | Path = "puppet", **options: Any) -> Application:
        """Deploy a charm of `charms/`, or of a folder; nothing runs before `settle`."""
        folder = charm if isinstance(charm, Path) else CHARMS / charm
        with self.engine.lock:
            return self.engine.add_application(self.model, name, charms.load(folder), **options)

    def integrate(self, first: str, second: str) -> int:
        """Relate two endpoints; return the relation's number."""
        with self.engine.lock:
            return self.engine.add_relation(self.model, first, second).id

    def settle(self) -> None:
        """Wait until nothing is left to do."""
        assert self.engine.idle(PATIENCE), self.describe()

    def until(self, condition: Callable[[], Any]) -> None:
        """Wait for what does not leave the model idle, such as an error."""
        with self.engine.changed:
            assert self.engine.changed.wait_for(condition, PATIENCE), self.describe()

    def unit(self, name: str) -> Unit:
        """Return a unit."""
        return self.model.unit(name)

    def config(self, application: str, **values: Any) -> None:
        """Set options."""
        with self.engine.lock:
            self.engine.set_config(self.model, self.model.applications[application], values)

    def script(self, application: str, script: str) -> None:
        """Have the units of an application do something else, settle, and forget the events of that."""
        self.config(application, script=script)
        self.settle()
        self.events()

    def scale(self, application: str, scale: int) -> None:
        """Scale an application."""
        with self.engine.lock:
            self.engine.set_scale(self.model, self.model.applications[application], scale)

    def remove(self, application: str, **options: bool) -> None:
        """Remove an application."""
        with self.engine.lock:
            self.engine.remove_application(self.model, self.model.applications[application], **options)

    def run(self, unit: str, name: str, kind: str = "action", **parameters: Any) -> Task:
        """Run an action, or dispatch an event, and wait for its end."""
        with self.engine.lock:
            task = self.engine.enqueue(self.model, self.unit(unit), kind, name, parameters)
        self.until(lambda: task.status in ("completed", "failed"))
        return task

    def lines(self, unit: str = "") -> list[LogLine]:
        """Return the log, of one unit or all."""
        entity = f"unit-{unit.replace('/', '-')}"
        with self.engine.lock:
            return [line for line in self.model.log if not unit or line.entity == entity]

    def events(self, unit: str = "") -> list[str]:
        """Return the events that charms have seen since this was last called, of one unit or all.

        An event of all units is said with the unit that saw it: `a/0 start`.
        """
        with self.engine.lock:
            fresh = list(self.model.log)[self._read :]
            self._read = len(self.model.log) if not unit else self._read
        found = []
        for line in fresh:
            who = line.module.removeprefix("unit.").removesuffix(".juju-log")
            if line.message.startswith("event ") and unit in ("", who):
                what = line.message.removeprefix("event ")
                found.append(what if unit else f"{who} {what}")
        return found

    def told(self, unit: str) -> list[Any]:
        """Return what the scripts of a unit have told."""
        said = (line.message for line in self.lines(unit))
        return [json.loads(message.removeprefix("told ")) for message in said if message.startswith("told ")]

    def ran(self, unit: str) -> list[str]:
        """Return the names of the hooks that a unit has run, whether its charm looked at them or not."""
        ran = [line.message for line in self.lines(unit) if line.message.startswith('ran "')]
        return [message.split('"')[1] for message in ran]

    def fail_now(self, unit: str) -> None:
        """Wait until a unit is in error."""
        self.until(lambda: self.unit(unit).failed is not None and self.unit(unit).running is None)

    def describe(self) -> str:
        """Return where everything stands, for a failed test."""
        lines = [
            f"{u.name} {u.workload} {u.agent} failed={u.failed} running={u.running}"
            for u in self.model.units()
        ]
        return "\n".join(lines + [f"{each.entity} {each.level} {each.message}" for each in self.model.log])


@contextlib.contextmanager
def beside(juju: Juju, name: str) -> Iterator[Juju]:
    """Yield another model of the same engine, and destroy it in the end."""
    with juju.engine.lock:
        model = juju.engine.add_model(name)
    yield Juju(juju.engine, model)
    with juju.engine.lock:
        juju.engine.destroy_model(model)
    juju.until(lambda: name not in juju.engine.models)


def eventually(condition: Callable[[], Any], within: float = PATIENCE) -> None:
    """Wait for something outside the model, such as the end of a process."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
