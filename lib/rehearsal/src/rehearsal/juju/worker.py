"""The process in which a charm's code runs: one for each application, forked for every hook.

The charm and its libraries are imported once; each hook then starts as a fresh copy of that, so that nothing
but what Juju keeps passes from one hook to the next. The hook runs under ops' own testing framework
(ops-scenario), against the real API server.

Run as `python -m rehearsal.juju.worker SOCKET CHARM_FOLDER`; it serves one hook for each connection.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import inspect
import os
import pickle
import signal
import socket
import struct
import sys
import traceback
from pathlib import Path
from typing import Any

import ops
from ops import testing
from scenario import _runtime
from scenario.state import _Event

from rehearsal.guardian import end_descendants
from rehearsal.juju.state import Hook

JUJU_VERSION = "3.6.9"


def send(channel: socket.socket, message: Any) -> None:
    """Send one message: its length, then its pickle."""
    data = pickle.dumps(message)
    channel.sendall(struct.pack(">Q", len(data)) + data)


def receive(channel: socket.socket) -> Any:
    """Return one message; raises EOFError if the other side is gone."""
    (length,) = struct.unpack(">Q", _read(channel, 8))
    return pickle.loads(_read(channel, length))  # noqa: S301 (our own process)


def _read(channel: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        received = channel.recv(min(length - len(data), 1 << 20))
        if not received:
            raise EOFError
        data += received
    return data


def load_charm(folder: Path) -> type[ops.CharmBase]:
    """Import the charm of a source folder and return its class: `src` and `lib` come first, as in Juju."""
    sys.path[:0] = [str(folder / "src"), str(folder / "lib")]
    module = importlib.import_module("charm")
    own = [
        each
        for _, each in inspect.getmembers(module, inspect.isclass)
        if issubclass(each, ops.CharmBase) and each.__module__ == module.__name__
    ]
    if not own:
        raise ImportError("src/charm.py has no charm class")
    return own[-1]


class Hooks:
    """Runs the hooks of one charm.

    Args:
        folder: the charm's source folder.
        metadata: its metadata, as `rehearsal.juju.charms` has read it.
    """

    def __init__(self, folder: Path, metadata: dict[str, Any]):
        self.folder = folder
        parts = ("config", "actions", "parts", "platforms", "type", "title", "links", "assumes")
        self._meta = {k: v for k, v in metadata.items() if k not in parts}
        self._config = metadata.get("config") or {"options": {}}
        self._actions = metadata.get("actions") or {}
        self._charm: type[ops.CharmBase] | None = None
        self._failure = ""
        try:
            self._charm = load_charm(folder)
        except BaseException:  # whatever the charm's code raises is the charm's failure, told in its hook
            self._failure = traceback.format_exc()

    def run(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run one hook and return what it left, or why it failed."""
        if self._charm is None:
            return {"ok": False, "log": [], "traceback": self._failure}
        context = testing.Context(
            self._charm,
            meta=self._meta,
            config=self._config,
            actions=self._actions,
            charm_root=request["charm_root"],
            app_name=request["application"],
            unit_id=int(request["unit"].split("/")[1]),
            juju_version=JUJU_VERSION,
        )
        _exact_environment(request["hook"])
        result: dict[str, Any] = {"ok": True, "traceback": "", "action": None}
        before = _state(request)
        try:
            event = self._event(context, request, before)
            if event is None:  # as ops does with a hook that nobody observes
                result |= _left(before, before, request)
            else:
                result |= _left(before, context.run(event, before), request)
        except testing.errors.UncaughtCharmError as error:
            cause = error.__cause__ or error
            result |= {"ok": False, "traceback": "".join(traceback.format_exception(cause))}
        except testing.ActionFailed as error:
            result |= _left(before, before, request)
            result["action"] = {"failure": error.message}
        if request["task"]:
            action = result["action"] or {}
            action |= {"results": context.action_results, "log": list(context.action_logs)}
            result["action"] = action
        result["log"] = [(line.level, line.message) for line in context.juju_log]
        return result

    def _event(self, context: Any, request: dict[str, Any], state: testing.State) -> Any:
        hook: Hook = request["hook"]
        match hook.kind:
            case "relation":
                return _relation_event(context, hook, state)
            case "secret":
                secret = state.get_secret(id=f"secret:{hook.secret}")
                more = {} if hook.revision is None else {"revision": hook.revision}
                return getattr(context.on, hook.name.replace("-", "_"))(secret, **more)
            case "workload":
                return context.on.pebble_ready(state.get_container(hook.container))
            case "task" if request["task"]["kind"] == "action":
                return context.on.action(hook.name, params=request["task"]["parameters"])
            case "task":
                name = hook.name.replace("-", "_")
                bound = getattr(self._charm.on, name, None) if self._charm else None
                if bound is None or issubclass(bound.event_type, ops.HookEvent):
                    ordinary = getattr(context.on, name, None)
                    return ordinary() if ordinary else None
                # Not `on.custom`, which looks for an owner other than the charm's own `on`.
                return _Event(name)
            case _:
                return getattr(context.on, hook.name.replace("-", "_"))()


def _exact_environment(hook: Hook) -> None:
    """Have ops told of relation events what Juju tells, in this process, which runs one hook only.

    ops-scenario guesses a remote unit for a change of the remote application's settings, where Juju names
    none, and puts the departing unit into the remote application, though it may be ours.
    """
    given = _runtime.Runtime._get_event_env

    def exact(self: Any, *args: Any, **kwargs: Any) -> dict[str, str]:
        environment = given(self, *args, **kwargs)
        if hook.kind == "relation":
            environment["JUJU_REMOTE_UNIT"] = hook.remote_unit
            environment["JUJU_DEPARTING_UNIT"] = hook.departing_unit
        return environment

    _runtime.Runtime._get_event_env = exact


def _relation_event(context: Any, hook: Hook, state: testing.State) -> Any:
    relation = state.get_relation(hook.relation or 0)
    more: dict[str, Any] = {}
    if hook.remote_unit:
        more["remote_unit"] = int(hook.remote_unit.split("/")[1])
    return getattr(context.on, f"relation_{hook.step}")(relation, **more)


def _state(request: dict[str, Any]) -> testing.State:
    deferred, stored = pickle.loads(request["stored"]) if request["stored"] else ([], [])  # noqa: S301
    ports = [port.split("/") for port in request["ports"]]
    return testing.State(
        leader=request["leader"],
        config=request["config"],
        relations=[_relation(said) for said in request["relations"]],
        secrets=[_secret(said) for said in request["secrets"]],
        resources=[testing.Resource(name=name, path=path) for name, path in request["resources"].items()],
        containers=[testing.Container(name, can_connect=True) for name in request["containers"]],
        model=testing.Model(name=request["model"]["name"], uuid=request["model"]["uuid"], type="kubernetes"),
        planned_units=request["planned_units"],
        opened_ports=[_PORTS[protocol](int(number)) for number, protocol in ports],
        deferred=deferred,
        stored_states=stored,
        unit_status=_status(*request["unit_status"]),
        app_status=_status(*request["application_status"]),
        workload_version=request["workload_version"],
    )


_PORTS = {"tcp": testing.TCPPort, "udp": testing.UDPPort}


def _status(name: str, message: str) -> Any:
    if name in ("active", "blocked", "maintenance", "waiting"):
        return testing.__dict__[f"{name.title()}Status"](message)
    return testing.UnknownStatus()


def _relation(said: dict[str, Any]) -> Any:
    common = {
        "endpoint": said["endpoint"],
        "interface": said["interface"],
        "id": said["id"],
        "local_app_data": said["local_application_data"],
        "local_unit_data": said["local_unit_data"],
    }
    if said["peer"]:
        return testing.PeerRelation(**common, peers_data=said["remote_unit_data"])
    return testing.Relation(
        **common,
        remote_app_name=said["remote_application"],
        remote_app_data=said["remote_application_data"],
        remote_units_data=said["remote_unit_data"],
    )


def _secret(said: dict[str, Any]) -> testing.Secret:
    return testing.Secret(
        said["tracked"],
        latest_content=said["latest"],
        id=said["id"],
        owner=said["owner"],
        label=said["label"],
        description=said["description"],
        remote_grants={relation: frozenset(names) for relation, names in said["grants"].items()},
    )


def _left(before: testing.State, after: testing.State, request: dict[str, Any]) -> dict[str, Any]:
    """Return what of the state a hook may have changed, as plain data."""
    known = {said["id"]: said for said in request["secrets"]}
    owned = [secret for secret in after.secrets if secret.owner]
    unchanged = after.app_status == before.app_status
    return {
        "relations": {
            relation.id: {
                "application": dict(relation.local_app_data) if request["leader"] else None,
                "unit": dict(relation.local_unit_data),
            }
            for relation in after.relations
        },
        "secrets": {
            "owned": [
                {
                    "id": secret.id,
                    "owner": secret.owner,
                    "label": secret.label,
                    "description": secret.description,
                    "content": dict(secret.latest_content or {}),
                    "grants": {r: sorted(names) for r, names in secret.remote_grants.items()},
                }
                for secret in owned
            ],
            "removed": [id for id, said in known.items() if said["owner"] and id not in _ids(after)],
            "read": [
                {"id": s.id, "tracked": dict(s.tracked_content), "label": s.label}
                for s in after.secrets
                if not s.owner
            ],
        },
        "unit_status": (after.unit_status.name, after.unit_status.message),
        "application_status": None if unchanged else (after.app_status.name, after.app_status.message),
        "workload_version": after.workload_version,
        "ports": sorted(f"{port.port}/{port.protocol}" for port in after.opened_ports),
        "stored": pickle.dumps((list(after.deferred), list(after.stored_states))),
    }


def _ids(state: testing.State) -> set[str]:
    return {secret.id for secret in state.secrets}


def _child(channel: socket.socket, hooks: Hooks) -> None:
    """Be one hook: read the request, run it, answer, end."""
    request = receive(channel)
    send(channel, os.getpid())
    os.environ.clear()
    os.environ.update(request["environment"])
    # The state is Juju's, not a test author's: what is odd in it is meant to be.
    os.environ["SCENARIO_SKIP_CONSISTENCY_CHECKS"] = "true"
    os.chdir(request["charm_root"])
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    try:
        result = hooks.run(request)
    except BaseException:  # a fault of the rehearsal's own must reach its log, too
        result = {"ok": False, "log": [], "traceback": traceback.format_exc()}
    sys.stdout.flush()
    sys.stderr.flush()
    send(channel, result)


def serve(path: Path, hooks: Hooks) -> None:
    """Fork a child for every connection, until SIGTERM; then end what the hooks have left running."""
    if sys.platform == "linux":  # what a hook leaves behind, its watcher, becomes our child
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path.with_suffix(".new")))
    listener.listen(16)
    listener.settimeout(0.5)
    path.with_suffix(".new").rename(path)
    signal.signal(signal.SIGTERM, _end)
    gc.collect()
    gc.freeze()
    while True:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        try:
            channel, _ = listener.accept()
        except TimeoutError:
            continue
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            channel.settimeout(None)
            try:
                _child(channel, hooks)
            finally:
                os._exit(0)
        channel.close()


def _end(*_: Any) -> None:
    end_descendants(os.getpid())
    os._exit(0)


if __name__ == "__main__":
    from rehearsal.juju import charms

    source = Path(sys.argv[2])
    serve(Path(sys.argv[1]), Hooks(source, dict(charms.load(source).metadata)))
