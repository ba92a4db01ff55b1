"""What a container that loads a model is given to get at the store: variables and files of Secrets.

kserve/kserve v0.16.0, pkg/credentials. What may surprise there, and so here: a service account that is not
there gives no credentials, and nobody is told; of several Secrets of an account each adds what it has.
"""

from __future__ import annotations

import base64
import json
from typing import Protocol

from rehearsal.players import kinds
from rehearsal.players.kinds import Key, Kind, Object
from rehearsal.players.kserve import components, naming
from rehearsal.players.kserve.settings import Settings

_PLACEHOLDER = "<scheme-placeholder>://"
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


class Reader(Protocol):
    """What is needed of the API server."""

    def read(self, kind: Kind, key: Key) -> Object | None:
        """Return an object."""
        ...

    def items(self, kind: Kind, namespace: str) -> list[Object]:
        """Return objects."""
        ...


def given(
    api: Reader, settings: Settings, annotations: Object, spec: Object, loader: Object, namespace: str
) -> None:
    """Give a container what its pod's account, or the `storage` of its model, says.

    Args:
        api: with the rights of who asks.
        settings: of KServe.
        annotations: of the pod.
        spec: the pod's; may get a volume.
        loader: the container.
        namespace: of the pod.

    Raises:
        ValueError: if a Secret that is named is missing or cannot be read.
    """
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
        components.volume(spec, "user-gcp-sa", {"secret": {"secretName": name}})
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
        components.volume(spec, "hdfs-secrets", {"secret": {"secretName": name}})
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
