"""Configurations: a Revision for each template that they have had.

knative.dev/serving v0.42.2, pkg/reconciler/configuration and pkg/apis/serving/v1/configuration_lifecycle.go.
What may surprise there, and so here: the revisions before the newest one that is ready are never looked at
again; a revision that fails makes the Configuration fail, but what was ready before stays the latest ready.
Revisions are never collected here.
"""

from __future__ import annotations

import copy

from rehearsal.players import conditions, kinds
from rehearsal.players.controller import Controller
from rehearsal.players.kinds import Key, Object
from rehearsal.players.knative import conventions
from rehearsal.players.knative.defaulting import fill_template
from rehearsal.players.program import Program

GENERATION = f"{conventions.SERVING}/configurationGeneration"


class Configurations:
    """The controller of Configurations."""

    def __init__(self, program: Program):
        self._api = program.api
        self._world = program.world
        self.controller: Controller = program.controller(
            kinds.KNATIVE_CONFIGURATION, self._reconcile, "configuration"
        )
        self.controller.owns(kinds.KNATIVE_REVISION)

    def _reconcile(self, key: Key) -> None:
        live = self._api.get(kinds.KNATIVE_CONFIGURATION, key)
        if live is None or "deletionTimestamp" in live["metadata"]:
            return
        status = copy.deepcopy(live.get("status") or {})
        now = self._world.timestamp()
        conventions.CONFIGURATION.begin(status, now)
        wanted = _revision(live)
        revision = self._api.ensure(kinds.KNATIVE_REVISION, wanted)
        if kinds.controller(kinds.KNATIVE_CONFIGURATION, revision) != key[1]:
            message = (
                f'Failed to create Revision for "{key[1]}": revisions "{kinds.key(wanted)[1]}" already exists'
            )
            conventions.CONFIGURATION.put(status, "Ready", "False", now, "RevisionFailed", message)
        else:
            self._judge(live, status, revision, now)
        conventions.observed(live, status)
        self._api.replace_status(kinds.KNATIVE_CONFIGURATION, live, status)

    def _judge(self, live: Object, status: Object, revision: Object, now: str) -> None:
        name = revision["metadata"]["name"]
        if status.get("latestCreatedRevisionName") != name:
            status["latestCreatedRevisionName"] = name
            conventions.CONFIGURATION.put(status, "Ready", "Unknown", now)
        ready = conditions.find(revision.get("status") or {}, "Ready") or {"status": "Unknown"}
        if ready["status"] == "False":
            message = f'Revision "{name}" failed with message: {ready.get("message", "")}.'
            conventions.CONFIGURATION.put(status, "Ready", "False", now, "RevisionFailed", message)
        elif ready["status"] == "Unknown":
            conventions.CONFIGURATION.put(status, "Ready", "Unknown", now)
        else:
            conventions.CONFIGURATION.put(status, "Ready", "True", now)
        found = [
            each
            for each in self._api.items(kinds.KNATIVE_REVISION, live["metadata"]["namespace"])
            if kinds.controller(kinds.KNATIVE_CONFIGURATION, each) == live["metadata"]["name"]
            and conditions.is_true(each.get("status") or {}, "Ready")
        ]
        newest = max(found, key=_generation, default=None)
        if newest is not None:
            status["latestReadyRevisionName"] = newest["metadata"]["name"]


def _generation(revision: Object) -> int:
    return int((revision["metadata"].get("labels") or {}).get(GENERATION, "0"))


def _revision(configuration: Object) -> Object:
    metadata, template = configuration["metadata"], copy.deepcopy(configuration["spec"]["template"])
    fill_template(template)
    generation = str(metadata.get("generation", 1))
    said, labels = template["metadata"], metadata.get("labels") or {}
    name = said.get("name") or conventions.child_name(metadata["name"], f"-{int(generation):05d}")
    of_service = {
        each: labels[each]
        for each in (f"{conventions.SERVING}/service", f"{conventions.SERVING}/serviceUID")
        if each in labels
    }
    creator = f"{conventions.SERVING}/creator"
    annotations = {
        each: value for each, value in (metadata.get("annotations") or {}).items() if each == creator
    }
    return {
        "metadata": conventions.owned(
            kinds.KNATIVE_CONFIGURATION,
            configuration,
            name,
            labels={
                **(said.get("labels") or {}),
                **of_service,
                f"{conventions.SERVING}/configuration": metadata["name"],
                f"{conventions.SERVING}/configurationUID": metadata["uid"],
                GENERATION: generation,
                f"{conventions.SERVING}/routingState": "pending",
            },
            annotations={**annotations, **(said.get("annotations") or {})},
        ),
        "spec": template["spec"],
    }
