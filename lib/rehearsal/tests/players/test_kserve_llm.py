"""What becomes of services of large language models."""

from __future__ import annotations

from typing import Any

import pytest
from lightkube.types import PatchType
from player_bench import Bench, owners, until

from rehearsal.players import discovery, kinds, strategic
from rehearsal.players.kserve import gotemplates

from .test_kserve import config, states

PROGRAM = "llmisvc-controller"
MODEL = {"uri": "hf://Qwen/Qwen3-0.6B", "name": "qwen"}
TEMPLATE = {
    "template": {
        "containers": [
            {
                "name": "main",
                "image": "llm-d:v0.2.2",
                "args": ["--served-model-name", "{{ .Spec.Model.Name }}"],
                "env": [{"name": "HOME", "value": "/home"}],
            }
        ]
    }
}
ROUTE = {
    "parentRefs": [
        {"name": "{{ .GlobalConfig.IngressGatewayName }}", "namespace": "gateways", "kind": "Gateway"}
    ],
    "hostnames": ["models.example"],
    "rules": [
        {
            "backendRefs": [
                {
                    "group": "inference.networking.x-k8s.io",
                    "kind": "InferencePool",
                    "name": "{{ ChildName .ObjectMeta.Name `-inference-pool` }}",
                    "port": 8000,
                }
            ],
            "matches": [
                {
                    "path": {
                        "type": "PathPrefix",
                        "value": "/{{ .ObjectMeta.Namespace }}/{{ .ObjectMeta.Name }}",
                    }
                }
            ],
        }
    ],
}
PRESETS = {
    "template": TEMPLATE,
    "decode-template": TEMPLATE,
    "prefill-template": {"prefill": TEMPLATE},
    "router-route": {"router": {"route": {"http": {"spec": ROUTE}}}},
    "scheduler": {},
}
STORAGE = {"image": "kserve/storage-initializer:v0.16.0", "memoryLimit": "1Gi", "cpuLimit": "1"}


def deploy(bench: Bench, **ingress: Any) -> None:
    said = {"metadata": {"name": "inferenceservice-config"}}
    gateway = {"enableGatewayApi": True, "kserveIngressGateway": "kserve/gate", **ingress}
    bench.create(kinds.CONFIG_MAP, {**said, "data": config(ingress=gateway, storageInitializer=STORAGE)})
    for name, spec in PRESETS.items():
        bench.make(kinds.LLM_CONFIG, f"kserve-config-llm-{name}", spec)
    bench.deploy({"POD_NAMESPACE": bench.namespace}, args=["--leader-elect"])


def status(bench: Bench) -> dict[str, Any]:
    return bench.get(kinds.LLM_SERVICE, "chat").get("status") or {}


def wait(bench: Bench, condition: str, state: str) -> dict[str, Any]:
    """Return the condition as soon as it is so."""
    until(lambda: states(status(bench)).get(condition) == state, lambda: status(bench))
    return next(each for each in status(bench)["conditions"] if each["type"] == condition)


def test_a_model_becomes_a_deployment_and_a_service(bench: Bench):
    deploy(bench)
    own = {"containers": [{"name": "main", "resources": {"limits": {"cpu": "2"}}}]}
    bench.make(kinds.LLM_SERVICE, "chat", {"model": MODEL, "replicas": 2, "template": own})
    deployment = bench.get(kinds.DEPLOYMENT, "chat-kserve")
    assert owners(deployment) == [("LLMInferenceService", "chat", True)]
    assert deployment["spec"]["replicas"] == 2
    pod = deployment["spec"]["template"]["spec"]
    (main,) = pod["containers"]
    assert main["image"] == "llm-d:v0.2.2"
    assert main["args"] == ["--served-model-name", "qwen"]
    assert main["resources"] == {"limits": {"cpu": "2"}}
    assert [each["mountPath"] for each in main["volumeMounts"]] == ["/mnt/models"]
    (loader,) = pod["initContainers"]
    assert loader["args"] == ["hf://Qwen/Qwen3-0.6B", "/mnt/models"]
    service = bench.get(kinds.SERVICE, "chat-kserve-workload-svc")["spec"]
    assert service["selector"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    wait(bench, "Ready", "True")
    assert "url" not in status(bench)
    assert {"HTTPRoutesReady": "True", "InferencePoolReady": "True"}.items() <= states(status(bench)).items()
    bench.assert_settled()


def test_the_sidecar_that_routes_to_prefill_may_see_pods_and_pools(bench: Bench):
    deploy(bench)
    bench.create(kinds.SECRET, {"metadata": {"name": "key"}})
    bench.create(kinds.SERVICE_ACCOUNT, {"metadata": {"name": "own"}, "secrets": [{"name": "key"}]})
    sidecar = {"name": "llm-d-routing-sidecar", "image": "sidecar:1", "restartPolicy": "Always"}
    template = {"serviceAccountName": "own", "initContainers": [sidecar]}
    bench.make(kinds.LLM_SERVICE, "chat", {"model": MODEL, "prefill": {"replicas": 1}, "template": template})
    pod = bench.get(kinds.DEPLOYMENT, "chat-kserve")["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "chat-kserve"
    assert bench.get(kinds.SERVICE_ACCOUNT, "chat-kserve")["secrets"] == [{"name": "key"}]
    rules = bench.get(kinds.ROLE, "chat-kserve-role")["rules"]
    assert [each["resources"] for each in rules] == [["pods"], ["inferencepools"]]
    assert bench.get(kinds.ROLE_BINDING, "chat-kserve-rb")["roleRef"]["name"] == "chat-kserve-role"


def test_its_route_leads_to_its_service(bench: Bench):
    deploy(bench)
    bench.make(kinds.LLM_SERVICE, "chat", {"model": MODEL, "router": {"route": {}, "gateway": {}}})
    route = bench.get(kinds.HTTP_ROUTE, "chat-kserve-route")
    assert route["spec"]["parentRefs"][0]["name"] == "gate"
    (rule,) = route["spec"]["rules"]
    (backend,) = rule["backendRefs"]
    assert (backend["kind"], backend["name"]) == ("Service", "chat-kserve-workload-svc")
    assert wait(bench, "RouterReady", "False")["reason"] == "HTTPRoutesNotReady"
    accepted = {
        "type": "Accepted",
        "status": "True",
        "reason": "Accepted",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    parent = {
        "parentRef": route["spec"]["parentRefs"][0],
        "controllerName": "test/er",
        "conditions": [accepted],
    }
    bench.client.patch(
        kinds.HTTP_ROUTE.Status,
        "chat-kserve-route",
        {"status": {"parents": [parent]}},
        namespace=bench.namespace,
        patch_type=PatchType.MERGE,
    )
    wait(bench, "Ready", "True")
    assert status(bench)["url"] == f"http://models.example/{bench.namespace}/chat"


def test_a_route_is_never_ready_where_there_is_no_gateway_api(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    find = discovery.find

    def without_routes(cluster: Any, version: str, kind: str) -> Any:
        return None if kind == "HTTPRoute" else find(cluster, version, kind)

    monkeypatch.setattr(discovery, "find", without_routes)
    deploy(bench)
    bench.make(kinds.LLM_SERVICE, "chat", {"model": MODEL, "router": {"route": {}, "gateway": {}}})
    told = wait(bench, "RouterReady", "False")
    assert told["reason"] == "HTTPRouteReconcileError"
    assert 'no matches for kind "HTTPRoute"' in told["message"]
    assert bench.get(kinds.DEPLOYMENT, "chat-kserve")
    wait(bench, "Ready", "False")


def test_nothing_runs_until_its_own_account_is_there(bench: Bench):
    deploy(bench)
    own = {"serviceAccountName": "mine"}
    bench.make(kinds.LLM_SERVICE, "chat", {"model": MODEL, "template": own})
    told = wait(bench, "WorkloadsReady", "False")
    assert told["reason"] == "ReconcileSingleNodeWorkloadError"
    assert 'ServiceAccount "mine" not found' in told["message"]
    assert not bench.find(kinds.DEPLOYMENT, "chat-kserve")
    bench.create(kinds.SERVICE_ACCOUNT, {"metadata": {"name": "mine"}})
    bench.get(kinds.DEPLOYMENT, "chat-kserve")


def test_prefill_has_a_deployment_of_its_own(bench: Bench):
    deploy(bench)
    bench.make(kinds.LLM_SERVICE, "chat", {"model": MODEL, "prefill": {"replicas": 1}})
    labels = bench.get(kinds.DEPLOYMENT, "chat-kserve-prefill")["metadata"]["labels"]
    assert labels["llm-d.ai/role"] == "prefill"
    assert bench.get(kinds.DEPLOYMENT, "chat-kserve")["metadata"]["labels"]["llm-d.ai/role"] == "decode"
    wait(bench, "PrefillWorkloadReady", "True")
    bench.patch(kinds.LLM_SERVICE, "chat", {"spec": {"prefill": None}})
    until(lambda: any(each.status == 422 for each in bench.writes()), "another selector to be refused")
    assert bench.find(kinds.DEPLOYMENT, "chat-kserve-prefill")


def test_what_it_refers_to_is_missing_until_it_is_there(bench: Bench):
    deploy(bench)
    spec = {"model": MODEL, "baseRefs": [{"name": "small"}]}
    bench.make(kinds.LLM_SERVICE, "chat", spec)
    assert '"small"' in wait(bench, "PresetsCombined", "False")["message"]
    bench.make(kinds.LLM_CONFIG, "small", {"replicas": 3})
    assert bench.get(kinds.DEPLOYMENT, "chat-kserve")["spec"]["replicas"] == 3


@pytest.mark.parametrize(
    "more, condition",
    [
        ({"worker": {"containers": []}}, "WorkloadsReady"),
        ({"router": {"scheduler": {}}}, "RouterReady"),
    ],
)
def test_what_is_not_played_is_told(bench: Bench, more: dict[str, Any], condition: str):
    deploy(bench)
    bench.make(kinds.LLM_SERVICE, "chat", {"model": MODEL, **more})
    assert wait(bench, condition, "False")["reason"] == "NotPlayed"


@pytest.mark.parametrize(
    "text, expected",
    [
        ("no tag", "no tag"),
        ("{{ .Spec.Model.Name }}/{{ .ObjectMeta.Name }}", "qwen/chat"),
        ("{{ or .Spec.Parallelism.Data 1 }} {{ or .Spec.Parallelism.Tensor 1 }}", "1 2"),
        ("a {{- if .Spec.Parallelism.Expert }} b {{- else }} c {{- end }} d", "a c d"),
        ("{{ if .Spec.Parallelism.Tensor -}}  b{{ end }}", "b"),
        ("{{ ChildName .ObjectMeta.Name `-pool` }}", "chat-pool"),
    ],
)
def test_templates(text: str, expected: str):
    values = {"metadata": {"name": "chat"}, "spec": {"model": MODEL, "parallelism": {"tensor": 2}}}
    assert gotemplates.render(text, values) == expected


@pytest.mark.parametrize("text", ["{{ if .A }}", "{{ end }}", "{{ printf .A }}"])
def test_a_wrong_template_is_refused(text: str):
    with pytest.raises(ValueError, match="template"):
        gotemplates.render(text, {})


def test_merged_lists_keep_their_order():
    def named(*names: str) -> dict[str, Any]:
        return {"containers": [{"name": each} for each in names]}

    merged = strategic.merge(named("a", "b", "c"), named("c", "new", "b"))
    assert merged == named("a", "c", "new", "b")
