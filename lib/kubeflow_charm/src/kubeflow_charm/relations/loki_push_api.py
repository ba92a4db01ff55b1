"""`loki_push_api`: Lokis, and what speaks their push API, such as the OpenTelemetry collector of COS.

Each unit of the provider writes `endpoint` into its own data: JSON with the key `url`, as in
`{"url": "http://loki-0.loki-endpoints:3100/loki/api/v1/push"}`. The requirer's application writes `metadata`,
its Juju topology as JSON, and `alert_rules`, JSON of alerting rules in LogQL (canonical/loki-k8s-operator,
lib/charms/loki_k8s/v1/loki_push_api.py, LIBPATCH 22 to 31). That library's LogProxyConsumer takes `endpoint`
as an entry of Promtail's `clients`. So we read the `tls_config` of such an entry, too: `ca` (PEM) and
`insecure_skip_verify`. No provider writes it today: its certificate must come from an authority that the
charm's container trusts.
"""

from __future__ import annotations

import json
import urllib.parse
from typing import Annotated

import ops
import pydantic

from kubeflow_charm.problems import Problem
from kubeflow_charm.relations import authorities
from kubeflow_charm.relations.endpoint import Endpoint
from kubeflow_charm.watch.logs.loki import Target

LIMIT = 64 * 1024
"""Characters of an endpoint that we read: enough for a bundle of some authorities."""


def _url(text: str) -> str:
    """Return a URL that a request can be sent to."""
    try:
        url = urllib.parse.urlsplit(text)
        fits = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        fits = False
    if not fits or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"{text[:60]!r} is not an http or https URL")
    return text


def _authority(text: str) -> str:
    if text and authorities.BEGIN not in text:
        raise ValueError("no certificate")
    return authorities.joined([text])


class TlsConfig(pydantic.BaseModel):
    """How the certificate of a Loki is checked."""

    model_config = pydantic.ConfigDict(frozen=True, defer_build=True)

    ca: Annotated[str, pydantic.AfterValidator(_authority)] = ""
    insecure_skip_verify: bool = False


class PushEndpoint(pydantic.BaseModel):
    """The push API of a Loki."""

    model_config = pydantic.ConfigDict(frozen=True, defer_build=True)

    url: Annotated[str, pydantic.AfterValidator(_url)]
    tls_config: TlsConfig = TlsConfig()


class Requires(Endpoint):
    """The side that has logs."""

    hint = "loki"

    def get(self) -> list[Target]:
        """Return the Lokis of all relations, each URL once; a unit that has not written yet is none.

        A Loki behind one address writes it for each of its units.

        Raises:
            ExceptionGroup: with a `Problem` for each unit that wrote something else.
        """
        targets, problems = self.sorted_out()
        if problems:
            raise ExceptionGroup("wrong endpoints", problems)
        return targets

    def find(self) -> list[Target]:
        """Return the same as `get`, which is nothing without a relation."""
        return self.get()

    def sorted_out(self) -> tuple[list[Target], list[Problem]]:
        """Return the Lokis, as `get` does, and the problems of those units that wrote something else."""
        units = [(relation, unit) for relation in self.relations for unit in relation.units]
        by_url: dict[str, Target] = {}
        problems: list[Problem] = []
        for relation, unit in sorted(units, key=lambda pair: (pair[0].id, pair[1].name)):
            try:
                target = self._read(relation, unit)
            except Problem as problem:
                problems.append(problem)
                continue
            if target is not None:
                by_url.setdefault(target.url, target)
        return list(by_url.values()), problems

    def send(self, topology: dict[str, str], alert_rules: str = "{}") -> None:
        """Tell every related Loki who we are.

        Args:
            topology: `model`, `model_uuid`, `application`, `unit` and `charm_name`.
            alert_rules: JSON of alerting rules in LogQL.
        """
        for relation in self.relations:
            self.write(relation, {"metadata": json.dumps(topology), "alert_rules": alert_rules})

    def _read(self, relation: ops.Relation, unit: ops.Unit) -> Target | None:
        text = relation.data[unit].get("endpoint", "")
        if not text:
            return None
        if len(text) > LIMIT:
            raise self.garbage(relation, f"endpoint: longer than {LIMIT} characters")
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            raise self.garbage(relation, "endpoint: not JSON") from None
        if said == {} or said is None:
            return None
        endpoint = self.parsed(relation, PushEndpoint, said)
        tls = endpoint.tls_config
        return Target(unit.name, endpoint.url, tls.ca, tls.insecure_skip_verify)


class Provides(Endpoint):
    """The side of a Loki."""

    def send(self, endpoint: PushEndpoint) -> None:
        """Send the push API of this unit to every related application; each unit sends its own."""
        data = {"endpoint": endpoint.model_dump_json(exclude_defaults=True)}
        for relation in self.relations:
            relation.data[self.charm.unit].update(data)
