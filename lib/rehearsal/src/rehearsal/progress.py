"""Show a person the phase of a rehearsal, what it waits for, and how long each phase took."""

from __future__ import annotations

import time
from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

_SHOWN = 100
"""How many characters of what is waited for a terminal shows."""


class Progress:
    """Shows one changing line on a terminal; elsewhere prints a line for each change."""

    def __init__(self, console: Console | None = None):
        self.console = console or Console(stderr=True, highlight=False)
        self.times: list[tuple[str, float]] = []
        self._phase, self._since = "", 0.0
        self._told = ""
        self._states: dict[str, tuple[str, float]] = {}
        self._status: Status | None = None

    def phase(self, name: str) -> None:
        """End the previous phase and begin a new one."""
        self.end()
        self._phase, self._since = name, time.monotonic()
        self._states = {}
        if self.console.is_terminal:
            self._status = self.console.status(escape(name))
            self._status.start()
        else:
            self._line(name)

    def tell(self, detail: str) -> None:
        """Show what the phase is doing."""
        if self._status is not None:
            self._status.update(escape(f"{self._phase}: {detail}"))
        elif detail != self._told:
            self._told = detail
            self._line(f"  {detail}")

    def states(self, now: Mapping[str, str], done: str) -> None:
        """Show what each of several things is waiting for.

        Args:
            now: what each waits for, or what it is when it need not wait any more.
            done: the word for the latter.
        """
        moment = time.monotonic()
        for name, state in now.items():
            if self._states.get(name, ("", 0.0))[0] != state:
                self._states[name] = state, moment
                if self._status is None:
                    self._line(f"  {moment - self._since:4.0f} s  {name}  {state}")
        if self._status is None:
            return
        waiting = [name for name in now if now[name] != done]
        if not waiting:
            self._status.update(escape(self._phase))
            return
        longest = min(waiting, key=lambda name: self._states[name][1])
        state, since = self._states[longest]
        count = f"{len(now) - len(waiting)} of {len(now)} {done}"
        said = f"{longest} {state}"
        said = said if len(said) <= _SHOWN else f"{said[: _SHOWN - 3]}..."
        self._status.update(escape(f"{self._phase}: {count}; for {moment - since:.0f} s: {said}"))

    def end(self) -> None:
        """End the phase."""
        if self._status is not None:
            self._status.stop()
            self._status = None
        if self._phase:
            self.times.append((self._phase, time.monotonic() - self._since))
            self._phase = ""

    def summary(self) -> Table:
        """Return a table of the time that each phase took."""
        table = Table("Phase", "Seconds", box=None, pad_edge=False, header_style="")
        for name, seconds in self.times:
            table.add_row(name, f"{seconds:.1f}")
        return table

    def _line(self, text: str) -> None:
        self.console.print(text, soft_wrap=True, markup=False)
