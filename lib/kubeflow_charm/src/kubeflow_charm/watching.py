"""The process that `watcher.py` starts: follow workloads and pods, ask Juju for a hook on a change.

Run by its path with the path of its specification, so that nothing but lightkube is in memory. It ends when
the specification goes away.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import httpx2
import lightkube
from lightkube.generic_resource import create_namespaced_resource

logger = logging.getLogger("watcher")

KINDS = (
    create_namespaced_resource("apps", "v1", "Deployment", "deployments"),
    create_namespaced_resource("apps", "v1", "StatefulSet", "statefulsets"),
    create_namespaced_resource("", "v1", "Pod", "pods"),
)
QUIET = 0.3
"""Seconds without a further change after which a change is told."""
SPACING = 2.0
"""Seconds between two hooks under a storm of changes."""
SLOWEST_RETRY = 60.0
_TICK = 0.5


class Changes:
    """What the threads saw, and since when it is untold."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._digests: dict[Hashable, dict[str, Hashable]] = {}
        self._changed_at: float | None = time.monotonic()

    def replace(self, kind: str, digests: dict[str, Hashable]) -> None:
        """Put in a whole listing of a kind."""
        with self._condition:
            if self._digests.get(kind) != digests:
                self._digests[kind] = digests
                self._touch()

    def put(self, kind: str, name: str, digest: Hashable | None) -> None:
        """Put in one object; None says that it is gone."""
        with self._condition:
            known = self._digests.setdefault(kind, {})
            if known.get(name) == digest:
                return
            if digest is None:
                del known[name]
            else:
                known[name] = digest
            self._touch()

    def take(self, not_before: float) -> bool:
        """Wait a moment for a change that has settled; return whether there is one to tell now."""
        with self._condition:
            self._condition.wait(_TICK if self._changed_at is None else QUIET / 2)
            now = time.monotonic()
            due = self._changed_at is not None and now - self._changed_at >= QUIET
            if not due or now < not_before:
                return False
            self._changed_at = None
            return True

    def _touch(self) -> None:
        self._changed_at = time.monotonic()
        self._condition.notify()


def digest(item: dict[str, Any]) -> Hashable:
    """Return what of an object a status speaks of."""
    metadata, status = item["metadata"], item.get("status") or {}
    told = {
        "uid": metadata.get("uid"),
        "generation": metadata.get("generation"),
        "deleted": "deletionTimestamp" in metadata,
        "status": {
            key: value
            for key, value in status.items()
            if key.endswith("eplicas") or key in ("observedGeneration", "phase", "reason")
        },
        "conditions": [
            [c.get("type"), c.get("status"), c.get("reason")] for c in status.get("conditions") or []
        ],
        "containers": [
            [state, detail.get("reason")]
            for container in status.get("initContainerStatuses", []) + status.get("containerStatuses", [])
            for state, detail in (container.get("state") or {}).items()
        ],
    }
    return json.dumps(told, sort_keys=True)


def follow(kind: type[Any], spec: dict[str, Any], changes: Changes) -> None:
    """Follow one kind for ever: list, then watch from there; begin anew whenever that ends."""
    pause = 0.2
    while True:
        try:
            with lightkube.Client(namespace=spec["namespace"]) as client:
                listing = client.list(kind, labels=spec["labels"])
                found = {item["metadata"]["name"]: digest(item) for item in listing}
                changes.replace(kind.__name__, found)
                pause = 0.2
                for operation, item in client.watch(
                    kind, labels=spec["labels"], resource_version=listing.resourceVersion
                ):
                    gone = operation == "DELETED"
                    name = item["metadata"]["name"]
                    changes.put(kind.__name__, name, None if gone else digest(item))
        except (httpx2.HTTPError, lightkube.ApiError, lightkube.ConfigError, OSError) as error:
            logger.info("%s: %s", kind.__name__, error)
        # An API server that is away is asked less and less often.
        time.sleep(pause)
        pause = min(pause * 2, 10.0)


def ask_for_hook(spec: dict[str, Any]) -> bool:
    """Have Juju run the event; return whether it did."""
    command = f"JUJU_DISPATCH_PATH=hooks/{spec['event']} {spec['charm_dir']}/dispatch"
    done = subprocess.run(["juju-exec", spec["unit"], command], check=False, capture_output=True, text=True)
    if done.returncode:
        logger.warning("juju-exec: %s", done.stderr.strip())
    return done.returncode == 0


def main(path: Path) -> None:
    """Follow what the specification at `path` says until it is gone."""
    spec = json.loads(path.read_text())
    changes = Changes()
    for kind in KINDS:
        threading.Thread(target=follow, args=(kind, spec, changes), daemon=True).start()
    not_before = 0.0
    retry, retry_at = None, None
    while True:
        try:
            retry_after = json.loads(path.read_text())["retry_after"]
        except FileNotFoundError:
            return
        if retry_after is None:
            retry = retry_at = None
        elif retry is None:
            retry, retry_at = retry_after, time.monotonic() + retry_after
        changed = changes.take(not_before)
        overdue = retry_at is not None and time.monotonic() >= retry_at
        if not (changed or overdue):
            continue
        told = ask_for_hook(spec)
        not_before = time.monotonic() + SPACING
        if retry is not None and (overdue or not told):
            retry = min(retry * 1.5, SLOWEST_RETRY)
        if not told:
            retry = retry or SPACING
        retry_at = time.monotonic() + retry if retry is not None else None


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(name)s %(message)s", level=logging.INFO)
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    main(Path(sys.argv[1]))
