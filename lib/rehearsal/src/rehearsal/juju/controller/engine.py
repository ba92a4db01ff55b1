"""The engine: it runs the hooks that are due, one at a time for each unit, several units in parallel."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rehearsal.guardian import Guardian
from rehearsal.juju.charm_process.host import Host
from rehearsal.juju.charm_process.hosts import Hosts
from rehearsal.juju.charm_process.zygote import Zygote
from rehearsal.juju.controller import commit, request, resolver
from rehearsal.juju.controller.operations import Operations
from rehearsal.juju.controller.ordering import InTurn, Order
from rehearsal.juju.kubernetes import object_storage
from rehearsal.juju.kubernetes.namespace import Cluster, Namespace, NoNamespace
from rehearsal.juju.model import crossing
from rehearsal.juju.model.state import Hook, Life, Model, Unit, now
from rehearsal.network import names
from rehearsal.stand_ins.serving import SERVED
from rehearsal.stores.server import Dial, Stores

logger = logging.getLogger(__name__)

PARALLEL = 4
"""Maximum number of hooks that run in parallel."""

_TICK = 0.5
"""Seconds between checks for hooks that are due by time (retries, update-status, rotations)."""


class Engine(Operations):
    """A model of Juju's controller and of its agents.

    Args:
        folder: holds the applications' sockets, scratch folders and logs.
        guardian: starts the workers.
        cluster: the Kubernetes cluster; None for models without one.
        server: the address of the API server for charms, which is the gate's.
        path: the first entry of charms' PATH: the folder with `juju-exec`.
        environment: further variables of charms' processes, to reach this engine.
        order: decides which hook runs next where Juju promises no order.
        update_status_interval: seconds between update-status hooks, unless a model's configuration sets it.
        lease: seconds without a leader after one is gone.
        zygote: the process that forks charms' processes; None if the engine starts its own.
        served: the charms whose stand-ins run the real program in pods of their own.
        dial: connects to the server of an address such as `minio.kubeflow:9000` where pods really run.
    """

    def __init__(
        self,
        folder: Path,
        guardian: Guardian,
        *,
        cluster: Cluster | None = None,
        server: str | None = None,
        path: Path | None = None,
        environment: Mapping[str, str] | None = None,
        order: Order | None = None,
        update_status_interval: float = 300.0,
        lease: float = 0.0,
        zygote: Zygote | None = None,
        served: Collection[str] = (),
        dial: Dial | None = None,
    ):
        namespace = NoNamespace() if cluster is None else Namespace(cluster, server, self.poke, served)
        self._own_zygote = Zygote(folder / "sockets", guardian)
        self.stores = Stores(self._administrator, dial)
        """The object stores that applications announce."""
        environment = {**(environment or {}), names.VARIABLE: str(self.stores.port)}
        environment |= {SERVED: " ".join(served)} if served else {}
        hosts = Hosts(folder, zygote or self._own_zygote, path, environment)
        super().__init__(namespace, hosts, update_status_interval, lease)
        self._order = order or InTurn()
        self._pool = ThreadPoolExecutor(PARALLEL, thread_name_prefix="hook")
        self._running = 0
        self._thread = threading.Thread(target=self._loop, name="engine", daemon=True)

    def start(self) -> None:
        """Start to run hooks."""
        self._thread.start()

    def stop(self) -> None:
        """Stop running hooks, and end every worker."""
        with self.changed:
            self.stopping = True
            self.changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        self._namespace.close()
        self._hosts.stop()
        self.stores.close()
        self._own_zygote.stop()
        self._pool.shutdown(cancel_futures=True)

    def idle(self, timeout: float) -> bool:
        """Wait until nothing is left to do; return whether that happened within `timeout` seconds.

        Then no hook is due or running, every unit is in a pod with the present charm, and all removals are
        complete. A unit in error that waits for its next try has nothing to do.
        """
        with self.changed:
            return self.changed.wait_for(self._is_idle, timeout)

    def host(self, model: Model, unit: Unit) -> Host:
        """Return the host that runs a unit's hooks."""
        return self._hosts.of(model, unit)

    def run_now(self, model: Model, unit: Unit, hook: Hook) -> dict[str, Any]:
        """Run one hook and return its result, for benches that choose every hook themselves."""
        with self.lock:
            host, asked = self._prepare(model, unit, hook)
        result = host.run(asked, self._ear(model, unit, hook))
        with self.lock:
            unit.running = None
            self._commit(model, unit, hook, result)
            self._clean(model)
        return result

    def _administrator(self, address: str) -> tuple[str, str] | None:
        with self.lock:
            return object_storage.administrator(self.models.values(), address)

    def _is_idle(self) -> bool:
        if self._running or self._ready():
            return False
        for model in self.models.values():
            entities = [model, *model.applications.values(), *model.relations.values(), *model.units()]
            entities += model.remote_applications.values()
            if any(each.life is not Life.ALIVE for each in entities):
                return False
            if any(each.units and each.leader is None for each in model.applications.values()):
                return False
            versions = {name: each.charm_version for name, each in model.applications.items()}
            if not all(u.address and u.code == versions[u.application] for u in model.units()):
                return False
        return True

    def _loop(self) -> None:
        with self.changed:
            while not self.stopping:
                try:
                    self._pass()
                except Exception:  # one fault of the rehearsal must not stop every model
                    logger.exception("looking for hooks that are due")
                self.changed.wait(_TICK)

    def _pass(self) -> None:
        for model in list(self.models.values()):
            self._keep(model)
        ready = self._ready()
        while ready and self._running < PARALLEL:
            model, unit, hook = self._order.first(ready)
            self._begin(model, unit, hook)
            ready = [each for each in ready if each[1] is not unit]

    def _keep(self, model: Model) -> None:
        try:
            crossing.mirror(model)
            self._admit_pods(model)
            self._clean(model)
        except OSError as error:  # the cluster is away: the next pass continues
            logger.warning("%s: %s", model.name, error)

    def _ready(self) -> list[tuple[Model, Unit, Hook]]:
        """Return the next hook of every unit that can run one."""
        ready, today, clock = [], now(), time.monotonic()
        for model in self.models.values():
            for unit in model.units():
                if unit.running is not None:
                    continue
                hook = resolver.next_hook(model, unit, clock, today, self._order)
                if hook is not None:
                    ready.append((model, unit, hook))
                elif unit.address and unit.failed is None and commit.settled(unit):
                    self.changed.notify_all()
        return ready

    def _begin(self, model: Model, unit: Unit, hook: Hook) -> None:
        host, asked = self._prepare(model, unit, hook)
        self._running += 1
        self.changed.notify_all()
        self._pool.submit(self._run, model, unit, hook, host, asked)

    def _prepare(self, model: Model, unit: Unit, hook: Hook) -> tuple[Host, dict[str, Any]]:
        commit.before(model, unit, hook)
        asked = request.build(model, unit, hook)
        application = model.applications[unit.application]
        asked["resources"] = {
            name: self._hosts.resource(model, application, name) for name in asked["resources"]
        }
        return self._hosts.of(model, unit), asked

    def _run(self, model: Model, unit: Unit, hook: Hook, host: Host, asked: dict[str, Any]) -> None:
        try:
            result = host.run(asked, self._ear(model, unit, hook))
        except Exception:  # a fault of the rehearsal must not leave the unit running forever
            logger.exception("running %s of %s", hook.name, unit.name)
            result = {"ok": False, "log": [], "traceback": "", "reason": "see the rehearsal's own log"}
        with self.changed:
            self._running -= 1
            unit.running = None
            if self._is_there(model, unit) and not self.stopping:
                self._commit(model, unit, hook, result)
                for each in self.models.values():  # a relation may lead to another model
                    crossing.mirror(each)
                self._keep(model)
            self.changed.notify_all()

    def _is_there(self, model: Model, unit: Unit) -> bool:
        """Return whether a unit has not been removed meanwhile."""
        application = model.applications.get(unit.application)
        return application is not None and application.units.get(unit.number) is unit

    def _ear(self, model: Model, unit: Unit, hook: Hook) -> Callable[[str, Any], None]:
        """Return what applies to the model what a hook says while it runs."""

        def heard(what: str, said: Any) -> None:
            with self.changed:
                if self._is_there(model, unit):
                    commit.heard(model, unit, hook, what, said)
                    self.changed.notify_all()

        return heard

    def _commit(self, model: Model, unit: Unit, hook: Hook, result: dict[str, Any]) -> None:
        """Log a hook's messages, and apply its results if it succeeded."""
        entity, where = f"unit-{unit.name.replace('/', '-')}", f"unit.{unit.name}"
        quiet = () if _verbose(model) else ("TRACE", "DEBUG")
        for level, source, message in result["log"]:
            # Always show what a charm prints: the author of a print wants to see it.
            if source != "juju-log" or level not in quiet:
                self.log(model, entity, level, f"{where}.{source}", message)
        for line in result["traceback"].splitlines():
            self.log(model, entity, "ERROR", f"{where}.juju-log", line)
        unit.workloads = result.get("workloads", unit.workloads)  # Pebble takes nothing back
        operation, reason = "juju.worker.uniter.operation", result.get("reason", "")
        if result["ok"]:
            reason = commit.refusal(model, unit, result)
        via = "(via hook dispatching script: dispatch)"
        what = f'action "{hook.name}"' if hook.task is not None else f'hook "{hook.name}"'
        if reason:
            commit.failed(model, unit, hook, reason, result.get("action"))
            self.log(model, entity, "ERROR", operation, f"{what} {via} failed: {reason}")
            return
        commit.succeeded(model, unit, hook, result, self._update_status_interval(model))
        if hook.task is None:
            self.log(model, entity, "INFO", operation, f'ran "{hook.name}" hook {via}')


def _verbose(model: Model) -> bool:
    """Return whether the log keeps charms' debug messages; Juju's default (`<root>=INFO`) drops them."""
    levels = dict(
        part.strip().split("=", 1)
        for part in str(model.config.get("logging-config", "")).split(";")
        if "=" in part
    )
    return levels.get("unit", levels.get("<root>", "INFO")).upper() in ("DEBUG", "TRACE")
