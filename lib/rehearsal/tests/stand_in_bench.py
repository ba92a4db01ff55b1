"""Stand-ins under ops' testing framework: one by itself, or several whose databags are copied across."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import ops
import yaml
from ops import testing

from rehearsal.cluster.gate import Gate
from rehearsal.juju.model import charms

Bag = Mapping[str, str]


def versions(*spoken: str) -> str:
    """Return what `_supported_versions` holds on the wire."""
    return "".join(f"- {version}\n" for version in spoken)


def greeting(*spoken: str, data: Any = None) -> dict[str, str]:
    """Return what an application has written that speaks SDI; `data` is what it says, or the text itself."""
    bag = {"_supported_versions": versions(*(spoken or ("v1",)))}
    if data is None:
        return bag
    return bag | {"data": data if isinstance(data, str) else yaml.safe_dump(data)}


def said(state: testing.State) -> tuple[str, str]:
    """Return state and text of the unit's status."""
    return state.unit_status.name, state.unit_status.message


def written(state: testing.State, application: str, endpoint: str = "") -> dict[str, str]:
    """Return what the stand-in wrote for an application."""
    found = [
        relation
        for relation in state.relations
        if isinstance(relation, testing.Relation)
        and relation.remote_app_name == application
        and endpoint in ("", relation.endpoint)
    ]
    assert len(found) == 1
    return dict(found[0].local_app_data)


class StandIn:
    """A stand-in in a model.

    Args:
        name: of the charm.
        model: name of the model, which is the namespace.
        application: its name in the model, if it is another one.
    """

    def __init__(self, name: str, model: str, application: str = ""):
        metadata = dict(charms.load(charms.STAND_INS / name).metadata)
        self.name = application or name
        self.endpoints = {
            end: role for role in ("requires", "provides", "peers") for end in metadata.get(role, {})
        }
        self._containers = list(metadata.get("containers", {}))
        self._peers = list(metadata.get("peers", {}))
        self._model = model
        config = metadata.pop("config", None)
        self.context = testing.Context(_charm_type(name), meta=metadata, config=config, app_name=self.name)

    def state(self, *relations: testing.RelationBase, started: bool = True, **values: Any) -> testing.State:
        """Return the state before a hook of the leader, with the peer relations that Juju always makes."""
        peers = [testing.PeerRelation(name) for name in self._peers]
        return testing.State(
            **{
                "leader": True,
                "relations": [*relations, *(peer for peer in peers if not _has(relations, peer.endpoint))],
                "containers": [testing.Container(each, can_connect=started) for each in self._containers],
                "model": testing.Model(name=self._model, type="kubernetes"),
            }
            | values
        )

    def run(
        self,
        *relations: testing.RelationBase,
        event: Callable[[testing.CharmEvents], Any] = lambda on: on.update_status(),
        **values: Any,
    ) -> testing.State:
        """Return the state after one hook."""
        return self.context.run(event(self.context.on), self.state(*relations, **values))


class Model:
    """Applications whose databags are copied across, until none changes any more.

    Args:
        applications: the stand-ins.
        config: application to its options.
        relations: pairs of `application:endpoint`.
    """

    def __init__(
        self,
        applications: Iterable[StandIn],
        config: Mapping[str, Mapping[str, Any]],
        relations: Iterable[tuple[str, str]],
    ):
        self._units = {each.name: each for each in applications}
        # ops' testing framework counts from 1 for relations without a number, such as peers.
        self._relations = [(number, *map(_end, pair)) for number, pair in enumerate(relations, 1001)]
        self.states = {
            name: unit.state(*self._ends_of(name), config=dict(config.get(name, {})))
            for name, unit in self._units.items()
        }

    def settle(self, order: Callable[[list[Any]], None] = lambda hooks: None) -> int:
        """Run hooks until none is due; return how many rounds of changed hooks it took.

        Args:
            order: puts the hooks of a round in the order in which they run.
        """
        self._run_all("install")
        due = [(number, name) for number, *ends in self._relations for name, _ in ends]
        order(due)
        for number, name in due:
            self._run_relation("relation_created", number, name)
        self._run_all("config_changed")
        self._run_all("start")
        for rounds in range(20):
            due = list(self._copy())
            if not due:
                return rounds
            order(due)
            for number, name in due:
                self._run_relation("relation_changed", number, name)
        raise AssertionError(f"no end: {self.statuses()}")

    def statuses(self) -> dict[str, tuple[str, str]]:
        """Return state and text of each application."""
        return {name: said(state) for name, state in self.states.items()}

    def bag(self, end: str, other: str) -> dict[str, str]:
        """Return what the application at `end` wrote for the one at `other`."""
        name, endpoint = _end(end)
        return written(self.states[name], _end(other)[0], endpoint)

    def _ends_of(self, name: str) -> Iterator[testing.Relation]:
        for number, first, second in self._relations:
            for (here, endpoint), (there, _) in ((first, second), (second, first)):
                if here == name:
                    yield testing.Relation(endpoint, id=number, remote_app_name=there)

    def _run_all(self, hook: str) -> None:
        for name in self._units:
            self._run(name, lambda on: getattr(on, hook)())

    def _run(self, name: str, event: Callable[[testing.CharmEvents], Any]) -> None:
        context = self._units[name].context
        self.states[name] = context.run(event(context.on), self.states[name])

    def _run_relation(self, kind: str, number: int, name: str) -> None:
        relation = self.states[name].get_relation(number)
        self._run(name, lambda on: getattr(on, kind)(relation))

    def _copy(self) -> Iterator[tuple[int, str]]:
        """Copy what was written across every relation; yield where something is new."""
        for number, first, second in self._relations:
            for (here, _), (there, _) in ((first, second), (second, first)):
                new = self.states[there].get_relation(number).local_app_data
                relation = self.states[here].get_relation(number)
                assert isinstance(relation, testing.Relation)
                if dict(relation.remote_app_data) != dict(new):
                    changed = dataclasses.replace(relation, remote_app_data=dict(new))
                    others = {each for each in self.states[here].relations if each.id != number}
                    self.states[here] = dataclasses.replace(
                        self.states[here], relations=frozenset({*others, changed})
                    )
                    yield number, here


def kubeconfig(cluster: Any, namespace: str, account: str, path: Path) -> Path:
    """Write the kubeconfig of a service account, made here without any rights; return its path."""
    core = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    item = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account}}
    cluster.request("POST", core, json.dumps(item).encode())
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    answer = json.loads(cluster.request("POST", f"{core}/{account}/token", json.dumps(asked).encode()))
    path.write_text(yaml.safe_dump(cluster.kubeconfig(answer["status"]["token"], namespace)))
    return path


def through(gate: Gate, cluster: Any, namespace: str, path: Path) -> Path:
    """Write the administrator's kubeconfig by way of a gate; return its path."""
    path.write_text(yaml.safe_dump(cluster.kubeconfig(cluster.token, namespace, server=gate.url)))
    return path


def _charm_type(name: str) -> type[ops.CharmBase]:
    """Import a stand-in's `src/charm.py` under a name that no other charm's module has."""
    module = f"stand_in_{name.replace('-', '_')}"
    if module not in sys.modules:
        path = charms.STAND_INS / name / "src" / "charm.py"
        spec = importlib.util.spec_from_file_location(module, path)
        assert spec and spec.loader
        sys.modules[module] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[module])
    return next(
        found
        for found in vars(sys.modules[module]).values()
        if isinstance(found, type) and issubclass(found, ops.CharmBase) and found.__module__ == module
    )


def _has(relations: Iterable[testing.RelationBase], endpoint: str) -> bool:
    return any(relation.endpoint == endpoint for relation in relations)


def _end(text: str) -> tuple[str, str]:
    application, _, endpoint = text.partition(":")
    return application, endpoint
