"""The programs that a rehearsal answers for when somebody calls their pods."""

from __future__ import annotations

from collections.abc import Mapping

from rehearsal.network.playing import Program
from rehearsal.players import poddefaults, pvcviewer_webhook

PROGRAMS: Mapping[str, Program] = {
    poddefaults.IMAGE: poddefaults.program,
    pvcviewer_webhook.IMAGE: pvcviewer_webhook.program,
}
"""By the name of their image."""
