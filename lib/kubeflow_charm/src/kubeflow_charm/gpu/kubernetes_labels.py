"""Label keys, label values and extended resources, by the rules of Kubernetes.

From Kubernetes v1.36: apimachinery/pkg/util/validation (IsQualifiedName, IsValidLabelValue,
IsDNS1123Subdomain, IsDNS1123Label) and pkg/apis/core/v1/helper (IsExtendedResourceName).
"""

from __future__ import annotations

import re
from typing import Annotated

import pydantic

_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_DOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def _label_key(value: str) -> str:
    prefix, slash, name = value.rpartition("/")
    if not _NAME.fullmatch(name) or (slash and not (len(prefix) <= 253 and _DOMAIN.fullmatch(prefix))):
        raise ValueError(f"{value[:70]!r} is not a label's key")
    return value


def _label_value(value: str) -> str:
    if value and not _NAME.fullmatch(value):
        raise ValueError(f"{value[:70]!r} is not a label's value")
    return value


def _domain_name(value: str) -> str:
    if len(value) > 253 or not _DOMAIN.fullmatch(value):
        raise ValueError(f"{value[:70]!r} is not a domain name in lower case")
    return value


def _namespace(value: str) -> str:
    if len(value) > 63 or "." in value or not _DOMAIN.fullmatch(value):
        raise ValueError(f"{value[:70]!r} is not a namespace")
    return value


def _extended_resource(value: str) -> str:
    prefix, _, name = value.partition("/")
    domain_is_free = prefix and _DOMAIN.fullmatch(prefix) and not re.search(r"(^|\.)kubernetes\.io$", prefix)
    if not (domain_is_free and _NAME.fullmatch(name)) or value.startswith("requests."):
        raise ValueError(f"{value[:70]!r} is not an extended resource, such as nvidia.com/gpu")
    return value


LabelKey = Annotated[str, pydantic.AfterValidator(_label_key)]
LabelValue = Annotated[str, pydantic.AfterValidator(_label_value)]
DomainName = Annotated[str, pydantic.AfterValidator(_domain_name)]
Namespace = Annotated[str, pydantic.AfterValidator(_namespace)]
ExtendedResource = Annotated[str, pydantic.AfterValidator(_extended_resource)]
"""`<domain>/<name>`: the name that a device plugin gives its devices."""
