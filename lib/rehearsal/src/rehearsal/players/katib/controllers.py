"""Katib's controller program: its configuration, and its three controllers.

kubeflow/katib v0.19.0, cmd/katib-controller/v1beta1/main.go. The certificate that it can make for its own
webhooks is not played.
"""

from __future__ import annotations

from rehearsal.players import flags, kinds
from rehearsal.players.controller import Controller
from rehearsal.players.katib import config
from rehearsal.players.katib.experiments import Experiments
from rehearsal.players.katib.observing import Database
from rehearsal.players.katib.suggestions import Suggestions
from rehearsal.players.katib.trials import Trials
from rehearsal.players.program import Program
from rehearsal.players.refusals import Unstartable

IMAGE = "katib-controller"


def controllers(program: Program) -> list[Controller]:
    """Return what the program runs."""
    said = _configured(program)
    settings = program.settings
    core = settings.variable("KATIB_CORE_NAMESPACE", "kubeflow")
    database = Database(
        program,
        settings.variable("KATIB_DB_MANAGER_SERVICE_NAMESPACE", core),
        settings.variable("KATIB_DB_MANAGER_SERVICE_IP", "katib-db-manager"),
    )
    try:
        resources = said.trial_resources
    except config.Unreadable as error:
        raise Unstartable(f"Failed to parse trialResources: {error}") from None
    return [
        Experiments(program).controller,
        Suggestions(program, core, said.init).controller,
        Trials(program, resources, database).controller,
    ]


def _configured(program: Program) -> config.Config:
    """Return what the file of the command line says; without one, the defaults."""
    path = flags.parse(program.settings.words, {"katib-config": ""}, ())["katib-config"]
    if not path:
        return config.Config({"controller": {}}, {})
    place = program.settings.config_file(path)
    if place is None:
        raise Unstartable(f"Failed to get KatibConfig: open {path}: no such file or directory")
    name, file = place
    found = program.kubelet.read(kinds.CONFIG_MAP, (program.settings.namespace, name))
    text = ((found or {}).get("data") or {}).get(file, "")
    try:
        return config.parse(text)
    except config.Unreadable as error:
        raise Unstartable(f"Failed to get KatibConfig: {error}") from None
