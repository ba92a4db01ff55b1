"""All overlays at once and each two of them: everything becomes active, and what is removed leaves nothing behind.

An overlay that comes is under these tests at once. If it consumes offers (`saas`), the model that makes them is
deployed first, from the file of its name in `models/`.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubeflow_users import Requests

from kubeflow_charm.cluster.resources import Manifest
from rehearsal.cluster.existing import Refused
from rehearsal.juju.model.state import Application
from rehearsal.patience import until
from rehearsal.stage import Stage

ROOT = Path(__file__).parents[2]
MODEL, PROFILE = "kubeflow", "ada"
BUNDLE = ROOT / "bundle.yaml"
OVERLAYS = {path.stem: path for path in sorted(ROOT.glob("overlays/*.yaml"))}
PASSING = ("events", "leases", "controllerrevisions", "componentstatuses", "customresourcedefinitions")
"""Kinds that tell of what was, or that nobody removes."""

EXPOSING = (
    f"/api/v1/namespaces/{MODEL}/services",
    f"/apis/networking.k8s.io/v1/namespaces/{MODEL}/networkpolicies",
    f"/apis/security.istio.io/v1/namespaces/{MODEL}/authorizationpolicies",
)
"""Where there is what lets a Prometheus in."""
CONTROLLER = f"/apis/apps/v1/namespaces/{MODEL}/deployments/notebook-controller-deployment"


def walk(names: list[str]) -> list[tuple[str, str]]:
    """Return all pairs, in an order in which few overlays change from one to the next."""
    left = list(itertools.combinations(names, 2))
    here: set[str] = set()
    ordered = []
    while left:
        nearest = min(left, key=lambda pair: len(here ^ set(pair)))
        left.remove(nearest)
        ordered.append(nearest)
        here = set(nearest)
    return ordered


PAIRS = walk(list(OVERLAYS))
USUAL = ("cos", "mlflow")


def said(name: str) -> dict[str, Any]:
    """Return what an overlay says, of all its documents."""
    whole: dict[str, Any] = {"applications": {}, "saas": {}, "relations": []}
    for document in yaml.safe_load_all(OVERLAYS[name].read_text()):
        for key, value in whole.items():
            more = (document or {}).get(key) or []
            value.extend(more) if isinstance(value, list) else value.update(more)
    return whole


def added(name: str) -> list[str]:
    """Return the applications that an overlay adds."""
    return [application for application, values in said(name)["applications"].items() if "charm" in values]


def for_profiles(name: str) -> set[str]:
    """Return the applications of an overlay that offer something to every profile."""
    pairs = [{end.partition(":")[0] for end in ends} for ends in said(name)["relations"]]
    return {each for pair in pairs if "resource-dispatcher" in pair for each in pair & set(added(name))}


def metrics() -> set[tuple[str, str]]:
    """Return where and what there is to let a Prometheus in to those of our charms that the overlay relates."""
    bundle = yaml.safe_load(BUNDLE.read_text())["applications"]
    ends = {end for pair in said("cos")["relations"] for end in pair if end.endswith(":metrics-endpoint")}
    ours = [name for name, values in bundle.items() if values["charm"].startswith(".")]
    names = [f"{name}-metrics" for name in ours if f"{name}:metrics-endpoint" in ends]
    return {(path, name) for path in EXPOSING for name in names}


class Platform:
    """The bundle with some overlays."""

    def __init__(self, stage: Stage):
        self.stage, self.admin = stage, Requests(stage.cluster)
        self.with_overlays: set[str] = set()
        self._offering: set[str] = set()
        self._bundle = yaml.safe_load(BUNDLE.read_text())["applications"]

    @property
    def applications(self) -> dict[str, Application]:
        """The applications of the platform's model."""
        return self.stage.engine.models[MODEL].applications

    def have(self, wanted: set[str]) -> None:
        """Remove and add overlays until these are there, and wait until everything is active."""
        for name in sorted(self.with_overlays - wanted):
            self._remove(name)
        if wanted - self.with_overlays or not self.with_overlays:
            self._deploy(wanted)
        self.with_overlays = set(wanted)
        self.settle()

    def _deploy(self, names: set[str]) -> None:
        for url in {offer["url"] for name in names for offer in said(name)["saas"].values()}:
            self._have_model(url.rpartition("/")[2].partition(".")[0])
        overlays = [word for name in sorted(names) for word in ("--overlay", OVERLAYS[name])]
        self.stage.juju("deploy", "-m", MODEL, BUNDLE, *overlays, "--trust")

    def _have_model(self, name: str) -> None:
        """Deploy the model that makes offers, once."""
        if name not in self._offering:
            self._offering.add(name)
            self.stage.juju("add-model", name, "--no-switch")
            self.stage.juju("deploy", "-m", name, ROOT / "models" / f"{name}.yaml", "--trust")
            self.settle(name)

    def _remove(self, name: str) -> None:
        """Take an overlay away by the commands that people type."""
        if applications := added(name):
            words = ("--destroy-storage", "--no-prompt")
            self.stage.juju("remove-application", "-m", MODEL, *applications, *words)
            until(lambda: not set(applications) & self.applications.keys(), name, within=240)
        for offer in said(name)["saas"]:
            self.stage.juju("remove-saas", "-m", MODEL, offer)
        for application, values in said(name)["applications"].items():
            if "charm" not in values and (options := values.get("options")):
                self.stage.juju("config", "-m", MODEL, application, "--reset", ",".join(options))
                before = self._bundle[application].get("options", {})
                if again := [f"{key}={before[key]}" for key in options if key in before]:
                    self.stage.juju("config", "-m", MODEL, application, *again)

    def settle(self, model: str = MODEL) -> None:
        """Wait until every unit is active and nothing is due."""

        def states() -> list[str]:
            units = self.stage.engine.models[model].units()
            return [f"{unit.name} {unit.workload.current}: {unit.workload.message}" for unit in units]

        def settled() -> bool:
            units = self.stage.engine.models[model].units()
            return all(unit.workload.current == "active" for unit in units) and self.stage.engine.idle(1.0)

        until(settled, states, within=300)

    def check_settled(self) -> None:
        """Check that hooks of our charms come to an end of writing."""
        until(lambda: self._written_when_asked() == [], "hooks that write nothing")

    def _written_when_asked(self) -> list[str]:
        """Have a hook run in each of our charms; return what these wrote to the API server."""
        ours = [each for each in self.applications.values() if each.origin == "local"]
        since = time.monotonic()
        asked = [unit for application in ours for unit in application.units.values()]
        for unit in asked:
            unit.seen.update_status_due = 0.0
        until(lambda: all(unit.seen.update_status_due for unit in asked))
        self.settle()
        callers = tuple(f":{MODEL}:{application.name}" for application in ours)
        made = [each for caller in callers for each in self.stage.gate.requests(caller=caller, since=since)]
        assert made, "no hook has asked for anything"
        return [f"{each.verb} {each.path}" for each in made if each.writes]

    def naming(self, words: set[str], namespace: str = "") -> list[str]:
        """Return the objects, of a namespace or of all, in which one of these words is."""
        return [
            f"{kind} {item['metadata'].get('namespace', '')}/{item['metadata']['name']}"
            for kind, path in self._kinds()
            for item in self._items(path)
            if not namespace or item["metadata"].get("namespace") == namespace
            if any(word in json.dumps(item) for word in words)
        ]

    def _items(self, path: str) -> list[Manifest]:
        """Return all objects of a kind; the API server asks for patience while it gets to know a new one."""

        def listed() -> list[list[Manifest]]:
            try:
                return [self.admin.items(path)]
            except Refused as refusal:
                if refusal.status != 429:
                    raise
                return []

        (items,) = until(listed, path)
        return items

    def _kinds(self) -> Iterator[tuple[str, str]]:
        """Yield every kind that can be listed, with the path of the list."""
        groups = self.admin.get("/apis")["groups"]
        preferred = ["/api/v1", *(f"/apis/{group['preferredVersion']['groupVersion']}" for group in groups)]
        for path in preferred:
            for kind in self.admin.get(path)["resources"]:
                if "list" in kind["verbs"] and kind["name"] not in PASSING:
                    yield kind["kind"], f"{path}/{kind['name']}"

    def check(self) -> None:
        """Check that what overlays give is where they are, and nowhere else."""
        for name in self.with_overlays:
            for application in for_profiles(name):
                until(lambda application=application: self.naming({application}, PROFILE), application)
        seen = metrics() if "cos" in self.with_overlays else set()
        until(lambda: self._exposed() == seen, self._exposed)
        options = said("gpu")["applications"]["kubeflow-notebooks"]["options"]
        culled = str(options["cull-idle-time"]) if "gpu" in self.with_overlays else ""
        until(lambda: self._culled_after() == culled, self._culled_after)
        gone = {each for name in OVERLAYS.keys() - self.with_overlays for each in added(name)}
        until(lambda: not self.naming(gone), lambda: self.naming(gone))
        until(lambda: not self._options_of_others(), self._options_of_others)

    def _exposed(self) -> set[tuple[str, str]]:
        """Return where and what there is to let a Prometheus in."""
        names = {name for _, name in metrics()}
        found = {(path, item["metadata"]["name"]) for path in EXPOSING for item in self._items(path)}
        return {(path, name) for path, name in found if name in names}

    def _culled_after(self) -> str:
        """Return after how many minutes an idle notebook is stopped; nothing if it is not."""
        (container,) = self.admin.get(CONTROLLER)["spec"]["template"]["spec"]["containers"]
        said = {each["name"]: each.get("value", "") for each in container["env"]}
        return said["CULL_IDLE_TIME"] if said["ENABLE_CULLING"] == "true" else ""

    def _options_of_others(self) -> list[str]:
        """Return the options that are as an overlay says that is not there."""
        return [
            f"{application}: {option}"
            for name in OVERLAYS.keys() - self.with_overlays
            for application, values in said(name)["applications"].items()
            if application in self._bundle
            for option in values.get("options") or {}
            if self.applications[application].config.get(option)
            != self._bundle[application].get("options", {}).get(option)
        ]


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    """The bundle with all overlays, active, and a profile."""
    with Stage() as stage:
        stage.juju("add-model", MODEL)
        platform = Platform(stage)
        platform.have(set(OVERLAYS))
        spec = {"owner": {"kind": "User", "name": f"{PROFILE}@example.com"}}
        document = {
            "apiVersion": "kubeflow.org/v1",
            "kind": "Profile",
            "metadata": {"name": PROFILE},
            "spec": spec,
        }
        platform.admin.create("/apis/kubeflow.org/v1/profiles", document)
        yield platform
        platform.admin.close()


def test_all_overlays_together_and_one_by_one_away(platform: Platform) -> None:
    platform.have(set(OVERLAYS))
    platform.check()
    for name in OVERLAYS:
        assert set(added(name)) <= platform.applications.keys()
        assert not added(name) or platform.naming(set(added(name))), "the search finds what is there"
    platform.check_settled()
    for name in OVERLAYS:
        platform.have(platform.with_overlays - {name})
        platform.check()
    platform.check_settled()


@pytest.mark.parametrize("pair", PAIRS, ids="+".join)
def test_every_pair_of_overlays(
    platform: Platform, pair: tuple[str, str], request: pytest.FixtureRequest
) -> None:
    """By default one pair, beside those that are there while one overlay after the other goes."""
    if pair != USUAL and not request.config.getoption("--every-pair"):
        pytest.skip("slow; tox -e proofs tries every pair")
    platform.have(set(pair))
    platform.check()
    platform.check_settled()


def test_after_all_of_them_the_platform_is_the_bundle(platform: Platform) -> None:
    platform.have(set())
    platform.check()
    assert "No changes to apply." in platform.stage.juju("deploy", "-m", MODEL, BUNDLE, "--trust")
    assert platform.stage.players and platform.stage.players.refusals() == []
