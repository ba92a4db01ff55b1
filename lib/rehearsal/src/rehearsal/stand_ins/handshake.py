"""The SDI handshake, through serialized-data-interface, the library of the real charms.

So the code that reads our own charms' data in production reads and checks it here, too.
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
    """Return the endpoints with a schema in a charm's file, for `Interface`.

    Call it when the charm is imported: the library checks the schemas, and hooks start after the import. The
    versions are sorted because the library writes them in the given order: a set has another order in each
    process, and each new order would be a change for the other side.
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
    """An SDI endpoint with all its relations; as with the library, one wrong relation stops all.

    Args:
        charm: the endpoint's charm, on the leader only, since other units may not write.
        spoken: an endpoint from `speaking`.
        relations: its relations that are not being removed.
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
        """Write our versions to every relation."""
        for relation in self._relations:
            self._library.send_versions(relation)

    def received(self) -> dict[ops.Relation, dict[str, Any]]:
        """Return the related applications' data; leave out applications that have written none yet.

        Raises:
            Stop: if an application has not greeted, has no common version, or wrote data that do not fit the
                schema.
        """
        if self._received is None:
            found = {relation: self._read(relation) for relation in self._relations}
            self._received = {relation: data for relation, data in found.items() if data}
        return self._received

    def send(self, data: dict[str, Any]) -> None:
        """Write data to every relation if all relations are sound; raise `Stop` as `received` does."""
        self.received()
        for relation in self._relations:
            with self._blamed(relation):
                self._library.wrap(relation, {self._charm.app: data})

    def _read(self, relation: ops.Relation) -> dict[str, Any]:
        with self._blamed(relation):
            return self._library.unwrap(relation)[relation.app]

    @contextlib.contextmanager
    def _blamed(self, relation: ops.Relation) -> Iterator[None]:
        """Turn the library's errors into a status that names the related application."""
        try:
            yield
        except UnversionedRelation as error:
            raise waiting(str(error)) from None
        except IncompatibleVersionsError as error:
            raise blocked(str(error)) from None
        except SDIException as error:
            raise self.wrong(relation, _reason(error)) from error
        except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            # The library does not catch these errors of PyYAML on others' YAML.
            raise self.wrong(relation, f"no YAML: {error}") from error

    def wrong(self, relation: ops.Relation, reason: str) -> Stop:
        """Return the status for wrong data, which names their author."""
        return blocked(f"wrong data on {self._library.endpoint} from {relation.app.name}: {reason}")


def _reason(error: SDIException) -> str:
    cause = error.__cause__
    place = ".".join(map(str, getattr(cause, "absolute_path", ())))
    said = str(getattr(cause, "message", error))
    return f"{place}: {said}" if place else said
