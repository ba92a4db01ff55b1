"""What goes without saying in the pods of Knative's services, and what they must not say.

knative.dev/serving v0.42.2, pkg/apis/serving/v1/{service,revision}_defaults.go,
pkg/apis/serving/fieldmask.go, pkg/apis/serving/k8s_validation.go and pkg/apis/config/features.go. Of what is
refused, these are the fields of pods that need a feature, more than one container with a port, names that are
no label, and what a pod lacks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from rehearsal.players.kinds import Object

FEATURES = {
    "affinity": "kubernetes.podspec-affinity",
    "topologySpreadConstraints": "kubernetes.podspec-topologyspreadconstraints",
    "hostAliases": "kubernetes.podspec-hostaliases",
    "nodeSelector": "kubernetes.podspec-nodeselector",
    "runtimeClassName": "kubernetes.podspec-runtimeclassname",
    "tolerations": "kubernetes.podspec-tolerations",
    "securityContext": "kubernetes.podspec-securitycontext",
    "shareProcessNamespace": "kubernetes.podspec-shareprocessnamespace",
    "hostIPC": "kubernetes.podspec-hostipc",
    "hostPID": "kubernetes.podspec-hostpid",
    "hostNetwork": "kubernetes.podspec-hostnetwork",
    "priorityClassName": "kubernetes.podspec-priorityclassname",
    "schedulerName": "kubernetes.podspec-schedulername",
    "initContainers": "kubernetes.podspec-init-containers",
    "dnsPolicy": "kubernetes.podspec-dnspolicy",
    "dnsConfig": "kubernetes.podspec-dnsconfig",
}
"""Fields of a pod to the features without which they must not be there."""

_VOLUMES = {
    "emptyDir": "kubernetes.podspec-volumes-emptydir",
    "persistentVolumeClaim": "kubernetes.podspec-persistent-volume-claim",
    "hostPath": "kubernetes.podspec-volumes-hostpath",
}
_ON = {"kubernetes.podspec-volumes-emptydir"}
_PLAIN_VOLUMES = {"name", "secret", "configMap", "projected"}
_PLAIN = {
    "containers",
    "volumes",
    "imagePullSecrets",
    "serviceAccountName",
    "enableServiceLinks",
    "automountServiceAccountToken",
    # Of a revision, not of a pod
    "containerConcurrency",
    "timeoutSeconds",
    "responseStartTimeoutSeconds",
    "idleTimeoutSeconds",
}
_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")


def fill_template(template: Object) -> None:
    """Fill in the template of a revision."""
    spec = template.setdefault("spec", {})
    template.setdefault("metadata", {})
    spec.setdefault("containerConcurrency", 0)
    spec.setdefault("timeoutSeconds", 300)
    spec.setdefault("enableServiceLinks", False)
    containers = spec.get("containers") or []
    for at, container in enumerate(containers):
        if not container.get("name"):
            single = len(containers) == 1 or container.get("ports")
            container["name"] = "user-container" if single else f"user-container-{at}"
        container.setdefault("resources", {})
        if len(containers) == 1 or container.get("ports"):
            probe = container.setdefault("readinessProbe", {"tcpSocket": {"port": 0}})
            probe.setdefault("successThreshold", 1)
            if not {"tcpSocket", "httpGet", "exec", "grpc"} & probe.keys():
                probe["tcpSocket"] = {"port": 0}


def problems(name: str, template: Object, features: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with a Service, as its webhook words it.

    Args:
        name: of the Service.
        template: of its revisions.
        features: the data of config-features.
    """
    if not _LABEL.fullmatch(name):
        yield f"invalid value: not a DNS 1035 label: {name}: metadata.name"
    spec = template.get("spec") or {}
    where = "spec.template.spec"
    wrong = [
        f"{where}.{field}"
        for field in spec
        if field not in _PLAIN and not _allowed(FEATURES.get(field, ""), features)
    ]
    containers = spec.get("containers") or []
    volumes: list[Object] = spec.get("volumes") or []
    for at, volume in enumerate(volumes):
        kinds = [kind for kind in volume if kind not in _PLAIN_VOLUMES]
        unknown = [kind for kind in kinds if not _allowed(_VOLUMES.get(kind, ""), features)]
        wrong += [f"{where}.volumes[{at}].{kind}" for kind in unknown]
    if wrong:
        yield f"must not set the field(s): {', '.join(sorted(wrong))}"
    if not containers:
        yield f"missing field(s): {where}.containers"
    if len(containers) > 1 and sum(bool(each.get("ports")) for each in containers) != 1:
        count = sum(bool(each.get("ports")) for each in containers)
        said = "missing field(s)" if not count else "expected exactly one, got both"
        yield f"{said}: {where}.containers[*].ports"
    for at, container in enumerate(containers):
        if not container.get("image"):
            yield f"missing field(s): {where}.containers[{at}].image"
        if len(container.get("ports") or ()) > 1:
            yield f"more than one container port is set: {where}.containers[{at}].ports"


def _allowed(feature: str, features: Mapping[str, str]) -> bool:
    usual = "enabled" if feature in _ON else "disabled"
    return bool(feature) and features.get(feature, usual).lower() in ("enabled", "allowed")
