"""Putting PodDefaults into a pod, and what is a conflict.

Facts: kubeflow/kubeflow v1.10.0, components/admission-webhook/main.go. What may surprise there, and so here:
tolerations are told apart by their key alone, mounts by their volume's name (one volume, one mount);
`envFrom` is always appended; sidecars and init containers get nothing of what the pod's containers get;
conflicts are looked for before anything is put in, so that a sidecar which equals a container of the pod
passes, and then leaves the pod without containers if that container has been changed meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rehearsal.players.gosyntax import quoted, same, shown

Object = dict[str, Any]
Defaults = Sequence[Object]

_ISTIO_PROXY = "istio-proxy"
_IN_POD = (
    # in a PodDefault, in a pod, told apart by, called, of type
    ("volumes", "volumes", "name", "volumes", "Volume"),
    ("tolerations", "tolerations", "key", "tolerations", "Toleration"),
    ("imagePullSecrets", "imagePullSecrets", "name", "imagePullSecret", "LocalObjectReference"),
)
_CONTAINERS = (
    ("initContainers", "initContainers", "name", "containers", "Container"),
    ("sidecars", "containers", "name", "containers", "Container"),
)


def conflicts(pod: Object, defaults: Defaults) -> list[str]:
    """Return what forbids that PodDefaults are put into a pod; each only once."""
    spec, metadata = pod["spec"], pod["metadata"]
    found: list[str] = []
    for field in _IN_POD:
        _merge(spec, defaults, field, found)
    for container in spec["containers"]:
        _merge(container, defaults, ("env", "env", "name", "env", "EnvVar"), found)
        _mounts(container, defaults, found)
    for name in ("annotations", "labels"):
        _mapping(metadata, defaults, name, found)
    for field in _CONTAINERS:
        _merge(spec, defaults, field, found)
    return list(dict.fromkeys(found))


def put(pod: Object, defaults: Defaults) -> None:
    """Put PodDefaults into a pod; they have no conflicts."""
    spec, metadata = pod["spec"], pod["metadata"]
    for field in _IN_POD:
        _set(spec, field[1], _merge(spec, defaults, field, []))
    for each in defaults:
        if (automount := each["spec"].get("automountServiceAccountToken")) is not None:
            spec["automountServiceAccountToken"] = automount
        if account := each["spec"].get("serviceAccountName"):
            spec["serviceAccountName"] = account
    for name in ("annotations", "labels"):
        _set(metadata, name, _mapping(metadata, defaults, name, []))
    for container in spec["containers"]:
        _put_in_container(container, defaults)
    for field in _CONTAINERS:
        late: list[str] = []
        whole = _merge(spec, defaults, field, late)
        _set(spec, field[1], [] if late else whole)


def _put_in_container(container: Object, defaults: Defaults) -> None:
    env = _merge(container, defaults, ("env", "env", "name", "env", "EnvVar"), [])
    _set(container, "env", env)
    _set(container, "volumeMounts", _mounts(container, defaults, []))
    sources = [source for each in defaults for source in each["spec"].get("envFrom") or []]
    _set(container, "envFrom", [*(container.get("envFrom") or []), *sources])
    if container["name"] == _ISTIO_PROXY:
        return
    for each in defaults:
        for name in ("command", "args"):
            if container.get(name) is None and (words := each["spec"].get(name)) is not None:
                container[name] = words
    for name in ("command", "args"):
        _set(container, name, container.get(name))


def _merge(
    holder: Object, defaults: Defaults, field: tuple[str, str, str, str, str], found: list[str]
) -> list[Object]:
    """Return a list of the pod's with what PodDefaults add; `found` gets what does not match."""
    source, target, key, called, kind = field
    merged = list(holder.get(target) or [])
    known = {item.get(key, ""): item for item in merged}
    for owner, item in _items(defaults, source):
        name = item.get(key, "")
        if name not in known:
            known[name] = item
            merged.append(item)
        elif not same(known[name], item):
            found.append(_conflict(called, owner, name, kind, item, known[name]))
    return merged


def _mounts(container: Object, defaults: Defaults, found: list[str]) -> list[Object]:
    """Do what `_merge` does, for mounts: they must match by their volume's name, and by their path."""
    merged = list(container.get("volumeMounts") or [])
    by_name, by_path = ({item[key]: item for item in merged} for key in ("name", "mountPath"))
    for owner, item in _items(defaults, "volumeMounts"):
        if item["name"] not in by_name:
            by_name[item["name"]] = item
            merged.append(item)
        elif not same(other := by_name[item["name"]], item):
            found.append(_conflict("volume mounts", owner, item["name"], "VolumeMount", item, other))
        if not same(other := by_path.setdefault(item["mountPath"], item), item):
            place = f"mount path {item['mountPath']}"
            found.append(_conflict("volume mounts", owner, place, "VolumeMount", item, other))
    return merged


def _mapping(metadata: Object, defaults: Defaults, name: str, found: list[str]) -> dict[str, str]:
    merged = dict(metadata.get(name) or {})
    for each in defaults:
        for key, value in sorted((each["spec"].get(name) or {}).items()):
            if (there := merged.setdefault(key, value)) != value:
                values = f"{quoted(value)}\ndoes not match\n{quoted(there)}"
                found.append(f"merging has conflict on {key}: \n{values}\n in pod")
    return merged


def _items(defaults: Defaults, field: str) -> Iterator[tuple[str, Object]]:
    for each in defaults:
        for item in each["spec"].get(field) or []:
            yield each["metadata"]["name"], item


def _conflict(called: str, owner: str, where: str, kind: str, item: Object, there: Object) -> str:
    return (
        f"merging {called} for {owner} has a conflict on {where}: \n"
        f"{shown(kind, item)}\ndoes not match\n{shown(kind, there)}\n in container"
    )


def _set(holder: Object, name: str, value: Any) -> None:
    """Set a field, or leave it out if it is empty, as Go does."""
    if value:
        holder[name] = value
    else:
        holder.pop(name, None)
