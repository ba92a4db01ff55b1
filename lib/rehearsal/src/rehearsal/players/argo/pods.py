"""Build the pods that Argo's controller makes from a Workflow's templates.

Facts: argo-workflows v3.7.14, workflow/controller/workflowpod.go (containers beside the main one, metadata,
volumes; a template's fields override the Workflow's), workflow/util/pod_name.go, config/config.go and
docs/default-workflow-specs.md. Left out is what only programs in the pods read: the environment of init and
wait, and the command that wraps the main container's.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from rehearsal.players.argo import merging
from rehearsal.players.argo.expressions import UnresolvedError
from rehearsal.players.argo.notation import Document

EXECUTOR = "quay.io/argoproj/argoexec:v3.7.14"
PREFIX = "workflows.argoproj.io/"
NODE_ID = f"{PREFIX}node-id"
INSTANCE = f"{PREFIX}controller-instanceid"

_ARGO = {"name": "var-run-argo", "mountPath": "/var/run/argo"}
_TEMPORARY = {"name": "tmp-dir-argo", "mountPath": "/tmp", "subPath": "0"}  # noqa: S108
_SHADOWED = ("affinity", "nodeSelector", "securityContext", "tolerations", "schedulerName")
"""Fields of a pod that come from the template, or else from the Workflow."""
_LONGEST = 253 - 10 - 1


@dataclass(frozen=True)
class Argo:
    """The configuration of the workflow controller.

    Args:
        image: of the containers init and wait.
        executor: further fields of these two.
        main: default fields of main containers.
        defaults: default fields of Workflows.
        repository: where artifacts and logs go.
        instance: the controller's instance ID, if several share a cluster.
    """

    image: str = EXECUTOR
    executor: Document = field(default_factory=dict)
    main: Document = field(default_factory=dict)
    defaults: Document = field(default_factory=dict)
    repository: Document = field(default_factory=dict)
    instance: str = ""

    @classmethod
    def configured(cls, data: Mapping[str, str], image: str = "") -> Argo:
        """Return the configuration in a ConfigMap: one key for each setting, or `config` for all.

        Args:
            data: of `workflow-controller-configmap`.
            image: from the controller's command line; it overrides the ConfigMap's.

        Raises:
            yaml.YAMLError: if a value is not YAML.
        """
        config = yaml.safe_load(data.get("config", "")) or {}
        for key, text in data.items():
            if key != "config":
                config[key] = yaml.safe_load(text)
        executor = dict(config.get("executor") or {})
        own = executor.pop("image", "")
        return cls(
            image or own or EXECUTOR,
            executor,
            config.get("mainContainer") or {},
            config.get("workflowDefaults") or {},
            config.get("artifactRepository") or {},
            config.get("instanceID") or "",
        )

    def with_defaults(self, workflow: Document) -> Document:
        """Return a Workflow merged onto the defaults; its own fields win."""
        return merging.with_defaults(self.defaults, workflow)


def pod_name(workflow: str, node: str, template: str) -> str:
    """Return the name of a node's pod."""
    if workflow == node:
        return workflow
    return f"{f'{workflow}-{template}'[:_LONGEST]}-{_hash(node)}"


def node_id(workflow: str, node: str) -> str:
    """Return a node's identifier."""
    return workflow if workflow == node else f"{workflow}-{_hash(node)}"


def pod(argo: Argo, workflow: Document, template: Document, node: str) -> Document:
    """Return the pod of a node.

    Args:
        argo: the controller.
        workflow: the Workflow, merged with its defaults.
        template: with its references replaced.
        node: the node's name.

    Raises:
        UnresolvedError: if the template's pod patch is invalid.
    """
    run, spec = workflow["metadata"]["name"], workflow["spec"]
    own = template.get("container") or template.get("script") or {}
    main = merging.patched(argo.main, {key: value for key, value in own.items() if key != "source"})
    volumes, mounts = _repository_secrets(argo, workflow, template)
    beside = {"image": argo.image, "imagePullPolicy": "IfNotPresent", **argo.executor}
    mirrored = [
        {**each, "mountPath": f"/mainctrfs{each['mountPath']}", "readOnly": False}
        for each in main.get("volumeMounts", [])
    ]
    init = {"name": "init", "command": ["argoexec", "init"], **beside, "volumeMounts": mounts}
    wait = {"name": "wait", "command": ["argoexec", "wait"], **beside}
    wait["volumeMounts"] = [*mounts, *mirrored, _TEMPORARY]
    made: Document = {
        "restartPolicy": "Never",
        "initContainers": _with_argo([init, *template.get("initContainers", [])]),
        "containers": [wait, {**main, "name": "main"}, *template.get("sidecars", [])],
        "volumes": _volumes(spec, template, volumes),
    }
    for name in _SHADOWED:
        if value := template.get(name) or spec.get(name):
            made[name] = copy.deepcopy(value)
    for name, wanted in (
        ("serviceAccountName", template.get("serviceAccountName") or spec.get("serviceAccountName")),
        ("priorityClassName", template.get("priorityClassName") or spec.get("podPriorityClassName")),
        ("imagePullSecrets", spec.get("imagePullSecrets")),
    ):
        if wanted:
            made[name] = wanted
    for text in (spec.get("podSpecPatch"), template.get("podSpecPatch")):
        made = merging.patched(made, _patch(text))
    made["containers"] = _with_argo(made["containers"])
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(run, node, template["name"]),
            "namespace": workflow["metadata"].get("namespace", ""),
            **_marks(argo, workflow, template, node),
        },
        "spec": made,
    }


def _marks(argo: Argo, workflow: Document, template: Document, node: str) -> Document:
    """Return the labels and annotations of a node's pod."""
    run = workflow["metadata"]["name"]
    labels = {f"{PREFIX}workflow": run, f"{PREFIX}completed": "false"}
    if argo.instance:
        labels[INSTANCE] = argo.instance
    annotations = {
        f"{PREFIX}node-name": node,
        NODE_ID: node_id(run, node),
        "kubectl.kubernetes.io/default-container": "main",
    }
    for source in (workflow["spec"].get("podMetadata") or {}, template.get("metadata") or {}):
        labels |= source.get("labels") or {}
        annotations |= source.get("annotations") or {}
    return {"labels": labels, "annotations": annotations}


def _patch(text: str | None) -> Document:
    try:
        patch = yaml.safe_load(text or "") or {}
    except yaml.YAMLError as error:
        raise UnresolvedError(f"Error applying PodSpecPatch: {error}") from None
    if not isinstance(patch, dict):
        raise UnresolvedError(f"Error applying PodSpecPatch: {patch}")
    return patch


def _volumes(spec: Document, template: Document, secrets: list[Document]) -> list[Document]:
    """Return a pod's volumes: Argo's, the template's, and the Workflow's that a container mounts."""
    found = [{"name": each, "emptyDir": {}} for each in ("var-run-argo", "tmp-dir-argo")]
    found += template.get("volumes") or []
    own = template.get("container") or template.get("script") or {}
    mounted = {
        mount["name"]
        for container in (own, *template.get("initContainers", []), *template.get("sidecars", []))
        for mount in container.get("volumeMounts", [])
    } - {each["name"] for each in found}
    found += [each for each in spec.get("volumes") or [] if each["name"] in mounted]
    return copy.deepcopy([*found, *secrets])


def _repository_secrets(
    argo: Argo, workflow: Document, template: Document
) -> tuple[list[Document], list[Document]]:
    """Return the Secrets of the store and their mounts in init and wait, if logs or artifacts go there."""
    archives = argo.repository.get("archiveLogs") or workflow["spec"].get("archiveLogs")
    artifacts = [
        each for part in ("inputs", "outputs") for each in (template.get(part) or {}).get("artifacts") or []
    ]
    if not archives and not artifacts:
        return [], []
    keys: dict[str, list[Document]] = {}
    for field_name in ("accessKeySecret", "secretKeySecret", "sessionTokenSecret", "caSecret"):
        secret = (argo.repository.get("s3") or {}).get(field_name)
        if secret and secret.get("name") and secret.get("key"):
            items = keys.setdefault(secret["name"], [])
            item = {"key": secret["key"], "path": secret["key"]}
            items += [] if item in items else [item]
    volumes = [{"name": name, "secret": {"secretName": name, "items": items}} for name, items in keys.items()]
    mounts = [{"name": name, "mountPath": f"/argo/secret/{name}", "readOnly": True} for name in keys]
    return volumes, mounts


def _with_argo(containers: list[Document]) -> list[Document]:
    return [
        copy.deepcopy({**each, "volumeMounts": [*each.get("volumeMounts", []), _ARGO]}) for each in containers
    ]


def _hash(text: str) -> int:
    """Return a 32-bit FNV-1a hash, like Go's hash/fnv."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value
