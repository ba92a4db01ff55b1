"""The specification of a HTTPRoute of the Gateway API, which LLMInferenceServices embed.

Fields and validations are those of kserve v0.16.0, config/crd/full/llmisvc/
serving.kserve.io_llminferenceservices.yaml (Gateway API v1.2, experimental channel).
"""

from __future__ import annotations

# Models have no instances, so that a field may become another type.
# pyright: reportIncompatibleVariableOverride=false
from typing import Annotated, Any, Literal

import pydantic
from inference_pool_schemas import ObjectGroup, ObjectKind, ObjectName, Port

from kubeflow_charm.definitions.crds import rules
from kubeflow_charm.definitions.embedded import Int32
from kubeflow_charm.definitions.schemas import Schema

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
Namespace = Annotated[str, pydantic.Field(min_length=1, max_length=63, pattern=rf"^{_LABEL}$")]
Section = Annotated[str, pydantic.Field(min_length=1, max_length=253, pattern=rf"^{_LABEL}(\.{_LABEL})*$")]
Hostname = Annotated[
    str, pydantic.Field(min_length=1, max_length=253, pattern=rf"^(\*\.)?{_LABEL}(\.{_LABEL})*$")
]
Duration = Annotated[str, pydantic.Field(pattern=r"^([0-9]{1,5}(h|m|s|ms)){1,4}$")]
HeaderName = Annotated[
    str, pydantic.Field(min_length=1, max_length=256, pattern=r"^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$")
]
HeaderText = Annotated[str, pydantic.Field(min_length=1, max_length=4096)]
FilterType = Literal[
    "RequestHeaderModifier",
    "ResponseHeaderModifier",
    "RequestMirror",
    "RequestRedirect",
    "URLRewrite",
    "ExtensionRef",
]
Method = Literal["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]
MatchType = Literal["Exact", "RegularExpression"]


def _at_most(number: int, keywords: dict[str, Any] | None = None) -> Any:
    """Return the field of a list with a number of entries at most."""
    return pydantic.Field(json_schema_extra={"maxItems": number} | (keywords or {}))


class ParentRef(Schema):
    """The Gateway of a route."""

    group: ObjectGroup = "gateway.networking.k8s.io"
    kind: ObjectKind = "Gateway"
    name: ObjectName
    namespace: Namespace | None = None
    port: Port | None = None
    section_name: Section | None = None


_SERVICE_PORT = rules(
    (
        "(size(self.group) == 0 && self.kind == 'Service') ? has(self.port) : true",
        "Must have port for Service reference",
    )
)


class ObjectRef(Schema):
    """An object of the namespace."""

    group: ObjectGroup
    kind: ObjectKind
    name: ObjectName


class Header(Schema):
    """A header and its value."""

    name: HeaderName
    value: HeaderText


_NAMED = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
Headers = Annotated[list[Header] | None, _at_most(16, _NAMED)]


class HeaderModifier(Schema):
    """Headers that are added, removed or set."""

    add: Headers = None
    remove: Annotated[set[str] | None, _at_most(16)] = None
    set_: Headers = pydantic.Field(default=None, alias="set")


class BackendRef(Schema, keywords=_SERVICE_PORT):
    """A Service, or something like one."""

    group: ObjectGroup = ""
    kind: ObjectKind = "Service"
    name: ObjectName
    namespace: Namespace | None = None
    port: Port | None = None


class Fraction(
    Schema,
    keywords=rules(
        ("self.numerator <= self.denominator", "numerator must be less than or equal to denominator")
    ),
):
    """A share of requests."""

    denominator: Annotated[Int32, pydantic.Field(ge=1)] = 100
    numerator: Annotated[Int32, pydantic.Field(ge=0)]


class Mirror(Schema):
    """Where requests are mirrored to."""

    backend_ref: BackendRef
    fraction: Fraction | None = None
    percent: Annotated[Int32 | None, pydantic.Field(ge=0, le=100)] = None


def _replacing(way: str) -> tuple[tuple[str, str], ...]:
    field = way[0].lower() + way[1:]
    return (
        (
            f"self.type == '{way}' ? has(self.{field}) : true",
            f"{field} must be specified when type is set to '{way}'",
        ),
        (f"has(self.{field}) ? self.type == '{way}' : true", f"type must be '{way}' when {field} is set"),
    )


class FreePathModifier(Schema):
    """How a path is replaced, without a check."""

    replace_full_path: Annotated[str | None, pydantic.Field(max_length=1024)] = None
    replace_prefix_match: Annotated[str | None, pydantic.Field(max_length=1024)] = None
    type: Literal["ReplaceFullPath", "ReplacePrefixMatch"]


class PathModifier(
    FreePathModifier, keywords=rules(*_replacing("ReplaceFullPath"), *_replacing("ReplacePrefixMatch"))
):
    """How a path is replaced."""


class Redirect(Schema):
    """Where a client is sent."""

    hostname: Section | None = None
    path: PathModifier | None = None
    port: Port | None = None
    scheme: Literal["http", "https"] | None = None
    status_code: Literal[301, 302] = 302


class Rewrite(Schema):
    """How an address is rewritten."""

    hostname: Section | None = None
    path: PathModifier | None = None


class FreeRewrite(Rewrite):
    """How an address is rewritten, whose path has variables."""

    path: FreePathModifier | None = None


def _only_with(kind: str) -> tuple[tuple[str, str], ...]:
    field = "urlRewrite" if kind == "URLRewrite" else kind[0].lower() + kind[1:]
    return (
        (
            f"!(has(self.{field}) && self.type != '{kind}')",
            f"filter.{field} must be nil if the filter.type is not {kind}",
        ),
        (
            f"!(!has(self.{field}) && self.type == '{kind}')",
            f"filter.{field} must be specified for {kind} filter.type",
        ),
    )


_KINDS = (
    "RequestHeaderModifier",
    "ResponseHeaderModifier",
    "RequestMirror",
    "RequestRedirect",
    "URLRewrite",
    "ExtensionRef",
)
_FILTER = rules(*(rule for kind in _KINDS for rule in _only_with(kind)))
_ONCE = ("RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite")
_FILTERS = rules(
    (
        "!(self.exists(f, f.type == 'RequestRedirect') && self.exists(f, f.type == 'URLRewrite'))",
        "May specify either httpRouteFilterRequestRedirect or httpRouteFilterRequestRewrite, but not both",
    ),
    *(
        (f"self.filter(f, f.type == '{kind}').size() <= 1", f"{kind} filter cannot be repeated")
        for kind in _ONCE
    ),
)


class Filter(Schema, keywords=_FILTER):
    """What happens to a request or an answer."""

    extension_ref: ObjectRef | None = None
    request_header_modifier: HeaderModifier | None = None
    request_mirror: Mirror | None = None
    request_redirect: Redirect | None = None
    response_header_modifier: HeaderModifier | None = None
    type: FilterType
    url_rewrite: Rewrite | None = None


class FreeFilter(Filter, keywords=_FILTER):
    """What happens to a request or an answer, if its path has variables."""

    url_rewrite: FreeRewrite | None = None


class WeightedBackend(BackendRef, keywords=_SERVICE_PORT):
    """Where a share of requests goes."""

    filters: Annotated[list[Filter] | None, _at_most(16, _FILTERS)] = None
    weight: Annotated[Int32, pydantic.Field(ge=0, le=1000000)] = 1


class HeaderMatch(Schema):
    """A header that a request has."""

    name: HeaderName
    type: MatchType = "Exact"
    value: HeaderText


class QueryMatch(Schema):
    """A parameter that a request has."""

    name: HeaderName
    type: MatchType = "Exact"
    value: Annotated[str, pydantic.Field(min_length=1, max_length=1024)]


_PLAIN = "(self.type in ['Exact','PathPrefix'])"
_TYPES = "when type one of ['Exact', 'PathPrefix']"
_CHARACTERS = r"^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$"
_PATH = rules(
    (
        f"{_PLAIN} ? self.value.startsWith('/') : true",
        f"value must be an absolute path and start with '/' {_TYPES}",
    ),
    *(
        (f"{_PLAIN} ? !self.value.contains('{text}') : true", f"must not contain '{text}' {_TYPES}")
        for text in ("//", "/./", "/../", "%2f", "%2F", "#")
    ),
    *(
        (f"{_PLAIN} ? !self.value.endsWith('{text}') : true", f"must not end with '{text}' {_TYPES}")
        for text in ("/..", "/.")
    ),
    (
        "self.type in ['Exact','PathPrefix'] || self.type == 'RegularExpression'",
        "type must be one of ['Exact', 'PathPrefix', 'RegularExpression']",
    ),
    (
        f'{_PLAIN} ? self.value.matches(r"""{_CHARACTERS}""") : true',
        f"must only contain valid characters (matching {_CHARACTERS}) for types ['Exact', 'PathPrefix']",
    ),
)
_ROOT: dict[str, Any] = {"type": "PathPrefix", "value": "/"}
_BY_DEFAULT: dict[str, Any] = {"default": _ROOT}


class FreePathMatch(Schema):
    """The path that a request has, without a check."""

    type: Literal["Exact", "PathPrefix", "RegularExpression"] = "PathPrefix"
    value: Annotated[str, pydantic.Field(max_length=1024)] = "/"


class PathMatch(FreePathMatch, keywords=_PATH):
    """The path that a request has."""


class FreeMatch(Schema):
    """What a request has, if its path has variables."""

    headers: Annotated[list[HeaderMatch] | None, _at_most(16, _NAMED)] = None
    method: Method | None = None
    path: Annotated[FreePathMatch | None, pydantic.Field(json_schema_extra=_BY_DEFAULT)] = None
    query_params: Annotated[list[QueryMatch] | None, _at_most(16, _NAMED)] = None


class Match(FreeMatch):
    """What a request has."""

    path: Annotated[PathMatch | None, pydantic.Field(json_schema_extra=_BY_DEFAULT)] = None


class Retry(Schema):
    """How often a request is repeated."""

    attempts: int | None = None
    backoff: Duration | None = None
    codes: list[Annotated[int, pydantic.Field(ge=400, le=599)]] | None = None


class Cookie(Schema):
    """How long a cookie lasts."""

    lifetime_type: Literal["Permanent", "Session"] = "Session"


class SessionPersistence(
    Schema,
    keywords=rules(
        (
            "!has(self.cookieConfig) || !has(self.cookieConfig.lifetimeType) || "
            "self.cookieConfig.lifetimeType != 'Permanent' || has(self.absoluteTimeout)",
            "AbsoluteTimeout must be specified when cookie lifetimeType is Permanent",
        )
    ),
):
    """How requests of a session stay together."""

    absolute_timeout: Duration | None = None
    cookie_config: Cookie | None = None
    idle_timeout: Duration | None = None
    session_name: Annotated[str | None, pydantic.Field(max_length=128)] = None
    type: Literal["Cookie", "Header"] = "Cookie"


class Timeouts(
    Schema,
    keywords=rules(
        (
            "!(has(self.request) && has(self.backendRequest) && duration(self.request) != duration('0s') && "
            "duration(self.backendRequest) > duration(self.request))",
            "backendRequest timeout cannot be longer than request timeout",
        )
    ),
):
    """How long a request may take."""

    backend_request: Duration | None = None
    request: Duration | None = None


def _one_prefix(where: str, kind: str, modifier: str) -> tuple[str, str]:
    """Return the rule that a filter which replaces a prefix has one prefix to replace."""
    replaces = (
        f"f, has(f.{modifier}) && has(f.{modifier}.path) && "
        f"f.{modifier}.path.type == 'ReplacePrefixMatch' && has(f.{modifier}.path.replacePrefixMatch)"
    )
    found = f"has(self.filters) && self.filters.exists_one({replaces})"
    if where:
        within = f"has(b.filters) && b.filters.exists_one({replaces})"
        found = f"has(self.backendRefs) && self.backendRefs.exists_one(b, ({within}) )"
    rule = (
        f"({found}) ? ((size(self.matches) != 1 || !has(self.matches[0].path) || "
        "self.matches[0].path.type != 'PathPrefix') ? false : true) : true"
    )
    return rule, (
        f"{where}When using {kind} filter with path.replacePrefixMatch, exactly one PathPrefix match must be "
        "specified"
    )


_RULE = rules(
    (
        "(has(self.backendRefs) && size(self.backendRefs) > 0) ? "
        "(!has(self.filters) || self.filters.all(f, !has(f.requestRedirect))): true",
        "RequestRedirect filter must not be used together with backendRefs",
    ),
    _one_prefix("", "RequestRedirect", "requestRedirect"),
    _one_prefix("", "URLRewrite", "urlRewrite"),
    _one_prefix("Within backendRefs, ", "RequestRedirect", "requestRedirect"),
    _one_prefix("Within backendRefs, ", "URLRewrite", "urlRewrite"),
)
_MATCHES = {"maxItems": 64, "default": [{"path": _ROOT}]}


class Rule(Schema, keywords=_RULE):
    """Where requests of a kind go."""

    backend_refs: Annotated[list[WeightedBackend] | None, _at_most(16)] = None
    filters: Annotated[list[Filter] | None, _at_most(16, _FILTERS)] = None
    matches: Annotated[list[Match] | None, pydantic.Field(json_schema_extra=_MATCHES)] = None
    name: Section | None = None
    retry: Retry | None = None
    session_persistence: SessionPersistence | None = None
    timeouts: Timeouts | None = None


class FreeRule(Rule, keywords=_RULE):
    """Where requests go, whose paths have variables."""

    filters: Annotated[list[FreeFilter] | None, _at_most(16, _FILTERS)] = None
    matches: Annotated[list[FreeMatch] | None, pydantic.Field(json_schema_extra=_MATCHES)] = None


_SIZES = " + ".join(f"(self.size() > {n} ? self[{n}].matches.size() : 0)" for n in range(16))
_RULES = {"maxItems": 16, "default": [{"matches": [{"path": _ROOT}]}]} | rules(
    (
        f"{_SIZES} <= 128",
        "While 16 rules and 64 matches per rule are allowed, the total number of matches across all rules "
        "in a route must be less than 128",
    )
)


class HttpRouteSpec(Schema):
    """Which requests go where."""

    hostnames: Annotated[list[Hostname] | None, _at_most(16)] = None
    parent_refs: Annotated[list[ParentRef] | None, _at_most(32)] = None
    rules: Annotated[list[Rule] | None, pydantic.Field(json_schema_extra=_RULES)] = None


class FreeParentRef(ParentRef):
    """A Gateway whose namespace may be a variable."""

    namespace: Annotated[str | None, pydantic.Field(min_length=1, max_length=63)] = None


class FreeHttpRouteSpec(HttpRouteSpec):
    """Which requests go where: a template, with Go's variables in some places."""

    parent_refs: Annotated[list[FreeParentRef] | None, _at_most(32)] = None
    rules: Annotated[list[FreeRule] | None, pydantic.Field(json_schema_extra=_RULES)] = None
