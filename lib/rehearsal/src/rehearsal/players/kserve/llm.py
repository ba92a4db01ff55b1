"""Large language models: an LLMInferenceService becomes Deployments, a Service and perhaps an HTTPRoute.

kserve/kserve v0.16.0, cmd/llmisvc and pkg/controller/v1alpha1/llmisvc. What may surprise there, and so here:
presets of the namespace come before those of KServe's own; a service without a router is ready with its pods,
and has no URL; one with a route is never ready where there is no Gateway API; an account of its own must be
there first; `prefill` that comes or goes later asks for another selector of a Deployment, which Kubernetes
refuses. Workloads of several nodes, which are LeaderWorkerSets, and the scheduler with its pool are not
played: a service that asks for one of them says so.
"""

from __future__ import annotations

import base64
import copy
import datetime
import os

from rehearsal.network.playing import Answer, Visit
from rehearsal.players import answers, conditions, flags, kinds, strategic
from rehearsal.players.controller import Controller
from rehearsal.players.direct import Direct
from rehearsal.players.kinds import Key, Object
from rehearsal.players.knative.conventions import child_name
from rehearsal.players.kserve import gotemplates, settings, storage
from rehearsal.players.kserve.settings import Settings
from rehearsal.players.living import LivingSet, clear
from rehearsal.players.program import Program, timestamp
from rehearsal.players.recording import Recorder

IMAGE = "llmisvc-controller"
FINALIZER = "serving.kserve.io/llmisvc-finalizer"
CONDITIONS = LivingSet(("WorkloadsReady", "RouterReady"))
PRESETS = tuple(
    f"kserve-config-llm-{each}"
    for each in ("template", "decode-template", "prefill-template", "scheduler", "router-route")
)

_FLAGS = {"metrics-addr": ":8443", "webhook-port": "9443", "health-probe-addr": ":8081"}
_SWITCHES = ("leader-elect", "metrics-secure", "enable-http2")
_SIDECAR = "llm-d-routing-sidecar"
_PART_OF = {"app.kubernetes.io/part-of": "llminferenceservice"}
_WORKLOADS = ("MainWorkloadReady", "PrefillWorkloadReady")
_ROUTERS = ("HTTPRoutesReady", "SchedulerWorkloadReady")
_NO_ROUTES = 'no matches for kind "HTTPRoute" in version "gateway.networking.k8s.io/v1"'
_AGAIN = 5.0
_CERTIFIED = datetime.timedelta(days=8 * 365)
"""How long a service's certificate is used; it has ten years (workload_tls_self_signed.go)."""


class Unplayed(Exception):
    """A service asks for what is not played."""


def controllers(program: Program) -> list[Controller]:
    """Return what the program runs."""
    flags.parse(program.settings.words, _FLAGS, _SWITCHES)
    return [_Services(program).controller]


class _Services:
    def __init__(self, program: Program):
        self._api = program.api
        self._world = program.world
        self._namespace = program.settings.variable("POD_NAMESPACE", "kserve")
        self._recorder = Recorder(program, "LLMInferenceServiceController")
        self.controller: Controller = program.controller(
            kinds.LLM_SERVICE, self._reconcile, "llminferenceservice"
        )
        owned = [kinds.DEPLOYMENT, kinds.SERVICE, kinds.SECRET]
        self._routes = program.discover("gateway.networking.k8s.io/v1", "HTTPRoute") is not None
        for kind in [*owned, kinds.HTTP_ROUTE] if self._routes else owned:
            self.controller.owns(kind)
        self.controller.watches(kinds.LLM_CONFIG, self._of_preset)

    def _of_preset(self, preset: Object) -> list[Key]:
        namespace, name = kinds.key(preset)
        return [
            kinds.key(each)
            for each in self._api.follower(kinds.LLM_SERVICE).items()
            if (namespace == self._namespace or kinds.key(each)[0] == namespace)
            and (name in PRESETS or {"name": name} in (each["spec"].get("baseRefs") or []))
        ]

    def _reconcile(self, key: Key) -> float | None:
        live = self._api.get(kinds.LLM_SERVICE, key)
        if live is None:
            return None
        finalizers = live["metadata"].get("finalizers") or []
        if "deletionTimestamp" in live["metadata"]:
            if FINALIZER in finalizers:
                rest = [each for each in finalizers if each != FINALIZER]
                self._api.merge(kinds.LLM_SERVICE, key, {"metadata": {"finalizers": rest}})
            return None
        if FINALIZER not in finalizers:
            change = {"metadata": {"finalizers": [*finalizers, FINALIZER]}}
            live = self._api.merge(kinds.LLM_SERVICE, key, change)
        item = copy.deepcopy(live)
        status = item.setdefault("status", {})
        now = self._world.timestamp()
        CONDITIONS.begin(status, now)
        problem = ""
        try:
            said = settings.read(self._api, self._namespace)
            spec = self._combine(item, said, status, now)
            self._deploy(item, said, spec, status, now)
            self._route(item, spec, status, now)
        except (Unplayed, ValueError, LookupError) as error:
            problem = str(error)
            self._recorder.say(
                kinds.LLM_SERVICE, live, "Error", f"Reconciliation failed: {error}", warning=True
            )
        self._sum_up(status, "WorkloadsReady", _WORKLOADS, now)
        self._sum_up(status, "RouterReady", _ROUTERS, now)
        status["observedGeneration"] = live["metadata"].get("generation", 1)
        self._api.replace_status(kinds.LLM_SERVICE, live, status)
        return _AGAIN if problem else None

    def _sum_up(self, status: Object, whole: str, parts: tuple[str, ...], now: str) -> None:
        for part in parts:
            found = conditions.find(status, part)
            if found is not None and found["status"] == "False":
                CONDITIONS.copy(status, whole, found, now)
                return
        if conditions.is_true(status, "PresetsCombined"):
            CONDITIONS.put(status, whole, "True", now)

    def _combine(self, item: Object, said: Settings, status: Object, now: str) -> Object:
        """Return the spec with its presets below it, and all templates filled in."""
        own = item["spec"]
        try:
            base: Object = {}
            for reference in own.get("baseRefs") or ():
                base = strategic.merge(base, self._preset(item, reference["name"]))
            known = strategic.merge(base, own)
            usual = []
            router = known.get("router") or {}
            if "scheduler" in router:
                usual.append("scheduler")
            if "route" in router and not ((router["route"] or {}).get("http") or {}).get("refs"):
                usual.append("router-route")
            if "prefill" in known:
                usual.append("prefill-template")
            usual.append("decode-template" if "prefill" in known else "template")
            whole: Object = {}
            for name in usual:
                whole = strategic.merge(whole, self._preset(item, f"kserve-config-llm-{name}"))
            whole = strategic.merge(strategic.merge(whole, base), own)
            model = whole.setdefault("model", {})
            model["name"] = model.get("name") or item["metadata"]["name"]
            namespace, _, gateway = said.ingress.get("kserveIngressGateway", "").rpartition("/")
            about = {
                "metadata": item["metadata"],
                "spec": {**own, "model": model},
                "GlobalConfig": {
                    "IngressGatewayName": gateway,
                    "IngressGatewayNamespace": namespace or self._namespace,
                    "SystemNamespace": self._namespace,
                },
            }
            spec = gotemplates.fill(whole, about)
        except (ValueError, LookupError) as error:
            CONDITIONS.put(status, "PresetsCombined", "False", now, "CombineBaseError", str(error))
            CONDITIONS.put(status, "WorkloadsReady", "Unknown", now)
            raise
        CONDITIONS.put(status, "PresetsCombined", "True", now)
        return spec

    def _preset(self, item: Object, name: str) -> Object:
        for namespace in (item["metadata"]["namespace"], self._namespace):
            found = self._api.get(kinds.LLM_CONFIG, (namespace, name))
            if found is not None:
                return {key: value for key, value in found["spec"].items() if key != "baseRefs"}
        raise LookupError(
            f'failed to get LLMInferenceServiceConfig "{name}" from namespaces '
            f'["{item["metadata"]["namespace"]}", "{self._namespace}"]'
        )

    def _deploy(self, item: Object, said: Settings, spec: Object, status: Object, now: str) -> None:
        name = item["metadata"]["name"]
        if "worker" in spec or "worker" in (spec.get("prefill") or {}):
            message = "workers of several nodes are not played: there is no LeaderWorkerSet"
            CONDITIONS.put(status, "MainWorkloadReady", "False", now, "NotPlayed", message)
            raise Unplayed(message)
        expires = timestamp(self._world.clock() + _CERTIFIED)
        certificate = {
            "metadata": {
                **self._about(item, "-kserve-self-signed-certs", "workload"),
                "annotations": {"certificates.kserve.io/expiration": expires},
            },
            "type": "kubernetes.io/tls",
            "data": {each: base64.b64encode(os.urandom(24)).decode() for each in ("tls.crt", "tls.key")},
        }
        self._api.ensure(kinds.SECRET, certificate)
        role = "decode" if "prefill" in spec else "both"
        self._workload(
            item, said, spec, spec, ("-kserve", "workload", role, "MainWorkloadReady"), status, now
        )
        if "prefill" in spec:
            part = ("-kserve-prefill", "workload-prefill", "prefill", "PrefillWorkloadReady")
            self._workload(item, said, spec, spec["prefill"], part, status, now)
        else:
            clear(status, ["PrefillWorkloadReady"])
            self._remove(item, kinds.DEPLOYMENT, "-kserve-prefill")
        port = {"name": "https", "port": 8000, "targetPort": 8000, "protocol": "TCP", "appProtocol": "https"}
        selector = {**_PART_OF, "app.kubernetes.io/name": name, "kserve.io/component": "workload"}
        service = {
            "metadata": self._about(item, "-kserve-workload-svc", "workload"),
            "spec": {"type": "ClusterIP", "ports": [port], "selector": selector},
        }
        self._keep(kinds.SERVICE, service)

    def _workload(
        self,
        item: Object,
        said: Settings,
        spec: Object,
        workload: Object,
        part: tuple[str, str, str, str],
        status: Object,
        now: str,
    ) -> None:
        suffix, component, role, condition = part
        about = self._about(item, suffix, component)
        about["labels"] |= {"kserve.io/component": "workload", "llm-d.ai/role": role}
        pod = copy.deepcopy(workload.get("template") or {})
        self._check_account(about["namespace"], pod, role, status, now)
        if role != "prefill":
            self._equip_sidecar(item, pod)
        storage.load(self._api, said, item, pod, spec["model"]["uri"], self._namespace)
        wanted: Object = {
            "metadata": about,
            "spec": {
                "selector": {"matchLabels": dict(about["labels"])},
                "template": {"metadata": {"labels": dict(about["labels"])}, "spec": pod},
            },
        }
        if workload.get("replicas") is not None:
            wanted["spec"]["replicas"] = workload["replicas"]
        live = self._keep(kinds.DEPLOYMENT, wanted)
        available = conditions.find(live.get("status") or {}, "Available")
        if available is None:
            CONDITIONS.put(status, condition, "False", now, "Progressing")
        elif available["status"] == "True":
            CONDITIONS.put(status, condition, "True", now)
        else:
            message = available.get("message", "")
            CONDITIONS.put(status, condition, "False", now, available.get("reason", ""), message)

    def _equip_sidecar(self, item: Object, pod: Object) -> None:
        """Give the sidecar that routes to `prefill` an account that may see the pods and their pool."""
        namespace, name = kinds.key(item)
        if not any(each["name"] == _SIDECAR for each in pod.get("initContainers") or ()):
            return
        account, role = child_name(name, "-kserve"), child_name(name, "-kserve-role")
        like = pod.get("serviceAccountName")
        theirs = self._api.read(kinds.SERVICE_ACCOUNT, (namespace, like)) if like else None
        given = {
            key: value
            for key, value in (theirs or {}).items()
            if key in ("secrets", "imagePullSecrets", "automountServiceAccountToken")
        }
        reading = ["get", "list", "watch"]
        subjects = [{"kind": "ServiceAccount", "name": account, "namespace": namespace}]
        rules = [
            {"apiGroups": [group], "resources": [resource], "verbs": reading}
            for group, resource in (("", "pods"), ("inference.networking.x-k8s.io", "inferencepools"))
        ]
        of_role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role}
        for kind, suffix, body in (
            (kinds.SERVICE_ACCOUNT, "-kserve", given),
            (kinds.ROLE, "-kserve-role", {"rules": rules}),
            (kinds.ROLE_BINDING, "-kserve-rb", {"roleRef": of_role, "subjects": subjects}),
        ):
            self._api.ensure(kind, {"metadata": self._about(item, suffix, "workload"), **body})
        pod["serviceAccountName"] = account

    def _check_account(self, namespace: str, pod: Object, role: str, status: Object, now: str) -> None:
        """Raise LookupError if the pods' account is missing: it is looked up before anything is made."""
        name = pod.get("serviceAccountName")
        if not name or self._api.read(kinds.SERVICE_ACCOUNT, (namespace, name)):
            return
        part = "prefill" if role == "prefill" else "main"
        step = "prefill workload" if part == "prefill" else "service account"
        message = (
            f"failed to reconcile {step}: failed to get expected {part} deployment: failed to fetch existing "
            f'single node {part} service account {namespace}/{name}: ServiceAccount "{name}" not found'
        )
        reason = "ReconcileSingleNodeWorkloadError"
        CONDITIONS.put(status, "MainWorkloadReady", "False", now, reason, message)
        raise LookupError(
            f"failed to reconcile workload: failed to reconcile single node workload: {message}"
        )

    def _route(self, item: Object, spec: Object, status: Object, now: str) -> None:
        router = spec.get("router") or {}
        if "scheduler" in router:
            message = "the scheduler is not played: its pool has no endpoints"
            CONDITIONS.put(status, "SchedulerWorkloadReady", "False", now, "NotPlayed", message)
        else:
            clear(status, ["SchedulerWorkloadReady"])
            CONDITIONS.put(status, "InferencePoolReady", "True", now)
        http = (router.get("route") or {}).get("http") or {}
        if "spec" in http and not self._routes:
            namespace, name = kinds.key(item)
            route = f"HTTPRoute {namespace}/{child_name(name, '-kserve-route')}"
            missing = f"failed to reconcile {route}: failed to get v1.{route}: {_NO_ROUTES}"
            message = f"Failed to reconcile HTTPRoute: {missing}"
            CONDITIONS.put(status, "HTTPRoutesReady", "False", now, "HTTPRouteReconcileError", message)
            raise LookupError(f"failed to reconcile networking: failed to reconcile HTTP routes: {missing}")
        if "spec" not in http:
            if self._routes:
                self._remove(item, kinds.HTTP_ROUTE, "-kserve-route")
            CONDITIONS.put(status, "HTTPRoutesReady", "True", now)
            status.pop("url", None)
            return
        wanted = copy.deepcopy(http["spec"])
        references = (router.get("gateway") or {}).get("refs") or ()
        if references:
            parent = {"group": "gateway.networking.k8s.io", "kind": "Gateway"}
            wanted["parentRefs"] = [{**parent, **each} for each in references]
        if "scheduler" not in router:
            pool = child_name(item["metadata"]["name"], "-inference-pool")
            service = child_name(item["metadata"]["name"], "-kserve-workload-svc")
            for rule in wanted.get("rules") or ():
                for backend in rule.get("backendRefs") or ():
                    if backend.get("name") == pool:
                        backend |= {"group": "", "kind": "Service", "name": service}
        about = self._about(item, "-kserve-route", "router")
        live = self._keep(kinds.HTTP_ROUTE, {"metadata": about, "spec": wanted})
        parents = (live.get("status") or {}).get("parents") or []
        refused = [c for each in parents for c in each.get("conditions") or () if c["status"] == "False"]
        if parents and not refused:
            CONDITIONS.put(status, "HTTPRoutesReady", "True", now)
        else:
            reason = refused[0].get("reason", "") if refused else "HTTPRoutesNotReady"
            message = f"The following HTTPRoutes are not ready: [{'/'.join(kinds.key(live))}]"
            CONDITIONS.put(status, "HTTPRoutesReady", "False", now, reason, message)
        hosts = wanted.get("hostnames") or []
        paths = [
            match["path"]["value"]
            for rule in wanted.get("rules") or ()
            for match in rule.get("matches") or ()
            if (match.get("path") or {}).get("value")
        ]
        urls = sorted({f"http://{host}{path}" for host in hosts for path in paths or [""]})
        if urls:
            status["url"], status["addresses"] = urls[0], [{"url": each} for each in urls]

    def _about(self, item: Object, suffix: str, component: str) -> Object:
        namespace, name = kinds.key(item)
        return {
            "name": child_name(name, suffix),
            "namespace": namespace,
            "labels": {
                **_PART_OF,
                "app.kubernetes.io/component": f"llminferenceservice-{component}",
                "app.kubernetes.io/name": name,
            },
            "ownerReferences": [kinds.reference(kinds.LLM_SERVICE, item)],
        }

    def _keep(self, kind: kinds.Kind, wanted: Object) -> Object:
        return self._api.keep(kind, wanted, self._api.get(kind, kinds.key(wanted)), _copy)

    def _remove(self, item: Object, kind: kinds.Kind, suffix: str) -> None:
        key = (item["metadata"]["namespace"], child_name(item["metadata"]["name"], suffix))
        live = self._api.get(kind, key)
        if live is not None and kinds.controller(kinds.LLM_SERVICE, live) == item["metadata"]["name"]:
            self._api.delete(kind, key)


def _copy(wanted: Object, item: Object) -> None:
    item["metadata"]["labels"] = {**(item["metadata"].get("labels") or {}), **wanted["metadata"]["labels"]}
    item["spec"] = {**item["spec"], **copy.deepcopy(wanted["spec"])}


def program(visit: Visit) -> Answer | None:
    """Answer on the webhooks' port."""
    path = "/validate-serving-kserve-io-v1alpha1-llminferenceservice"
    reviewers = {
        path: answers.validating(_check),
        f"{path}config": answers.validating(lambda item, before: _check_preset(visit, item)),
    }
    return answers.serve(visit, 9443, answers.CERTIFICATES, reviewers)


def _check(item: Object, before: Object | None) -> list[str]:
    found, router = [], item["spec"].get("router") or {}
    http = (router.get("route") or {}).get("http") or {}
    gateways = (router.get("gateway") or {}).get("refs")
    if router.get("route") == {} and gateways:
        found.append(
            answers.invalid(
                "spec.router.gateway.refs",
                gateways,
                "unsupported configuration: custom gateway ('spec.router.gateway.refs') cannot be used with "
                "managed route ('spec.router.route: {}'); either provide your own HTTP routes "
                "('spec.router.route.http.refs') or remove 'spec.router.gateway.refs' to use the managed "
                "gateway",
            )
        )
    if http.get("refs") and http.get("spec"):
        found.append(
            answers.invalid(
                "spec.router.route.http",
                http,
                "unsupported configuration: cannot use both custom HTTPRoute refs "
                "('spec.router.route.http.refs') and an inline route spec ('spec.router.route.http.spec'); "
                "choose one",
            )
        )
    for path, workload in (("spec", item["spec"]), ("spec.prefill", item["spec"].get("prefill") or {})):
        found += _parallel(path, workload)
    return found


def _parallel(path: str, workload: Object) -> list[str]:
    said, worker = workload.get("parallelism"), workload.get("worker")
    by_data = bool(said) and ("data" in said or "dataLocal" in said)
    if worker is not None and not (by_data or (said or {}).get("pipeline")):
        needs = "when worker is specified, parallelism must be configured for either data parallelism or "
        return [answers.invalid(f"{path}.worker", worker, f"{needs}pipeline parallelism")]
    found = []
    if said and by_data and said.get("pipeline"):
        both = "cannot set both pipeline parallelism and data parallelism (data or dataLocal) simultaneously"
        found.append(answers.invalid(f"{path}.parallelism", said, both))
    for name, other in (("data", "dataLocal"), ("dataLocal", "data")):
        if said and name in said and other not in said:
            where = f"{path}.parallelism.{other}"
            found.append(answers.invalid(where, None, f"{other} must be set when {name} is set"))
    return found


def _check_preset(visit: Visit, item: Object) -> list[str]:
    if item["spec"].get("baseRefs"):
        return [
            "spec.baseRefs is not a permitted field in LLMInferenceServiceConfig, support for recursive refs "
            "has been disabled"
        ]
    namespace = visit.pod["metadata"]["namespace"]
    try:
        settings.read(Direct(visit.client()), namespace)  # type: ignore[arg-type]
        gotemplates.fill(item["spec"], {"metadata": {"name": "sample", "namespace": "sample"}, "spec": {}})
    except (ValueError, LookupError) as error:
        return [str(error)]
    return []
