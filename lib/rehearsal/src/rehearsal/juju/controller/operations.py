"""The changes that users make to models with commands.

Callers of every method hold the lock. Refusals are JujuErrors, in Juju's own words if Juju has some.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from rehearsal.juju.controller import commit
from rehearsal.juju.controller.offering import Offering
from rehearsal.juju.model.charms import Charm
from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.state import Application, Endpoint, Life, Model, Relation, Task, Unit
from rehearsal.juju.model.storage import directives


class Operations(Offering):
    """Models that can be changed."""

    # Models

    def add_model(self, name: str) -> Model:
        """Add a model."""
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
            raise JujuError(
                f'"{name}" is not a valid name: model names may only contain lowercase letters, '
                "digits and hyphens"
            )
        if name in self.models:
            raise JujuError(f'model "{name}" already exists')
        model = Model(name, config=dict(self.model_defaults))
        self._namespace.add_model(model)
        self.models[name] = model
        return model

    def set_model_config(self, model: Model, values: Mapping[str, Any]) -> None:
        """Set keys of a model, or reset those whose value is None.

        A new interval of update-status counts from now (juju/juju, internal/worker/uniter/remotestate).
        """
        before = self._update_status_interval(model)
        model.config = {
            key: value for key, value in (model.config | dict(values)).items() if value is not None
        }
        interval = self._update_status_interval(model)
        if interval != before:
            for unit in model.units():
                unit.seen.update_status_due = time.monotonic() + interval
        self.poke()

    def destroy_model(self, model: Model, *, force: bool = False) -> None:
        """Begin to remove a model, applications first; it leaves `models` when its namespace is gone."""
        model.life = Life.DYING
        for name in list(model.remote_applications):
            self.remove_consumed(model, name, force=force)
        for offer in list(model.offers):
            self.remove_offer(model, offer, force=True)
        for application in list(model.applications.values()):
            self.remove_application(model, application, force=force, destroy_storage=True)
        self.poke()

    # Applications

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
        storage: Mapping[str, str] | None = None,
    ) -> Application:
        """Deploy a charm; `storage` maps names to `pool,count,size`, if the charm's minimum is not enough."""
        if name in model.remote_applications:
            raise JujuError(
                f'cannot add application "{name}": saas application with same name already exists'
            )
        if name in model.applications:
            raise JujuError(f'deploying {origin} charm: application "{name}" already exists')
        application = Application(
            name, charm, origin, channel, config=dict(config or {}), trust=trust, scale=scale
        )
        application.workloads = self.workloads.get(name, {})
        application.storage = directives(charm.storage, storage or {}, charm.name)
        # The pods' images are among the resources.
        self._hosts.write_resources(model, application, resources or {})
        self._namespace.add_application(model, application, self._hosts.kubeconfig(model, application))
        model.applications[name] = application
        self._relate_peers(model, application, charm)
        self._hosts.start(model, application)
        self._fill(model, application)
        self.poke()
        return application

    def attach_resources(self, model: Model, application: Application, given: Mapping[str, str]) -> None:
        """Store resources; the charm gets the same hooks as for a new revision of itself."""
        if given:
            self._hosts.write_resources(model, application, given)
            self._replace_pods(model, application)

    def set_scale(
        self, model: Model, application: Application, scale: int, *, destroy_storage: bool = False
    ) -> None:
        """Change the number of units; those with the highest numbers go first, as in a StatefulSet."""
        application.scale, application.destroys_storage = scale, destroy_storage
        for unit in application.units.values():
            if unit.number >= scale and unit.life is Life.ALIVE:
                unit.life = Life.DYING
        self._fill(model, application)
        self._scale_pods(model, application)
        self.poke()

    def remove_application(
        self,
        model: Model,
        application: Application,
        *,
        force: bool = False,
        destroy_storage: bool = False,
    ) -> None:
        """Begin to remove an application: break its relations, stop its units; `force` skips their hooks.

        Its offers go, too; but one that is in use keeps it, unless forced (juju/juju, state/application.go).
        """
        offers = [offer for offer in model.offers.values() if offer.application == application.name]
        if not force and any(self.connections(model, offer.name) for offer in offers):
            count = f"{len(offers)} offer{'s'[: len(offers) != 1]}"
            raise JujuError(
                f'cannot destroy application "{application.name}": application is used by {count}'
            )
        for offer in offers:
            self.remove_offer(model, offer.name, force=True)
        application.life, application.destroys_storage = Life.DYING, destroy_storage
        for relation in model.relations_of(application.name):
            relation.life = Life.DYING
        for unit in application.units.values():
            unit.life = Life.DEAD if force else Life.DYING
        self.poke()

    def set_config(self, model: Model, application: Application, values: Mapping[str, Any]) -> None:
        """Set options, or reset those whose value is None; only a change causes config-changed."""
        defaults, merged = application.charm.defaults(), {**application.config, **values}
        merged = {key: value for key, value in merged.items() if value is not None}
        if defaults | merged != defaults | application.config:
            application.config_version += 1
        application.config = merged
        self.poke()

    def set_trust(self, model: Model, application: Application, trust: bool) -> None:
        """Grant or revoke the rights of `juju trust`; a change causes config-changed."""
        changed, application.trust = application.trust != trust, trust
        self._namespace.trust(model, application)
        application.config_version += changed
        self.poke()

    def refresh(self, model: Model, application: Application, charm: Charm) -> None:
        """Run another revision of a charm, in new pods as on Kubernetes."""
        application.charm = charm
        application.revision += 1
        self._relate_peers(model, application, charm)
        self._hosts.write_resources(model, application, {})
        self._replace_pods(model, application)

    def move_leadership(self, application: Application, unit: Unit) -> None:
        """Make another unit the leader, as when a lease of Juju's expires; tests call this."""
        for each in application.units.values():
            each.seen.leader = each.seen.leader and each is unit
        application.leader = unit.name
        self.poke()

    # Relations and units

    def remove_relation(self, relation: Relation) -> None:
        """Break a relation."""
        if relation.is_peer:
            raise JujuError("a peer relation cannot be removed")
        relation.life = Life.DYING
        self.poke()

    def enqueue(
        self, model: Model, unit: Unit, kind: str, name: str, parameters: Mapping[str, Any] | None = None
    ) -> Task:
        """Queue a unit's task: an `action`, or the `dispatch` of an event that its watcher asks for."""
        task = Task(model.next_task, kind, unit.name, name, dict(parameters or {}))
        model.next_task += 1
        model.tasks[task.id] = task
        unit.tasks.append(task)
        self.poke()
        return task

    def resolve(self, model: Model, unit: Unit, *, retry: bool) -> None:
        """Run the failed hook again, or treat it as run."""
        if unit.failed is None:
            raise JujuError(f'unit "{unit.name}" is not in an error state')
        if retry:
            unit.retry_at, unit.retries = 0.0, 0
        else:
            commit.skip(model, unit, self._update_status_interval(model))
        self.poke()

    def _relate_peers(self, model: Model, application: Application, charm: Charm) -> None:
        """Add the missing peer relations of a charm; a new revision may declare more."""
        relations = model.relations_of(application.name)
        there = {end.name for each in relations if (end := each.end(application.name))}
        for spec in charm.endpoints.values():
            if spec.role == "peers" and spec.name not in there:
                self._relate(model, [Endpoint(application.name, spec.name, "peers")], spec.interface)
