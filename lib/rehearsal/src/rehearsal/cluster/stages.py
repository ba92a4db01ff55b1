"""What KWOK does to nodes and pods: its Stage documents, and pods that misbehave on purpose.

KWOK has no pod behind a pod; a Stage says which pods it selects and what their status becomes. A pod
that misbehaves is left out of the stage that makes pods ready, and gets one that writes the kubelet's own
words instead. When it no longer misbehaves, the first stage takes it again: it heals.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import Any

from rehearsal.errors import RehearsalError

WAYS = ("image-pull", "crash-loop", "oom", "slow")


@dataclass(frozen=True)
class Misbehaviour:
    """Pods that do not come up.

    Args:
        pattern: shell pattern of the pods' names.
        way: `image-pull`, `crash-loop`, `oom`, or `slow`.
        seconds: of `slow`: how long a pod takes to become ready.
    """

    pattern: str
    way: str
    seconds: float = 30

    @classmethod
    def parse(cls, text: str) -> Misbehaviour:
        """Read `PATTERN=image-pull` or `PATTERN=slow:30`; raises RehearsalError for anything else."""
        pattern, _, way = text.partition("=")
        way, _, seconds = way.partition(":")
        if not pattern or way not in WAYS or (seconds and not seconds.isdigit()):
            raise RehearsalError(
                f"{text!r} is no misbehaviour: write PATTERN=WAY, with one of {', '.join(WAYS)}:SECONDS"
            )
        return cls(pattern, way, float(seconds or 30))

    @property
    def expression(self) -> str:
        """The jq expression that is `true` for the pods."""
        regex = fnmatch.translate(self.pattern).removeprefix("(?s:").removesuffix(r")\Z")
        return f'.metadata.name | test("^{regex}$") | tostring'.replace("\\", "\\\\")


def documents(misbehaviours: tuple[Misbehaviour, ...] = ()) -> list[dict[str, Any]]:
    """Return the Stage documents for KWOK's configuration file."""
    ordinary = [
        _stage("node-ready", "Node", [_not_ready()], _NODE_STATUS),
        _stage("pod-ready", "Pod", _startable(misbehaviours), _POD_READY),
        _stage("pod-succeeds", "Pod", _COMPLETABLE, _POD_SUCCEEDED, delay=1.0),
        _stage("pod-deleted", "Pod", [_exists(".metadata.deletionTimestamp")], delete=True),
    ]
    return ordinary + [_misbehaving(number, each) for number, each in enumerate(misbehaviours)]


def _misbehaving(number: int, said: Misbehaviour) -> dict[str, Any]:
    name = f"misbehaving-{number}"
    mine = {"key": said.expression, "operator": "In", "values": ["true"]}
    alive = [mine, _missing(".metadata.deletionTimestamp"), _exists(".spec.nodeName")]
    if said.way == "slow":
        return _stage(name, "Pod", [*alive, _not_ready()], _POD_READY, delay=said.seconds)
    reason, waiting, last = {
        "image-pull": ("ImagePullBackOff", _BACK_OFF_IMAGE, ""),
        "crash-loop": ("CrashLoopBackOff", _BACK_OFF_RESTART, "Error 1"),
        "oom": ("CrashLoopBackOff", _BACK_OFF_RESTART, "OOMKilled 137"),
    }[said.way]
    shown = {
        "key": ".status.containerStatuses.[0].state.waiting.reason",
        "operator": "NotIn",
        "values": [reason],
    }
    return _stage(name, "Pod", [*alive, shown], _failing_status(reason, waiting, last))


def _startable(misbehaviours: tuple[Misbehaviour, ...]) -> list[dict[str, Any]]:
    return [
        _missing(".metadata.deletionTimestamp"),
        _exists(".spec.nodeName"),
        {"key": ".status.phase", "operator": "In", "values": ["Pending", "Running"]},
        _not_ready(),
        *({"key": each.expression, "operator": "NotIn", "values": ["true"]} for each in misbehaviours),
    ]


def _stage(
    name: str,
    kind: str,
    expressions: list[dict[str, Any]],
    status: str = "",
    *,
    delay: float = 0,
    delete: bool = False,
) -> dict[str, Any]:
    following: dict[str, Any] = {"statusTemplate": status} if status else {}
    if delete:
        following = {"finalizers": {"empty": True}, "delete": True}
    spec: dict[str, Any] = {
        "resourceRef": {"apiGroup": "v1", "kind": kind},
        "selector": {"matchExpressions": expressions},
        "next": following,
    }
    if delay:
        spec["delay"] = {"durationMilliseconds": int(delay * 1000)}
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": spec,
    }


def _not_ready() -> dict[str, Any]:
    ready = '.status.conditions.[] | select( .type == "Ready" ) | .status'
    return {"key": ready, "operator": "NotIn", "values": ["True"]}


def _exists(key: str) -> dict[str, Any]:
    return {"key": key, "operator": "Exists"}


def _missing(key: str) -> dict[str, Any]:
    return {"key": key, "operator": "DoesNotExist"}


_COMPLETABLE = [
    _missing(".metadata.deletionTimestamp"),
    {"key": ".status.phase", "operator": "In", "values": ["Running"]},
    {"key": ".metadata.ownerReferences.[].kind", "operator": "In", "values": ["Job"]},
]

_BACK_OFF_IMAGE = 'Back-off pulling image \\"{{ .image }}\\"'
_BACK_OFF_RESTART = "back-off 5m0s restarting failed container={{ .name }}"

_NODE_STATUS = """
conditions:
{{ range NodeConditions }}
- type: {{ .type | Quote }}
  status: {{ .status | Quote }}
  reason: {{ .reason | Quote }}
  message: {{ .message | Quote }}
  lastHeartbeatTime: {{ Now | Quote }}
  lastTransitionTime: {{ Now | Quote }}
{{ end }}
addresses:
- type: InternalIP
  address: {{ NodeIP | Quote }}
- type: Hostname
  address: {{ .metadata.name | Quote }}
nodeInfo:
  architecture: amd64
  bootID: ""
  containerRuntimeVersion: {{ printf "kwok-%s" Version | Quote }}
  kernelVersion: ""
  kubeProxyVersion: ""
  kubeletVersion: {{ printf "kwok-%s" Version | Quote }}
  machineID: ""
  operatingSystem: linux
  osImage: ""
  systemUUID: ""
"""

_ADDRESSES = """
{{ $ips := PodIPsWith .spec.nodeName ( or .spec.hostNetwork false ) .metadata.uid .metadata.name .metadata.namespace }}
{{ with $ips }}
podIP: {{ index . 0 | Quote }}
podIPs:
- ip: {{ index . 0 | Quote }}
{{ end }}
startTime: {{ or .status.startTime Now | Quote }}
"""  # noqa: E501

_POD_READY = (
    """
phase: Running
conditions:
{{ $now := Now }}
- {type: Initialized, status: "True", lastTransitionTime: {{ $now | Quote }}}
- {type: Ready, status: "True", lastTransitionTime: {{ $now | Quote }}}
- {type: ContainersReady, status: "True", lastTransitionTime: {{ $now | Quote }}}
initContainerStatuses:
{{ range .spec.initContainers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: ""
  ready: true
  restartCount: 0
  state: {terminated: {exitCode: 0, reason: Completed, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }}}}
{{ end }}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: ""
  ready: true
  started: true
  restartCount: 0
  state: {running: {startedAt: {{ $now | Quote }}}}
{{ end }}
"""  # noqa: E501
    + _ADDRESSES
)

_POD_SUCCEEDED = """
phase: Succeeded
{{ $now := Now }}
conditions:
- {type: Ready, status: "False", reason: PodCompleted, lastTransitionTime: {{ $now | Quote }}}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: ""
  ready: false
  restartCount: 0
  state: {terminated: {exitCode: 0, reason: Completed, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }}}}
{{ end }}
"""  # noqa: E501


def _failing_status(reason: str, message: str, last: str) -> str:
    """Return the status of a pod whose first container cannot run."""
    ended = ""
    if last:
        why, code = last.split()
        moments = "startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }}"
        ended = f"lastState: {{terminated: {{exitCode: {code}, reason: {why}, {moments}}}}}"
    phase = "Running" if last else "Pending"
    return (
        f"""
phase: {phase}
{{{{ $now := Now }}}}
conditions:
- {{type: Initialized, status: "True", lastTransitionTime: {{{{ $now | Quote }}}}}}
- {{type: Ready, status: "False", reason: ContainersNotReady, lastTransitionTime: {{{{ $now | Quote }}}}}}
- {{type: ContainersReady, status: "False", reason: ContainersNotReady, lastTransitionTime: {{{{ $now | Quote }}}}}}
containerStatuses:
{{{{ range .spec.containers }}}}
- name: {{{{ .name | Quote }}}}
  image: {{{{ .image | Quote }}}}
  imageID: ""
  ready: false
  started: false
  restartCount: {5 if last else 0}
  state: {{waiting: {{reason: {reason}, message: "{message}"}}}}
  {ended}
{{{{ end }}}}
"""  # noqa: E501
        + _ADDRESSES
    )
