"""Apply a hook's results to the model, all at once and only if the hook succeeded.

The counterpart of `resolver.py`: this module notes what a unit has seen.
"""

from __future__ import annotations

import time
from typing import Any

from rehearsal.juju.model import relations
from rehearsal.juju.model.secrets import commit_secrets, postpone_expiry, postpone_rotation
from rehearsal.juju.model.state import Hook, Life, Model, SeenRelation, Settings, Unit, now

RETRY_FIRST, RETRY_MOST = 5.0, 300.0
"""First and longest wait, in seconds, before a retry of a failed hook; each wait doubles the last one
(juju/juju, internal/worker/uniter/uniter.go)."""


LARGEST = 16 << 20
"""Bytes of a databag: Juju 3 has no limit of its own, its database's documents have (juju/juju, pull request
22664)."""


def before(model: Model, unit: Unit, hook: Hook) -> None:
    """Note that a hook begins, and do what Juju does before it (runhook.go, beforeHook)."""
    unit.running, unit.config_given = hook, model.applications[unit.application].config_version
    # "The uniter no longer records when it is running the update-status hook."
    if hook.name != "update-status":
        unit.agent.set("executing", _message(hook))
    if unit.seen.installed:
        relations.enter(model, unit)
    told = {
        "install": "installing charm software",
        "stop": "stopping charm software",
        "remove": "cleaning up prior to charm deletion",
    }
    if hook.kind == "lifecycle" and hook.name in told and not (hook.name == "install" and unit.status_set):
        _set_status(unit, "maintenance", told[hook.name])
    if hook.task is not None:
        task = model.tasks[hook.task]
        task.status, task.started = "running", now()


def _message(hook: Hook) -> str:
    if hook.kind == "task":
        return f"running action {hook.name}"
    about = hook.remote_unit or (f"secret:{hook.secret}" if hook.secret else "")
    return f"running {hook.name} hook" + (f" for {about}" if about else "")


def heard(model: Model, unit: Unit, hook: Hook, what: str, said: Any) -> None:
    """Apply what a hook says while it runs, which holds even if the hook fails.

    Args:
        model: the unit's model.
        unit: the unit that runs the hook.
        hook: the hook.
        what: `unit-status`, `application-status`, `workload-version` or `action-log`.
        said: word and message of a status, or a text.
    """
    application = model.applications[unit.application]
    match what:
        case "unit-status":
            unit.status_set = True
            _set_status(unit, *said)
        case "application-status":
            application.status.set(*said)
        case "workload-version":
            unit.workload_version = application.workload_version = said
        case "action-log" if hook.task is not None:
            model.tasks[hook.task].log.append((now(), said))


def refusal(model: Model, unit: Unit, result: dict[str, Any]) -> str:
    """Return why the model cannot accept what a hook wrote, or an empty text if it can.

    Leadership may have moved while the hook ran; Juju checks it again at the write. Only the model that
    offers shares secrets with another one (juju/juju, state/secrets.go, GrantSecretAccess).
    """
    said = result["secrets"]
    granted = {number for secret in said["added"] + said["changed"] for number in secret["grants"]}
    there = [relation for number in granted if (relation := model.relations.get(number))]
    if any(relation.proxy and not relation.offer for relation in there):
        return "cannot apply changes: sharing consumer secrets across a cross model relation not supported"
    for written in result["relations"].values():
        if any(_size(data) > LARGEST for data in written.values() if data is not None):
            return f"cannot apply changes: Resulting document after update is larger than {LARGEST}"
    if model.applications[unit.application].leader == unit.name:
        return ""
    for number, written in result["relations"].items():
        if written["application"] is not None:
            return f"could not write settings from unit {unit.name} to relation {number}: permission denied"
    if any(secret["owner"] == "app" for secret in said["added"] + said["changed"]):
        return "could not write secrets: permission denied"
    return ""


def _size(data: dict[str, str]) -> int:
    return sum(len(key.encode()) + len(value.encode()) for key, value in data.items())


def succeeded(model: Model, unit: Unit, hook: Hook, result: dict[str, Any], interval: float) -> None:
    """Apply all results of a hook to the model.

    Args:
        model: the unit's model.
        unit: the unit that ran the hook.
        hook: the hook.
        result: the worker's result (`hooks.py`).
        interval: seconds until the next update-status, if this was one.
    """
    application = model.applications[unit.application]
    for number, written in result["relations"].items():
        relation = model.relations.get(number)
        if relation is None:
            continue
        if written["unit"] is not None and unit.name in relation.unit_data:
            relation.unit_data[unit.name].replace(written["unit"])
        if written["application"] is not None:
            bag = relation.application_data.setdefault(application.name, Settings())
            bag.replace(written["application"])
    commit_secrets(model, unit, result["secrets"])
    unit.ports, unit.kept = result["ports"], result["kept"]
    _done(model, unit, hook, interval)
    if hook.task is not None:
        _finish_task(model, unit, hook.task, result["action"])


def failed(model: Model, unit: Unit, hook: Hook, reason: str, action: dict[str, Any] | None = None) -> None:
    """Note that a hook failed: put the unit in error and drop the hook's results.

    A failed action, or a failed event of the unit's own, is reported to its caller only.

    Args:
        model: the unit's model.
        unit: the unit that ran the hook.
        hook: the hook.
        reason: such as `exit status 1`.
        action: the results of a failed action.
    """
    if hook.task is not None:
        _finish_task(model, unit, hook.task, (action or {}) | {"failure": reason})
        return
    unit.failed = hook
    automatic = model.config.get("automatically-retry-hooks", True)
    wait = min(RETRY_FIRST * 2**unit.retries, RETRY_MOST)
    unit.retry_at = time.monotonic() + wait if automatic else None
    unit.retries += 1
    unit.agent.set("idle")
    unit.workload.set("error", f'hook failed: "{hook.name}"{_with(model, unit, hook)}')


def _with(model: Model, unit: Unit, hook: Hook) -> str:
    """Return with whom a failed hook's relation is (cmd/juju/status/formatter.go, updateUnitStatusInfo)."""
    relation = model.relations.get(hook.relation) if hook.relation is not None else None
    others = [end for end in relation.endpoints if end.application != unit.application] if relation else []
    return f" for {others[0]}" if others else ""


def skip(model: Model, unit: Unit, interval: float) -> None:
    """Treat the failed hook as run (`juju resolved --no-retry`), or as no longer needed."""
    if unit.failed is not None:
        _done(model, unit, unit.failed, interval)


def settled(unit: Unit) -> bool:
    """Mark the unit as idle; return whether it was not idle before."""
    if unit.agent.current == "idle":
        return False
    return unit.agent.set("idle")


def _done(model: Model, unit: Unit, hook: Hook, interval: float) -> None:
    """Note what the unit has now seen, and do what Juju does after the hook (runhook.go, afterHook)."""
    if hook.kind != "task":
        unit.failed, unit.retry_at, unit.retries = None, None, 0
    _seen(model, unit, hook, interval)
    match hook.name if hook.kind == "lifecycle" else "":
        case "start" if not unit.status_set:
            _set_status(unit, "unknown", "")
        case "stop":
            _set_status(unit, "maintenance", "")
        case "remove":
            _set_status(unit, "terminated", "")
    if unit.failed is None:
        unit.workload.set(unit.charm_status.current, unit.charm_status.message)


def _set_status(unit: Unit, current: str, message: str) -> None:
    unit.charm_status.set(current, message)
    if unit.failed is None:
        unit.workload.set(current, message)


def _seen(model: Model, unit: Unit, hook: Hook, interval: float) -> None:
    seen = unit.seen
    match hook.name, hook.kind:
        case _, "task":
            pass
        case "install", _:
            seen.installed, seen.charm_version = True, unit.code
        case "upgrade-charm", _:
            seen.charm_version, seen.queued = unit.code, "config-changed"
        case "leader-elected", _:
            seen.leader, seen.leader_settings = True, True
        case "leader-settings-changed", _:
            seen.leader_settings = True
        case "config-changed", _:
            seen.config_version = unit.config_given
            seen.queued = "" if seen.started or seen.charm_version != unit.code else "start"
        case "start", _:
            seen.started, seen.stopped, seen.queued = True, False, ""
        case "stop", _:
            seen.stopped = True
        case "remove", _:
            seen.removed = True
            unit.life = Life.DEAD
        case "update-status", _:
            seen.update_status_due = time.monotonic() + interval
        case _, "storage" if hook.name.endswith("-attached"):
            seen.storage.add(hook.storage)
        case _, "storage":
            seen.storage.discard(hook.storage)
            if instance := model.storage.get(hook.storage):
                instance.unit = ""
        case _, "workload":
            seen.pebble_ready.add(hook.container)
        case _, "secret":
            _seen_secret(model, unit, hook)
        case _, "relation":
            _seen_relation(model, unit, hook)


def _seen_secret(model: Model, unit: Unit, hook: Hook) -> None:
    if hook.name == "secret-changed":  # of another model, too
        unit.seen.secrets[hook.secret] = hook.version
        return
    secret = model.secrets.get(hook.secret)
    if secret is None:
        return
    match hook.name:
        case "secret-remove":
            unit.seen.secret_removals.setdefault(secret.id, set()).add(hook.revision or 0)
        case "secret-expired":
            postpone_expiry(secret, hook.revision or 0)
        case "secret-rotate":
            postpone_rotation(secret, rotated=secret.latest > hook.version)


def _seen_relation(model: Model, unit: Unit, hook: Hook) -> None:
    known = unit.seen.relations.setdefault(hook.relation or 0, SeenRelation())
    match hook.step:
        case "created":
            known.created = True
        case "joined":
            known.members[hook.remote_unit] = None
        case "departed":
            known.members.pop(hook.remote_unit, None)
        case "broken":
            known.broken = True
            if relation := model.relations.get(hook.relation or 0):
                relations.leave(relation, unit.name)
        case "changed" if hook.remote_unit:
            known.members[hook.remote_unit] = hook.version
        case "changed":
            known.application_version = hook.version


def _finish_task(model: Model, unit: Unit, number: int, action: dict[str, Any] | None) -> None:
    task, action = model.tasks[number], action or {}
    unit.tasks = type(unit.tasks)(t for t in unit.tasks if t.id != number)
    task.results = action.get("results") or {}
    task.message = action.get("failure") or ""
    failed = action.get("failure") is not None
    task.status = "aborted" if task.status == "aborting" else "failed" if failed else "completed"
    task.completed = now()
