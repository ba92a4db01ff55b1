"""The SDI handshake, through serialized-data-interface: the library that the real charms use.

So what our own charms write is read, and checked, by the code that will read it in production.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ops
import serialized_data_interface as sdi
import yaml
from serialized_data_interface.errors import (
    IncompatibleVersionsError,
    SDIException,
    UnversionedRelation,
)

from rehearsal.stand_ins.stopping import Stop, blocked, waiting


def speaking(charmcraft: Path) -> dict[str, sdi.SerializedDataInterface]:
    """Return the endpoints that a charm's file gives schemas to, for `Interface`.

    Called as a charm is imported: the library checks the schemas, and a hook starts where the import ended.
    The versions are given in their order, since the library writes them as they come: a set of them would be
    written in another order by each process, and each time be news to the other side.
    """
    nobody: Any = None
    found = {}
    metadata = yaml.safe_load(charmcraft.read_text())
    for role in ("provides", "requires"):
        for endpoint, said in metadata.get(role, {}).items():
            if "schema" in said:
                versions: Any = sorted(said["versions"])
                found[endpoint] = sdi.SerializedDataInterface(
                    nobody, endpoint, said["schema"], versions, role
                )
    return found


class Interface:
    """One endpoint that speaks SDI, with all its relations: as with the library, one bad neighbour stops all.

    Args:
        charm: whose endpoint it is; only a leader's, since others may not write.
        spoken: one of `speaking`.
        relations: those that are there to stay.
    """

    def __init__(
        self,
        charm: ops.CharmBase,
        spoken: sdi.SerializedDataInterface,
        relations: Sequence[ops.Relation],
    ):
        self._charm = charm
        self._relations = relations
        self._library = copy.copy(spoken)
        self._library.charm = charm
        self._received: dict[ops.Relation, dict[str, Any]] | None = None

    def greet(self) -> None:
        """Say on every relation which versions are spoken here."""
        for relation in self._relations:
            self._library.send_versions(relation)

    def received(self) -> dict[ops.Relation, dict[str, Any]]:
        """Return what the related applications wrote; those that have not yet are left out.

        Raises:
            Stop: if an application has not greeted, speaks other versions only, or wrote what does not fit
                the schema.
        """
        if self._received is None:
            found = {relation: self._read(relation) for relation in self._relations}
            self._received = {relation: data for relation, data in found.items() if data}
        return self._received

    def send(self, data: dict[str, Any]) -> None:
        """Write data on every relation, once all of them are sound; raises `Stop` as `received` does."""
        self.received()
        for relation in self._relations:
            with self._blamed(relation):
                self._library.wrap(relation, {self._charm.app: data})

    def _read(self, relation: ops.Relation) -> dict[str, Any]:
        with self._blamed(relation):
            return self._library.unwrap(relation)[relation.app]

    @contextlib.contextmanager
    def _blamed(self, relation: ops.Relation) -> Iterator[None]:
        """Turn what the library raises into a status that names the application at the other end."""
        try:
            yield
        except UnversionedRelation as error:
            raise waiting(str(error)) from None
        except IncompatibleVersionsError as error:
            raise blocked(str(error)) from None
        except SDIException as error:
            raise self.wrong(relation, _reason(error)) from error
        except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            # What the library does not catch of PyYAML's ways to fail on YAML that others wrote.
            raise self.wrong(relation, f"no YAML: {error}") from error

    def wrong(self, relation: ops.Relation, reason: str) -> Stop:
        """Return the status for data that make no sense, naming who wrote them."""
        return blocked(f"wrong data on {self._library.endpoint} from {relation.app.name}: {reason}")


def _reason(error: SDIException) -> str:
    cause = error.__cause__
    place = ".".join(map(str, getattr(cause, "absolute_path", ())))
    said = str(getattr(cause, "message", error))
    return f"{place}: {said}" if place else said
