"""The custom resources: what upstream's programs and people write is taken, and a misspelled field is not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import lightkube
import pytest
import yaml
from lightkube.core.exceptions import ApiError
from lightkube.generic_resource import create_global_resource, create_namespaced_resource
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import Namespace

from rehearsal.cluster import crds
from rehearsal.cluster.controlplane import ControlPlane

NAMESPACE = "pipelines-resources"
PLURALS = {
    "Workflow": "workflows",
    "WorkflowTemplate": "workflowtemplates",
    "CronWorkflow": "cronworkflows",
    "WorkflowTaskSet": "workflowtasksets",
    "WorkflowTaskResult": "workflowtaskresults",
    "WorkflowEventBinding": "workfloweventbindings",
    "WorkflowArtifactGCTask": "workflowartifactgctasks",
    "ScheduledWorkflow": "scheduledworkflows",
    "Viewer": "viewers",
    "Pipeline": "pipelines",
    "PipelineVersion": "pipelineversions",
}


@pytest.fixture(scope="module")
def write(
    pipelines: Any, cluster: ControlPlane, client: lightkube.Client
) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    """Apply an object under strict validation, and return what the API server keeps of it."""
    said = pipelines.render(
        {"pipeline-store": "kubernetes", "gpu-discovery": False, "object-store-keys": "shared"}
    )
    crds.install(cluster, [each for each in said.values() if each["kind"] == "CustomResourceDefinition"])
    client.create(Namespace(metadata=ObjectMeta(name=NAMESPACE)))

    def apply(document: dict[str, Any]) -> dict[str, Any]:
        group, version = document["apiVersion"].split("/")
        kind = document["kind"]
        where: dict[str, Any] = {"namespace": NAMESPACE} if kind in PLURALS else {}
        if kind in PLURALS:
            resource: Any = create_namespaced_resource(group, version, kind, PLURALS[kind])
        else:
            resource = create_global_resource(group, version, kind, "clusterworkflowtemplates")
        return client.apply(resource(document), force=True, **where).to_dict()

    yield apply
    client.delete(Namespace, NAMESPACE)


TEMPLATES = """
- name: all
  dag:
    failFast: true
    tasks:
      - {name: a, template: hello, arguments: {parameters: [{name: n, value: 1}, {name: flag, value: true}]}}
      - name: b
        template: looped
        depends: a.Succeeded || a.Failed
        withItems: [1, two, {three: 3}]
        continueOn: {failed: true}
        when: "{{tasks.a.outputs.result}} == 1"
        hooks: {exit: {template: hello, arguments: {}}}
- name: hello
  inputs: {parameters: [{name: n, default: 1, enum: [1, "2"]}]}
  metadata: {annotations: {a: b}, labels: {c: d}}
  podSpecPatch: '{{inputs.parameters.pod-spec-patch}}'
  container: {image: a, command: [sh], resources: {limits: {nvidia.com/gpu: 1}}, volumeMounts: [{name: v, mountPath: /v}]}
  volumes: [{name: v, emptyDir: {}}]
  retryStrategy: {limit: 3, retryPolicy: Always, backoff: {duration: 5s, factor: "2", maxDuration: 1m}}
  outputs:
    parameters: [{name: o, valueFrom: {path: /tmp/o, default: ""}}]
    artifacts: [{name: f, path: /f, s3: {key: f, bucket: b}, archive: {none: {}}, optional: true}]
- name: looped
  steps:
    - [{name: one, template: hello}, {name: two, inline: {suspend: {duration: 5s}}}]
    - [{name: three, template: scripted, withSequence: {count: 3, format: "%d"}}]
- name: scripted
  script: {image: a, command: [python], source: "print(1)"}
  synchronization: {mutex: {name: m}}
  timeout: 30s
- name: made
  resource: {action: create, manifest: "x", setOwnerReference: true, successCondition: status.phase == Bound}
- name: waits
  suspend: {duration: "20"}
- name: asks
  http: {url: "http://example.com", successCondition: response.statusCode == 200}
- name: several
  containerSet: {containers: [{name: a, image: a}]}
"""
WORKFLOW: dict[str, Any] = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Workflow",
    "metadata": {"name": "run"},
    "spec": {
        "entrypoint": "all",
        "onExit": "hello",
        "serviceAccountName": "default-editor",
        "arguments": {"parameters": [{"name": "components-root", "value": "{}"}]},
        "templates": yaml.safe_load(TEMPLATES),
        "podMetadata": {"annotations": {"pipelines.kubeflow.org/v2_component": "true"}, "labels": {"a": "b"}},
        "podGC": {"strategy": "OnPodCompletion"},
        "ttlStrategy": {"secondsAfterCompletion": 60},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "volumeClaimTemplates": [{"metadata": {"name": "w"}, "spec": {"accessModes": ["ReadWriteOnce"]}}],
        "volumeClaimGC": {"strategy": "OnWorkflowCompletion"},
        "artifactGC": {"strategy": "Never"},
        "workflowMetadata": {"labels": {"a": "b"}, "labelsFrom": {"c": {"expression": "1"}}},
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
    },
    "status": {
        "phase": "Running",
        "startedAt": "2026-01-01T00:00:00Z",
        "nodes": {
            "run-1": {
                "id": "run-1",
                "children": ["run-2"],
                "inputs": {"parameters": [{"name": "n", "value": "1"}]},
            }
        },
        "storedTemplates": {"x": {"name": "x", "container": {"image": "a"}}},
        "resourcesDuration": {"cpu": 1},
    },
}
SPEC = WORKFLOW["spec"]
OBJECTS: list[dict[str, Any]] = [
    WORKFLOW,
    {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": "t"},
        "spec": SPEC,
    },
    {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "ClusterWorkflowTemplate",
        "metadata": {"name": "t"},
        "spec": SPEC,
    },
    {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "CronWorkflow",
        "metadata": {"name": "c"},
        "spec": {
            "schedules": ["* * * * *"],
            "timezone": "UTC",
            "workflowSpec": SPEC,
            "concurrencyPolicy": "Allow",
        },
        "status": {
            "active": [],
            "lastScheduledTime": None,
            "conditions": [],
            "succeeded": 1,
            "failed": 0,
            "phase": "Active",
        },
    },
    {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTaskSet",
        "metadata": {"name": "s"},
        "spec": {"tasks": {"run-1": {"http": {"url": "http://example.com"}}}},
    },
    {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTaskResult",
        "metadata": {"name": "r"},
        "phase": "Succeeded",
        "outputs": {
            "exitCode": "0",
            "parameters": [{"name": "o", "value": "1"}],
            "artifacts": [{"name": "main-logs", "s3": {"key": "k"}}],
        },
        "progress": "1/1",
    },
    {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowEventBinding",
        "metadata": {"name": "e"},
        "spec": {
            "event": {"selector": "true"},
            "submit": {
                "workflowTemplateRef": {"name": "t"},
                "arguments": {"parameters": [{"name": "m", "valueFrom": {"event": "payload"}}]},
            },
        },
    },
    {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowArtifactGCTask",
        "metadata": {"name": "g"},
        "spec": {
            "artifactsByNode": {
                "run-1": {
                    "archiveLocation": {"s3": {"bucket": "b"}},
                    "artifacts": {"f": {"name": "f", "s3": {"key": "f"}}},
                }
            }
        },
    },
    {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "ScheduledWorkflow",
        "metadata": {"name": "s"},
        "spec": {
            "enabled": True,
            "maxConcurrency": 1,
            "noCatchup": False,
            "trigger": {"cronSchedule": {"cron": "0 * * * * *", "startTime": "2026-01-01T00:00:00Z"}},
            "workflow": {
                "parameters": [{"name": "n", "value": "1"}],
                "spec": json.dumps({"pipelineSpec": {}}),
                "pipelineRoot": "",
            },
            "experimentId": "e",
            "pipelineId": "p",
            "pipelineName": "p",
            "pipelineVersionId": "v",
            "serviceAccount": "default-editor",
            "pluginsInput": {"mlflow": {"experiment_name": "e", "disabled": False}},
        },
        "status": {
            "conditions": [{"type": "Enabled", "status": "True"}],
            "trigger": {"nextTriggeredTime": "2026-01-01T01:00:00Z"},
        },
    },
    {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Viewer",
        "metadata": {"name": "v"},
        "spec": {
            "type": "tensorboard",
            "tensorboardSpec": {"logDir": "minio://b/x", "tensorflowImage": "tensorflow/tensorflow:2.5.1"},
            "podTemplateSpec": {
                "spec": {
                    "containers": [{"ports": [{"containerPort": 6006, "protocol": "TCP"}]}],
                    "serviceAccountName": "default-editor",
                }
            },
        },
    },
    {
        "apiVersion": "pipelines.kubeflow.org/v2beta1",
        "kind": "Pipeline",
        "metadata": {"name": "p"},
        "spec": {"displayName": "P", "description": "d", "tags": {"team": "a"}},
    },
    {
        "apiVersion": "pipelines.kubeflow.org/v2beta1",
        "kind": "PipelineVersion",
        "metadata": {"name": "p-v1"},
        "spec": {
            "pipelineName": "p",
            "pipelineSpec": {"pipelineInfo": {"name": "p"}},
            "platformSpec": {"platforms": {}},
            "codeSourceURL": "https://example.com",
            "versionName": "v1.0",
            "tags": {"team": "a"},
        },
    },
]


@pytest.mark.parametrize("document", OBJECTS, ids=lambda document: document["kind"])
def test_what_upstream_writes_is_kept_to_the_letter(write, document):
    kept = write(document)
    for key in document.keys() - {"apiVersion", "kind", "metadata", "status"}:
        assert kept[key] == document[key]
    if document["kind"] not in (
        "WorkflowTaskSet",
        "WorkflowArtifactGCTask",
        "PipelineVersion",
    ):  # a subresource
        assert kept.get("status") == document.get("status")


@pytest.mark.parametrize(
    ("kind", "path", "field"),
    [
        ("Workflow", (), "entryPoint"),
        ("Workflow", ("templates", 0, "dag", "tasks", 0), "dependsOn"),
        ("Workflow", ("templates", 1), "podSpecpatch"),
        ("Workflow", ("templates", 1, "retryStrategy"), "limits"),
        ("Workflow", ("templates", 1, "outputs", "artifacts", 0), "s4"),
        ("Workflow", ("templates", 2, "steps", 0, 0), "depends"),
        ("WorkflowTemplate", ("podMetadata",), "label"),
        ("CronWorkflow", (), "schedule_s"),
        ("CronWorkflow", ("workflowSpec",), "onexit"),
        ("ScheduledWorkflow", ("trigger", "cronSchedule"), "crn"),
        ("Viewer", ("tensorboardSpec",), "logdir"),
        ("Pipeline", (), "displayname"),
    ],
)
def test_a_misspelled_field_is_refused_by_its_name(write, kind, path, field):
    (document,) = (json.loads(json.dumps(each)) for each in OBJECTS if each["kind"] == kind)
    node = document["spec"]
    for step in path:
        node = node[step]
    node[field] = "x"
    with pytest.raises((ApiError, httpx2.HTTPStatusError)) as error:
        write(document)
    assert field in str(error.value)


def test_a_graph_without_tasks_is_refused(write):
    document = json.loads(json.dumps(WORKFLOW))
    del document["spec"]["templates"][0]["dag"]["tasks"]
    with pytest.raises(ApiError, match="tasks"):
        write(document)


def _with_spec(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    """Return an object of an Argo kind around the spec of a Workflow."""
    if kind == "CronWorkflow":
        spec = {"schedules": ["* * * * *"], "workflowSpec": spec}
    if kind == "WorkflowTaskSet":
        spec = {"tasks": {"a": spec["templates"][0]}}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": "undecodable"},
        "spec": spec,
    }


def _step(**fields: Any) -> dict[str, Any]:
    return {"templates": [{"name": "a", "container": {"image": "a"}} | fields]}


UNDECODABLE = [
    (_step(container={"image": "a", "resources": {"limits": {"memory": "2.0GB"}}}), "limits.memory"),
    (_step(container={"image": "a", "ports": [{"containerPort": "80"}]}), "containerPort"),
    (_step(container={"image": "a", "env": [{"name": "A", "value": 1}]}), "value"),
    (_step(container={"image": "a", "args": "-c"}), "args"),
    (_step(container={"image": "a", "resource": {}}), "field not declared"),
    (_step(script={"image": "a", "source": ["true"]}), "source"),
    (_step(initContainers=[{"name": "i", "mirrorVolumeMounts": "true"}]), "mirrorVolumeMounts"),
    (_step(sidecars=[{"name": "s", "tty": "no"}]), "tty"),
    (_step(containerSet={"containers": [{"name": "a", "dependencies": "b"}]}), "dependencies"),
    (_step(volumes=[{"name": "v", "emptyDir": {"sizeLimit": "1GB"}}]), "sizeLimit"),
    (_step(affinity={"nodeAffinty": {}}), "field not declared"),
    (_step(tolerations=[{"key": "a", "tolerationSeconds": "5"}]), "tolerationSeconds"),
    (_step(securityContext={"runAsUser": "1000"}), "runAsUser"),
    (_step(nodeSelector={"gpu": True}), "nodeSelector.gpu"),
    (_step(parallelism="3"), "parallelism"),
    (_step(memoize={"key": "k", "maxAge": 10, "cache": {"configMap": {"key": "k"}}}), "maxAge"),
    (_step(synchronization={"mutex": "m"}), "mutex"),
    (_step(http={"url": "http://a", "timeoutSeconds": "5"}), "timeoutSeconds"),
    (_step(inputs={"artifacts": [{"name": "a", "s3": {"accessKeySecret": "s"}}]}), "accessKeySecret"),
    (_step(inputs={"artifacts": [{"name": "a", "mode": "0644"}]}), "mode"),
    (_step(metrics={"prometheus": [{"name": "m", "help": "h", "histogram": {"value": "1"}}]}), "buckets"),
]


@pytest.mark.parametrize(("spec", "where"), UNDECODABLE, ids=str)
def test_what_a_typed_client_cannot_read_is_refused(write, spec, where):
    with pytest.raises((ApiError, httpx2.HTTPStatusError)) as error:
        write(_with_spec("Workflow", spec))
    assert where in str(error.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (
            "volumeClaimTemplates",
            [{"metadata": {"name": "v"}, "spec": {"resources": {"requests": {"storage": "1GB"}}}}],
        ),
        ("podDisruptionBudget", {"minAvailable": 1.5}),
        ("imagePullSecrets", ["regcred"]),
        ("dnsConfig", {"nameservers": "1.1.1.1"}),
        ("hostAliases", [{"ip": "1.1.1.1", "hostnames": "a"}]),
        ("activeDeadlineSeconds", "60"),
        ("priority", 2**40),
        ("ttlStrategy", {"secondsAfterCompletion": "60"}),
        ("podGC", {"labelSelector": {"matchLabel": {}}}),
        ("artifactRepositoryRef", {"configMap": {"name": "a"}}),
        ("workflowMetadata", {"labelsFrom": {"a": "b"}}),
    ],
)
def test_what_a_workflow_says_of_its_pods_is_typed(write, field, value):
    with pytest.raises((ApiError, httpx2.HTTPStatusError)) as error:
        write(_with_spec("Workflow", _step() | {field: value}))
    assert field in str(error.value)


def test_what_go_programs_write_around_a_template_is_taken(write):
    """Null for no time, and empty structs, as Go has written them up to Kubernetes 1.33."""
    claim = {
        "metadata": {"name": "v", "creationTimestamp": None},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        "status": {},
    }
    step = {"name": "a", "inputs": {}, "outputs": {}, "metadata": {}}
    step["container"] = {"name": "", "image": "a", "resources": {}}
    kept = write(
        _with_spec("Workflow", {"templates": [step], "volumeClaimTemplates": [claim], "arguments": {}})
    )
    assert kept["spec"]["volumeClaimTemplates"][0]["spec"] == claim["spec"]
