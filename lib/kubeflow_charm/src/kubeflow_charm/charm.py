"""The one lifecycle of every charm: gather, render, converge, publish, report."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gc
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

import ops

from kubeflow_charm import config, images, manifests, workload_logs
from kubeflow_charm.cluster import readiness
from kubeflow_charm.cluster.executor import Cluster, Placed
from kubeflow_charm.cluster.resources import Manifest, kind_of
from kubeflow_charm.gateway import principal
from kubeflow_charm.observability.observability import Observability
from kubeflow_charm.problems import Problem, flattened, shortened, statuses
from kubeflow_charm.watch import watcher

logger = logging.getLogger(__name__)

for _name in ("httpx2", "httpcore2", "ops.charm"):
    # ops starts a `juju-log` process for each record. The first two loggers log each step of a request. The
    # third logs each status, which Juju logs itself.
    logging.getLogger(_name).setLevel(logging.WARNING)

# The libraries stay as long as the process: no garbage collection need look through them.
gc.freeze()

RETRY_AFTER = 1.0
"""Seconds until the watcher asks for another hook, if a hook ended with a problem that may go without a
change that the watcher follows. The interval grows each time."""

_LOGGED_PROBLEMS = 10
"""Problems that one log record names; the status shows only the first."""

Facts = TypeVar("Facts")
"""What a charm gathers: one frozen value with its options and the data of its relations."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result of a hook.

    Args:
        problems: objects that are not ready, and conditions that stop the work.
        summary: the one fact that `juju status` shows while there is no problem.
    """

    problems: list[Problem]
    summary: str = ""


class KubernetesChangedEvent(ops.EventBase):
    """A workload became ready or unready, or somebody changed one of our objects."""


class ComponentCharmEvents(ops.CharmEvents):
    """Juju's events, and the event that the watcher dispatches."""

    kubernetes_changed = ops.EventSource(KubernetesChangedEvent)


_RECONCILED = (
    ops.ConfigChangedEvent,
    ops.InstallEvent,
    ops.LeaderElectedEvent,
    ops.RelationBrokenEvent,
    ops.RelationChangedEvent,
    ops.RelationCreatedEvent,
    ops.SecretEvent,
    ops.StartEvent,
    ops.UpdateStatusEvent,
    ops.UpgradeCharmEvent,
    KubernetesChangedEvent,
)
"""All these events cause the same hook; `remove` deletes. Events of a remote unit are left out: charms read
only the data of remote applications, and Juju reports that by a relation-changed without a unit, before any
unit joins (juju/juju 3.6, worker/uniter/relation/resolver.go). But a Loki's units write (`workload_logs`)."""


class ComponentCharm(ops.CharmBase, Generic[Facts]):
    """Converge the cluster on every event; say why when it cannot.

    A charm collects its facts (`gather`). From these it makes the objects that should exist (`manifests`,
    `spread`) and its relation data (`publish`). A condition that stops the work is a `Problem`; the reader
    that finds it raises it. Only the leader works; other units are active and take over. Templates are in
    `src/templates`, beside the charm's module.
    """

    on = ComponentCharmEvents()  # pyright: ignore[reportAssignmentType] (ops' way to add events)
    config_type: type[config.Config] = config.Config
    """The charm's options."""

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        self._outcome: Outcome | None = None
        self.cluster = Cluster(self.app.name, self.namespace)
        self.observability = Observability(self, self.namespace, self.cluster.own.instance)
        for event in self.on.events().values():
            if issubclass(event.event_type, _RECONCILED):
                framework.observe(event, self._reconcile)
        for event in workload_logs.WorkloadLogs(self).events():
            framework.observe(event, self._reconcile)
        framework.observe(self.on.secret_remove, self._remove_revision)
        framework.observe(self.on.remove, self._remove)
        framework.observe(self.on.collect_unit_status, self._report)
        if "list-images" in self.meta.actions:
            framework.observe(self.on["list-images"].action, self._list_images)

    # What a charm overrides

    def gather(self) -> Facts:
        """Return the facts of this hook: options, images, relation data, the cluster's nodes.

        Raises:
            Problem: or a group of them, for everything that is missing or wrong.
        """
        raise NotImplementedError

    def manifests(self, facts: Facts) -> list[Manifest]:
        """Return the application's own objects that should exist."""
        raise NotImplementedError

    def spread(self, facts: Facts) -> Iterable[Placed]:
        """Return objects for users' namespaces; if one is refused, the others go on.

        Raises:
            Problem: or a group of them, if the charm cannot decide which objects these are.
        """
        return ()

    def publish(self, facts: Facts) -> str:
        """Write relation data, on every successful hook of the leader.

        Returns:
            The fact that `juju status` shows while there is no problem, or an empty text.

        Raises:
            Problem: or a group of them, for data that the charm cannot offer.
        """
        return ""

    def followed(self) -> tuple[watcher.Followed, ...]:
        """Return which other objects cause a hook when they change, besides the application's own."""
        return ()

    def user_images(self) -> list[str]:
        """Return the images that this charm may start in users' pods, besides its resources."""
        return []

    def disconnect(self, relation: ops.Relation) -> None:
        """Undo what this charm did at the other end of a relation that breaks; called first in the hook.

        The other application's data is readable here for the last time (canonical/operator, issue 888). The
        hook goes on even if this fails, and creates again what another relation still needs.

        Raises:
            Problem: or a group of them, for the log.
        """

    def after_removal(self) -> None:
        """Release what would wait forever for workloads that no longer exist; never raises."""

    def converge(self, facts: Facts) -> Outcome:
        """Apply the objects, publish relation data, and return what is not ready yet."""
        documents = self.manifests(facts)
        exposing = self.observability.objects(documents)
        converged = self.cluster.converge([*documents, *exposing], self.spread(facts))
        summary = self.publish(facts)
        complaints = self.observability.publish(documents, converged.live)
        problems = readiness.problems(converged.live, self.cluster.pods)
        return Outcome([*problems, *converged.problems], "; ".join(filter(None, (*complaints, summary))))

    # What a charm uses

    @property
    def namespace(self) -> str:
        """The namespace of the model, which has the model's name."""
        return self.model.name

    def read_config(self) -> Any:
        """Return the options as `config_type`; they are read once per hook.

        Raises:
            ExceptionGroup: with one blocked `Problem` for each wrong option; the same group at each call.
        """
        if isinstance(self._options, ExceptionGroup):
            raise self._options
        return self._options

    @property
    def valid_config(self) -> Any:
        """The options as `config_type`; None if one of them is wrong, which the status says."""
        return None if isinstance(self._options, ExceptionGroup) else self._options

    @functools.cached_property
    def _options(self) -> config.Config | ExceptionGroup:
        try:
            return config.read(self.config, self.config_type)
        except ExceptionGroup as problems:
            return problems

    @functools.cached_property
    def images(self) -> images.Images:
        """The charm's images; raises a problem for each missing one."""
        return images.read(self, self.read_config().image_registry)

    @property
    def summary(self) -> str:
        """The fact of this hook that `juju status` shows while there is no problem."""
        return self._outcome.summary if self._outcome else ""

    def render(self, **values: Any) -> list[Manifest]:
        """Render the charm's templates with `values` and with the values that every template has.

        These are `app`, `namespace`, `images`, `principal` (a function), and `instance`: the value of the
        label `app.kubernetes.io/instance`, which only the application's pods have.

        If a registry asks for credentials, the result has a pull secret, and every pod names it.
        """
        common = {
            "app": self.app.name,
            "namespace": self.namespace,
            "instance": self.cluster.own.instance,
            "principal": principal,
            "images": self.images.references,
        }
        documents = manifests.render(self._templates, common | values)
        secret = self.images.pull_secret(self.app.name, self.namespace)
        return documents if secret is None else [secret, *_pulling_with(secret, documents)]

    @functools.cached_property
    def _templates(self) -> Path:
        return Path(self.charm_dir) / "src" / "templates"

    @contextlib.contextmanager
    def answering(self, event: ops.ActionEvent) -> Iterator[None]:
        """Fail an action with the problems that the block raises."""
        try:
            yield
        except* Problem as group:
            event.fail("; ".join(map(str, flattened(group))))
        finally:
            self.cluster.close()

    # The loop

    def _reconcile(self, event: ops.EventBase) -> None:
        if isinstance(event, ops.RelationChangedEvent) and event.unit and not workload_logs.is_news(event):
            return
        if not self.unit.is_leader():
            self._watcher.stop(forget=True)
            self.observability.stand_by()
            return
        # Juju may not name the remote application (https://bugs.launchpad.net/juju/+bug/1960934).
        if isinstance(event, ops.RelationBrokenEvent) and event.relation.app:
            self._disconnect(event.relation)
        try:
            with _uncollected():
                self._outcome = self.converge(self.gather())
        except* Problem as group:
            self._outcome = Outcome(flattened(group))
        finally:
            self.cluster.close()
        logs, problems = workload_logs.WorkloadLogs(self).connect()
        self._outcome = dataclasses.replace(self._outcome, problems=[*self._outcome.problems, *problems])
        self._log(self._outcome)
        self._watch(self._outcome, logs)

    def _log(self, outcome: Outcome) -> None:
        """Log the problems, unless the status has shown them since an earlier hook."""
        if outcome.problems and self.unit.status not in statuses(outcome.problems):
            logger.info("not ready: %s", "; ".join(map(str, outcome.problems[:_LOGGED_PROBLEMS])))

    def _disconnect(self, relation: ops.Relation) -> None:
        try:
            self.disconnect(relation)
        except* Problem as group:
            for problem in flattened(group):
                logger.warning("%s is left as it is: %s", relation.name, problem)

    def _watch(self, outcome: Outcome, logs: watcher.Logs | None) -> None:
        self._watcher.ensure(
            watcher.WatchSpec(
                namespace=self.namespace,
                labels=self.cluster.own.selector,
                further=self.followed(),
                retry_after=RETRY_AFTER if any(each.heals for each in outcome.problems) else None,
                logs=logs,
            )
        )

    @functools.cached_property
    def _watcher(self) -> watcher.Watcher:
        return watcher.Watcher(self)

    def _remove_revision(self, event: ops.SecretRemoveEvent) -> None:
        """Remove a secret's revision that nobody uses any more."""
        if self.unit.is_leader():
            event.remove_revision()

    def _remove(self, _: ops.RemoveEvent) -> None:
        self._watcher.stop()
        if self.app.planned_units() == 0:
            self.cluster.clear()
            self.after_removal()
            self.cluster.close()

    def _report(self, event: ops.CollectStatusEvent) -> None:
        if not self.unit.is_leader():
            event.add_status(ops.ActiveStatus("standby"))
            return
        if self._outcome is None:  # an action or a removal: nothing new is known
            return
        for status in statuses(self._outcome.problems):
            event.add_status(status)
        event.add_status(ops.ActiveStatus(shortened(self.summary)))

    def _list_images(self, event: ops.ActionEvent) -> None:
        with self.answering(event):
            every = {*self.images.references.values(), *self.user_images()}
            event.set_results({"images": "\n".join(sorted(every))})


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Disable garbage collection: it takes a fifth of a hook that reads thousands of objects for nothing."""
    collected = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collected:
            gc.enable()


def _pulling_with(secret: Manifest, documents: Iterable[Manifest]) -> list[Manifest]:
    """Name the pull secret in every pod template."""
    documents = list(documents)
    for document in documents:
        if kind_of(document).pods:
            pod = document["spec"]["template"]["spec"]
            pod["imagePullSecrets"] = [{"name": secret["metadata"]["name"]}]
    return documents
