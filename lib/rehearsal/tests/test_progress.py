"""What a rehearsal shows of its progress, in a log and on a terminal."""

from __future__ import annotations

import io

from rich.console import Console

from rehearsal.progress import Progress


def test_a_log_gets_a_line_for_each_change() -> None:
    log = io.StringIO()
    progress = Progress(Console(file=log, width=40, highlight=False))
    progress.phase("all active")
    for web, db in (("waiting: [db]", "waiting: pod"), ("waiting: [db]", "active"), ("active", "active")):
        progress.states({"web/0": web, "db/0": db}, "active")
        progress.states({"web/0": web, "db/0": db}, "active")
    progress.end()
    assert log.getvalue().splitlines() == [
        "all active",
        "     0 s  web/0  waiting: [db]",
        "     0 s  db/0  waiting: pod",
        "     0 s  db/0  active",
        "     0 s  web/0  active",
    ]


def test_a_log_says_nothing_twice() -> None:
    log = io.StringIO()
    progress = Progress(Console(file=log, highlight=False))
    progress.phase("control plane")
    for detail in ("compiling: 0 %", "compiling: 0 %", "compiling: 10 %"):
        progress.tell(detail)
    assert log.getvalue().splitlines() == ["control plane", "  compiling: 0 %", "  compiling: 10 %"]


def test_a_terminal_shows_what_is_waited_for_the_longest() -> None:
    terminal = io.StringIO()
    progress = Progress(Console(file=terminal, force_terminal=True, width=200, highlight=False))
    progress.phase("all active")
    progress.states({"web/0": "waiting: [db]", "db/0": "active"}, "active")
    assert progress._status is not None
    assert str(progress._status.status).replace("\\", "") == (
        "all active: 1 of 2 active; for 0 s: web/0 waiting: [db]"
    )
    progress.end()
