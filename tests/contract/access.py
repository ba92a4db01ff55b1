"""Who reaches which port of ours: every caller against every port of every charm, by the policies as rendered.

An answer says with which headers a caller is let in: `ANY`, `NO_USER` (only as long as the caller names no user), or
nothing. The callers are those of `CALLERS`, and each program of ours that is let in otherwise than the rest of the
platform.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from policy_evaluator import Cluster, Pod, Request
from rendering import MODEL

from kubeflow_charm.cluster.resources import Manifest

ANY, NO_USER = "any", "no user"

USER = {"kubeflow-userid": "bob@example.com"}
TOKEN = {"authorization": "Bearer of.a.token"}
HEADERS = ({}, USER, TOKEN, USER | TOKEN, {"kubeflow-userid": ""})

PROFILES = {"app.kubernetes.io/part-of": "kubeflow-profile", "istio-injection": "enabled"}
GATEWAY_ACCOUNT = "istio-ingressgateway-workload-service-account"

CALLERS: dict[str, Pod | None] = {
    "gateway": Pod("", {"istio": "ingressgateway"}, GATEWAY_ACCOUNT, sidecar=True),
    "platform": Pod(MODEL, {"app": "mlflow"}, "mlflow", sidecar=True),
    "platform, no sidecar": Pod(MODEL, {"app": "mysql"}, "mysql"),
    "profile": Pod("alice", {"app": "nb"}, "default-editor", sidecar=True),
    "profile, no sidecar": Pod("alice", {"app": "nb"}, "default-editor"),
    "elsewhere": Pod("somewhere", {"app": "x"}, sidecar=True),
    "elsewhere, no sidecar": Pod("somewhere", {"app": "x"}),
    "API server": None,
}
"""Who asks; the namespace of the gateway is the platform's choice."""


Allows = Callable[[Request], bool]


@dataclass(frozen=True)
class Port:
    """A port of a pod of ours: `name` says how it is reached."""

    name: str
    target: Pod
    number: int


class Platform:
    """All charms' objects in one cluster, with two profiles.

    Args:
        objects: what the charms want.
        root: Istio's root namespace.
        gateway: the namespace in which the gateway runs.
        theirs: objects of others, as the profile controller makes them.
    """

    def __init__(
        self, objects: Iterable[Manifest], *, root: str, gateway: str, theirs: Iterable[Manifest] = ()
    ):
        self.objects = list(objects)
        names = {MODEL, gateway, root, "somewhere"}
        namespaces = {name: {"kubernetes.io/metadata.name": name} for name in names}
        for name in ("alice", "mallory"):
            namespaces[name] = {"kubernetes.io/metadata.name": name, **PROFILES}
        self.cluster = Cluster((*self.objects, *theirs), namespaces, root)
        self.gateway = Pod(gateway, {"istio": "ingressgateway"}, GATEWAY_ACCOUNT, sidecar=True)
        self.pods = {d["metadata"]["name"]: pod_of(d) for d in self.objects if d["kind"] == "Deployment"}

    def ports(self) -> Iterator[Port]:
        """Yield the ports of Services, and of pods those that no Service leads to: the last stands for all
        that a container does not even name.
        """
        served = set()
        for service in (each for each in self.objects if each["kind"] == "Service"):
            name, spec = service["metadata"]["name"], service["spec"]
            (workload,) = self.selected(spec["selector"])
            for port in spec["ports"]:
                number = self.pods[workload].ports.get(str(port["targetPort"]), port["targetPort"])
                served.add((workload, number))
                yield Port(f"{name}:{port['port']}", self.pods[workload], int(number))
        for workload, pod in self.pods.items():
            for number in sorted({*pod.ports.values()} - {n for w, n in served if w == workload}):
                yield Port(f"pod {workload}:{number}", pod, number)
            yield Port(f"pod {workload}:*", pod, 1)

    def selected(self, selector: dict[str, str]) -> list[str]:
        """Return the workloads of ours whose pods a Service leads to."""
        return [name for name, pod in self.pods.items() if selector.items() <= pod.labels.items()]

    def mesh(self, port: Port) -> dict[str, str]:
        """Return caller to answer, where a cluster's network enforces no policies."""
        return self._answers(port, self.cluster.mesh_allows)

    def network(self, port: Port) -> dict[str, str]:
        """Return caller to answer, where a pod's sidecar is away or gone around."""
        return self._answers(port, self.cluster.network_allows)

    def both(self, port: Port) -> dict[str, str]:
        """Return caller to answer."""
        return self._answers(port, self.cluster.allows)

    def _answers(self, port: Port, allows: Allows) -> dict[str, str]:
        """Return caller to answer; who is refused is left out.

        Programs of ours are named where the rest of the platform is answered otherwise.
        """
        callers = CALLERS | {"gateway": self.gateway}
        found = {name: answer(caller, port, allows) for name, caller in callers.items()}
        for name, pod in self.pods.items():
            usual = found["platform" if pod.sidecar else "platform, no sidecar"]
            if (other := answer(pod, port, allows)) != usual:
                found[name] = other
        return {name: let_in for name, let_in in found.items() if let_in}


def answer(caller: Pod | None, port: Port, allows: Allows) -> str:
    """Return with which headers a caller is let in; empty if with none."""
    if caller is None:  # it speaks TLS with the program itself
        return ANY if allows(Request(None, port.target, port.number, http=False)) else ""
    let_in = tuple(allows(Request(caller, port.target, port.number, headers)) for headers in HEADERS)
    without = tuple("kubeflow-userid" not in each for each in HEADERS)
    known = {(True,) * len(HEADERS): ANY, without: NO_USER, (False,) * len(HEADERS): ""}
    return known.get(
        let_in, f"with {[sorted(each) for yes, each in zip(let_in, HEADERS, strict=True) if yes]}"
    )


def pod_of(workload: Manifest) -> Pod:
    """Return the pod that a Deployment makes."""
    template = workload["spec"]["template"]
    metadata, spec = template["metadata"], template["spec"]
    ports = itertools.chain.from_iterable(each.get("ports", ()) for each in spec["containers"])
    return Pod(
        workload["metadata"]["namespace"],
        metadata["labels"],
        spec["serviceAccountName"],
        sidecar=metadata["labels"].get("sidecar.istio.io/inject") == "true",
        annotations=metadata.get("annotations", {}),
        ports={port["name"]: port["containerPort"] for port in ports},
    )
