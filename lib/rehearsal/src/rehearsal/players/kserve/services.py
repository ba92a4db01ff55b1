"""The controller of inference services.

kserve/kserve v0.16.0, pkg/controller/v1beta1/inferenceservice. What may surprise there, and so here: the mode
in which an inference service has been deployed once stays, whatever is usual later; Knative's kinds that come
after the program's start are used but not followed until it starts again; while the Gateway API has not
accepted its routes, an inference service's status is not written at all.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Sequence

import httpx2

from rehearsal.players import conditions, kinds
from rehearsal.players.controller import Controller
from rehearsal.players.kinds import Key, Kind, Object
from rehearsal.players.kserve import (
    components,
    knative,
    naming,
    nodes,
    routes,
    runtimes,
    settings,
    standard,
    state,
    storage,
)
from rehearsal.players.kserve.components import Part
from rehearsal.players.kserve.settings import Settings
from rehearsal.players.program import Program
from rehearsal.players.recording import Recorder
from rehearsal.players.refusals import Unstartable

FINALIZER = "inferenceservice.finalizers"

_AGAIN = 2.0
"""Seconds after which an inference service is looked at again that cannot be deployed as it is."""
_BUNDLE, _BUNDLE_FILE = "global-ca-bundle", "cabundle.crt"


class Services:
    """Makes of inference services what serves them.

    Args:
        program: KServe's controller.

    Raises:
        Unstartable: if the Gateway API is to be used and is not there.
    """

    def __init__(self, program: Program):
        self._program = program
        self._api = program.api
        self._world = program.world
        self._namespace = program.settings.variable("POD_NAMESPACE", "kserve")
        self._recorder = Recorder(program, "v1beta1Controllers")
        self.controller: Controller = program.controller(
            kinds.INFERENCE_SERVICE, self._reconcile, "inferenceservice"
        )
        for kind in self._owned():
            self.controller.owns(kind)
        # One that comes or goes moves nothing.
        self.controller.watches(kinds.SERVING_RUNTIME, self._served_by, if_=_is_another)
        self.controller.watches(kinds.CLUSTER_SERVING_RUNTIME, self._followers_of_all, if_=_is_another)

    def _owned(self) -> list[Kind]:
        ingress = settings.read(self._program.kubelet, self._namespace).ingress
        found: list[Kind] = [kinds.DEPLOYMENT, kinds.SERVICE]
        if self._knative():
            found.append(kinds.KNATIVE_SERVICE)
        if self._istio() and not ingress.get("disableIstioVirtualHost"):
            found.append(kinds.VIRTUAL_SERVICE)
        if not ingress.get("enableGatewayApi"):
            found.append(kinds.INGRESS)
        elif self._program.discover("gateway.networking.k8s.io/v1", "HTTPRoute") is None:
            raise Unstartable("Gateway API CRD not available")
        else:
            found.append(kinds.HTTP_ROUTE)
        return found

    def _knative(self) -> bool:
        return self._program.discover("serving.knative.dev/v1", "Service") is not None

    def _istio(self) -> bool:
        return self._program.discover("networking.istio.io/v1beta1", "VirtualService") is not None

    def _served_by(self, runtime: Object) -> list[Key]:
        """Return the services of a namespace that its runtime serves."""
        metadata = runtime["metadata"]
        return [
            key
            for key, item in self._updated().items()
            if key[0] == metadata["namespace"]
            and (item.get("status") or {}).get("servingRuntimeName") == metadata["name"]
        ]

    def _followers_of_all(self, runtime: Object) -> list[Key]:
        """Return all services, whichever runtime has changed: KServe does not look who is served by it."""
        return [*self._updated()]

    def _updated(self) -> dict[Key, Object]:
        """Return the services that follow their runtimes."""
        found = self._api.follower(kinds.INFERENCE_SERVICE).items()
        return {kinds.key(each): each for each in found if not _stays_as_it_is(each)}

    def _reconcile(self, key: Key) -> float | None:
        live = self._api.get(kinds.INFERENCE_SERVICE, key)
        if live is None:
            return None
        said = settings.read(self._api, self._namespace)
        isvc = copy.deepcopy(live)
        annotations = said.annotations(isvc["metadata"].get("annotations"))
        mode = naming.mode(isvc.get("status") or {}, annotations, said.mode)
        if mode == naming.MESH and "transformer" not in isvc["spec"]:
            return None
        if "deletionTimestamp" in live["metadata"]:
            self._let_go(live)
            return None
        finalizers = live["metadata"].get("finalizers") or []
        if FINALIZER not in finalizers:
            more = {"metadata": {"finalizers": [*finalizers, FINALIZER]}}
            live = self._api.merge(kinds.INFERENCE_SERVICE, key, more)
            isvc["metadata"] = copy.deepcopy(live["metadata"])
        if _stays_as_it_is(isvc):
            return None
        if mode == naming.KNATIVE and not self._prepared(isvc):
            return None
        self._bundle(said, key[0])
        return self._deploy(said, live, isvc, mode)

    def _prepared(self, isvc: Object) -> bool:
        """Tell whether Knative is there; nothing tells when it comes."""
        if not self._knative():
            message = (
                "It is not possible to use Knative deployment mode when Knative Services are not available"
            )
            self._say(isvc, "ServerlessModeRejected", message, warning=True)
            return False
        namespace = self._program.settings.variable("KNATIVE_CONFIG_AUTOSCALER_NAMESPACE", "knative-serving")
        found = self._api.read(kinds.CONFIG_MAP, (namespace, "config-autoscaler"))
        if found is None:
            raise LookupError(
                f"fails to retrieve the config-autoscaler configmap from the {namespace} namespace."
            )
        zero = (found.get("data") or {}).get("allow-zero-initial-scale") == "true"
        annotations = isvc["metadata"].get("annotations") or {}
        initial = annotations.get("autoscaling.knative.dev/initial-scale", "")
        if initial and (not initial.isdigit() or (int(initial) == 0 and not zero)):
            del annotations["autoscaling.knative.dev/initial-scale"]
        return True

    def _deploy(self, said: Settings, live: Object, isvc: Object, mode: str) -> float | None:
        status = isvc.setdefault("status", {})
        now = self._world.timestamp()
        try:
            status = self._components(said, isvc, mode, status, now)
        except (runtimes.Unservable, nodes.NoWorkers, ValueError) as error:
            status = isvc["status"]
            if isinstance(error, runtimes.Unservable):
                state.invalid(status, error.reason, error.told)
            elif isinstance(error, nodes.NoWorkers):
                put = state.CONDITIONS.put
                put(status, "PredictorReady", "False", now, error.reason, str(error))
            self._say(isvc, "InternalError", str(error), warning=True)
            self._write(live, status, mode)
            return _AGAIN
        except httpx2.HTTPStatusError:
            self._write(live, isvc["status"], mode)
            raise
        state.CONDITIONS.put(status, "Stopped", "True" if naming.stopped(isvc) else "False", now)
        if mode == naming.KNATIVE and not naming.stopped(isvc):
            state.cross(status, [each for each in naming.COMPONENTS if each in isvc["spec"]], now)
        try:
            if mode == naming.STANDARD:
                if routes.keep(self._api, said, isvc, status, now):
                    return _AGAIN
            else:
                if not self._istio() and not said.ingress.get("disableIstioVirtualHost"):
                    raise LookupError(
                        'no matches for kind "VirtualService" in version "networking.istio.io/v1beta1"'
                    )
                knative.route(self._api, said, isvc, status, now)
        except ValueError as error:  # a domain that is none, say
            self._program.refusals.hear(
                f"{self._program.name}: fails to reconcile ingress", LookupError(str(error))
            )
            return _AGAIN
        self._write(live, status, mode)
        return None

    def _components(self, said: Settings, isvc: Object, mode: str, status: Object, now: str) -> Object:
        """Deploy all components; return the status with what they tell."""
        names = [each for each in naming.COMPONENTS if each in isvc["spec"]]
        if mode == naming.MESH:
            names = names[1:]
        for component in names:
            part = self._part(said, isvc, component, status)
            if naming.stopped(isvc):
                if mode == naming.STANDARD:
                    standard.remove(self._api, isvc, part)
                else:
                    knative.remove(self._api, isvc, part.name)
                status = isvc["status"] = state.stop(status, component, now)
            elif mode == naming.STANDARD:
                self._load(said, isvc, part)
                url = standard.url(said, isvc, part)
                deployments = standard.keep(self._api, said, isvc, part)
                state.deployed(status, component, deployments, url, now)
                if component == "predictor":
                    state.loaded(status, self._pods(isvc, "app", f"isvc.{part.name}"), None)
            else:
                with contextlib.suppress(ValueError):  # upstream only logs it
                    self._load(said, isvc, part)
                service = knative.keep(self._api, said, isvc, part, status)
                state.served(status, component, service, now)
                if component == "predictor":
                    revision = status["components"][component].get("latestCreatedRevision", "")
                    pods = self._pods(isvc, "serving.knative.dev/revision", revision)
                    state.loaded(status, pods, service)
        return status

    def _part(self, said: Settings, isvc: Object, component: str, status: Object) -> Part:
        if component != "predictor":
            return components.other(self._api, said, isvc, component)
        spec, runtime = isvc["spec"]["predictor"], None
        if "model" in spec:
            runtime = runtimes.choose(self._api, isvc, "workerSpec" in spec)
            name, other = "clusterServingRuntimeName", "servingRuntimeName"
            if not runtime.of_cluster:
                name, other = other, name
            status[name] = runtime.name
            status.pop(other, None)
            runtimes.settle(isvc, runtime.name)
            spec["model"].setdefault("protocolVersion", runtimes.protocol(runtime.spec))
        part = components.predictor(self._api, said, isvc, runtime)
        if "workerSpec" in spec and runtime is not None:
            nodes.spread(said, isvc, runtime, part)
        return part

    def _load(self, said: Settings, isvc: Object, part: Part) -> None:
        """Have a component's models loaded, if they are in several places."""
        uris = part.extension.get("storageUris")
        where = (isvc["metadata"]["namespace"], self._namespace)
        for each in (part, part.worker) if uris else ():
            if each is not None:
                storage.load_several(self._api, said, each.pod, part.annotations, uris or [], where)

    def _pods(self, isvc: Object, label: str, value: str) -> Sequence[Object]:
        found = [
            each
            for each in self._api.items(kinds.POD, isvc["metadata"]["namespace"])
            if (each["metadata"].get("labels") or {}).get(label) == value
        ]
        return sorted(found, key=lambda each: each["metadata"]["creationTimestamp"], reverse=True)

    def _write(self, live: Object, status: Object, mode: str) -> None:
        status["deploymentMode"] = mode
        status.setdefault("modelStatus", {}).setdefault("transitionStatus", "")
        before = live.get("status") or {}
        if status == before:
            return
        self._api.replace_status(kinds.INFERENCE_SERVICE, live, status)
        name, ready = live["metadata"]["name"], conditions.is_true(status, "Ready")
        was = conditions.is_true(before, "Ready")
        if ready and not was:
            self._say(live, "InferenceServiceReady", f"InferenceService [{name}] is Ready")
        elif was and (conditions.find(status, "Ready") or {}).get("status") == "False":
            failed = [each["type"] for each in status["conditions"] if each["status"] == "False"]
            message = f"InferenceService [{name}] is no longer Ready because of: {', '.join(failed)}"
            self._say(live, "InferenceServiceNotReady", message, warning=True)

    def _say(self, isvc: Object, reason: str, message: str, *, warning: bool = False) -> None:
        self._recorder.say(kinds.INFERENCE_SERVICE, isvc, reason, message, warning=warning)

    def _let_go(self, isvc: Object) -> None:
        """Delete the trained models of an inference service that is being deleted, and let it go."""
        finalizers = isvc["metadata"].get("finalizers") or []
        if FINALIZER not in finalizers:
            return
        namespace, name = kinds.key(isvc)
        for each in self._api.items(kinds.TRAINED_MODEL, namespace):
            if (each["metadata"].get("labels") or {}).get("inferenceservice") == name:
                self._api.delete(kinds.TRAINED_MODEL, kinds.key(each))
        rest = {"metadata": {"finalizers": [each for each in finalizers if each != FINALIZER]}}
        self._api.merge(kinds.INFERENCE_SERVICE, (namespace, name), rest)

    def _bundle(self, said: Settings, namespace: str) -> None:
        """Copy the authorities that the storage initializer trusts into the namespace."""
        name = said.section("storageInitializer").get("caBundleConfigMapName")
        if not name:
            return
        found = self._api.read(kinds.CONFIG_MAP, (self._namespace, name))
        if found is None:
            raise LookupError(f"failed to get configmap {name} from the cluster")
        text = (found.get("data") or {}).get(_BUNDLE_FILE)
        if not text:
            raise LookupError(
                f"specified cabundle file {_BUNDLE_FILE} not found in cabundle configmap {name}"
            )
        wanted = {"metadata": {"name": _BUNDLE, "namespace": namespace}, "data": {_BUNDLE_FILE: text}}
        live = self._api.read(kinds.CONFIG_MAP, (namespace, _BUNDLE))
        if live is None or live.get("data") != wanted["data"]:
            self._api.keep(kinds.CONFIG_MAP, wanted, live, lambda new, item: item.update(data=new["data"]))


def _is_another(old: Object | None, new: Object | None) -> bool:
    """Tell whether a runtime has changed; one that comes or goes has not."""
    return old is not None and new is not None and old.get("spec") != new.get("spec")


def _stays_as_it_is(isvc: Object) -> bool:
    annotations = isvc["metadata"].get("annotations") or {}
    said = annotations.get(f"{naming.GROUP}/disable-auto-update") == "true"
    return said and conditions.is_true(isvc.get("status") or {}, "Ready")
