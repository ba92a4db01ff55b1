"""The handshake of serialized-data-interface (SDI).

Each side's leader writes `_supported_versions`, a YAML list, on every relation. The side with data also
writes `data`: one YAML mapping in block style with sorted keys. The format is that of the library
serialized-data-interface 0.7. We do not use the library: it makes the import of a charm a third slower, reads
`metadata.yaml` from the working directory, and fails for all applications if the data of one is bad. A test
compares the two.
"""

from __future__ import annotations

import reprlib
from typing import Any

import ops
import pydantic
import yaml

from kubeflow_charm import foreign_yaml
from kubeflow_charm.relations.endpoint import Endpoint, Model, Reader

VERSION = "v1"
"""The only version in use on our interfaces."""

_VERSIONS = "_supported_versions"


class SdiEndpoint(Endpoint):
    """An endpoint that speaks SDI."""

    def greet(self) -> None:
        """Write our version on every relation."""
        for relation in self.relations:
            self.write(relation, {_VERSIONS: yaml.safe_dump([VERSION])})

    def loaded(self, relation: ops.Relation, key: str) -> Any:
        """Return the remote application's value of `key`, or None; raises `garbage`."""
        text = self.received(relation).get(key)
        try:
            return None if text is None else foreign_yaml.load(text)
        except ValueError as error:
            raise self.garbage(relation, f"{key}: {error}") from None

    def agrees(self, relation: ops.Relation) -> bool:
        """Whether the remote application speaks our version; False if it has not written its versions yet.

        Raises:
            Problem: if it speaks only other versions.
        """
        versions = self.loaded(relation, _VERSIONS)
        if versions is None:
            return False
        if not isinstance(versions, list) or VERSION not in versions:
            raise self.garbage(relation, f"it speaks {reprlib.repr(versions)}, not {VERSION}")
        return True


class SdiReader(SdiEndpoint, Reader[Model]):
    """The reading side of an SDI interface."""

    model: type[Model]
    """The model of the data."""

    def get(self) -> Model:
        """Write our version, and return the related application's data.

        Raises:
            Problem: if there is no relation or no data yet, or if the data is garbage.
        """
        self.greet()
        return super().get()

    def read(self, relation: ops.Relation) -> Model:
        """Return the data of the application at the other end; raises its `Problem`."""
        agreed = self.agrees(relation)
        data = self.loaded(relation, "data")
        if not agreed or not data:  # the library also treats empty data as none
            raise self.nothing_yet(relation)
        return self.parsed(relation, self.model, data)


class SdiWriter(SdiEndpoint):
    """The writing side of an SDI interface."""

    def send_data(self, data: pydantic.BaseModel) -> None:
        """Write our version, and `data` on every relation whose other end can read it.

        The library writes `data` only when the other end has written its versions. There is only one version,
        so we write at once, and save a round of hooks.

        Raises:
            ExceptionGroup: with a `Problem` for each related application that speaks only other versions.
        """
        self.greet()
        text = yaml.safe_dump(data.model_dump(mode="json", by_alias=True, exclude_none=True))

        def send(relation: ops.Relation) -> None:
            self.agrees(relation)
            self.write(relation, {"data": text})

        self.of_each(send)
