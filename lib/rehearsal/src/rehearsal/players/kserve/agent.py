"""The agent beside a model's server, and what Prometheus is told of a pod.

kserve/kserve v0.16.0, pkg/webhook/admission/pod/{agent,metrics_aggregate,accelerator}_injector.go. Agents
that store what they log, or trust a bundle of their own, are not set up here.
"""

from __future__ import annotations

import copy
import json

from rehearsal.players.kinds import Object
from rehearsal.players.kserve import components, naming
from rehearsal.players.kserve.settings import Settings

AGENT = "agent"


def inject(settings: Settings, pod: Object, namespace: str) -> None:
    """Add the agent that logs or batches requests, if annotations ask for it."""
    annotations = pod["metadata"].get("annotations") or {}
    log, batch, pull = (f"{naming.INTERNAL}/{each}" in annotations for each in ("logger", "batcher", "agent"))
    containers = pod["spec"]["containers"]
    if not (log or batch or pull) or components.container(containers, AGENT) is not None:
        return
    args = []
    if pull:
        args += ["--enable-puller"]
        for flag, key in (("--config-dir", "configMountPath"), ("--model-dir", "modelDir")):
            if f"{naming.INTERNAL}/{key}" in annotations:
                args += [flag, annotations[f"{naming.INTERNAL}/{key}"]]
    if batch:
        args += ["--enable-batcher"]
        for flag, key in (("--max-batchsize", "batchsize"), ("--max-latency", "latency")):
            if f"{naming.INTERNAL}/batcher-max-{key}" in annotations:
                args += [flag, annotations[f"{naming.INTERNAL}/batcher-max-{key}"]]
    if log:
        args += _logging(settings, pod, namespace)
    beside = components.container(containers, naming.TRANSFORMER)
    main = beside or components.container(containers, naming.CONTAINER) or containers[0]
    ports = main.get("ports") or [{"containerPort": naming.HTTP_PORT}]
    args += ["--component-port", str(ports[0]["containerPort"])]
    said = settings.section("agent")
    amounts = {
        part: {name: said[f"{name}{word}"] for name in ("cpu", "memory") if said.get(f"{name}{word}")}
        for part, word in (("limits", "Limit"), ("requests", "Request"))
    }
    agent: Object = {
        "name": AGENT,
        "image": said.get("image", ""),
        "args": args,
        "resources": amounts,
        "ports": [{"name": "agent-port", "containerPort": naming.AGENT_PORT, "protocol": "TCP"}],
        "env": _environment(containers, beside or containers[0]),
        "readinessProbe": {
            "httpGet": {
                "httpHeaders": [{"name": "K-Network-Probe", "value": "queue"}],
                "port": naming.AGENT_PORT,
                "path": "/",
                "scheme": "HTTP",
            }
        },
    }
    if context := containers[0].get("securityContext"):
        agent["securityContext"] = copy.deepcopy(context)
    containers.append(agent)


def tell_prometheus(settings: Settings, pod: Object) -> None:
    """Annotate where metrics are, as the pod or the settings say."""
    said = settings.section("metricsAggregator")
    annotations = pod["metadata"].setdefault("annotations", {})
    name = f"{naming.GROUP}/enable-metric-aggregation"
    whole = annotations.setdefault(name, said.get("enableMetricAggregation", ""))
    queue = components.container(pod["spec"]["containers"], "queue-proxy")
    if whole == "true" and queue is not None:
        variables = {
            "KSERVE_CONTAINER_PROMETHEUS_METRICS_PORT": annotations.get("prometheus.kserve.io/port", "8080"),
            "KSERVE_CONTAINER_PROMETHEUS_METRICS_PATH": annotations.get(
                "prometheus.kserve.io/path", "/metrics"
            ),
            "AGGREGATE_PROMETHEUS_METRICS_PORT": "9088",
        }
        queue["env"] = [*(queue.get("env") or []), *({"name": k, "value": v} for k, v in variables.items())]
        port = {"name": "aggr-metric", "containerPort": 9088, "protocol": "TCP"}
        queue["ports"] = [*(queue.get("ports") or []), port]
    name = f"{naming.GROUP}/enable-prometheus-scraping"
    if annotations.setdefault(name, said.get("enablePrometheusScraping", "")) == "true":
        annotations["prometheus.io/port"] = "9088" if whole == "true" else "9091"
        annotations["prometheus.io/path"] = "/metrics"


def select_accelerator(pod: Object) -> None:
    """Have a pod with NVIDIA's GPUs run on the accelerator of Google's that it names."""
    limits = [(each.get("resources") or {}).get("limits") or {} for each in pod["spec"]["containers"]]
    wanted = (pod["metadata"].get("annotations") or {}).get(f"{naming.GROUP}/gke-accelerator")
    if wanted and any("nvidia.com/gpu" in each for each in limits):
        selector = pod["spec"].get("nodeSelector") or {}
        pod["spec"]["nodeSelector"] = {**selector, "cloud.google.com/gke-accelerator": wanted}


def _logging(settings: Settings, pod: Object, namespace: str) -> list[str]:
    annotations, labels = (pod["metadata"].get(each) or {} for each in ("annotations", "labels"))
    said = settings.section("logger")
    words = {
        "--log-url": annotations.get(f"{naming.INTERNAL}/logger-sink-url", said.get("defaultUrl", "")),
        "--source-uri": pod["metadata"].get("name", ""),
        "--log-mode": annotations.get(f"{naming.INTERNAL}/logger-mode", "all"),
        "--inference-service": labels.get(naming.SERVICE_LABEL, ""),
        "--namespace": namespace,
        "--endpoint": labels.get("endpoint", ""),
        "--component": labels.get("component", ""),
    }
    args = [word for pair in words.items() for word in pair]
    if headers := annotations.get(f"{naming.INTERNAL}/logger-metadata-headers"):
        args += ["--metadata-headers", headers]
    if names := annotations.get(f"{naming.INTERNAL}/logger-metadata-annotations"):
        pairs = [f"{each}={annotations[each]}" for each in names.split(",") if each in annotations]
        args += ["--metadata-annotations", ",".join(pairs)]
    if said.get("caCertFile"):
        args += ["--logger-ca-cert-file", said["caCertFile"]]
    return [*args, "--logger-tls-skip-verify", str(bool(said.get("tlsSkipVerify"))).lower()]


def _environment(containers: list[Object], probed: Object) -> list[Object]:
    queue = components.container(containers, "queue-proxy")
    if queue is None:
        probe = probed.get("readinessProbe") or {}
        if "httpGet" in probe or "tcpSocket" in probe:
            return [{"name": "SERVING_READINESS_PROBE", "value": json.dumps(probe, separators=(",", ":"))}]
        return []
    found = copy.deepcopy(queue.get("env") or [])
    for each in queue.get("env") or ():
        if each["name"] == "USER_PORT":
            each["value"] = str(naming.AGENT_PORT)
    return found
