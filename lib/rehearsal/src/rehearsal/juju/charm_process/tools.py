"""What hook tools do when they are programs, as a charm's own dispatch calls them.

Each becomes a call of the hook's backend, as ops makes it in the fast way. Facts: juju/juju 3.6,
internal/worker/uniter/runner/jujuc, one file for each tool.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ops
import yaml

from rehearsal.juju.charm_process.backend import Backend
from rehearsal.juju.charm_process.tool_words import Line, ToolError, nested, pairs, parse, printed
from rehearsal.juju.model import durations

_FORMAT = {"--format": "format", "-o": "file", "--output": "file"}
_RELATION = {"-r": "relation", "--relation": "relation"}
_SECRET = {
    "--label": "label",
    "--description": "description",
    "--expire": "expire",
    "--rotate": "rotate",
    "--owner": "owner",
    "--file": "input",
}


class Tools:
    """The hook tools of one hook.

    Args:
        backend: what they do.
        request: the hook's request (`request.py`).
        environment: the hook's, with JUJU_RELATION_ID and JUJU_REMOTE_UNIT.
    """

    def __init__(self, backend: Backend, request: Mapping[str, Any], environment: Mapping[str, str]):
        self._backend = backend
        self._request = request
        self._environment = environment
        self._folder = Path()
        self._input = ""

    @staticmethod
    def names() -> list[str]:
        """Return the names of all tools."""
        return sorted(_TOOLS)

    def answer(self, name: str, words: Sequence[str], folder: Path, text: str) -> tuple[int, str, str]:
        """Run a tool.

        Args:
            name: of the tool.
            words: after it.
            folder: in which it was called.
            text: its standard input, if `--file -` says to read it.

        Returns:
            the exit status, standard output and standard error.
        """
        self._folder, self._input = folder, text
        function, valued, flags = _TOOLS[name]
        if any(word in ("-h", "--help") for word in words):
            return 0, self._help(name, {**_FORMAT, **valued}, flags), ""
        try:
            line = parse(words, {**_FORMAT, **valued}, flags)
            said = function(self, line)
        except ToolError as error:
            return error.code, "", f"ERROR {error}\n"
        except ops.RelationNotFoundError:
            return 1, "", "ERROR invalid value for option -r: relation not found\n"
        except ops.SecretNotFoundError as error:
            return 1, "", f'ERROR secret "{str(error).removeprefix("secret:")}" not found\n'
        except (ops.ModelError, RuntimeError) as error:
            return 1, "", f"ERROR {str(error).removeprefix('ERROR ')}\n"
        try:
            return 0, "" if said is _NOTHING else printed(said, line.get("format")), ""
        except ToolError as error:
            return error.code, "", f"ERROR {error}\n"

    def _help(self, name: str, valued: dict[str, str], flags: dict[str, str]) -> str:
        """Return a tool's help, in which ops before 3 looks up the storage of a hook."""
        usual = {
            "format": "smart",
            "storage": self._environment.get("JUJU_STORAGE_ID", ""),
            "relation": self._environment.get("JUJU_RELATION_ID", ""),
        }
        spelled: dict[str, list[str]] = {}
        for option, first in (valued | flags).items():
            spelled.setdefault(first, []).append(option)
        options = ""
        for first, names in spelled.items():
            default = "false" if names[0] in flags else usual.get(first) or '""'
            options += f"{', '.join(names)}  (= {default})\n"
        return f"Usage: {name} [options]\n\nOptions:\n{options}"

    # Storage

    def _storage_list(self, line: Line) -> Any:
        name = line.word(0)
        return [said["id"] for said in self._request["storage"] if name in ("", said["name"])]

    def _storage_get(self, line: Line) -> Any:
        which = line.get("storage") or self._environment.get("JUJU_STORAGE_ID", "")
        if not which:
            raise ToolError("no storage instance specified", 2)
        keys = [line.word(0)] if line.word(0) else ["kind", "location"]
        found = {key: self._backend.storage_get(which, key) for key in keys}
        return found[line.word(0)] if line.word(0) else found

    def _storage_add(self, line: Line) -> Any:
        self._backend.storage_add(line.word(0, "storage add requires a storage directive"))
        return _NOTHING

    # Relations

    def _relation(self, line: Line) -> int:
        """Return the number of the relation that is meant: `db:3`, `3`, or the hook's own."""
        said = line.get("relation") or self._environment.get("JUJU_RELATION_ID", "")
        name, sign, number = said.rpartition(":")
        if not said:
            raise ToolError("no relation id specified", 2)
        if not number.isdigit():
            raise ToolError(f'invalid value "{said}" for option -r: invalid relation id', 2)
        found = next((each for each in self._request["relations"] if each["id"] == int(number)), None)
        if found is None or (sign and found["endpoint"] != name):
            raise ToolError(f'invalid value "{said}" for option -r: relation not found', 2)
        return int(number)

    def _relation_ids(self, line: Line) -> Any:
        name = line.word(0) or self._environment.get("JUJU_RELATION", "")
        if not name:
            raise ToolError("no endpoint name specified", 2)
        return [f"{name}:{number}" for number in self._backend.relation_ids(name)]

    def _relation_list(self, line: Line) -> Any:
        number = self._relation(line)
        if line.get("app"):
            return self._backend.relation_remote_app_name(number)
        return list(self._backend.relation_list(number))

    def _relation_get(self, line: Line) -> Any:
        number, key = self._relation(line), line.word(0) or "-"
        remote = self._environment
        default = remote.get("JUJU_REMOTE_APP" if line.get("app") else "JUJU_REMOTE_UNIT", "")
        whose = line.word(1) or default
        if not whose:
            raise ToolError("no unit or application specified", 2)
        is_app = bool(line.get("app")) or "/" not in whose
        if is_app:
            whose = whose.partition("/")[0]
        self._readable(number, whose, is_app=is_app)
        found = self._backend.relation_get(number, whose, is_app)
        return found if key == "-" else found.get(key, "")

    def _readable(self, number: int, whose: str, *, is_app: bool) -> None:
        """Refuse to read settings of a unit that is not of this relation."""
        said = next(each for each in self._request["relations"] if each["id"] == number)
        if is_app:
            known = {said["remote_application"], self._request["application"]}
        else:
            known = {f"{said['remote_application']}/{each}" for each in said["remote_unit_data"]}
            known |= {self._request["unit"]}
        if whose not in known:
            raise ToolError(f'cannot read settings for unit "{whose}" in relation "{number}": not found')

    def _relation_set(self, line: Line) -> Any:
        number, data = self._relation(line), self._file(line) | pairs(line.words, self._read)
        if line.get("app") and not self._backend.is_leader():
            raise ToolError("cannot write relation settings")
        self._backend.relation_set(number, {k: str(v) for k, v in data.items()}, bool(line.get("app")))
        return _NOTHING

    def _relation_model_get(self, line: Line) -> Any:
        return self._backend.relation_model_get(self._relation(line))

    # The unit and its surroundings

    def _config_get(self, line: Line) -> Any:
        said = self._backend.config_get()
        return said.get(line.word(0)) if line.word(0) else said

    def _is_leader(self, line: Line) -> Any:
        return self._backend.is_leader()

    def _goal_state(self, line: Line) -> Any:
        since = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        name, count = self._request["application"], self._request["planned_units"]
        units = {f"{name}/{number}": {"status": "active", "since": since} for number in range(count)}
        return {"units": units, "relations": {}}

    def _resource_get(self, line: Line) -> Any:
        name = line.word(0, "missing required resource name")
        if name not in self._request["resources"]:
            raise ToolError(f'could not download resource: resource "{name}" not found')
        return str(self._backend.resource_get(name))

    def _network_get(self, line: Line) -> Any:
        name = line.word(0, "no arguments specified")
        try:
            said = self._backend.network_get(name)
        except ops.RelationNotFoundError:
            raise ToolError(f'no network config found for binding "{name}"') from None
        parts = [part for part in ("ingress-address", "bind-address", "egress-subnets") if line.get(part)]
        if not parts:
            return said
        values = {
            "ingress-address": said["ingress-addresses"][0],
            "bind-address": said["bind-addresses"][0]["addresses"][0]["value"],
            "egress-subnets": ",".join(said["egress-subnets"]),
        }
        return values[parts[0]] if len(parts) == 1 else {part: values[part] for part in parts}

    def _unit_get(self, line: Line) -> Any:
        if line.word(0) not in ("private-address", "public-address"):
            raise ToolError(f'unknown setting "{line.word(0)}"', 2)
        return self._request["address"]

    def _credential_get(self, line: Line) -> Any:
        raise ToolError("cannot access cloud credentials")

    def _juju_log(self, line: Line) -> Any:
        self._backend.juju_log(str(line.get("level", "INFO")).upper(), " ".join(line.words))
        return _NOTHING

    def _juju_reboot(self, line: Line) -> Any:
        raise ToolError("juju-reboot is not supported on a Kubernetes model")

    def _version_set(self, line: Line) -> Any:
        self._backend.application_version_set(line.word(0, "no version specified"))
        return _NOTHING

    # Statuses

    def _status_get(self, line: Line) -> Any:
        is_app = bool(line.get("application"))
        if is_app and not self._backend.is_leader():
            raise ToolError("this unit is not the leader")
        said = self._backend.status_get(is_app=is_app) | {"status-data": {}}
        if is_app:
            return {"application-status": said | {"units": {}}}
        return said if line.get("include-data") else said["status"]

    def _status_set(self, line: Line) -> Any:
        word = line.word(0, "invalid args, require <status> [message]")
        is_app = bool(line.get("application"))
        if is_app and not self._backend.is_leader():
            raise ToolError("this unit is not the leader")
        self._backend.status_set(word, " ".join(line.words[1:]), is_app=is_app)  # type: ignore[arg-type]
        return _NOTHING

    # Ports

    def _ports(self, line: Line) -> list[tuple[str, int | None]]:
        word = line.word(0, "no protocol or range specified")
        numbers, _, protocol = word.partition("/")
        if numbers.lower() == "icmp":
            return [("icmp", None)]
        first, _, last = numbers.partition("-")
        if not first.isdigit() or not (last or first).isdigit():
            raise ToolError(f'invalid port range "{word}"', 2)
        return [(protocol or "tcp", each) for each in range(int(first), int(last or first) + 1)]

    def _open_port(self, line: Line) -> Any:
        for protocol, number in self._ports(line):
            self._backend.open_port(protocol, number)  # type: ignore[arg-type]
        return _NOTHING

    def _close_port(self, line: Line) -> Any:
        for protocol, number in self._ports(line):
            self._backend.close_port(protocol, number)  # type: ignore[arg-type]
        return _NOTHING

    def _opened_ports(self, line: Line) -> Any:
        opened = sorted(self._backend.opened_ports(), key=lambda port: (port.protocol, port.port or 0))
        return [f"{each.port}/{each.protocol}" if each.port else each.protocol for each in opened]

    # Actions

    def _action_get(self, line: Line) -> Any:
        found: Any = self._backend.action_get()
        for step in filter(None, line.word(0).split(".")):
            found = found.get(step) if isinstance(found, dict) else None
        return found

    def _action_set(self, line: Line) -> Any:
        self._backend.action_set(nested(pairs(line.words, self._read)))
        return _NOTHING

    def _action_log(self, line: Line) -> Any:
        self._backend.action_log(" ".join(line.words))
        return _NOTHING

    def _action_fail(self, line: Line) -> Any:
        self._backend.action_fail(
            line.word(0) or "action failed without reason given, check action for errors"
        )
        return _NOTHING

    # Secrets

    def _secret(self, line: Line) -> dict[str, Any]:
        rotate, expire = line.get("rotate"), line.get("expire")
        said = {
            "label": line.get("label") or None,
            "description": line.get("description") or None,
            "rotate": ops.SecretRotate(rotate) if rotate else None,
            "expire": _moment(expire) if expire else None,
        }
        return {key: value for key, value in said.items() if value is not None}

    def _content(self, words: Sequence[str], line: Line) -> dict[str, str]:
        return {k: str(v) for k, v in (self._file(line) | pairs(words, self._read)).items()}

    def _secret_add(self, line: Line) -> Any:
        content = self._content(line.words, line)
        if not content:
            raise ToolError("missing secret value or filename", 2)
        owner = line.get("owner", "application")
        if owner == "application" and not self._backend.is_leader():
            raise ToolError("permission denied")
        return self._backend.secret_add(content, owner=owner, **self._secret(line))

    def _secret_set(self, line: Line) -> Any:
        content = self._content(line.words[1:], line)
        self._backend.secret_set(self._id(line), content=content or None, **self._secret(line))
        return _NOTHING

    def _secret_get(self, line: Line) -> Any:
        content = self._backend.secret_get(
            id=_uri(line.word(0)),
            label=line.get("label") or None,
            refresh=bool(line.get("refresh")),
            peek=bool(line.get("peek")),
        )
        return content.get(line.word(1)) if line.word(1) else content

    def _secret_info_get(self, line: Line) -> Any:
        info = self._backend.secret_info_get(id=_uri(line.word(0)), label=line.get("label") or None)
        said = {
            "revision": info.revision,
            "label": info.label or "",
            "description": info.description or "",
            "owner": "application",
            "rotation": info.rotation.value if info.rotation else "never",
        }
        if info.expires:
            said["expiry"] = info.expires.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {info.id.rpartition("/")[2]: said}

    def _secret_ids(self, line: Line) -> Any:
        return [each["id"] for each in self._request["secrets"] if each["owner"]]

    def _secret_grant(self, line: Line) -> Any:
        self._backend.secret_grant(self._id(line), self._relation(line), unit=line.get("unit") or None)
        return _NOTHING

    def _secret_revoke(self, line: Line) -> Any:
        self._backend.secret_revoke(self._id(line), self._relation(line), unit=line.get("unit") or None)
        return _NOTHING

    def _secret_remove(self, line: Line) -> Any:
        revision = line.get("revision")
        self._backend.secret_remove(self._id(line), revision=int(revision) if revision else None)
        return _NOTHING

    def _id(self, line: Line) -> str:
        return _uri(line.word(0, "missing secret URI")) or ""

    # What a unit keeps with Juju

    def _state_get(self, line: Line) -> Any:
        kept = self._backend.kept
        return kept.get(line.word(0), "") if line.word(0) not in ("", "-") else dict(kept)

    def _state_set(self, line: Line) -> Any:
        self._backend.kept.update(self._content(line.words, line))
        return _NOTHING

    def _state_delete(self, line: Line) -> Any:
        self._backend.kept.pop(line.word(0), None)
        return _NOTHING

    # Files

    def _read(self, name: str) -> str:
        try:
            return (self._folder / name).read_text()
        except OSError as error:
            raise ToolError(f"open {name}: {(error.strerror or '').lower()}") from None

    def _file(self, line: Line) -> dict[str, str]:
        """Return the settings that `--file` names: a file, or standard input."""
        name = line.get("input")
        if not name:
            return {}
        said = yaml.safe_load(self._input if name == "-" else self._read(name))
        if not isinstance(said, dict | None):
            raise ToolError("expected a mapping of keys to values")
        return {str(key): "" if value is None else str(value) for key, value in (said or {}).items()}


def _uri(said: str) -> str | None:
    """Return a secret's URI of its bare identifier, too; None if none is said."""
    if not said:
        return None
    return said if said.startswith("secret:") else f"secret:{said}"


def _moment(said: str) -> datetime.datetime:
    """Return the time that `--expire` says: a moment, or how long from now."""
    try:
        return datetime.datetime.fromisoformat(said)
    except ValueError:
        return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=durations.seconds(said))


_NOTHING = object()
"""What a tool says that prints nothing."""

_Tool = tuple[Callable[[Tools, Line], Any], dict[str, str], dict[str, str]]
_ID = {"--relation": "relation", "-r": "relation", "--unit": "unit", "--app": "app", "--application": "app"}
_APP = {"--app": "app"}
_NETWORK = {
    f"--{each}": each for each in ("ingress-address", "bind-address", "egress-subnets", "primary-address")
}
_TOOLS: dict[str, _Tool] = {
    "action-fail": (Tools._action_fail, {}, {}),
    "action-get": (Tools._action_get, {}, {}),
    "action-log": (Tools._action_log, {}, {}),
    "action-set": (Tools._action_set, {}, {}),
    "application-version-set": (Tools._version_set, {}, {}),
    "close-port": (Tools._close_port, {"--endpoints": "endpoints"}, {}),
    "config-get": (Tools._config_get, {}, {"-a": "all", "--all": "all"}),
    "credential-get": (Tools._credential_get, {}, {}),
    "goal-state": (Tools._goal_state, {}, {}),
    "is-leader": (Tools._is_leader, {}, {}),
    "juju-log": (Tools._juju_log, {"-l": "level", "--log-level": "level"}, {"--debug": "debug"}),
    "juju-reboot": (Tools._juju_reboot, {}, {"--now": "now"}),
    "network-get": (Tools._network_get, _RELATION, _NETWORK),
    "open-port": (Tools._open_port, {"--endpoints": "endpoints"}, {}),
    "opened-ports": (Tools._opened_ports, {}, {"--endpoints": "endpoints"}),
    "relation-get": (Tools._relation_get, _RELATION, _APP),
    "relation-ids": (Tools._relation_ids, {}, {}),
    "relation-list": (Tools._relation_list, _RELATION, _APP),
    "relation-model-get": (Tools._relation_model_get, _RELATION, {}),
    "relation-set": (Tools._relation_set, {**_RELATION, "--file": "input"}, _APP),
    "resource-get": (Tools._resource_get, {}, {}),
    "secret-add": (Tools._secret_add, _SECRET, {}),
    "secret-get": (Tools._secret_get, {"--label": "label"}, {"--refresh": "refresh", "--peek": "peek"}),
    "secret-grant": (Tools._secret_grant, _ID, {}),
    "secret-ids": (Tools._secret_ids, {}, {}),
    "secret-info-get": (Tools._secret_info_get, {"--label": "label"}, {}),
    "secret-remove": (Tools._secret_remove, {"--revision": "revision"}, {}),
    "secret-revoke": (Tools._secret_revoke, _ID, {}),
    "secret-set": (Tools._secret_set, _SECRET, {}),
    "state-delete": (Tools._state_delete, {}, {}),
    "state-get": (Tools._state_get, {}, {}),
    "state-set": (Tools._state_set, {"--file": "input"}, {}),
    "status-get": (Tools._status_get, {}, {"--include-data": "include-data", "--application": "application"}),
    "status-set": (Tools._status_set, {}, {"--application": "application"}),
    "storage-add": (Tools._storage_add, {}, {}),
    "storage-get": (Tools._storage_get, {"-s": "storage"}, {}),
    "storage-list": (Tools._storage_list, {}, {}),
    "unit-get": (Tools._unit_get, {}, {}),
}
"""By name: what it does, and its options with and without a value."""
