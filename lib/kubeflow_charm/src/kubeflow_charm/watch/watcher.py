"""The small process beside the charm that asks for a hook when objects of the application change.

Juju sends no event when a Deployment becomes ready, or when somebody deletes a ConfigMap of ours. So the
leader keeps one detached process (`process.py`). It follows the application's objects, and asks Juju for a
hook with `juju-exec`, like the Patroni observer of postgresql-k8s.

A file in the temporary folder has the objects to follow and the identity of the process: its number and its
start, because numbers are reused. The process ends when the file names another process, or none.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightkube
import ops

from kubeflow_charm.cluster import ownership, resources
from kubeflow_charm.cluster.plan import PARENT_KIND
from kubeflow_charm.watch import digests, state
from kubeflow_charm.watch.apiserver import Access
from kubeflow_charm.watch.logs.loki import Target

logger = logging.getLogger(__name__)

EVENT = "kubernetes_changed"
"""The event that the process dispatches."""
PROGRAM = Path(__file__).with_name("__main__.py")

_LOG_LIMIT = 1 << 20
"""Bytes of a log after which a new process starts a new one."""
_START_WITHIN = 60.0


@dataclasses.dataclass(frozen=True)
class Followed:
    """A kind to follow, and the selection of its objects.

    Args:
        api_version: `v1`, `apps/v1`.
        kind: `Node`.
        plural: `nodes`.
        labels: the labels that select them; a value of None asks for the label only.
        fields: the fields that select them.
        namespaced: whether they are looked for in the namespace.
        matters: which changes do, by a name in `digests.STATES`; `digests.APPLIED` for what others do to
            our fields; `digests.PRESENCE` for objects that come and go.
    """

    api_version: str
    kind: str
    plural: str
    labels: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    fields: Mapping[str, str] = dataclasses.field(default_factory=dict)
    namespaced: bool = False
    matters: str = "spec"

    def __post_init__(self) -> None:
        """Check `matters` here: the process has nobody to tell.

        Raises:
            ValueError: for a name that is none: a bug of the charm.
        """
        known = (*digests.STATES, digests.APPLIED, digests.PRESENCE)
        if self.matters not in known:
            raise ValueError(f"{self.matters} is not in {[*known]}")


NODES = Followed("v1", "Node", "nodes", matters="placement")
"""For a charm that reads the cluster's GPUs."""
DEFINITIONS = Followed(
    "apiextensions.k8s.io/v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    matters=digests.PRESENCE,
)
"""For a charm that has to know which kinds exist."""


def definition(name: str) -> Followed:
    """Return what follows the CustomResourceDefinition of a name, and changes of it."""
    return dataclasses.replace(DEFINITIONS, matters="spec", fields={"metadata.name": name})


_SHOWN = ("Deployment", "StatefulSet")
"""Kinds whose state a status shows."""


@dataclasses.dataclass(frozen=True)
class Logs:
    """Where the logs of the application's pods go.

    Args:
        targets: the Lokis.
        labels: the labels of all lines; each line also has its namespace, pod and container.
    """

    targets: tuple[Target, ...]
    labels: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class WatchSpec:
    """The objects to follow: the application's pods, all its own objects, and `further`.

    Args:
        namespace: the namespace of workloads and pods.
        labels: the labels that select the application's objects.
        further: more objects to follow, such as nodes or namespaces.
        retry_after: seconds after which to ask for a hook without a change, and then ever more rarely; for
            causes that nobody can watch, such as an API server that is away. None for never.
        logs: where the logs of the application's pods go; None for nowhere.
    """

    namespace: str
    labels: Mapping[str, str]
    further: tuple[Followed, ...] = ()
    retry_after: float | None = None
    logs: Logs | None = None

    def followed(self) -> list[dict[str, Any]]:
        """Return the kinds to follow in any case, as plain data. A ConfigMap has the record of the others."""
        pods = Followed("v1", "Pod", "pods", self.labels, namespaced=True, matters="status")
        always = (pods, self._owned(PARENT_KIND), *self.further)
        return [dataclasses.asdict(each) for each in always]

    def kinds(self) -> dict[str, dict[str, Any]]:
        """Return every kind that the application may own, by its name in the record, as plain data."""
        return {kind.group_kind: dataclasses.asdict(self._owned(kind)) for kind in resources.KINDS}

    def sent(self) -> dict[str, Any] | None:
        """Return which logs go where, as plain data."""
        if self.logs is None:
            return None
        return {
            "namespace": self.namespace,
            "selector": dict(self.labels),
            "labels": dict(self.logs.labels),
            "targets": [each._asdict() for each in self.logs.targets],
        }

    def _owned(self, kind: resources.Kind) -> Followed:
        matters = "status" if kind.kind in _SHOWN else digests.APPLIED
        return Followed(kind.api_version, kind.kind, kind.plural, self.labels, matters=matters)


class Watcher:
    """The watching process of this unit."""

    def __init__(self, charm: ops.CharmBase):
        self._unit = charm.unit.name
        self._charm_dir = str(charm.charm_dir)
        self._own = ownership.ApplySet(charm.app.name, charm.model.name)
        # Two models on one machine, as in a rehearsal, have units of the same name.
        name = f"{self._unit.replace('/', '-')}-{charm.model.uuid[:8]}-watcher"
        self._path = Path(tempfile.gettempdir()) / f"{name}.json"

    def ensure(self, spec: WatchSpec) -> None:
        """Make sure that a process follows `spec`: start one, or replace one that follows something else.

        If a process already follows `spec`, this reads two small files, and tells it where logs go. Without a
        process, the charm still works, but notices changes only at the next update-status, and no log goes
        anywhere. So a failure is only logged.
        """
        wanted = json.loads(json.dumps(self._watched(spec)))
        found = state.read(self._path)
        try:
            api = access(lightkube.KubeConfig.from_env().get())
            now = {"retry_after": spec.retry_after, "api": api, "logs": spec.sent()}
            if state.lives(found) and found.get("watched") == wanted:
                if any(found.get(key) != value for key, value in now.items()):
                    state.write(self._path, found | now)
            else:
                self.stop()
                self._start({"watched": wanted, **now})
        except (OSError, subprocess.SubprocessError, lightkube.ConfigError) as error:
            logger.warning("no process follows the workloads: %s", error)

    def stop(self, *, forget: bool = False) -> None:
        """End the process, if there is one, and its `juju-exec`.

        Args:
            forget: whether another unit goes on. It sends logs as its own, so we need not know any more up to
                where we have sent them.
        """
        found = state.read(self._path)
        self._path.unlink(missing_ok=True)
        if forget:
            state.positions(self._path).unlink(missing_ok=True)
        if state.lives(found):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(os.getpgid(found["pid"]), signal.SIGTERM)

    def _watched(self, spec: WatchSpec) -> dict[str, Any]:
        """Return what a running process cannot change, including its program, which an upgrade replaces."""
        sources = [file.stat() for file in sorted(PROGRAM.parent.rglob("*.py"))]
        return {
            "unit": self._unit,
            "event": EVENT,
            "charm_dir": self._charm_dir,
            "namespace": spec.namespace,
            "manager": self._own.field_manager,
            "followed": spec.followed(),
            "record": {
                "parent": self._own.name,
                "annotation": ownership.KINDS,
                "kinds": spec.kinds(),
            },
            "program": [[file.st_mtime_ns, file.st_size] for file in sources],
        }

    def _start(self, begun: state.State) -> None:
        state.write(self._path, begun)
        path = self._path.with_suffix(".log")
        long = path.exists() and path.stat().st_size > _LOG_LIMIT
        # Otherwise juju-exec would believe that it is part of this hook.
        environment = {key: value for key, value in os.environ.items() if key != "JUJU_CONTEXT_ID"}
        # One heap for each thread would double the memory.
        environment["MALLOC_ARENA_MAX"] = "1"
        with path.open("w" if long else "a") as log:
            subprocess.run(
                # -P keeps the names of this folder's modules out of the process's imports.
                [sys.executable, "-P", str(PROGRAM), str(self._path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=environment,
                timeout=_START_WITHIN,
                check=True,
            )


def access(config: lightkube.SingleConfig | None) -> Access:
    """Return the access to the API server, as plain data.

    In a pod, these are the service account's files, which the kubelet renews. A kubeconfig may have a token
    or a key itself.

    Raises:
        lightkube.ConfigError: if no cluster is configured, or if its access needs more than a token or a
            certificate, such as a program that makes tokens.
        OSError: if the file with the authority cannot be read.
    """
    if config is None:
        raise lightkube.ConfigError("no cluster is configured")
    cluster, user = config.cluster, config.user
    found: dict[str, Any] = {"server": cluster.server}
    if cluster.certificate_auth:
        found["ca_file"] = str(config.abs_file(cluster.certificate_auth))
    elif cluster.certificate_auth_data:
        found["ca_data"] = _decoded(cluster.certificate_auth_data)
    elif cluster.insecure:
        found["insecure"] = True
    if user is None:
        return found
    if user.token_file:
        found["token_file"] = str(config.abs_file(user.token_file))
    elif user.token:
        found["token"] = user.token
    elif user.exec or user.auth_provider or user.username:
        raise lightkube.ConfigError("a kubeconfig with a token or a certificate is needed")
    if user.client_cert or user.client_cert_data:
        for key, file, data in (
            ("certificate", user.client_cert, user.client_cert_data),
            ("key", user.client_key, user.client_key_data),
        ):
            found[key] = _decoded(data) if data else str(config.abs_file(file or ""))
    return found


def _decoded(data: str) -> str:
    return base64.b64decode(data).decode()
