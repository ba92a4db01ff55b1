"""The one lifecycle of every charm: gather, render, converge, publish, report."""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import ops

from kubeflow_charm import config, images, manifests
from kubeflow_charm.cluster import readiness
from kubeflow_charm.cluster.executor import Cluster
from kubeflow_charm.cluster.resources import Manifest
from kubeflow_charm.problems import Problem, flattened, statuses
from kubeflow_charm.watch import watcher

logger = logging.getLogger(__name__)

RETRY_AFTER = 1.0
"""Seconds after which the watcher asks again, when a hook ended waiting for what it does not follow; each
time it asks later than before."""


class KubernetesChangedEvent(ops.EventBase):
    """A workload of the application came up, went down, or changed its reason for neither."""


class ComponentCharmEvents(ops.CharmEvents):
    """Juju's events, and the one that the watcher dispatches."""

    kubernetes_changed = ops.EventSource(KubernetesChangedEvent)


_RECONCILED = (
    ops.ConfigChangedEvent,
    ops.InstallEvent,
    ops.LeaderElectedEvent,
    ops.RelationEvent,
    ops.SecretEvent,
    ops.StartEvent,
    ops.UpdateStatusEvent,
    ops.UpgradeCharmEvent,
    KubernetesChangedEvent,
)
"""All of them do the same. Actions ask, `stop` and `remove` take away."""


class ComponentCharm(ops.CharmBase):
    """Converge the cluster on every event; say why when it cannot.

    A charm says what should exist (`manifests`) and what it tells others (`publish`). Whatever keeps it from
    that is a `Problem`, raised by the reader that finds it. Only the leader works; other units are active
    and take over. Templates lie in `src/templates`, beside the charm's module.
    """

    on = ComponentCharmEvents()  # pyright: ignore[reportAssignmentType] (ops' way to add events)
    config_type: type[config.Config] = config.Config
    """The charm's options."""

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        self._problems: list[Problem] = []
        self._reconciled = False
        self.cluster = Cluster(self.app.name, self.namespace)
        for event in self.on.events().values():
            if issubclass(event.event_type, _RECONCILED):
                framework.observe(event, self._reconcile)
        framework.observe(self.on.secret_remove, self._forget)
        framework.observe(self.on.remove, self._remove)
        framework.observe(self.on.collect_unit_status, self._report)
        if "list-images" in self.meta.actions:
            framework.observe(self.on["list-images"].action, self._list_images)

    # What a charm says

    def manifests(self) -> list[Manifest]:
        """Return everything that should exist.

        Raises:
            Problem: or a group of them, if something is missing for that.
        """
        raise NotImplementedError

    def publish(self) -> None:
        """Write relation data; called on every successful hook of the leader."""

    def active_message(self) -> str:
        """Return the one fact that `juju status` shows while all is well, or nothing."""
        return ""

    def followed(self) -> tuple[watcher.Followed, ...]:
        """Return what else brings a hook when it changes, beyond the application's own workloads."""
        return ()

    def user_images(self) -> list[str]:
        """Return the images that users' pods may run on the charm's word, beyond its resources."""
        return []

    def part(self, relation: ops.Relation) -> None:
        """Undo what was done at the other end of a relation that breaks; called before all else.

        What the other application wrote can be read this last time (canonical/operator, issue 888). The hook
        goes on whatever comes of it, and makes anew what another relation still needs.

        Raises:
            Problem: or a group of them, for the log.
        """

    def leave(self) -> None:
        """Let go of what would wait for ever for the workloads that are gone; never raises."""

    def converge(self) -> list[Problem]:
        """Make the cluster what it should be, tell others, and return what is not ready yet."""
        outcome = self.cluster.converge(self.manifests())
        self.publish()
        return [*readiness.problems(outcome.live, self.cluster.pods), *outcome.problems]

    # What it says it with

    @property
    def namespace(self) -> str:
        """The namespace of the model, which has the model's name."""
        return self.model.name

    def read_config(self) -> Any:
        """Return the options as `config_type`; raises the problems of each wrong one."""
        return config.read(self.config, self.config_type)

    @functools.cached_property
    def images(self) -> images.Images:
        """The charm's images; raises the problems of those that are missing."""
        return images.read(self, self.read_config().image_registry)

    def render(self, **values: Any) -> list[Manifest]:
        """Render the charm's templates with `values`, `app`, `namespace` and `images`.

        Where a registry asks for credentials, the pull secret and its mention in every pod come along.
        """
        common = {
            "app": self.app.name,
            "namespace": self.namespace,
            "images": self.images.references,
        }
        documents = manifests.render(self._templates, common | values)
        secret = self.images.pull_secret(self.app.name, self.namespace)
        return documents if secret is None else [secret, *_pulling_with(secret, documents)]

    @functools.cached_property
    def _templates(self) -> Path:
        return Path(self.charm_dir) / "src" / "templates"

    # The loop

    def _reconcile(self, event: ops.EventBase) -> None:
        if not self.unit.is_leader():
            self._watcher.stop()
            return
        self._reconciled = True
        # Juju need not say whose the relation was (https://bugs.launchpad.net/juju/+bug/1960934).
        if isinstance(event, ops.RelationBrokenEvent) and event.relation.app:
            self._part(event.relation)
        try:
            with _uncollected():
                self._problems = self.converge()
        except* Problem as group:
            self._problems = flattened(group)
        finally:
            self.cluster.close()
        for problem in self._problems:
            logger.info("%s: %s", problem.status.name, problem)
        self._watch()

    def _part(self, relation: ops.Relation) -> None:
        try:
            self.part(relation)
        except* Problem as group:
            for problem in flattened(group):
                logger.warning("%s is left as it is: %s", relation.name, problem)

    def _watch(self) -> None:
        waits = any(isinstance(p.status, ops.WaitingStatus) for p in self._problems)
        self._watcher.ensure(
            watcher.WatchSpec(
                namespace=self.namespace,
                labels=self.cluster.own.selector,
                further=self.followed(),
                retry_after=RETRY_AFTER if waits else None,
            )
        )

    @functools.cached_property
    def _watcher(self) -> watcher.Watcher:
        return watcher.Watcher(self)

    def _forget(self, event: ops.SecretRemoveEvent) -> None:
        """Have Juju forget what a secret held before, once nobody reads that any more."""
        if self.unit.is_leader():
            event.remove_revision()

    def _remove(self, _: ops.RemoveEvent) -> None:
        self._watcher.stop()
        if self.app.planned_units() == 0:
            self.cluster.clear()
            self.leave()
            self.cluster.close()

    def _report(self, event: ops.CollectStatusEvent) -> None:
        if not self.unit.is_leader():
            event.add_status(ops.ActiveStatus("standby"))
            return
        if not self._reconciled:  # an action, or the end: nothing new is known
            return
        for status in statuses(self._problems):
            event.add_status(status)
        event.add_status(ops.ActiveStatus(self.active_message()))

    def _list_images(self, event: ops.ActionEvent) -> None:
        every = {*self.images.references.values(), *self.user_images()}
        event.set_results({"images": "\n".join(sorted(every))})


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Have no garbage collected: a fifth of a hook that reads thousands of objects, and finds none."""
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
        pod = (document.get("spec") or {}).get("template", {}).get("spec")
        if pod is not None:
            pod["imagePullSecrets"] = [{"name": secret["metadata"]["name"]}]
    return documents
