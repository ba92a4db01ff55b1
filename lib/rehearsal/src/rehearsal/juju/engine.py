"""The controller: keeps the models, runs the hooks that are due, one at a time for each unit."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import yaml

from rehearsal.guardian import Guardian
from rehearsal.juju import commit, endpoints, request, resolver, secrets
from rehearsal.juju.charms import Charm
from rehearsal.juju.errors import JujuError
from rehearsal.juju.host import Host
from rehearsal.juju.namespace import Cluster, Namespace
from rehearsal.juju.state import (
    Application,
    Endpoint,
    Hook,
    Life,
    LogLine,
    Model,
    Relation,
    Task,
    Unit,
    now,
)

logger = logging.getLogger(__name__)

PARALLEL = 4
"""Hooks under way at once."""
_TICK = 0.2


class Chooser(Protocol):
    """Decides which unit's hook runs next: the seam for other orders."""

    def __call__(self, ready: Sequence[tuple[Model, Unit, Hook]]) -> tuple[Model, Unit, Hook]:
        """Return one of those that are ready."""
        ...


def first_ready(ready: Sequence[tuple[Model, Unit, Hook]]) -> tuple[Model, Unit, Hook]:
    """Take applications in the order of their deployment."""
    return ready[0]


class Engine:
    """A model of Juju's controller.

    Args:
        folder: where applications have their sockets, scratch folders and logs.
        guardian: starts the workers.
        cluster: the Kubernetes cluster; None for models without one.
        server: the address by which charms reach the API server: the gate.
        path: what charms' PATH begins with: the folder with `juju-exec`.
        environment: what else charms' processes need, to reach this engine.
        chooser: which hook runs next.
        update_status_interval: seconds between update-status hooks.
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
        chooser: Chooser = first_ready,
        update_status_interval: float = 300.0,
    ):
        self.models: dict[str, Model] = {}
        self.current: str | None = None
        """The model that `juju switch` chose."""
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.stopping = False
        self._folder = folder
        self._guardian = guardian
        self._namespace = Namespace(cluster, server)
        self._path = path
        self._environment = dict(environment or {})
        self._chooser = chooser
        self._interval = update_status_interval
        self._hosts: dict[tuple[str, str], Host] = {}
        self._pool = ThreadPoolExecutor(PARALLEL, thread_name_prefix="hook")
        self._running = 0
        self._thread = threading.Thread(target=self._loop, name="engine", daemon=True)

    # Life

    def start(self) -> None:
        """Begin to run hooks."""
        self._thread.start()

    def stop(self) -> None:
        """Stop running hooks, and every worker."""
        with self.lock:
            self.stopping = True
            self.changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(10)
        for host in self._hosts.values():
            host.stop()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def poke(self) -> None:
        """Look for hooks that are due, after the state has been changed."""
        with self.lock:
            self.changed.notify_all()

    def idle(self, timeout: float) -> bool:
        """Wait until no hook is due or running; return whether that came within `timeout` seconds."""
        with self.changed:
            return self.changed.wait_for(lambda: not self._running and not self._ready(), timeout)

    def host(self, model: Model, application: str) -> Host:
        """Return where an application's hooks run."""
        return self._hosts[model.name, application]

    # Changes; called with the lock held

    def add_model(self, name: str) -> Model:
        """Add a model."""
        if name in self.models:
            raise JujuError(f'model "{name}" already exists')
        model = self.models[name] = Model(name)
        self._namespace.add_model(model)
        self.log(model, "controller-0", "INFO", "juju.controller", f"added model {name}")
        return model

    def destroy_model(self, model: Model, *, force: bool = False) -> None:
        """Let a model go: its applications first."""
        model.life = Life.DYING
        for application in list(model.applications.values()):
            self.remove_application(model, application, force=force)
        self.poke()

    def add_application(
        self,
        model: Model,
        name: str,
        charm: Charm,
        *,
        origin: str = "local",
        channel: str = "",
        config: Mapping[str, Any] | None = None,
        trust: bool = False,
        resources: Mapping[str, str] | None = None,
        scale: int = 1,
    ) -> Application:
        """Deploy a charm."""
        if name in model.applications:
            raise JujuError(f'deploying {origin} charm: application "{name}" already exists')
        application = Application(
            name, charm, origin, channel, config=dict(config or {}), trust=trust, scale=scale
        )
        model.applications[name] = application
        self.attach_resources(model, application, resources or {})
        for spec in charm.endpoints.values():
            if spec.role == "peers":
                self._relate(model, [Endpoint(name, spec.name, "peers")], spec.interface)
        folder = self._application_folder(model, name)
        self._namespace.add_application(model, application, folder / "kubeconfig")
        self._start_host(model, application)
        self.set_scale(model, application, scale)
        return application

    def attach_resources(self, model: Model, application: Application, given: Mapping[str, str]) -> None:
        """Put in resources; what is not given comes from the charm's `upstream-source`."""
        folder = self._application_folder(model, application.name) / "resources"
        folder.mkdir(parents=True, exist_ok=True)
        for name, spec in application.charm.resources.items():
            said = given.get(name) or application.resources.get(name) or spec.upstream_source
            if not said:
                continue
            application.resources[name] = said
            if spec.type == "oci-image":
                (folder / name).write_text(yaml.safe_dump({"registrypath": said}))
        if given:
            # Juju tells a charm of a new resource as it does of a new revision.
            application.charm_version += bool(application.units)

    def set_scale(self, model: Model, application: Application, scale: int) -> None:
        """Have that many units; the highest numbers go first, as a StatefulSet has it."""
        alive = [unit for unit in application.units.values() if unit.life is Life.ALIVE]
        for _ in range(scale - len(alive)):
            number = next(n for n in range(len(application.units) + 1) if n not in application.units)
            application.units[number] = Unit(number, application.name)
        for unit in sorted(alive, key=lambda unit: -unit.number)[: max(0, len(alive) - scale)]:
            unit.life = Life.DYING
        application.scale = scale
        self._namespace.update_application(model, application)
        self._elect(application)
        self.poke()

    def remove_application(self, model: Model, application: Application, *, force: bool = False) -> None:
        """Let an application go: its relations break, its units stop; by force without their hooks."""
        application.life = Life.DYING
        for relation in model.relations_of(application.name):
            relation.life = Life.DYING
        for unit in application.units.values():
            unit.life = Life.DEAD if force else Life.DYING
            unit.failed = None if force else unit.failed
        self._clean(model)
        self.poke()

    def set_config(self, model: Model, application: Application, values: Mapping[str, Any]) -> None:
        """Set options, or reset those whose value is None."""
        merged = {**application.config, **values}
        merged = {key: value for key, value in merged.items() if value is not None}
        if merged != application.config:
            application.config = merged
            application.config_version += 1
        self.poke()

    def set_trust(self, model: Model, application: Application, trust: bool) -> None:
        """Give or take the rights of `juju trust`; charms learn of it by a config-changed."""
        application.trust = trust
        self._namespace.update_application(model, application)
        application.config_version += 1
        self.poke()

    def refresh(self, model: Model, application: Application, charm: Charm) -> None:
        """Run another revision of a charm: Juju makes the pod anew."""
        application.charm = charm
        application.charm_version += 1
        application.revision += 1
        host = self._hosts.pop((model.name, application.name))
        host.stop()
        for unit in application.units.values():
            host.forget(unit.name)
            if unit.failed is not None:
                unit.retry_at = 0.0
        self.attach_resources(model, application, {})
        self._start_host(model, application)
        self.poke()

    def add_relation(self, model: Model, first: str, second: str) -> Relation:
        """Integrate two applications."""
        ends, interface = endpoints.infer(model, first, second)
        endpoints.check(model, ends)
        relation = self._relate(model, ends, interface)
        self.poke()
        return relation

    def remove_relation(self, relation: Relation) -> None:
        """Break a relation."""
        relation.life = Life.DYING
        self.poke()

    def enqueue(
        self, model: Model, unit: Unit, kind: str, name: str, parameters: Mapping[str, Any] | None = None
    ) -> Task:
        """Have a unit run an action, or an event that its watcher asks for."""
        task = Task(model.next_task, kind, unit.name, name, dict(parameters or {}))
        model.next_task += 1
        model.tasks[task.id] = task
        unit.tasks.append(task)
        self.poke()
        return task

    def resolve(self, model: Model, unit: Unit, *, retry: bool) -> None:
        """Run the failed hook again, or take it as run."""
        if unit.failed is None:
            raise JujuError(f'unit "{unit.name}" is not in an error state')
        if retry:
            unit.retry_at = 0.0
        else:
            commit.skip(model, unit, self._interval)
        self.poke()

    def log(self, model: Model, entity: str, level: str, module: str, message: str) -> None:
        """Add a line to the model's log."""
        model.log.append(LogLine(now(), entity, level, module, message))

    def run_now(self, model: Model, unit: Unit, hook: Hook) -> dict[str, Any]:
        """Run one hook and return what it left: for benches that choose every hook themselves."""
        with self.lock:
            host, asked = self._prepare(model, unit, hook)
        result = host.run(asked)
        with self.lock:
            unit.running = None
            self._commit(model, unit, hook, result)
        return result

    # The loop

    def _loop(self) -> None:
        while True:
            with self.changed:
                if self.stopping:
                    return
                try:
                    self._admit_pods()
                except OSError as error:
                    logger.warning("cannot read pods: %s", error)
                ready = self._ready()
                while ready and self._running < PARALLEL:
                    model, unit, hook = self._chooser(ready)
                    self._begin(model, unit, hook)
                    ready = [each for each in ready if each[1] is not unit]
                self.changed.wait(_TICK)

    def _ready(self) -> list[tuple[Model, Unit, Hook]]:
        ready = []
        for model in self.models.values():
            for unit in model.units():
                if unit.running is None:
                    hook = resolver.next_hook(model, unit, time.monotonic())
                    if hook is not None:
                        ready.append((model, unit, hook))
                    elif unit.address and unit.failed is None and unit.agent.current != "idle":
                        commit.settled(unit)
                        self.changed.notify_all()
        return ready

    def _begin(self, model: Model, unit: Unit, hook: Hook) -> None:
        host, asked = self._prepare(model, unit, hook)
        self._running += 1
        self._pool.submit(self._run, model, unit, hook, host, asked)

    def _prepare(self, model: Model, unit: Unit, hook: Hook) -> tuple[Host, dict[str, Any]]:
        commit.before(model, unit, hook)
        asked = request.build(model, unit, hook)
        folder = self._application_folder(model, unit.application) / "resources"
        asked["resources"] = {name: folder / name for name in asked["resources"]}
        return self._hosts[model.name, unit.application], asked

    def _run(self, model: Model, unit: Unit, hook: Hook, host: Host, asked: dict[str, Any]) -> None:
        try:
            result = host.run(asked)
        except Exception:  # a fault of the rehearsal must not leave the unit running for ever
            logger.exception("running %s of %s", hook.name, unit.name)
            result = {"ok": False, "log": [], "output": [], "traceback": "see the rehearsal's log"}
        with self.lock:
            self._running -= 1
            unit.running = None
            if model.applications.get(unit.application) is not None and not self.stopping:
                self._commit(model, unit, hook, result)
            self.changed.notify_all()

    def _commit(self, model: Model, unit: Unit, hook: Hook, result: dict[str, Any]) -> None:
        entity = f"unit-{unit.name.replace('/', '-')}"
        for level, message in result["log"]:
            self.log(model, entity, level, f"unit.{unit.name}.juju-log", message)
        for line in result["output"]:
            self.log(model, entity, "INFO", f"unit.{unit.name}.{hook.name}", line)
        for line in result["traceback"].splitlines():
            self.log(model, entity, "ERROR", f"unit.{unit.name}.juju-log", line)
        operation = "juju.worker.uniter.operation"
        if result["ok"]:
            commit.succeeded(model, unit, hook, result, self._interval)
            self.log(model, entity, "INFO", operation, f'ran "{hook.name}" hook (via rehearsal)')
        else:
            commit.failed(model, unit, hook, result)
            self.log(model, entity, "ERROR", operation, f'hook "{hook.name}" failed: exit status 1')
        self._clean(model)

    # Coming and going

    def _admit_pods(self) -> None:
        """Give their addresses to units whose pods have come up: their agents start."""
        for model in list(self.models.values()):
            if model.life is Life.DYING:
                self._clean(model)
            waiting = [unit for unit in model.units() if not unit.address]
            if not waiting:
                continue
            addresses = self._namespace.addresses(model)
            for unit in waiting:
                if unit.pod in addresses:
                    unit.address = addresses[unit.pod]
                    unit.seen.update_status_due = time.monotonic() + self._interval
                    application = model.applications[unit.application]
                    application.address = self._namespace.service_address(model, application)
                elif unit.life is Life.DYING:
                    unit.life = Life.DEAD  # it never ran, so it has nothing to stop
            self._clean(model)

    def _clean(self, model: Model) -> None:
        """Take away what is gone: dead units, relations that all have left, empty applications."""
        for application in list(model.applications.values()):
            for unit in [u for u in application.units.values() if u.life is Life.DEAD]:
                self._forget_unit(model, application, unit)
            self._elect(application)
        for relation in list(model.relations.values()):
            knowing = [u for u in model.units() if self._knows(relation, u)]
            if relation.life is not Life.ALIVE and not knowing:
                del model.relations[relation.id]
                secrets.revoke_relation(model, relation.id)
        for application in list(model.applications.values()):
            related = [r for r in model.relations_of(application.name) if not r.is_peer]
            if application.life is not Life.ALIVE and not application.units and not related:
                self._forget_application(model, application)
        if model.life is Life.DYING and not model.applications and self._namespace.remove_model(model):
            self.models.pop(model.name, None)
            self.changed.notify_all()

    def _knows(self, relation: Relation, unit: Unit) -> bool:
        known = unit.seen.relations.get(relation.id)
        return bool(known and known.created and not known.broken)

    def _forget_unit(self, model: Model, application: Application, unit: Unit) -> None:
        del application.units[unit.number]
        for relation in model.relations_of(application.name):
            relation.unit_data.pop(unit.name, None)
        secrets.forget(model, unit.name)
        self._hosts[model.name, application.name].forget(unit.name)
        if application.leader == unit.name:
            application.leader = None

    def _forget_application(self, model: Model, application: Application) -> None:
        del model.applications[application.name]
        for relation in model.relations_of(application.name):
            del model.relations[relation.id]
        secrets.forget(model, application.name)
        self._namespace.remove_application(model, application)
        host = self._hosts.pop((model.name, application.name))
        # It may take its seconds to end; nobody waits for it.
        threading.Thread(target=host.stop, daemon=True).start()

    def _elect(self, application: Application) -> None:
        """Have a leader: who leads goes on until it is gone (Juju's leases)."""
        if application.leader is None and application.units:
            staying = [u for u in application.units.values() if u.life is Life.ALIVE]
            chosen = min(staying or application.units.values(), key=lambda unit: unit.number)
            application.leader = chosen.name

    def _relate(self, model: Model, ends: list[Endpoint], interface: str) -> Relation:
        relation = Relation(model.next_relation, interface, ends)
        model.next_relation += 1
        model.relations[relation.id] = relation
        return relation

    def _start_host(self, model: Model, application: Application) -> None:
        folder = self._application_folder(model, application.name)
        environment = self._environment | {"KUBECONFIG": str(folder / "kubeconfig")}
        if self._path is not None:
            environment["PATH"] = f"{self._path}{os.pathsep}{os.environ['PATH']}"
        host = Host(folder, application.charm, self._guardian, environment)
        self._hosts[model.name, application.name] = host
        host.start()

    def _application_folder(self, model: Model, name: str) -> Path:
        return self._folder / model.name / name
