"""What LLMInferenceServices have in common: the configurations that KServe takes by their names.

Sources: kserve v0.16.0, config/llmisvcconfig, and pkg/controller/v1alpha1/llmisvc/config_merge.go for the
names. kubeflow/manifests 26.03 leaves them all out, because their pods may run as root, and those of several
nodes have rights on the kernel (IPC_LOCK, SYS_RAWIO, NET_RAW). Without them KServe runs no
LLMInferenceService. Ours have no such rights: their pods conform to the Pod Security Standard `restricted`,
and find no RDMA devices by themselves. A service that needs those says so in its own template.
"""

from __future__ import annotations

from typing import Any

from kubeflow_charm import Manifest

Part = dict[str, Any]

_CERTIFICATE = "{{ ChildName .ObjectMeta.Name `-kserve-self-signed-certs` }}"
_POOL = "{{ ChildName .ObjectMeta.Name `-inference-pool` }}"
_PICKER = "{{ ChildName .ObjectMeta.Name `-epp-service` }}"
_MODEL = "{{ .Spec.Model.Name }}"
_USER = 2000
"""The user of vLLM's pods; the image names none of its own, and its files are everybody's."""

_CERTIFICATES: Part = {"name": "tls-certs", "mountPath": "/etc/ssl/certs", "readOnly": True}


def configs(images: dict[str, str], pull_secret: str) -> list[Manifest]:
    """Return the configurations, for our own namespace, where KServe looks for them.

    Args:
        images: the images of users' pods, by what they are for.
        pull_secret: the Secret of profiles with which they are pulled; empty without.
    """
    server, sidecar = images["llm-d"], images["llm-d-routing-sidecar"]
    with_sidecar = [_sidecar(sidecar)]
    secure = [_sidecar(sidecar, "--secure-proxy=true")]
    single, decode = _pod([_server(server, 8000)]), _pod([_server(server, 8001)], with_sidecar)
    specs: dict[str, Part] = {
        "template": {"template": single},
        "decode-template": {"template": decode},
        "prefill-template": {"prefill": {"template": single}},
        "worker-data-parallel": _several(server, 8000, ".Spec.Parallelism", []),
        "decode-worker-data-parallel": _several(server, 8001, ".Spec.Parallelism", secure),
        "prefill-worker-data-parallel": {"prefill": _several(server, 8000, ".Spec.Prefill.Parallelism", [])},
        "router-route": {"router": {"route": {"http": {"spec": _route()}}}},
        "scheduler": {"router": {"scheduler": _scheduler(images["llm-d-inference-scheduler"])}},
    }
    if pull_secret:
        for pod in _pods(specs):
            pod["imagePullSecrets"] = [{"name": pull_secret}]
    return [
        {
            "apiVersion": "serving.kserve.io/v1alpha1",
            "kind": "LLMInferenceServiceConfig",
            "metadata": {"name": f"kserve-config-llm-{name}"},
            "spec": spec,
        }
        for name, spec in specs.items()
    ]


def _pods(value: Any) -> list[Part]:
    """Return all pods within a value."""
    if not isinstance(value, dict):
        return []
    if "containers" in value:
        return [value]
    return [pod for each in value.values() for pod in _pods(each)]


def _pod(containers: list[Part], first: list[Part] | None = None) -> Part:
    """Return the pod of a server."""
    pod: Part = {"containers": containers}
    if first:
        pod["initContainers"] = first
    volumes: list[Part] = [
        {"name": "home", "emptyDir": {}},
        {"name": "dshm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
        {"name": "model-cache", "emptyDir": {}},
        {"name": "tls-certs", "secret": {"secretName": _CERTIFICATE}},
    ]
    security = {"fsGroup": _USER, "runAsNonRoot": True, "runAsUser": _USER}
    return pod | {"terminationGracePeriodSeconds": 30, "securityContext": security, "volumes": volumes}


def _server(image: str, port: int, script: str = "") -> Part:
    """Return vLLM: with a script, or as one process of one node."""
    plain = ["--served-model-name", _MODEL, "--port", str(port), "--disable-log-requests"]
    started = {"command": ["/bin/bash", "-c"], "args": [script]}
    if not script:
        started = {"command": ["vllm", "serve", "/mnt/models"], "args": plain}
    slow, ready = (300, 200) if script else (120, 10)
    return (
        _container("main", image, port, writes=True)
        | started
        | {
            "env": _variables({"HOME": "/home", "VLLM_LOGGING_LEVEL": "INFO", "HF_HUB_CACHE": "/models"}),
            "livenessProbe": _asked(port, slow, 10, failures=3),
            "readinessProbe": _asked(port, ready, 5, failures=60, period=30 if script else 10),
            "volumeMounts": [
                {"name": "home", "mountPath": "/home"},
                {"name": "dshm", "mountPath": "/dev/shm"},  # noqa: S108 (vLLM's shared memory)
                {"name": "model-cache", "mountPath": "/models"},
                _CERTIFICATES,
            ],
        }
    )


def _sidecar(image: str, *more: str) -> Part:
    """Return what asks a prefilling pod for the first token."""
    namespace = {"fieldRef": {"fieldPath": "metadata.namespace"}}
    return _container("llm-d-routing-sidecar", image, 8000) | {
        "restartPolicy": "Always",
        "args": ["--port=8000", "--vllm-port=8001", "--connector=nixlv2", *more],
        "env": [{"name": "INFERENCE_POOL_NAMESPACE", "valueFrom": namespace}],
        "livenessProbe": _asked(8000, 10, 10, failures=3),
        "readinessProbe": _asked(8000, 10, 5, failures=10),
        "volumeMounts": [_CERTIFICATES],
    }


def _several(image: str, port: int, parallelism: str, first: list[Part]) -> Part:
    """Return the pods of a model on several nodes: the first, and those that answer through it."""
    leader = _server(image, port, _parallel(port, parallelism, leader=True))
    worker = _server(image, port, _parallel(port, parallelism, leader=False))
    for probe in ("livenessProbe", "readinessProbe"):
        del worker[probe]  # it has no address of its own
    return {"template": _pod([leader], first), "worker": _pod([worker])}


def _parallel(port: int, parallelism: str, *, leader: bool) -> str:
    """Return the script that starts vLLM on one of several nodes, with Go's variables in it."""
    local = f"{{{{ or {parallelism}.DataLocal 1 }}}}"
    rank = "0" if leader else f"$(( ${{LWS_WORKER_INDEX:-0}} * {local} ))"
    rpc_port = f"{{{{ or {parallelism}.DataRPCPort 5555 }}}}"
    arguments = [
        f"--served-model-name '{_MODEL}'",
        f"--port {port}",
        "--disable-log-requests",
        f"{{{{ if {parallelism}.Expert }}}}--enable-expert-parallel{{{{ end }}}}",
        f"{{{{ if {parallelism}.Tensor }}}}"
        f"--tensor-parallel-size {{{{ {parallelism}.Tensor }}}}{{{{ end }}}}",
        f"--data-parallel-size {{{{ or {parallelism}.Data 1 }}}}",
        f"--data-parallel-size-local {local}",
        "--data-parallel-address $(LWS_LEADER_ADDRESS)",
        f"--data-parallel-rpc-port {rpc_port}",
        f"--data-parallel-start-rank {rank}",
        "--trust-remote-code",
        "${VLLM_API_SERVER_COUNT:+--api-server-count $VLLM_API_SERVER_COUNT}" if leader else "--headless",
        "$VLLM_ADDITIONAL_ARGS",
    ]
    return "exec vllm serve /mnt/models " + " \\\n  ".join(arguments)


def _route() -> Part:
    """Return the route of a service: `/<namespace>/<name>`."""
    return {
        "parentRefs": [
            {
                "group": "gateway.networking.k8s.io",
                "kind": "Gateway",
                "name": "{{ .GlobalConfig.IngressGatewayName }}",
                "namespace": "{{ .GlobalConfig.IngressGatewayNamespace }}",
            }
        ],
        "rules": [
            {
                "matches": [
                    {
                        "path": {
                            "type": "PathPrefix",
                            "value": "/{{ .ObjectMeta.Namespace }}/{{ .ObjectMeta.Name }}",
                        }
                    }
                ],
                "filters": [
                    {
                        "type": "URLRewrite",
                        "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}},
                    }
                ],
                "backendRefs": [
                    {
                        "group": "inference.networking.x-k8s.io",
                        "kind": "InferencePool",
                        "name": _POOL,
                        "port": 8000,
                        "weight": 1,
                    }
                ],
                "timeouts": {"backendRequest": "0s", "request": "0s"},
            }
        ],
    }


def _scheduler(image: str) -> Part:
    """Return what chooses the pod for a request, and its pool."""
    picker: Part = _container("main", image, 9002) | {
        "ports": [
            {"name": "grpc", "containerPort": 9002, "protocol": "TCP"},
            {"name": "grpc-health", "containerPort": 9003, "protocol": "TCP"},
            {"name": "metrics", "containerPort": 9090, "protocol": "TCP"},
        ],
        "args": [
            "--poolName",
            _POOL,
            "--poolNamespace",
            "{{ .ObjectMeta.Namespace }}",
            "--zap-encoder",
            "json",
            "--grpcPort",
            "9002",
            "--grpcHealthPort",
            "9003",
        ],
        "livenessProbe": _asked_by_grpc(5),
        "readinessProbe": _asked_by_grpc(30),
        "resources": {"requests": {"cpu": "256m", "memory": "500Mi"}},
        "volumeMounts": [_CERTIFICATES],
    }
    pool = {
        "extensionRef": {"failureMode": "FailOpen", "kind": "Service", "name": _PICKER},
        "selector": {},
        "targetPortNumber": 8000,
    }
    pod = {
        "containers": [picker],
        "volumes": [{"name": "tls-certs", "secret": {"secretName": _CERTIFICATE}}],
        "dnsPolicy": "ClusterFirst",
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
    }
    return {"pool": {"spec": pool}, "template": pod}


def _container(name: str, image: str, port: int, *, writes: bool = False) -> Part:
    """Return a container without any right of its own."""
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"containerPort": port, "protocol": "TCP"}],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": not writes,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def _variables(values: dict[str, str]) -> list[Part]:
    return [{"name": name, "value": value} for name, value in values.items()]


def _asked(port: int, delay: int, timeout: int, *, failures: int, period: int = 10) -> Part:
    return {
        "httpGet": {"path": "/health", "port": port, "scheme": "HTTP"},
        "initialDelaySeconds": delay,
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": failures,
    }


def _asked_by_grpc(delay: int) -> Part:
    return {
        "grpc": {"port": 9003, "service": "envoy.service.ext_proc.v3.ExternalProcessor"},
        "initialDelaySeconds": delay,
        "periodSeconds": 10,
        "failureThreshold": 3,
    }
