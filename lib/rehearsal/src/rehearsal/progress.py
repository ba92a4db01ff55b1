"""Show a person the phase of a rehearsal, what it waits for, and how long each phase took."""

from __future__ import annotations

import time

from rich.console import Console
from rich.status import Status
from rich.table import Table


class Progress:
    """Shows one changing line on a terminal; elsewhere prints changes, at most one every two seconds."""

    def __init__(self, console: Console | None = None):
        self.console = console or Console(stderr=True, highlight=False)
        self.times: list[tuple[str, float]] = []
        self._phase, self._since = "", 0.0
        self._told, self._told_at = "", 0.0
        self._status: Status | None = None

    def phase(self, name: str) -> None:
        """End the previous phase and begin a new one."""
        self.end()
        self._phase, self._since = name, time.monotonic()
        if self.console.is_terminal:
            self._status = self.console.status(name)
            self._status.start()
        else:
            self.console.print(name)

    def tell(self, detail: str) -> None:
        """Show what the phase is doing."""
        if self._status is not None:
            self._status.update(f"{self._phase}: {detail}")
        elif detail != self._told and time.monotonic() - self._told_at > 2:
            self._told, self._told_at = detail, time.monotonic()
            self.console.print(f"  {detail}", soft_wrap=True)

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
