"""The programs that a rehearsal answers for when somebody calls their pods."""

from __future__ import annotations

from collections.abc import Mapping

from rehearsal.network.playing import Program
from rehearsal.players import istiod, poddefaults, pvcviewer_webhook
from rehearsal.players.jobset import jobsets
from rehearsal.players.jobset import webhook as jobset_webhook
from rehearsal.players.katib import controllers as katib
from rehearsal.players.katib import webhook as katib_webhook
from rehearsal.players.knative import controllers as knative
from rehearsal.players.knative import webhook as knative_webhook
from rehearsal.players.kserve import controllers as kserve
from rehearsal.players.kserve import llm
from rehearsal.players.kserve import webhook as kserve_webhook
from rehearsal.players.trainer import trainjobs
from rehearsal.players.trainer import webhook as trainer_webhook
from rehearsal.players.training import operator as training_operator
from rehearsal.players.training import webhook as training_webhook

PROGRAMS: Mapping[str, Program] = {
    poddefaults.IMAGE: poddefaults.program,
    pvcviewer_webhook.IMAGE: pvcviewer_webhook.program,
    istiod.IMAGE: istiod.program,
    jobsets.IMAGE: jobset_webhook.program,
    trainjobs.IMAGE: trainer_webhook.program,
    katib.IMAGE: katib_webhook.program,
    knative.WEBHOOK: knative_webhook.program,
    kserve.IMAGE: kserve_webhook.program,
    llm.IMAGE: llm.program,
    training_operator.IMAGE: training_webhook.program,
}
"""By the name of their image."""
