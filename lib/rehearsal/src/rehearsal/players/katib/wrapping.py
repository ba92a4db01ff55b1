"""A trial's pod with what reports its metrics: a collector beside it, and the end of its own command.

kubeflow/katib v0.19.0, pkg/webhook/v1beta1/pod/{inject_webhook,utils}.go. What may surprise there, and so
here: the collector is only for the primary pod, but the trial's labels and `KATIB_TRIAL_NAME` are for all of
its pods, which therefore need the primary container; a container without command would need the image's own,
which the webhook takes from the registry, and here nobody knows.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from rehearsal.players.answers import Denied
from rehearsal.players.katib import composing, config
from rehearsal.players.katib.observing import COLLECTORS, TRIAL_LABEL
from rehearsal.players.kinds import Object

_LOG = "/var/log/katib/metrics.log"
_VOLUME = "metrics-volume"


def label(pod: Object, trial: Object) -> None:
    """Give a pod the labels of its trial, and its primary container the trial's name; may raise `Denied`."""
    labels = {**(pod["metadata"].get("labels") or {}), **(trial["metadata"].get("labels") or {})}
    pod["metadata"]["labels"] = {**labels, TRIAL_LABEL: trial["metadata"]["name"]}
    place = {"fieldRef": {"fieldPath": f"metadata.labels['{TRIAL_LABEL}']"}}
    container = _primary(pod, trial)
    if container is None:
        name, there = trial["spec"].get("primaryContainerName"), _names(pod)
        raise Denied(f"Unable to find primary container {name} in mutated pod containers {there}")
    container["env"] = [*(container.get("env") or []), {"name": "KATIB_TRIAL_NAME", "valueFrom": place}]


def is_primary(pod: Object, trial: Object) -> bool:
    """Tell whether metrics are collected of a pod."""
    labels = pod["metadata"].get("labels") or {}
    return (trial["spec"].get("primaryPodLabels") or {}).items() <= labels.items()


def put(pod: Object, trial: Object, suggestion: Object | None, said: config.Config, address: str) -> None:
    """Put the collector into a pod.

    Args:
        pod: changed.
        trial: whose.
        suggestion: of the trial's experiment.
        said: the configuration.
        address: of the DB manager.

    Raises:
        Denied: if the pod cannot be told to report its end.
        config.Unreadable: if no collector is configured.
    """
    spec = pod["spec"]
    metrics = trial["spec"].get("metricsCollector") or {}
    kind = metrics["collector"]["kind"]
    collector = _collector(trial, suggestion, said, address)
    context = spec["containers"][0].get("securityContext")
    if context and said.init["controller"].get("injectSecurityContext"):
        collector["securityContext"] = context
    spec["containers"].append(collector)
    _share(pod, trial, suggestion)
    spec["shareProcessNamespace"] = True
    path, is_file = _path(metrics)
    folder = str(PurePosixPath(path).parent) if is_file else path
    if path:
        for container in spec["containers"]:
            if container["name"] in (collector["name"], trial["spec"].get("primaryContainerName")):
                mount = {"name": _VOLUME, "mountPath": folder}
                container["volumeMounts"] = [*(container.get("volumeMounts") or []), mount]
        spec["volumes"] = [*(spec.get("volumes") or []), {"name": _VOLUME, "emptyDir": {}}]
    if kind in ("StdOut", "TensorFlowEvent", "File"):
        _wrap(pod, trial, path if kind == "StdOut" else "", folder)


def _collector(trial: Object, suggestion: Object | None, said: config.Config, address: str) -> Object:
    metrics, objective = trial["spec"]["metricsCollector"], trial["spec"]["objective"]
    kind = metrics["collector"]["kind"]
    if kind == "Custom":
        return dict(metrics["collector"]["customCollector"])
    entry = said.collector(kind)
    names = [objective["objectiveMetricName"], *(objective.get("additionalMetricNames") or ())]
    args = ["-t", trial["metadata"]["name"], "-m", ";".join(names), "-o-type", objective["type"]]
    args += ["-s-db", address]
    source = metrics.get("source") or {}
    if path := _path(metrics)[0]:
        args += ["-path", path]
    if formats := (source.get("filter") or {}).get("metricsFormat"):
        args += ["-f", ";".join(formats)]
    if kind == "File":
        args += ["-format", (source.get("fileSystemPath") or {}).get("format", "")]
    if kind == "StdOut":
        args += ["-format", "TEXT"]
    if entry.get("waitAllProcesses") is not None:
        args += ["-w", str(entry["waitAllProcesses"]).lower()]
    for rule in trial["spec"].get("earlyStoppingRules") or ():
        parts = (rule["name"], rule["value"], rule["comparison"], str(rule.get("startStep", 0)))
        args += ["-stop-rule", ";".join(parts)]
    if trial["spec"].get("earlyStoppingRules") and suggestion is not None:
        host = f"{composing.name(suggestion)}.{suggestion['metadata']['namespace']}"
        args += ["-s-earlystop", f"{host}:{composing.STOPPING_PORT}"]
    return {
        "name": COLLECTORS[0] if kind in ("StdOut", "File") else COLLECTORS[1],
        "image": entry["image"],
        "args": args,
        "imagePullPolicy": entry["imagePullPolicy"],
        "resources": entry["resources"],
    }


def _path(metrics: Object) -> tuple[str, bool]:
    """Return where metrics are written to, and whether that is a file."""
    kind = metrics["collector"]["kind"]
    place = (metrics.get("source") or {}).get("fileSystemPath") or {}
    if kind == "StdOut":
        return _LOG, True
    if kind in ("File", "TensorFlowEvent"):
        return place.get("path", ""), kind == "File"
    return (place.get("path", ""), place.get("kind") == "File") if kind == "Custom" else ("", False)


def _share(pod: Object, trial: Object, suggestion: Object | None) -> None:
    """Let a trial see the volume of its suggestion, if the algorithm's settings ask for that."""
    settings = ((suggestion or {}).get("spec") or {}).get("algorithm", {}).get("algorithmSettings") or ()
    place = next((each["value"] for each in settings if each["name"] == "suggestion_trial_dir"), "")
    container = _primary(pod, trial)
    if not place or suggestion is None or container is None:
        return
    inside = f"{suggestion['metadata']['name']}/{trial['metadata']['name']}"
    mount: dict[str, Any] = {"name": "suggestion-volume", "mountPath": place, "subPath": inside}
    container["volumeMounts"] = [*(container.get("volumeMounts") or []), mount]
    claim = {"claimName": composing.name(suggestion)}
    volume = {"name": "suggestion-volume", "persistentVolumeClaim": claim}
    pod["spec"]["volumes"] = [*(pod["spec"].get("volumes") or []), volume]


def _wrap(pod: Object, trial: Object, log: str, folder: str) -> None:
    """Have the primary container write to the log, and say when it has ended."""
    container = _primary(pod, trial)
    if container is None:
        name = trial["spec"].get("primaryContainerName")
        raise Denied(f"unable to find primary container {name} in mutated pod containers {_names(pod)}")
    if not container.get("command"):
        image = container.get("image", "")
        raise Denied(f'Failed to get container image "{image}" info from registry: a rehearsal has none')
    words = [*container["command"], *(container.get("args") or ())]
    shell = ["sh", "-c"]
    if words[0] in ("sh", "bash") and words[1:2] == ["-c"]:
        shell, words = words[:2], words[2:]
    if log:
        words.append(f"1>{log} 2>&1")
    if trial["spec"].get("earlyStoppingRules"):
        stopped = f"test -f {folder}/$$$$.pid && [ $(head -n 1 {folder}/$$.pid) = early-stopped ]"
        words += ["||", f"if {stopped}; then echo stopped early; else echo failed; exit 1; fi"]
    words += ["&&", f"echo completed > {folder}/$$$$.pid"]
    container["command"], container["args"] = shell, [" ".join(words)]


def _primary(pod: Object, trial: Object) -> Object | None:
    name = trial["spec"].get("primaryContainerName")
    return next((each for each in pod["spec"]["containers"] if each["name"] == name), None)


def _names(pod: Object) -> list[str]:
    return [each["name"] for each in pod["spec"]["containers"]]
