"""KServe's controller as a program: its command line and its controllers.

kserve/kserve v0.16.0, cmd/manager/main.go.
"""

from __future__ import annotations

from rehearsal.players import flags
from rehearsal.players.controller import Controller
from rehearsal.players.kserve.graphs import Graphs
from rehearsal.players.kserve.services import Services
from rehearsal.players.kserve.trained import TrainedModels
from rehearsal.players.program import Program

IMAGE = "kserve-controller"

_FLAGS = {"metrics-addr": ":8080", "webhook-port": "9443", "health-probe-addr": ":8081"}
_SWITCHES = ("leader-elect",)


def controllers(program: Program) -> list[Controller]:
    """Return what the program runs."""
    flags.parse(program.settings.words, _FLAGS, _SWITCHES)
    return [each(program).controller for each in (Services, Graphs, TrainedModels)]
