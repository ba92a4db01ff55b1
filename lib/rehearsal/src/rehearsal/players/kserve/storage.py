"""How a model gets into a pod: a container that loads it before the others start, and its credentials.

kserve/kserve v0.16.0, pkg/webhook/admission/pod/storage_initializer_injector.go and pkg/utils/storage.go.
What may surprise there, and so here: a claim is mounted where the model belongs, with no container that
loads; what loads from several places mounts a volume that its pod does not have: Kubernetes refuses it.
"""

from __future__ import annotations

import copy

from rehearsal.players import strategic
from rehearsal.players.kinds import Object
from rehearsal.players.kserve import components, credentials, naming
from rehearsal.players.kserve.settings import Settings

INITIALIZER = "storage-initializer"
VOLUME = "kserve-provision-location"
CLAIM = "kserve-pvc-source"

_BUNDLE_VOLUME = "cabundle-cert"
_GLOBAL_BUNDLE, _BUNDLE_PATH = "global-ca-bundle", "/etc/ssl/custom-certs"
_HUB = {
    "HF_HUB_ENABLE_HF_TRANSFER": "1",
    "HF_XET_HIGH_PERFORMANCE": "1",
    "HF_XET_NUM_CONCURRENT_RANGE_GETS": "8",
}


def inject(api: credentials.Reader, settings: Settings, pod: Object, namespace: str, own: str) -> None:
    """Have a pod's model loaded, as its annotations say.

    Args:
        api: with the webhook's rights.
        settings: of KServe.
        pod: changed.
        namespace: of the pod.
        own: KServe's namespace.

    Raises:
        ValueError: if it cannot be.
    """
    annotations = pod["metadata"].get("annotations") or {}
    uri = annotations.get(naming.SOURCE)
    if uri is None:
        return
    uri = _cached(pod, uri)
    said = settings.section("storageInitializer")
    spec = pod["spec"]
    if f"{naming.INTERNAL}/agent" in annotations:
        return
    if said.get("enableModelcar") and uri.startswith("oci://"):
        return
    if any(each["name"] == INITIALIZER for each in spec.get("initContainers") or ()):
        return
    main = components.container(spec["containers"], naming.CONTAINER)
    main = main or components.container(spec["containers"], naming.WORKER)
    if main is None:
        raise ValueError("Invalid configuration: cannot find container")
    beside = components.container(spec["containers"], naming.TRANSFORMER)
    users = [main, *([beside] if beside is not None else [])]
    for variable in main.get("env") or ():
        if variable["name"] == "STORAGE_URI" and variable.get("value"):
            variable["value"] = naming.MODELS
    read_only = annotations.get("storage.kserve.io/readonly") != "false"
    if uri.startswith("pvc://"):
        claim, _, path = uri.removeprefix("pvc://").partition("/")
        for each in users:
            components.mount(each, CLAIM, read_only, path)
        components.volume(spec, CLAIM, {"persistentVolumeClaim": {"claimName": claim}})
        return
    for each in users:
        components.mount(each, VOLUME, read_only)
    components.volume(spec, VOLUME, {"emptyDir": {}})
    own_spec = components.storage_container(api, uri)  # type: ignore[arg-type]
    _finish(api, settings, spec, annotations, _loader(said, uri), own_spec, (namespace, own))


def _finish(
    api: credentials.Reader,
    settings: Settings,
    spec: Object,
    annotations: Object,
    loader: Object,
    own_spec: Object | None,
    where: tuple[str, str],
) -> None:
    """Give what loads its credentials, and what its ClusterStorageContainer says, and put it first."""
    namespace, own = where
    credentials.given(api, settings, annotations, spec, loader, namespace)
    bundle = _bundle(settings.section("storageInitializer"), loader, namespace, own)
    if own_spec is not None:
        name = loader["name"]
        loader = {**strategic.merge(loader, own_spec.get("container") or {}), "name": name}
    _trust(spec, loader, bundle)
    there = {each["name"] for each in loader.get("env") or ()}
    more = [{"name": name, "value": value} for name, value in _HUB.items() if name not in there]
    loader["env"] = [*(loader.get("env") or []), *more]
    spec["initContainers"] = [*(spec.get("initContainers") or []), loader]


def load_several(
    api: credentials.Reader,
    settings: Settings,
    spec: Object,
    annotations: Object,
    uris: list[Object],
    where: tuple[str, str],
) -> None:
    """Have a pod get models from several places.

    Args:
        api: with the controller's rights.
        settings: of KServe.
        spec: the pod's, changed.
        annotations: of the component.
        uris: its `storageUris`.
        where: the pod's namespace, and KServe's.

    Raises:
        ValueError: if it cannot be.
    """
    said = settings.section("storageInitializer")
    first = uris[0]["uri"]
    if f"{naming.INTERNAL}/agent" in annotations or (
        said.get("enableModelcar") and first.startswith("oci://")
    ):
        return
    if any(each["name"] == INITIALIZER for each in spec.get("initContainers") or ()):
        return
    main = components.container(spec["containers"], naming.CONTAINER)
    main = main or components.container(spec["containers"], naming.WORKER)
    if main is None:
        raise ValueError("Invalid configuration: cannot find container")
    own_spec = components.storage_container(api, first)  # type: ignore[arg-type]
    if own_spec is not None and not own_spec.get("supportsMultiModelDownload"):
        name = (own_spec.get("container") or {}).get("name", "")
        raise ValueError(
            f'storage container "{name}" does not support multi-model download; use the default kserve '
            "storage initializer or a compatible storage container"
        )
    beside = components.container(spec["containers"], naming.TRANSFORMER)
    users = [main, *([beside] if beside is not None else [])]
    read_only = annotations.get("storage.kserve.io/readonly") != "false"
    paths, words = [], []
    for each in uris:
        uri, path = each["uri"], each.get("mountPath", naming.MODELS)
        if not uri.startswith("pvc://"):
            paths.append(path)
            words += [uri, path]
            continue
        name, claim = _volume_of(path), uri.removeprefix("pvc://").partition("/")[0]
        for user in users:
            components.mount(user, name, read_only, path=path)
        components.volume(spec, name, {"persistentVolumeClaim": {"claimName": claim}})
    if not paths:
        return
    path = parent(paths)
    loader = {**_loader(said, first), "args": words}
    for user in users:
        components.mount(user, _volume_of(path), read_only, path=path)
    components.mount(loader, _volume_of(path), False, path=path)
    components.volume(spec, _volume_of(path), {"emptyDir": {}})
    _finish(api, settings, spec, annotations, loader, own_spec, where)


def parent(paths: list[str]) -> str:
    """Return the folder that paths have in common."""
    if len(paths) == 1:
        return paths[0]
    found = []
    for steps in zip(*(path.strip("/").split("/") for path in paths), strict=False):
        if len(set(steps)) > 1:
            break
        found.append(steps[0])
    return "/" + "/".join(found)


def _volume_of(path: str) -> str:
    return path.strip("/").replace("/", "-")


def load(api: credentials.Reader, settings: Settings, item: Object, spec: Object, uri: str, own: str) -> None:
    """Have the container `main` of a pod get a model, with the credentials of the pod's account.

    Raises:
        ValueError: if a model cannot be loaded from there.
    """
    said, namespace = settings.section("storageInitializer"), item["metadata"]["namespace"]
    main = components.container(spec.get("containers") or [], "main")
    scheme, found, _ = uri.partition("://")
    if not found:
        raise ValueError(f"invalid model URI: {uri}")
    if scheme == "pvc":
        claim, _, path = uri.removeprefix("pvc://").partition("/")
        if main is not None:
            components.mount(main, CLAIM, True, path)
            components.volume(spec, CLAIM, {"persistentVolumeClaim": {"claimName": claim}})
    elif scheme == "oci":
        if not said.get("enableModelcar"):
            raise ValueError("OCI modelcars is not enabled")
        _carry(said, spec, uri, ("main",))
    elif scheme in ("hf", "s3"):
        loader = _loader(said, uri)
        if main is not None:
            components.mount(main, VOLUME, True)
        components.volume(spec, VOLUME, {"emptyDir": {}})
        annotations = item["metadata"].get("annotations") or {}
        credentials.given(api, settings, annotations, spec, loader, namespace)
        if scheme == "s3":
            _trust(spec, loader, _bundle(said, loader, namespace, own))
        spec["initContainers"] = [*(spec.get("initContainers") or []), loader]
    else:
        raise ValueError(f"unsupported schema in model URI: {uri}")


def carry(settings: Settings, pod: Object) -> None:
    """Have a model that is an image beside the containers that use it, if that is switched on."""
    said = settings.section("storageInitializer")
    uri = (pod["metadata"].get("annotations") or {}).get(naming.SOURCE, "")
    if not said.get("enableModelcar") or not uri.startswith("oci://"):
        return
    _carry(said, pod["spec"], uri, (naming.CONTAINER, naming.TRANSFORMER))


def _carry(said: Object, spec: Object, uri: str, names: tuple[str, ...]) -> None:
    for name in names:
        each = components.container(spec["containers"], name)
        if each is None:
            continue
        if not any(variable["name"] == "MODEL_INIT_MODE" for variable in each.get("env") or ()):
            each["env"] = [*(each.get("env") or []), {"name": "MODEL_INIT_MODE", "value": "async"}]
        components.mount(each, VOLUME, False, path="/mnt")
        if said.get("uidModelcar") is not None:
            each["securityContext"] = {"runAsUser": said["uidModelcar"]}
    components.volume(spec, VOLUME, {"emptyDir": {}})
    if components.container(spec["containers"], "modelcar") is not None:
        return
    image = uri.removeprefix("oci://")
    amounts = {"cpu": said.get("cpuModelcar") or "10m", "memory": said.get("memoryModelcar") or "15Mi"}
    shared = {"image": image, "resources": {"limits": amounts, "requests": dict(amounts)}}
    car: Object = {
        "name": "modelcar",
        **copy.deepcopy(shared),
        "args": ["sh", "-c", f"ln -sf /proc/$$$$/root/models {naming.MODELS} && sleep infinity"],
        "volumeMounts": [{"name": VOLUME, "mountPath": "/mnt"}],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if said.get("uidModelcar") is not None:
        car["securityContext"] = {"runAsUser": said["uidModelcar"]}
    words = (
        f"echo 'Pre-fetching modelcar {image}: ' && [ -d /models ] && [ \"$$(ls -A /models)\" ] && "
        "echo 'OK ... Prefetched and valid (/models exists)' || (echo 'NOK ... Prefetched but modelcar is "
        "invalid (/models does not exist or is empty)' && exit 1)"
    )
    first = {
        "name": "modelcar-init",
        **copy.deepcopy(shared),
        "args": ["sh", "-c", words],
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    spec["containers"].append(car)
    spec["initContainers"] = [*(spec.get("initContainers") or []), first]
    spec["shareProcessNamespace"] = True


def _cached(pod: Object, uri: str) -> str:
    """Return where a model is that has been put on the nodes before."""
    labels, annotations = (pod["metadata"].get(each) or {} for each in ("labels", "annotations"))
    model = labels.get(f"{naming.INTERNAL}/localmodel")
    if model is None:
        return uri
    claim = annotations.get(f"{naming.INTERNAL}/localmodel-pvc-name")
    if claim is None:
        raise ValueError(f"Annotation {naming.INTERNAL}/localmodel-pvc-name not found")
    rest = uri.removeprefix(annotations.get(f"{naming.INTERNAL}/localmodel-sourceuri", ""))
    return f"pvc://{claim}/models/{model}{rest if rest.startswith('/') else f'/{rest}'}"


def _loader(said: Object, uri: str) -> Object:
    amounts = {
        part: {name: said[f"{name}{word}"] for name in ("cpu", "memory") if said.get(f"{name}{word}")}
        for part, word in (("limits", "Limit"), ("requests", "Request"))
    }
    return {
        "name": INITIALIZER,
        "image": said.get("image") or "kserve/storage-initializer:latest",
        "args": [uri, naming.MODELS],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": VOLUME, "mountPath": naming.MODELS}],
        "resources": amounts,
    }


def _bundle(said: Object, loader: Object, namespace: str, own: str) -> tuple[str, str] | None:
    """Return ConfigMap and path of the authorities that the container is to trust."""
    name = said.get("caBundleConfigMapName", "")
    variables = {each["name"]: each.get("value", "") for each in loader.get("env") or ()}
    if not name and "AWS_CA_BUNDLE_CONFIGMAP" not in variables:
        return None
    name = name if namespace == own else _GLOBAL_BUNDLE
    path = said.get("caBundleVolumeMountPath") or _BUNDLE_PATH
    if file := variables.get("AWS_CA_BUNDLE"):
        path = file.rpartition("/")[0]
    return variables.get("AWS_CA_BUNDLE_CONFIGMAP", name), path


def _trust(spec: Object, loader: Object, bundle: tuple[str, str] | None) -> None:
    if bundle is None:
        return
    name, path = bundle
    there = {each["name"] for each in loader.get("env") or ()}
    wanted = {"CA_BUNDLE_CONFIGMAP_NAME": name, "CA_BUNDLE_VOLUME_MOUNT_POINT": path}
    more = [{"name": key, "value": value} for key, value in wanted.items() if key not in there]
    loader["env"] = [*(loader.get("env") or []), *more]
    loader["volumeMounts"].append({"name": _BUNDLE_VOLUME, "mountPath": path, "readOnly": True})
    components.volume(spec, _BUNDLE_VOLUME, {"configMap": {"name": name}})
