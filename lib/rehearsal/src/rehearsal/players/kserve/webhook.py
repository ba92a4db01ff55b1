"""KServe's webhooks: what they add to inference services and their pods, and what they refuse.

kserve/kserve v0.16.0, cmd/manager/main.go, pkg/apis/serving/v1beta1/inference_service_defaults.go and
pkg/webhook/admission/pod/mutator.go. What may surprise there, and so here: only pods with the label of an
inference service are looked at; the usual mode is annotated only if it is not `Knative`.
"""

from __future__ import annotations

import functools

import httpx2

from rehearsal.network.playing import Answer, Visit
from rehearsal.players import answers, kinds
from rehearsal.players.direct import Direct
from rehearsal.players.kinds import Kind, Object
from rehearsal.players.kserve import agent, checking, components, naming, settings, storage
from rehearsal.players.kserve.settings import Settings

_RUNTIMES = {"servingruntime": kinds.SERVING_RUNTIME, "clusterservingruntime": kinds.CLUSTER_SERVING_RUNTIME}


def program(visit: Visit) -> Answer | None:
    """Answer on the webhooks' port."""
    words = [*visit.container.get("command", []), *visit.container.get("args", [])]
    ports = [each.partition("=")[2] for each in words if each.lstrip("-").startswith("webhook-port=")]
    reviewers = {
        "/mutate-serving-kserve-io-v1beta1-inferenceservice": answers.mutating(
            functools.partial(_default, visit), kinds.INFERENCE_SERVICE
        ),
        "/validate-serving-kserve-io-v1beta1-inferenceservice": answers.validating(
            checking.service, kinds.INFERENCE_SERVICE
        ),
        "/validate-serving-kserve-io-v1alpha1-inferencegraph": answers.validating(checking.graph),
        "/validate-serving-kserve-io-v1alpha1-trainedmodel": answers.validating(checking.trained),
        "/validate-serving-kserve-io-v1alpha1-localmodelcache": answers.validating(lambda item, before: []),
        "/mutate-pods": answers.mutating(functools.partial(_change_pod, visit)),
        **{
            f"/validate-serving-kserve-io-v1alpha1-{name}": answers.checking(
                functools.partial(_check_runtime, visit, kind)
            )
            for name, kind in _RUNTIMES.items()
        },
    }
    return answers.serve(visit, int([9443, *ports][-1]), answers.CERTIFICATES, reviewers)


def _own_namespace(visit: Visit) -> str:
    """Return KServe's namespace as the container's environment has it."""
    for each in visit.container.get("env") or ():
        if each["name"] == "POD_NAMESPACE":
            return each.get("value") or visit.pod["metadata"]["namespace"]
    return "kserve"


def _settings(visit: Visit, api: Direct) -> Settings:
    try:
        return settings.read(api, _own_namespace(visit))  # type: ignore[arg-type]
    except (LookupError, httpx2.HTTPStatusError) as error:
        raise answers.Denied(str(error), 500) from None


def _default(visit: Visit, isvc: Object, request: Object) -> Object:
    api = Direct(visit.client())
    said = _settings(visit, api)
    try:
        default(said, isvc)
        if said.section("localModel").get("enabled"):
            _find_cache(api, isvc)
    except (ValueError, httpx2.HTTPStatusError) as error:
        raise answers.Denied(str(error), 500) from None
    return isvc


def default(said: Settings, isvc: Object) -> None:
    """Add to an inference service what goes without saying."""
    metadata, spec = isvc["metadata"], isvc["spec"]
    annotations = metadata.get("annotations") or {}
    if naming.MODE not in annotations and said.mode in (naming.MESH, naming.STANDARD):
        metadata["annotations"] = {**annotations, naming.MODE: said.mode}
    _model(spec["predictor"])
    for component in naming.COMPONENTS:
        if component in spec and checking.implementations(spec[component], component) == 1:
            _containers(said, spec[component], component)
    token = said.section("security").get("autoMountServiceAccountToken")
    if not token:
        for component in naming.COMPONENTS:
            if component in spec:
                spec[component].setdefault("automountServiceAccountToken", False)


def _model(predictor: Object) -> None:
    for name, protocol in components.FRAMEWORKS.items():
        if name in predictor:
            model = predictor.pop(name) or {}
            if protocol:
                model.setdefault("protocolVersion", protocol)
            predictor["model"] = {"modelFormat": {"name": name}, **model}
            break
    model = predictor.get("model")
    if model is not None and (model.get("modelFormat") or {}).get("name") == "triton":
        model.setdefault("protocolVersion", "v2")


def _containers(said: Settings, spec: Object, component: str) -> None:
    """Name the first container, and give it resources."""
    if component == "predictor" and "model" in spec:
        return
    main = spec["art"] if "art" in spec else spec["containers"][0]
    if component != "predictor" or len(spec["containers"]) == 1 or not main.get("name"):
        main["name"] = naming.CONTAINER
    if "art" in spec:
        usual = (said.section("explainers").get("art") or {}).get("defaultImageVersion", "")
        main.setdefault("runtimeVersion", usual)
    resources = main.setdefault("resources", {})
    for part, amounts in said.resources().items():
        resources[part] = {**amounts, **(resources.get(part) or {})}


def _find_cache(api: Direct, isvc: Object) -> None:
    """Label an inference service whose model has been put on nodes before."""
    metadata = isvc["metadata"]
    annotations = metadata.get("annotations") or {}
    uri = components.source(isvc["spec"]["predictor"], "predictor")
    if uri is None or f"{naming.GROUP}/disable-localmodel" in annotations:
        return
    group = annotations.get(f"{naming.GROUP}/nodegroup")
    for each in api.items(kinds.LOCAL_MODEL_CACHE, ""):
        place = each["spec"]["sourceModelUri"].rstrip("/")
        groups = each["spec"]["nodeGroups"]
        if (uri.rstrip("/") == place or uri.startswith(f"{place}/")) and (group is None or group in groups):
            name = each["metadata"]["name"]
            labels = metadata.get("labels") or {}
            metadata["labels"] = {**labels, f"{naming.INTERNAL}/localmodel": name}
            metadata["annotations"] = {
                **annotations,
                f"{naming.INTERNAL}/localmodel-sourceuri": each["spec"]["sourceModelUri"],
                f"{naming.INTERNAL}/localmodel-pvc-name": f"{name}-{group or groups[0]}",
            }
            return
    (metadata.get("labels") or {}).pop(f"{naming.INTERNAL}/localmodel", None)
    for key in ("localmodel-sourceuri", "localmodel-pvc-name"):
        annotations.pop(f"{naming.INTERNAL}/{key}", None)


def _change_pod(visit: Visit, pod: Object, request: Object) -> Object:
    if naming.SERVICE_LABEL not in (pod["metadata"].get("labels") or {}):
        return pod
    api = Direct(visit.client())
    said = _settings(visit, api)
    namespace = request["namespace"]
    try:
        agent.select_accelerator(pod)
        storage.inject(api, said, pod, namespace, _own_namespace(visit))
        agent.inject(said, pod, namespace)
        agent.tell_prometheus(said, pod)
        storage.carry(said, pod)
    except (ValueError, httpx2.HTTPStatusError) as error:
        raise answers.Denied(str(error), 500) from None
    return pod


def _check_runtime(visit: Visit, kind: Kind, request: Object) -> None:
    if request["operation"] == "DELETE":
        return
    item = request["object"]
    namespace = item["metadata"].get("namespace", "")
    try:
        others = Direct(visit.client()).items(kind, namespace)
    except httpx2.HTTPStatusError as error:
        raise answers.Denied(str(error), 500) from None
    for problem in checking.runtime(item, others):
        raise answers.Denied(problem, 403)
