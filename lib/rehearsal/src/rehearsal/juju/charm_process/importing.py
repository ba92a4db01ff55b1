"""The fast way to run a hook: as `ops.main` does, in a copy of a process that has imported the charm."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import traceback
from pathlib import Path
from typing import Any

import ops
import ops.storage
import yaml
from ops import _main

from rehearsal.juju.charm_process.backend import Backend
from rehearsal.juju.charm_process.hooks import Hooks

_OURS = str(Path(__file__).parents[2])
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Storage(ops.storage.SQLiteStorage):
    """StoredState and deferred events, stored in the pod as in Juju."""

    def _setup(self) -> None:
        # The data need not survive a crash of the machine; this saves a third of a hook's time.
        self._db.execute("PRAGMA synchronous=OFF")
        super()._setup()


class _NotImported(Exception):
    """The charm could not be imported; the text is the traceback of that."""


class ImportedHooks(Hooks):
    """A charm, imported once.

    Args:
        folder: the charm's source folder.
        metadata: its metadata, with `config` and `actions` in it.
    """

    def __init__(self, folder: Path, metadata: dict[str, Any]):
        super().__init__(metadata)
        # ops would read this from the charm's folder for every hook.
        self._charm_meta = ops.CharmMeta.from_yaml(*map(_dumped, (self._meta, self._actions, self._config)))
        self._charm: type[ops.CharmBase] | None = None
        self._failure = ""
        try:
            self._charm = import_charm(folder)
        except BaseException as error:  # each hook reports what the charm's code raises
            self._failure = _told(error)

    def _carry_out(self, request: dict[str, Any], backend: Backend) -> None:
        """Run the charm as `ops.main` does."""
        if self._charm is None:
            raise _NotImported(self._failure)
        try:
            self._run(self._charm, backend)
        except Exception as error:
            if request["task"]:  # ops/log.py, setup_root_logging
                print(f"Uncaught {type(error).__name__} in charm code: {error}", file=sys.stderr)
                print("Use `juju debug-log` to see the full traceback.", file=sys.stderr)
            raise

    def _explained(self, error: BaseException) -> str:
        """Return what the log says of what the charm's code raised."""
        if isinstance(error, _NotImported):
            return str(error)
        return f"Uncaught exception while in charm code:\n{_told(error)}"

    def _run(self, charm: type[ops.CharmBase], backend: Backend) -> None:
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
