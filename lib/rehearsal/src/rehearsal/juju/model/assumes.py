"""What a charm assumes of Juju and of the model: `assumes` and `min-juju-version` of its metadata.

Facts: juju/juju, core/assumes (sat_checker.go, featureset.go, error.go) and version/version.go
(CheckJujuMinVersion); juju/charm, assumes/parser.go.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterator, Mapping
from typing import Any

from rehearsal.juju.model.errors import JujuError

K8S_API = "k8s-api"
_GROUPS = {"any-of": "at least one", "all-of": "all"}
_FEATURE = re.compile(r"\s*([a-z][a-z0-9-]*[a-z0-9])\s*(?:(>=|<)\s*(\d+(?:\.\d+){0,2}(?:\.\d+)?))?\s*")
_COMPARE = {">=": operator.ge, "<": operator.lt}
_NAMES = {"juju": ("Juju", "has"), K8S_API: ("Kubernetes", "is running on")}


def check(metadata: Mapping[str, Any], features: Mapping[str, str]) -> None:
    """Refuse a charm whose assumptions do not hold.

    Args:
        metadata: of the charm.
        features: what the model has, by name: `juju`, `k8s-api`; with versions such as `3.6.9`.

    Raises:
        JujuError: in Juju's words.
    """
    wanted = str(metadata.get("min-juju-version") or "0")
    if _version(wanted) > _version(features["juju"]):
        raise JujuError(
            f"charm's min version ({_written(wanted)}) is higher than this juju model's version "
            f"({features['juju']})"
        )
    if unmet := [*_unmet(metadata.get("assumes"), features, "  ")]:
        raise JujuError("Charm cannot be deployed because:\n" + "\n".join(unmet))


def mentioned(assumes: Any) -> Iterator[str]:
    """Yield the name of each feature, also of those within `any-of` and `all-of`."""
    for each in assumes or ():
        if isinstance(each, dict):
            for group in each.values():
                yield from mentioned(group)
        elif found := _FEATURE.fullmatch(str(each)):
            yield found[1]


def misshapen(assumes: Any) -> Iterator[str]:
    """Yield what is wrong with the shape of `assumes`."""
    if assumes is None:
        return
    if not isinstance(assumes, list):
        yield "assumes: expected a list"
        return
    for each in assumes:
        if isinstance(each, dict):
            if len(each) != 1 or not each.keys() <= _GROUPS.keys():
                yield "assumes: expected any-of or all-of with a list"
            else:
                yield from misshapen(next(iter(each.values())))
        elif not _FEATURE.fullmatch(str(each)):
            yield f'assumes: malformed feature expression "{each}"'


def _unmet(assumes: Any, features: Mapping[str, str], indent: str) -> Iterator[str]:
    """Yield lines about what does not hold; nothing if all does."""
    for each in assumes or ():
        if isinstance(each, dict):
            ((kind, group),) = each.items()
            unmet = [[*_unmet([one], features, indent + "  ")] for one in group]
            holds = not all(unmet) if kind == "any-of" else not any(unmet)
            if not holds:
                yield f"{indent}- charm requires {_GROUPS[kind]} of the following:"
                yield from (line for lines in unmet for line in lines)
        elif why := _why_not(str(each), features):
            yield f"{indent}- {why}"


def _why_not(said: str, features: Mapping[str, str]) -> str:
    name, sign, wanted = _FEATURE.fullmatch(said).groups()  # type: ignore[union-attr] (`misshapen` has looked)
    if name not in features:
        if name == K8S_API:
            return "charm must be deployed on a Kubernetes cloud"
        return f'charm requires feature "{name}" but model does not support it'
    if not sign or _COMPARE[sign](_version(features[name]), _version(wanted)):
        return ""
    what, has = _NAMES[name]
    end = f"model {has} version {features[name]}"
    return f"charm requires {what} version {sign} {_written(wanted)}, {end}"


def _version(text: str) -> tuple[int, ...]:
    numbers = [int(part) for part in re.findall(r"\d+", text)[:3]]
    return (*numbers, *(0,) * (3 - len(numbers)))


def _written(text: str) -> str:
    return ".".join(map(str, _version(text)))
