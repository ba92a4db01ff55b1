"""Compile the SDK's output to the Workflow that KFP's API server submits.

Facts: kubeflow/pipelines 2.17.0, backend/src/v2/compiler/argocompiler (argo.go, dag.go, container.go) and
backend/src/apiserver/template/v2_template.go. Templates, tasks, parameters and references are the same; this
compiler leaves out driver and launcher arguments that no part of Kubernetes reads.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pipeline_templates as templates
from pipeline_templates import Settings

from rehearsal.players.argo.notation import (
    Document,
    arguments,
    input_value,
    inputs,
    task_output,
    with_fields,
    workflow_parameter,
)

LABEL = "pipelines.kubeflow.org/v2_component"
RUN_LABEL = "pipeline/runid"
_OF_DRIVERS = ("argostub/createpvc", "argostub/deletepvc")
"""Images of steps that their drivers carry out."""
ON_EXIT = "ALL_UPSTREAM_TASKS_COMPLETED"
RUN_ID = "9f0e4b1c-0000-4000-8000-000000000000"
"""The default run ID."""


class NoPipelineError(ValueError):
    """KFP would not compile this input."""


def compiled(
    spec: Document, platforms: Document | None, settings: Settings, run_id: str = RUN_ID
) -> Document:
    """Return the Workflow that KFP submits for a pipeline.

    Args:
        spec: the SDK's first document.
        platforms: the SDK's second document, if there is one.
        settings: of the API server.
        run_id: the run's ID.

    Raises:
        NoPipelineError: if KFP's compiler would refuse it.
    """
    kubernetes = ((platforms or {}).get("platforms") or {}).get("kubernetes") or {}
    return _Compiler(spec, kubernetes.get("deploymentSpec") or {}, settings, run_id).compile()


class _Compiler:
    def __init__(self, spec: Document, kubernetes: Document, settings: Settings, run_id: str):
        self._spec = spec
        self._components: Mapping[str, Document] = {"root": spec["root"], **spec.get("components", {})}
        self._executors = (spec.get("deploymentSpec") or {}).get("executors", {})
        self._kubernetes = kubernetes.get("executors", {})
        self._settings = settings
        self._run_id = run_id
        self._templates: dict[str, Document] = {}
        self._arguments: dict[str, str] = {}

    def compile(self) -> Document:
        name = (self._spec.get("pipelineInfo") or {}).get("name")
        if not name:
            raise NoPipelineError("pipelineInfo.name is empty")
        self._graph("root")
        driver = self._dag_driver("root-driver", "root")
        root = {
            "name": "root",
            "template": "root",
            "depends": "root-driver.Succeeded",
            "arguments": arguments(
                {"parent-dag-id": task_output("root-driver", "execution-id"), "condition": ""}
            ),
        }
        self._templates["entrypoint"] = {
            "name": "entrypoint",
            "metadata": {"annotations": dict(templates.WITHOUT_SIDECAR)},
            "dag": {"tasks": [driver, root]},
        }
        pods = {"annotations": {LABEL: "true"}, "labels": {LABEL: "true", RUN_LABEL: self._run_id}}
        return {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {
                "generateName": f"{name.rpartition('/')[2]}-",
                "labels": {RUN_LABEL: self._run_id},
            },
            "spec": {
                "entrypoint": "entrypoint",
                "serviceAccountName": self._settings.service_account,
                "podMetadata": pods,
                "securityContext": templates.NON_ROOT_POD,
                "arguments": arguments(self._arguments),
                "templates": [_with_pod_metadata(each, pods) for each in self._templates.values()],
            },
        }

    def _graph(self, name: str) -> None:
        """Add the template of a graph component and of everything inside it."""
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

    def _add(self, name: str, tasks: list[Document], given: list[str], **more: Any) -> None:
        self._templates[name] = {
            "name": name,
            "metadata": {"annotations": dict(templates.WITHOUT_SIDECAR)},
            "inputs": inputs(given),
            "dag": {"tasks": tasks},
            **more,
        }

    def _task(
        self, key: str, task: Document, hook: str = "", index: str = "", loop: str = ""
    ) -> list[Document]:
        """Return Argo's tasks for a task of the pipeline.

        Args:
            key: the task's name.
            task: the pipeline's document of the task.
            hook: the template of its exit hook.
            index: in a loop, the reference to the iteration's index.
            loop: the loop's name; then `key` is the same for all iterations.
        """
        name = task["componentRef"]["name"]
        component = self._components[name]
        if not index and "artifactIterator" in task:
            raise NoPipelineError("artifact iterator not implemented yet")
        if not index and "parameterIterator" in task:
            return [self._loop(key, name, task)]
        depends = "" if index or _strategy(task) == ON_EXIT else _depends(_producers(task))
        if "dag" in component:
            self._graph(name)
            return self._subgraph(key, name, task, depends, hook, index, loop)
        executor = self._executors[component["executorLabel"]]
        if "importer" in executor:
            return [self._importer(key, name, task, executor["importer"])]
        return self._container(key, name, task, executor["container"], depends, hook, index)

    def _subgraph(
        self, key: str, name: str, task: Document, depends: str, hook: str, index: str, loop: str
    ) -> list[Document]:
        driver = self._dag_driver(f"{key}-driver", name, loop or key, task, index)
        condition = task_output(driver["name"], "condition")
        values = {"parent-dag-id": task_output(driver["name"], "execution-id"), "condition": condition}
        graph: Document = {"name": key, "template": name, "arguments": arguments(values)}
        graph["depends"] = _depends([driver["name"]])
        if (task.get("triggerPolicy") or {}).get("condition"):
            graph["when"] = f"{condition} != false"
        return [with_fields(driver, depends=depends), graph | _hooked(hook)]

    def _loop(self, key: str, name: str, task: Document) -> Document:
        """Return the task that runs a component once for each item."""
        driver = self._dag_driver("iteration-driver", name, key, task)
        inner = f"{name}-iteration"
        once = self._task("iteration-item", task, index=input_value("iteration-index"), loop=key)
        self._add(inner, once, ["parent-dag-id", "iteration-index"])
        values = {
            "parent-dag-id": task_output("iteration-driver", "execution-id"),
            "iteration-index": "{{item}}",
        }
        each = {
            "name": "iteration-iterations",
            "template": inner,
            "depends": _depends(["iteration-driver"]),
            "arguments": arguments(values),
            "withSequence": {"count": task_output("iteration-driver", "iteration-count")},
        }
        limit = (task.get("iteratorPolicy") or {}).get("parallelismLimit")
        outer = f"{name}-{key}-iterator"
        more = {"parallelism": limit} if limit else {}
        self._add(outer, [driver, each], ["parent-dag-id"], **more)
        looped: Document = {"name": key, "template": outer}
        looped["arguments"] = arguments({"parent-dag-id": input_value("parent-dag-id")})
        return with_fields(looped, depends=_depends(_producers(task)))

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
        """Return a step and its driver."""
        label = self._components[name]["executorLabel"]
        platform = self._kubernetes.get(label, {})
        driver = f"{key}-driver"
        values = {
            "component": self._argument("components", name, self._components[name]),
            "task": json.dumps(task, sort_keys=True),
            "container": self._argument("implementations", name, container),
            "task-name": key,
            "parent-dag-id": input_value("parent-dag-id"),
        }
        if index:
            values["iteration-index"] = index
        if platform:
            text = json.dumps(platform, sort_keys=True)
            self._arguments[f"kubernetes-{name}"] = text
            values["kubernetes-config"] = workflow_parameter(f"kubernetes-{name}")
        self._driver_template(
            "system-container-driver",
            {"component": None, "task": None, "container": None, "task-name": None, "parent-dag-id": None}
            | {"iteration-index": "-1", "kubernetes-config": ""},
            {"pod-spec-patch": "", "cached-decision": "false", "condition": "true"},
        )
        first = {"name": driver, "template": "system-container-driver", "arguments": arguments(values)}
        if container.get("image") in _OF_DRIVERS:
            return [with_fields({**first, "name": key}, depends=depends)]
        executor = self._executor_template(task, platform)
        own = arguments(
            {"pod-spec-patch": task_output(driver, "pod-spec-patch")}
            | {"cached-decision": task_output(driver, "cached-decision")}
            | templates.metadata_values(platform)
            | templates.retry_values(task)
        )
        own["parameters"][1]["default"] = "false"
        second = {"name": key, "template": executor, "arguments": own}
        second["depends"] = _depends([driver])
        if (task.get("triggerPolicy") or {}).get("condition"):
            second["when"] = f"{task_output(driver, 'condition')} != false"
        return [with_fields(first, depends=depends), second | _hooked(hook)]

    def _importer(self, key: str, name: str, task: Document, importer: Document) -> Document:
        values = {
            "task": json.dumps(task, sort_keys=True),
            "component": self._argument("components", name, self._components[name]),
            "importer": self._argument("implementations", name, importer),
            "parent-dag-id": input_value("parent-dag-id"),
        }
        template = templates.importer("system-importer", list(values), self._settings)
        self._templates.setdefault("system-importer", template)
        return {"name": key, "template": "system-importer", "arguments": arguments(values)}

    def _dag_driver(
        self, name: str, component: str, key: str = "", task: Document | None = None, index: str = ""
    ) -> Document:
        """Return the driver task of a graph: of the pipeline's task `key`, or of the root."""
        values = {"component": self._argument("components", component, self._components[component])}
        if task is None:
            values |= {"runtime-config": self._runtime_config(), "driver-type": "ROOT_DAG"}
        else:
            values |= {
                "parent-dag-id": input_value("parent-dag-id"),
                "task": json.dumps(task, sort_keys=True),
            }
            values["task-name"] = key
        if index:
            values["iteration-index"] = index
        self._driver_template(
            "system-dag-driver",
            {"component": None, "runtime-config": "", "task": "", "task-name": "", "parent-dag-id": "0"}
            | {"iteration-index": "-1", "driver-type": "DAG"},
            {"execution-id": None, "iteration-count": "0", "condition": "true"},
        )
        return {"name": name, "template": "system-dag-driver", "arguments": arguments(values)}

    def _driver_template(
        self, name: str, given: dict[str, str | None], answers: dict[str, str | None]
    ) -> None:
        self._templates.setdefault(name, templates.driver(name, given, answers, self._settings))

    def _executor_template(self, task: Document, platform: Document) -> str:
        """Add a step's templates; return the outer one's name."""
        for template in (pair := templates.executors(task, platform, self._settings)):
            self._templates.setdefault(template["name"], template)
        return pair[0]["name"]

    def _argument(self, group: str, name: str, content: Document) -> str:
        """Add a piece of the pipeline to the Workflow's arguments, once; return the reference to it.

        Components that run the same container share one argument.
        """
        executor = self._executors.get(self._components[name].get("executorLabel", ""), {})
        key = name
        if name != "root" and "container" in executor:
            container = json.dumps(executor["container"], sort_keys=True)
            key = hashlib.sha256(container.encode()).hexdigest()
        self._arguments.setdefault(f"{group}-{key}", json.dumps(content, sort_keys=True))
        return workflow_parameter(f"{group}-{key}")

    def _runtime_config(self) -> str:
        """Return the run's parameters; here all have the pipeline's default values."""
        definitions = (self._spec["root"].get("inputDefinitions") or {}).get("parameters") or {}
        values = {
            name: definition.get("defaultValue")
            for name, definition in definitions.items()
            if definition.get("defaultValue") is not None or definition.get("isOptional")
        }
        return json.dumps({"parameterValues": values} if values else {}, sort_keys=True)


def _with_pod_metadata(template: Document, pods: Document) -> Document:
    """Return a template with all pods' metadata, as the API server 2.17.0 submits it (seen on a real one).

    Only templates that have labels get more labels.
    """
    metadata = template["metadata"]
    merged = {part: {**pods[part], **own} for part, own in metadata.items()}
    return {**template, "metadata": merged}


def _strategy(task: Document) -> str:
    return (task.get("triggerPolicy") or {}).get("strategy", "")


def _producers(task: Document) -> list[str]:
    """Return a task's predecessors: those it declares, and those whose outputs it uses."""
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


def _hooked(hook: str) -> Document:
    if not hook:
        return {}
    values = arguments({"parent-dag-id": input_value("parent-dag-id")})
    return {"hooks": {"exit": {"template": hook, "arguments": values}}}
