"""Juju's hook tools: those of ops-scenario, corrected where Juju behaves differently.

ops-scenario stands in for Juju in unit tests, which look at one hook by itself. Here a hook is one of many,
in a process of its own. So its log must reach the model at once, and secrets have a history.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ops
from ops import testing
from scenario import mocking, state

from rehearsal.juju.model.errors import JujuError
from rehearsal.juju.model.secrets import check_size, new_id

LOG = "log"
"""Name of the hook's log file, beside its other output: each line is a JSON list `[level, message]`."""


class Backend(mocking._MockModelBackend):
    """The hook tools of one hook.

    Args:
        request: the hook's request (`request.py`).
        given: the request as ops-scenario's State; the hook writes into it.
        context: holds the data that a State cannot hold.
        log: the file that juju-log writes, line by line, so that nothing is lost with the process.
        say: tells what holds at once, however the hook ends: `unit-status` and `application-status` (a pair
            of word and message), `workload-version` and `action-log` (a text).
    """

    def __init__(
        self,
        request: dict[str, Any],
        given: testing.State,
        context: testing.Context[Any],
        juju_context: ops.JujuContext,
        log: Any,
        say: Callable[[str, Any], None],
    ):
        super().__init__(given, _event(request), context._charm_spec, context, juju_context)
        self._log = log
        self._say = say
        self._withheld = set(request["withheld"])
        self._members = {said["id"]: said["members"] for said in request["relations"]}
        self._peers = {said["id"] for said in request["relations"] if said["peer"]}
        self.read: dict[str, tuple[int, str | None]] = {}
        """Secrets that the hook read: id to the revision that it tracks from now on, and the label."""
        self.removed_revisions: list[tuple[str, int]] = []
        self._model = request["model"]["uuid"]
        self._images = {name: said["files"] for name, said in request["containers"].items()}
        self._storage = {said["id"]: said for said in request["storage"]}
        self.kept: dict[str, str] = dict(request["kept"])
        """What the unit keeps with Juju (`state-set`)."""

    def juju_log(self, level: str, message: str) -> None:
        """Log at once, so that a failing hook's messages are kept."""
        self._log.write(json.dumps([level, message]) + "\n")
        self._log.flush()

    def status_set(self, status: Any, message: str = "", *, is_app: bool = False) -> None:
        """Set a status, which Juju shows at once (juju/juju, runner/context/context.go, SetUnitStatus)."""
        super().status_set(status, message, is_app=is_app)
        self._say("application-status" if is_app else "unit-status", (str(status), message))

    def application_version_set(self, version: str) -> None:
        """Set the workload's version, which Juju shows at once."""
        super().application_version_set(version)
        self._say("workload-version", version)

    def action_log(self, message: str) -> None:
        """Tell of an action's progress, which Juju shows at once."""
        super().action_log(message)
        self._say("action-log", message)

    def relation_list(self, relation_id: int, *, relation_name: str | None = None) -> tuple[str, ...]:
        """List the members, without the unit that departs in this hook; its data stays readable."""
        self._get_relation_by_id(relation_id, relation_name)
        return tuple(self._members[relation_id])

    def relation_get(
        self, relation_id: int, member_name: str, is_app: bool, *, relation_name: str | None = None
    ) -> Any:
        """Return settings; a follower that reads its own application's is refused, also in relation-broken.

        ops looks only at relations that are there and leaves others to Juju (canonical/operator,
        pull request 2748; juju/juju, relation-get.go).
        """
        own = is_app and member_name == self.app_name
        if own and relation_id not in self._peers and not self.is_leader():
            raise ops.ModelError("ERROR permission denied")
        return super().relation_get(relation_id, member_name, is_app, relation_name=relation_name)

    def storage_get(self, storage_name_id: str, attribute: str) -> str:
        """Return where storage is, or of which kind."""
        if storage_name_id not in self._storage:
            raise ops.ModelError(f'ERROR invalid value "{storage_name_id}" for option -s: storage not found')
        if attribute not in ("location", "kind"):
            raise ops.ModelError(f'ERROR invalid storage attribute "{attribute}"')
        return str(self._storage[storage_name_id][attribute])

    def storage_add(self, name: str, count: int = 1) -> None:
        """Refuse: the claims of a StatefulSet's pods do not change."""
        raise ops.ModelError("ERROR adding storage to a unit of a Kubernetes model not supported")

    def get_pebble(self, socket_path: str) -> ops.pebble.Client:
        """Return Pebble in a container, whose files are those that earlier hooks have left.

        ops-scenario begins each hook with an empty container.
        """
        root = self._context._get_container_root(Path(socket_path).parent.name)
        kept = root.with_name(f"{root.name}.kept")
        if root.exists():
            root.rename(kept)
        client = super().get_pebble(socket_path)
        if kept.exists():
            shutil.rmtree(root)
            kept.rename(root)
        else:
            _unpack(root, self._images.get(root.name, {}))
        return _prepared(client)

    def secret_add(self, content: dict[str, str], **details: Any) -> str:
        """Add a secret under an identifier that looks like Juju's."""
        _check_size(content)
        secret = super()._get_secret(super().secret_add(content, **details))
        object.__setattr__(secret, "id", f"secret://{self._model}/{new_id()}")
        # Build the set again: a secret's hash is that of its identifier.
        self._state._update_secrets(frozenset(list(self._state.secrets)))
        return secret.id

    def _get_secret(self, id: str | None = None, label: str | None = None) -> Any:
        """Find a secret by a URI with or without a model; without one, it is of this model."""
        if id:
            model, _, bare = id.removeprefix("secret:").removeprefix("//").rpartition("/")
            id = f"secret://{model or self._model}/{bare}"
        return super()._get_secret(id, label)

    def secret_get(
        self,
        *,
        id: str | None = None,
        label: str | None = None,
        refresh: bool = False,
        peek: bool = False,
    ) -> dict[str, str]:
        """Return the content; from then on the reader tracks a revision of the secret, even after a peek.

        Without a grant, Juju denies a user's secret, and does not find an application's secret
        (canonical/operator, issue 1229).
        """
        if id and id.rpartition(":")[2].rpartition("/")[2] in self._withheld:
            raise ops.ModelError("ERROR permission denied")
        content = super().secret_get(id=id, label=label, refresh=refresh, peek=peek)
        secret = self._get_secret(id, label)
        self.read[secret.id] = (secret._tracked_revision, secret.label)
        return content

    def secret_set(self, id: str, *, content: dict[str, str] | None = None, **details: Any) -> None:
        """Change a secret; unchanged content makes no new revision (Juju 3.6)."""
        _check_size(content or {})
        before = self._get_secret(id)
        latest, held = before._latest_revision, before.latest_content
        super().secret_set(id, content=content, **details)
        revised = content is not None and content != held
        object.__setattr__(before, "_latest_revision", latest + revised)

    def secret_remove(self, id: str, *, revision: int | None = None) -> None:
        """Remove a secret or one of its revisions; Juju lets an owner remove any revision."""
        if revision is None:
            super().secret_remove(id)
            return
        secret = self._get_secret(id)
        self._check_can_manage_secret(secret)
        self.removed_revisions.append((secret.id, revision))


def _unpack(root: Path, files: Mapping[str, str]) -> None:
    """Write what a container's image has into a new container."""
    for path, text in files.items():
        file = root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            file.write_text(text)


def _prepared(client: Any) -> Any:
    """Have a client refuse what Pebble refuses, in its words, where ops-scenario is lenient or helps testers.

    Facts: canonical/pebble 1.22, internals/daemon/api_exec.go and internals/plan/plan.go.
    """
    answer, add_layer = client.exec, client.add_layer

    def run(command: list[str], **details: Any) -> Any:
        client._check_connection()
        if client._find_exec_handler(command) is None:
            hint = "nothing runs in the container: --workloads FILE tells what commands answer"
            raise _refused(f'cannot find executable "{command[0]}" ({hint})')
        return answer(command, **details)

    def add(label: str, layer: Any, *, combine: bool = False) -> None:
        said = ops.pebble.Layer(layer.to_dict() if isinstance(layer, ops.pebble.Layer) else layer)
        parts = {"service": said.services, "check": said.checks, "log target": said.log_targets}
        for kind, found in parts.items():
            for name, each in found.items():
                if not each.override:
                    raise _refused(f'layer "{label}" must define "override" for {kind} "{name}"')
        add_layer(label, layer, combine=combine)

    client.exec, client.add_layer = run, add
    return client


def _refused(message: str) -> ops.pebble.APIError:
    return ops.pebble.APIError({}, 400, "Bad Request", message)


def _check_size(content: dict[str, str]) -> None:
    """Fail as the hook tool does if a secret is too large."""
    try:
        check_size(content)
    except JujuError as error:
        raise ops.ModelError(f"ERROR {error}") from None


def _event(request: dict[str, Any]) -> state._Event:
    hook, task = request["hook"], request["task"]
    if task is None or task["kind"] != "action":
        return state._Event(hook.name.replace("-", "_"))
    action = state._Action(hook.name, params=task["parameters"], id=task["id"])
    return state._Event(f"{hook.name}_action", action=action)
