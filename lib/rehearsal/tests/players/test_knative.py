"""What becomes of a Knative Service."""

from __future__ import annotations

from typing import Any

import pytest
from player_bench import Bench, owners, until

from rehearsal.players import kinds
from rehearsal.players.knative import conventions

PROGRAM = "knative-serving-controller"
OTHERS = ("knative-serving-autoscaler", "knative-serving-autoscaler-hpa", "net-istio-controller")


class Knative:
    """Knative's programs in the bench's namespace, which is their own."""

    def __init__(self, bench: Bench):
        self.bench = bench

    def deploy(self, **settings: dict[str, str]) -> None:
        namespace = self.bench.namespace
        gateways = {
            "gateway.kubeflow.kubeflow-gateway": "some-workload.knative-operator.svc.cluster.local",
            f"local-gateway.{namespace}.knative-local-gateway": "knative-local-gateway.kubeflow.svc.cluster.local",
        }
        said = {
            "domain": {"models.example": ""},
            "istio": gateways,
            "deployment": {"queue-sidecar-image": "queue:1"},
        }
        for name, data in {**said, **settings}.items():
            self.bench.create(kinds.CONFIG_MAP, {"metadata": {"name": f"config-{name}"}, "data": data})
        env = {"SYSTEM_NAMESPACE": namespace}
        self.bench.deploy(env)
        labels = {"app": "others"}
        containers = [
            {
                "name": name,
                "image": f"mirror.example/{name}:1",
                "env": [{"name": "SYSTEM_NAMESPACE", "value": namespace}],
            }
            for name in OTHERS
        ]
        template = {
            "metadata": {"labels": labels},
            "spec": {"serviceAccountName": "played", "containers": containers},
        }
        self.bench.make(
            kinds.DEPLOYMENT, "others", {"selector": {"matchLabels": labels}, "template": template}
        )

    def serve(self, name: str = "hello", annotations: dict[str, str] | None = None, **spec: Any) -> None:
        pod = {"containers": [{"image": "hello:1", "ports": [{"containerPort": 9000}]}], **spec}
        template = {"metadata": {"annotations": annotations or {}}, "spec": pod}
        self.bench.make(kinds.KNATIVE_SERVICE, name, {"template": template})

    def status(self, name: str = "hello") -> dict[str, Any]:
        return self.bench.get(kinds.KNATIVE_SERVICE, name).get("status") or {}

    def ready(self, revision: str = "hello-00001") -> dict[str, Any]:
        """Return the status as soon as the service is ready and this its latest revision."""
        name = revision.rpartition("-")[0]

        def look() -> Any:
            status = self.status(name)
            states = {each["type"]: each["status"] for each in status.get("conditions", [])}
            return (
                status
                if states.get("Ready") == "True" and status["latestReadyRevisionName"] == revision
                else None
            )

        return until(look, lambda: f"{revision} to be ready: {self.status(name)}")

    def tell(self, revision: str, concurrency: str | None) -> None:
        self.bench.annotate(kinds.POD_AUTOSCALER, revision, **{conventions.CONCURRENCY: concurrency})

    def replicas(self, revision: str) -> int:
        return self.bench.get(kinds.DEPLOYMENT, f"{revision}-deployment")["spec"]["replicas"]


@pytest.fixture
def knative(bench: Bench) -> Knative:
    return Knative(bench)


def states(status: dict[str, Any]) -> dict[str, str]:
    return {each["type"]: each["status"] for each in status.get("conditions", [])}


def test_a_service_becomes_a_deployment_that_is_reached_by_the_gateways(knative: Knative):
    knative.deploy()
    knative.serve()
    bench = knative.bench
    namespace = bench.namespace
    deployment = bench.get(kinds.DEPLOYMENT, "hello-00001-deployment")
    assert owners(deployment) == [("Revision", "hello-00001", True)]
    user, queue = deployment["spec"]["template"]["spec"]["containers"]
    assert (user["name"], user["ports"][0]["containerPort"]) == ("user-container", 9000)
    assert {"name": "PORT", "value": "9000"} in user["env"]
    assert "readinessProbe" not in user
    assert (queue["name"], queue["image"]) == ("queue-proxy", "queue:1")
    assert {"name": "USER_PORT", "value": "9000"} in queue["env"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert labels["serving.knative.dev/service"] == "hello"
    assert labels["serving.knative.dev/revision"] == labels["app"] == "hello-00001"

    status = knative.ready()
    host = f"hello.{namespace}.models.example"
    assert status["url"] == f"http://{host}"
    assert status["address"] == {"url": f"http://hello.{namespace}.svc.cluster.local"}
    assert status["traffic"] == [{"latestRevision": True, "percent": 100, "revisionName": "hello-00001"}]
    assert set(states(status)) == {"ConfigurationsReady", "Ready", "RoutesReady"}

    edge = bench.get(kinds.VIRTUAL_SERVICE, "hello-ingress")["spec"]
    assert {*edge["gateways"]} == {f"{namespace}/knative-local-gateway", "kubeflow/kubeflow-gateway"}
    assert host in edge["hosts"] and f"hello.{namespace}" in edge["hosts"]
    ways = {each["match"][0]["authority"]["prefix"]: each for each in edge["http"]}
    assert ways[host]["match"][0]["gateways"] == ["kubeflow/kubeflow-gateway"]
    (way,) = ways[host]["route"]
    assert way["destination"]["host"] == f"hello-00001.{namespace}.svc.cluster.local"
    assert bench.get(kinds.VIRTUAL_SERVICE, "hello-mesh")["spec"]["gateways"] == ["mesh"]
    service = bench.get(kinds.SERVICE, "hello")["spec"]
    assert (service["type"], service["externalName"]) == (
        "ExternalName",
        "knative-local-gateway.kubeflow.svc.cluster.local",
    )
    assert bench.get(kinds.SERVICE, "hello-00001-private")["spec"]["selector"] == {
        "serving.knative.dev/revisionUID": deployment["spec"]["selector"]["matchLabels"][
            "serving.knative.dev/revisionUID"
        ]
    }
    bench.assert_settled()


def test_another_template_is_another_revision_and_the_old_one_goes_to_sleep(knative: Knative):
    knative.deploy()
    knative.serve()
    knative.ready()
    bench = knative.bench
    pod = {"containers": [{"image": "hello:2", "ports": [{"containerPort": 9000}]}]}
    bench.patch(kinds.KNATIVE_SERVICE, "hello", {"spec": {"template": {"spec": pod}}})
    status = knative.ready("hello-00002")
    assert status["traffic"][0]["revisionName"] == "hello-00002"
    until(lambda: knative.replicas("hello-00001") == 0, "the old revision to be scaled down")
    assert knative.replicas("hello-00002") == 1
    labels = bench.get(kinds.KNATIVE_REVISION, "hello-00001")["metadata"]["labels"]
    assert labels["serving.knative.dev/routingState"] == "reserve"


def test_traffic_is_split_and_tagged(knative: Knative):
    knative.deploy()
    knative.serve()
    knative.ready()
    bench = knative.bench
    pod = {"containers": [{"image": "hello:2"}]}
    traffic = [
        {"latestRevision": True, "percent": 10, "tag": "new"},
        {"revisionName": "hello-00001", "latestRevision": False, "percent": 90},
    ]
    bench.patch(kinds.KNATIVE_SERVICE, "hello", {"spec": {"template": {"spec": pod}, "traffic": traffic}})
    status = knative.ready("hello-00002")
    assert [(each["revisionName"], each["percent"]) for each in status["traffic"]] == [
        ("hello-00002", 10),
        ("hello-00001", 90),
    ]
    assert status["traffic"][0]["url"] == f"http://new-hello.{bench.namespace}.models.example"

    def weights() -> Any:
        spec = bench.get(kinds.VIRTUAL_SERVICE, "hello-ingress")["spec"]
        host = f"hello.{bench.namespace}.models.example"
        found = [e for e in spec["http"] if e["match"][0]["authority"]["prefix"] == host]
        return [each["weight"] for each in found[0]["route"]] == [10, 90]

    until(weights, "weights")
    assert bench.get(kinds.SERVICE, "new-hello")["spec"]["type"] == "ExternalName"
    assert knative.replicas("hello-00001") == 1


def test_it_goes_to_none_and_comes_back_as_told(knative: Knative):
    knative.deploy()
    knative.serve(containerConcurrency=10)
    knative.ready()
    revision = "hello-00001"
    knative.tell(revision, "0")
    until(lambda: knative.replicas(revision) == 0, "no pods")
    bench = knative.bench

    def active() -> str:
        return states(bench.get(kinds.KNATIVE_REVISION, revision)["status"]).get("Active", "")

    until(lambda: active() == "False", "it to be inactive")
    assert states(knative.status())["Ready"] == "True"
    assert bench.get(kinds.SERVERLESS_SERVICE, revision)["spec"]["mode"] == "Proxy"
    knative.tell(revision, "25")
    until(lambda: knative.replicas(revision) == 4, "four pods, each with seven requests")
    until(lambda: active() == "True", "it to be active")
    knative.tell(revision, None)
    bench.assert_settled()
    assert knative.replicas(revision) == 4


def test_bounds_hold(knative: Knative):
    knative.deploy(autoscaler={"initial-scale": "1"})
    bounds = {"autoscaling.knative.dev/min-scale": "2", "autoscaling.knative.dev/maxScale": "3"}
    knative.serve(annotations=bounds)
    knative.ready()
    assert knative.replicas("hello-00001") == 2
    knative.tell("hello-00001", "0")
    knative.bench.assert_settled()
    assert knative.replicas("hello-00001") == 2
    knative.tell("hello-00001", "1000")
    until(lambda: knative.replicas("hello-00001") == 3, "as many as may be")


def test_a_class_of_its_own_scales_by_usage(knative: Knative):
    knative.deploy()
    knative.serve(annotations={"autoscaling.knative.dev/class": "hpa.autoscaling.knative.dev"})
    knative.ready()
    spec = knative.bench.get(kinds.AUTOSCALER, "hello-00001")["spec"]
    assert spec["scaleTargetRef"]["name"] == "hello-00001-deployment"


def test_inside_the_cluster_only(knative: Knative):
    knative.deploy()
    knative.bench.make(
        kinds.KNATIVE_SERVICE,
        "hello",
        {"template": {"spec": {"containers": [{"image": "hello:1"}]}}},
        labels={"networking.knative.dev/visibility": "cluster-local"},
    )
    status = knative.ready()
    assert status["url"] == f"http://hello.{knative.bench.namespace}.svc.cluster.local"
    edge = knative.bench.get(kinds.VIRTUAL_SERVICE, "hello-ingress")["spec"]
    assert edge["gateways"] == [f"{knative.bench.namespace}/knative-local-gateway"]


def test_a_revision_that_cannot_start_fails_and_the_old_one_goes_on(knative: Knative):
    knative.deploy(deployment={"queue-sidecar-image": "queue:1", "progress-deadline": "2s"})
    knative.serve()
    knative.ready()
    bench = knative.bench
    pod = {"containers": [{"image": "hello:2"}], "nodeSelector": {"no": "such"}}
    bench.patch(kinds.KNATIVE_SERVICE, "hello", {"spec": {"template": {"spec": pod}}})

    def failed() -> Any:
        found = states(knative.status())
        return found.get("ConfigurationsReady") == "False" and found["Ready"] == "False"

    until(failed, lambda: f"it to fail: {knative.status()}")
    status = knative.status()
    assert status["latestReadyRevisionName"] == "hello-00001"
    assert status["latestCreatedRevisionName"] == "hello-00002"


def test_names_that_are_too_long_are_shortened():
    assert conventions.child_name("a" * 10, "-x") == f"{'a' * 10}-x"
    name = conventions.child_name("a" * 63, "-deployment")
    assert len(name) == 63
    assert name.endswith("-deployment")
