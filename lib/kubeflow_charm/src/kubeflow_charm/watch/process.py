"""The process that `watcher.py` starts: follow objects, ask Juju for a hook when one has changed.

Run by its path with the path of its state, so that nothing but lightkube is in memory, and that only here:
the charm imports this module, too, for what both sides do with the state.
"""

from __future__ import annotations

import faulthandler
import hashlib
import json
import logging
import os
import re
import shlex
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

logger = logging.getLogger("watcher")

QUIET = 0.3
"""Seconds without a further change after which a hook is asked for."""
SPACING = 2.0
"""Seconds between two hooks, and the longest that a change waits, under a storm of changes."""
USER_AGENT = "kubeflow-charm-watcher"
"""By which an API server's audit log, too, tells this process from the hooks of the charm."""
SLOWEST = 60.0
"""Seconds between tries of what goes on failing."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
_TICK = 1.0

PASSING_TAINTS = re.compile(
    r"(.*\.)?node(\.cloudprovider)?\.kubernetes\.io/.*|karpenter\.sh/.*|.*(Of|By)ClusterAutoscaler"
)
"""Keys of taints that come and go with a node's health and life: nothing is decided by them."""

State = dict[str, Any]
"""`watched`: what to follow and whom to tell; `retry_after`; `pid` and `started` of the process."""


def read(path: Path) -> State:
    """Return the state; an empty one if there is none, or it is garbage."""
    try:
        state = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def write(path: Path, state: State) -> None:
    """Replace the state, all at once."""
    scratch = path.with_suffix(".new")
    scratch.write_text(json.dumps(state))
    scratch.replace(path)


def started(pid: int) -> str:
    """Return when a process started, in clock ticks since boot; empty if there is none, or it is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]  # proc(5)


def lives(state: State) -> bool:
    """Whether the process that the state names is there, and is not another one with its number."""
    pid = state.get("pid")
    return isinstance(pid, int) and bool(started(pid)) and started(pid) == state.get("started")


class Pacing:
    """When the next hook is due. Times are seconds of any clock that does not go back."""

    def __init__(self) -> None:
        self._first: float | None = None
        """When the oldest change was seen that nobody was told of."""
        self._last = 0.0
        self._not_before = 0.0
        self._failures = 0
        self._retry_after: float | None = None
        self._retry_at: float | None = None
        self._pause = 0.0

    def changed(self, now: float) -> None:
        """Note a change."""
        self._first = now if self._first is None else self._first
        self._last = now

    def retry(self, after: float | None, now: float) -> None:
        """Have a hook come `after` seconds without a change, and again, less and less often; or no more."""
        if after != self._retry_after:
            self._retry_after = after
            self._pause = after or 0.0
            self._retry_at = None if after is None else now + after

    def due(self) -> float | None:
        """Return when a hook is due, if at all."""
        times = [] if self._retry_at is None else [self._retry_at]
        if self._first is not None:
            times.append(min(self._last + QUIET, self._first + SPACING))
        return max(min(times), self._not_before) if times else None

    def asking(self) -> None:
        """Note that a hook is asked for: it will see all changes until now."""
        self._first = None

    def asked(self, now: float, *, done: bool) -> None:
        """Note whether the hook has run."""
        self._failures = 0 if done else self._failures + 1
        if not done:
            self.changed(now)
        self._not_before = now + min(SPACING * 2 ** max(self._failures - 1, 0), SLOWEST)
        if self._retry_at is not None:
            if now >= self._retry_at:
                self._pause = max(min(self._pause * 1.5, SLOWEST), self._retry_after or 0.0)
            self._retry_at = now + self._pause


class Changes:
    """What the threads saw, and what of it is to be told when."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._digests: dict[str, dict[str, bytes]] = {}
        self._pacing = Pacing()

    def listed(self, kind: str, digests: dict[str, bytes]) -> None:
        """Put in all objects of a kind. The first time it is news: the charm looked before that."""
        with self._condition:
            if self._digests.get(kind) != digests:
                self._digests[kind] = digests
                self._touch()

    def seen(self, kind: str, name: str, digest: bytes | None) -> None:
        """Put in one object; None says that it is gone."""
        with self._condition:
            known = self._digests[kind]
            if known.get(name) != digest:
                if digest is None:
                    del known[name]
                else:
                    known[name] = digest
                self._touch()

    def _touch(self) -> None:
        self._pacing.changed(time.monotonic())
        self._condition.notify()

    def wait(self, seconds: float, retry_after: float | None) -> bool:
        """Wait until a hook is due, or for some seconds; return whether it is."""
        end = time.monotonic() + seconds
        with self._condition:
            self._pacing.retry(retry_after, time.monotonic())
            while True:
                now, due = time.monotonic(), self._pacing.due()
                if due is not None and due <= now:
                    self._pacing.asking()
                    return True
                if now >= end:
                    return False
                self._condition.wait(min(end, due or end) - now)

    def asked(self, *, done: bool) -> None:
        """Note whether the hook that was due has run."""
        with self._condition:
            self._pacing.asked(time.monotonic(), done=done)


def digest(item: dict[str, Any], *, whole: bool = False) -> bytes:
    """Return what of an object a status speaks of, in short.

    Args:
        item: the object.
        whole: whether its labels and its spec count, too.
    """
    metadata, status = item["metadata"], item.get("status") or {}
    told: dict[str, Any] = {
        "uid": metadata.get("uid"),
        "generation": metadata.get("generation"),
        "deleted": "deletionTimestamp" in metadata,
        "status": {
            key: value
            for key, value in status.items()
            if key.endswith("eplicas") or key in ("observedGeneration", "phase", "reason")
        },
        "conditions": [
            [each.get("type"), each.get("status"), each.get("reason")]
            for each in status.get("conditions") or []
        ],
        "containers": [
            [state, detail.get("reason")]
            for key in ("initContainerStatuses", "containerStatuses")
            for container in status.get(key) or []
            for when in ("state", "lastState")
            for state, detail in (container.get(when) or {}).items()
        ],
    }
    if whole:
        told |= {"labels": metadata.get("labels"), "spec": item.get("spec")}
    return _hashed(told)


def node_digest(item: dict[str, Any]) -> bytes:
    """Return what of a node decides where pods can run, in short: labels, taints, and devices.

    Whether it is ready at the moment does not count, nor what the kubelet reports again and again.
    """
    status = item.get("status") or {}
    taints = (item.get("spec") or {}).get("taints") or []
    told = {
        "labels": item["metadata"].get("labels"),
        "taints": [taint for taint in taints if not PASSING_TAINTS.fullmatch(taint["key"])],
        "devices": [
            {name: amount for name, amount in (status.get(key) or {}).items() if "/" in name}
            for key in ("capacity", "allocatable")
        ],
    }
    return _hashed(told)


def place(item: dict[str, Any]) -> str:
    """Return what tells an object from all others of its kind."""
    return f"{item['metadata'].get('namespace', '')}/{item['metadata']['name']}"


def version_digest(item: dict[str, Any]) -> bytes:
    """Return what tells any two states of an object apart."""
    return item["metadata"]["resourceVersion"].encode()


DIGESTS: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "status": digest,
    "spec": partial(digest, whole=True),
    "placement": node_digest,
    "anything": version_digest,
}
"""What of an object matters: what a status speaks of; labels and spec as well; what decides where pods can
run; every change, where no generation counts those of the content, as of a Secret."""


def _hashed(told: dict[str, Any]) -> bytes:
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).digest()


def decodable(kinds: Iterable[Any] = ()) -> None:
    """Have everything that lightkube decodes known to msgspec before threads decode it at once.

    What msgspec knows of a type it finds out at the first use, where another thread can see it half done; to
    use that is a segmentation fault (msgspec 0.22, src/msgspec/_core.c: StructInfo_Convert).

    Args:
        kinds: classes of lightkube whose lists are read at once by several threads.
    """
    import msgspec
    from lightkube.config import models
    from lightkube.core import decoders
    from lightkube.models import meta_v1

    configuration = (models.Cluster, models.Context, models.User)
    answers = (meta_v1.Status, decoders.ListMetadata, decoders.WatchEvent)
    for each in (*configuration, *answers):
        msgspec.json.Decoder(each)
    for each in kinds:
        decoders.decode_list(b'{"items": []}', each)


def kind_of(followed: dict[str, Any]) -> Any:
    """Return the class of lightkube for the objects that are followed."""
    from lightkube.generic_resource import create_global_resource, create_namespaced_resource

    create = create_namespaced_resource if followed["namespaced"] else create_global_resource
    group, _, version = followed["api_version"].rpartition("/")
    return create(group, version, followed["kind"], followed["plural"])


def connected(namespace: str, transport: Callable[[ssl.SSLContext], Any]) -> Any:
    """Return a client with the credentials of this moment.

    Args:
        namespace: the client's own.
        transport: makes what requests go through, given whom to trust.

    Raises:
        lightkube.ConfigError: if no cluster is configured.
    """
    import lightkube
    from lightkube.config.client_adapter import verify_cluster
    from lightkube.config.models import User

    config = lightkube.KubeConfig.from_env().get()
    if config is None:
        raise lightkube.ConfigError("no cluster is configured")
    trusted = verify_cluster(config.cluster, config.user or User(), config.abs_file)
    return lightkube.Client(config=config, namespace=namespace, transport=transport(trusted))


def client(namespace: str) -> Any:
    """Return a client that says who it is, and notices when its peer is no more.

    A watch waits for hours. Where the peer's machine is gone, or a gateway has forgotten the connection, only
    keep-alive probes tell.
    """
    import httpx2

    class Transport(httpx2.HTTPTransport):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            request.headers["user-agent"] = USER_AGENT
            return super().handle_request(request)

    probes = [
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
    ]
    return connected(namespace, lambda trusted: Transport(verify=trusted, socket_options=probes))


def follow(followed: dict[str, Any], kind: Any, namespace: str, changes: Changes) -> None:
    """Follow objects of one kind for ever: list, watch from there, and begin anew whenever that ends."""
    selected = {"labels": followed["labels"], "fields": followed["fields"]}
    name = json.dumps(followed)
    short = DIGESTS[followed["matters"]]
    pause, said = _FIRST_PAUSE, ""
    while True:
        try:
            with client(namespace) as api:
                listing = api.list(kind, **selected)
                digests = {place(item): short(item) for item in listing}
                changes.listed(name, digests)
                pause = _FIRST_PAUSE
                for what, item in api.watch(kind, resource_version=listing.resourceVersion, **selected):
                    gone = what == "DELETED"
                    changes.seen(name, place(item), None if gone else short(item))
        except Exception as error:  # whatever it was: with this thread, the charm's eyes would be gone
            reason = f"{followed['kind']}: {type(error).__name__}: {error}"
            if reason != said:
                logger.info(reason)
            said = reason
        # An API server that is away is asked less and less often.
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def ask_for_hook(watched: dict[str, Any]) -> bool:
    """Have Juju run the event; return whether it did."""
    program = shlex.quote(f"{watched['charm_dir']}/dispatch")
    command = f"JUJU_DISPATCH_PATH=hooks/{watched['event']} {program}"
    try:
        done = subprocess.run(
            ["juju-exec", watched["unit"], command], check=False, capture_output=True, text=True
        )
    except OSError as error:
        logger.warning("juju-exec: %s", error)
        return False
    if done.returncode:
        logger.warning("juju-exec: exit status %s: %s", done.returncode, done.stderr.strip()[:1000])
    return done.returncode == 0


def current(path: Path) -> State | None:
    """Return the state as long as it is this process that it names, and the charm is there."""
    state = read(path)
    ours = state.get("pid") == os.getpid() and "watched" in state
    return state if ours and Path(state["watched"]["charm_dir"]).is_dir() else None


def main(path: Path) -> None:
    """Follow what the state at `path` says, until it names this process no more."""
    changes, following = Changes(), False
    while (state := current(path)) is not None:
        watched = state["watched"]
        if not following:
            kinds = [kind_of(each) for each in watched["followed"]]
            decodable(kinds)
            for each, kind in zip(watched["followed"], kinds, strict=True):
                arguments = (each, kind, watched["namespace"], changes)
                threading.Thread(target=follow, args=arguments, daemon=True).start()
            following = True
        if changes.wait(_TICK, state["retry_after"]):
            changes.asked(done=ask_for_hook(watched))


def launch(path: Path) -> None:
    """Leave a process behind that runs `main`, and note it in the state; it is nobody's child but init's."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writing)
        os.read(reading, 1)  # until the other one has ended
        main(path)
    else:
        write(path, read(path) | {"pid": pid, "started": started(pid)})


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(name)s %(message)s", level=logging.INFO)
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    faulthandler.enable()  # even of a crash the log tells
    launch(Path(sys.argv[1]))
