"""Run one hook of a charm as `ops.main` does, with ops-scenario's hook tools instead of Juju's.

The worker's process imports the charm; a copy of that process runs one hook and ends.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import secrets
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ops
import ops.storage
import yaml
from ops import _main, testing

from rehearsal.juju.charm_process import translation
from rehearsal.juju.charm_process.backend import LOG, Backend
from rehearsal.juju.model.state import Hook
from rehearsal.juju.model.version import JUJU_VERSION

_OURS = str(Path(__file__).parents[2])
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Storage(ops.storage.SQLiteStorage):
    """StoredState and deferred events, stored in the pod as in Juju."""

    def _setup(self) -> None:
        # The data need not survive a crash of the machine; this saves a third of a hook's time.
        self._db.execute("PRAGMA synchronous=OFF")
        super()._setup()


class Hooks:
    """A charm, imported once.

    Args:
        folder: the charm's source folder.
        metadata: its metadata, with `config` and `actions` in it.
    """

    def __init__(self, folder: Path, metadata: dict[str, Any]):
        self._meta = {key: value for key, value in metadata.items() if key not in ("config", "actions")}
        self._config = metadata.get("config") or {"options": {}}
        self._actions = metadata.get("actions") or {}
        # ops would read this from the charm's folder for every hook.
        self._charm_meta = ops.CharmMeta.from_yaml(*map(_dumped, (self._meta, self._actions, self._config)))
        self._charm: type[ops.CharmBase] | None = None
        self._failure = ""
        try:
            self._charm = import_charm(folder)
        except BaseException as error:  # each hook reports what the charm's code raises
            self._failure = _told(error)

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
        if self._charm is None:
            return result | {"ok": False, "code": 1, "traceback": self._failure}
        os.environ.update(_environment(request))
        after = translation.given(request)
        with (output / LOG).open("a") as log:
            context, backend = self._tools(request, after, log, say)
            try:
                self._dispatch(self._charm, backend)
            except SystemExit as leave:
                result["code"] = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
            except BaseException as error:  # the charm may raise anything
                result |= {"code": 1, "traceback": "Uncaught exception while in charm code:\n" + _told(error)}
                if request["task"]:  # ops/log.py, setup_root_logging
                    print(f"Uncaught {type(error).__name__} in charm code: {error}", file=sys.stderr)
                    print("Use `juju debug-log` to see the full traceback.", file=sys.stderr)
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
            self._charm or ops.CharmBase,
            meta=self._meta,
            config=self._config,
            actions=self._actions,
            app_name=request["application"],
            unit_id=int(request["unit"].split("/")[1]),
            juju_version=JUJU_VERSION,
        )
        return context, Backend(request, state, context, ops.JujuContext.from_environ(), log, say)

    def _dispatch(self, charm: type[ops.CharmBase], backend: Backend) -> None:
        """Run the charm as `ops.main` does."""
        meta = self._charm_meta

        class Main(_main._Manager):
            def _load_charm_meta(self) -> ops.CharmMeta:
                return meta

            def _make_storage(self, dispatcher: Any) -> ops.storage.SQLiteStorage:
                return _Storage(self._charm_root / self._charm_state_path)

        try:
            Main(charm, backend, juju_context=backend._juju_context).run()
        except _main._Abort as abort:
            sys.exit(abort.exit_code)


def import_charm(folder: Path) -> type[ops.CharmBase]:
    """Import the charm of a source folder and return its class.

    `src` and `lib` come first on the path, as in a charm's `dispatch`. The class is the one that
    `src/charm.py` gives to `ops.main`.

    Raises:
        ImportError: if there is none. Exceptions of the charm's own import also pass through.
    """
    sys.path[:0] = [str(folder / "src"), str(folder / "lib")]
    module = importlib.import_module("charm")
    given = re.findall(r"\bmain\(\s*(\w+)", Path(str(module.__file__)).read_text())
    for name in reversed(given):
        found = getattr(module, name, None)
        if inspect.isclass(found) and issubclass(found, ops.CharmBase):
            return found
    raise ImportError("src/charm.py gives no charm class to ops.main")


def _dumped(document: dict[str, Any]) -> str:
    return yaml.dump(document, Dumper=_Dumper)


def _told(error: BaseException) -> str:
    """Return the traceback, starting at the charm's (or ops') own code."""
    trace = error.__traceback__
    while trace and trace.tb_next and trace.tb_frame.f_code.co_filename.startswith((_OURS, "<frozen")):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))


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
            labels = (said["label"] for said in request["secrets"] if said["id"] == hook.secret)
            revision = {} if hook.revision is None else {"JUJU_SECRET_REVISION": str(hook.revision)}
            return {
                "JUJU_SECRET_ID": f"secret:{hook.secret}",
                "JUJU_SECRET_LABEL": next(labels, None) or "",
            } | revision
        case "workload":
            return {"JUJU_WORKLOAD_NAME": hook.container}
        case _:
            return {}
