"""What others see of the stand-ins for Knative's charms, on a real API server."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import lightkube
import pytest
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Namespace, Service
from ops import testing
from stand_in_bench import StandIn, kubeconfig, said, written

from rehearsal import documents
from rehearsal.cluster import crds
from rehearsal.patience import until
from rehearsal.stand_ins import operated

SERVING = documents.namespaced("operator.knative.dev", "v1beta1", "KnativeServing", "knativeservings")
GATEWAY = documents.namespaced("networking.istio.io", "v1beta1", "Gateway", "gateways")
WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def related(endpoint: str, name: str = "other", **bag: str) -> testing.Relation:
    return testing.Relation(endpoint, remote_app_name=name, remote_app_data=bag)


def ours(crd: Any) -> bool:
    return crd.metadata.name.endswith("knative.dev")


class Knative:
    """The three stand-ins in one model."""

    def __init__(self, model: str):
        self.operator = StandIn("knative-operator", model)
        self.serving = StandIn("knative-serving", model)
        self.eventing = StandIn("knative-eventing", model)
        self.config = {"istio.gateway.namespace": model, "istio.gateway.name": "kubeflow-gateway"}

    def serve(self, *relations: testing.Relation, **config: Any) -> testing.State:
        return self.serving.run(*relations, config={**self.config, **config})

    def remove(self) -> None:
        for each in (self.serving, self.eventing, self.operator):
            each.run(
                event=lambda on: on.remove(),
                planned_units=0,
                config=self.config if each is self.serving else {},
            )


@pytest.fixture
def knative(namespace: str, cluster: Any, client: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Knative]:
    monkeypatch.setenv("KUBECONFIG", str(cluster.admin_kubeconfig))
    monkeypatch.setattr(operated, "FIRST_WAIT", 0.5)
    crds.install(cluster, crds.read("istio", ("networking.istio.io", "security.istio.io")))
    knative = Knative(namespace)
    yield knative
    knative.remove()
    for crd in client.list(CustomResourceDefinition):
        if ours(crd):
            with contextlib.suppress(lightkube.ApiError):  # it may be on its way
                client.delete(CustomResourceDefinition, crd.metadata.name)
    until(
        lambda: not [each for each in client.list(CustomResourceDefinition) if ours(each)],
        "Knative's definitions to go",
    )
    names = ("knative-serving", "knative-eventing")
    until(lambda: not [n for n in client.list(Namespace) if n.metadata.name in names], "namespaces to go")


def test_the_gateways_are_told_of_before_anything_is_there(namespace, knative: Knative, monkeypatch):
    local, ingress = related("local-gateway", "kserve"), related("ingress-gateway", "else")
    state = knative.serve(local, ingress)
    assert said(state) == ("waiting", "Waiting for knative-operator CRDs to be present.")
    assert written(state, "kserve") == {
        "gateway_name": "knative-local-gateway",
        "gateway_namespace": "knative-serving",
        "gateway_up": "true",
    }
    assert written(state, "else") == {
        "gateway_name": "kubeflow-gateway",
        "gateway_namespace": namespace,
        "gateway_up": "true",
    }


def test_serving_is_there_as_the_options_say(namespace, knative: Knative, client: Any, cluster):
    assert said(knative.operator.run()) == ("active", "stand-in")
    state = knative.serve(**{"domain.name": "models.example", "http-proxy": "http://proxy:3128"})
    assert said(state) == ("active", "stand-in")

    def data(name: str) -> dict[str, str]:
        return client.get(ConfigMap, name, namespace="knative-serving").data or {}

    assert (
        data("config-features").items()
        >= {
            "kubernetes.podspec-affinity": "enabled",
            "kubernetes.podspec-nodeselector": "enabled",
            "kubernetes.podspec-tolerations": "enabled",
        }.items()
    )
    assert "kubernetes.podspec-persistent-volume-claim" not in data("config-features")
    assert data("config-domain")["models.example"] == ""
    assert data("config-istio")["local-gateway.knative-serving.knative-local-gateway"] == (
        f"knative-local-gateway.{namespace}.svc.cluster.local"
    )
    assert f"gateway.{namespace}.kubeflow-gateway" in data("config-istio")
    assert data("config-deployment")["progress-deadline"] == "600s"
    assert data("config-autoscaler").keys() == {"_example"}

    service = client.get(Service, "knative-local-gateway", namespace=namespace)
    assert service.spec and service.spec.selector == {"istio": "ingressgateway"}
    assert client.get(GATEWAY, "knative-local-gateway", namespace="knative-serving")
    images = {}
    for each in client.list(Deployment, namespace="knative-serving"):
        container = each.spec.template.spec.containers[0]
        images[each.metadata.name] = container.image.rpartition("/")[2].partition(":")[0]
        if each.metadata.name == "controller":
            assert {e.name: e.value for e in container.env}["HTTP_PROXY"] == "http://proxy:3128"
    assert images == {
        "activator": "knative-serving-activator",
        "autoscaler": "knative-serving-autoscaler",
        "autoscaler-hpa": "knative-serving-autoscaler-hpa",
        "controller": "knative-serving-controller",
        "net-istio-controller": "net-istio-controller",
        "net-istio-webhook": "net-istio-webhook",
        "webhook": "knative-serving-webhook",
    }
    wish = client.get(SERVING, "knative-serving", namespace="knative-serving")
    assert (wish["spec"]["version"], wish["status"]["version"]) == ("1.16.0", "1.16.0")
    assert json.loads(cluster.request("GET", "/apis/serving.knative.dev/v1/services"))["items"] == []
    assert json.loads(cluster.request("GET", f"{WEBHOOKS}/webhook.serving.knative.dev"))


def test_an_option_that_changes_changes_what_is_there(knative: Knative, client: Any):
    knative.operator.run()
    knative.serve()
    knative.serve(
        **{"custom_images": "activator: own.example/activator:1", "queue_sidecar_image": "own/queue"}
    )
    pod = client.get(Deployment, "activator", namespace="knative-serving").spec.template.spec
    assert pod.containers[0].image == "own.example/activator:1"
    data = client.get(ConfigMap, "config-deployment", namespace="knative-serving").data
    assert data["queue-sidecar-image"] == "own/queue"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"istio.gateway.namespace": ""}, "juju config knative-serving istio.gateway.namespace="),
        ({"version": "1.99.0"}, "the operator has no knative-serving 1.99.0: juju config"),
        ({"version": "new"}, "the operator has no knative-serving new: juju config"),
        ({"custom_images": "[a"}, "Error parsing the `custom_images` config"),
        ({"custom_images": "text"}, "Error parsing the `custom_images` config"),
    ],
)
def test_an_option_that_makes_no_sense_blocks(namespace, config, message):
    serving = StandIn("knative-serving", namespace)
    status, text = said(serving.run(config={"istio.gateway.namespace": "kubeflow"} | config))
    assert status == "blocked" and text.startswith(message)


def test_it_waits_for_istio(namespace, monkeypatch):
    monkeypatch.setattr(operated, "FIRST_WAIT", 0.1)
    serving = StandIn("knative-serving", namespace)
    monkeypatch.setattr(
        "rehearsal.stand_ins.objects.Objects.exists", lambda self, kind, name: "istio" not in name
    )
    state = serving.run(config={"istio.gateway.namespace": "a"}, event=lambda on: on.start())
    assert said(state) == ("waiting", "Waiting for Istio's CRDs, which istio-pilot installs")


def test_eventing_is_there(knative: Knative, client: Any):
    knative.operator.run()
    assert said(knative.eventing.run()) == ("active", "stand-in")
    names = {each.metadata.name for each in client.list(Deployment, namespace="knative-eventing")}
    assert {"eventing-controller", "imc-dispatcher", "mt-broker-ingress"} <= names


def test_metrics_go_where_the_operator_says(namespace, knative: Knative, client: Any):
    state = knative.operator.run(related("otel-collector", "knative-serving"))
    assert said(state) == ("active", "stand-in")
    bag = written(state, "knative-serving")
    assert bag["otel_collector_svc_name"] == "otel-collector"
    knative.serve(related("otel-collector", "knative-operator", **bag))
    data = client.get(ConfigMap, "config-observability", namespace="knative-serving").data
    assert data["metrics.opencensus-address"] == f"otel-collector.{namespace}:55678"


def test_it_goes_with_everything_but_the_definitions(namespace, knative: Knative, client, cluster):
    knative.operator.run()
    knative.serve()
    knative.remove()
    until(
        lambda: "knative-serving" not in {n.metadata.name for n in client.list(Namespace)},
        "the namespace to go",
    )
    assert "knative-local-gateway" not in {s.metadata.name for s in client.list(Service, namespace=namespace)}
    found = {each["metadata"]["name"] for each in json.loads(cluster.request("GET", WEBHOOKS))["items"]}
    assert "webhook.serving.knative.dev" not in found
    assert json.loads(cluster.request("GET", f"{PATH}/services.serving.knative.dev"))


def test_without_rights_it_names_the_command(knative, cluster, namespace, tmp_path, monkeypatch):
    knative.operator.run()
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(cluster, namespace, "nobody", tmp_path / "config")))
    state = knative.serve()
    assert said(state) == (
        "blocked",
        "no rights on CustomResourceDefinition knativeservings.operator.knative.dev:"
        " juju trust knative-serving --scope=cluster",
    )
    monkeypatch.setenv("KUBECONFIG", str(cluster.admin_kubeconfig))
