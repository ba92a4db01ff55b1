"""In which order hooks run where Juju promises none.

Juju goes through the relations of a unit in the order of a Go map, which is another one each time (juju/juju,
internal/worker/uniter/relation/resolver.go), and nothing says which of several units is first.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class Order(Protocol):
    """Decides what is first."""

    def first(self, ready: Sequence[Item], /) -> Item:
        """Return the one, of the hooks that units could run, that runs next."""
        ...

    def arranged(self, items: Iterable[Item], /) -> Sequence[Item]:
        """Return the relations of a unit in the order in which it looks at them."""
        ...


class InTurn:
    """The order of deployment and of the relations' numbers: the same each time."""

    def first(self, ready: Sequence[Item]) -> Item:
        """Return the hook of the application that was deployed first."""
        return ready[0]

    def arranged(self, items: Iterable[Item]) -> Sequence[Item]:
        """Return the relations as they are."""
        return list(items)


class Shuffled:
    """An order by chance; the same seed chooses alike.

    Args:
        seed: of the chance.
    """

    def __init__(self, seed: int):
        self._chance = random.Random(seed)  # noqa: S311 (an order, not a secret)

    def first(self, ready: Sequence[Item]) -> Item:
        """Return any of the hooks."""
        return self._chance.choice(ready)

    def arranged(self, items: Iterable[Item]) -> Sequence[Item]:
        """Return the relations in another order each time."""
        found = list(items)
        self._chance.shuffle(found)
        return found
