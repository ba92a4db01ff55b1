"""Katib's webhooks: experiments are filled in and checked, and trials' pods get what collects metrics.

kubeflow/katib v0.19.0, pkg/webhook/v1beta1: webhook.go, experiment/{mutate_webhook,validation_webhook}.go and
pod/inject_webhook.go. What may surprise there, and so here: a pod whose owners the controller may not read is
none of a trial's, so a missing right is told by nobody; a pod whose job is a trial's, but whose trial is
gone, is refused.
"""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import lightkube
import yaml

from rehearsal.network.mounts import Mounts
from rehearsal.network.playing import Answer, Visit
from rehearsal.players import answers, discovery, kinds
from rehearsal.players.answers import Denied
from rehearsal.players.katib import composing, config, defaulting, wrapping
from rehearsal.players.katib.experiments import EXPERIMENT_LABEL
from rehearsal.players.katib.validation import Validator
from rehearsal.players.kinds import Key, Kind, Object

_CERTIFICATES = "/tmp/cert"  # noqa: S108 (Katib's)
_INJECTION = "katib.kubeflow.org/metrics-collector-injection"
_MOST_OWNERS = 10


def program(visit: Visit) -> Answer | None:
    """Answer on the webhooks' port."""
    webhooks = _Webhooks(visit)
    return answers.serve(
        visit,
        webhooks.init["controller"].get("webhookPort") or 8443,
        _CERTIFICATES,
        {
            "/mutate-experiment": answers.mutating(
                lambda item, _: defaulting.default(item), kinds.EXPERIMENT
            ),
            "/validate-experiment": answers.checking(webhooks.validate, kinds.EXPERIMENT),
            "/mutate-pod": answers.mutating(webhooks.mutate_pod),
        },
    )


class _Webhooks:
    def __init__(self, visit: Visit):
        self._visit = visit
        variables = {each["name"]: each.get("value") for each in visit.container.get("env", [])}
        own = visit.pod["metadata"]["namespace"]
        # Both are taken from the pod's own namespace if they come from a field of it.
        self._core = variables.get("KATIB_CORE_NAMESPACE", "kubeflow") or own
        namespace = variables.get("KATIB_DB_MANAGER_SERVICE_NAMESPACE") or self._core
        host = variables.get("KATIB_DB_MANAGER_SERVICE_IP") or "katib-db-manager"
        port = variables.get("KATIB_DB_MANAGER_SERVICE_PORT") or "6789"
        self._database = f"{host}.{namespace}:{port}"
        self.init = self._started()

    def validate(self, request: Object) -> None:
        """Raise `Denied` if an experiment must not be."""
        item, before, namespace = request["object"], request.get("oldObject"), request["namespace"]
        labels = (self._get(kinds.NAMESPACE, ("", namespace)) or {"metadata": {}})["metadata"].get("labels")
        name = item["metadata"].get("name", "")
        if (labels or {}).get(_INJECTION) != "enabled":
            lacks = f'the namespace lacks label "{_INJECTION}: enabled"'
            raise Denied(f'Cannot create the Experiment "{name}" in namespace "{namespace}": {lacks}')
        try:
            said: config.Config | config.Unreadable = self._config()
        except config.Unreadable as error:
            said = error
        validator = Validator(said, lambda key: self._get(kinds.CONFIG_MAP, key))
        if problems := [*validator.problems(item, before)]:
            raise Denied(answers.aggregate(problems))
        if item["spec"].get("resumePolicy") == "FromVolume" and before is None:
            named = {**item, "metadata": {"name": "", "namespace": namespace, **item["metadata"]}}
            volume = composing.volume_name(named)
            if self._get(kinds.VOLUME, ("", volume)) is not None:
                where = f"Cannot create the Experiment: {name} in namespace: {namespace}"
                raise Denied(f"{where}, PV: {volume} is not deleted")

    def mutate_pod(self, pod: Object, request: Object) -> Object:
        """Return a pod as it shall be, if it is a trial's."""
        namespace = request["namespace"]
        name = self._trial_of(pod, namespace, _MOST_OWNERS)
        if name is None:
            return pod
        trial = self._get(kinds.TRIAL, (namespace, name))
        if trial is None:
            raise Denied(f'Trial.kubeflow.org "{name}" not found', 500)
        before = {**pod, "metadata": {**pod["metadata"]}}
        wrapping.label(pod, trial)
        kind = ((trial["spec"].get("metricsCollector") or {}).get("collector") or {}).get("kind")
        if not wrapping.is_primary(before, trial) or kind == "Push":
            return pod
        experiment = (trial["metadata"].get("labels") or {}).get(EXPERIMENT_LABEL, "")
        suggestion = self._get(kinds.SUGGESTION, (namespace, experiment))
        if suggestion is None:
            raise Denied(f'Suggestion.kubeflow.org "{experiment}" not found')
        try:
            wrapping.put(pod, trial, suggestion, self._config(), self._database)
        except config.Unreadable as error:
            raise Denied(str(error)) from None
        return pod

    def _trial_of(self, item: Object, namespace: str, most: int) -> str | None:
        """Return the name of what a trial owns, among an object and those that own it."""
        owners = item["metadata"].get("ownerReferences") or ()
        if any((each["apiVersion"], each["kind"]) == ("kubeflow.org/v1beta1", "Trial") for each in owners):
            return item["metadata"].get("name")
        for each in owners if most else ():
            kind = discovery.find(self._visit.cluster, each["apiVersion"], each["kind"])
            try:
                above = None if kind is None else self._get(kind, (namespace, each["name"]))
            except Denied:
                return None  # Katib cannot read it, and thinks no more of it
            if above is None:
                return None
            if name := self._trial_of(above, namespace, most - 1):
                return name
        return None

    def _config(self) -> config.Config:
        said = config.of_map(self._get(kinds.CONFIG_MAP, (self._core, config.NAME)))
        return config.Config(self.init, said.runtime)

    def _started(self) -> Object:
        """Return what the file of the command line said."""
        words = [*self._visit.container.get("command", []), *self._visit.container.get("args", [])]
        path = next(
            (each.partition("=")[2] for each in words if each.lstrip("-").startswith("katib-config=")), ""
        )
        try:
            text = Mounts(self._visit.cluster, self._visit.pod, self._visit.container).read(path).decode()
            return config.parse(text).init
        except (OSError, ValueError, config.Unreadable, yaml.YAMLError):
            return {"controller": {}}

    def _get(self, kind: Kind, key: Key) -> Object | None:
        return found(self._visit.client, kind, key)


def found(client: Callable[[], lightkube.Client], kind: Kind, key: Key) -> Object | None:
    """Return an object as an account sees it; None if there is none.

    Raises:
        Denied: if it may not see it, or cannot.
    """
    namespace, name = key
    try:
        return client().get(kind, name, namespace=namespace or None)
    except httpx2.HTTPStatusError as error:
        if error.response.status_code == 404:
            return None
        message = error.status.message if isinstance(error, lightkube.ApiError) else str(error)
        raise Denied(message or str(error), 500) from None
    except (httpx2.HTTPError, OSError) as error:
        raise Denied(str(error), 500) from None
