"""Policies that place the pods of controllers which know nothing of taints: trials, training jobs, JobSets.

Users write the pods of such controllers deep inside other objects. So the API server itself places them, when
it creates the pod, by a policy (`webhooks/pod_policies.py`) that sees what the pod asks for:

- A pod that asks for a device gets the tolerations of the pools that have it.
- A pod that asks for none prefers nodes without GPUs, unless it has a preference for nodes of its own. If
  every node of the cluster has a taint, it also gets the tolerations that every pod gets by default.

The policy adds, and never changes: a pod keeps its own tolerations and gets none for a key that it has.
Lists of tolerations and of preferences are atomic in server-side apply, so that an ApplyConfiguration may not
touch them (k8s.io/api v0.36, core/v1/types.go, `+listType=atomic`); a JSONPatch may. The API server may call
the policy again after a webhook, and several policies may select one pod: none of them then adds anything
twice.

The API server runs mutating policies before mutating webhooks (kubernetes v1.36,
pkg/kubeapiserver/options/plugins.go). So the PodDefaults webhook sees our tolerations as the pod's own; see
`tolerations.py` for the spelling, on which both agree.

Where the API server does not have such policies, PodDefaults are the substitute. They cannot see what a pod
asks for, and have no affinity: every selected pod tolerates the taints, and may run on a GPU's node. They
select by the value of a label only, because the web apps for notebooks and TensorBoards fail on a PodDefault
without `matchLabels` (kubeflow/kubeflow v1.10.0, components/crud-web-apps/jupyter/backend/apps/common/
routes/get.py). Pods of Jobs have no such label: their user gives them that of a pool's PodDefault
(`placement.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from kubeflow_charm.cluster.resources import Manifest
from kubeflow_charm.gpu import placement
from kubeflow_charm.gpu.pools import Gpus
from kubeflow_charm.problems import blocked
from kubeflow_charm.webhooks.pod_policies import pod_policy

_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"

_LONGEST = 100_000
"""Characters of an expression that the API server compiles: some 600 taints with keys of a usual length
(github.com/google/cel-go v0.26, parser/options.go, `expressionSizeCodePointLimit`)."""


def pod_policies(name: str, gpus: Gpus, labels: Manifest, served: bool) -> list[Manifest]:
    """Return what places the pods of profiles on GPUs, or off them; nothing if the cluster has no GPUs.

    Args:
        name: of the objects: no other object of the cluster has it. A charm with several selectors needs
            several names.
        gpus: the cluster's GPUs.
        labels: a LabelSelector that selects the pods.
        served: whether the API server has such policies, by `cluster.serves(webhooks.pod_policies.POLICY)`.

    Returns:
        With `served`, a policy and its binding: the application's own objects. Without, PodDefaults without
        a namespace, for the resource dispatcher: one for `matchLabels`, or one for each value of the first
        `matchExpressions` with the operator In; none if there is neither.

    Raises:
        Problem: if the nodes have too many taints or models for a policy.
    """
    if not gpus.pools:
        return []
    if served:
        return _policy(name, gpus, labels)
    return list(_pod_defaults(name, gpus, labels)) if gpus.tolerated else []


def _policy(name: str, gpus: Gpus, labels: Manifest) -> list[Manifest]:
    variables = _variables(gpus)
    if any(len(text) > _LONGEST for text in variables.values()):
        raise blocked(
            "too many taints or GPU models for one policy", "set gpu-taints=none or gpu-discovery=false"
        )
    patches = (_ADD_TOLERATIONS, _ADD_PREFERENCE)
    return pod_policy(name, patches, selector=labels, variables=variables, again=True)


def _pod_defaults(name: str, gpus: Gpus, labels: Manifest) -> Iterator[Manifest]:
    if labels.get("matchLabels"):
        yield _pod_default(name, gpus, labels)
        return
    expressions = labels.get("matchExpressions") or []
    listing = next((each for each in expressions if each["operator"] == "In"), None)  # codespell:ignore
    if listing is None:
        return
    others = [each for each in expressions if each is not listing]
    for value in listing["values"]:
        selector: Manifest = {"matchLabels": {listing["key"]: value}}
        if others:
            selector["matchExpressions"] = others
        yield _pod_default(f"{name}-{value.lower().replace('_', '-')}", gpus, selector)


def _pod_default(name: str, gpus: Gpus, selector: Manifest) -> Manifest:
    ((label, value), *_) = selector["matchLabels"].items()
    return {
        "apiVersion": "kubeflow.org/v1alpha1",
        "kind": "PodDefault",
        "metadata": {"name": name},
        "spec": {
            "desc": f"Run on GPUs (by itself on pods with {label}={value})",
            "selector": selector,
            "tolerations": gpus.tolerations,
        },
    }


# The expressions, in CEL

_ASKED = """\
variables.keys.map(resource, resource).filter(resource, variables.amounts.exists(amounts,
  resource in amounts && quantity(amounts[resource]).isGreaterThan(quantity('0'))))"""
"""The pools' resources that any container asks for; an amount of 0 asks for nothing."""

_AMOUNTS = " + ".join(
    f"object.spec.{containers}.map(each, each.?resources.?{amounts}.orValue({{}}))"
    for containers in ("?containers.orValue([])", "?initContainers.orValue([])")
    for amounts in ("limits", "requests")
)
"""What each container asks for."""

_OWN = "object.spec.?tolerations.orValue([]).map(each, each.?key.orValue(''))"
"""The keys that the pod tolerates already."""

_MISSING = """\
variables.tolerations.filter(each, !(each.key in variables.own) && (variables.asked.size() == 0
  ? each.key in variables.otherwise
  : variables.asked.exists(resource, each.key in variables.keys[resource])))"""
"""The tolerations that the pod needs and does not have."""

_ADD_TOLERATIONS = """\
(has(object.spec.tolerations) || variables.missing.size() == 0
  ? [] : [JSONPatch{op: "add", path: "/spec/tolerations", value: []}])
+ variables.missing.map(each, JSONPatch{op: "add", path: "/spec/tolerations/-", value: each})"""

_NODE_AFFINITY = "/spec/affinity/nodeAffinity"
_ADD_PREFERENCE = f"""\
variables.asked.size() > 0 || object.spec.?affinity.?nodeAffinity.?{_PREFERRED}.orValue([]).size() > 0 ? [] :
(object.spec.?affinity.hasValue()
  ? [] : [JSONPatch{{op: "add", path: "/spec/affinity", value: {{}}}}])
+ (object.spec.?affinity.?nodeAffinity.hasValue()
  ? [] : [JSONPatch{{op: "add", path: "{_NODE_AFFINITY}", value: {{}}}}])
+ [JSONPatch{{op: "add", path: "{_NODE_AFFINITY}/{_PREFERRED}", value: variables.preferred}}]"""


def _variables(gpus: Gpus) -> Mapping[str, str]:
    """Return the variables of the policy, in the order of their use."""
    keys = _keys(gpus)
    needed = {key for each in keys.values() for key in each}
    otherwise = sorted(each.key for each in gpus.tolerated) if gpus.tainted_only else []
    written = [each.manifest for each in gpus.tolerated if each.key in needed.union(otherwise)]
    preferred = placement.away_from(gpus)["nodeAffinity"][_PREFERRED]
    return {
        "keys": json.dumps(keys),
        "otherwise": json.dumps(otherwise),
        "tolerations": json.dumps(written),
        "preferred": _literal(preferred),
        "amounts": _AMOUNTS,
        "asked": _ASKED,
        "own": _OWN,
        "missing": _MISSING,
    }


def _keys(gpus: Gpus) -> Mapping[str, list[str]]:
    """Return the keys of the taints on the nodes of each resource."""
    found: dict[str, set[str]] = {pool.resource: set() for pool in gpus.pools}
    for pool in gpus.pools:
        found[pool.resource] |= {each.key for each in pool.tolerated}
    return {resource: sorted(found[resource]) for resource in sorted(found)}


def _literal(value: Any) -> str:
    """Return a value of JSON as CEL writes it: a map whose values have several types needs `dyn`."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{json.dumps(key)}: dyn({_literal(each)})' for key, each in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    return json.dumps(value)
