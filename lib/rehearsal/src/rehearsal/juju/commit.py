"""What a hook leaves: put into the model when it has succeeded, all at once, and only then."""

from __future__ import annotations

import time
from typing import Any

from rehearsal.juju.secrets import commit_secrets
from rehearsal.juju.state import Hook, Life, Model, SeenRelation, Settings, Status, Unit, now

RETRY_FIRST, RETRY_MOST = 5.0, 300.0
"""Seconds between tries of a failed hook: doubled each time (juju/juju, uniter's retry strategy)."""


def before(model: Model, unit: Unit, hook: Hook) -> None:
    """Note that a hook begins: a unit enters a relation's scope with its own address in its settings."""
    unit.running = hook
    unit.agent.set("executing", f"running {hook.name} hook" if hook.kind != "task" else hook.name)
    if not unit.seen.installed and unit.failed is None:
        unit.workload.set("maintenance", "installing charm software")
    if hook.kind == "relation" and hook.step == "created":
        relation = model.relations[hook.relation or 0]
        address = {
            "egress-subnets": f"{unit.address}/32",
            "ingress-address": unit.address,
            "private-address": unit.address,
        }
        relation.unit_data.setdefault(unit.name, Settings(address, 1))
    if hook.task is not None:
        task = model.tasks[hook.task]
        task.status, task.started = "running", now()


def succeeded(model: Model, unit: Unit, hook: Hook, result: dict[str, Any], interval: float) -> None:
    """Put in everything that a hook left."""
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
    unit.workload.set(*result["unit_status"])
    if result["application_status"] is not None:
        application.status.set(*result["application_status"])
    unit.workload_version = result["workload_version"]
    application.workload_version = unit.workload_version or application.workload_version
    unit.ports, unit.stored = result["ports"], result["stored"]
    unit.failed, unit.retry_at, unit.retries = None, None, 0
    _seen(model, unit, hook, interval)
    if hook.task is not None:
        _finish_task(model, unit, hook.task, result["action"])


def failed(model: Model, unit: Unit, hook: Hook, result: dict[str, Any]) -> None:
    """Note that a hook failed: the unit is in error, and nothing that the hook did is kept."""
    if hook.task is not None:
        action = dict(result.get("action") or {})
        action["failure"] = action.get("failure") or "exit status 1"
        _finish_task(model, unit, hook.task, action)
        return
    unit.failed = hook
    automatic = model.config.get("automatically-retry-hooks", True)
    wait = min(RETRY_FIRST * 2**unit.retries, RETRY_MOST)
    unit.retry_at = time.monotonic() + wait if automatic else None
    unit.retries += 1
    unit.agent.set("idle")
    unit.workload.set("error", f'hook failed: "{hook.name}"')


def skip(model: Model, unit: Unit, interval: float) -> None:
    """Take the failed hook as run (`juju resolved --no-retry`)."""
    hook, unit.failed, unit.retry_at, unit.retries = unit.failed, None, None, 0
    if hook is not None:
        unit.workload.set("maintenance", "")
        _seen(model, unit, hook, interval)


def _seen(model: Model, unit: Unit, hook: Hook, interval: float) -> None:
    """Note what the unit has now seen; the other half of `resolver.py`."""
    seen, application = unit.seen, model.applications[unit.application]
    seen.update_status_due = max(seen.update_status_due, time.monotonic() + interval)
    match hook.name, hook.kind:
        case "install", "lifecycle":
            seen.installed, seen.charm_version = True, application.charm_version
        case "upgrade-charm", "lifecycle":
            seen.charm_version, seen.config_version = application.charm_version, None
        case "leader-elected", "lifecycle":
            seen.leader = True
        case "config-changed", "lifecycle":
            seen.config_version = application.config_version
        case "start", "lifecycle":
            seen.started = True
        case "stop", "lifecycle":
            seen.stopped = True
        case "remove", "lifecycle":
            seen.removed = True
            unit.life = Life.DEAD
        case "update-status", "lifecycle":
            seen.update_status_due = time.monotonic() + interval
        case _, "workload":
            seen.pebble_ready.add(hook.container)
        case "secret-remove", _:
            seen.secret_removals[hook.secret] = hook.revision or 0
        case _, "secret":
            if secret := model.secrets.get(hook.secret):
                seen.secrets[hook.secret] = secret.latest
        case _, "relation":
            _seen_relation(model, unit, hook)


def _seen_relation(model: Model, unit: Unit, hook: Hook) -> None:
    relation = model.relations.get(hook.relation or 0)
    known = unit.seen.relations.setdefault(hook.relation or 0, SeenRelation())
    if relation is None:
        return
    match hook.step:
        case "created":
            known.created = True
        case "joined":
            known.members[hook.remote_unit] = None
        case "departed":
            known.members.pop(hook.remote_unit, None)
        case "broken":
            known.broken = True
            relation.unit_data.pop(unit.name, None)
        case "changed" if hook.remote_unit:
            known.members[hook.remote_unit] = hook.version
        case "changed":
            known.application_version = hook.version


def _finish_task(model: Model, unit: Unit, number: int, action: dict[str, Any] | None) -> None:
    task, action = model.tasks[number], action or {}
    unit.tasks = type(unit.tasks)(t for t in unit.tasks if t.id != number)
    task.results, task.log = action.get("results") or {}, action.get("log") or []
    task.message = action.get("failure") or ""
    task.status = "failed" if action.get("failure") is not None else "completed"
    task.completed = now()


def settled(unit: Unit) -> None:
    """Note that the unit has nothing to do."""
    unit.running = None
    if unit.agent.current != "idle":
        unit.agent = Status("idle")
