"""The base of all relation modules: the relations of an endpoint, and their problems."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import ops
import pydantic

from kubeflow_charm.problems import Problem, blocked, gather, missing_relation, waiting

Model = TypeVar("Model", bound=pydantic.BaseModel)
Value = TypeVar("Value")

_REASON_LIMIT = 200
"""Characters of a reason that we keep; a status shows fewer."""
COMPLAINT_LIMIT = 60
"""Characters of a complaint that a status repeats."""


class Endpoint:
    """One endpoint of the charm.

    Args:
        charm: the charm that declares the endpoint.
        name: the endpoint's name in `charmcraft.yaml`.
    """

    hint = "<application>"
    """The usual application at the other end, for the command in a status."""

    def __init__(self, charm: ops.CharmBase, name: str):
        self.charm = charm
        self.name = name

    @property
    def relations(self) -> list[ops.Relation]:
        """The relations in the order of their creation; ops leaves out a breaking one."""
        related = [each for each in self.charm.model.relations[self.name] if each.app]
        return sorted(related, key=lambda relation: relation.id)

    def received(self, relation: ops.Relation) -> Mapping[str, str]:
        """Return the remote application's data."""
        return relation.data[relation.app]

    def write(self, relation: ops.Relation, data: Mapping[str, str]) -> None:
        """Write keys of our application's data, on the leader only: Juju lets no other unit write."""
        if self.charm.unit.is_leader():
            relation.data[self.charm.app].update(data)

    def complaint(self, relation: ops.Relation) -> str:
        """Return what an application that observes us has against what we sent; empty if it has nothing.

        It writes `event`: JSON with `errors`, which is a text or a list.
        """
        event: Any = None
        with contextlib.suppress(ValueError, RecursionError):
            event = json.loads(self.received(relation).get("event", "null"))
        if not isinstance(event, dict) or not event.get("errors"):
            return ""
        return "".join(c if c.isprintable() else " " for c in str(event["errors"])[:_REASON_LIMIT])

    def of_each(self, read: Callable[[ops.Relation], Value]) -> list[Value]:
        """Return the result of `read` for every relation, in order.

        Raises:
            ExceptionGroup: with the problems of all relations.
        """
        return list(gather(*(functools.partial(read, relation) for relation in self.relations)))

    def nothing_yet(self, relation: ops.Relation) -> Problem:
        """Return the problem that the remote application has not written data yet."""
        return waiting(relation.app.name, f"no data on {self.name} yet")

    def garbage(self, relation: ops.Relation, reason: str) -> Problem:
        """Return the problem that the remote application wrote wrong data.

        Args:
            relation: the relation with that application.
            reason: the field, and what was expected. It may quote the data. Control characters are removed,
                so that none reaches a log, a terminal or the arguments of a hook tool.
        """
        shown = "".join(c if c.isprintable() else " " for c in reason[:_REASON_LIMIT])
        return blocked(f"{relation.app.name} sent wrong data on {self.name}", shown)

    def parsed(self, relation: ops.Relation, model: type[Model], data: Any) -> Model:
        """Return `data` as `model`; raises `garbage` with the field and the expected value."""
        try:
            return model.model_validate(data, by_alias=True, by_name=False)
        except pydantic.ValidationError as error:
            detail = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(step) for step in detail["loc"]) or "data"
            reason = detail["msg"].removeprefix("Value error, ")
            raise self.garbage(relation, f"{place}: {reason}") from None


class Reader(Endpoint, Generic[Value]):
    """An endpoint on which one remote application writes and we read."""

    def get(self) -> Value:
        """Return the related application's data.

        Raises:
            Problem: if there is no relation or no data yet, or if the data is garbage.
        """
        for relation in self.relations:
            return self.read(relation)
        raise missing_relation(self.charm.app.name, self.name, self.hint)

    def find(self) -> Value | None:
        """Return the same as `get`, or None without a relation: for an optional endpoint."""
        return self.get() if self.relations else None

    def read(self, relation: ops.Relation) -> Value:
        """Return the data of the application at the other end; raises its `Problem`."""
        raise NotImplementedError
