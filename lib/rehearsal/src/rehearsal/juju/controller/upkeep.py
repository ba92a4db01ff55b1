"""Automatic follow-ups of changes: give units pods, delete what is gone, elect leaders."""

from __future__ import annotations

import threading
import time
from typing import Any

from rehearsal.juju.charm_process.hosts import Hosts
from rehearsal.juju.controller import commit
from rehearsal.juju.controller.resolver import leaving
from rehearsal.juju.kubernetes.namespace import NoNamespace
from rehearsal.juju.model import attaching, crossing, durations, relations, secrets
from rehearsal.juju.model.state import Application, Endpoint, Life, LogLine, Model, Relation, Unit, now
from rehearsal.juju.model.storage import StorageInstance
from rehearsal.juju.model.version import JUJU_VERSION
from rehearsal.juju.model.workloads import Workloads


class Upkeep:
    """The models and their upkeep. Callers of every method hold the lock.

    Args:
        namespace: Juju's objects in Kubernetes.
        hosts: the processes of the applications.
        lease: seconds without a leader after one is gone (Juju's leases last 30 to 60 s).
        update_status_interval: seconds between update-status hooks.
    """

    def __init__(
        self, namespace: NoNamespace, hosts: Hosts, update_status_interval: float, lease: float = 0.0
    ):
        self.models: dict[str, Model] = {}
        self.model_defaults: dict[str, Any] = {}
        """Settings that new models begin with (`juju model-defaults`)."""
        self.current: str | None = None
        """The name of the model that `juju switch` chose."""
        self.workloads: Workloads = {}
        """What the user says of workload containers."""
        self.previous: str | None = None
        """The name of the model before it."""
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.stopping = False
        self._namespace = namespace
        self._hosts = hosts
        self._interval = update_status_interval
        self._lease = lease

    @property
    def features(self) -> dict[str, str]:
        """What charms may assume, with versions."""
        return {"juju": JUJU_VERSION, "k8s-api": self._namespace.version or "99"}

    def poke(self) -> None:
        """Wake the engine after a change of the state, so that it looks for hooks that are due."""
        with self.changed:
            self.changed.notify_all()

    def log(self, model: Model, entity: str, level: str, module: str, message: str) -> None:
        """Add a line to the model's log."""
        model.log.append(LogLine(now(), entity, level, module, message))

    # Pods

    def _admit_pods(self, model: Model) -> None:
        """Give units their running pods; a unit without one waits."""
        for unit in model.units():
            application = model.applications[unit.application]
            if unit.running is None and _out_of_date(application, unit):
                self._renew(model, application, unit)
        pods = self._namespace.pods(model)
        for unit in model.units():
            pod = pods.get(unit.pod)
            mine = pod is not None and pod.version == unit.code
            if pod is None or not mine or pod.uid == unit.pod_uid or unit.running is not None:
                continue
            if unit.pod_uid:
                # Somebody deleted the pod. The new pod has a new address, so the unit gets config-changed and
                # start again (Juju's reference of hooks).
                self._renew(model, model.applications[unit.application], unit)
            if not unit.seen.installed:
                unit.seen.update_status_due = time.monotonic() + self._update_status_interval(model)
            unit.pod_uid, unit.address = pod.uid, pod.address
            relations.readdress(model, unit)
            self.changed.notify_all()

    def _renew(self, model: Model, application: Application, unit: Unit) -> None:
        """Drop a unit's pod: its processes, its files, and its agent's knowledge of the workload."""
        self._hosts.of(model, unit).end_unit(unit.name)
        unit.code, unit.pod_uid, unit.address = application.charm_version, "", ""
        seen = unit.seen
        seen.started, seen.stopped, seen.queued, seen.config_version = False, False, "", None
        seen.pebble_ready.clear()
        unit.workloads = {}
        if unit.failed is not None:
            unit.retry_at = 0.0
        elif seen.installed:
            unit.agent.set("allocating")
        self._hosts.prune(model, application)

    def _replace_pods(self, model: Model, application: Application) -> None:
        """Replace every unit's pod, to run the present charm."""
        application.charm_version += 1
        self._hosts.start(model, application)
        self._scale_pods(model, application)
        self.poke()

    def _update_status_interval(self, model: Model) -> float:
        said = model.config.get("update-status-hook-interval")
        return durations.seconds(str(said)) if said else self._interval

    def _scale_pods(self, model: Model, application: Application) -> None:
        # A dying unit keeps its pod until it has run its last hook (juju/juju, pull request 15313).
        staying = [u.number + 1 for u in application.units.values() if u.life is not Life.DEAD]
        self._namespace.scale(model, application, max(staying, default=0))

    # Coming and going

    def _fill(self, model: Model, application: Application) -> bool:
        """Add missing units, and return whether any was; the number of a dying unit is filled later."""
        missing = [number for number in range(application.scale) if number not in application.units]
        if application.life is not Life.ALIVE:
            missing = []
        for number in missing:
            unit = Unit(number, application.name, code=application.charm_version)
            application.units[number] = unit
            attaching.provide(model, application, unit)
        self._elect(application)
        return bool(missing)

    def _elect(self, application: Application) -> None:
        """Elect a leader if there is none; a leader stays until it is gone (Juju's leases)."""
        vacant = application.leader is None and time.monotonic() >= application.vacant_until
        if vacant and application.units:
            staying = [u for u in application.units.values() if u.life is Life.ALIVE]
            chosen = min(staying or application.units.values(), key=lambda unit: unit.number)
            application.leader = chosen.name

    def _relate(self, model: Model, ends: list[Endpoint], interface: str) -> Relation:
        relation = Relation(model.next_relation, interface, ends)
        model.next_relation += 1
        model.relations[relation.id] = relation
        return relation

    def _clean(self, model: Model) -> None:
        """Delete what is gone: dead units, relations that all units left, empty applications, the model.

        Raises:
            OSError: if the cluster does not answer; the next call continues from there.
        """
        for application in list(model.applications.values()):
            for unit in list(application.units.values()):
                # A unit that was never installed has nothing to stop.
                idle = unit.running is None and unit.failed is None
                if unit.life is Life.DYING and idle and not unit.seen.installed:
                    unit.life = Life.DEAD
                if unit.life is Life.DEAD:
                    self._forget_unit(model, application, unit)
            if self._fill(model, application):
                # The pod of a unit that is gone went with it.
                self._scale_pods(model, application)
            self._open_ports(model, application)
        for relation in list(model.relations.values()):
            if relation.life is not Life.ALIVE and not relation.unit_data and not relation.is_peer:
                self._forget_relation(model, relation)
        for remote in list(model.remote_applications.values()):
            if remote.life is not Life.ALIVE and not model.relations_of(remote.name):
                del model.remote_applications[remote.name]
                self.changed.notify_all()
        for application in list(model.applications.values()):
            related = [r for r in model.relations_of(application.name) if not r.is_peer]
            if application.life is not Life.ALIVE and not application.units and not related:
                self._forget_application(model, application)
        left = model.applications or model.remote_applications
        if model.life is Life.DYING and not left and self._namespace.remove_model(model):
            self.models.pop(model.name, None)
            self.changed.notify_all()

    def _open_ports(self, model: Model, application: Application) -> None:
        """Put the ports that units have opened on the application's Service."""
        opened = sorted({port for unit in application.units.values() for port in unit.ports})
        if opened != application.opened:
            self._namespace.open_ports(model, application, opened)
            application.opened = opened

    def _forget_unit(self, model: Model, application: Application, unit: Unit) -> None:
        if application.life is Life.ALIVE:
            self._scale_pods(model, application)
        del application.units[unit.number]
        for relation in model.relations_of(application.name):
            relations.leave(relation, unit.name)
        secrets.forget(model, unit.name)
        for task in unit.tasks:
            task.status, task.message, task.completed = "failed", "unit removed", now()
        self._hosts.of(model, unit).end_unit(unit.name)
        for each in attaching.of_unit(model, unit.name):
            each.unit = ""
        if application.destroys_storage:
            self._destroy_storage(model, application, unit)
        if application.leader == unit.name:
            application.leader, application.vacant_until = None, time.monotonic() + self._lease
        self.changed.notify_all()

    def _destroy_storage(self, model: Model, application: Application, unit: Unit) -> None:
        """Delete the storage that a unit had, and its claims."""
        for each in attaching.of_application(model, application.name):
            if each.claim.endswith(f"-{application.storage_id}-{unit.pod}"):
                self.delete_storage(model, each)

    def delete_storage(self, model: Model, instance: StorageInstance) -> None:
        """Delete detached storage: its claim, and what is in it."""
        self._namespace.delete_claim(model, instance.claim)
        self._hosts.delete_storage(model, instance)
        del model.storage[instance.id]

    def _forget_relation(self, model: Model, relation: Relation) -> None:
        self.changed.notify_all()
        del model.relations[relation.id]
        secrets.revoke_relation(model, relation.id)
        if relation.offer:
            crossing.forget_proxy(model, relation.proxy)
        for unit in model.units():
            unit.seen.relations.pop(relation.id, None)
            if unit.failed is not None and unit.failed.relation == relation.id:
                # A hook of a relation that is gone need not run.
                commit.skip(model, unit, self._update_status_interval(model))

    def _forget_application(self, model: Model, application: Application) -> None:
        self._namespace.remove_application(model, application)
        del model.applications[application.name]
        model.offers = {k: each for k, each in model.offers.items() if each.application != application.name}
        for relation in model.relations_of(application.name):
            self._forget_relation(model, relation)
        secrets.forget(model, application.name)
        self._hosts.remove(model, application)
        self.changed.notify_all()


def _out_of_date(application: Application, unit: Unit) -> bool:
    """Return whether to replace a unit's pod now: its charm is old, and has stopped or cannot stop."""
    if unit.code == application.charm_version or leaving(application, unit):
        return False
    return unit.failed is not None or not unit.seen.started or unit.seen.stopped
