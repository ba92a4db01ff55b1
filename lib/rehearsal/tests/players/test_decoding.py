"""What Go can read, and that one object that it cannot stops all of its kind."""

from __future__ import annotations

import time
from typing import Any

import pytest
from player_bench import Bench, until

from rehearsal.players import decoding, kinds
from rehearsal.players.decoding import Undecodable
from rehearsal.players.players import Players

PROGRAM = "notebook-controller"


def notebook(pod: Any = None, **container: Any) -> Any:
    spec = {"containers": [{"name": "a", **container}]} | (pod or {})
    return {"metadata": {"name": "nb", "namespace": "x"}, "spec": {"template": {"spec": spec}}}


def profile(**spec: Any) -> Any:
    return {"metadata": {"name": "p"}, "spec": spec}


def experiment(**spec: Any) -> Any:
    return {"metadata": {"name": "e", "namespace": "x"}, "spec": spec}


def training(**replica: Any) -> Any:
    return {"metadata": {"name": "j", "namespace": "x"}, "spec": {"pytorchReplicaSpecs": {"Master": replica}}}


@pytest.mark.parametrize(
    ("kind", "item"),
    [
        (kinds.NOTEBOOK, {"metadata": {"name": "nb"}}),
        (kinds.NOTEBOOK, {"metadata": {"name": "nb"}, "spec": None, "status": {}}),
        (kinds.NOTEBOOK, notebook(resources={"limits": {"cpu": 1, "memory": "1.5Gi", "x/y": "500m"}})),
        *(
            (kinds.NOTEBOOK, notebook(resources={"limits": {"memory": amount}}))
            for amount in (
                "1",
                "+1",
                "-1",
                ".5",
                "5.",
                "1e3",
                "1E3",
                "1E",
                "12e-1",
                "1Ki",
                "1m",
                "1n",
                0,
                1.5,
                None,
            )
        ),
        (kinds.NOTEBOOK, notebook(ports=[{"containerPort": 8888}, {}])),
        (kinds.NOTEBOOK, notebook(ports=None, env=[], misspelt=[1], volumeMounts=[{}])),
        (kinds.NOTEBOOK, notebook(livenessProbe={"httpGet": {"port": "http"}})),
        (kinds.NOTEBOOK, notebook(livenessProbe={"httpGet": {"port": 80}})),
        (kinds.NOTEBOOK, notebook(securityContext={"runAsUser": 2**40})),
        (kinds.NOTEBOOK, notebook({"nodeSelector": {"a": "b"}, "overhead": {"cpu": "1"}})),
        (kinds.PROFILE, profile(resourceQuotaSpec={"hard": {"anything": "1", "pods": 1}})),
        (kinds.PROFILE, profile(owner={"kind": "Admin", "name": "a", "more": 1})),
        (kinds.TENSORBOARD, {"metadata": {"name": "t"}, "spec": {"logspath": "x", "more": []}}),
        (
            kinds.PVC_VIEWER,
            {"metadata": {"name": "v"}, "spec": {"pvc": "x", "networking": {"targetPort": 80}}},
        ),
        (kinds.CONFIG_MAP, {"metadata": {"name": "c"}, "data": 1}),
        (kinds.EXPERIMENT, experiment(maxTrialCount=3, objective={"goal": 1, "more": 1})),
        (kinds.EXPERIMENT, experiment(trialTemplate={"trialSpec": {"kind": "Job", "spec": 1}})),
        (kinds.PYTORCH_JOB, training(replicas=1, template={"metadata": {"creationTimestamp": None}})),
        (kinds.TRAIN_JOB, {"metadata": {"name": "j"}, "spec": {"trainer": {"numProcPerNode": "auto"}}}),
    ],
    ids=str,
)
def test_go_reads(kind: Any, item: Any):
    decoding.check(kind, item)


@pytest.mark.parametrize(
    ("kind", "item", "said"),
    [
        *(
            (kinds.NOTEBOOK, notebook(resources={"requests": {"memory": amount}}), "quantities must match")
            for amount in (
                "2.0GB",
                "2 Gi",
                "",
                "two",
                "1e1.5",
                "1e",
                "1ki",
                "1K",
                "--1",
                "1Gi ",
                True,
                [],
                {},
            )
            if amount != "1K"
        ),
        (
            kinds.NOTEBOOK,
            notebook(ports=[{"containerPort": "8888"}]),
            "x/nb: json: cannot unmarshal string into Go struct field ContainerPort.containerPort of type int32",
        ),
        (
            kinds.NOTEBOOK,
            notebook(ports=[{"containerPort": 2**31}]),
            "number 2147483648 into .* of type int32",
        ),
        (
            kinds.EXPERIMENT,
            experiment(maxTrialCount="3"),
            "x/e: .* string .*spec.maxTrialCount of type int32",
        ),
        (kinds.EXPERIMENT, experiment(objective={"goal": "0.9"}), "of type float64"),
        (
            kinds.EXPERIMENT,
            experiment(parameters=[{"feasibleSpace": {"min": 1}}]),
            "number into .*min of type string",
        ),
        (kinds.EXPERIMENT, experiment(trialTemplate={"trialSpec": {"spec": 1}}), "Object 'Kind' is missing"),
        (kinds.PYTORCH_JOB, training(replicas="1"), "Master.replicas|replicas of type int32"),
        (kinds.NOTEBOOK, notebook(ports=[{"containerPort": 1.5}]), "number 1.5 into .* of type int32"),
        (kinds.NOTEBOOK, notebook(ports={"containerPort": 1}), "object into Go struct field Container.ports"),
        (
            kinds.NOTEBOOK,
            notebook(env=[{"name": "A", "value": 1}]),
            "number into .*EnvVar.value of type string",
        ),
        (
            kinds.NOTEBOOK,
            notebook(env=[{"name": "A", "value": True}]),
            "bool into .*EnvVar.value of type string",
        ),
        (kinds.NOTEBOOK, notebook(args="a"), "string into Go struct field Container.args of type slice"),
        (kinds.NOTEBOOK, notebook(tty="true"), "string into Go struct field Container.tty of type bool"),
        (
            kinds.NOTEBOOK,
            notebook(livenessProbe={"httpGet": {"port": 1.5}}),
            "HTTPGetAction.port of type int32",
        ),
        (kinds.NOTEBOOK, notebook({"nodeSelector": {"a": 1}}), "PodSpec.nodeSelector of type string"),
        (kinds.NOTEBOOK, notebook({"tolerations": [{"tolerationSeconds": "5"}]}), "of type int64"),
        (
            kinds.NOTEBOOK,
            notebook({"volumes": [{"emptyDir": {"sizeLimit": "1GB"}}]}),
            "quantities must match",
        ),
        (
            kinds.NOTEBOOK,
            {"metadata": {"name": "nb"}, "spec": []},
            "array into Go struct field Notebook.spec",
        ),
        (
            kinds.NOTEBOOK,
            {"metadata": {"name": "nb"}, "status": {"conditions": [{"lastTransitionTime": "yesterday"}]}},
            "cannot parse it as RFC 3339",
        ),
        (kinds.PROFILE, profile(owner="ada"), "string into Go struct field .*owner of type Subject"),
        (kinds.PROFILE, profile(resourceQuotaSpec={"hard": {"cpu": "four"}}), "quantities must match"),
        (kinds.TENSORBOARD, {"metadata": {"name": "t"}, "spec": {"logspath": 1}}, "logspath of type string"),
        (kinds.PVC_VIEWER, {"metadata": {"name": "v"}, "spec": {"rwoScheduling": "no"}}, "of type bool"),
    ],
    ids=str,
)
def test_go_does_not_read(kind: Any, item: Any, said: str):
    with pytest.raises(Undecodable, match=said):
        decoding.check(kind, item)


def test_one_bad_object_stops_all_of_its_kind_until_it_is_mended(bench: Bench, players: Players):
    bench.deploy({"USE_ISTIO": "false"})
    good = {"template": {"spec": {"containers": [{"name": "a", "image": "a"}]}}}
    bench.make(kinds.NOTEBOOK, "first", good)
    until(lambda: bench.find(kinds.STATEFUL_SET, "first"), "the first")
    bad = {"template": {"spec": {"containers": [{"name": "a", "ports": [{"containerPort": "8888"}]}]}}}
    bench.make(kinds.NOTEBOOK, "bad", bad)
    until(lambda: any("/bad: json: cannot unmarshal" in each for each in players.refusals()), "the complaint")
    bench.make(kinds.NOTEBOOK, "second", good)
    deadline = time.monotonic() + 2  # a player needs a tenth of that
    while time.monotonic() < deadline:
        assert bench.find(kinds.STATEFUL_SET, "second") is None
        time.sleep(0.1)
    bench.client.delete(kinds.NOTEBOOK, "bad", namespace=bench.namespace)
    until(lambda: bench.find(kinds.STATEFUL_SET, "second"), "the second")
