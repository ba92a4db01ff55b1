"""What the options and images of the charm make of its objects, without a cluster."""

from __future__ import annotations

import base64
import importlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from charm_harness import charm_type, in_order
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from ops import testing

from kubeflow_charm.cluster.executor import Cluster
from kubeflow_charm.gpu.pools import discover
from rehearsal.cluster import nodes

NODE_FILES = Path(nodes.__file__).with_name("nodes")

KINDS = ("PyTorchJob", "TFJob", "MPIJob", "XGBoostJob", "PaddleJob", "JAXJob")
OPERATOR = "Deployment/training-operator"
TRAINER = "Deployment/kubeflow-trainer-controller-manager"
JOBSET = "Deployment/jobset-controller-manager"


def container(objects: dict[str, Any], workload: str) -> dict[str, Any]:
    """Return the one container of a Deployment."""
    (only,) = objects[workload]["spec"]["template"]["spec"]["containers"]
    return only


def crds(objects: dict[str, Any]) -> set[str]:
    """Return the names of the definitions."""
    return {name.partition("/")[2] for name in objects if name.startswith("CustomResourceDefinition/")}


def mounts(objects: dict[str, Any], workload: str) -> dict[str, str]:
    """Return path to the Secret or ConfigMap that is mounted there."""
    volumes = objects[workload]["spec"]["template"]["spec"]["volumes"]
    sources = {
        each["name"]: each.get("secret", {}).get("secretName") or each.get("configMap", {}).get("name")
        for each in volumes
    }
    return {each["mountPath"]: sources[each["name"]] for each in container(objects, workload)["volumeMounts"]}


def test_the_controllers_run_as_upstream_runs_them(training):
    """kubeflow/manifests 26.03: training-operator and trainer with jobset; the certificates are the charm's."""
    objects = training.render()
    operator, trainer, jobset = (container(objects, name) for name in (OPERATOR, TRAINER, JOBSET))
    assert operator["command"] == jobset["command"] == ["/manager"]
    assert "command" not in trainer
    assert (
        trainer["args"] == jobset["args"] == ["--config=/controller_manager_config.yaml", "--zap-log-level=2"]
    )
    # Upstream's has no arguments: these are its own defaults (training-operator 1.9.2, pkg/config/config.go).
    assert operator["args"] == [
        "--pytorch-init-container-image=alpine:3.10",
        "--mpi-kubectl-delivery-image=ghcr.io/kubeflow/training-v1/kubectl-delivery:latest",
    ]
    assert [each["name"] for each in operator["env"]] == ["MY_POD_NAMESPACE", "MY_POD_NAME"]
    certificates = "/tmp/k8s-webhook-server/serving-certs"
    assert mounts(objects, OPERATOR) == {
        certificates: "training-operator-webhook-cert",
        "/etc/config": "training-operator-waiting",
    }
    assert mounts(objects, TRAINER) == {
        certificates: "kubeflow-trainer-webhook-cert",
        "/controller_manager_config.yaml": "kubeflow-trainer-config",
    }
    assert mounts(objects, JOBSET) == {
        certificates: "jobset-webhook-server-cert",
        "/controller_manager_config.yaml": "jobset-manager-config",
    }


@pytest.mark.parametrize("workload", [OPERATOR, TRAINER, JOBSET])
def test_a_controller_that_ends_leaves_its_last_words_for_the_status(training, workload):
    assert container(training.render(), workload)["terminationMessagePolicy"] == "FallbackToLogsOnError"


@pytest.mark.parametrize(
    ("service", "ports"),
    [
        ("training-operator", {"monitoring-port": 8080, "webhook-server": 443}),
        ("kubeflow-trainer-controller-manager", {"monitoring-port": 8080, "webhook-server": 443}),
        ("jobset-webhook-service", {None: 443}),
        ("jobset-controller-manager-metrics-service", {"https": 8443}),
    ],
)
def test_services_have_upstreams_names_and_ports(training, service, ports):
    spec = training.render()[f"Service/{service}"]["spec"]
    assert {each.get("name"): each["port"] for each in spec["ports"]} == ports


def test_every_webhook_of_upstream_is_there(training):
    hooks = {
        hook["name"]: (hook["clientConfig"]["service"]["name"], hook["clientConfig"]["service"]["path"])
        for document in training.render().values()
        for hook in document.get("webhooks", ())
    }
    jobs = ("pytorchjob", "tfjob", "xgboostjob", "paddlejob", "jaxjob")
    kinds = ("clustertrainingruntime", "trainingruntime", "trainjob")
    trainer, jobset = "kubeflow-trainer-controller-manager", "jobset-webhook-service"
    assert hooks == {
        f"validator.{job}.training-operator.kubeflow.org": (
            "training-operator",
            f"/validate-kubeflow-org-v1-{job}",
        )
        for job in jobs
    } | {
        f"validator.{kind}.trainer.kubeflow.org": (trainer, f"/validate-trainer-kubeflow-org-v1alpha1-{kind}")
        for kind in kinds
    } | {
        "mjobset.kb.io": (jobset, "/mutate-jobset-x-k8s-io-v1alpha2-jobset"),
        "vjobset.kb.io": (jobset, "/validate-jobset-x-k8s-io-v1alpha2-jobset"),
        "mpod.kb.io": (jobset, "/mutate--v1-pod"),
        "vpod.kb.io": (jobset, "/validate--v1-pod"),
    }


def test_no_controller_may_read_secrets_of_users_that_it_does_not_need(training):
    """Trainer keeps SSH keys of MPI in profiles; the others need Secrets for their certificates only."""
    reading = {
        name
        for name, document in training.render().items()
        if name.startswith("ClusterRole/")
        for rule in document.get("rules", ())
        if "secrets" in rule.get("resources", ())
    }
    assert reading == {"ClusterRole/kubeflow-trainer-controller-manager"}


def test_what_workers_wait_with_passes_the_standard_restricted(training):
    """The program's own does not: profiles that enforce the standard refused the workers of PyTorchJobs."""
    (template,) = training.render()["ConfigMap/training-operator-waiting"]["data"].values()
    for name, value in (("InitContainerImage", "a:1"), ("MaxTries", "100"), ("MasterAddr", "job-master-0")):
        template = template.replace(f"{{{{.{name}}}}}", value)
    (container,) = yaml.safe_load(template)
    assert container["image"] == "a:1"
    assert "{" not in container["command"][2]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": 65534,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_trainer_may_look_up_the_priorities_of_pods_for_volcano(training):
    """Else its webhook waits for a list that it never gets, as seen with the real one, v2.1.0."""
    rules = training.render()["ClusterRole/kubeflow-trainer-controller-manager"]["rules"]
    (verbs,) = [rule["verbs"] for rule in rules if "priorityclasses" in rule["resources"]]
    assert verbs == ["get", "list", "watch"]


@pytest.mark.parametrize(
    ("role", "aggregated"),
    [
        ("kubeflow-training-admin", {"admin"}),
        ("kubeflow-training-edit", {"edit", "training-admin"}),
        ("kubeflow-training-view", {"view"}),
        ("kubeflow-trainer-admin", {"admin"}),
        ("kubeflow-trainer-edit", {"edit", "trainer-admin"}),
        ("kubeflow-trainer-view", {"view", "trainer-view"}),
        ("kubeflow-trainer-view-cluster-runtimes", set()),
    ],
)
def test_roles_of_users_are_collected_as_upstreams(training, role, aggregated):
    labels = training.render()[f"ClusterRole/{role}"]["metadata"].get("labels", {})
    assert set(labels) == {
        f"rbac.authorization.kubeflow.org/aggregate-to-kubeflow-{each}" for each in aggregated
    }


@pytest.mark.parametrize(
    ("config", "workloads", "number"),
    [
        ({}, {OPERATOR, TRAINER, JOBSET}, 10),
        ({"trainer": False}, {OPERATOR}, 6),
        ({"training-operator": False}, {TRAINER, JOBSET}, 4),
        ({"job-kinds": "[]"}, {TRAINER, JOBSET}, 4),
        ({"trainer": False, "training-operator": False}, set(), 0),
        ({"job-kinds": "[TFJob, PyTorchJob]"}, {OPERATOR, TRAINER, JOBSET}, 6),
    ],
    ids=in_order,
)
def test_each_of_the_two_can_be_left_out_with_its_types(training, config, workloads, number):
    objects = training.render(config)
    assert {name for name in objects if name.startswith("Deployment/")} == workloads
    assert len(crds(objects)) == number


def test_kinds_that_are_left_out_have_no_type_no_rights_and_no_webhook(training):
    objects = training.render({"job-kinds": "[TFJob, MPIJob, PyTorchJob]"})
    served = {"pytorchjobs.kubeflow.org", "tfjobs.kubeflow.org", "mpijobs.kubeflow.org"}
    assert {name for name in crds(objects) if name.endswith("jobs.kubeflow.org")} - served == set()
    assert container(objects, OPERATOR)["args"][2:] == [
        "--enable-scheme=pytorchjob",
        "--enable-scheme=tfjob",
        "--enable-scheme=mpijob",
    ]
    hooks = objects["ValidatingWebhookConfiguration/validator.training-operator.kubeflow.org"]["webhooks"]
    assert [each["rules"][0]["resources"] for each in hooks] == [["pytorchjobs"], ["tfjobs"]]
    for role in ("training-operator", "kubeflow-training-edit", "kubeflow-training-view"):
        named = {each for rule in objects[f"ClusterRole/{role}"]["rules"] for each in rule["resources"]}
        assert {each for each in named if each.startswith(("jaxjobs", "paddlejobs", "xgboostjobs"))} == set()
        assert "tfjobs" in named


def test_mpijobs_alone_need_no_webhook(training):
    objects = training.render({"job-kinds": "[MPIJob]", "trainer": False})
    assert not [name for name in objects if "WebhookConfiguration" in name]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            {"job-kinds": "[MXJob]"},
            "option job-kinds: [0]: 'MXJob' is not 'PyTorchJob', 'TFJob', 'MPIJob', 'XGBoos",
        ),
        ({"job-kinds": "PyTorchJob"}, "option job-kinds: should be a list, not 'PyTorchJob'"),
        ({"job-kinds": "[["}, "option job-kinds: "),
        (
            {"runtimes": "[torch]"},
            "option runtimes: [0]: 'torch' is not 'torch-distributed', 'deepspeed-distribu",
        ),
        (
            {"gang-scheduler": "yunikorn"},
            "option gang-scheduler: 'yunikorn' is not 'none', 'volcano' or 'scheduler-plugins'",
        ),
        ({"gang-scheduler-name": "a b"}, "option gang-scheduler-name: "),
        ({"image-registry": "https://x"}, "option image-registry: "),
        ({"gpu-vendors": "[{}]"}, "option gpu-vendors: [0].limitsKey: "),
    ],
    ids=in_order,
)
def test_a_wrong_option_is_named_with_its_place(training, config, said):
    status = training.run("mlops", config).unit_status
    assert isinstance(status, testing.BlockedStatus)
    assert status.message.startswith(said)
    assert len(status.message) <= 120


def test_one_registry_serves_every_image(training):
    objects = training.render({"image-registry": "mirror.example.com/kf"})
    images = re.findall(r"(?:image=|'image': ')([^']+)", str(list(objects.values())))
    assert len(images) == 5
    assert all(image.startswith("mirror.example.com/kf/") for image in images)


@pytest.mark.parametrize(
    ("config", "argument"),
    [
        ({"gang-scheduler": "volcano"}, "--gang-scheduler-name=volcano"),
        ({"gang-scheduler": "scheduler-plugins"}, "--gang-scheduler-name=scheduler-plugins-scheduler"),
        (
            {"gang-scheduler": "scheduler-plugins", "gang-scheduler-name": "gangs"},
            "--gang-scheduler-name=gangs",
        ),
    ],
    ids=in_order,
)
def test_the_operator_is_told_the_gang_scheduler_and_trainer_starts_anew(
    training, installed, config, argument
):
    before, after = training.render(), training.render(config)
    assert container(after, OPERATOR)["args"][-1] == argument
    assert not any("gang" in each for each in container(before, OPERATOR)["args"])
    assert before[TRAINER] != after[TRAINER]
    assert before[JOBSET] == after[JOBSET]


@pytest.fixture
def installed(training, monkeypatch):
    """Let the charm find every gang scheduler, without any cluster."""
    monkeypatch.setattr(Cluster, "named", lambda *_, **__: [{}])


def test_the_authority_of_the_operator_is_one_that_it_accepts(training):
    """open-policy-agent/cert-controller v0.16.0, pkg/rotator/rotator.go: an RSA key in PKCS#1, and the name."""
    objects = training.render()
    data = {
        key: base64.b64decode(value)
        for key, value in objects["Secret/training-operator-webhook-cert"]["data"].items()
    }
    assert data["ca.key"].startswith(b"-----BEGIN RSA PRIVATE KEY-----")
    key = serialization.load_pem_private_key(data["ca.key"], None)
    (authority,) = x509.load_pem_x509_certificates(data["ca.crt"])
    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.public_key() == authority.public_key()
    names = authority.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["training-operator-ca"]
    serving = x509.load_pem_x509_certificate(data["tls.crt"])
    serving.verify_directly_issued_by(authority)
    for other in ("kubeflow-trainer-webhook-cert", "jobset-webhook-server-cert"):
        assert "ca.key" not in objects[f"Secret/{other}"]["data"]


@pytest.mark.parametrize(
    ("config", "texts"),
    [
        ({}, ["Kubeflow Training Operator Documentation", "Kubeflow Trainer Documentation"]),
        ({"trainer": False}, ["Kubeflow Training Operator Documentation"]),
        ({"training-operator": False}, ["Kubeflow Trainer Documentation"]),
    ],
    ids=in_order,
)
def test_the_dashboard_gets_a_link_to_the_documentation_of_what_runs(training, charm_module, config, texts):
    assert [link.text for link in charm_module.links(training.config(config))] == texts


@pytest.fixture
def charm_module(training):
    """The charm's module."""
    return sys.modules[charm_type(training.source).__module__]


@pytest.mark.parametrize(
    ("config", "served", "labels"),
    [
        ({}, True, [{"training.kubeflow.org/job-name"}, {"jobset.sigs.k8s.io/jobset-name"}]),
        ({"trainer": False}, True, [{"training.kubeflow.org/job-name"}]),
        ({"training-operator": False}, True, [{"jobset.sigs.k8s.io/jobset-name"}]),
        (
            {"job-kinds": "[TFJob]"},
            False,
            [{"tfjob-controller"}, {"node"}, {"launcher"}, {"dataset-initializer"}, {"model-initializer"}],
        ),
    ],
    ids=in_order,
)
def test_pods_of_both_controllers_are_placed_by_their_labels(training, config, served, labels):
    """By a policy; where the API server has none, by PodDefaults, which select one value each."""
    found = importlib.import_module("job_pods").policies(
        training.config(config), discover(nodes.load(NODE_FILES / "default.yaml")), served=served
    )
    if served:
        selectors = [
            each["spec"]["matchConstraints"]["objectSelector"]["matchExpressions"]
            for each in found
            if each["kind"] == "MutatingAdmissionPolicy"
        ]
        assert [{each["key"] for each in selector} for selector in selectors] == labels
        assert len(found) == 2 * len(labels)  # with its binding
        return
    assert {each["kind"] for each in found} == {"PodDefault"}
    assert [set(each["spec"]["selector"]["matchLabels"].values()) for each in found] == labels
    assert len({each["metadata"]["name"] for each in found}) == len(found)


@pytest.mark.parametrize(("served", "kept"), [(True, 2), (False, 0)])
def test_the_policies_are_objects_of_the_application_where_the_api_server_has_them(
    training, monkeypatch, served, kept
):
    monkeypatch.setattr(Cluster, "nodes", lambda _: nodes.load(NODE_FILES / "default.yaml"))
    monkeypatch.setattr(Cluster, "serves", lambda *_: served)
    objects = training.render({"gpu-discovery": True})
    for kind in ("MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"):
        assert len([name for name in objects if name.startswith(f"{kind}/")]) == kept


JOBS = "mpijobs tfjobs pytorchjobs xgboostjobs paddlejobs jaxjobs"
STATUSES = " ".join(f"{job}/status" for job in JOBS.split())
ROLES: dict[str, dict[str, dict[str, str]]] = {
    "kubeflow-training-edit": {
        "kubeflow.org": {JOBS: "create delete get list patch update watch", STATUSES: "get"},
        "": {"persistentvolumeclaims": "create delete get list watch", "events": "get list watch"},
    },
    "kubeflow-training-view": {"kubeflow.org": {JOBS: "get list watch", STATUSES: "get"}},
    "kubeflow-trainer-edit": {
        "trainer.kubeflow.org": {
            "trainingruntimes": "get list watch",
            "trainjobs": "create patch get list watch delete",
        },
        "": {"pods pods/log events": "get list watch"},
    },
    "kubeflow-trainer-view": {"trainer.kubeflow.org": {"trainingruntimes trainjobs": "get list watch"}},
    "kubeflow-trainer-view-cluster-runtimes": {
        "trainer.kubeflow.org": {"clustertrainingruntimes": "get list watch"}
    },
}
"""Role to group to resources to verbs, as upstream's roles of users (kubeflow/manifests 26.03,
applications/training-operator/upstream/overlays/kubeflow and applications/trainer/upstream/overlays/kubeflow-platform)."""


@pytest.mark.parametrize("role", ROLES)
def test_users_may_what_upstreams_roles_give_no_more_and_no_less(training, role):
    rules = training.render()[f"ClusterRole/{role}"]["rules"]
    given = {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert given == {
        (group, resource, verb)
        for group, said in ROLES[role].items()
        for resources, verbs in said.items()
        for resource in resources.split()
        for verb in verbs.split()
    }
