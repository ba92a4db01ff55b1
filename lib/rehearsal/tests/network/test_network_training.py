"""What the webhooks of the training operator, JobSet and Trainer refuse and fill in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from open_types import open_definition
from webhook_bench import Webhook, define, denial, eventually

CERTIFICATES = "/tmp/k8s-webhook-server/serving-certs"
VALIDATING = "ValidatingWebhookConfiguration"
REGISTRY = "example.com/x"


def replica(**more: Any) -> dict[str, Any]:
    return {"template": {"spec": {"containers": [{"name": "pytorch", "image": "train:1"}]}}, **more}


def test_the_training_operator_refuses_a_master_that_does_not_say_one(
    kube, deploy: Callable[..., Webhook], users: str
):
    define(kube, open_definition("kubeflow.org", "PyTorchJob", "pytorchjobs", ["v1"]))
    hook = deploy(f"{REGISTRY}/training-operator:1", 9443, CERTIFICATES, container={"command": ["/manager"]})
    path, resource = "/validate-kubeflow-org-v1-pytorchjob", ("kubeflow.org", "pytorchjobs")
    hook.configure(users, path=path, resource=resource, kind=VALIDATING, versions=("v1",))

    def refusal(name: str = "job", **replicas: Any) -> str:
        spec = {"pytorchReplicaSpecs": replicas}
        return denial(lambda: kube.create("PyTorchJob", name, users, dry=True, spec=spec))

    eventually(lambda: refusal(Master=replica()))
    assert refusal(Master=replica(replicas=1), Worker=replica()) == ""
    words = refusal(Master=replica())
    assert words.endswith(
        "denied the request: spec.pytorchReplicaSpecs[Master].replicas: Forbidden: must be 1"
    )
    assert "must have at least one container with name pytorch" in refusal(
        Worker={"template": {"spec": {"containers": [{"name": "main", "image": "train:1"}]}}}
    )
    assert 'Unsupported value: "Chief": supported values: "Master", "Worker"' in refusal(Chief=replica())
    assert "a DNS-1035 label must consist of" in refusal("1job", Master=replica(replicas=1))


def test_jobset_fills_in_and_refuses(kube, deploy: Callable[..., Webhook], users: str):
    define(kube, open_definition("jobset.x-k8s.io", "JobSet", "jobsets", ["v1alpha2"]))
    hook = deploy(f"{REGISTRY}/jobset:v0.10.1", 9443, CERTIFICATES)
    resource = ("jobset.x-k8s.io", "jobsets")
    for verb, kind in (("mutate", "MutatingWebhookConfiguration"), ("validate", VALIDATING)):
        path = f"/{verb}-jobset-x-k8s-io-v1alpha2-jobset"
        hook.configure(users, path=path, resource=resource, kind=kind, versions=("v1",))

    def create(**more: Any) -> Any:
        job = {"spec": {"template": {"spec": {"containers": [{"name": "node", "image": "train:1"}]}}}}
        spec = {"replicatedJobs": [{"name": "node", "replicas": 1, "template": job}], **more}
        return kube.create("JobSet", "set", users, dry=True, spec=spec)["spec"]

    said = eventually(lambda: (found := create()).get("successPolicy") and found)
    assert said["successPolicy"] == {"operator": "All"}
    assert said["network"] == {"enableDNSHostnames": True, "publishNotReadyAddresses": True}
    job = said["replicatedJobs"][0]["template"]["spec"]
    assert (job["completionMode"], job["template"]["spec"]["restartPolicy"]) == ("Indexed", "OnFailure")
    policy = {"operator": "All", "targetReplicatedJobs": ["other"]}
    words = eventually(lambda: denial(lambda: create(successPolicy=policy)))
    assert "invalid replicatedJob name 'other' does not appear in .spec.ReplicatedJobs" in words
    words = denial(lambda: create(managedBy="me", coordinator={"replicatedJob": "node", "podIndex": 1}))
    assert words.endswith(
        'spec.managedBy: Invalid value: "me": must be a domain-prefixed path (such as "acme.io/foo")\n'
        "job for coordinator pod must be indexed completion mode, and completions number must be set"
    )


def test_jobset_gives_jobs_a_topology_of_their_own(kube, deploy: Callable[..., Webhook], users: str):
    hook = deploy(f"{REGISTRY}/jobset:v0.10.1", 9443, CERTIFICATES)
    hook.may(["get", "list", "watch"], ("", "pods"), ("", "nodes"))
    for verb, kind in (("mutate", "MutatingWebhookConfiguration"), ("validate", VALIDATING)):
        hook.configure(users, path=f"/{verb}--v1-pod", resource=("", "pods"), kind=kind, versions=("v1",))
    topology, key = "kubernetes.io/os", "jobset.sigs.k8s.io/job-key"

    def create(name: str, index: int, *, dry: bool = False, **spec: Any) -> Any:
        annotations = {
            "alpha.jobset.sigs.k8s.io/exclusive-topology": topology,
            "batch.kubernetes.io/job-completion-index": str(index),
        }
        pod = {"containers": [{"name": "main", "image": "train:1"}], **spec}
        marks = {"labels": {key: "abc"}, "annotations": annotations}
        return kube.create("Pod", name, users, dry=dry, metadata=marks, spec=pod)

    lacks = eventually(lambda: denial(lambda: create("follower", 1, dry=True)))
    assert lacks.endswith("denied the request: follower pod node selector not set")
    made = eventually(lambda: (found := create("leader", 0, dry=True))["spec"].get("affinity") and found)
    assert made["metadata"]["labels"]["jobset.sigs.k8s.io/priority"] == "0"
    (alone,) = made["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert {"key": key, "operator": "NotIn", "values": ["abc"]} in alone["labelSelector"]["matchExpressions"]
    assert alone["topologyKey"] == topology
    create("leader", 0, nodeName=kube.get("Node")["items"][0]["metadata"]["name"])
    assert create("follower", 1)["spec"]["nodeSelector"] == {topology: "linux"}


def test_trainer_refuses_a_job_whose_runtime_is_missing(kube, deploy: Callable[..., Webhook], users: str):
    define(kube, open_definition("trainer.kubeflow.org", "TrainJob", "trainjobs", ["v1alpha1"]))
    define(kube, open_definition("trainer.kubeflow.org", "TrainingRuntime", "trainingruntimes", ["v1alpha1"]))
    hook = deploy(f"{REGISTRY}/trainer-controller-manager:v2.1.0", 9443, CERTIFICATES)
    resources = ("trainer.kubeflow.org", "trainingruntimes"), ("scheduling.k8s.io", "priorityclasses")
    hook.may(["get", "list", "watch"], *resources)
    path = "/validate-trainer-kubeflow-org-v1alpha1-trainjob"
    resource = ("trainer.kubeflow.org", "trainjobs")
    hook.configure(users, path=path, resource=resource, kind=VALIDATING, versions=("v1",))

    def refusal(name: str = "torch", **spec: Any) -> str:
        reference = {"apiGroup": "trainer.kubeflow.org", "kind": "TrainingRuntime", "name": name}
        said = {"runtimeRef": reference, **spec}
        return denial(lambda: kube.create("TrainJob", "job", users, dry=True, spec=said))

    def override(container: dict[str, Any]) -> dict[str, Any]:
        return {"targetJobs": [{"name": "node"}], "spec": {"containers": [container]}}

    words = eventually(lambda: refusal())
    assert "specified trainingRuntime must be created before the TrainJob is created" in words
    pod = {"containers": [{"name": "node", "image": "torch:1"}]}
    job = {"name": "node", "template": {"spec": {"template": {"spec": pod}}}}
    runtime = {"mlPolicy": {"torch": {}}, "template": {"spec": {"replicatedJobs": [job]}}}
    kube.create("TrainingRuntime", "torch", users, spec=runtime)
    eventually(lambda: refusal() == "")
    reserved = [{"name": "PET_NNODES", "value": "1"}]
    assert refusal(trainer={"env": reserved}) == ""
    assert "must not have reserved envs, invalid envs configured: [PET_NNODES]" in refusal(
        trainer={"env": reserved, "numProcPerNode": 1}
    )
    tuned = {"command": ["tune", "run"], "numProcPerNode": 1}
    assert "invalid memory address" in refusal(trainer=tuned)
    words = refusal(trainer={**tuned, "numNodes": 2})
    assert "must have a supported pretrained model, invalid model configured: " in words
    assert "spec.trainer.numNodes: Invalid value: 2: must be 1 for" in words
    said = {"name": "node", "env": reserved}
    assert refusal(podTemplateOverrides=[override({"name": "other"})]) == ""
    assert "must not have envs for the dataset-initializer, model-initializer, node" in refusal(
        podTemplateOverrides=[override(said)]
    )
    assert "must have model-initializer job" in refusal(initializer={"model": {"storageUri": "hf://a/b"}})
    job["template"]["spec"]["template"]["spec"] = {**pod, "priorityClassName": "unheard-of"}
    volcano = {"podGroupPolicy": {"volcano": {}}, "template": {"spec": {"replicatedJobs": [job]}}}
    kube.create("TrainingRuntime", "volcano", users, spec=volcano)
    words = eventually(lambda: refusal("volcano", annotations={"scheduling.volcano.sh/queue-name": ""}))
    assert 'PriorityClass "unheard-of" doesn\'t exist' in words
    assert "Volcano queue name must not be empty" in words
