"""What the options make of Katib's configuration, and which are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.usefixtures("offline")

UPSTREAM = {
    "random": "suggestion-hyperopt",
    "tpe": "suggestion-hyperopt",
    "grid": "suggestion-optuna",
    "hyperband": "suggestion-hyperband",
    "bayesianoptimization": "suggestion-skopt",
    "cmaes": "suggestion-goptuna",
    "sobol": "suggestion-goptuna",
    "multivariate-tpe": "suggestion-optuna",
    "enas": "suggestion-enas",
    "darts": "suggestion-darts",
    "pbt": "suggestion-pbt",
}
"""Algorithm to image (kubeflow/katib v0.19.0, manifests/v1beta1/installs/katib-cert-manager/katib-config.yaml)."""


def entry(settings: dict[str, Any], part: str, name: str) -> dict[str, Any]:
    """Return an entry of the configuration."""
    key = "kind" if part == "metricsCollectors" else "algorithmName"
    (found,) = [each for each in settings["runtime"][part] if each[key] == name]
    return found


def test_the_usual_configuration_is_upstreams_with_more_kinds(katib):
    settings = katib.settings()
    assert settings["init"]["controller"]["webhookPort"] == 8443
    kinds = settings["init"]["controller"]["trialResources"]
    assert kinds[:6] == [
        "TrainJob.v1alpha1.trainer.kubeflow.org",
        "Job.v1.batch",
        "TFJob.v1.kubeflow.org",
        "PyTorchJob.v1.kubeflow.org",
        "MPIJob.v1.kubeflow.org",
        "XGBoostJob.v1.kubeflow.org",
    ]
    assert kinds[6:] == [
        "PaddleJob.v1.kubeflow.org",
        "JAXJob.v1.kubeflow.org",
        "Workflow.v1alpha1.argoproj.io",
    ]
    runtime = settings["runtime"]
    assert {each["algorithmName"]: each["image"] for each in runtime["suggestions"]} == {
        name: f"ghcr.io/kubeflow/katib/{image}:v0.19.0" for name, image in UPSTREAM.items()
    }
    assert entry(settings, "suggestions", "pbt")["persistentVolumeClaimSpec"] == {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": "5Gi"}},
    }
    assert entry(settings, "suggestions", "enas")["resources"] == {"limits": {"memory": "400Mi"}}
    assert [each["algorithmName"] for each in runtime["earlyStoppings"]] == ["medianstop"]
    assert [each["kind"] for each in runtime["metricsCollectors"]] == ["StdOut", "File", "TensorFlowEvent"]
    assert entry(settings, "metricsCollectors", "TensorFlowEvent")["resources"] == {
        "limits": {"memory": "1Gi"}
    }


def test_an_entry_changes_the_one_of_its_name_field_by_field_and_no_other(katib):
    given = {
        "runtime": {
            "suggestions": [
                {"algorithmName": "tpe", "resources": {"requests": {"cpu": "100m"}}},
                {"algorithmName": "enas", "resources": {"limits": {"cpu": 2}}},
                {"algorithmName": "mine", "image": "quay.io/me/mine:1", "env": [{"name": "A", "value": "1"}]},
            ],
            "earlyStoppings": [{"algorithmName": "medianstop", "imagePullPolicy": "Always"}],
            "metricsCollectors": [
                {"kind": "StdOut", "waitAllProcesses": False, "image": "quay.io/me/collector:2"},
                {"kind": "PrometheusMetric", "image": "quay.io/me/prometheus:1"},
            ],
        },
        "init": {"controller": {"injectSecurityContext": True}},
    }
    usual, settings = katib.settings(), katib.settings({"katib-config": yaml.safe_dump(given)})
    hyperopt = "ghcr.io/kubeflow/katib/suggestion-hyperopt:v0.19.0"
    assert entry(settings, "suggestions", "tpe") == {
        "algorithmName": "tpe",
        "image": hyperopt,
        "resources": {"requests": {"cpu": "100m"}},
    }
    assert entry(settings, "suggestions", "enas")["resources"] == {"limits": {"memory": "400Mi", "cpu": 2}}
    assert entry(settings, "suggestions", "mine")["env"] == [{"name": "A", "value": "1"}]
    assert entry(settings, "earlyStoppings", "medianstop")["imagePullPolicy"] == "Always"
    assert entry(settings, "metricsCollectors", "StdOut") == {
        "kind": "StdOut",
        "image": "quay.io/me/collector:2",
        "waitAllProcesses": False,
    }
    assert entry(settings, "metricsCollectors", "PrometheusMetric")["image"] == "quay.io/me/prometheus:1"
    assert settings["init"]["controller"]["injectSecurityContext"] is True
    assert entry(settings, "suggestions", "random") == entry(usual, "suggestions", "random")
    assert entry(settings, "metricsCollectors", "File") == entry(usual, "metricsCollectors", "File")


def test_one_registry_serves_all_images_also_those_of_options(katib):
    config = {
        "image-registry": "mirror.example.com/k",
        "custom_images": "{suggestion__random: docker.io/me/random:1}",
        "katib-config": json.dumps(
            {"runtime": {"suggestions": [{"algorithmName": "mine", "image": "quay.io/me/mine:1"}]}}
        ),
    }
    rendered = katib.render(config)
    text = json.dumps(
        [rendered["ConfigMap/katib-config"]["data"], rendered["ConfigMap/trial-templates"]["data"]]
    )
    assert "ghcr.io" not in text
    assert "quay.io" not in text
    assert "mirror.example.com/k/me/random:1" in text
    assert "mirror.example.com/k/me/mine:1" in text


def test_katib_config_wins_over_custom_images_and_these_over_resources(katib):
    custom = {
        "suggestion__tpe": "quay.io/old/tpe:1",
        "suggestion__grid": "quay.io/old/grid:1",
        "suggestion__pbt": "",
    }
    given = {"runtime": {"suggestions": [{"algorithmName": "tpe", "image": "quay.io/new/tpe:2"}]}}
    settings = katib.settings({"custom_images": json.dumps(custom), "katib-config": json.dumps(given)})
    images = {each["algorithmName"]: each["image"] for each in settings["runtime"]["suggestions"]}
    assert images["tpe"] == "quay.io/new/tpe:2"
    assert images["grid"] == "quay.io/old/grid:1"
    assert images["pbt"] == "ghcr.io/kubeflow/katib/suggestion-pbt:v0.19.0"


def test_every_custom_image_reaches_its_place(katib):
    """The keys are those of Charmhub's katib-controller (charms/katib-controller/config.yaml)."""
    keys = [
        "default_trial_template",
        "default_trial_template_enas",
        "default_trial_template_pytorch",
        "early_stopping__medianstop",
        "metrics_collector_sidecar__stdout",
        "metrics_collector_sidecar__file",
        "metrics_collector_sidecar__tensorflow_event",
        *(f"suggestion__{name.replace('-', '_')}" for name in UPSTREAM),
    ]
    custom = {key: f"quay.io/me/{key.replace('__', '/')}:1" for key in keys}
    rendered = katib.render({"custom_images": json.dumps(custom)})
    text = json.dumps(
        [rendered["ConfigMap/katib-config"]["data"], rendered["ConfigMap/trial-templates"]["data"]]
    )
    assert [key for key in keys if custom[key] not in text] == []
    assert "ghcr.io" not in text


@pytest.mark.parametrize(
    ("option", "value", "where"),
    [
        ("katib-config", "[]", "option katib-config: should be an object, not a list"),
        ("katib-config", "yes please", "option katib-config: should be an object, not 'yes please'"),
        ("katib-config", "runtime: []", "runtime: should be an object, not a list"),
        ("katib-config", "runtimes: {}", "runtimes: no such field"),
        (
            "katib-config",
            "runtime: {suggestions: {tpe: {}}}",
            "runtime.suggestions: should be a list, not an ob",
        ),
        ("katib-config", "runtime: {suggestions: [{image: a}]}", "algorithmName: is missing"),
        ("katib-config", "runtime: {suggestions: [{algorithmName: mine}]}", "mine has no image"),
        ("katib-config", "runtime: {earlyStoppings: [{algorithmName: mine}]}", "mine has no image"),
        ("katib-config", "runtime: {metricsCollectors: [{kind: PrometheusMetric}]}", "has no image"),
        ("katib-config", "runtime: {metricsCollectors: [{kind: Stdout, image: a}]}", "kind"),
        (
            "katib-config",
            "runtime: {suggestions: [{algorithmName: tpe, image: 'a b'}]}",
            "is no image reference",
        ),
        (
            "katib-config",
            "runtime: {suggestions: [{algorithmName: tpe, image: ''}]}",
            "is no image reference",
        ),
        (
            "katib-config",
            "runtime: {suggestions: [{algorithmName: tpe, image: 5}]}",
            "[0].image: should be text, not 5",
        ),
        (
            "katib-config",
            "runtime: {suggestions: [{algorithmName: tpe, imagePullPolicy: always}]}",
            "'always' is not 'Always'",
        ),
        (
            "katib-config",
            "runtime: {suggestions: [{algorithmName: tpe}, {algorithmName: tpe}]}",
            "tpe is there twice",
        ),
        (
            "katib-config",
            "runtime: {suggestions: [{algorithmName: tpe, resources: {limits: {cpu: 2x}}}]}",
            "limits.cpu",
        ),
        (
            "katib-config",
            "runtime: {suggestions: [{algorithmName: tpe, resources: {limit: {}}}]}",
            "no such field",
        ),
        (
            "katib-config",
            "runtime: {suggestions: [{algorithmName: tpe, env: [{name: A, value: 1}]}]}",
            "env[0].value",
        ),
        (
            "katib-config",
            "runtime: {suggestions: [{algorithmName: tpe, colour: red}]}",
            "colour: no such field",
        ),
        (
            "katib-config",
            "runtime: {suggestions: [{algorithmName: pbt, persistentVolumeClaimSpec: {accessModes: x}}]}",
            "accessModes: should be a list",
        ),
        ("katib-config", "init: {controller: {webhookPort: '8443'}}", "should be an integer, not '8443'"),
        ("katib-config", "init: {controller: {webhookPort: 443}}", "webhookPort: 443 is less than 1024"),
        ("katib-config", "init: {controller: {webhookPort: 8080}}", "need three ports"),
        (
            "katib-config",
            "init: {controller: {injectSecurityContext: 'yes'}}",
            "should be true or false, not 'yes'",
        ),
        ("katib-config", "init: {controller: {trialResources: [Job.v1.batch]}}", "is the option trial-r"),
        ("katib-config", "init: {certGenerator: {enable: true}}", "certGenerator"),
        ("trial-resources", "{}", "should be a list, not an object"),
        ("trial-resources", "RayJob.v1.ray.io", "should be a list, not 'RayJob.v1.ray.io'"),
        ("trial-resources", "[RayJob]", "is not Kind.version.group"),
        ("trial-resources", "[rayjobs.ray.io/v1]", "is not Kind.version.group"),
        ("trial-resources", "[5]", "option trial-resources"),
        ("trial-templates", "[]", "an object from name to template"),
        ("trial-templates", "{a: {kind: Job}}", "a: a template is text"),
        ("trial-templates", "{a: 'kind: Job'}", "a template has apiVersion and kind"),
        ("trial-templates", "{a/b: ''}", "is not the key of a ConfigMap"),
        (
            "trial-templates",
            "{a: 'apiVersion: v1\n\nkind: Job\n\nmetadata: {name: x}'}",
            "sets name and namespace",
        ),
        ("custom_images", "{suggestion__tp: a}", "suggestion__tp: no such field"),
        ("custom_images", "{suggestion__tpe: 'a b'}", "is no image reference"),
        ("webhook-port", 0, "option webhook-port"),
        ("metrics-port", 443, "ports of one Service"),
        ("metrics-port", 18080, "ports of one Service"),
        ("port", 80, "option port: 80 is less than 1024"),
    ],
)
def test_a_wrong_option_is_named(katib, option: str, value: Any, where: str):
    text = katib.blocked({option: value})
    assert text.startswith(f"option {option}")
    assert where in text


@pytest.mark.parametrize(
    ("config", "ports"),
    [
        ({}, {"webhook": (443, 8443), "metrics": (8080, 8080), "healthz": (18080, 18080)}),
        ({"webhook-port": 8443, "metrics-port": 9090}, {"webhook": (8443, 8443), "metrics": (9090, 8080)}),
        (
            {
                "katib-config": "init: {controller: {webhookPort: 9443, metricsAddr: ':9090', healthzAddr: ':9091'}}"
            },
            {"webhook": (443, 9443), "metrics": (8080, 9090), "healthz": (18080, 9091)},
        ),
    ],
    ids=str,
)
def test_ports_of_service_and_program_fit(katib, config, ports):
    rendered = katib.render(config)
    container = rendered["Deployment/katib-controller"]["spec"]["template"]["spec"]["containers"][0]
    inner = {port["name"]: port["containerPort"] for port in container["ports"]}
    outer = {port["name"]: port["port"] for port in rendered["Service/katib-controller"]["spec"]["ports"]}
    found = {name: (outer[name], inner[name]) for name in ports}
    assert found == ports
    webhooks = rendered["MutatingWebhookConfiguration/katib.kubeflow.org"]["webhooks"]
    assert {each["clientConfig"]["service"]["port"] for each in webhooks} == {outer["webhook"]}
    allowed = rendered["NetworkPolicy/katib-controller"]["spec"]["ingress"][0]["ports"]
    assert [each["port"] for each in allowed] == [inner["webhook"]]


def test_a_kind_of_the_option_gets_its_rights_and_is_named_while_it_does_not_exist(katib, offline):
    config = {
        "trial-resources": "[RayJob.v1.ray.io, Foo.v1.example.com, Policy.v1.example.com, Job.v1.batch]"
    }
    rendered = katib.render(config)
    rules = rendered["ClusterRole/katib-controller"]["rules"]
    granted = {
        rule["apiGroups"][0]: rule["resources"] for rule in rules if rule["verbs"][:2] == ["create", "delete"]
    }
    assert granted["ray.io"] == ["rayjobs"]
    assert granted["example.com"] == ["foos", "policies"]
    assert granted["batch"] == ["jobs"]
    assert granted["trainer.kubeflow.org"] == ["trainjobs"]
    assert granted["argoproj.io"] == ["workflows"]
    assert katib.settings(config)["init"]["controller"]["trialResources"].count("Job.v1.batch") == 1
    with katib.context()(katib.context().on.action("list-images"), katib.state("mlops", config)) as manager:
        charm = manager.charm
        said = charm.publish(charm.gather())
        assert said == "trial-resources: no Foo.v1.example.com, Policy.v1.example.com in the cluster"
        followed = [each.fields.get("metadata.name") for each in charm.followed() if each.fields]
        assert followed == ["rayjobs.ray.io", "foos.example.com", "policies.example.com"]


def test_many_kinds_that_do_not_exist_are_counted(katib):
    names = [f"{name}.v1.a-long-name-of-a-group.example.com" for name in ("Foo", "Bar", "Baz", "Qux")]
    with katib.context()(
        katib.context().on.action("list-images"), katib.state("mlops", {"trial-resources": json.dumps(names)})
    ) as manager:
        charm = manager.charm
        assert charm.publish(charm.gather()) == (
            f"trial-resources: no {names[0]}, {names[1]} and 2 more in the cluster"
        )


def test_a_kind_that_appears_restarts_the_controller_and_nothing_else(katib, offline):
    before = katib.render()
    offline({"tfjobs.kubeflow.org", "workflows.argoproj.io"})
    after = katib.render()
    changed = {key for key in before if before[key] != after[key] and key.startswith("Deployment/")}
    assert changed == {"Deployment/katib-controller"}


@pytest.mark.parametrize(
    ("config", "restarted"),
    [
        ({"katib-config": "runtime: {suggestions: [{algorithmName: tpe, imagePullPolicy: Always}]}"}, set()),
        ({"trial-templates": "{enasCPUTemplate: ''}"}, set()),
        ({"custom_images": "{suggestion__tpe: 'a:1'}"}, set()),
        ({"katib-config": "init: {controller: {injectSecurityContext: true}}"}, {"katib-controller"}),
        ({"trial-resources": "[RayJob.v1.ray.io]"}, {"katib-controller"}),
        ({"port": 8081}, {"katib-ui"}),
        ({"userid-header": "x-user"}, {"katib-ui"}),
        ({"webhook-port": 444}, set()),
    ],
    ids=str,
)
def test_an_option_restarts_what_reads_it_once_and_nothing_else(katib, config, restarted):
    before, after = katib.render(), katib.render(config)
    deployments = {key for key in before if key.startswith("Deployment/")}
    assert {key.partition("/")[2] for key in deployments if before[key] != after[key]} == restarted


def test_leader_election_brings_the_right_for_its_lease(katib):
    assert "Role/katib-leader-election" not in katib.render()
    config = {"katib-config": "init: {controller: {enableLeaderElection: true, leaderElectionID: mine}}"}
    rules = katib.render(config)["Role/katib-leader-election"]["rules"]
    assert [rule.get("resourceNames") for rule in rules] == [None, ["mine"]]


def test_trial_templates_are_upstreams_and_the_options(katib):
    data = katib.render()["ConfigMap/trial-templates"]["data"]
    assert set(data) == {"defaultTrialTemplate.yaml", "enasCPUTemplate", "pytorchJobTemplate"}
    mine = "apiVersion: batch/v1\nkind: Job\nspec: {a: '${trialParameters.lr}'}\n"
    config = {"trial-templates": yaml.safe_dump({"mine": mine, "enasCPUTemplate": ""})}
    data = katib.render(config)["ConfigMap/trial-templates"]["data"]
    assert set(data) == {"defaultTrialTemplate.yaml", "pytorchJobTemplate", "mine"}
    assert data["mine"] == mine
    none = dict.fromkeys(["defaultTrialTemplate.yaml", "enasCPUTemplate", "pytorchJobTemplate"], "")
    assert "ConfigMap/trial-templates" not in katib.render({"trial-templates": json.dumps(none)})


def test_every_image_is_listed(katib):
    context = katib.context()
    config = {"katib-config": "runtime: {suggestions: [{algorithmName: mine, image: 'quay.io/me/mine:1'}]}"}
    context.run(context.on.action("list-images"), katib.state("mlops", config))
    assert context.action_results
    listed = context.action_results["images"].split("\n")
    assert "quay.io/me/mine:1" in listed
    assert len(listed) == 17
