"""Alert rules: those that hold for the programs of every charm, the charm's own, and those of operators.

A file of rules has Prometheus' own format. `%%juju_topology%%` in an expression stands for the matchers of
this application, so that a rule sees the series of no other. cosl adds Juju's labels and the names of groups
(canonical/cos-lib 1.11, src/cosl/rules.py); it could add the matchers only with a program that charms do not
carry. Prometheus drops all rules of a charm for one that it refuses, so a file is checked as a whole.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import pydantic

from kubeflow_charm import foreign_yaml
from kubeflow_charm.observability import beside
from kubeflow_charm.relations.topology import Topology

logger = logging.getLogger(__name__)

SHARED = Path(__file__).with_name("prometheus_alert_rules")
SUFFIXES = (".yaml", ".yml", ".rule", ".rules")
"""How files of rules are called, as in every charm of Charmhub."""
PLACEHOLDER = "%%juju_topology%%"

Text = Annotated[str, pydantic.Field(pattern=r"\S")]
Duration = Annotated[
    str,
    pydantic.Field(pattern=r"^(0|([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$"),
]
"""As Prometheus reads it (prometheus/common, model/time.go)."""
Label = Annotated[str, pydantic.Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]
"""A name that Prometheus 2 takes."""


class Rule(pydantic.BaseModel):
    """An alert in Prometheus' own format."""

    model_config = pydantic.ConfigDict(extra="forbid", defer_build=True)

    alert: Text
    expr: Text
    active_for: Annotated[Duration | None, pydantic.Field(alias="for", min_length=1)] = None
    keep_firing_for: Annotated[Duration | None, pydantic.Field(min_length=1)] = None
    labels: dict[Label, str] = {}
    annotations: dict[Label, str] = {}


class Group(pydantic.BaseModel):
    """Rules that are evaluated together."""

    model_config = pydantic.ConfigDict(extra="forbid", defer_build=True)

    name: Text
    interval: Annotated[Duration | None, pydantic.Field(min_length=1)] = None
    query_offset: Annotated[Duration | None, pydantic.Field(min_length=1)] = None
    limit: int | None = None
    rules: Annotated[list[Rule], pydantic.Field(min_length=1)]


class RuleFile(pydantic.BaseModel):
    """A file of rules."""

    model_config = pydantic.ConfigDict(extra="forbid", defer_build=True)

    groups: Annotated[list[Group], pydantic.Field(min_length=1)]


def files(charm_rules: Path, charm: str, *, controllers: bool) -> list[Path]:
    """Return the files of rules of a charm: shared ones, its own, those of operators.

    Args:
        charm_rules: the folder with the charm's own.
        charm: its name.
        controllers: whether it has programs made with controller-runtime.
    """
    shared = [SHARED / "programs.yaml", *([SHARED / "controllers.yaml"] if controllers else [])]
    return [*shared, *beside.files(charm_rules, charm)]


def is_operators(file: Path, charm: str) -> bool:
    """Return whether a file of rules is an operator's."""
    return file.parent != SHARED and beside.is_operators(file, charm)


def read(file: Path) -> RuleFile | None:
    """Return the rules of a file; None for a malformed one, which is logged: the others hold."""
    try:
        return RuleFile.model_validate(foreign_yaml.load(beside.text(file, SUFFIXES)))
    except (OSError, ValueError) as error:
        _ignore(file, error)
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
    made: list[Any] = []
    for file in paths:
        found = read(file)
        if found is None:
            continue
        document = found.model_dump(by_alias=True, exclude_none=True)
        for group in document["groups"]:
            if is_operators(file, topology.charm_name):
                group["name"] = f"{ours.identifier}_{file.stem}_{group['name']}_rules"
            for rule in group["rules"]:
                rule["expr"] = rule["expr"].replace(PLACEHOLDER, matchers)
        labelled = Rules("promql", ours)
        labelled.add(document, group_name_prefix=ours.identifier)
        names = [group["name"] for group in (*made, *labelled.groups)]
        if len(names) > len({*names}):
            _ignore(file, "a group's name is another one's, too")
        else:
            made += labelled.groups
    return {"groups": made}


def _ignore(file: Path, reason: object) -> None:
    said = " ".join(str(reason).split())[:300]
    logger.warning("the alert rules in %s are ignored: %s", beside.shown(file), said)
