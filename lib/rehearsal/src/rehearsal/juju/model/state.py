"""The state of a Juju model.

Plain data with look-ups only: the engine changes it, the commands read it. One half is the present state
(`Application.config`, `Relation.application_data`, `Secret.revisions`, ...). The other half is the part of it
that each unit has seen (`Seen`), which Juju's unit agent keeps. A hook is due where the two halves differ
(`resolver.py`), so nothing is lost when events come late, merge or repeat.
"""

from __future__ import annotations

import datetime
import enum
import uuid
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rehearsal.juju.model.charms import Charm
from rehearsal.juju.model.storage import Directive, StorageInstance
from rehearsal.juju.model.workloads import SILENT, Workload


def now() -> datetime.datetime:
    """Return the present time in UTC, the zone of all times in the state."""
    return datetime.datetime.now(datetime.UTC)


_REMEMBERED = 200
"""How many statuses of an entity are remembered; Juju prunes its own by age and size."""


class Life(enum.StrEnum):
    """Juju's three stages of an entity that can be removed."""

    ALIVE = "alive"
    DYING = "dying"
    DEAD = "dead"


@dataclass
class Status:
    """One status as `juju status` shows it: a word, a message, and the time of the last change."""

    current: str = "unknown"
    message: str = ""
    since: datetime.datetime = field(default_factory=now)
    past: deque[tuple[datetime.datetime, str, str]] = field(
        default_factory=lambda: deque(maxlen=_REMEMBERED), repr=False, compare=False
    )
    """The statuses so far, the present one last: time, word and message."""

    def __post_init__(self) -> None:
        self.past.append((self.since, self.current, self.message))

    def set(self, current: str, message: str = "") -> bool:
        """Change the status; return whether it changed. `since` moves only on a real change."""
        if (current, message) == (self.current, self.message):
            return False
        self.current, self.message, self.since = current, message, now()
        self.past.append((self.since, current, message))
        return True


@dataclass
class Settings:
    """One databag; its version tells which changes a unit has seen."""

    data: dict[str, str] = field(default_factory=dict)
    version: int = 0

    def replace(self, data: dict[str, str]) -> bool:
        """Replace the data; return whether it changed. The version moves only on a real change."""
        if data == self.data:
            return False
        self.data, self.version = dict(data), self.version + 1
        return True


@dataclass
class Endpoint:
    """One side of a relation: an application, and an endpoint of its charm."""

    application: str
    name: str
    role: str
    """`provides`, `requires` or `peers`."""

    def __str__(self) -> str:
        return f"{self.application}:{self.name}"


@dataclass
class Relation:
    """A relation between two endpoints, or a peer relation with one."""

    id: int
    interface: str
    endpoints: list[Endpoint]
    application_data: dict[str, Settings] = field(default_factory=dict)
    """By application name."""
    unit_data: dict[str, Settings] = field(default_factory=dict)
    """By unit name, for the units in scope."""
    left_data: dict[str, Settings] = field(default_factory=dict)
    """By unit name, for units that left the scope; Juju keeps the data readable while the relation exists."""
    life: Life = Life.ALIVE
    suspended: bool = False
    proxy: str = ""
    """In a relation between two models: the name under which the other model's application is known here."""
    other: Relation | None = field(default=None, repr=False, compare=False)
    """In a relation between two models: its half in the other model; None once that is gone."""
    other_model: Model | None = field(default=None, repr=False, compare=False)
    """The model of the other half."""
    offer: str = ""
    """The offer that the relation uses, in the half of the model that offers."""
    made: datetime.datetime = field(default_factory=now, compare=False)

    @property
    def is_peer(self) -> bool:
        """Whether the relation connects the units of one application."""
        return len(self.endpoints) == 1

    @property
    def key(self) -> str:
        """Juju's key of the relation, `requirer:endpoint provider:endpoint`."""
        ordered = sorted(self.endpoints, key=lambda end: end.role != "requires")
        return " ".join(str(end) for end in ordered)

    def end(self, application: str) -> Endpoint | None:
        """Return the endpoint of `application`, if it takes part."""
        return next((end for end in self.endpoints if end.application == application), None)

    def remote(self, application: str) -> str:
        """Return the application on the other side; for a peer relation, the application itself."""
        if self.is_peer:
            return application
        return next(e.application for e in self.endpoints if e.application != application)

    def in_scope(self, application: str) -> list[str]:
        """Return the units of `application` that have entered the relation's scope."""
        return [name for name in self.unit_data if name.split("/")[0] == application]


@dataclass
class SeenRelation:
    """The part of a relation's state that a unit has seen."""

    created: bool = False
    members: dict[str, int | None] = field(default_factory=dict)
    """Maps each remote unit to the version of its settings last seen; None between joined and changed."""
    application_version: int = 0
    """Version of the remote application's settings last seen."""
    broken: bool = False


@dataclass
class Seen:
    """The hooks and state that a unit has seen: the local state of Juju's uniter."""

    installed: bool = False
    queued: str = ""
    """The hook that Juju runs before all others that are due: `config-changed` or `start`."""
    started: bool = False
    stopped: bool = False
    removed: bool = False
    leader: bool = False
    leader_settings: bool = False
    """Whether it has been told that somebody else leads."""
    config_version: int | None = None
    charm_version: int | None = None
    pebble_ready: set[str] = field(default_factory=set)
    relations: dict[int, SeenRelation] = field(default_factory=dict)
    secrets: dict[str, int] = field(default_factory=dict)
    """Maps a secret's id to the newest revision for which secret-changed ran."""
    secret_removals: dict[str, set[int]] = field(default_factory=dict)
    """Maps a secret's id to the revisions for which the owner ran secret-remove."""
    storage: set[str] = field(default_factory=set)
    """The identifiers of storage for which storage-attached ran."""
    update_status_due: float = 0.0
    """Monotonic time of the next update-status."""


@dataclass(frozen=True)
class Hook:
    """One hook to run, with the details that Juju passes to the charm."""

    name: str
    """Juju's name of it: `config-changed`, `gateway-info-relation-changed`, `kubernetes_changed`."""
    kind: str
    """`lifecycle`, `relation`, `secret`, `storage`, `workload`, `task`."""
    relation: int | None = None
    step: str = ""
    """For a relation hook: `created`, `joined`, `changed`, `departed`, `broken`."""
    remote_unit: str = ""
    version: int = 0
    """For a changed hook: the version of the changed settings; for secret-changed and secret-rotate: the
    latest revision when the hook was due."""
    departing_unit: str = ""
    secret: str = ""
    revision: int | None = None
    container: str = ""
    storage: str = ""
    task: int | None = None


@dataclass
class Task:
    """One run of an action, or of an event that the unit's own watcher asked for."""

    id: int
    kind: str
    """`action`, or `dispatch` (a `juju-exec` with JUJU_DISPATCH_PATH)."""
    unit: str
    name: str
    """The action's name, or the event's, such as `kubernetes_changed`."""
    parameters: dict[str, Any] = field(default_factory=dict)
    status: str = "pending"
    """`pending`, `running`, `completed`, `failed`."""
    message: str = ""
    results: dict[str, Any] = field(default_factory=dict)
    log: list[tuple[datetime.datetime, str]] = field(default_factory=list)
    """What an action told of its progress, and when."""
    enqueued: datetime.datetime = field(default_factory=now)
    started: datetime.datetime | None = None
    completed: datetime.datetime | None = None
    operation: int = 0
    """The operation that it is part of: all tasks that one command started."""


@dataclass(frozen=True)
class Pod:
    """A running pod of a unit."""

    uid: str
    """A new pod of the same name has a new uid."""
    address: str
    version: int
    """Version of the charm that the pod is for (`Application.charm_version`)."""


@dataclass
class Unit:
    """One unit: in Kubernetes a pod, here a process host."""

    number: int
    application: str
    life: Life = Life.ALIVE
    code: int = 0
    """Version of the charm that its pod runs (`Application.charm_version`)."""
    pod_uid: str = ""
    """The uid of its pod; empty while it waits for one."""
    agent: Status = field(default_factory=lambda: Status("allocating"))
    """`allocating`, `executing`, `idle`; `workload` shows an `error`."""
    workload: Status = field(default_factory=lambda: Status("waiting", "installing agent"))
    """The status that `juju status` shows: an error hides the charm's status."""
    charm_status: Status = field(default_factory=Status)
    """The status that the charm set, or Juju for it."""
    status_set: bool = False
    """Whether the charm has ever set its status."""
    workload_version: str = ""
    address: str = ""
    ports: list[str] = field(default_factory=list)
    """Opened ports, such as `8080/tcp`."""
    workloads: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What Pebble knows in each workload container, as long as the pod lives: its `layers` by label, and the
    states of its `services`."""
    kept: dict[str, str] = field(default_factory=dict)
    """What its charm keeps with Juju (`state-set`)."""
    failed: Hook | None = None
    """The hook that failed, while the unit is in error."""
    running: Hook | None = None
    """The hook that runs now."""
    config_given: int = 0
    """Version of the configuration at the start of the last hook; a later change causes another hook."""
    retry_at: float | None = None
    """Monotonic time of the failed hook's next try; None means to wait for `juju resolved`."""
    retries: int = 0
    seen: Seen = field(default_factory=Seen)
    tasks: deque[Task] = field(default_factory=deque)

    @property
    def name(self) -> str:
        """`application/number`."""
        return f"{self.application}/{self.number}"

    @property
    def pod(self) -> str:
        """The name of its pod."""
        return f"{self.application}-{self.number}"


@dataclass
class Application:
    """A deployed charm."""

    name: str
    charm: Charm
    origin: str
    """`local`, or `charmhub` (run from a stand-in, or from a folder given instead)."""
    channel: str = ""
    revision: int = 0
    charm_version: int = 0
    """Grows with every refresh and every new resource (Juju's CharmModifiedVersion)."""
    config: dict[str, Any] = field(default_factory=dict)
    """The options that the user set; the charm holds the defaults."""
    config_version: int = 1
    trust: bool = False
    resources: dict[str, str] = field(default_factory=dict)
    """Image reference or file path, by resource name."""
    scale: int = 1
    next_unit: int = 0
    units: dict[int, Unit] = field(default_factory=dict)
    leader: str | None = None
    vacant_until: float = 0.0
    """Monotonic time until which the lease of a leader that is gone runs; before it, nobody else leads."""
    life: Life = Life.ALIVE
    status: Status = field(default_factory=Status)
    """The status that the leader set; while it is `unknown`, `juju status` shows that of the worst unit."""
    workload_version: str = ""
    exposed: bool = False
    address: str = ""
    constraints: dict[str, Any] = field(default_factory=dict)
    """As `juju set-constraints` says; they have no effect."""
    opened: list[str] = field(default_factory=list)
    """The ports that its Service has."""
    workloads: Mapping[str, Workload] = field(default_factory=dict)
    """What the user says of its containers."""
    storage: dict[str, Directive] = field(default_factory=dict)
    """What each unit has of the charm's storage, by name."""
    storage_id: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    """Part of the names of its claims."""
    destroys_storage: bool = False
    """Whether a unit's storage goes with the unit."""

    def workload(self, container: str) -> Workload:
        """Return what the user says of a container."""
        return self.workloads.get(container, SILENT)

    @property
    def stand_in(self) -> bool:
        """Whether a stand-in replaces this Charmhub charm."""
        return self.charm.stand_in


@dataclass
class Secret:
    """A Juju secret of a unit, an application or the model's user."""

    id: str
    """Twenty characters of Juju's xid alphabet, without the `secret:` scheme."""
    owner: str
    """`app`, `app/0`, or empty for the user."""
    label: str = ""
    description: str = ""
    name: str = ""
    """The name of a user's secret."""
    revisions: dict[int, dict[str, str]] = field(default_factory=dict)
    """The content of each revision; there is at least one."""
    expirations: dict[int, datetime.datetime] = field(default_factory=dict)
    """Maps a revision to the time of its (next) secret-expired."""
    grants: dict[str, int | None] = field(default_factory=dict)
    """Maps an application or unit to the relation that scopes its grant; None for user secrets."""
    consumers: dict[str, int] = field(default_factory=dict)
    """Maps a unit to the revision it tracks, from its first read on."""
    consumer_labels: dict[str, str] = field(default_factory=dict)
    """Maps a unit to its label for the secret."""
    rotate: str = ""
    """Rotation policy: `hourly` ... `yearly`; empty for never."""
    rotates: datetime.datetime | None = None
    """When the next secret-rotate is due."""
    created: datetime.datetime = field(default_factory=now)
    updated: datetime.datetime = field(default_factory=now)

    @property
    def uri(self) -> str:
        """`secret:<id>`."""
        return f"secret:{self.id}"

    @property
    def latest(self) -> int:
        """The newest revision."""
        return max(self.revisions)

    def owned_by(self, unit: Unit) -> bool:
        """Whether the unit, or its application, owns the secret."""
        return self.owner in (unit.name, unit.application)


@dataclass
class Offer:
    """Endpoints of an application that other models may use (`juju offer`)."""

    name: str
    application: str
    endpoints: list[str]
    """Names of the application's endpoints."""


@dataclass(frozen=True)
class OfferedEndpoint:
    """An endpoint of an offer, as the consuming model knows it."""

    name: str
    interface: str
    role: str
    """`provides` or `requires`."""


@dataclass
class RemoteApplication:
    """An offer that a model consumes (`juju consume`); `juju status` lists it under SAAS."""

    name: str
    url: str
    """`admin/model.offer`."""
    source: Model = field(repr=False, compare=False)
    """The model that offers it."""
    offer: Offer = field(repr=False, compare=False)
    endpoints: dict[str, OfferedEndpoint] = field(default_factory=dict)
    life: Life = Life.ALIVE


@dataclass
class LogLine:
    """One line of `juju debug-log`."""

    time: datetime.datetime
    entity: str
    """`unit-kubeflow-dashboard-0`, `controller-0`."""
    level: str
    module: str
    """`juju.worker.uniter.operation`, `unit.kubeflow-dashboard/0.juju-log`."""
    message: str


@dataclass
class Model:
    """A Juju model; on Kubernetes it is a namespace."""

    name: str
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))
    life: Life = Life.ALIVE
    applications: dict[str, Application] = field(default_factory=dict)
    relations: dict[int, Relation] = field(default_factory=dict)
    secrets: dict[str, Secret] = field(default_factory=dict)
    tasks: dict[int, Task] = field(default_factory=dict)
    storage: dict[str, StorageInstance] = field(default_factory=dict)
    offers: dict[str, Offer] = field(default_factory=dict)
    remote_applications: dict[str, RemoteApplication] = field(default_factory=dict)
    """By the name that they have in this model."""
    config: dict[str, Any] = field(default_factory=dict)
    log: deque[LogLine] = field(default_factory=lambda: deque(maxlen=100_000))
    constraints: dict[str, Any] = field(default_factory=dict)
    next_relation: int = 0
    next_task: int = 1
    next_storage: int = 0
    created: datetime.datetime = field(default_factory=now)

    def units(self) -> Iterator[Unit]:
        """Yield every unit of every application."""
        for application in self.applications.values():
            yield from application.units.values()

    def unit(self, name: str) -> Unit:
        """Return a unit by its name, such as `app/0`; raises KeyError if there is none."""
        application, _, number = name.partition("/")
        return self.applications[application].units[int(number)]

    def relations_of(self, application: str) -> list[Relation]:
        """Return the relations that `application` takes part in, peers included."""
        return [r for r in self.relations.values() if r.end(application)]
