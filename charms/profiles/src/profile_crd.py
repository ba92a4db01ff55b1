"""The custom resource Profile: a namespace that belongs to a user, a group or a service account.

Fields and validations are those of kubeflow/kubeflow v1.10.0,
components/profile-controller/config/crd/bases/kubeflow.org_profiles.yaml, with the list and map types that
kubeflow/dashboard has added since. There are two differences.

The definition refuses a profile that the controller can never make: its name cannot be a namespace, its owner
cannot be the subject of a RoleBinding, or its quota cannot be a ResourceQuota. The checks are those of
Kubernetes (kubernetes/kubernetes v1.36.3, pkg/apis/core/validation and pkg/apis/rbac/validation). The owner
cannot change: a namespace belongs to its first owner, and the controller ignores a profile with another one.
Older profiles that break a rule stay usable.

`status` is not a subresource. The controller sets the condition `Failed` by an ordinary update
(controllers/profile_controller.go, appendErrorConditionAndReturn). With upstream's definition, the API server
drops the status of such an update. The controller adds the condition at each attempt, even if it exists, and
its own update triggers the next attempt. So the conditions are a set: the API server refuses the second one,
and the controller tries again with longer pauses.
"""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from kubeflow_charm import Manifest
from kubeflow_charm.definitions.crds import (
    Column,
    Embedded,
    Names,
    Version,
    at_most,
    atomic,
    definition,
    object_rules,
    rules,
)
from kubeflow_charm.definitions.embedded import QUANTITY
from kubeflow_charm.definitions.schemas import Schema

_ATOMIC = {"x-kubernetes-map-type": "atomic"}
_RBAC = "rbac.authorization.k8s.io"

_COUNTS = (
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
)
_COMPUTE = ("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory")
_STORAGE = (
    "ephemeral-storage",
    "requests.ephemeral-storage",
    "limits.ephemeral-storage",
    "requests.storage",
)
"""Resources that a quota may name without a prefix (standardQuotaResources)."""
_QUALIFIED = (
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
    r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
)

Amount = Annotated[
    int | str,
    pydantic.WithJsonSchema(
        QUANTITY | {"pattern": QUANTITY["pattern"].replace(r"(\+|-)?", r"\+?", 1), "minimum": 0}
    ),
]
"""A quantity that is not negative."""
Scope = Literal[
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
]


_SUBJECT = _ATOMIC | rules(
    (
        "!has(self.apiGroup) || self.apiGroup == '' "
        f"|| self.kind != 'ServiceAccount' && self.apiGroup == '{_RBAC}'",
        f"the apiGroup of a User or a Group is {_RBAC}, that of a ServiceAccount is empty",
    ),
    (
        "self.kind != 'ServiceAccount' || (self.name.size() <= 253 "
        "&& self.name.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$'))",
        "no service account can have that name",
    ),
)


class Subject(Schema, keywords=_SUBJECT):
    """The owner of the profile (rbac/v1 Subject)."""

    api_group: Annotated[str, pydantic.Field(max_length=253)] | None = None
    kind: Literal["User", "Group", "ServiceAccount"]
    name: Annotated[str, pydantic.Field(min_length=1, max_length=1024)]
    namespace: str | None = None


class Plugin(Schema):
    """An addition of a cloud to the profile, such as a workload identity."""

    api_version: str | None = None
    kind: str | None = None
    spec: Embedded | None = None


_FEW = pydantic.Field(max_length=16)

_SCOPED = rules(
    (
        "self.operator in ['In', 'NotIn'] ? (has(self.values) && self.values.size() > 0) "
        ": (!has(self.values) || self.values.size() == 0)",
        "In and NotIn want values, Exists and DoesNotExist have none",
    ),
    (
        "self.operator == 'Exists' || self.scopeName in ['PriorityClass', 'VolumeAttributesClass']",
        "the operator of this scope must be Exists",
    ),
)


class ScopeRequirement(Schema, keywords=_SCOPED):
    """One condition on the scope of the objects that a quota counts."""

    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    scope_name: Scope
    values: Annotated[list[str], atomic()] | None = None


class ScopeSelector(Schema, keywords=_ATOMIC):
    """All conditions on the scope of the objects that a quota counts."""

    match_expressions: Annotated[list[ScopeRequirement], atomic(), _FEW] | None = None


def _listed(names: tuple[str, ...]) -> str:
    """Return names as a list in CEL."""
    return "[" + ", ".join(f"'{name}'" for name in names) + "]"


_RESOURCES = rules(
    (
        "self.all(k, k.contains('/') || k.startsWith('hugepages-') || k.startsWith('requests.hugepages-') "
        f"|| k in {_listed((*_COMPUTE, *_STORAGE, *_COUNTS))})",
        "a quota takes names like cpu, requests.memory, limits.cpu, pods, requests.nvidia.com/gpu, "
        "count/jobs.batch",
    ),
    (
        f"self.all(k, k.size() <= 317 && k.matches('{_QUALIFIED}'))",
        "a resource has letters, digits, dots and dashes, and at most one slash, after its domain",
    ),
    (
        f"{_listed(_COUNTS)}.all(k, !(k in self) || [quantity(string(self[k])).asApproximateFloat()]"
        ".all(n, n == double(int(n))))",
        "objects are counted in whole numbers",
    ),
)
Hard = Annotated[dict[str, Amount], pydantic.Field(max_length=128, json_schema_extra=_RESOURCES)]
"""Resources, and the limit of each."""


_ALL_SCOPES = (
    "((has(self.scopes) ? self.scopes : []) + (has(self.scopeSelector) "
    "&& has(self.scopeSelector.matchExpressions) "
    "? self.scopeSelector.matchExpressions.map(e, e.scopeName) : []))"
)
_QUOTA = rules(
    (
        f"!has(self.hard) || {_ALL_SCOPES}.all(s, self.hard.all(k, "
        f"!(k in {_listed((*_COMPUTE, *_STORAGE, *_COUNTS))}) || k in ("
        "s == 'BestEffort' ? ['pods'] : s == 'VolumeAttributesClass' "
        "? ['persistentvolumeclaims', 'requests.storage'] "
        f": {_listed((*_COMPUTE, 'pods'))})))",
        "scopes of pods limit pods, cpu and memory, BestEffort only pods, VolumeAttributesClass claims",
    ),
    *(
        (
            f"!({_ALL_SCOPES}.exists(s, s == '{scope}') && {_ALL_SCOPES}.exists(s, s == 'Not{scope}'))",
            f"{scope} and Not{scope} exclude each other",
        )
        for scope in ("BestEffort", "Terminating")
    ),
)


class ResourceQuotaSpec(Schema, keywords=_QUOTA):
    """The quota of the profile's namespace (core/v1 ResourceQuotaSpec)."""

    hard: Hard | None = None
    scope_selector: ScopeSelector | None = None
    scopes: Annotated[list[Scope], atomic(), _FEW] | None = None


class ProfileSpec(Schema):
    """The wanted profile."""

    owner: Subject | None = None
    plugins: list[Plugin] | None = None
    resource_quota_spec: ResourceQuotaSpec | None = None


class ProfileCondition(Schema, keywords=_ATOMIC):
    """One statement of the controller about the profile."""

    message: str | None = None
    status: str | None = None
    type: Annotated[str, pydantic.Field(max_length=64)] | None = None


_SET = pydantic.Field(max_length=32, json_schema_extra={"x-kubernetes-list-type": "set"})


class ProfileStatus(Schema):
    """The state of the profile."""

    conditions: Annotated[list[ProfileCondition], _SET] | None = None


_OWNED = "has(self.spec) && has(self.spec.owner)"
_RULES = object_rules((_OWNED, "spec.owner must be there"))
_RULES["x-kubernetes-validations"] += rules(
    (
        "!has(oldSelf.spec) || !has(oldSelf.spec.owner) "
        f"|| {_OWNED} && self.spec.owner.name == oldSelf.spec.owner.name "
        "|| has(oldSelf.status) && has(oldSelf.status.conditions) "
        "&& oldSelf.status.conditions.exists(c, has(c.type) && c.type == 'Failed')",
        "the owner cannot change, since the namespace was made for it: make another profile",
    )
)["x-kubernetes-validations"]
"""A failed profile may change its owner, to take back an earlier change."""


class Profile(Schema, keywords=_RULES):
    """A namespace with an owner."""

    spec: ProfileSpec | None = None
    status: ProfileStatus | None = None


def profile_definition() -> Manifest:
    """Return the CustomResourceDefinition of Profile: v1 is stored, v1beta1 has the same fields."""
    columns = (
        Column("Owner", "string", ".spec.owner.name", "Whom it belongs to"),
        Column("Failed", "string", '.status.conditions[?(@.type=="Failed")].message', "Why it is not made"),
        Column("Age", "date", ".metadata.creationTimestamp"),
    )
    versions = [
        Version("v1", Profile, storage=True, status=False, columns=columns),
        Version("v1beta1", Profile, status=False, columns=columns),
    ]
    names = Names("Profile", "profiles", "kubeflow.org", objects=at_most(63))
    return definition(names, versions, namespaced=False)
