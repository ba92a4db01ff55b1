"""What an Experiment, a Suggestion and a Trial may be: what Katib's programs can read."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Iterator
from typing import Any

import katib_experiments as experiments
import lightkube
import older_objects
import pytest
import tenacity
from charm_harness import charm_type
from charm_harness import deployed as deploy
from lightkube.core.exceptions import ApiError
from ops import testing

from kubeflow_charm.cluster import finalizers
from kubeflow_charm.cluster.executor import Cluster
from kubeflow_charm.cluster.resources import WORKLOAD, Kind
from rehearsal import documents
from rehearsal.cluster.controlplane import ControlPlane

EXPERIMENT = documents.namespaced("kubeflow.org", "v1beta1", "Experiment", "experiments")
SUGGESTION = documents.namespaced("kubeflow.org", "v1beta1", "Suggestion", "suggestions")
TRIAL = documents.namespaced("kubeflow.org", "v1beta1", "Trial", "trials")
CONTROLLED = {
    kind: Kind("kubeflow.org/v1beta1", kind, f"{kind.lower()}s", WORKLOAD) for kind in ("Experiment", "Trial")
}
RANDOM = experiments.EXPERIMENTS["random"]

Refusal = Callable[..., str]


@pytest.fixture(scope="module")
def model() -> str:
    """A model of its own."""
    return "katib-rules"


@pytest.fixture(scope="module")
def deployed(katib: Any, cluster: ControlPlane, client: Any, model: str) -> Iterator[Any]:
    """The state after one hook, when the kinds are served; all is removed in the end."""
    with deploy(katib, cluster, client, model) as state:
        for kind in (EXPERIMENT, SUGGESTION, TRIAL):
            _await_served(client, kind)
        yield state


@tenacity.retry(stop=tenacity.stop_after_delay(60), wait=tenacity.wait_fixed(0.1), reraise=True)
def _await_served(client: Any, kind: Any) -> None:
    list(client.list(kind, namespace=lightkube.ALL_NS))


@pytest.fixture(scope="module")
def refusal(client: Any, deployed: object, model: str) -> Refusal:
    """Create an object as a dry run, every field checked; return what the API server says against it."""

    def refusal(kind: Any, name: str, **body: Any) -> str:
        try:
            client.apply(
                kind({"metadata": {"name": name}, **body}),
                field_manager="test",
                namespace=model,
                dry_run=True,
            )
        except ApiError as error:
            return error.status.message or "refused"
        return ""

    return refusal


def test_the_api_server_takes_all_objects(deployed):
    assert isinstance(deployed.unit_status, testing.WaitingStatus)


def test_a_kind_of_the_option_exists_if_the_api_server_has_it_in_that_version(
    deployed: object, client: Any, model: str, katib: Any
):
    charm_type(katib.source)  # the test imports a module beside it
    kinds = importlib.import_module("trial_kinds")
    options = ["Trial.v1beta1.kubeflow.org", "Trial.v2.kubeflow.org", "CronJob.v1.batch", "CronJob.v2.batch"]
    cluster = Cluster("katib", model)
    found = kinds.existing([*options, "Nothing.v1.example.com"], cluster)
    cluster.close()
    assert found == ["Job.v1.batch", "Trial.v1beta1.kubeflow.org", "CronJob.v1.batch"]


def test_versions_columns_and_names_are_upstreams(katib, offline):
    """kubeflow/katib v0.19.0, manifests/v1beta1/components/crd."""
    condition = [
        ("Type", "string", ".status.conditions[-1:].type"),
        ("Status", "string", ".status.conditions[-1:].status"),
    ]
    age = ("Age", "date", ".metadata.creationTimestamp")
    columns = {
        "Experiment": [*condition, age],
        "Suggestion": [
            *condition,
            ("Requested", "string", ".spec.requests"),
            ("Assigned", "string", ".status.suggestionCount"),
            age,
        ],
        "Trial": [*condition, age],
    }
    rendered = katib.render()
    for kind, expected in columns.items():
        spec = rendered[f"CustomResourceDefinition/{kind.lower()}s.kubeflow.org"]["spec"]
        assert (spec["scope"], spec["names"]["categories"]) == ("Namespaced", ["all", "kubeflow", "katib"])
        assert "shortNames" not in spec["names"]
        (version,) = spec["versions"]
        assert (version["name"], version["served"], version["storage"]) == ("v1beta1", True, True)
        assert version["subresources"] == {"status": {}}
        found = [(c["name"], c["type"], c["jsonPath"]) for c in version["additionalPrinterColumns"]]
        assert found == expected


@pytest.mark.parametrize("name", experiments.EXPERIMENTS)
def test_what_people_write_is_an_experiment(refusal: Refusal, name: str):
    assert refusal(EXPERIMENT, name, spec=experiments.EXPERIMENTS[name]) == ""


@pytest.mark.parametrize("name", experiments.EXPERIMENTS)
def test_what_katib_makes_of_it_is_a_suggestion_and_a_trial(refusal: Refusal, name: str):
    spec = experiments.EXPERIMENTS[name]
    assert refusal(SUGGESTION, name, spec=experiments.suggestion(spec)) == ""
    assert refusal(TRIAL, name, spec=experiments.trial(spec)) == ""
    assert "no_such_field" in refusal(TRIAL, name, spec=experiments.trial(spec) | {"no_such_field": 1})


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the spec of an experiment that differs at one place; None removes."""
    spec = copy.deepcopy(RANDOM)
    *steps, last = path.split(".")
    node: Any = spec
    for step in steps:
        node = node[int(step)] if step.isdigit() else node.setdefault(step, {})
    if value is None:
        del node[last]
    else:
        node[last] = value
    return spec


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        ("parameters.0.parameterType", "float", "Unsupported value"),
        ("parameters.0.parameterType", "Double", "Unsupported value"),
        ("parameters.0.feasibleSpace.min", 0.001, "min"),
        ("parameters.0.feasibleSpace.list", [1, 2], "list"),
        ("parameters.0.feasibleSpace.minimum", "1", "field not declared"),
        ("parameters.0.feasibleSpace.distribution", "gauss", "Unsupported value"),
        ("parameters.0.name", None, "name"),
        ("parameters", [], "parameters or nasConfig"),
        ("parameters", None, "parameters or nasConfig"),
        ("parameters", [experiments.RATE, experiments.RATE], "duplicate"),
        ("nasConfig", {"graphConfig": {}}, "either parameters or nasConfig"),
        ("objective", None, "spec must have objective"),
        ("objective.type", "max", "Unsupported value"),
        ("objective.goal", "0.99", "goal"),
        ("objective.additionalMetricNames", ["accuracy"], "has the objectiveMetricName, too"),
        ("objective.metricStrategies", [{"name": "accuracy", "value": "mean"}], "Unsupported value"),
        ("algorithm", None, "spec must have objective"),
        ("algorithm.name", "tpe", "field not declared"),
        ("algorithm.algorithmSettings", {"a": "b"}, "algorithmSettings"),
        ("algorithm.algorithmSettings", [{"name": "a", "value": 5}], "value"),
        ("resumePolicy", "Always", "Unsupported value"),
        ("parallelTrialCount", 0, "parallelTrialCount"),
        ("parallelTrialCount", "3", "parallelTrialCount"),
        ("parallelTrialCount", 13, "parallelTrialCount must not be greater"),
        ("maxFailedTrialCount", 13, "maxFailedTrialCount must not be greater"),
        ("maxFailedTrialCount", -1, "maxFailedTrialCount"),
        ("maxTrialCount", 0, "maxTrialCount"),
        ("trialTemplate", None, "spec must have objective"),
        ("trialTemplate.configMap", {"configMapName": "a"}, "either trialSpec or configMap"),
        ("trialTemplate.trialSpec", None, "either trialSpec or configMap"),
        ("trialTemplate.trialSpec.kind", None, "kind"),
        ("trialTemplate.trialSpec.kind", "", "kind"),
        ("trialTemplate.trialSpec", "a: b", "trialSpec"),
        ("trialTemplate.trialParameters.0.name", None, "name"),
        ("trialTemplate.primaryContainer", "a", "field not declared"),
        ("metricsCollectorSpec.collector.kind", "Stdout", "Unsupported value"),
        ("metricsCollectorSpec.collector.customCollector", {"image": "a"}, "name"),
        ("metricsCollectorSpec.source.httpGet.port", True, "port"),
        ("metricsCollectorSpec.source.fileSystemPath.format", "text", "Unsupported value"),
        ("earlyStopping.algorithmSettings", [{"value": "1"}], "name"),
    ],
)
def test_what_katib_could_not_read_or_would_refuse_is_no_experiment(
    refusal: Refusal, path: str, value: Any, where: str
):
    assert where in refusal(EXPERIMENT, "bad", spec=changed(path, value))


@pytest.mark.parametrize(
    ("name", "good"),
    [("a" * 40, True), ("a" * 41, False), ("a1-b", True), ("1a", False), ("a.b", False)],
)
def test_a_name_becomes_part_of_a_services(refusal: Refusal, name: str, good: bool):
    assert (refusal(EXPERIMENT, name, spec=RANDOM) == "") == good


def test_a_template_keeps_every_field(client: Any, deployed: object, model: str):
    spec = changed("trialTemplate.trialSpec.anything", {"at": ["all", {"is": 1}]})
    made = client.apply(
        EXPERIMENT({"metadata": {"name": "open"}, "spec": spec}),
        field_manager="test",
        namespace=model,
        dry_run=True,
    )
    assert made["spec"]["trialTemplate"] == spec["trialTemplate"]


NOW = "2026-01-02T03:04:05Z"
CONDITION = {
    "type": "Created",
    "status": "True",
    "reason": "ExperimentCreated",
    "message": "Experiment is created",
    "lastUpdateTime": NOW,
    "lastTransitionTime": NOW,
}
STATUSES = {
    "Experiment": {
        "startTime": NOW,
        "completionTime": None,
        "conditions": [CONDITION],
        "currentOptimalTrial": {"observation": {}},
        "runningTrialList": ["a-1", "a-2"],
        "trials": 2,
        "trialsRunning": 2,
    },
    "Suggestion": {
        "startTime": NOW,
        "completionTime": None,
        "conditions": [CONDITION | {"lastTransitionTime": None}],
        "suggestionCount": 1,
        "suggestions": [
            {
                "name": "a-1",
                "parameterAssignments": [{"name": "lr", "value": "0.02"}],
                "earlyStoppingRules": [
                    {"name": "accuracy", "value": "0.8", "comparison": "less", "startStep": 4},
                    {"name": "accuracy", "value": "0.2", "comparison": "less"},
                ],
                "labels": {"pbt.suggestion.katib.kubeflow.org/generation": "0"},
            }
        ],
    },
    "Trial": {
        "startTime": NOW,
        "completionTime": None,
        "conditions": [CONDITION],
        "observation": {"metrics": [{"name": "accuracy", "min": "0.1", "max": "0.9", "latest": "0.9"}]},
    },
}
SPECS = {
    "Experiment": RANDOM,
    "Suggestion": {"algorithm": {"algorithmName": "random"}, "requests": 3, "resumePolicy": "Never"},
    "Trial": {
        "objective": RANDOM["objective"],
        "parameterAssignments": [{"name": "lr", "value": "0.02"}],
        "runSpec": experiments.PYTORCH | {"metadata": {"name": "a-1", "namespace": "x"}},
        "metricsCollector": {"collector": {"kind": "StdOut"}},
        "primaryContainerName": "pytorch",
        "successCondition": "a",
        "failureCondition": "b",
    },
}


@pytest.mark.parametrize("kind", [EXPERIMENT, SUGGESTION, TRIAL], ids=lambda kind: kind.__name__)
def test_what_the_controller_writes_is_taken(client: Any, deployed: object, namespace: str, kind: Any):
    """A time that has not come is null (pkg/controller.v1beta1: `CompletionTime = &metav1.Time{}`)."""
    name = kind.__name__
    made = client.create(kind({"metadata": {"name": "a"}, "spec": SPECS[name]}), namespace=namespace)
    made["status"] = STATUSES[name]
    written = client.replace(kind.Status(made), namespace=namespace)
    assert written["status"] == STATUSES[name]
    client.delete(kind, "a", namespace=namespace)


OLD = [
    {"metadata": {"name": "a" * 60, "finalizers": ["update-prometheus-metrics"]}, "spec": RANDOM},
    {"metadata": {"name": "no-spec", "finalizers": ["update-prometheus-metrics"]}, "spec": {}},
    {
        "metadata": {"name": "bad-type", "finalizers": ["update-prometheus-metrics"]},
        "spec": changed("parameters.0.parameterType", "float"),
    },
]


def test_experiments_from_before_the_rules_stay_usable(client: Any, katib: Any, offline: Any, namespace: str):
    definition = katib.render()["CustomResourceDefinition/experiments.kubeflow.org"]
    with older_objects.kept(client, definition, OLD, namespace) as kind:
        for old in OLD:
            name = old["metadata"]["name"]
            live = client.get(kind, name, namespace=namespace)
            live["metadata"]["labels"] = {"a": "b"}
            live = client.replace(live)
            live["status"] = STATUSES["Experiment"]
            client.replace(kind.Status(live))
            live = client.get(kind, name, namespace=namespace)
            live["metadata"]["finalizers"] = []
            client.replace(live)
            client.delete(kind, name, namespace=namespace)


def test_katibs_finalizers_go_with_the_application_and_those_of_others_stay(
    client: Any, deployed: object, model: str, namespace: str
):
    """Otherwise nobody could delete experiments and trials any more."""
    held = [finalizers.Held(CONTROLLED["Experiment"], "update-prometheus-metrics")]
    held.append(finalizers.Held(CONTROLLED["Trial"], "clean-metrics-in-db"))
    for kind, name in ((EXPERIMENT, "Experiment"), (TRIAL, "Trial")):
        for number, ours in enumerate((["update-prometheus-metrics", "clean-metrics-in-db"], [])):
            metadata = {"name": f"held-{number}", "finalizers": ["example.com/backup", *ours]}
            client.create(kind({"metadata": metadata, "spec": SPECS[name]}), namespace=namespace)
    own = Cluster("gone", model)
    finalizers.release(own, "gone", held)
    own.close()
    left = {}
    for kind in (EXPERIMENT, TRIAL):
        for number in range(2):
            live = client.get(kind, f"held-{number}", namespace=namespace)
            left[kind.__name__, number] = live["metadata"]["finalizers"]
            live["metadata"]["finalizers"] = []
            client.replace(live)
            client.delete(kind, f"held-{number}", namespace=namespace)
    assert left == {
        ("Experiment", 0): ["example.com/backup", "clean-metrics-in-db"],
        ("Experiment", 1): ["example.com/backup"],
        ("Trial", 0): ["example.com/backup", "update-prometheus-metrics"],
        ("Trial", 1): ["example.com/backup"],
    }
