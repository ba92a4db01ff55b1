"""The engine's side of the processes that run a charm's code."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from rehearsal.guardian import kill_family
from rehearsal.juju.charm_process.channel import receive, send
from rehearsal.juju.charm_process.worker import STDERR, STDOUT
from rehearsal.juju.charm_process.zygote import Branch, Zygote
from rehearsal.juju.model.charms import Charm

HOOK_WITHIN = 600.0
"""Seconds after which the engine kills a hook."""

_MOST_OUTPUT = 4 << 20
"""Bytes of each output of a hook that are kept."""
STORAGE = "storage"
"""The folder of an application's storage, beside those of its charm's versions."""
_IN_POD = Path(__file__).with_name("in_pod")
"""What the Python of a charm with its own dispatch imports first."""
_DISPATCH = """#!/bin/sh
# As charmcraft makes it of a charm in Python.
JUJU_DISPATCH_PATH="${JUJU_DISPATCH_PATH:-$0}" PYTHONPATH=lib:src exec python3 ./src/charm.py
"""
_KEPT = {"HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TZ", "USER"}
"""The variables of the rehearsal's environment that hooks see; Juju's agent has a bare environment, too."""


class Host:
    """Runs the hooks of one application, for one version of its charm.

    Args:
        folder: the folder of the application and version, for scratch and logs.
        zygote: the process that forks its worker.
        charm: the charm.
        environment: variables of every hook besides Juju's own: KUBECONFIG, PATH.
        tools: the folder with the hook tools, for a charm whose own dispatch runs its hooks.
    """

    def __init__(
        self,
        folder: Path,
        zygote: Zygote,
        charm: Charm,
        environment: Mapping[str, str],
        tools: Path | None = None,
    ):
        self._folder = folder
        self._zygote = zygote
        self._charm = charm
        self._environment = environment
        self._tools = tools
        self._worker: Branch | None = None
        self._pods: dict[str, Branch] = {}
        self._stopped = False
        self._lock = threading.Lock()
        self.on_pid: Callable[[int], None] = lambda _: None
        """Gets the process id of each hook that begins, so that tests can kill it."""

    def start(self) -> None:
        """Start the worker; it imports the charm while Juju makes the pod."""
        self._worker = self._start_worker()

    def _start_worker(self) -> Branch:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._zygote.worker(
            {
                "charm": str(self._charm.path),
                "dispatched": self._charm.dispatched,
                "metadata": dict(self._charm.metadata),
                "environment": {**os.environ, **self._environment},
                "log": str(self._folder / "worker.log"),
            }
        )

    def stop(self) -> None:
        """End the pods, the processes that their hooks left running, and the worker."""
        with self._lock:
            self._stopped = True
            ending = [*self._pods.values(), self._worker]
            self._pods, self._worker = {}, None
        for each in ending:
            if each is not None:
                each.end()

    def end_unit(self, unit: str) -> None:
        """End a unit's pod, and delete its files."""
        with self._lock:
            pod = self._pods.pop(unit, None)
        if pod is not None:
            pod.end()
        shutil.rmtree(self._scratch(unit), ignore_errors=True)

    def run(self, request: dict[str, Any], heard: Callable[[str, Any], None]) -> dict[str, Any]:
        """Run one hook.

        Args:
            request: the hook's input (`request.py`).
            heard: gets what the hook says while it runs (`backend.py`).

        Returns:
            The worker's result (`hooks.py`); `reason` if the hook failed, such as `exit status 1`; and always
            `log`, a list of level, source and message.
        """
        scratch = self._scratch(request["unit"])
        output = scratch / "output"
        try:
            root = self._charm_root(scratch)
            shutil.rmtree(output, ignore_errors=True)
            output.mkdir()
            request |= {
                "charm_root": str(root),
                "environment": self._hook_environment(scratch, request),
                "output": str(output),
                "socket": str(self._zygote.new_path()),
                "files": str(scratch / "files"),
                **self._storage(request),
                "tools": f"{self._tools}{os.pathsep}{scratch / 'bin'}",
            }
            result = self._ask(request, heard)
        except (EOFError, OSError) as error:
            result = {"ok": False, "traceback": "", "reason": str(error) or "the unit's pod is gone"}
        if request["task"] and result.get("action"):
            result["action"]["results"] |= _printed(output)
        result["log"] = _log(output, request["hook"].name)
        return result

    def _storage(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the unit's storage and its containers' mounts with their folders, which outlive its pods."""

        def folder(storage: str) -> str:
            place = self._folder.parent / STORAGE / storage.replace("/", "-")
            place.mkdir(parents=True, exist_ok=True)
            return str(place)

        return {
            "storage": [each | {"location": folder(each["id"])} for each in request["storage"]],
            "mounts": {
                name: [(location, folder(storage)) for location, storage in mounts]
                for name, mounts in request["mounts"].items()
            },
        }

    def _ask(self, request: dict[str, Any], heard: Callable[[str, Any], None]) -> dict[str, Any]:
        with self._connect(request["unit"]) as channel:
            send(channel, request)
            _, pid = receive(channel)
            self.on_pid(pid)
            deadline = time.monotonic() + HOOK_WITHIN
            result: dict[str, Any] = {"ok": False, "traceback": ""}
            kind: str = ""
            said: Any = None
            try:
                while kind != "ended":
                    channel.settimeout(max(deadline - time.monotonic(), 0.001))
                    kind, said = receive(channel)
                    if kind == "said":
                        heard(*said)
                    elif kind == "result":
                        result = said
            except TimeoutError:
                # Nobody has waited for this child yet, so the process id is still its own.
                kill_family(pid)
                raise OSError(f"no end within {HOOK_WITHIN:.0f} seconds") from None
        if not result["ok"]:
            result["reason"] = _reason(result.get("code") or said)
        return result

    def _connect(self, unit: str) -> socket.socket:
        """Return a connection to the unit's pod; make the pod if it is missing or gone."""
        for last in (False, True):
            try:
                return self._pod(unit).connect()
            except OSError as error:
                if last or self._stopped:
                    raise OSError(f"{error}: see {self._folder}/worker.log") from None
        raise AssertionError("unreachable")

    def _pod(self, unit: str) -> Branch:
        with self._lock:
            if self._stopped:
                raise OSError("the application is gone")
            if unit not in self._pods or self._pods[unit].ended:
                if unit in self._pods:
                    self._pods.pop(unit).end()
                path, worker = self._zygote.new_path(), self._living_worker()
                self._pods[unit] = Branch(path, worker.connect(), str(path))
            return self._pods[unit]

    def _living_worker(self) -> Branch:
        if self._worker is not None and self._worker.ended:
            self._worker.end()
            self._worker = None
        self._worker = self._worker or self._start_worker()
        return self._worker

    def _scratch(self, unit: str) -> Path:
        return self._folder / unit.replace("/", "-")

    def _charm_root(self, scratch: Path) -> Path:
        """Return a unit's own charm folder: links to the source, and generated files.

        ops keeps its state there, so units must not share it.
        """
        root = scratch / "charm"
        if root.exists():
            return root
        root.mkdir(parents=True)
        (scratch / "tmp").mkdir(exist_ok=True)
        whole = self._charm.dispatched and (self._charm.path / "metadata.yaml").exists()
        generated = set() if whole else {"metadata.yaml", "config.yaml", "actions.yaml", "charmcraft.yaml"}
        if not self._charm.dispatched:
            generated.add("dispatch")
            (root / "dispatch").write_text("#!/bin/sh\n# juju-exec knows what to do with this path.\n")
        elif self._charm.python and not (self._charm.path / "dispatch").exists():
            _write_program(root / "dispatch", _DISPATCH)
        for entry in self._charm.path.iterdir():
            if entry.name not in generated and not entry.name.startswith("."):
                (root / entry.name).symlink_to(entry)
        if not whole:
            self._write_metadata(root)
        if python := self._charm.python or _packed_for(self._charm.path):
            (scratch / "bin").mkdir(exist_ok=True)
            # A link would not find the packages of its environment.
            path = f"{shlex.quote(str(_IN_POD))}${{PYTHONPATH:+:$PYTHONPATH}}"
            text = f'#!/bin/sh\nPYTHONPATH={path} exec {shlex.quote(str(python))} "$@"\n'
            _write_program(scratch / "bin" / "python3", text)
        return root

    def _write_metadata(self, root: Path) -> None:
        """Write the files that charmcraft makes of `charmcraft.yaml`."""
        said = dict(self._charm.metadata)
        parts = {"config.yaml": said.pop("config", None), "actions.yaml": said.pop("actions", None)}
        for name, document in ({"metadata.yaml": said} | parts).items():
            if document:
                (root / name).write_text(yaml.safe_dump(document))

    def _hook_environment(self, scratch: Path, request: dict[str, Any]) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if key in _KEPT or key.startswith("LC_")}
        own = {"TMPDIR": str(scratch / "tmp"), "REHEARSAL_MODEL": request["model"]["name"]}
        return kept | dict(self._environment) | own


def _packed_for(folder: Path) -> str | None:
    """Return the Python that a packed charm carries packages for, if it is on this machine."""
    versions = [path.name for path in folder.glob("venv/lib/python3.*")]
    own = f"python3.{sys.version_info.minor}"
    return next((sys.executable if name == own else shutil.which(name) for name in versions), None)


def _write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _reason(code: int) -> str:
    """Describe how a process ended, in the words of Juju's agent (Go's os.ProcessState)."""
    if code < 0:
        name = {signal.SIGKILL: "killed", signal.SIGTERM: "terminated", signal.SIGSEGV: "segmentation fault"}
        return f"signal: {name.get(signal.Signals(-code), signal.Signals(-code).name)}"
    return f"exit status {code}"


def _printed(output: Path) -> dict[str, str]:
    """Return what an action printed, which is among its results (runner/runner.go, updateActionResults)."""
    printed = {name: _end_of(output / name)[1] for name in (STDOUT, STDERR)}
    return {name: text for name, text in printed.items() if text}


def _end_of(path: Path) -> tuple[str, str]:
    """Return a hook's output, or its end if there is more than anybody reads; and what to say of the rest."""
    if not path.exists():
        return "", ""
    with path.open("rb") as file:
        left_out = max(file.seek(0, os.SEEK_END) - _MOST_OUTPUT, 0)
        file.seek(left_out)
        if left_out:
            left_out += len(file.readline())
        text = file.read().decode(errors="replace")
    return f"{left_out} bytes before this are left out" if left_out else "", text


def _log(output: Path, hook: str) -> list[tuple[str, str, str]]:
    """Return a hook's log and output, at Juju's levels (runner/runner.go)."""
    rest, text = _end_of(output / "log")
    lines = [("WARNING", "juju-log", rest)] if rest else []
    for line in text.splitlines():
        level, message = json.loads(line)
        lines.append((level, "juju-log", message))
    for name, level in ((STDOUT, "DEBUG"), (STDERR, "WARNING")):
        rest, text = _end_of(output / name)
        lines += [(level, hook, line) for line in ([rest] if rest else []) + text.splitlines()]
    return lines
