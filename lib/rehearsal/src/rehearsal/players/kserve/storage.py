"""How a model gets into a pod: a container that loads it before the others start, and its credentials.

kserve/kserve v0.16.0, pkg/webhook/admission/pod/storage_initializer_injector.go, pkg/utils/storage.go and
pkg/credentials. What may surprise there, and so here: a service account that is not there gives no
credentials, and nobody is told; of several Secrets of an account each adds what it has; a claim is mounted
where the model belongs, with no container that loads; what loads from several places mounts a volume that its
pod does not have, so that Kubernetes refuses it.
"""

from __future__ import annotations

import base64
import copy
import json
from typing import Any, Protocol

from rehearsal.players import kinds, strategic
from rehearsal.players.kinds import Key, Kind, Object
from rehearsal.players.kserve import components, naming
from rehearsal.players.kserve.settings import Settings

INITIALIZER = "storage-initializer"
VOLUME = "kserve-provision-location"
CLAIM = "kserve-pvc-source"

_PLACEHOLDER = "<scheme-placeholder>://"
_BUNDLE_VOLUME = "cabundle-cert"
_GLOBAL_BUNDLE, _BUNDLE_PATH = "global-ca-bundle", "/etc/ssl/custom-certs"
_TYPES, _WITH_BUCKET = ("s3", "hdfs", "webhdfs"), ("s3",)
_S3 = (
    # variable and key of a Secret, annotation, setting
    ("S3_USE_HTTPS", "s3-usehttps", "s3UseHttps"),
    ("S3_ENDPOINT", "s3-endpoint", "s3Endpoint"),
    ("S3_VERIFY_SSL", "s3-verifyssl", "s3VerifySSL"),
    ("awsAnonymousCredential", "s3-useanoncredential", "s3UseAnonymousCredential"),
    ("AWS_DEFAULT_REGION", "s3-region", "s3Region"),
    ("S3_USER_VIRTUAL_BUCKET", "s3-usevirtualbucket", "s3UseVirtualBucket"),
    ("S3_USE_ACCELERATE", "s3-useaccelerate", "s3UseAccelerate"),
    ("AWS_CA_BUNDLE", "s3-cabundle", "s3CABundle"),
    ("AWS_CA_BUNDLE_CONFIGMAP", "s3-cabundle-configmap", "s3CABundleConfigMap"),
)
_AZURE = ("SUBSCRIPTION_ID", "TENANT_ID", "CLIENT_ID", "CLIENT_SECRET")
_HUB = {
    "HF_HUB_ENABLE_HF_TRANSFER": "1",
    "HF_XET_HIGH_PERFORMANCE": "1",
    "HF_XET_NUM_CONCURRENT_RANGE_GETS": "8",
}


class Reader(Protocol):
    """What is needed of the API server."""

    def read(self, kind: Kind, key: Key) -> Object | None:
        """Return an object."""
        ...

    def items(self, kind: Kind, namespace: str) -> list[Object]:
        """Return objects."""
        ...


def inject(api: Reader, settings: Settings, pod: Object, namespace: str, own: str) -> None:
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
            _mount(each, CLAIM, read_only, path)
        _volume(spec, CLAIM, {"persistentVolumeClaim": {"claimName": claim}})
        return
    for each in users:
        _mount(each, VOLUME, read_only)
    _volume(spec, VOLUME, {"emptyDir": {}})
    own_spec = components.storage_container(api, uri)  # type: ignore[arg-type]
    _finish(api, settings, spec, annotations, _loader(said, uri), own_spec, (namespace, own))


def _finish(
    api: Reader,
    settings: Settings,
    spec: Object,
    annotations: Object,
    loader: Object,
    own_spec: Object | None,
    where: tuple[str, str],
) -> None:
    """Give what loads its credentials, and what its ClusterStorageContainer says, and put it first."""
    namespace, own = where
    _credentials(api, settings, annotations, spec, loader, namespace)
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
    api: Reader,
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
            _mount(user, name, read_only, path=path)
        _volume(spec, name, {"persistentVolumeClaim": {"claimName": claim}})
    if not paths:
        return
    path = parent(paths)
    loader = {**_loader(said, first), "args": words}
    for user in users:
        _mount(user, _volume_of(path), read_only, path=path)
    _mount(loader, _volume_of(path), False, path=path)
    _volume(spec, _volume_of(path), {"emptyDir": {}})
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


def load(api: Reader, settings: Settings, item: Object, spec: Object, uri: str, own: str) -> None:
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
            _mount(main, CLAIM, True, path)
            _volume(spec, CLAIM, {"persistentVolumeClaim": {"claimName": claim}})
    elif scheme == "oci":
        if not said.get("enableModelcar"):
            raise ValueError("OCI modelcars is not enabled")
        _carry(said, spec, uri, ("main",))
    elif scheme in ("hf", "s3"):
        loader = _loader(said, uri)
        if main is not None:
            _mount(main, VOLUME, True)
        _volume(spec, VOLUME, {"emptyDir": {}})
        annotations = item["metadata"].get("annotations") or {}
        _credentials(api, settings, annotations, spec, loader, namespace)
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
        each["env"] = [*(each.get("env") or []), {"name": "MODEL_INIT_MODE", "value": "async"}]
        _mount(each, VOLUME, False, path="/mnt")
        if said.get("uidModelcar") is not None:
            each["securityContext"] = {"runAsUser": said["uidModelcar"]}
    _volume(spec, VOLUME, {"emptyDir": {}})
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
    first = {"name": "modelcar-init", **copy.deepcopy(shared), "args": ["sh", "-c", "[ -d /models ]"]}
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


def _mount(
    container: Object, name: str, read_only: bool, inside: str = "", path: str = naming.MODELS
) -> None:
    mounts = container.get("volumeMounts") or []
    if any(each["name"] == name for each in mounts):
        return
    mount: dict[str, Any] = {"name": name, "mountPath": path}
    if read_only:
        mount["readOnly"] = True
    if inside:
        mount["subPath"] = inside
    container["volumeMounts"] = [*mounts, mount]


def _volume(spec: Object, name: str, source: Object) -> None:
    if not any(each["name"] == name for each in spec.get("volumes") or ()):
        spec["volumes"] = [*(spec.get("volumes") or []), {"name": name, **source}]


def _credentials(
    api: Reader, settings: Settings, annotations: Object, spec: Object, loader: Object, namespace: str
) -> None:
    said = settings.section("credentials")
    if annotations.get(f"{naming.INTERNAL}/storage-spec") == "true":
        _of_storage(api, said, annotations, loader, namespace)
        return
    account = api.read(kinds.SERVICE_ACCOUNT, (namespace, spec.get("serviceAccountName") or "default"))
    if account is None:
        return
    of_account = account["metadata"].get("annotations") or {}
    if "eks.amazonaws.com/role-arn" in of_account:
        _variables(loader, _s3(of_account, {}, said.get("s3") or {}))
    annotation = said.get("storageSecretNameAnnotation")
    if annotation and annotation in annotations:
        names = [annotations[annotation]]
    else:
        names = [each["name"] for each in account.get("secrets") or ()]
    for name in names:
        secret = api.read(kinds.SECRET, (namespace, name))
        if secret is None:
            raise ValueError(f'secrets "{name}" not found')
        _of_secret(said, secret, spec, loader)


def _of_secret(said: Object, secret: Object, spec: Object, loader: Object) -> None:
    name, data = secret["metadata"]["name"], _decoded(secret)
    s3 = said.get("s3") or {}
    key, secret_key = s3.get("s3AccessKeyIDName"), s3.get("s3SecretAccessKeyName")
    key, secret_key = key or "awsAccessKeyID", secret_key or "awsSecretAccessKey"
    file = (said.get("gcs") or {}).get("gcsCredentialFileName") or "gcloud-application-credentials.json"
    if secret_key in data:
        variables = [_from(name, "AWS_ACCESS_KEY_ID", key), _from(name, "AWS_SECRET_ACCESS_KEY", secret_key)]
        about = secret["metadata"].get("annotations") or {}
        _variables(loader, [*variables, *_s3(about, data, s3)])
    elif file in data:
        _volume(spec, "user-gcp-sa", {"secret": {"secretName": name}})
        mount = {"name": "user-gcp-sa", "mountPath": "/var/secrets/", "readOnly": True}
        loader["volumeMounts"].append(mount)
        value = f"/var/secrets/{file}"
        _variables(loader, [{"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": value}])
    elif "AZ_CLIENT_ID" in data or "AZURE_CLIENT_ID" in data or "AZURE_ACCESS_TOKEN" in data:
        old = "AZ_CLIENT_ID" in data
        keys = {f"AZURE_{each}": f"{'AZ' if old else 'AZURE'}_{each}" for each in _AZURE}
        _variables(loader, [_from(name, variable, each) for variable, each in keys.items() if each in data])
    elif "AZURE_STORAGE_ACCESS_KEY" in data:
        _variables(loader, [_from(name, "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_ACCESS_KEY")])
    elif "https-host" in data:
        if "headers" in data:
            _variables(loader, [{"name": f"{data['https-host']}-headers", "value": data["headers"]}])
    elif "HDFS_NAMENODE" in data:
        _volume(spec, "hdfs-secrets", {"secret": {"secretName": name}})
        mount = {"name": "hdfs-secrets", "mountPath": "/var/secrets/kserve-hdfscreds", "readOnly": True}
        loader["volumeMounts"].append(mount)
    elif "HF_TOKEN" in data:
        _variables(loader, [_from(name, "HF_TOKEN", "HF_TOKEN")])


def _s3(annotations: Object, data: Object, said: Object) -> list[Object]:
    """Return the variables of an S3 store: of annotations, of a Secret, or of the settings."""
    found: dict[str, str] = {}
    for name, annotation, setting in _S3:
        key = f"{naming.GROUP}/{annotation}"
        value = annotations.get(key, data.get(name, said.get(setting, "")))
        if not value:
            continue
        found[name] = value
        if name == "S3_ENDPOINT":
            scheme = "http" if found.get("S3_USE_HTTPS") == "0" else "https"
            found["AWS_ENDPOINT_URL"] = f"{scheme}://{value}"
    return [{"name": name, "value": value} for name, value in found.items()]


def _of_storage(api: Reader, said: Object, annotations: Object, loader: Object, namespace: str) -> None:
    """Add what a model's `storage` says: a key of a Secret with JSON, and parameters above it."""
    text = annotations.get(f"{naming.INTERNAL}/storage-spec-param")
    parameters: dict[str, str] = json.loads(text) if text else {}
    key = annotations.get(f"{naming.INTERNAL}/storage-spec-key", "")
    kind, bucket = parameters.get("type", ""), parameters.get("bucket", "")
    name = said.get("storageSpecSecretName") or "storage-config"
    name = annotations.get(said.get("storageSecretNameAnnotation") or "", name)
    secret = api.read(kinds.SECRET, (namespace, name))
    if secret is None and key:
        raise ValueError(f'can\'t read storage secret {name}: secrets "{name}" not found')
    data = _decoded(secret or {})
    if key and key not in data:
        raise ValueError(f"specified storage key {key} not found in storage secret {name}")
    key = key or (f"default_{kind}" if kind else "default")
    if key in data:
        if not kind:
            try:
                stored = json.loads(data[key])
            except ValueError as error:
                message = f"invalid json encountered in key {key} of storage secret {name}: {error}"
                raise ValueError(message) from None
            kind = stored.get("type", "")
            if kind and kind not in _TYPES:
                known = ", ".join(_TYPES)
                raise ValueError(
                    f"storage type must be one of [{known}]. storage type [{kind}] is not supported"
                )
            bucket = bucket or stored.get("bucket", "")
            if "cabundle_configmap" in stored:
                value = stored["cabundle_configmap"]
                _variables(loader, [{"name": "AWS_CA_BUNDLE_CONFIGMAP", "value": value}])
        _variables(loader, [_from(name, "STORAGE_CONFIG", key)])
    if not kind:
        raise ValueError("unable to determine storage type")
    if loader["args"][0].startswith(_PLACEHOLDER):
        path = loader["args"][0].removeprefix(_PLACEHOLDER)
        if kind in _WITH_BUCKET:
            if not bucket:
                raise ValueError(
                    f"format [{kind}] requires a bucket but one wasn't found in storage data or parameters"
                )
            path = f"{bucket}/{path}"
        loader["args"][0] = f"{kind}://{path}"
    if parameters:
        value = json.dumps(parameters, sort_keys=True, separators=(",", ":"))
        _variables(loader, [{"name": "STORAGE_OVERRIDE_CONFIG", "value": value}])


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
    _volume(spec, _BUNDLE_VOLUME, {"configMap": {"name": name}})


def _decoded(secret: Object) -> dict[str, str]:
    data = secret.get("data") or {}
    return {name: base64.b64decode(value).decode(errors="replace") for name, value in data.items()}


def _from(secret: str, variable: str, key: str) -> Object:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def _variables(container: Object, variables: list[Object]) -> None:
    """Set variables; a later one of the same name wins."""
    env = {each["name"]: each for each in container.get("env") or ()}
    env.update({each["name"]: each for each in variables})
    container["env"] = list(env.values())
