"""What becomes of a Notebook."""

from __future__ import annotations

from typing import Any

import pytest
from player_bench import GARBAGE_COLLECTED, ROLES, Bench, owners, until

from rehearsal.players import kinds
from rehearsal.players.players import Players

PROGRAM = "notebook-controller"
ISTIO = {"USE_ISTIO": "true", "ISTIO_GATEWAY": "model/gateway", "CLUSTER_DOMAIN": "cluster.example"}
CHILDREN = (kinds.STATEFUL_SET, kinds.SERVICE)


def server(name: str = "book", pod: dict[str, Any] | None = None, **container: Any) -> dict[str, Any]:
    containers = [{"name": name, "image": "jupyter:1", **container}]
    return {"template": {"spec": {"containers": containers, **(pod or {})}}}


def ready(bench: Bench, name: str = "book", replicas: int = 1) -> Any:
    """Return the notebook as soon as it says that it has so many ready pods."""

    def look():
        found = bench.get(kinds.NOTEBOOK, name)
        return found if found.get("status", {}).get("readyReplicas") == replicas else None

    return until(look, f"{replicas} ready")


@pytest.fixture
def notebook(bench: Bench) -> Bench:
    """A notebook `book` that is being made."""
    bench.deploy(ISTIO)
    bench.make(
        kinds.NOTEBOOK,
        "book",
        server(),
        labels={"access-ml-pipeline": "true"},
        annotations={"kept": "yes", "notebooks.kubeflow.org/x": "no", "kubectl.kubernetes.io/y": "no"},
    )
    return bench


def test_it_runs_with_what_the_controller_adds(notebook: Bench):
    ready(notebook)
    pod = notebook.get(kinds.POD, "book-0")
    assert pod["status"]["phase"] == "Running"
    assert pod["spec"]["nodeName"]
    labels = {"statefulset": "book", "notebook-name": "book", "access-ml-pipeline": "true"}
    assert pod["metadata"]["labels"].items() >= labels.items()
    template = notebook.get(kinds.STATEFUL_SET, "book")["spec"]["template"]
    assert template["metadata"] == {"labels": labels, "annotations": {"kept": "yes"}}
    assert template["spec"]["securityContext"] == {"fsGroup": 100}
    container = template["spec"]["containers"][0]
    assert container["workingDir"] == "/home/jovyan"
    assert container["ports"] == [{"containerPort": 8888, "name": "notebook-port", "protocol": "TCP"}]
    assert container["env"] == [{"name": "NB_PREFIX", "value": f"/notebook/{notebook.namespace}/book"}]


def test_it_has_an_address_and_a_route_and_owns_both(notebook: Bench):
    namespace = notebook.namespace
    service = notebook.get(kinds.SERVICE, "book")
    assert service["spec"]["selector"] == {"statefulset": "book"}
    assert service["spec"]["ports"] == [
        {"name": "http-book", "port": 80, "targetPort": 8888, "protocol": "TCP"}
    ]
    route = notebook.get(kinds.VIRTUAL_SERVICE, f"notebook-{namespace}-book")
    prefix = f"/notebook/{namespace}/book/"
    host = f"book.{namespace}.svc.cluster.example"
    assert route["spec"] == {
        "hosts": ["*"],
        "gateways": ["model/gateway"],
        "http": [
            {
                "headers": {"request": {"set": {}}},
                "match": [{"uri": {"prefix": prefix}}],
                "rewrite": {"uri": prefix},
                "route": [{"destination": {"host": host, "port": {"number": 80}}}],
            }
        ],
    }
    for item in (service, route, notebook.get(kinds.STATEFUL_SET, "book")):
        assert owners(item) == [("Notebook", "book", True)]


def test_its_status_is_that_of_its_pod(notebook: Bench):
    status = ready(notebook)["status"]
    pod = notebook.get(kinds.POD, "book-0")["status"]
    assert status["containerState"] == pod["containerStatuses"][0]["state"]
    assert "running" in status["containerState"]
    said = {each["type"]: each["status"] for each in status["conditions"]}
    assert said == {each["type"]: each["status"] for each in pod["conditions"]}
    assert said["Ready"] == "True"
    # The pod tells no time of a probe; the clock does.
    assert {each["lastProbeTime"] for each in status["conditions"]} == {"2026-01-01T00:00:00Z"}


def test_a_settled_one_is_not_written_again(notebook: Bench):
    ready(notebook)
    notebook.assert_settled()
    # Not even when it is looked at for another reason.
    before = notebook.writes()
    notebook.annotate(kinds.NOTEBOOK, "book", looked="at")
    notebook.assert_settled()
    assert notebook.writes() == before


def test_what_the_notebook_says_is_kept(bench: Bench):
    bench.deploy({"USE_ISTIO": "true", "ADD_FSGROUP": "false"})
    prefix = {"name": "NB_PREFIX", "value": "/own"}
    bench.make(
        kinds.NOTEBOOK,
        "book",
        server(workingDir="/work", ports=[{"containerPort": 80}], env=[prefix, {"name": "A", "value": "b"}]),
        annotations={
            "notebooks.kubeflow.org/http-rewrite-uri": "/",
            "notebooks.kubeflow.org/http-headers-request-set": '{"X-RStudio-Root-Path": "/root/"}',
        },
    )
    pod = bench.get(kinds.STATEFUL_SET, "book")["spec"]["template"]["spec"]
    assert pod["securityContext"] == {}
    assert pod["containers"][0]["workingDir"] == "/work"
    assert pod["containers"][0]["env"] == [
        {"name": "NB_PREFIX", "value": f"/notebook/{bench.namespace}/book"},
        {"name": "A", "value": "b"},
    ]
    assert bench.get(kinds.SERVICE, "book")["spec"]["ports"][0]["targetPort"] == 80
    route = bench.get(kinds.VIRTUAL_SERVICE, f"notebook-{bench.namespace}-book")["spec"]
    assert route["gateways"] == ["kubeflow/kubeflow-gateway"]
    assert route["http"][0]["rewrite"] == {"uri": "/"}
    assert route["http"][0]["headers"] == {"request": {"set": {"X-RStudio-Root-Path": "/root/"}}}
    host = route["http"][0]["route"][0]["destination"]["host"]
    assert host == f"book.{bench.namespace}.svc.cluster.local"


def test_without_istio_there_is_no_route(bench: Bench):
    bench.deploy({"USE_ISTIO": "false"})
    bench.make(kinds.NOTEBOOK, "book", server())
    ready(bench)
    assert bench.find(kinds.VIRTUAL_SERVICE, f"notebook-{bench.namespace}-book") is None


def test_it_is_stopped_and_started_by_an_annotation(notebook: Bench):
    ready(notebook)
    notebook.annotate(kinds.NOTEBOOK, "book", **{"kubeflow-resource-stopped": "2026-01-01T00:00:00Z"})
    status = ready(notebook, replicas=0)["status"]
    until(lambda: notebook.find(kinds.POD, "book-0") is None, "the pod to go")
    until(lambda: notebook.get(kinds.NOTEBOOK, "book")["status"]["conditions"] == [], "no conditions")
    assert status["readyReplicas"] == 0
    assert notebook.get(kinds.STATEFUL_SET, "book")["spec"]["replicas"] == 0
    notebook.annotate(kinds.NOTEBOOK, "book", **{"kubeflow-resource-stopped": None})
    ready(notebook)


def test_what_others_change_is_put_right(notebook: Bench):
    ready(notebook)
    notebook.client.delete(kinds.SERVICE, "book", namespace=notebook.namespace)
    notebook.client.patch(kinds.STATEFUL_SET, "book", {"spec": {"replicas": 0}}, namespace=notebook.namespace)
    assert notebook.get(kinds.SERVICE, "book")
    until(lambda: notebook.get(kinds.STATEFUL_SET, "book")["spec"]["replicas"] == 1, "one replica")


def test_why_it_does_not_run_is_told_of_it(bench: Bench):
    bench.deploy()
    bench.make(kinds.NOTEBOOK, "book", server(pod={"nodeSelector": {"no": "such-node"}}))

    def reissued() -> dict[str, Any]:
        found = bench.client.list(kinds.EVENT, namespace=bench.namespace)
        of_book = [each for each in found if each["involvedObject"]["kind"] == "Notebook"]
        return {each["reason"]: each for each in of_book}

    until(lambda: {"SuccessfulCreate", "FailedScheduling"} <= reissued().keys(), "events of the notebook")
    event = reissued()["FailedScheduling"]
    assert event["message"].startswith("Reissued from pod/book-0: 0/")
    assert event["type"] == "Warning"
    assert event["source"] == {"component": "notebook-controller"}
    assert event["involvedObject"]["uid"] == bench.get(kinds.NOTEBOOK, "book")["metadata"]["uid"]
    assert reissued()["SuccessfulCreate"]["message"].startswith("Reissued from statefulset/book: ")

    def conditions() -> list[tuple[str, str]]:
        found = bench.get(kinds.NOTEBOOK, "book").get("status", {}).get("conditions", [])
        return [(each["type"], each["reason"]) for each in found]

    until(lambda: conditions() == [("PodScheduled", "Unschedulable")], "the condition")
    bench.assert_settled()


def test_a_repeated_event_is_counted(notebook: Bench):
    ready(notebook)
    event = {
        "metadata": {"name": "said-twice"},
        "involvedObject": {"kind": "Pod", "name": "book-0", "namespace": notebook.namespace},
        "type": "Warning",
        "reason": "Unhealthy",
        "message": "no answer",
    }
    notebook.create(kinds.EVENT, event)

    def reissued() -> list[int]:
        found = notebook.client.list(kinds.EVENT, namespace=notebook.namespace)
        return [each["count"] for each in found if each["message"] == "Reissued from pod/book-0: no answer"]

    until(lambda: reissued() == [1], "the event")
    notebook.client.patch(kinds.EVENT, "said-twice", {"count": 2}, namespace=notebook.namespace)
    until(lambda: reissued() == [2], "the event once more")


def test_a_deleted_one_takes_all_with_it_but_its_volume(bench: Bench):
    bench.deploy(ISTIO)
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    bench.make(kinds.CLAIM, "work", claim)
    volume = {"name": "work", "persistentVolumeClaim": {"claimName": "work"}}
    mount = {"name": "work", "mountPath": "/home/jovyan"}
    bench.make(kinds.NOTEBOOK, "book", server(pod={"volumes": [volume]}, volumeMounts=[mount]))
    ready(bench)
    bench.client.delete(kinds.NOTEBOOK, "book", namespace=bench.namespace)
    for kind, name in (
        (kinds.STATEFUL_SET, "book"),
        (kinds.SERVICE, "book"),
        (kinds.VIRTUAL_SERVICE, f"notebook-{bench.namespace}-book"),
        (kinds.POD, "book-0"),
    ):
        until(
            lambda kind=kind, name=name: bench.find(kind, name) is None,
            f"{kind.__name__} to go",
            GARBAGE_COLLECTED,
        )
    assert bench.get(kinds.CLAIM, "work")["status"]["phase"] == "Bound"


def test_a_missing_right_shows_and_is_made_up_for(bench: Bench, players: Players, caplog):
    bench.deploy()
    bench.grant(
        [row for row in ROLES[PROGRAM] if row[1] != ["services"]] + [("", ["services"], ["list", "watch"])]
    )
    bench.make(kinds.NOTEBOOK, "book", server())
    account = f"system:serviceaccount:{bench.namespace}:played"
    said = (
        f'services is forbidden: User "{account}" cannot create resource "services" in API group "" '
        f'in the namespace "{bench.namespace}"'
    )
    until(lambda: said in players.refusals(), "a refusal")
    denied = lambda: sum(each.status == 403 for each in bench.writes())  # noqa: E731
    until(lambda: denied() >= 3, "further attempts")
    assert players.refusals().count(said) == 1
    logged = [each for each in caplog.records if each.getMessage() == said]
    assert [(each.name, each.levelname) for each in logged] == [("rehearsal.players", "WARNING")]
    bench.grant(ROLES[PROGRAM])
    ready(bench)
    assert bench.get(kinds.SERVICE, "book")
