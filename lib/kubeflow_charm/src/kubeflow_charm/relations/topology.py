"""Who a charm is, as it says to all that observe it (canonical/cos-lib 1.11, `JujuTopology`)."""

from __future__ import annotations

import ops
import pydantic


class Topology(pydantic.BaseModel):
    """A unit and where it is."""

    model_config = pydantic.ConfigDict(frozen=True, defer_build=True)

    model: str
    model_uuid: str
    application: str
    unit: str
    charm_name: str


def of(charm: ops.CharmBase) -> Topology:
    """Return who the charm's unit is."""
    return Topology(
        model=charm.model.name,
        model_uuid=charm.model.uuid,
        application=charm.app.name,
        unit=charm.unit.name,
        charm_name=charm.meta.name,
    )
