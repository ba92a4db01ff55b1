"""The handshake of serialized-data-interface (SDI).

Each side's leader writes `_supported_versions`, a YAML list, on every relation; the side that has something
to say writes `data`, one YAML mapping in block style with sorted keys. The wire is that of the library
serialized-data-interface 0.7, which is not used here: it makes importing a charm a third slower, reads
`metadata.yaml` from the working directory, and fails for all neighbours when one is bad. A test holds the
two against each other.
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
"""The only version in use on the interfaces we speak."""

_VERSIONS = "_supported_versions"


class SdiEndpoint(Endpoint):
    """An endpoint that speaks SDI."""

    def greet(self) -> None:
        """Say on every relation which version we speak."""
        for relation in self.relations:
            self.write(relation, {_VERSIONS: yaml.safe_dump([VERSION])})

    def loaded(self, relation: ops.Relation, key: str) -> Any:
        """Return what the remote application wrote under `key`, None for nothing; raises `garbage`."""
        text = self.received(relation).get(key)
        try:
            return None if text is None else foreign_yaml.load(text)
        except ValueError as error:
            raise self.garbage(relation, f"{key}: {error}") from None

    def agrees(self, relation: ops.Relation) -> bool:
        """Whether the remote application speaks our version; False if it has not said so yet.

        Raises:
            Problem: if it speaks others only.
        """
        versions = self.loaded(relation, _VERSIONS)
        if versions is None:
            return False
        if not isinstance(versions, list) or VERSION not in versions:
            raise self.garbage(relation, f"it speaks {reprlib.repr(versions)}, not {VERSION}")
        return True


class SdiReader(SdiEndpoint, Reader[Model]):
    """The side of an SDI interface that reads."""

    model: type[Model]
    """What travels."""

    def get(self) -> Model:
        """Greet, and return what the related application wrote.

        Raises:
            Problem: that nothing is related, that nothing is written yet, or that it is garbage.
        """
        self.greet()
        return super().get()

    def read(self, relation: ops.Relation) -> Model:
        """Return what the application at the other end of `relation` wrote; raises its `Problem`."""
        agreed = self.agrees(relation)
        data = self.loaded(relation, "data")
        if not agreed or not data:  # the library, too, takes empty data for none
            raise self.nothing_yet(relation)
        return self.parsed(relation, self.model, data)


class SdiWriter(SdiEndpoint):
    """The side of an SDI interface that writes."""

    def send_data(self, data: pydantic.BaseModel) -> None:
        """Greet, and write `data` on every relation but those whose other end cannot read it.

        The library holds `data` back until the other end has greeted. We need not, since there is one version
        only, and that saves a round of hooks.

        Raises:
            ExceptionGroup: with a `Problem` for each related application that speaks other versions only.
        """
        self.greet()
        text = yaml.safe_dump(data.model_dump(mode="json", by_alias=True, exclude_none=True))

        def send(relation: ops.Relation) -> None:
            self.agrees(relation)
            self.write(relation, {"data": text})

        self.of_each(send)
