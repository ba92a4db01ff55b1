"""Pods as the cluster holds them when the PodDefaults webhook is played."""

from __future__ import annotations

from typing import Any

import pytest
from webhook_bench import define, denial, eventually, poddefault_definition

PREFIX = "poddefault.admission.kubeflow.org"
GPU = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


def test_a_selected_pod_gets_everything_and_another_nothing(poddefaults):
    made = poddefaults.default(
        "all",
        desc="Everything",
        env=[{"name": "A", "value": "1"}],
        envFrom=[{"secretRef": {"name": "keys"}}],
        volumes=[{"name": "scratch", "emptyDir": {}}],
        volumeMounts=[{"name": "scratch", "mountPath": "/scratch"}],
        tolerations=[GPU],
        imagePullSecrets=[{"name": "registry"}],
        annotations={"note": "x"},
        labels={"team": "blue"},
        serviceAccountName="default",
        automountServiceAccountToken=False,
        initContainers=[{"name": "before", "image": "example.com/before:1"}],
        sidecars=[{"name": "beside", "image": "example.com/beside:1"}],
        command=["run"],
        args=["--fast"],
    )
    pod, plain = poddefaults.pod("all"), poddefaults.pod("nothing", name="plain")
    main, beside = pod["spec"]["containers"]
    assert main["env"] == [{"name": "A", "value": "1"}]
    assert main["envFrom"] == [{"secretRef": {"name": "keys"}}]
    assert {"name": "scratch", "mountPath": "/scratch"} in main["volumeMounts"]
    assert (main["command"], main["args"]) == (["run"], ["--fast"])
    assert beside["name"] == "beside" and "env" not in beside and "command" not in beside
    assert [each["name"] for each in pod["spec"]["initContainers"]] == ["before"]
    assert {"name": "scratch", "emptyDir": {}} in pod["spec"]["volumes"]
    assert GPU in pod["spec"]["tolerations"] and len(pod["spec"]["tolerations"]) == 3
    assert pod["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["metadata"]["labels"] == {"all": "true", "team": "blue"}
    assert pod["metadata"]["annotations"] == {
        "note": "x",
        f"{PREFIX}/poddefault-all": made["metadata"]["resourceVersion"],
    }
    assert "annotations" not in plain["metadata"] and GPU not in plain["spec"]["tolerations"]
    assert "env" not in plain["spec"]["containers"][0]


def test_what_the_pod_says_stays(poddefaults):
    poddefaults.default("polite", command=["theirs"], args=["theirs"], env=[{"name": "B", "value": "2"}])
    own = {"name": "main", "image": "x", "command": ["ours"], "env": [{"name": "A", "value": "1"}]}
    proxy = {"name": "istio-proxy", "image": "x"}
    main, istio = poddefaults.pod("polite", containers=[own, proxy])["spec"]["containers"]
    assert main["command"] == ["ours"] and main["args"] == ["theirs"]
    assert [each["name"] for each in main["env"]] == ["A", "B"]
    assert "command" not in istio and istio["env"] == [{"name": "B", "value": "2"}]


def test_several_are_put_in_by_their_names(poddefaults):
    poddefaults.default("b", env=[{"name": "B", "value": "b"}], serviceAccountName="default")
    poddefaults.default("a", env=[{"name": "A", "value": "a"}, {"name": "B", "value": "b"}])
    (main,) = poddefaults.pod("a", "b")["spec"]["containers"]
    assert [each["name"] for each in main["env"]] == ["A", "B"]


@pytest.mark.parametrize(
    ("spec", "pod", "reason"),
    [
        (
            {"env": [{"name": "A", "value": "1"}]},
            {"containers": [{"name": "main", "image": "x", "env": [{"name": "A", "value": "2"}]}]},
            "merging env for odd has a conflict on A: \n"
            'v1.EnvVar{Name:"A", Value:"1", ValueFrom:(*v1.EnvVarSource)(nil)}\ndoes not match\n'
            'v1.EnvVar{Name:"A", Value:"2", ValueFrom:(*v1.EnvVarSource)(nil)}\n in container',
        ),
        (
            {"tolerations": [GPU, GPU | {"effect": "NoExecute"}]},
            {},
            "merging tolerations for odd has a conflict on nvidia.com/gpu: \n"
            'v1.Toleration{Key:"nvidia.com/gpu", Operator:"Exists", Value:"", Effect:"NoExecute", '
            "TolerationSeconds:(*int64)(nil)}\ndoes not match\n"
            'v1.Toleration{Key:"nvidia.com/gpu", Operator:"Exists", Value:"", Effect:"NoSchedule", '
            "TolerationSeconds:(*int64)(nil)}\n in container",
        ),
        (
            {"annotations": {"note": "x"}},
            {"metadata": {"annotations": {"note": "y"}, "labels": {"odd": "true"}}},
            'merging has conflict on note: \n"x"\ndoes not match\n"y"\n in pod',
        ),
    ],
    ids=["env", "tolerations", "annotations"],
)
def test_a_conflict_refuses_the_pod(poddefaults, spec, pod, reason):
    poddefaults.default("odd", **spec)
    assert denial(lambda: poddefaults.pod("odd", **pod)) == (
        'admission webhook "hook.example.com" denied the request: '
        f"conflict occurred while applying poddefaults: odd on pod: work err: {reason}"
    )


def test_all_conflicts_are_told_at_once(poddefaults):
    poddefaults.default(
        "odd", env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}], labels={"odd": "false"}
    )
    said = denial(lambda: poddefaults.pod("odd"))
    assert "err: [merging env for odd has a conflict on A" in said
    assert said.endswith(
        'in container, merging has conflict on odd: \n"false"\ndoes not match\n"true"\n in pod]'
    )


@pytest.mark.parametrize("annotation", [{f"{PREFIX}/exclude": "true"}, {"kubernetes.io/config.mirror": "x"}])
def test_pods_that_ask_for_nothing_get_nothing(poddefaults, annotation):
    poddefaults.default("some", env=[{"name": "A", "value": "1"}])
    metadata = {"annotations": annotation, "labels": {"some": "true"}}
    # A pod of a node's own must say on which it is.
    pod = poddefaults.pod(metadata=metadata, nodeName="gpu-0", automountServiceAccountToken=False, dry=True)
    assert "env" not in pod["spec"]["containers"][0]


EXPRESSIONS = [
    ({"key": "size", "operator": "In", "values": ["s", "m"]}, {"size": "m"}, {"size": "l"}),
    ({"key": "size", "operator": "NotIn", "values": ["s"]}, {}, {"size": "s"}),
    ({"key": "size", "operator": "Exists"}, {"size": ""}, {}),
    ({"key": "size", "operator": "DoesNotExist"}, {}, {"size": "s"}),
]


@pytest.mark.parametrize(
    ("expression", "yes", "no"), EXPRESSIONS, ids=lambda each: str(each.get("operator", ""))
)
def test_selection_by_expressions(poddefaults, expression, yes, no):
    poddefaults.default("by", selector={"matchExpressions": [expression]}, labels={"got": "it"})

    def labels(said: dict[str, str]) -> Any:
        return poddefaults.pod(metadata={"labels": said}, dry=True)["metadata"].get("labels", {})

    assert labels(yes) == yes | {"got": "it"}
    assert labels(no) == no


def test_a_selector_that_is_none_refuses_every_pod_of_the_namespace(poddefaults):
    expression = {"key": "a", "operator": "Like", "values": ["b"]}
    poddefaults.default("bad", selector={"matchExpressions": [expression]})
    assert denial(lambda: poddefaults.pod("unrelated")).endswith(
        "label selector conversion failed: {map[] [{a Like [b]}]} for selector: "
        '"Like" is not a valid label selector operator'
    )


def test_without_the_right_to_list_pods_are_refused_in_the_authorizers_words(poddefaults):
    poddefaults.hook.may(["get"])
    account = f"system:serviceaccount:{poddefaults.hook.namespace}:webhook"
    said = eventually(lambda: denial(lambda: poddefaults.pod("canary", dry=True)))
    assert said == (
        'admission webhook "hook.example.com" denied the request: poddefaults.kubeflow.org is forbidden: '
        f'User "{account}" cannot list resource "poddefaults" in API group "kubeflow.org" '
        f'in the namespace "{poddefaults.users}"'
    )
    poddefaults.hook.may(["list"])
    eventually(poddefaults.called)


def test_it_does_not_say_the_version_so_v1_alone_does_not_work(poddefaults):
    poddefaults.configure(versions=("v1",))
    said = eventually(lambda: denial(lambda: poddefaults.pod("canary", dry=True)))
    assert "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got" in said


def test_sidecars_for_a_pod_of_several_containers_make_a_patch_that_cannot_be_applied(poddefaults):
    sidecar = {"name": "beside", "image": "example.com/beside:1"}
    poddefaults.default("odd", env=[{"name": "A", "value": "1"}], sidecars=[sidecar])
    two = [{"name": "main", "image": "x"}, {"name": "more", "image": "x"}]
    assert "invalid index" in denial(lambda: poddefaults.pod("odd", containers=two))
    made = poddefaults.pod("odd", containers=two[:1])
    assert [each["name"] for each in made["spec"]["containers"]] == ["main", "beside"]


def test_without_their_definition_every_pod_is_refused(poddefaults, kube):
    kube.delete("CustomResourceDefinition", "poddefaults.kubeflow.org")
    try:
        said = eventually(lambda: denial(lambda: poddefaults.pod("canary", dry=True)))
        assert said.endswith("kubeflow.org/v1alpha1: the server could not find the requested resource")
    finally:
        define(kube, poddefault_definition())
