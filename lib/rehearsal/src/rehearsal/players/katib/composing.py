"""What a suggestion needs to be asked: a Deployment of its algorithm, an address, and perhaps a volume.

kubeflow/katib v0.19.0, pkg/controller.v1beta1/suggestion/composer/composer.go and
pkg/controller.v1beta1/util/{suggestion,labels}.go. What is there is never changed.
"""

from __future__ import annotations

from typing import Any

from rehearsal.players import kinds
from rehearsal.players.katib import config
from rehearsal.players.katib.config import Config
from rehearsal.players.kinds import Kind, Object

PORT, STOPPING_PORT = 6789, 6788
_PORT_NAME, _STOPPING_NAME = "suggestion-api", "earlystop-api"
_VOLUME = "suggestion-volume"


class Composer:
    """Describes what one suggestion needs.

    Raises:
        config.Unreadable: if the configuration does not say it.
    """

    def __init__(self, suggestion: Object, said: Config):
        self._suggestion = suggestion
        self._said = said
        self._spec = suggestion["spec"]
        self._entry = said.suggestion(self._spec["algorithm"]["algorithmName"])
        ports = self._entry.get("ports") or ()
        if any(each.get("name") == _PORT_NAME or each["containerPort"] == PORT for each in ports):
            taken = f'a port with name "{_PORT_NAME}" or number {PORT} must not be specified'
            raise config.Unreadable(f"invalid suggestion config: {taken}")
        self._stops = bool((self._spec.get("earlyStopping") or {}).get("algorithmName"))

    @property
    def name(self) -> str:
        """The name of all that belongs to the suggestion."""
        return name(self._suggestion)

    def volume(self) -> list[tuple[Kind, Object]]:
        """Return the claim of a suggestion that can be resumed, after its volume if one is configured."""
        if self._spec.get("resumePolicy") != "FromVolume":
            return []
        claim = self._owned() | {"spec": self._entry["persistentVolumeClaimSpec"]}
        found: list[tuple[Kind, Object]] = [(kinds.CLAIM, claim)]
        if self._entry.get("persistentVolumeSpec"):
            metadata: dict[str, Any] = {"name": volume_name(self._suggestion)}
            if self._entry.get("persistentVolumeLabels"):
                metadata["labels"] = self._entry["persistentVolumeLabels"]
            spec = self._entry["persistentVolumeSpec"]
            found.insert(0, (kinds.VOLUME, {"metadata": metadata, "spec": spec}))
        return found

    def service(self) -> Object:
        """Return the address."""
        ports = [{"name": _PORT_NAME, "port": PORT}]
        if self._stops:
            ports.append({"name": _STOPPING_NAME, "port": STOPPING_PORT})
        spec = {"type": "ClusterIP", "selector": self._labels(), "ports": ports}
        return self._owned() | {"spec": spec}

    def rights(self) -> list[tuple[Kind, Object]]:
        """Return the account that stops trials, if the configuration names none, and its rights."""
        if not self._stops or self._entry.get("serviceAccountName"):
            return []
        rule = {"apiGroups": ["kubeflow.org"], "resources": ["trials", "trials/status"], "verbs": ["*"]}
        namespace = self._suggestion["metadata"]["namespace"]
        binding = {
            "subjects": [{"kind": "ServiceAccount", "name": self.name, "namespace": namespace}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": self.name},
        }
        return [
            (kinds.SERVICE_ACCOUNT, self._owned()),
            (kinds.ROLE, self._owned() | {"rules": [rule]}),
            (kinds.ROLE_BINDING, self._owned() | binding),
        ]

    def deployment(self) -> Object:
        """Return the Deployment."""
        said = self._suggestion["metadata"]
        pod: dict[str, Any] = {"containers": [self._algorithm()]}
        if self._stops:
            pod["containers"].append(self._stopping())
        if self._entry.get("serviceAccountName"):
            pod["serviceAccountName"] = self._entry["serviceAccountName"]
        elif self._stops:
            pod["serviceAccountName"] = self.name
        if self._spec.get("resumePolicy") == "FromVolume":
            pod["volumes"] = [{"name": _VOLUME, "persistentVolumeClaim": {"claimName": self.name}}]
        item = self._owned()
        item["metadata"] |= {each: said[each] for each in ("labels", "annotations") if said.get(each)}
        template = {"metadata": {"labels": self._labels()}, "spec": pod}
        if said.get("annotations"):
            template["metadata"]["annotations"] = said["annotations"]
        return item | {"spec": {"selector": {"matchLabels": self._labels()}, "template": template}}

    def _algorithm(self) -> Object:
        container = config.container(self._entry)
        container["name"] = container.get("name") or "suggestion"
        port = {"name": _PORT_NAME, "containerPort": PORT}
        container["ports"] = [*(container.get("ports") or ()), port]
        if self._said.probes:
            probe = {
                "grpc": {"port": PORT, "service": "manager.v1beta1.Suggestion"},
                "initialDelaySeconds": 10,
            }
            container.setdefault("readinessProbe", {**probe, "periodSeconds": 10})
            container.setdefault("livenessProbe", {**probe, "periodSeconds": 120, "failureThreshold": 12})
        mounts = container.get("volumeMounts") or []
        resumes = self._spec.get("resumePolicy") == "FromVolume"
        if resumes and not any(each["name"] == _VOLUME for each in mounts):
            place = {"name": _VOLUME, "mountPath": self._entry["volumeMountPath"]}
            container["volumeMounts"] = [*mounts, place]
        return container

    def _stopping(self) -> Object:
        entry = self._said.early_stopping(self._spec["earlyStopping"]["algorithmName"])
        return {
            "name": "early-stopping",
            "image": entry["image"],
            "imagePullPolicy": entry["imagePullPolicy"],
            "ports": [{"name": _STOPPING_NAME, "containerPort": STOPPING_PORT}],
            "resources": entry["resources"],
        }

    def _labels(self) -> dict[str, str]:
        experiment = self._suggestion["metadata"]["name"]
        return {
            **(self._suggestion["metadata"].get("labels") or {}),
            "katib.kubeflow.org/deployment": self.name,
            "katib.kubeflow.org/experiment": experiment,
            "katib.kubeflow.org/suggestion": experiment,
            "sidecar.istio.io/inject": "false",
        }

    def _owned(self) -> Object:
        namespace = self._suggestion["metadata"]["namespace"]
        owner = kinds.reference(kinds.SUGGESTION, self._suggestion)
        return {"metadata": {"name": self.name, "namespace": namespace, "ownerReferences": [owner]}}


def name(suggestion: Object) -> str:
    """Return the name of a suggestion's Deployment, Service and claim."""
    return f"{suggestion['metadata']['name']}-{suggestion['spec']['algorithm']['algorithmName']}"


def volume_name(suggestion: Object) -> str:
    """Return the name of a suggestion's volume, which is in no namespace."""
    return f"{name(suggestion)}-{suggestion['metadata']['namespace']}"
