"""Values of the Kubernetes API as a Go program compares and prints them: k8s.io/api v0.28, core/v1.

A Go struct has all its fields, so one that is left out and one that is empty are the same; but a pointer
to an empty value is not the same as none. Printed with `%#v`, a struct shows its fields, and of what is
behind a pointer only an address: one for one object, as here.
"""

from __future__ import annotations

import json
from typing import Any

_PLAIN_BOOLEANS = frozenset(("readOnly", "stdin", "stdinOnce", "tty"))
_PLAIN_NUMBERS = frozenset(
    (
        "containerPort",
        "failureThreshold",
        "hostPort",
        "initialDelaySeconds",
        "periodSeconds",
        "successThreshold",
        "timeoutSeconds",
    )
)
_PLAIN_STRUCTS = frozenset(("resources",))

_VOLUME_SOURCES = """hostPath emptyDir gcePersistentDisk:GCEPersistentDisk
    awsElasticBlockStore:AWSElasticBlockStore gitRepo secret nfs:NFS iscsi:ISCSI glusterfs
    persistentVolumeClaim rbd:RBD flexVolume:FlexVolume:Flex cinder cephfs:CephFS flocker downwardAPI fc:FC
    azureFile configMap vsphereVolume:VsphereVolume:VsphereVirtualDisk quobyte azureDisk
    photonPersistentDisk projected portworxVolume:PortworxVolume:Portworx scaleIO storageos:StorageOS
    csi:CSI ephemeral"""
"""In their order, by the name that JSON has; then that of the field in Go, and of its type, if another."""

_STRUCTS = {
    "Container": """name image command:[]string args:[]string workingDir ports:[]v1.ContainerPort
        envFrom:[]v1.EnvFromSource env:[]v1.EnvVar resources:v1.ResourceRequirements
        resizePolicy:[]v1.ContainerResizePolicy restartPolicy:*v1.ContainerRestartPolicy
        volumeMounts:[]v1.VolumeMount volumeDevices:[]v1.VolumeDevice livenessProbe:*v1.Probe
        readinessProbe:*v1.Probe startupProbe:*v1.Probe lifecycle:*v1.Lifecycle terminationMessagePath
        terminationMessagePolicy imagePullPolicy securityContext:*v1.SecurityContext stdin:bool
        stdinOnce:bool tty:bool""",
    "ContainerPort": "name hostPort:int containerPort:int protocol hostIP",
    "ContainerResizePolicy": "resourceName restartPolicy",
    "EnvFromSource": "prefix configMapRef:*v1.ConfigMapEnvSource secretRef:*v1.SecretEnvSource",
    "EnvVar": "name value valueFrom:*v1.EnvVarSource",
    "LocalObjectReference": "name",
    "ResourceClaim": "name",
    "ResourceRequirements": "limits:v1.ResourceList requests:v1.ResourceList claims:[]v1.ResourceClaim",
    "Toleration": "key operator value effect tolerationSeconds:*int64",
    "VolumeDevice": "name devicePath",
    "VolumeMount": """name readOnly:bool mountPath subPath mountPropagation:*v1.MountPropagationMode
        subPathExpr""",
}
"""Fields in their order, by the name that JSON has; with the type of each that is no string."""


def same(one: Any, other: Any) -> bool:
    """Tell whether two values, as JSON has them, are deeply equal when a Go program has read them."""
    return _read(one) == _read(other)


def shown(kind: str, value: dict[str, Any]) -> str:
    """Return a struct of core/v1 in Go's syntax; how much of a resource there is, is left out."""
    if kind == "Volume":
        name = quoted(value.get("name") or "")
        return f"v1.Volume{{Name:{name}, VolumeSource:v1.VolumeSource{{{_sources(value)}}}}}"
    fields = []
    for field in _STRUCTS[kind].split():
        name, _, type_ = field.partition(":")
        title = "TTY" if name == "tty" else name[0].upper() + name[1:]
        fields.append(f"{title}:{_field(value.get(name), type_)}")
    return f"v1.{kind}{{{', '.join(fields)}}}"


def quoted(text: str) -> str:
    """Return a string in Go's syntax."""
    return json.dumps(text, ensure_ascii=False)


def _sources(volume: dict[str, Any]) -> str:
    """Return the fields of a volume that say what it is."""
    fields = []
    for each in _VOLUME_SOURCES.split():
        name, *titles = each.split(":")
        title = titles[0] if titles else name[0].upper() + name[1:]
        kind = f"*v1.{titles[-1] if titles else title}VolumeSource"
        fields.append(f"{title}:{_field(volume.get(name), kind)}")
    return ", ".join(fields)


def _field(value: Any, kind: str) -> str:
    """Return a field's value in Go's syntax."""
    if kind.startswith("*"):
        return f"({kind})({'nil' if value is None else _address(value)})"
    if kind.startswith("[]") or kind == "v1.ResourceList":
        return f"{kind}(nil)" if value is None else f"{kind}{{{', '.join(_elements(value, kind))}}}"
    if kind.startswith("v1."):
        return shown(kind.removeprefix("v1."), value or {})
    if kind == "bool":
        return str(bool(value)).lower()
    return str(value or 0) if kind == "int" else quoted(value or "")


def _elements(value: Any, kind: str) -> list[str]:
    if kind == "[]string":
        return [quoted(each) for each in value]
    if kind == "v1.ResourceList":
        return [f"{quoted(name)}:..." for name in sorted(value)]
    return [shown(kind.removeprefix("[]v1."), each) for each in value]


def _address(value: Any) -> str:
    return f"0xc{id(value) & 0xFFFFFFFFF:09x}"


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return [_read(each) for each in value]
    if not isinstance(value, dict):
        return value
    read = {name: _read(each) for name, each in value.items()}
    return {name: each for name, each in read.items() if not _is_nothing(name, each)}


def _is_nothing(name: str, value: Any) -> bool:
    """Tell whether a field is as if it were not there."""
    return (
        value is None
        or value == ""
        or (value is False and name in _PLAIN_BOOLEANS)
        or (value == 0 and name in _PLAIN_NUMBERS)
        or (value == {} and name in _PLAIN_STRUCTS)
    )
