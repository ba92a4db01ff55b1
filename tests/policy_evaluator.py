"""Who may reach whom: what Istio's AuthorizationPolicies and Kubernetes' NetworkPolicies say of one request.

Pure: documents in, an answer out. What is not modelled is refused loudly (`NotImplementedError`), so that no
policy is taken for less than it says.

Facts: istio.io, reference/config/security/authorization-policy (order of actions, root namespace, matches of
values, letters of hosts in either case) and reference/config/security/conditions; istio/istio, pilot/pkg/security/authz/model (a rule of an ALLOW
policy that speaks of HTTP says nothing of other traffic; a DENY policy forgets those fields) and
pilot/pkg/networking/core (`traffic.sidecar.istio.io/excludeInboundPorts` leaves ports to the program). Kubernetes'
documentation of NetworkPolicies, and its API reference of `NetworkPolicySpec`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rehearsal.players import selectors

Document = Mapping[str, Any]

EXCLUDED_PORTS = "traffic.sidecar.istio.io/excludeInboundPorts"
DRY_RUN = "istio.io/dry-run"


@dataclass(frozen=True)
class Pod:
    """One end of a request."""

    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)
    account: str = "default"
    sidecar: bool = False
    annotations: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    """Name of a container's port to its number."""

    @property
    def principal(self) -> str:
        """The identity in the mesh, where the pod is in it."""
        return f"cluster.local/ns/{self.namespace}/sa/{self.account}"


@dataclass(frozen=True)
class Request:
    """One request, as the pod that is asked sees it.

    Args:
        source: who asks; None for what is no pod, such as the API server.
        target: the pod that is asked.
        port: the number of the pod's own port.
        headers: of HTTP, by their names in small letters.
        http: whether Envoy can read it: not if it is other TCP, or TLS that ends in the program.
    """

    source: Pod | None
    target: Pod
    port: int
    headers: Mapping[str, str] = field(default_factory=dict)
    http: bool = True
    method: str = "GET"
    path: str = "/"

    @property
    def principal(self) -> str | None:
        """The caller's identity, which only two sidecars can agree upon; None if there is none."""
        known = self.source is not None and self.source.sidecar and self.target.sidecar
        return self.source.principal if known and self.source else None


@dataclass(frozen=True)
class Cluster:
    """The policies of a cluster, and what they are about.

    Args:
        policies: AuthorizationPolicies and NetworkPolicies; other documents are passed over.
        namespaces: name to labels of each namespace.
        root: Istio's root namespace, whose policies hold in all of them.
    """

    policies: tuple[Document, ...]
    namespaces: Mapping[str, Mapping[str, str]]
    root: str

    def allows(self, request: Request) -> bool:
        """Return whether both the network and the mesh let a request through."""
        return self.network_allows(request) and self.mesh_allows(request)

    # Istio

    def mesh_allows(self, request: Request) -> bool:
        """Return what the sidecar of the pod that is asked says; without one, nobody is refused."""
        target = request.target
        excluded = target.annotations.get(EXCLUDED_PORTS, "").split(",")
        if not target.sidecar or str(request.port) in map(str.strip, excluded):
            return True
        specs = [policy.get("spec") or {} for policy in self.policies if self._concerns(policy, target)]
        by_action: dict[str, list[Document]] = {"ALLOW": [], "DENY": []}
        for spec in specs:
            action = spec.get("action", "ALLOW")
            if action not in by_action:
                raise NotImplementedError(f"action {action}")
            by_action[action].append(spec)
        if any(_policy_matches(spec, request, "DENY") for spec in by_action["DENY"]):
            return False
        allowing = by_action["ALLOW"]
        return not allowing or any(_policy_matches(spec, request, "ALLOW") for spec in allowing)

    def _concerns(self, policy: Document, pod: Pod) -> bool:
        if policy["kind"] != "AuthorizationPolicy":
            return False
        if DRY_RUN in policy["metadata"].get("annotations", {}):
            raise NotImplementedError(DRY_RUN)  # such a policy decides nothing
        spec = policy.get("spec") or {}
        _known(spec, {"action", "selector", "rules"})
        where = policy["metadata"]["namespace"]
        selector = spec.get("selector") or {}
        _known(selector, {"matchLabels"})
        return where in (self.root, pod.namespace) and _has(pod.labels, selector.get("matchLabels") or {})

    # Kubernetes

    def network_allows(self, request: Request) -> bool:
        """Return what the network says, where it enforces NetworkPolicies; a pod that none selects is open."""
        specs = [policy["spec"] for policy in self.policies if _selects(policy, request.target)]
        rules = [rule for spec in specs for rule in spec.get("ingress") or ()]
        return not specs or any(self._admits(rule, request) for rule in rules)

    def _admits(self, rule: Document, request: Request) -> bool:
        _known(rule, {"from", "ports"})
        ports, peers = rule.get("ports"), rule.get("from")
        return (not ports or any(_is_port(port, request) for port in ports)) and (
            not peers or any(self._is_peer(peer, request) for peer in peers)
        )

    def _is_peer(self, peer: Document, request: Request) -> bool:
        _known(peer, {"namespaceSelector", "podSelector"})
        source = request.source
        if source is None:
            return False  # selectors know pods only
        namespaces = peer.get("namespaceSelector")
        if namespaces is None:
            here = source.namespace == request.target.namespace
        else:
            here = _selected(self.namespaces[source.namespace], namespaces)
        return here and _selected(source.labels, peer.get("podSelector") or {})


def _policy_matches(spec: Document, request: Request, action: str) -> bool:
    return any(_rule_matches(rule, request, action) for rule in spec.get("rules") or ())


def _rule_matches(rule: Document, request: Request, action: str) -> bool:
    """Whether a rule is about a request: every clause it has is. An empty one is about all."""
    _known(rule, {"from", "to", "when"})
    sources = [each["source"] for each in rule.get("from") or ()]
    operations = [each["operation"] for each in rule.get("to") or ()]
    conditions = rule.get("when") or ()
    if not request.http:
        of_http = [
            *(key for operation in operations for key in operation if key not in ("ports", "notPorts")),
            *(each["key"] for each in conditions if each["key"].startswith("request.")),
        ]
        if of_http and action == "ALLOW":
            return False
        operations = [{k: v for k, v in each.items() if k in ("ports", "notPorts")} for each in operations]
        conditions = [each for each in conditions if not each["key"].startswith("request.")]
    return (
        (not sources or any(_all_fields(each, _source(request)) for each in sources))
        and (not operations or any(_all_fields(each, _operation(request)) for each in operations))
        and all(_condition_holds(each, request) for each in conditions)
    )


def _source(request: Request) -> dict[str, str | None]:
    namespace = request.source.namespace if request.source and request.principal else None
    return {"principals": request.principal, "namespaces": namespace}


def _operation(request: Request) -> dict[str, str | None]:
    host = request.headers.get("host", "").lower()
    return {"ports": str(request.port), "methods": request.method, "paths": request.path, "hosts": host}


def _all_fields(wanted: Document, found: Mapping[str, str | None]) -> bool:
    """Whether all fields of a source or an operation agree: `ports` as well as `notPorts`."""
    for name, values in wanted.items():
        positive = name[3].lower() + name[4:] if name.startswith("not") else name
        if positive not in found:
            raise NotImplementedError(f"field {name}")
        if positive == "paths" and any("{" in value for value in values):
            raise NotImplementedError(f"templates in {name}")
        if positive == "hosts":
            values = [value.lower() for value in values]
        if _any_value(values, found[positive]) == name.startswith("not"):
            return False
    return True


def _condition_holds(condition: Document, request: Request) -> bool:
    _known(condition, {"key", "values", "notValues"})
    key = condition["key"]
    if key.startswith("request.headers[") and key.endswith("]"):
        found = request.headers.get(key[len("request.headers[") : -1].lower())
    elif key in ("source.principal", "source.namespace"):
        found = _source(request)[key.removeprefix("source.") + "s"]
    elif key == "destination.port":
        found = str(request.port)
    else:
        raise NotImplementedError(f"condition on {key}")
    values, not_values = condition.get("values"), condition.get("notValues")
    return (not values or _any_value(values, found)) and not (not_values and _any_value(not_values, found))


def _any_value(patterns: Iterable[str], found: str | None) -> bool:
    """Whether one of Istio's patterns fits: `*` whatever is there, `a*` a beginning, `*a` an end, `a` itself."""
    for pattern in patterns:
        if pattern == "*":
            fits = found is not None  # an empty header is one
        elif pattern.endswith("*"):
            fits = (found or "").startswith(pattern[:-1])
        elif pattern.startswith("*"):
            fits = (found or "").endswith(pattern[1:])
        else:
            fits = found == pattern
        if fits:
            return True
    return False


def _selects(policy: Document, pod: Pod) -> bool:
    """Whether a NetworkPolicy is about what comes into a pod."""
    if policy["kind"] != "NetworkPolicy":
        return False
    spec = policy["spec"]
    _known(spec, {"podSelector", "policyTypes", "ingress"})
    if spec.get("policyTypes", ["Ingress"]) != ["Ingress"]:
        raise NotImplementedError("policyTypes but Ingress")
    return policy["metadata"]["namespace"] == pod.namespace and _selected(pod.labels, spec["podSelector"])


def _is_port(wanted: Document, request: Request) -> bool:
    _known(wanted, {"port", "protocol"})
    if wanted.get("protocol", "TCP") != "TCP":
        return False
    port = wanted.get("port")
    number = request.target.ports.get(port) if isinstance(port, str) else port
    return port is None or number == request.port


def _selected(labels: Mapping[str, str], selector: Document) -> bool:
    """Whether a label selector of Kubernetes, the empty one included, selects what has these labels."""
    _known(selector, {"matchLabels", "matchExpressions"})
    return selectors.matches(selector, labels)


def _has(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in wanted.items())


def _known(document: Document, fields: set[str]) -> None:
    if unknown := document.keys() - fields:
        raise NotImplementedError(f"fields {', '.join(sorted(unknown))}")
