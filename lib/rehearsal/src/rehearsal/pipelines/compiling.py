"""From what the SDK compiles to the Workflow that KFP's API server submits.

Facts: kubeflow/pipelines 2.16.0, backend/src/v2/compiler/argocompiler. Templates, tasks, parameters and what
they refer to are those; arguments of driver and launcher that no part of Kubernetes looks at are left out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Document = dict[str, Any]

LABEL = "pipelines.kubeflow.org/v2_component"
ON_EXIT = "ALL_UPSTREAM_TASKS_COMPLETED"
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
_RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
_DRIVER_RESOURCES = {
    "limits": {"cpu": "0.5", "memory": "0.5Gi"},
    "requests": {"cpu": "0.1", "memory": "64Mi"},
}


class NoPipelineError(ValueError):
    """What was given is nothing that KFP would compile."""


@dataclass(frozen=True)
class Settings:
    """What the API server is told by its environment.

    Args:
        driver: the image of drivers.
        launcher: the image of launchers and importers.
        service_account: of runs that name none.
    """

    driver: str
    launcher: str
    service_account: str = "default-editor"


@dataclass(frozen=True)
class Step:
    """A pod that a run comes to have, for each way to get there once.

    Args:
        name: of the task; that of a driver ends in `-driver`.
        template: the Workflow's template that it is made of.
        container: what the pipeline says of the user's container; nothing for drivers and importers.
        platform: what it says of Kubernetes.
    """

    name: str
    template: str
    container: Document | None = None
    platform: Document = field(default_factory=dict)


@dataclass(frozen=True)
class Compiled:
    """A Workflow, and the pods that come of it."""

    workflow: Document
    steps: tuple[Step, ...]


def compiled(spec: Document, platforms: Document | None, settings: Settings) -> Compiled:
    """Return what KFP submits for a pipeline.

    Args:
        spec: the first document that the SDK writes.
        platforms: the second one, if there is one.
        settings: of the API server.

    Raises:
        NoPipelineError: for what its compiler refuses.
    """
    kubernetes = ((platforms or {}).get("platforms") or {}).get("kubernetes") or {}
    return _Compiler(spec, kubernetes.get("deploymentSpec") or {}, settings).compile()


class _Compiler:
    def __init__(self, spec: Document, kubernetes: Document, settings: Settings):
        self._spec = spec
        self._components: Mapping[str, Document] = {"root": spec["root"], **spec.get("components", {})}
        self._executors = (spec.get("deploymentSpec") or {}).get("executors", {})
        self._kubernetes = kubernetes.get("executors", {})
        self._settings = settings
        self._templates: dict[str, Document] = {}
        self._arguments: dict[str, str] = {}
        self._steps: list[Step] = []

    def compile(self) -> Compiled:
        name = (self._spec.get("pipelineInfo") or {}).get("name")
        if not name:
            raise NoPipelineError("pipelineInfo.name is empty")
        self._graph("root")
        driver = self._dag_driver("root-driver", "root")
        root = {
            "name": "root",
            "template": "root",
            "depends": "root-driver.Succeeded",
            "arguments": _given({"parent-dag-id": _output("root-driver", "execution-id"), "condition": ""}),
        }
        self._templates["entrypoint"] = {"name": "entrypoint", "dag": {"tasks": [driver, root]}}
        workflow = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {"generateName": f"{name.rpartition('/')[2]}-"},
            "spec": {
                "entrypoint": "entrypoint",
                "serviceAccountName": self._settings.service_account,
                "podMetadata": {"annotations": {LABEL: "true"}, "labels": {LABEL: "true"}},
                "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                "arguments": _given(self._arguments),
                "templates": list(self._templates.values()),
            },
        }
        return Compiled(workflow, tuple(self._steps))

    def _graph(self, name: str) -> None:
        """Add the template of a component that is a graph, and of all that is within it."""
        if name in self._templates:
            return
        tasks = (self._components[name].get("dag") or {}).get("tasks") or {}
        hooks: dict[str, str] = {}
        for key, task in sorted(tasks.items()):
            if _strategy(task) == ON_EXIT:
                hook = f"exit-hook-{name}-{key}"
                hooks |= dict.fromkeys(task.get("dependentTasks", []), hook)
                self._add(hook, self._task(key, task), ["parent-dag-id"])
        made = [
            each
            for key, task in sorted(tasks.items())
            if _strategy(task) != ON_EXIT
            for each in self._task(key, task, hooks.get(key, ""))
        ]
        if not made:
            raise NoPipelineError(f"DAG {name} must contain one or more non-exit tasks")
        self._add(name, made, ["parent-dag-id"])

    def _add(self, name: str, tasks: list[Document], inputs: list[str], **more: Any) -> None:
        self._templates[name] = {"name": name, "inputs": _named(inputs), "dag": {"tasks": tasks}, **more}

    def _task(self, key: str, task: Document, hook: str = "", index: str = "") -> list[Document]:
        """Return the tasks of Argo that a task of the pipeline becomes."""
        name = task["componentRef"]["name"]
        component = self._components[name]
        if not index and "artifactIterator" in task:
            raise NoPipelineError("artifact iterator not implemented yet")
        if not index and "parameterIterator" in task:
            return [self._loop(key, name, task)]
        depends = "" if index or _strategy(task) == ON_EXIT else _depends(_producers(task))
        if "dag" in component:
            self._graph(name)
            return self._subgraph(key, name, task, depends, hook, index)
        executor = self._executors[component["executorLabel"]]
        if "importer" in executor:
            return [self._importer(key, name, executor["importer"])]
        return self._container(key, name, task, executor["container"], depends, hook, index)

    def _subgraph(
        self, key: str, name: str, task: Document, depends: str, hook: str, index: str
    ) -> list[Document]:
        driver = self._dag_driver(f"{key}-driver", name, task, index)
        condition = _output(driver["name"], "condition")
        arguments = {"parent-dag-id": _output(driver["name"], "execution-id"), "condition": condition}
        graph: Document = {"name": key, "template": name, "arguments": _given(arguments)}
        graph["depends"] = _depends([driver["name"]])
        if (task.get("triggerPolicy") or {}).get("condition"):
            graph["when"] = f"{condition} != false"
        return [_said(driver, depends=depends), graph | _hooked(hook)]

    def _loop(self, key: str, name: str, task: Document) -> Document:
        """Return the task that runs a component once for each item."""
        driver = self._dag_driver("iteration-driver", name, task)
        inner = f"{name}-iteration"
        once = self._task("iteration-item", task, index=_input("iteration-index"))
        self._add(inner, once, ["parent-dag-id", "iteration-index"])
        arguments = {
            "parent-dag-id": _output("iteration-driver", "execution-id"),
            "iteration-index": "{{item}}",
        }
        each = {
            "name": "iteration-iterations",
            "template": inner,
            "depends": _depends(["iteration-driver"]),
            "arguments": _given(arguments),
            "withSequence": {"count": _output("iteration-driver", "iteration-count")},
        }
        limit = (task.get("iteratorPolicy") or {}).get("parallelismLimit")
        outer = f"{name}-{key}-iterator"
        more = {"parallelism": limit} if limit else {}
        self._add(outer, [driver, each], ["parent-dag-id"], **more)
        looped: Document = {"name": key, "template": outer}
        looped["arguments"] = _given({"parent-dag-id": _input("parent-dag-id")})
        return _said(looped, depends=_depends(_producers(task)))

    def _container(
        self,
        key: str,
        name: str,
        task: Document,
        container: Document,
        depends: str,
        hook: str,
        index: str,
    ) -> list[Document]:
        """Return the driver of a step, and the step."""
        label = self._components[name]["executorLabel"]
        platform = self._kubernetes.get(label, {})
        driver = f"{key}-driver"
        values = {
            "component": self._argument("components", name, self._components[name]),
            "task": json.dumps(task, sort_keys=True),
            "container": self._argument("implementations", name, container),
            "task-name": key,
            "parent-dag-id": _input("parent-dag-id"),
        }
        if index:
            values["iteration-index"] = index
        if platform:
            text = json.dumps(platform, sort_keys=True)
            self._arguments[f"kubernetes-{name}"] = text
            values["kubernetes-config"] = _parameter(f"kubernetes-{name}")
        self._driver_template(
            "system-container-driver",
            {"component": None, "task": None, "container": None, "task-name": None, "parent-dag-id": None}
            | {"iteration-index": "-1", "kubernetes-config": ""},
            {"pod-spec-patch": "", "cached-decision": "false", "condition": "true"},
        )
        self._steps.append(Step(driver, "system-container-driver"))
        first = {"name": driver, "template": "system-container-driver", "arguments": _given(values)}
        executor, impl = self._executor_templates(task, platform)
        self._steps.append(Step(key, impl, container, platform))
        arguments = {
            "pod-spec-patch": _output(driver, "pod-spec-patch"),
            "cached-decision": _output(driver, "cached-decision"),
            **_retries(task),
        }
        second = {"name": key, "template": executor, "arguments": _given(arguments)}
        second["depends"] = _depends([driver])
        if (task.get("triggerPolicy") or {}).get("condition"):
            second["when"] = f"{_output(driver, 'condition')} != false"
        return [_said(first, depends=depends), second | _hooked(hook)]

    def _importer(self, key: str, name: str, importer: Document) -> Document:
        values = {
            "task": json.dumps({"name": key}),
            "component": self._argument("components", name, self._components[name]),
            "importer": self._argument("implementations", name, importer),
            "parent-dag-id": _input("parent-dag-id"),
        }
        self._templates.setdefault(
            "system-importer",
            {
                "name": "system-importer",
                "inputs": _named(list(values)),
                "container": {
                    "image": self._settings.launcher,
                    "command": ["launcher-v2"],
                    "args": [
                        "--executor_type",
                        "importer",
                        "--importer_spec",
                        "{{inputs.parameters.importer}}",
                    ],
                    "env": _ENVIRONMENT,
                    "envFrom": _METADATA,
                    "resources": _DRIVER_RESOURCES,
                    "securityContext": _RESTRICTED,
                },
            },
        )
        self._steps.append(Step(key, "system-importer"))
        return {"name": key, "template": "system-importer", "arguments": _given(values)}

    def _dag_driver(
        self, name: str, component: str, task: Document | None = None, index: str = ""
    ) -> Document:
        """Return the task that prepares a graph."""
        values = {"component": self._argument("components", component, self._components[component])}
        if task is None:
            values |= {"runtime-config": "{}", "driver-type": "ROOT_DAG"}
        else:
            values |= {"parent-dag-id": _input("parent-dag-id"), "task": json.dumps(task, sort_keys=True)}
            values["task-name"] = (task.get("taskInfo") or {}).get("name", name)
        if index:
            values["iteration-index"] = index
        self._driver_template(
            "system-dag-driver",
            {"component": None, "runtime-config": "", "task": "", "task-name": "", "parent-dag-id": "0"}
            | {"iteration-index": "-1", "driver-type": "DAG"},
            {"execution-id": None, "iteration-count": "0", "condition": "true"},
        )
        self._steps.append(Step(name, "system-dag-driver"))
        return {"name": name, "template": "system-dag-driver", "arguments": _given(values)}

    def _driver_template(
        self, name: str, inputs: dict[str, str | None], outputs: dict[str, str | None]
    ) -> None:
        parameters = [_said({"name": key}, default=value) for key, value in inputs.items()]
        results = [
            {"name": key, "valueFrom": _said({"path": f"/tmp/outputs/{key}"}, default=value)}  # noqa: S108
            for key, value in outputs.items()
        ]
        self._templates.setdefault(
            name,
            {
                "name": name,
                "inputs": {"parameters": parameters},
                "outputs": {"parameters": results},
                "container": {
                    "image": self._settings.driver,
                    "command": ["driver"],
                    "args": [f"--{key}={{{{inputs.parameters.{key}}}}}" for key in inputs],
                    "resources": _DRIVER_RESOURCES,
                    "securityContext": _RESTRICTED,
                    **({} if name == "system-dag-driver" else {"env": _ENVIRONMENT}),
                },
            },
        )

    def _executor_templates(self, task: Document, platform: Document) -> tuple[str, str]:
        """Add the templates of a step, and return the names of the outer and of the inner one."""
        retried = "retryPolicy" in task
        metadata = platform.get("podMetadata")
        prefix = "retry-" if retried else ""
        if metadata:
            counts = (str(len(metadata.get(part) or {})) for part in ("annotations", "labels"))
            prefix = f"metadata-{'-'.join(counts)}-{prefix}"
        outer, inner = f"{prefix}system-container-executor", f"{prefix}system-container-impl"
        if outer in self._templates:
            return outer, inner
        retries = list(_retries(task))
        given = {key: _input(key) for key in ("pod-spec-patch", *retries)}
        call = {"name": "executor", "template": inner, "arguments": _given(given)}
        call["when"] = f"{_input('cached-decision')} != true"
        inputs = [{"name": "pod-spec-patch"}, {"name": "cached-decision", "default": "false"}]
        inputs += [{"name": key, "default": "0"} for key in retries]
        self._templates[outer] = {"name": outer, "inputs": {"parameters": inputs}, "dag": {"tasks": [call]}}
        self._templates[inner] = self._step_template(inner, retries, metadata)
        return outer, inner

    def _step_template(self, name: str, retries: list[str], metadata: Document | None) -> Document:
        """Return the template of a step's pod; what is the user's comes by the patch, at run time."""
        scratch = [(f"{part.replace('.', 'dot-')}-scratch", f"/{part}") for part in _SCRATCH]
        launcher = {"name": "kfp-launcher", "mountPath": "/kfp-launcher"}
        template: Document = {
            "name": name,
            "inputs": _named(["pod-spec-patch", *retries]),
            "podSpecPatch": "{{inputs.parameters.pod-spec-patch}}",
            "volumes": [{"name": each, "emptyDir": {}} for each in ("kfp-launcher", *dict(scratch))],
            "initContainers": [
                {
                    "name": "kfp-launcher",
                    "image": self._settings.launcher,
                    "command": ["launcher-v2"],
                    "args": ["--copy", "/kfp-launcher/launch"],
                    "volumeMounts": [launcher],
                    "resources": {"limits": {"cpu": "0.5", "memory": "128Mi"}, "requests": {"cpu": "0.1"}},
                    "securityContext": _RESTRICTED,
                }
            ],
            "container": {
                "image": "gcr.io/ml-pipeline/should-be-overridden-during-runtime",
                "command": ["should-be-overridden-during-runtime"],
                "volumeMounts": [launcher, *({"name": each, "mountPath": at} for each, at in scratch)],
                "env": _ENVIRONMENT,
                "envFrom": _METADATA,
            },
        }
        if retries:
            template["retryStrategy"] = {
                "limit": "{{inputs.parameters.retry-max-count}}",
                "backoff": {
                    "duration": "{{inputs.parameters.retry-backoff-duration}}",
                    "factor": "{{inputs.parameters.retry-backoff-factor}}",
                    "maxDuration": "{{inputs.parameters.retry-backoff-max-duration}}",
                },
            }
        if metadata:
            template["metadata"] = {
                key: metadata[key] for key in ("labels", "annotations") if metadata.get(key)
            }
        return template

    def _argument(self, group: str, name: str, content: Document) -> str:
        """Keep a piece of the pipeline as an argument of the Workflow, once, and return what refers to it."""
        text = json.dumps(content, sort_keys=True)
        executor = self._executors.get(self._components[name].get("executorLabel", ""), {})
        same = json.dumps([self._components[name], executor], sort_keys=True).encode()
        key = f"{group}-{'root' if name == 'root' else hashlib.sha256(same).hexdigest()}"
        self._arguments.setdefault(key, text)
        return _parameter(key)


def _strategy(task: Document) -> str:
    return (task.get("triggerPolicy") or {}).get("strategy", "")


def _producers(task: Document) -> list[str]:
    """Return the tasks that must be over: those that are said, and those whose outputs are taken."""
    found = list(task.get("dependentTasks", []))
    inputs = task.get("inputs") or {}
    for said in (*(inputs.get("parameters") or {}).values(), *(inputs.get("artifacts") or {}).values()):
        for key in ("taskOutputParameter", "taskOutputArtifact"):
            producer = (said.get(key) or {}).get("producerTask")
            if producer and producer not in found:
                found.append(producer)
    return found


def _depends(tasks: list[str]) -> str:
    return " && ".join(f"{task}.Succeeded" for task in sorted(tasks))


def _retries(task: Document) -> dict[str, str]:
    policy = task.get("retryPolicy")
    return {} if policy is None else {key: str(policy.get(said, "0")).rstrip("s") for said, key in _RETRY}


def _hooked(hook: str) -> Document:
    if not hook:
        return {}
    arguments = _given({"parent-dag-id": _input("parent-dag-id")})
    return {"hooks": {"exit": {"template": hook, "arguments": arguments}}}


def _said(document: Document, **fields: Any) -> Document:
    return document | {
        key: value for key, value in fields.items() if value is not None and (value or key == "default")
    }


def _given(values: Mapping[str, str]) -> Document:
    return {"parameters": [{"name": name, "value": value} for name, value in values.items()]}


def _named(names: list[str]) -> Document:
    return {"parameters": [{"name": name} for name in names]}


def _input(name: str) -> str:
    return f"{{{{inputs.parameters.{name}}}}}"


def _output(task: str, name: str) -> str:
    return f"{{{{tasks.{task}.outputs.parameters.{name}}}}}"


def _parameter(name: str) -> str:
    return f"{{{{workflow.parameters.{name}}}}}"
