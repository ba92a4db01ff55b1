"""The base of the stand-ins for the observability charms: every unit works, and what is lost is said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import ops
import yaml

from rehearsal.stand_ins import metrics
from rehearsal.stand_ins.observability.alerting import Alerts
from rehearsal.stand_ins.observability.scraping import Scraped
from rehearsal.stand_ins.observability.topology import HookFails
from rehearsal.stand_ins.playing import StandIn
from rehearsal.stand_ins.stopping import Stop, blocked, starting

Value = TypeVar("Value")

DATA_SOURCE, DASHBOARDS = "grafana-source", "grafana-dashboard"


class ObservabilityStandIn(StandIn):
    """A stand-in for a charm that observes others.

    Where the real one loses something without a word, or fails in its hook, this one is blocked, with the
    application that wrote it. The action `show-configuration` prints what its program would load.
    """

    only_leader_works = False
    container = ""
    """The workload container."""
    waits = "Waiting for pod startup to complete"
    """Its status until the container is ready."""

    def __init__(self, framework: ops.Framework):
        super().__init__(framework)
        if "show-configuration" in self.meta.actions:
            framework.observe(self.on["show-configuration"].action, self._show)

    def play(self) -> None:
        """Do nothing more: what is the leader's alone, `tell` leaves to the leader."""

    def play_unit(self) -> None:
        """Do all the work, once the workload is ready."""
        super().play_unit()
        if not self.unit.get_container(self.container).can_connect():
            raise starting(self.waits)
        self.observe()

    def observe(self) -> None:
        """Do all the work; raise `Stop` if something prevents it, or is lost."""
        raise NotImplementedError

    def configuration(self) -> Mapping[str, Any]:
        """Return what the program would load, by the parts of it."""
        raise NotImplementedError

    def tell(self, relation: ops.Relation, said: Mapping[str, str]) -> None:
        """Write what an application says; its leader does."""
        if self.unit.is_leader():
            relation.data[self.app].update(said)

    def report(self, relation: ops.Relation, event: Mapping[str, Any]) -> None:
        """Answer what somebody wrote; an empty answer is that all is well."""
        self.tell(relation, {"event": json.dumps(event)})

    def units(self, relation: ops.Relation) -> dict[str, dict[str, str]]:
        """Return what the related application's units wrote."""
        return {unit.name: dict(relation.data[unit]) for unit in relation.units}

    def url(self, port: int, path: str = "") -> str:
        """Return the address of a port of this unit."""
        return f"http://{metrics.fqdn(self)}:{port}{path}"

    def read(
        self, endpoint: str, reader: Callable[[ops.Relation], Value]
    ) -> tuple[dict[ops.Relation, Value], list[Stop]]:
        """Read every relation of an endpoint; return what was read, and where the real hook would fail."""
        found, stops = {}, []
        for relation in self.related(endpoint):
            try:
                found[relation] = reader(relation)
            except HookFails as failure:
                stops.append(refused(relation, f"the real charm's hook fails: {failure}"))
        return found, stops

    def answer(
        self, found: Mapping[ops.Relation, tuple[Scraped | None, Alerts | None]], stops: list[Stop]
    ) -> None:
        """Answer jobs and rules, and stop if any is refused or lost."""
        for relation, parts in found.items():
            event = {}
            for part in parts:
                if part is not None and part.error:
                    key = "scrape_job_errors" if isinstance(part, Scraped) else "errors"
                    event[key] = part.error
                    stops.append(refused(relation, part.error))
                stops += [refused(relation, each) for each in (part.lost if part else ())]
            if any(part is not None and (isinstance(part, Alerts) or part.error) for part in parts):
                self.report(relation, event)
        self.all_of(stops)

    def all_of(self, stops: Iterable[Stop]) -> None:
        """Raise the worst of several stops, if there is one."""

        def one(stop: Stop) -> None:
            raise stop

        self.each(*(lambda stop=stop: one(stop) for stop in stops))

    def offer_data_source(self, kind: str, port: int) -> None:
        """Tell Grafana of this application as a data source."""
        said = {
            "model": self.model.name,
            "model_uuid": self.model.uuid,
            "application": self.app.name,
            "type": kind,
            "extra_fields": {},
            "secure_extra_fields": {},
        }
        for relation in self.related(DATA_SOURCE):
            self.tell(relation, {"grafana_source_data": json.dumps(said)})
            relation.data[self.unit]["grafana_source_host"] = self.url(port)

    def _show(self, event: ops.ActionEvent) -> None:
        shown = self.configuration()
        event.set_results({key: _shown(value) for key, value in shown.items()})


def _shown(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, width=10**6)


def refused(relation: ops.Relation, why: str) -> Stop:
    """Return the stop for what an application wrote."""
    return blocked(f"{relation.name} from {relation.app.name}: {why}")
