"""Alert rules: those that hold for the programs of every charm, and the charm's own.

A file of rules has Prometheus' own format. `%%juju_topology%%` in an expression stands for the matchers of
this application, so that a rule sees the series of no other. cosl adds Juju's labels and the names of groups
(canonical/cos-lib 1.11, src/cosl/rules.py); it could add the matchers only with a program that charms do not
carry.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import pydantic
import yaml

from kubeflow_charm.relations.topology import Topology

logger = logging.getLogger(__name__)

SHARED = Path(__file__).with_name("prometheus_alert_rules")
PLACEHOLDER = "%%juju_topology%%"


class Rule(pydantic.BaseModel):
    """An alert; further fields are Prometheus' own."""

    model_config = pydantic.ConfigDict(extra="allow", defer_build=True)

    alert: str
    expr: str
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class Group(pydantic.BaseModel):
    """Rules that are evaluated together."""

    model_config = pydantic.ConfigDict(extra="allow", defer_build=True)

    name: str
    rules: Annotated[list[Rule], pydantic.Field(min_length=1)]


class RuleFile(pydantic.BaseModel):
    """A file of rules."""

    model_config = pydantic.ConfigDict(extra="forbid", defer_build=True)

    groups: Annotated[list[Group], pydantic.Field(min_length=1)]


def files(charm_rules: Path, *, controllers: bool) -> list[Path]:
    """Return the files of rules of a charm.

    Args:
        charm_rules: the folder with the charm's own.
        controllers: whether it has programs made with controller-runtime.
    """
    shared = [SHARED / "programs.yaml", *([SHARED / "controllers.yaml"] if controllers else [])]
    return [*shared, *sorted(charm_rules.glob("*.yaml"))]


def read(file: Path) -> RuleFile | None:
    """Return the rules of a file; None for a malformed one, which is logged: the others hold."""
    try:
        return RuleFile.model_validate(yaml.safe_load(file.read_text()))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, pydantic.ValidationError) as error:
        logger.warning("the alert rules in %s are ignored: %s", file.name, " ".join(str(error).split())[:300])
        return None


def rules(paths: Iterable[Path], topology: Topology) -> dict[str, Any]:
    """Return the rules of all files for one application, in the format of a file of Prometheus."""
    # cosl imports much, and only a hook with news needs it.
    from cosl import JujuTopology
    from cosl.rules import Rules

    class AnyId(JujuTopology):
        """cosl refuses a model's id that is no UUID of version 4; a hook must not fail for that."""

        def is_valid_uuid(self, uuid: str) -> bool:
            return True

    ours = AnyId.from_dict(topology.model_dump())
    matchers = ours.alert_expression_str
    every = Rules("promql", ours)
    for file in paths:
        found = read(file)
        if found is None:
            continue
        document = found.model_dump()
        for rule in (rule for group in document["groups"] for rule in group["rules"]):
            rule["expr"] = rule["expr"].replace(PLACEHOLDER, matchers)
        every.add(document, group_name_prefix=ours.identifier)
    return every.as_dict()
