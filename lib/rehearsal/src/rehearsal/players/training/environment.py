"""How a replica of a job learns who the others are: the variables that each framework reads.

kubeflow/training-operator v1.9.2, pkg/controller.v1/{pytorch,tensorflow,xgboost,paddlepaddle,jax}.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from rehearsal.players.kinds import Object
from rehearsal.players.training.frameworks import Framework

Variables = list[Object]

_UNBUFFERED = {"name": "PYTHONUNBUFFERED", "value": "1"}


def put(framework: Framework, job: Object, pod: Object, kind: str, index: int, domain: str) -> None:
    """Give a pod's containers the variables of their framework.

    Args:
        framework: of the job.
        job: with its defaults.
        pod: the spec, changed.
        kind: the replica's type.
        index: the replica's.
        domain: CUSTOM_CLUSTER_DOMAIN of the operator.
    """
    if framework.name == "TFJob":
        found = _tensorflow(framework, job, kind, index, domain)
        containers = [each for each in pod["containers"] if each["name"] == framework.container][:1]
    else:
        found = _MAKERS[framework.name](framework, job, kind, index)
        containers = pod["containers"]
    if found:
        for container in containers:
            container["env"] = [*(container.get("env") or []), *found]


def replica_name(job: Object, kind: str, index: int) -> str:
    """Return the name of a replica's pod and service."""
    return f"{job['metadata']['name']}-{kind.lower()}-{index}"


def port(framework: Framework, job: Object, kind: str) -> int:
    """Return the port on which the replicas of a type are asked."""
    for container in framework.replicas(job)[kind]["template"]["spec"]["containers"]:
        for each in container.get("ports") or ():
            if container["name"] == framework.container and each.get("name") == framework.port[0]:
                return each["containerPort"]
    return framework.port[1]


def _named(values: Mapping[str, object]) -> Variables:
    return [{"name": name, "value": str(value)} for name, value in values.items()]


def _total(framework: Framework, job: Object) -> int:
    return sum(each["replicas"] for each in framework.replicas(job).values())


def _pytorch(framework: Framework, job: Object, kind: str, index: int) -> Variables:
    spec, total = job["spec"], _total(framework, job)
    processes = spec.get("nprocPerNode")
    found = [_UNBUFFERED]
    if "Master" in framework.replicas(job):
        address, number = replica_name(job, "Master", 0), port(framework, job, "Master")
        rank = index + (kind == "Worker")
        found += _named({"MASTER_PORT": number, "PET_MASTER_PORT": number})
        found += _named({"MASTER_ADDR": address, "PET_MASTER_ADDR": address})
        each = int(processes) if processes and processes.isdigit() else 1
        found += _named({"WORLD_SIZE": total * each, "RANK": rank, "PET_NODE_RANK": rank})
    if processes is not None:
        found += _named({"PET_NPROC_PER_NODE": processes})
    elastic = spec.get("elasticPolicy")
    return found + (_named({"PET_NNODES": total}) if elastic is None else _elastic(framework, job, elastic))


def _elastic(framework: Framework, job: Object, policy: Object) -> Variables:
    host = policy.get("rdzvHost") or replica_name(job, "Worker", 0)
    values: dict[str, object] = {
        "PET_RDZV_ENDPOINT": f"{host}:{policy.get('rdzvPort') or port(framework, job, 'Worker')}",
        "PET_RDZV_BACKEND": policy.get("rdzvBackend") or "c10d",
        "PET_NNODES": f"{policy['minReplicas']}:{policy['maxReplicas']}",
    }
    for name, field in (
        ("PET_MAX_RESTARTS", "maxRestarts"),
        ("PET_NPROC_PER_NODE", "nProcPerNode"),
        ("PET_RDZV_ID", "rdzvId"),
    ):
        if policy.get(field) is not None:
            values[name] = policy[field]
    if policy.get("rdzvConf"):
        values["PET_RDZV_CONF"] = ",".join(f"{each['key']}={each['value']}" for each in policy["rdzvConf"])
    if policy.get("standalone"):
        values["PET_STANDALONE"] = ""
    return _named(values)


def _tensorflow(framework: Framework, job: Object, kind: str, index: int, domain: str) -> Variables:
    replicas = framework.replicas(job)
    if sum(replicas[each]["replicas"] for each in framework.types if each in replicas) == 1:
        return []  # it trains alone; types that the operator does not know do not count
    suffix = f".{job['metadata']['namespace']}.svc" + (f".{domain}" if domain else "")
    cluster = {
        each.lower(): [
            f"{replica_name(job, each, at)}{suffix}:{port(framework, job, each)}"
            for at in range(replicas[each]["replicas"])
        ]
        for each in sorted(replicas)
    }
    task = {"type": kind.lower(), "index": index}
    if job["spec"].get("enableDynamicWorker"):
        sparse: Object = {"worker": {}, "ps": []}
        if kind == "PS":
            sparse["ps"] = [cluster["ps"][index]]
        elif kind == "Worker":
            sparse = {"worker": {str(index): cluster["worker"][index]}, "ps": cluster.get("ps")}
        document: Object = {"cluster": sparse, "task": task}
    else:
        document = {"cluster": cluster, "task": task, "environment": "cloud"}
    return _named({"TF_CONFIG": json.dumps(document, separators=(",", ":"))})


def _xgboost(framework: Framework, job: Object, kind: str, index: int) -> Variables:
    replicas, total = framework.replicas(job), _total(framework, job)
    rank = index + (replicas["Master"]["replicas"] if kind == "Worker" else 0)
    found = _named(
        {
            "MASTER_PORT": port(framework, job, "Master"),
            "MASTER_ADDR": replica_name(job, "Master", 0),
            "WORLD_SIZE": total,
            "RANK": rank,
        }
    )
    found.append(_UNBUFFERED)
    if total > 1:
        workers = ",".join(replica_name(job, "Worker", at) for at in range(total - 1))
        found += _named({"WORKER_PORT": port(framework, job, "Worker"), "WORKER_ADDRS": workers})
    return found


def _paddle(framework: Framework, job: Object, kind: str, index: int) -> Variables:
    serves = "Master" in framework.replicas(job)
    first = "Master" if serves else "Worker"
    number = port(framework, job, first)
    found = [_UNBUFFERED, *_named({"PADDLE_JOB_ID": job["metadata"]["name"]})]
    found += _named({"PADDLE_NNODES": _total(framework, job)})
    if index == 0 and kind == first:
        found.append({"name": "POD_IP_DUMMY", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}})
        found += _named({"PADDLE_MASTER": f"$(POD_IP_DUMMY):{number}"})
    else:
        found += _named({"PADDLE_MASTER": f"{replica_name(job, first, 0)}:{number}"})
    if serves:
        found += _named({"PADDLE_SERVER_NUM" if kind == "Master" else "PADDLE_TRAINER_NUM": 1})
    return found


def _jax(framework: Framework, job: Object, kind: str, index: int) -> Variables:
    return [
        _UNBUFFERED,
        *_named(
            {
                "COORDINATOR_PORT": port(framework, job, "Worker"),
                "COORDINATOR_ADDRESS": replica_name(job, "Worker", 0),
                "NUM_PROCESSES": _total(framework, job),
                "PROCESS_ID": index,
            }
        ),
    ]


_MAKERS: Mapping[str, Callable[[Framework, Object, str, int], Variables]] = {
    "PyTorchJob": _pytorch,
    "XGBoostJob": _xgboost,
    "PaddleJob": _paddle,
    "JAXJob": _jax,
}
