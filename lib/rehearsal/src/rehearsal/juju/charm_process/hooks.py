"""Run one hook of a charm, with ops-scenario's hook tools instead of Juju's.

A copy of the worker's process runs one hook and ends. `importing.py` has the fast way, in which the worker
has imported the charm.
"""

from __future__ import annotations

import abc
import os
import secrets
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ops
from ops import testing

from rehearsal.juju.charm_process import dispatching, translation
from rehearsal.juju.charm_process.backend import LOG, Backend
from rehearsal.juju.model.state import Hook
from rehearsal.juju.model.version import JUJU_VERSION


class Hooks(abc.ABC):
    """A charm whose hooks run, one after the other, each in a process of its own.

    Args:
        metadata: the charm's metadata, with `config` and `actions` in it.
    """

    def __init__(self, metadata: dict[str, Any]):
        self._meta = {key: value for key, value in metadata.items() if key not in ("config", "actions")}
        self._config = metadata.get("config") or {"options": {}}
        self._actions = metadata.get("actions") or {}

    @abc.abstractmethod
    def _carry_out(self, request: dict[str, Any], backend: Backend) -> None:
        """Run the charm's code; may raise anything."""

    def _explained(self, error: BaseException) -> str:
        """Return what the log says of what the charm's code raised."""
        return "".join(traceback.format_exception(error))

    def run(self, request: dict[str, Any], output: Path, say: Callable[[str, Any], None]) -> dict[str, Any]:
        """Run one hook in this process.

        Args:
            request: the hook's input (`request.py`).
            output: the folder for its log.
            say: tells what holds at once, however the hook ends (`backend.py`).

        Returns:
            `ok`, the exit status `code`, the hook's changes, and the `traceback` if it raised; for an action
            also its results, its log and its failure.
        """
        result: dict[str, Any] = {"ok": True, "code": 0, "traceback": "", "action": None}
        os.environ.update(_environment(request))
        after = translation.given(request)
        with (output / LOG).open("a") as log:
            context, backend = self._tools(request, after, log, say)
            try:
                self._carry_out(request, backend)
            except SystemExit as leave:
                result["code"] = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
            except BaseException as error:  # the charm may raise anything
                result |= {"code": 1, "traceback": self._explained(error)}
            result["ok"] = not result["code"]
            if request["task"]:
                result["action"] = {
                    "results": translation.results(context.action_results or {}),
                    "failure": context._action_failure_message,
                }
            return result | translation.left(request, after, backend)

    def _tools(
        self, request: dict[str, Any], state: testing.State, log: Any, say: Callable[[str, Any], None]
    ) -> tuple[testing.Context[Any], Backend]:
        context = testing.Context(
            ops.CharmBase,
            meta=self._meta,
            config=self._config,
            actions=self._actions,
            app_name=request["application"],
            unit_id=int(request["unit"].split("/")[1]),
            juju_version=JUJU_VERSION,
        )
        context._tmp_path = Path(request["files"])  # type: ignore[misc]
        return context, Backend(request, state, context, ops.JujuContext.from_environ(), log, say)


class DispatchedHooks(Hooks):
    """A charm whose own dispatch runs its hooks."""

    def _carry_out(self, request: dict[str, Any], backend: Backend) -> None:
        sys.exit(dispatching.carry_out(backend, request))


def _environment(request: dict[str, Any]) -> dict[str, str]:
    """Return the variables that Juju sets for a hook (Juju's reference "Hook", "Hook execution")."""
    hook: Hook = request["hook"]
    action = request["task"] is not None and request["task"]["kind"] == "action"
    return {
        "JUJU_VERSION": JUJU_VERSION,
        "JUJU_UNIT_NAME": request["unit"],
        "JUJU_MODEL_NAME": request["model"]["name"],
        "JUJU_MODEL_UUID": request["model"]["uuid"],
        "JUJU_CHARM_DIR": request["charm_root"],
        "CHARM_DIR": request["charm_root"],
        "JUJU_CONTEXT_ID": f"{request['unit']}-{hook.name}-{secrets.token_hex(8)}",
        "JUJU_HOOK_NAME": "" if request["task"] else hook.name,
        "JUJU_DISPATCH_PATH": f"{'actions' if action else 'hooks'}/{hook.name}",
        "JUJU_PRINCIPAL_UNIT": "",
        "JUJU_AVAILABILITY_ZONE": "",
    } | _details(request, hook, action=action)


def _details(request: dict[str, Any], hook: Hook, *, action: bool) -> dict[str, str]:
    """Return the variables that only this kind of hook has."""
    if action:
        number = request["task"]["id"]
        return {
            "JUJU_ACTION_NAME": hook.name,
            "JUJU_ACTION_UUID": number,
            "JUJU_ACTION_TAG": f"action-{number}",
        }
    match hook.kind:
        case "relation":
            relation = next(said for said in request["relations"] if said["id"] == hook.relation)
            return {
                "JUJU_RELATION": relation["endpoint"],
                "JUJU_RELATION_ID": f"{relation['endpoint']}:{hook.relation}",
                "JUJU_REMOTE_APP": relation["remote_application"],
                "JUJU_REMOTE_UNIT": hook.remote_unit,
                "JUJU_DEPARTING_UNIT": hook.departing_unit,
            }
        case "secret":
            # The secret may have been revoked since the hook's first try.
            found = next((said for said in request["secrets"] if said["id"] == hook.secret), None)
            revision = {} if hook.revision is None else {"JUJU_SECRET_REVISION": str(hook.revision)}
            return {
                "JUJU_SECRET_ID": found["uri"] if found and found["abroad"] else f"secret:{hook.secret}",
                "JUJU_SECRET_LABEL": (found and found["label"]) or "",
            } | revision
        case "storage":
            found = next(said for said in request["storage"] if said["id"] == hook.storage)
            return {
                "JUJU_STORAGE_ID": hook.storage,
                "JUJU_STORAGE_KIND": found["kind"],
                "JUJU_STORAGE_LOCATION": found["location"],
            }
        case "workload":
            return {"JUJU_WORKLOAD_NAME": hook.container}
        case _:
            return {}
