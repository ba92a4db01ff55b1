"""The handshake of serialized-data-interface (SDI).

Each side's leader writes `_supported_versions`, a YAML list; the side that has something to say writes
`data`, one YAML mapping with sorted keys. The wire is that of the library serialized-data-interface 0.7,
which is not used here: it costs a hook 50 ms and reads `metadata.yaml` from the working directory.
"""

from __future__ import annotations

from typing import Any

import ops
import pydantic
import yaml

from kubeflow_charm.relations.endpoint import Endpoint

VERSION = "v1"
"""The only version in use on the interfaces we speak."""


class SdiEndpoint(Endpoint):
    """An endpoint that speaks SDI."""

    def greet(self, relation: ops.Relation) -> None:
        """Say which version we speak, if we may write at all."""
        if self._charm.unit.is_leader():
            self.write(relation, {"_supported_versions": yaml.safe_dump([VERSION])})

    def send_data(self, relation: ops.Relation, data: pydantic.BaseModel) -> None:
        """Write `data`, and the version it is in."""
        self.greet(relation)
        text = yaml.safe_dump(data.model_dump(by_alias=True, exclude_none=True))
        self.write(relation, {"data": text})

    def receive_data(self, relation: ops.Relation) -> Any:
        """Return the remote application's `data`; raises the problem that it is not there or unreadable."""
        self.greet(relation)
        received = self.received(relation)
        if "_supported_versions" not in received:
            raise self.nothing_yet(relation)
        versions = self._load(relation, received["_supported_versions"])
        if not isinstance(versions, list) or VERSION not in versions:
            raise self.garbage(relation, f"it speaks {str(versions)[:30]}, not {VERSION}")
        if "data" not in received:
            raise self.nothing_yet(relation)
        return self._load(relation, received["data"])

    def _load(self, relation: ops.Relation, text: str) -> Any:
        try:
            return yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, RecursionError):
            raise self.garbage(relation, "not YAML") from None
