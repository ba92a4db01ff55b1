"""Knative's programs by their images: upstream's, and those of the charm.

knative.dev/serving v0.42.2, cmd/{controller,autoscaler,autoscaler-hpa,webhook}; canonical/knative-operators,
charms/knative-serving, 1.16. Upstream's images are told apart by what stands before their last part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rehearsal.players.controller import Controller
from rehearsal.players.knative import autoscaling
from rehearsal.players.knative.autoscaling import Autoscalers
from rehearsal.players.knative.certificates import Certificates
from rehearsal.players.knative.configurations import Configurations
from rehearsal.players.knative.exposure import Exposures
from rehearsal.players.knative.ingresses import Ingresses
from rehearsal.players.knative.revisions import Revisions
from rehearsal.players.knative.routes import Routes
from rehearsal.players.knative.services import Services
from rehearsal.players.program import Program

WEBHOOK = "knative-serving-webhook"


def controller(program: Program) -> list[Controller]:
    """Return what the controller runs."""
    made = (Services, Configurations, Revisions, Routes, Exposures)
    return [each(program).controller for each in made]


PROGRAMS: Mapping[str, Callable[[Program], list[Controller]]] = {
    "knative-serving-controller": controller,
    "knative-serving-autoscaler": lambda program: [Autoscalers(program).controller],
    "knative-serving-autoscaler-hpa": lambda program: [autoscaling.by_usage(program).controller],
    "net-istio-controller": lambda program: [Ingresses(program).controller],
    WEBHOOK: lambda program: [Certificates(program).controller],
}
"""Name of an image to what plays its program."""
