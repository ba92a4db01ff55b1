"""KWOK's Stage documents: how KWOK changes nodes, pods and volumes.

KWOK runs no containers; a Stage selects objects and sets their status. The format is KWOK v0.8,
`kwok.x-k8s.io/v1alpha1`; keys are jq expressions, templates are Go's.

A pod that may end, since its restart policy is not `Always`, succeeds after a second. The annotation `EXIT`
says it otherwise: `never`, or the exit status of its containers. Where the policy is `OnFailure`, they are
then started again, and counted. What sleeps for days does not end, nor does sshd.
"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

from rehearsal.cluster.misbehaviour import Misbehaviour, Waiting

STORAGE_CLASS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {
        "name": "standard",
        "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
    },
    "provisioner": "rehearsal/volume",
    "reclaimPolicy": "Delete",
    "volumeBindingMode": "Immediate",
}
"""The default class; only a real node writes to its volumes."""


_SETTLING = 0.05
"""Seconds before KWOK plays a new pod. Scheduling makes several events, and KWOK would play the pod for each,
since it looks at the pod as of the event; during the delay, a later event replaces a waiting one."""
EXIT = "rehearsal/exit"
"""Annotation of a pod that does not just succeed."""


NOWHERE = Path("/nothing")
"""The folder of volumes that nobody writes to."""


def documents(misbehaviours: tuple[Misbehaviour, ...] = (), volumes: Path = NOWHERE) -> list[dict[str, Any]]:
    """Return the Stage documents for KWOK's configuration file.

    Args:
        misbehaviours: pods that do not come up.
        volumes: the folder of persistent volumes.
    """
    behaving = [_is(each.expression, "true", negate=True) for each in misbehaviours]
    return [
        _stage("node-ready", "Node", [_NOT_READY], _status(_NODE_STATUS)),
        _stage(
            "pod-ready", "Pod", [*_STARTED, _NOT_READY, *behaving], _pod_status(_POD_READY), delay=_SETTLING
        ),
        _stage("pod-succeeds", "Pod", [*_SUCCEEDING, *behaving], _status(_POD_SUCCEEDED), delay=1.0),
        _stage("pod-fails", "Pod", [*_failing("Never"), *behaving], _status(_POD_FAILED), delay=1.0),
        _stage(
            "pod-restarts", "Pod", [*_failing("OnFailure"), *behaving], _status(_POD_RESTARTED), delay=2.0
        ),
        _stage("pod-deleted", "Pod", [_exists(".metadata.deletionTimestamp")], _GONE),
        _stage(
            "volume-made",
            "PersistentVolumeClaim",
            _CLAIMED,
            _apply(_VOLUME.replace(str(NOWHERE), str(volumes))),
        ),
        _stage("volume-deleted", "PersistentVolume", _RELEASED, _GONE),
        *(stage for number, each in enumerate(misbehaviours) for stage in _misbehaving(number, each)),
    ]


def _misbehaving(number: int, said: Misbehaviour) -> list[dict[str, Any]]:
    """Return one stage for each step, and one that ends a slow start."""
    mine = [*_STARTED, _is(said.expression, "true")]
    if not said.strikes_running:
        mine.append(_NOT_READY)
    name, reasons, stages = f"misbehaving-{number}", [step.reason for step in said.steps], []
    for at, step in enumerate(said.steps):
        # Only the first step selects new pods; a later step selects pods in the step before it.
        before = _is(_REASON, reasons[at - 1]) if at else _is(_REASON, *reasons, negate=True)
        changed = _pod_status(_waiting_status(step))
        delay = step.after or _SETTLING
        stages.append(_stage(f"{name}-{at}", "Pod", [*mine, before], changed, delay=delay))
    if said.way == "slow":
        selected = [*mine, _is(_REASON, reasons[-1])]
        stages.append(_stage(f"{name}-ready", "Pod", selected, _pod_status(_POD_READY), delay=said.seconds))
    return stages


def _stage(
    name: str, kind: str, expressions: list[dict[str, Any]], then: dict[str, Any], *, delay: float = 0
) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "resourceRef": {"apiGroup": "v1", "kind": kind},
        "selector": {"matchExpressions": expressions},
        **then,
    }
    if delay:
        spec["delay"] = {"durationMilliseconds": int(delay * 1000)}
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": spec,
    }


def _status(template: str) -> dict[str, Any]:
    return {"next": {"statusTemplate": template}}


def _pod_status(template: str) -> dict[str, Any]:
    """Set a pod's status and its address.

    KWOK gives an address to the pod as of an event. If it has played a later event meanwhile, the pod has an
    address already, and would be given another one: so the first address is only set where nothing changed.
    """
    status = textwrap.indent(template.strip() + _ADDRESSES, "  ")
    patch = {"subresource": "status", "template": f"{_UNCHANGED}\nstatus:\n{status}"}
    return {"steps": [{"patch": patch}]}


def _apply(template: str) -> dict[str, Any]:
    return {"steps": [{"apply": {"template": template}}]}


def _is(key: str, *values: str, negate: bool = False) -> dict[str, Any]:
    operator = "NotIn" if negate else "In"  # codespell:ignore
    return {"key": key, "operator": operator, "values": list(values)}


def _exists(key: str) -> dict[str, Any]:
    return {"key": key, "operator": "Exists"}


def _missing(key: str) -> dict[str, Any]:
    return {"key": key, "operator": "DoesNotExist"}


_GONE = {"next": {"finalizers": {"empty": True}, "delete": True}}
_REASON = ".status.containerStatuses.[0].state.waiting.reason"
_NOT_READY = _is('.status.conditions.[] | select( .type == "Ready" ) | .status', "True", negate=True)
_STARTED = [
    _missing(".metadata.deletionTimestamp"),
    _exists(".spec.nodeName"),
    _is(".status.phase", "Pending", "Running"),
]
_TO_COMPLETE = [
    _missing(".metadata.deletionTimestamp"),
    _is(".status.phase", "Running"),
    _is(".spec.restartPolicy", "Never", "OnFailure"),
]
_EXIT = f'.metadata.annotations["{EXIT}"]'
_SUCCEEDING = [
    *_TO_COMPLETE,
    _missing(_EXIT),
    _is(".spec.containers.[0].args.[0]", "365d", "infinity", negate=True),
    _is(".spec.containers.[0].command.[0]", "/usr/sbin/sshd", negate=True),
]


def _failing(policy: str) -> list[dict[str, Any]]:
    """Return what selects the pods of a restart policy that fail."""
    return [
        *_TO_COMPLETE,
        _is(".spec.restartPolicy", policy),
        _exists(_EXIT),
        _is(_EXIT, "never", negate=True),
    ]


_CLAIMED = [
    _missing(".metadata.deletionTimestamp"),
    _missing(".spec.volumeName"),
    _is(".spec.storageClassName", "standard"),
]
_RELEASED = [
    _is(".spec.storageClassName", "standard"),
    _is(".spec.persistentVolumeReclaimPolicy", "Delete"),
    _is(".status.phase", "Released"),
]

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

# A pod keeps its address when it misbehaves and heals; KWOK gives a new address at each request. The API
# server derives podIPs from podIP; as a merged list, podIPs would grow if a stage were played twice.
_ADDRESSES = """
hostIP: {{ NodeIPWith .spec.nodeName | Quote }}
{{ if .status.podIP }}
podIP: {{ .status.podIP | Quote }}
{{ else }}
{{ with PodIPsWith .spec.nodeName (or .spec.hostNetwork false) .metadata.uid .metadata.name .metadata.namespace }}
podIP: {{ index . 0 | Quote }}
{{ end }}
{{ end }}
startTime: {{ or .status.startTime Now | Quote }}
"""  # noqa: E501
_UNCHANGED = (
    "{{ if not .status.podIP }}metadata: {resourceVersion: {{ .metadata.resourceVersion | Quote }}}{{ end }}"
)

_POD_READY = """
phase: Running
{{ $now := Now }}
{{ $restarts := 0 }}
{{ with .status.containerStatuses }}{{ $restarts = (index . 0).restartCount }}{{ end }}
conditions:
- {type: Initialized, status: "True", reason: "", lastTransitionTime: {{ $now | Quote }}}
- {type: Ready, status: "True", reason: "", message: "", lastTransitionTime: {{ $now | Quote }}}
- {type: ContainersReady, status: "True", reason: "", message: "", lastTransitionTime: {{ $now | Quote }}}
{{ range .spec.readinessGates }}
- {type: {{ .conditionType | Quote }}, status: "True", lastTransitionTime: {{ $now | Quote }}}
{{ end }}
initContainerStatuses:
{{ range .spec.initContainers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: ""
  ready: true
  restartCount: 0
{{ if eq (or .restartPolicy "") "Always" }}
  started: true
  state: {running: {startedAt: {{ $now | Quote }}}}
{{ else }}
  state: {terminated: {exitCode: 0, reason: Completed, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }}}}
{{ end }}
{{ end }}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: ""
  ready: true
  started: true
  restartCount: {{ $restarts }}
  state: {running: {startedAt: {{ $now | Quote }}}}
{{ end }}
"""  # noqa: E501

_POD_SUCCEEDED = """
phase: Succeeded
{{ $now := Now }}
conditions:
- {type: Ready, status: "False", reason: PodCompleted, lastTransitionTime: {{ $now | Quote }}}
- {type: ContainersReady, status: "False", reason: PodCompleted, lastTransitionTime: {{ $now | Quote }}}
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

_POD_FAILED = f"{{{{ $code := index .metadata.annotations {json.dumps(EXIT)} }}}}\n" + (
    _POD_SUCCEEDED.replace("phase: Succeeded", "phase: Failed")
    .replace("PodCompleted", "PodFailed")
    .replace("exitCode: 0, reason: Completed", "exitCode: {{ $code }}, reason: Error")
)
_POD_RESTARTED = """
phase: Running
{{ $now := Now }}
{{ $restarts := 0 }}
{{ with .status.containerStatuses }}{{ $restarts = (index . 0).restartCount }}{{ end }}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: ""
  ready: true
  started: true
  restartCount: {{ add $restarts 1 }}
  state: {running: {startedAt: {{ $now | Quote }}}}
{{ end }}
"""

# The controller manager binds the claim to a volume that names it.
_VOLUME = """
apiVersion: v1
kind: PersistentVolume
metadata:
  name: pvc-{{ .metadata.uid }}
  annotations:
    pv.kubernetes.io/provisioned-by: rehearsal/volume
spec:
  accessModes:
  {{ YAML .spec.accessModes 2 }}
  capacity:
  {{ YAML .spec.resources.requests 2 }}
  persistentVolumeReclaimPolicy: Delete
  storageClassName: {{ .spec.storageClassName | Quote }}
  volumeMode: {{ or .spec.volumeMode "Filesystem" | Quote }}
  claimRef:
    apiVersion: v1
    kind: PersistentVolumeClaim
    name: {{ .metadata.name | Quote }}
    namespace: {{ .metadata.namespace | Quote }}
    uid: {{ .metadata.uid | Quote }}
  hostPath:
    path: /nothing/pvc-{{ .metadata.uid }}
"""


def _last_words(step: Waiting) -> str:
    """Return the message with the end of the log, for containers that ask for it."""
    if not step.said:
        return ""
    asked = 'eq (or .terminationMessagePolicy "File") "FallbackToLogsOnError"'
    return f"{{{{ if {asked} }}}}, message: {json.dumps(step.said)}{{{{ end }}}}"


def _waiting_status(step: Waiting) -> str:
    """Return the status of a pod whose containers wait."""
    ended, restarts = "", 0
    if step.terminated:
        reason, code = step.terminated
        moments = "startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }}"
        ended = (
            f"lastState: {{terminated: {{exitCode: {code}, reason: {reason}, {moments}{_last_words(step)}}}}}"
        )
        restarts = 5
    unready = 'status: "False", reason: ContainersNotReady, lastTransitionTime: {{ $now | Quote }}'
    return f"""
phase: {"Running" if step.terminated else "Pending"}
{{{{ $now := Now }}}}
{{{{ $pod := . }}}}
conditions:
- {{type: Initialized, status: "True", lastTransitionTime: {{{{ $now | Quote }}}}}}
- {{type: Ready, {unready}}}
- {{type: ContainersReady, {unready}}}
containerStatuses:
{{{{ range .spec.containers }}}}
- name: {{{{ .name | Quote }}}}
  image: {{{{ .image | Quote }}}}
  imageID: ""
  ready: false
  started: false
  restartCount: {restarts}
  state: {{waiting: {{reason: {step.reason}, message: {{{{ {step.message} | Quote }}}}}}}}
  {ended}
{{{{ end }}}}
"""
