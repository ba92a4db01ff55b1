"""What all relation modules share: the relations of an endpoint, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import ops
import pydantic

from kubeflow_charm.problems import Problem, blocked, missing_relation, waiting

Model = TypeVar("Model", bound=pydantic.BaseModel)


class Endpoint:
    """One endpoint of the charm.

    Args:
        charm: the charm that declares it.
        name: the endpoint's name in `charmcraft.yaml`.
    """

    hint = "<application>"
    """The application that usually is at the other end, for the command in a status."""

    def __init__(self, charm: ops.CharmBase, name: str):
        self._charm = charm
        self.name = name

    @property
    def relations(self) -> list[ops.Relation]:
        """The relations that are there to stay, in the order they were made; not one that is breaking."""
        there = [r for r in self._charm.model.relations[self.name] if r.active and r.app]
        return sorted(there, key=lambda relation: relation.id)

    def relation(self) -> ops.Relation:
        """Return the first relation; raises the problem that there is none."""
        for relation in self.relations:
            return relation
        raise missing_relation(self._charm.app.name, self.name, self.hint)

    def received(self, relation: ops.Relation) -> Mapping[str, str]:
        """Return what the remote application wrote."""
        return relation.data[relation.app]

    def write(self, relation: ops.Relation, data: Mapping[str, str]) -> None:
        """Write keys of our application's data; unchanged ones are no change to Juju. Leader only."""
        relation.data[self._charm.app].update(data)

    def nothing_yet(self, relation: ops.Relation) -> Problem:
        """Return the problem that the remote application has not written what it should."""
        return waiting(relation.app.name, f"no data on {self.name} yet")

    def garbage(self, relation: ops.Relation, reason: str) -> Problem:
        """Return the problem that what the remote application wrote makes no sense."""
        return blocked(f"{relation.app.name} sent wrong data on {self.name}", reason)

    def parsed(self, relation: ops.Relation, model: type[Model], data: Any) -> Model:
        """Return `data` as `model`; raises `garbage` with the field and what was expected."""
        try:
            return model.model_validate(data)
        except pydantic.ValidationError as error:
            detail = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(step) for step in detail["loc"]) or "data"
            raise self.garbage(relation, f"{place}: {detail['msg']}") from None
