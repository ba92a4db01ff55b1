"""The training operator's program: its command line, and a controller for each kind of job.

kubeflow/training-operator v1.9.2, cmd/training-operator.v1/main.go and pkg/config. The operator's
own certificate is not renewed here.
"""

from __future__ import annotations

from rehearsal.players import flags, kinds
from rehearsal.players.controller import Controller
from rehearsal.players.program import Program
from rehearsal.players.recording import Recorder
from rehearsal.players.refusals import Unstartable
from rehearsal.players.training.frameworks import FRAMEWORKS, MPI, Framework
from rehearsal.players.training.gang import Gang
from rehearsal.players.training.jobs import Jobs
from rehearsal.players.training.mpi import MpiReplicas
from rehearsal.players.training.replicas import Replicas, Setting

IMAGE = "training-operator"

_FLAGS = {
    "metrics-bind-address": ":8080",
    "health-probe-bind-address": ":8081",
    "leader-election-id": "1ca428e5.training-operator.kubeflow.org",
    "enable-scheme": "",
    "gang-scheduler-name": "",
    "namespace": "",
    "controller-threads": "1",
    "pytorch-init-container-image": "alpine:3.10",
    "pytorch-init-container-template-file": "/etc/config/initContainer.yaml",
    "pytorch-init-container-max-tries": "100",
    "mpi-kubectl-delivery-image": "kubeflow/kubectl-delivery:latest",
    "webhook-server-port": "9443",
    "webhook-service-name": "training-operator",
    "webhook-secret-name": "training-operator-webhook-cert",
}
_SWITCHES = ("leader-elect",)


def controllers(program: Program) -> list[Controller]:
    """Return what the program runs."""
    values = flags.parse(program.settings.words, _FLAGS, _SWITCHES)
    setting = Setting(
        waiting=_template(program, values["pytorch-init-container-template-file"]),
        image=values["pytorch-init-container-image"],
        tries=values["pytorch-init-container-max-tries"],
        domain=program.settings.variable("CUSTOM_CLUSTER_DOMAIN"),
        delivery=values["mpi-kubectl-delivery-image"],
    )
    scheduler = values["gang-scheduler-name"]
    gang = Gang(program.api, scheduler) if scheduler else None
    found = []
    for framework in _enabled(program):
        maker = MpiReplicas if framework is MPI else Replicas
        recorder = Recorder(program, framework.controller)
        replicas = maker(framework, program.api, recorder, setting, gang)
        controller = Jobs(program, framework, replicas, gang).controller
        if framework is MPI:
            for kind in (kinds.CONFIG_MAP, kinds.ROLE, kinds.ROLE_BINDING, kinds.SERVICE_ACCOUNT):
                controller.owns(kind)
        found.append(controller)
    return found


def _enabled(program: Program) -> list[Framework]:
    """Return the kinds that are asked for; the flag may be there more than once."""
    words, found = program.settings.words, []
    for at, word in enumerate(words):
        name, given, value = word.lstrip("-").partition("=")
        if name == "enable-scheme":
            kind = (value if given else words[at + 1]).lower()
            if kind not in FRAMEWORKS:
                raise Unstartable(f'invalid value "{kind}" for flag -enable-scheme: not supported yet')
            found.append(FRAMEWORKS[kind])
    return found or list(FRAMEWORKS.values())


def _template(program: Program, path: str) -> str:
    """Return the template of the containers that wait, if a file with one is mounted."""
    place = program.settings.config_file(path)
    if place is None:
        return ""
    name, file = place
    found = program.kubelet.read(kinds.CONFIG_MAP, (program.settings.namespace, name))
    return ((found or {}).get("data") or {}).get(file, "")
