"""One side of a relation interface, in a charm that has nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import ops
import pytest
from ops import testing

from kubeflow_charm.problems import Problem, flattened
from kubeflow_charm.relations.endpoint import Endpoint

ENDPOINT = "there"


@dataclasses.dataclass
class Said:
    """What came of one call of a side: a value, or problems, and what was written in any case."""

    value: Any
    problems: list[Problem]
    written: dict[str, dict[str, str]]
    """Remote application to what our application wrote for it."""

    @property
    def statuses(self) -> list[tuple[str, str]]:
        """The state and the text of each problem."""
        return [(problem.status.name, problem.status.message) for problem in self.problems]


Ask = Callable[..., Said]


class Lone(ops.CharmBase):
    """A charm with an endpoint and no handler."""


@pytest.fixture
def ask() -> Ask:
    """Have a side of an interface do something, in a unit of an application called `ours`."""

    def ask(
        side: Callable[..., Endpoint],
        call: Callable[[Any], Any],
        bags: Mapping[str, Mapping[str, str]],
        *,
        leader: bool = True,
        breaking: str = "",
        secrets: Iterable[testing.Secret] = (),
    ) -> Said:
        """Run `call` on the side.

        Args:
            side: the class under test.
            call: what to do with an instance of it.
            bags: remote application to what it wrote, in the order of being related.
            leader: whether the unit is the leader.
            breaking: the remote application whose relation is going away in this hook.
            secrets: those that remote applications granted.
        """
        meta = {"name": "ours", "requires": {ENDPOINT: {"interface": "any"}}}
        relations = {
            name: testing.Relation(ENDPOINT, remote_app_name=name, remote_app_data=dict(bag), id=number)
            for number, (name, bag) in enumerate(bags.items(), 7)
        }
        context = testing.Context(Lone, meta=meta, app_name="ours")
        event = context.on.relation_broken(relations[breaking]) if breaking else context.on.update_status()
        state = testing.State(leader=leader, relations=relations.values(), secrets=secrets)
        value, problems = None, []
        with context(event, state) as manager:
            try:
                value = call(side(manager.charm, ENDPOINT))
            except* Problem as group:
                problems = flattened(group)
            after = manager.run()
        written = {name: dict(after.get_relation(r.id).local_app_data) for name, r in relations.items()}
        return Said(value, problems, written)

    return ask
