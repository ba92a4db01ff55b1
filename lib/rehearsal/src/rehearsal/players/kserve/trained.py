"""Trained models, as far as they are asked for nowadays: whose they are, their URL, and why none is served.

kserve/kserve v0.16.0, pkg/controller/v1alpha1/trainedmodel. Servers of several models are not played, so a
trained model says that its predictor is none, as upstream's does for every predictor with a model of its own.
"""

from __future__ import annotations

import copy

from rehearsal.players import conditions, kinds
from rehearsal.players.controller import Controller
from rehearsal.players.kinds import Key
from rehearsal.players.living import LivingSet
from rehearsal.players.program import Program

FINALIZER = "trainedmodel.finalizer"
CONDITIONS = LivingSet(
    ("InferenceServiceReady", "FrameworkSupported", "MemoryResourceAvailable", "IsMMSPredictor")
)

_AGAIN = 2.0


class TrainedModels:
    """The controller of trained models."""

    def __init__(self, program: Program):
        self._api = program.api
        self._world = program.world
        self.controller: Controller = program.controller(kinds.TRAINED_MODEL, self._reconcile, "trainedmodel")

    def _reconcile(self, key: Key) -> float | None:
        live = self._api.get(kinds.TRAINED_MODEL, key)
        if live is None:
            return None
        finalizers = live["metadata"].get("finalizers") or []
        if "deletionTimestamp" in live["metadata"]:
            if FINALIZER in finalizers:
                rest = [each for each in finalizers if each != FINALIZER]
                self._api.merge(kinds.TRAINED_MODEL, key, {"metadata": {"finalizers": rest}})
            return None
        parent = live["spec"]["inferenceService"]
        isvc = self._api.get(kinds.INFERENCE_SERVICE, (key[0], parent))
        if isvc is None:
            self._api.delete(kinds.TRAINED_MODEL, key)
            return None
        if FINALIZER not in finalizers:
            change = {"finalizers": [*finalizers, FINALIZER], "labels": {"inferenceservice": parent}}
            live = self._api.merge(kinds.TRAINED_MODEL, key, {"metadata": change})
        status = copy.deepcopy(live.get("status") or {})
        now = self._world.timestamp()
        told = isvc.get("status") or {}
        ready = conditions.is_true(told, "Ready")
        message = "Inference Service needs to be ready before Trained Model can be ready"
        CONDITIONS.put(
            status,
            "InferenceServiceReady",
            "True" if ready else "False",
            now,
            "" if ready else "InferenceServiceNotReady",
            "" if ready else message,
        )
        message = "Inference Service predictor is not configured for multi-model serving"
        CONDITIONS.put(status, "IsMMSPredictor", "False", now, "IsNotMMSPredictor", message)
        model = isvc["spec"]["predictor"].get("model") or {}
        path = f"/v1/models/{key[1]}:predict"
        if model.get("protocolVersion") == "v2":
            path = f"/v2/models/{key[1]}/infer"
        if told.get("url"):
            status["url"] = f"{told['url']}{path}"
        if (told.get("address") or {}).get("url"):
            status["address"] = {"url": f"{told['address']['url']}{path}"}
        self._api.replace_status(kinds.TRAINED_MODEL, live, status)
        return _AGAIN if not ready else None
