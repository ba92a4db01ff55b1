"""The places of Argo's artifacts: one model for each kind of store.

Names and types are those of argo-workflows v3.7.14, pkg/apis/workflow/v1alpha1/workflow_types.go and
manifests/base/crds/full.
"""

from __future__ import annotations

from typing import Annotated

import pydantic

from kubeflow_charm.definitions.crds import Embedded
from kubeflow_charm.definitions.embedded import ConfigMapKey, Int32, Int64, SecretKey
from kubeflow_charm.definitions.schemas import Schema

Text = str | None
Flag = bool | None
Labels = dict[str, str] | None
Secret = SecretKey | None


class S3Encryption(Schema):
    """The encryption of objects."""

    enable_encryption: Flag = None
    kms_key_id: Text = None
    kms_encryption_context: Text = None
    server_side_customer_key_secret: Secret = None


class S3Bucket(Schema):
    """How to create a missing bucket."""

    object_locking: Flag = None


class S3(Schema, piece=True):
    """A bucket of S3 or of a compatible store."""

    endpoint: Text = None
    bucket: Text = None
    region: Text = None
    insecure: Flag = None
    key: Text = None
    access_key_secret: Secret = None
    secret_key_secret: Secret = None
    session_token_secret: Secret = None
    ca_secret: Secret = None
    role_arn: Annotated[Text, pydantic.Field(alias="roleARN")] = None
    use_sdk_creds: Annotated[Flag, pydantic.Field(alias="useSDKCreds")] = None
    create_bucket_if_not_present: S3Bucket | None = None
    encryption_options: S3Encryption | None = None


class Git(Schema, piece=True):
    """A repository of Git."""

    repo: str
    revision: Text = None
    branch: Text = None
    single_branch: Flag = None
    depth: Int64 | None = None
    fetch: list[str] | None = None
    username_secret: Secret = None
    password_secret: Secret = None
    ssh_private_key_secret: Secret = None
    insecure_ignore_host_key: Flag = None
    insecure_skip_tls: Annotated[Flag, pydantic.Field(alias="insecureSkipTLS")] = None
    disable_submodules: Flag = None


class Header(Schema):
    """A header of a request."""

    name: str
    value: str


class BasicAuth(Schema):
    """A user and a password."""

    username_secret: Secret = None
    password_secret: Secret = None


class ClientCertificate(Schema):
    """A certificate and its key."""

    client_cert_secret: Secret = None
    client_key_secret: Secret = None


class EndpointParam(Schema):
    """A parameter of a request for a token."""

    key: str
    value: Text = None


class Oauth2(Schema):
    """The source of a token."""

    client_id_secret: Annotated[Secret, pydantic.Field(alias="clientIDSecret")] = None
    client_secret_secret: Secret = None
    token_url_secret: Annotated[Secret, pydantic.Field(alias="tokenURLSecret")] = None
    scopes: list[str] | None = None
    endpoint_params: list[EndpointParam] | None = None


class HttpAuth(Schema):
    """The credentials of a request: one of three."""

    basic_auth: BasicAuth | None = None
    client_cert: ClientCertificate | None = None
    oauth2: Oauth2 | None = None


class HttpFile(Schema, piece=True):
    """A file at an address."""

    url: str
    headers: list[Header] | None = None
    auth: HttpAuth | None = None


class Artifactory(BasicAuth, piece=True):
    """A file in Artifactory."""

    url: str


class Hdfs(Schema, piece=True):
    """A file in HDFS."""

    path: str
    addresses: list[str] | None = None
    hdfs_user: Text = None
    force: Flag = None
    data_transfer_protection: Text = None
    krb_realm: Text = None
    krb_username: Text = None
    krb_service_principal_name: Text = None
    krb_c_cache_secret: Secret = None
    krb_keytab_secret: Secret = None
    krb_config_config_map: ConfigMapKey | None = None


class Raw(Schema, piece=True):
    """The content itself."""

    data: str


class OssLifecycle(Schema):
    """When objects move to cheaper storage, and when they are deleted."""

    mark_infrequent_access_after_days: Int32 | None = None
    mark_deletion_after_days: Int32 | None = None


class Oss(Schema, piece=True):
    """A bucket of Alibaba's OSS."""

    key: str
    endpoint: Text = None
    bucket: Text = None
    access_key_secret: Secret = None
    secret_key_secret: Secret = None
    security_token: Text = None
    create_bucket_if_not_present: Flag = None
    lifecycle_rule: OssLifecycle | None = None
    use_sdk_creds: Annotated[Flag, pydantic.Field(alias="useSDKCreds")] = None


class Gcs(Schema, piece=True):
    """A bucket of Google Cloud Storage."""

    key: str
    bucket: Text = None
    service_account_key_secret: Secret = None


class Azure(Schema, piece=True):
    """A container of Azure Blob Storage."""

    endpoint: str
    container: str
    blob: str
    account_key_secret: Secret = None
    use_sdk_creds: Annotated[Flag, pydantic.Field(alias="useSDKCreds")] = None


class ArtifactLocation(Schema):
    """The place of an artifact: one of these stores. The definition does not check a plugin's settings."""

    archive_logs: Flag = None
    s3: S3 | None = None
    git: Git | None = None
    http: HttpFile | None = None
    artifactory: Artifactory | None = None
    hdfs: Hdfs | None = None
    raw: Raw | None = None
    oss: Oss | None = None
    gcs: Gcs | None = None
    azure: Azure | None = None
    plugin: Embedded | None = None
