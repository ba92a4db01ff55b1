"""The pod templates in a Workflow of KFP: drivers, importers, and steps with their launcher.

Facts: kubeflow/pipelines 2.17.0, backend/src/v2/compiler/argocompiler: container.go, dag.go, importer.go,
common.go (the CA bundle) and security_context.go. 2.16.0 differs in the launcher's memory (128Mi), and has no
`runtime-role` and no KFP_RETRY_INDEX.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rehearsal.players.argo.notation import Document, arguments, input_value, inputs, with_fields

_ROLE = "pipelines.kubeflow.org/runtime-role"
WITHOUT_SIDECAR = {"sidecar.istio.io/inject": "false"}
"""An annotation of every template (backend/src/apiserver/template/v2_template.go)."""

_RETRY = (
    ("maxRetryCount", "retry-max-count"),
    ("backoffDuration", "retry-backoff-duration"),
    ("backoffFactor", "retry-backoff-factor"),
    ("backoffMaxDuration", "retry-backoff-max-duration"),
)
_SCRATCH = ("gcs", "s3", "minio", ".local", ".cache", ".config")
_ENVIRONMENT = [
    {"name": name, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.{part}"}}}
    for name, part in (("KFP_POD_NAME", "name"), ("KFP_POD_UID", "uid"))
]
_METADATA = [{"configMapRef": {"name": "metadata-grpc-configmap", "optional": True}}]

SECCOMP: Document = {"seccompProfile": {"type": "RuntimeDefault"}}
NON_ROOT_POD: Document = {"runAsNonRoot": True, **SECCOMP}
"""The security context of KFP's own pods."""
_USER_CONTAINER: Document = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    **SECCOMP,
}
"""The security context of a user's container; its image may need root."""
_OWN_CONTAINER: Document = {**_USER_CONTAINER, "runAsNonRoot": True}

_DRIVER_RESOURCES = {
    "limits": {"cpu": "500m", "memory": "512Mi"},
    "requests": {"cpu": "100m", "memory": "64Mi"},
}
_LAUNCHER_RESOURCES = {"limits": {"cpu": "500m", "memory": "256Mi"}, "requests": {"cpu": "100m"}}


@dataclass(frozen=True)
class Settings:
    """Settings from the API server's environment.

    Args:
        driver: the image of drivers.
        launcher: the image of launchers and importers.
        service_account: the default for runs.
        ca_bundle: the Secret with the object store's CA; empty if there is none.
        ca_bundle_folder: where the Secret is mounted.
    """

    driver: str
    launcher: str
    service_account: str = "default-editor"
    ca_bundle: str = ""
    ca_bundle_folder: str = "/kfp/certs"


def driver(
    name: str, given: Mapping[str, str | None], answers: Mapping[str, str | None], settings: Settings
) -> Document:
    """Return the template of a driver.

    Args:
        name: of the template.
        given: its inputs with their defaults; None means no default.
        answers: its outputs with their defaults, likewise.
        settings: of the API server.
    """
    outputs = []
    for key, value in answers.items():
        source = with_fields({"path": f"/tmp/outputs/{key}"}, default=value)
        # KFP states the default of this output twice.
        default = "false" if key == "cached-decision" else None
        outputs.append(with_fields({"name": key}, default=default) | {"valueFrom": source})
    template: Document = {
        "name": name,
        "metadata": {"annotations": {_ROLE: "driver", **WITHOUT_SIDECAR}},
        "inputs": {"parameters": [with_fields({"name": key}, default=value) for key, value in given.items()]},
        "outputs": {"parameters": outputs},
        "securityContext": NON_ROOT_POD,
        "container": {
            "image": settings.driver,
            "command": ["driver"],
            "args": [f"--{key}={input_value(key)}" for key in given],
            "resources": _DRIVER_RESOURCES,
            "securityContext": _OWN_CONTAINER,
            **({} if name == "system-dag-driver" else {"env": _ENVIRONMENT}),
        },
    }
    return _with_authority(template, settings)


def importer(name: str, given: list[str], settings: Settings) -> Document:
    """Return the template of importers with the inputs `given`."""
    words = ["--executor_type", "importer", "--importer_spec", input_value("importer")]
    template: Document = {
        "name": name,
        "metadata": {"annotations": {_ROLE: "launcher", **WITHOUT_SIDECAR}},
        "inputs": inputs(given),
        "securityContext": NON_ROOT_POD,
        "container": {
            "image": settings.launcher,
            "command": ["launcher-v2"],
            "args": words,
            "env": _ENVIRONMENT,
            "envFrom": _METADATA,
            "resources": _DRIVER_RESOURCES,
            "securityContext": _OWN_CONTAINER,
        },
    }
    return _with_authority(template, settings)


def executors(task: Document, platform: Document, settings: Settings) -> tuple[Document, Document]:
    """Return a step's two templates: the graph, which a cached step skips, and the pod in it.

    Steps share these templates; parameters and the driver's patch carry each step's own values.
    """
    metadata = platform.get("podMetadata")
    prefix = "retry-" if "retryPolicy" in task else ""
    if metadata is not None:
        counts = (str(len(metadata.get(part) or {})) for part in ("annotations", "labels"))
        prefix = f"metadata-{'-'.join(counts)}-{prefix}"
    retries, marks = list(retry_values(task)), list(metadata_values(platform))
    inner = _step(f"{prefix}system-container-impl", retries, marks, metadata or {}, settings)
    passed = {key: input_value(key) for key in ("pod-spec-patch", *marks, *retries)}
    call: Document = {"name": "executor", "template": inner["name"], "arguments": arguments(passed)}
    call["when"] = f"{input_value('cached-decision')} != true"
    given: list[Document] = [{"name": "pod-spec-patch"}, {"name": "cached-decision", "default": "false"}]
    given += [{"name": key} for key in marks]
    given += [{"name": key, "default": "0"} for key in retries]
    outer = {
        "name": f"{prefix}system-container-executor",
        "metadata": {"annotations": dict(WITHOUT_SIDECAR)},
        "inputs": {"parameters": given},
        "dag": {"tasks": [call]},
    }
    return outer, inner


def retry_values(task: Document) -> dict[str, str]:
    """Return the parameters of a step's retries."""
    policy = task.get("retryPolicy")
    if policy is None:
        return {}
    return {key: str(policy.get(field, "0")).rstrip("s") for field, key in _RETRY}


def metadata_values(platform: Document) -> dict[str, str]:
    """Return the parameters of a step's pod annotations and labels."""
    metadata, values = platform.get("podMetadata") or {}, {}
    for group, part in (("annotation", "annotations"), ("label", "labels")):
        entries = sorted((metadata.get(part) or {}).items())
        for (name, value), number in zip(entries, _numbers(len(entries)), strict=True):
            values[f"pod-metadata-{group}-key{number}"] = name
            values[f"pod-metadata-{group}-val{number}"] = value
    return values


def _numbers(count: int) -> list[str]:
    return [""] if count == 1 else [f"-{number}" for number in range(1, count + 1)]


def _step(
    name: str, retries: list[str], marks: list[str], metadata: Document, settings: Settings
) -> Document:
    """Return the template of a step's pod."""
    scratch = {f"{part.replace('.', 'dot-')}-scratch": f"/{part}" for part in _SCRATCH}
    launcher = {"name": "kfp-launcher", "mountPath": "/kfp-launcher"}
    marked = {
        part: {
            input_value(f"pod-metadata-{group}-key{number}"): input_value(f"pod-metadata-{group}-val{number}")
            for number in _numbers(len(metadata.get(part) or {}))
        }
        for group, part in (("annotation", "annotations"), ("label", "labels"))
        if metadata.get(part)
    }
    own = {_ROLE: "launcher", **WITHOUT_SIDECAR}
    template: Document = {
        "name": name,
        "metadata": marked | {"annotations": marked.get("annotations", {}) | own},
        "inputs": inputs(["pod-spec-patch", *marks, *retries]),
        "podSpecPatch": input_value("pod-spec-patch"),
        "volumes": [{"name": each, "emptyDir": {}} for each in ("kfp-launcher", *scratch)],
        "securityContext": SECCOMP,
        "initContainers": [
            {
                "name": "kfp-launcher",
                "image": settings.launcher,
                "command": ["launcher-v2"],
                "args": ["--copy", "/kfp-launcher/launch"],
                "volumeMounts": [launcher],
                "resources": _LAUNCHER_RESOURCES,
                "securityContext": _OWN_CONTAINER,
            }
        ],
        "container": {
            "image": "gcr.io/ml-pipeline/should-be-overridden-during-runtime",
            "command": ["should-be-overridden-during-runtime"],
            "volumeMounts": [launcher, *({"name": each, "mountPath": at} for each, at in scratch.items())],
            "env": list(_ENVIRONMENT),
            "envFrom": _METADATA,
            "securityContext": _USER_CONTAINER,
        },
    }
    if retries:
        template["container"]["env"].append({"name": "KFP_RETRY_INDEX", "value": "{{retries}}"})
        template["retryStrategy"] = {
            "limit": input_value("retry-max-count"),
            "backoff": {
                "duration": input_value("retry-backoff-duration"),
                "factor": input_value("retry-backoff-factor"),
                "maxDuration": input_value("retry-backoff-max-duration"),
            },
        }
    return _with_authority(template, settings)


def _with_authority(template: Document, settings: Settings) -> Document:
    """Mount the object store's CA, if there is one; the pod never starts without that Secret."""
    if not settings.ca_bundle:
        return template
    items = [{"key": "ca.crt", "path": "ca.crt"}]
    volume = {"name": "custom-ca", "secret": {"secretName": settings.ca_bundle, "items": items}}
    mount = {"name": "custom-ca", "mountPath": settings.ca_bundle_folder}
    container = template["container"]
    mounted = {**container, "volumeMounts": [*container.get("volumeMounts", []), mount]}
    return {**template, "volumes": [*template.get("volumes", []), volume], "container": mounted}
